package policy_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

const (
	fuzzNow    = 1_800_000_000
	fuzzIssuer = "https://issuer.example"
)

// signers are the keys of the fuzzed bundle, by kid; each is for one algorithm.
var signers = []struct {
	kid string
	alg jose.Alg
	key string
}{{"rsa", jose.RS256, "rsa2048"}, {"ec", jose.ES256, "ec256"}, {"ec384", jose.ES384, "ec384"}}

func fuzzKeys(t testing.TB) []bundle.Key {
	t.Helper()
	var out []bundle.Key
	for _, s := range signers {
		der, err := x509.MarshalPKIXPublicKey(tokens.Private(s.key).Public())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, bundle.Key{ID: s.kid, Alg: []jose.Alg{s.alg}, DER: string(der)})
	}
	return out
}

// fuzzEngine has one route for each plugin.
func fuzzEngine(t testing.TB) *policy.Engine {
	t.Helper()
	common := bundle.Common{HeaderNames: []string{"authorization"}, Audiences: []string{"api"}}
	trust := &bundle.Trust{ID: "t", Hash: "h", Issuers: []string{fuzzIssuer}, Keys: fuzzKeys(t)}
	oidc := &bundle.Plugin{ID: "o", OIDC: &bundle.OIDC{Common: common, TrustID: "t", Trust: trust, Methods: []bundle.Method{bundle.Bearer}}}
	plain := &bundle.Plugin{ID: "j", JWT: &bundle.JWT{Common: common, KeyClaim: "iss", VerifyExp: true, VerifyNbf: true}}
	e := policy.New(&native{}, policy.Config{})
	err := e.SetBundle(&bundle.Bundle{Epoch: "e", Generation: 1, Trust: []*bundle.Trust{trust}, Plugins: []*bundle.Plugin{oidc, plain},
		Routes: map[string]*bundle.Route{
			"oidc": {Name: "oidc", Chain: []*bundle.Plugin{oidc}},
			"jwt":  {Name: "jwt", Chain: []*bundle.Plugin{plain}},
		}}, "etag", fuzzNow)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// decide judges a request; whoever has the issuer's name as a key is a consumer
// with the same keys.
func decide(t testing.TB, e *policy.Engine, route, authorization string) *policy.Step {
	t.Helper()
	step := e.Start(&policy.Request{Now: fuzzNow, RouteState: policy.RouteChosen, Route: route, Headers: abi.Pairs(abi.AppendPairs(nil, []abi.Pair{
		{Key: ":authority", Value: "h"}, {Key: ":path", Value: "/"}, {Key: ":method", Value: "GET"}, {Key: "authorization", Value: authorization},
	}))})
	for i := 0; step.Kind == policy.Ask; i++ {
		if i > 3 {
			t.Fatal("the machine does not end")
		}
		answer := wire.Answer{Code: reason.CredentialUnknown}
		if step.Question.Kind == wire.Keys {
			answer.Code = reason.KeyUnknown
		} else if step.Question.Key == fuzzIssuer {
			answer = wire.Answer{Credential: &bundle.Credential{ID: "c", Key: fuzzIssuer, Version: "1", Keys: fuzzKeys(t),
				Alg: []jose.Alg{jose.RS256, jose.ES256, jose.ES384}, Consumer: &bundle.Consumer{ID: "id", Username: "alice"}}}
		}
		step = e.Resume(step.Pending, step.Question, answer, reason.Unspecified, fuzzNow)
	}
	return step
}

// FuzzDecide: what we let through, golang-jwt and go-jose accept too, with the key
// and the algorithm that the token's kid stands for, and so do the claims as
// encoding/json reads them.
func FuzzDecide(f *testing.F) {
	good := `{"iss":"https://issuer.example","aud":"api","exp":1800000600,"nbf":1800000000,"sub":"s"}`
	for i := range signers {
		f.Add(`{"alg":"`+signers[i].alg.String()+`","kid":"`+signers[i].kid+`"}`, good, uint8(i), false)
		f.Add(`{"alg":"`+signers[i].alg.String()+`"}`, good, uint8(i), false)
	}
	f.Add(`{"alg":"RS256","kid":"rsa"}`, good, uint8(0), true)
	f.Add(`{"alg":"RS256","kid":"ec"}`, good, uint8(0), false)
	f.Add(`{"alg":"ES256","kid":""}`, good, uint8(1), false)
	f.Add(`{"alg":"none"}`, good, uint8(0), false)
	for _, claims := range []string{
		`{"iss":"https://issuer.example","aud":["x","api"],"exp":1800000001,"nbf":1800000000}`,
		`{"iss":"https://issuer.example","aud":"api","exp":1.8e9}`, `{"iss":"https://issuer.example","aud":"api","exp":"1900000000"}`,
		`{"iss":"https://issuer.example","aud":"api","exp":1800000000}`, `{"iss":"https://issuer.example","aud":"api","exp":1900000000,"nbf":1800000001}`,
		`{"iss":"x","iss":"https://issuer.example","aud":"api","exp":1900000000}`, `{"iss":"https://issuer.example","exp":1900000000,"aud":{"api":1}}`,
		`{"iss":"https://issuer.example","aud":"api","exp":1900000000,"events":{}}`, `{"ISS":"https://issuer.example","aud":"api","exp":1900000000}`,
	} {
		f.Add(`{"alg":"ES256","kid":"ec","typ":"at+jwt"}`, claims, uint8(1), false)
	}
	engine := fuzzEngine(f)
	for _, route := range []string{"oidc", "jwt"} {
		token := tokens.Sign("ec256", map[string]any{"alg": "ES256", "kid": "ec"},
			map[string]any{"iss": fuzzIssuer, "aud": "api", "exp": fuzzNow + 1, "nbf": fuzzNow})
		if step := decide(f, engine, route, "Bearer "+token); step.Reason != reason.Allowed {
			f.Fatalf("%s: a good token is refused: %v", route, step.Reason)
		}
	}
	f.Fuzz(func(t *testing.T, header, claims string, signer uint8, tamper bool) {
		s := signers[int(signer)%len(signers)]
		b64 := base64.RawURLEncoding.EncodeToString
		input := b64([]byte(header)) + "." + b64([]byte(claims))
		token := input + "." + b64(tokens.SignBytes(s.alg.String(), tokens.Private(s.key), input))
		if tamper {
			token = tokens.Tamper(token)
		}
		for _, route := range []string{"oidc", "jwt"} {
			var step *policy.Step
			for range 2 { // the second time from the cache
				step = decide(t, engine, route, "Bearer "+token)
				if step.Kind == policy.Allow && step.Reason == reason.Allowed {
					accepted(t, route, token, claims)
					if tamper {
						t.Fatalf("%s: a tampered token passed: %s", route, token)
					}
				} else if step.Kind != policy.Deny || step.Response.Status < 400 {
					t.Fatalf("%s: %+v", route, step)
				}
			}
		}
	})
}

// accepted fails the test unless the oracles accept a token.
func accepted(t *testing.T, route, token, claims string) {
	t.Helper()
	var key crypto.PublicKey
	parsed, err := jwt.Parse(token, func(tok *jwt.Token) (any, error) {
		kid, has := tok.Header["kid"]
		has = has && kid != "" // an empty kid names no key
		for _, s := range signers {
			if (!has || kid == s.kid) && tok.Method.Alg() == s.alg.String() {
				key = tokens.Private(s.key).Public()
				return key, nil
			}
		}
		return nil, jwt.ErrTokenUnverifiable
	}, jwt.WithValidMethods([]string{"RS256", "ES256", "ES384"}), jwt.WithIssuer(fuzzIssuer), jwt.WithAudience("api"),
		jwt.WithExpirationRequired(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return time.Unix(fuzzNow, 0) }))
	if err != nil || !parsed.Valid {
		t.Fatalf("%s: golang-jwt refuses what passed: %v\n%s\n%s", route, err, token, claims)
	}
	object, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.RS256, gojose.ES256, gojose.ES384})
	if err != nil {
		t.Fatalf("%s: go-jose refuses what passed: %v\n%s", route, err, token)
	}
	if _, err := object.Verify(key); err != nil {
		t.Fatalf("%s: go-jose does not verify what passed: %v\n%s", route, err, token)
	}
	var read struct {
		Iss string          `json:"iss"`
		Aud json.RawMessage `json:"aud"`
		Exp *int64          `json:"exp"`
		Nbf *int64          `json:"nbf"`
	}
	if err := json.Unmarshal([]byte(claims), &read); err != nil {
		t.Fatalf("%s: encoding/json refuses what passed: %v\n%s", route, err, claims)
	}
	var list []string
	var one string
	if json.Unmarshal(read.Aud, &one) == nil {
		list = []string{one}
	} else if json.Unmarshal(read.Aud, &list) != nil {
		t.Fatalf("%s: aud cannot be read: %s", route, claims)
	}
	if read.Iss != fuzzIssuer || read.Exp == nil || *read.Exp <= fuzzNow || read.Nbf != nil && *read.Nbf > fuzzNow || !slices.Contains(list, "api") {
		t.Fatalf("%s: passed with %s", route, claims)
	}
}
