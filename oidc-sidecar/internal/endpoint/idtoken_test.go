package endpoint

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/keys"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	jwts "github.com/sallyport-auth/sallyport/testenv/tokens"
)

const (
	issuer = "https://idp.example"
	now    = int64(1_800_000_000)
)

func still() time.Time { return time.Unix(now, 0) }

// rules are those of a plugin with the defaults of the file.
func rules(change func(c *declarative.OIDCConfig)) Rules {
	c := &declarative.OIDCConfig{IssuerURL: issuer, Login: &declarative.Login{Client: declarative.Client{ClientIDs: []string{"app"}}}}
	if change != nil {
		change(c)
	}
	return Rules{Config: c, Client: &c.Login.Client}
}

// issuerSet is what is known of an issuer with these keys, by kid.
func issuerSet(t testing.TB, published map[string]string) *provider.Set {
	t.Helper()
	var list []map[string]any
	for kid, key := range published {
		list = append(list, jwts.JWK(key, kid, nil))
	}
	src, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := keys.ParseSet(src)
	if err != nil {
		t.Fatal(err)
	}
	return &provider.Set{Issuers: []string{issuer}, Keys: parsed, Metadata: provider.Metadata{Issuer: issuer}}
}

// published are the keys of the issuer, by kid.
var published = map[string]string{"k1": "rsa2048", "e1": "ec256"}

// goOIDC is the oracle: go-oidc's verifier with the same keys.
func goOIDC() *oidc.IDTokenVerifier {
	set := &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{}}
	for _, key := range published {
		set.PublicKeys = append(set.PublicKeys, jwts.Private(key).Public())
	}
	return oidc.NewVerifier(issuer, set, &oidc.Config{ClientID: "app", Now: still,
		SupportedSigningAlgs: []string{"RS256", "RS384", "RS512", "ES256", "PS256", "PS384", "PS512"}})
}

// goAccepts reports whether go-oidc, with the checks that it leaves to its caller,
// accepts a token.
func goAccepts(v *oidc.IDTokenVerifier, raw, nonce, access string) bool {
	tok, err := v.Verify(context.Background(), raw)
	if err != nil || tok.Nonce != nonce {
		return false
	}
	return tok.AccessTokenHash == "" || tok.VerifyAccessToken(access) == nil
}

func halfHash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func idClaims(change map[string]any) map[string]any {
	c := map[string]any{"iss": issuer, "aud": "app", "sub": "alice", "iat": now - 10, "exp": now + 300, "nonce": "n", "at_hash": halfHash("at")}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// TestIDToken breaks each step of OIDC Core §3.1.3.7.
func TestIDToken(t *testing.T) {
	rs := map[string]any{"alg": "RS256", "kid": "k1"}
	id := func(change map[string]any) string { return jwts.Sign("rsa2048", rs, idClaims(change)) }
	header := func(key string, h map[string]any) string { return jwts.Sign(key, h, idClaims(nil)) }
	nothing := func(*declarative.OIDCConfig) {}
	for _, tt := range []struct {
		name, raw string
		want      reason.Code
		change    func(c *declarative.OIDCConfig)
		e         func(e *Expectation)
	}{
		{name: "right", raw: id(nil)},
		{name: "ES256", raw: header("ec256", map[string]any{"alg": "ES256", "kid": "e1"})},
		{name: "no kid", raw: header("rsa2048", map[string]any{"alg": "RS256"})},
		{name: "typ", raw: header("rsa2048", map[string]any{"alg": "RS256", "kid": "k1", "typ": "JWT"})},
		{name: "typ of an access token", raw: header("rsa2048", map[string]any{"alg": "RS256", "kid": "k1", "typ": "at+jwt"}), want: reason.TokenType},
		{name: "typ of a logout token", raw: header("rsa2048", map[string]any{"alg": "RS256", "kid": "k1", "typ": "logout+jwt"}), want: reason.TokenType},
		{name: "events", raw: id(map[string]any{"events": map[string]any{}}), want: reason.TokenType},
		// (2)
		{name: "iss", raw: id(map[string]any{"iss": "https://evil.example"}), want: reason.IssuerUnknown},
		{name: "iss with a slash", raw: id(map[string]any{"iss": issuer + "/"}), want: reason.IssuerUnknown},
		{name: "iss allowed", raw: id(map[string]any{"iss": "https://alias.example"}), change: func(c *declarative.OIDCConfig) { c.IssuersAllowed = []string{"https://alias.example"} }},
		{name: "no iss", raw: id(map[string]any{"iss": nil}), want: reason.ClaimMissing},
		{name: "iss a list", raw: id(map[string]any{"iss": []string{issuer}}), want: reason.ClaimInvalid},
		// (3), (4), (5)
		{name: "aud", raw: id(map[string]any{"aud": "other"}), want: reason.AudienceMismatch},
		{name: "no aud", raw: id(map[string]any{"aud": nil}), want: reason.AudienceMismatch},
		{name: "aud with words", raw: id(map[string]any{"aud": "app other"}), want: reason.AudienceMismatch},
		{name: "aud a list of one", raw: id(map[string]any{"aud": []string{"app"}})},
		{name: "aud empty", raw: id(map[string]any{"aud": []string{}}), want: reason.AudienceMismatch},
		{name: "aud odd", raw: id(map[string]any{"aud": []any{"app", 1}}), want: reason.ClaimInvalid},
		{name: "aud of two", raw: id(map[string]any{"aud": []string{"app", "other"}}), want: reason.AuthorizedPartyMismatch},
		{name: "aud of two, azp null", raw: id(map[string]any{"aud": []string{"app", "other"}, "azp": json.RawMessage("null")}), want: reason.AuthorizedPartyMismatch},
		{name: "aud of two, azp", raw: id(map[string]any{"aud": []string{"app", "other"}, "azp": "app"})},
		{name: "aud of two, azp another", raw: id(map[string]any{"aud": []string{"app", "other"}, "azp": "other"}), want: reason.AuthorizedPartyMismatch},
		{name: "azp another", raw: id(map[string]any{"azp": "other"}), want: reason.AuthorizedPartyMismatch},
		{name: "azp a list", raw: id(map[string]any{"azp": []string{"app"}}), want: reason.AuthorizedPartyMismatch},
		{name: "azp empty", raw: id(map[string]any{"azp": ""}), want: reason.AuthorizedPartyMismatch},
		// (6), (7), (8)
		{name: "tampered", raw: jwts.Tamper(id(nil)), want: reason.SignatureInvalid},
		{name: "another key", raw: header("rsa2048b", rs), want: reason.SignatureInvalid},
		{name: "another kid", raw: header("rsa2048", map[string]any{"alg": "RS256", "kid": "k9"}), want: reason.KeyUnknown},
		{name: "the kid of another alg", raw: header("ec256", map[string]any{"alg": "ES256", "kid": "k1"}), want: reason.AlgorithmMismatch},
		{name: "none", raw: jwts.Input(map[string]any{"alg": "none"}, idClaims(nil)) + ".", want: reason.AlgorithmUnsupported},
		{name: "HS256 by the secret", raw: header("secret", map[string]any{"alg": "HS256"}), want: reason.AlgorithmMismatch},
		{name: "HS256 by the key", raw: header(jwts.PublicPEM("rsa2048"), map[string]any{"alg": "HS256", "kid": "k1"}), want: reason.AlgorithmMismatch},
		{name: "tampered, not verified", raw: jwts.Tamper(id(nil)), change: func(c *declarative.OIDCConfig) { c.Login.SkipSignature = true }},
		{name: "none, not verified", raw: jwts.Input(map[string]any{"alg": "none"}, idClaims(nil)) + ".", want: reason.AlgorithmUnsupported, change: func(c *declarative.OIDCConfig) { c.Login.SkipSignature = true }},
		{name: "HS256, not verified", raw: header("secret", map[string]any{"alg": "HS256"}), want: reason.AlgorithmMismatch, change: func(c *declarative.OIDCConfig) { c.Login.SkipSignature = true }},
		{name: "jwk in the header", raw: header("rsa2048b", map[string]any{"alg": "RS256", "jwk": jwts.JWK("rsa2048b", "x", nil)}), want: reason.HeaderKey},
		{name: "crit", raw: header("rsa2048", map[string]any{"alg": "RS256", "kid": "k1", "crit": []string{"x"}, "x": 1}), want: reason.HeaderCritical},
		// (9), (10)
		{name: "expired this second", raw: id(map[string]any{"exp": now}), want: reason.TokenExpired},
		{name: "expired, forgiven", raw: id(map[string]any{"exp": now}), change: func(c *declarative.OIDCConfig) { c.Leeway = 5 }},
		{name: "no exp", raw: id(map[string]any{"exp": nil}), want: reason.ClaimMissing},
		{name: "exp a text", raw: id(map[string]any{"exp": "1900000000"}), want: reason.ClaimInvalid},
		{name: "nbf ahead", raw: id(map[string]any{"nbf": now + 1}), want: reason.TokenNotYetValid},
		{name: "no iat", raw: id(map[string]any{"iat": nil}), want: reason.ClaimMissing},
		{name: "iat ahead a little", raw: id(map[string]any{"iat": now + ClockSkew})},
		{name: "iat ahead", raw: id(map[string]any{"iat": now + ClockSkew + 1}), want: reason.TokenNotYetValid},
		{name: "iat a text", raw: id(map[string]any{"iat": "1"}), want: reason.ClaimInvalid},
		// (11)
		{name: "nonce", raw: id(map[string]any{"nonce": "m"}), want: reason.NonceMismatch},
		{name: "no nonce", raw: id(map[string]any{"nonce": nil}), want: reason.NonceMismatch},
		{name: "nonce empty", raw: id(map[string]any{"nonce": ""}), want: reason.NonceMismatch},
		{name: "nonce a list", raw: id(map[string]any{"nonce": []string{"n"}}), want: reason.NonceMismatch},
		{name: "nonce null", raw: id(map[string]any{"nonce": json.RawMessage("null")}), want: reason.NonceMismatch},
		{name: "nonce of a refresh", raw: id(map[string]any{"nonce": "m"}), e: func(e *Expectation) { e.Nonce = "" }},
		// (13)
		{name: "auth_time", raw: id(map[string]any{"auth_time": now - 60}), e: func(e *Expectation) { e.MaxAge = 60 }},
		{name: "auth_time long ago", raw: id(map[string]any{"auth_time": now - 1000}), want: reason.AuthTimeTooOld, e: func(e *Expectation) { e.MaxAge = 60 }},
		{name: "no auth_time", raw: id(nil), want: reason.AuthTimeTooOld, e: func(e *Expectation) { e.MaxAge = 60 }},
		{name: "auth_time a text", raw: id(map[string]any{"auth_time": "1800000000"}), want: reason.AuthTimeTooOld, e: func(e *Expectation) { e.MaxAge = 60 }},
		// §3.1.3.8
		{name: "at_hash", raw: id(map[string]any{"at_hash": halfHash("another")}), want: reason.AccessTokenHashMismatch},
		{name: "no at_hash", raw: id(map[string]any{"at_hash": nil})},
		{name: "at_hash empty", raw: id(map[string]any{"at_hash": ""}), want: reason.AccessTokenHashMismatch},
		{name: "at_hash a number", raw: id(map[string]any{"at_hash": 1}), want: reason.AccessTokenHashMismatch},
		{name: "at_hash padded", raw: id(map[string]any{"at_hash": halfHash("at") + "=="}), want: reason.AccessTokenHashMismatch},
		// sub
		{name: "no sub", raw: id(map[string]any{"sub": nil}), want: reason.ClaimMissing},
		{name: "sub empty", raw: id(map[string]any{"sub": ""}), want: reason.ClaimMissing},
		{name: "sub a number", raw: id(map[string]any{"sub": 7}), want: reason.ClaimMissing},
		{name: "sub of a refresh", raw: id(nil), want: reason.SubjectMismatch, e: func(e *Expectation) { e.Subject = "bob" }},
		// hd
		{name: "hd", raw: id(map[string]any{"hd": "corp.example"}), change: func(c *declarative.OIDCConfig) { c.Login.Domains = []string{"corp.example"} }},
		{name: "hd another", raw: id(map[string]any{"hd": "evil.example"}), want: reason.DomainMismatch, change: func(c *declarative.OIDCConfig) { c.Login.Domains = []string{"corp.example"} }},
		{name: "hd in capitals", raw: id(map[string]any{"hd": "CORP.example"}), want: reason.DomainMismatch, change: func(c *declarative.OIDCConfig) { c.Login.Domains = []string{"corp.example"} }},
		{name: "no hd", raw: id(nil), want: reason.DomainMismatch, change: func(c *declarative.OIDCConfig) { c.Login.Domains = []string{"corp.example"} }},
		// Form.
		{name: "empty", raw: "", want: reason.TokenMalformed},
		{name: "encrypted", raw: "a.b.c.d.e", want: reason.TokenEncrypted},
		{name: "spaces", raw: id(nil) + " ", want: reason.SignatureEncoding},
	} {
		t.Run(tt.name, func(t *testing.T) {
			change := tt.change
			if change == nil {
				change = nothing
			}
			e := Expectation{Clients: []string{"app"}, Nonce: "n", Access: "at", MaxAge: -1, Now: now}
			if tt.e != nil {
				tt.e(&e)
			}
			tok, got := rules(change).IDToken(tt.raw, issuerSet(t, published), e)
			if got != tt.want || (tok == nil) != (got != reason.Unspecified) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if tt.change == nil && tt.e == nil && got == reason.Unspecified && !goAccepts(goOIDC(), tt.raw, "n", "at") {
				t.Error("go-oidc refuses what we accept")
			}
		})
	}
}

// FuzzIDToken holds the judgement against go-oidc: what we accept it accepts, too.
func FuzzIDToken(f *testing.F) {
	seed := func(claims map[string]any) {
		text, err := json.Marshal(claims)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(`{"alg":"RS256","kid":"k1"}`, string(text), true)
		f.Add(`{"alg":"RS256","kid":"k1","typ":"JWT"}`, string(text), false)
	}
	for _, change := range []map[string]any{nil, {"aud": []string{"app", "b"}, "azp": "app"}, {"nonce": []string{"n"}}, {"exp": 1}, {"at_hash": "x"}, {"iss": "x"}, {"nbf": now + 9}, {"sub": nil}} {
		seed(idClaims(change))
	}
	f.Add(`{"alg":"RS256"}`, `{"iss":"https://idp.example","ISS":"x","aud":"app","Aud":"b","sub":"a","iat":1,"exp":1900000000,"nonce":"n","Nonce":"m"}`, true)
	f.Add(`{"alg":"RS256","Alg":"none"}`, `{"iss":"https://idp.example","aud":"app","sub":"a","iat":1,"exp":1.9e9,"nonce":"n"}`, true)
	in, set, oracle := rules(nil), issuerSet(f, published), goOIDC()
	f.Fuzz(func(t *testing.T, header, claims string, signed bool) {
		b64 := base64.RawURLEncoding.EncodeToString
		input := b64([]byte(header)) + "." + b64([]byte(claims))
		raw := input + "." + b64([]byte("no signature"))
		if signed {
			raw = input + "." + b64(jwts.SignBytes("RS256", jwts.Private("rsa2048"), input))
		}
		tok, code := in.IDToken(raw, set, Expectation{Clients: []string{"app"}, Nonce: "n", Access: "at", MaxAge: -1, Now: now})
		if code != reason.Unspecified {
			return
		}
		if !signed {
			t.Fatal("a token without a signature is accepted")
		}
		if folded(tok.Header.Doc.Root()) || folded(tok.Claims.Root()) {
			return // to encoding/json, and so to go-oidc, ISS is iss
		}
		if !goAccepts(oracle, raw, "n", "at") {
			_, err := oracle.Verify(context.Background(), raw)
			t.Fatalf("go-oidc refuses what we accept: %v: %s", err, claims)
		}
		if sub, _ := tok.Claims.Root().Get("sub").Text(); sub == "" {
			t.Fatalf("nobody is accepted: %s", claims)
		}
	})
}

// folded reports whether an object has members that only letter case tells from those
// that go-oidc reads.
func folded(root jsonx.Value) bool {
	for c := root.Cursor(); c.Next(); {
		for _, name := range []string{"alg", "kid", "typ", "jwk", "x5c", "iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "_claim_names", "_claim_sources"} {
			if c.Name() != name && strings.EqualFold(c.Name(), name) {
				return true
			}
		}
	}
	return false
}
