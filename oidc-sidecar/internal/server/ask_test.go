package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// full is a file with a credential of each kind.
func full(issuer string) string {
	pem := func(name string) string {
		return "|\n      " + strings.ReplaceAll(strings.TrimSpace(tokens.PublicPEM(name)), "\n", "\n      ")
	}
	b64 := base64.StdEncoding.EncodeToString([]byte("a secret in base64"))
	return fmt.Sprintf(`
services:
- name: s
  url: http://127.0.0.1:1
  routes:
  - {name: jwt, paths: [/jwt], plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]}
  - {name: base64, paths: [/base64], plugins: [{name: jwt, config: {claims_to_verify: [exp], secret_is_base64: true}}]}
  - {name: oidc, paths: [/oidc], plugins: [{name: openid-connect, config: {issuer: %q, auth_methods: [bearer]}}]}
  - {name: down, paths: [/down], plugins: [{name: openid-connect, config: {issuer: "http://127.0.0.1:1", auth_methods: [bearer]}}]}
consumers:
- username: alice
  jwt_secrets:
  - {key: hs256, secret: a secret}
  - {key: hs512, secret: a secret, algorithm: HS512}
  - {key: base64, secret: %q}
  - {key: remote, jwks_uri: "%s/jwks", algorithms: [ES256, EdDSA]}
  - {key: gone, jwks_uri: "http://127.0.0.1:1/jwks"}
  - key: ps256
    algorithm: PS256
    rsa_public_key: %s
  - key: eddsa
    algorithm: EdDSA
    rsa_public_key: %s
  - key: rs256
    algorithm: RS256
    rsa_public_key: %s
`, issuer, b64, issuer, pem("rsa2048"), pem("ed25519"), pem("rsa2048b"))
}

// asking is a bench whose issuer has answered.
func asking(t testing.TB) (*bench, *idp.Server) {
	t.Helper()
	s := idp.New()
	t.Cleanup(s.Close)
	s.Add("r1", "RS256", "rsa2048")
	s.Add("e1", "ES256", "ec256")
	s.Add("d1", "EdDSA", "ed25519")
	b := start(t)
	b.use(full(s.Issuer()))
	testenv.Eventually(t, 10*time.Second, "the issuer's keys", func() bool {
		_, _, p := b.instance("oidc")
		return len(p.OIDC.Trust.Keys) == 3 && b.publisher.Provider(b.publisher.Current().Credential("remote").Trust).Current().Has("d1")
	})
	return b, s
}

// ask asks in the name of a route's plugin.
func (b *bench) ask(route string, q wire.Question) wire.Answer {
	b.t.Helper()
	id, generation, p := b.instance(route)
	if q.Instance == "" {
		q.Instance = id
	}
	if q.Generation == 0 {
		q.Generation = generation
	}
	if q.Trust == "own" {
		q.Trust = p.OIDC.TrustID
	}
	w := b.send("POST", wire.PathAsk, string(q.Encode()))
	a, ok := wire.DecodeAnswer(w.Body.String())
	if !ok || w.Code != 200 {
		b.t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	if feed, seq := b.publisher.Place(); a.Feed != feed || a.Seq > seq || a.Seq == 0 {
		b.t.Errorf("place %s %d, want at most %s %d", a.Feed, a.Seq, feed, seq)
	}
	return a
}

// signed returns the parts of a token that go into a question.
func signed(alg, key string) (a jose.Alg, input, signature string) {
	input = tokens.Input(map[string]any{"alg": alg}, map[string]any{"sub": "x"})
	return jose.ParseAlg(alg), input, string(tokens.SignBytes(alg, tokens.Key(alg, key), input))
}

func TestSignaturesThatAreJudged(t *testing.T) {
	b, _ := asking(t)
	for _, test := range []struct {
		name, route, credential string // no credential: the issuer
		kid, alg, key           string
		verdict                 wire.Verdict
		code                    reason.Code
	}{
		{"HS256", "jwt", "hs256", "", "HS256", "a secret", wire.Valid, 0},
		{"HS256 with a kid", "jwt", "hs256", "x", "HS256", "a secret", wire.Valid, 0},
		{"HS512", "jwt", "hs512", "", "HS512", "a secret", wire.Valid, 0},
		{"another secret", "jwt", "hs256", "", "HS256", "another", wire.Invalid, 0},
		{"a secret with more behind it", "jwt", "hs256", "", "HS256", "a secret\x00", wire.Valid, 0}, // HMAC pads with zeros (RFC 2104 §2)
		{"another algorithm of one family", "jwt", "hs256", "", "HS512", "a secret", 0, reason.AlgorithmMismatch},
		{"base64", "base64", "base64", "", "HS256", "a secret in base64", wire.Valid, 0},
		{"base64 read as text", "jwt", "base64", "", "HS256", "a secret in base64", wire.Invalid, 0},
		{"text read as base64", "base64", "hs256", "", "HS256", "a secret", 0, reason.CredentialUnusable},
		{"PS256", "jwt", "ps256", "", "PS256", "rsa2048", wire.Valid, 0},
		{"PS256 by another key", "jwt", "ps256", "", "PS256", "rsa2048b", wire.Invalid, 0},
		{"RS256 for a PS256 credential", "jwt", "ps256", "", "RS256", "rsa2048", 0, reason.AlgorithmMismatch},
		{"the public key as an HMAC secret", "jwt", "rs256", "", "HS256", tokens.PublicPEM("rsa2048b"), 0, reason.AlgorithmMismatch},
		{"RS256, on a host that cannot verify", "jwt", "rs256", "", "RS256", "rsa2048b", wire.Valid, 0},
		{"EdDSA", "jwt", "eddsa", "", "EdDSA", "ed25519", wire.Valid, 0},
		{"no such credential", "jwt", "none", "", "HS256", "a secret", 0, reason.CredentialUnknown},
		{"a credential of a key set", "jwt", "remote", "e1", "ES256", "ec256", wire.Valid, 0},
		{"its other algorithm", "jwt", "remote", "d1", "EdDSA", "ed25519", wire.Valid, 0},
		{"a key of the set that its algorithms leave out", "jwt", "remote", "r1", "RS256", "rsa2048", 0, reason.AlgorithmMismatch},
		{"a kid that the set does not have", "jwt", "remote", "e9", "ES256", "ec256", 0, reason.KeyUnknown},
		{"a key set that cannot be had", "jwt", "gone", "e1", "ES256", "ec256", 0, reason.IssuerUnavailable},
		{"the issuer", "oidc", "", "d1", "EdDSA", "ed25519", wire.Valid, 0},
		{"the issuer without a kid", "oidc", "", "", "ES256", "ec256", wire.Valid, 0},
		{"the issuer's key of another algorithm", "oidc", "", "d1", "ES256", "ec256", 0, reason.KeyUnknown},
		{"PS256 with the issuer's key for RS256", "oidc", "", "r1", "PS256", "rsa2048", 0, reason.KeyUnknown},
		{"HMAC for an issuer", "oidc", "", "r1", "HS256", "a secret", 0, reason.CredentialUnusable},
		{"an issuer that is down", "down", "", "d1", "EdDSA", "ed25519", 0, reason.IssuerUnavailable},
		{"a credential for openid-connect", "oidc", "hs256", "", "HS256", "a secret", 0, reason.SidecarRefused},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := wire.Question{Kind: wire.Verify, Credential: test.credential, KeyID: test.kid}
			if test.credential == "" {
				q.Trust = "own"
			}
			q.Alg, q.Input, q.Signature = signed(test.alg, test.key)
			if a := b.ask(test.route, q); a.Verdict != test.verdict || a.Code != test.code {
				t.Errorf("verdict %d, code %q, want %d, %q", a.Verdict, a.Code, test.verdict, test.code)
			}
			if test.verdict != wire.Valid {
				return
			}
			for name, spoil := range map[string]func(q *wire.Question){
				"another payload":   func(q *wire.Question) { q.Input += "x" },
				"no payload":        func(q *wire.Question) { q.Input = "" },
				"no signature":      func(q *wire.Question) { q.Signature = "" },
				"half a signature":  func(q *wire.Question) { q.Signature = q.Signature[:len(q.Signature)/2] },
				"a byte more":       func(q *wire.Question) { q.Signature += "\x00" },
				"a signature of 0s": func(q *wire.Question) { q.Signature = strings.Repeat("\x00", len(q.Signature)) },
			} {
				bad := q
				spoil(&bad)
				if a := b.ask(test.route, bad); a.Verdict != wire.Invalid {
					t.Errorf("%s: verdict %d, code %q, want invalid", name, a.Verdict, a.Code)
				}
			}
		})
	}
}

func TestCredentialsThatAreLookedUp(t *testing.T) {
	b, _ := asking(t)
	for _, test := range []struct {
		route, key string
		alg        string // "" for no token beside it
		secret     string
		code       reason.Code
		algs       []string
		keys       int
		remote     bool
		verdict    wire.Verdict
	}{
		{route: "jwt", key: "hs256", algs: []string{"HS256"}},
		{route: "jwt", key: "hs256", alg: "HS256", secret: "a secret", algs: []string{"HS256"}, verdict: wire.Valid},
		{route: "jwt", key: "hs256", alg: "HS256", secret: "another", algs: []string{"HS256"}, verdict: wire.Invalid},
		{route: "jwt", key: "hs256", alg: "HS384", secret: "a secret", algs: []string{"HS256"}}, // the filter says what is wrong
		{route: "jwt", key: "ps256", alg: "PS256", secret: "rsa2048", algs: []string{"PS256"}, keys: 1, verdict: wire.Valid},
		{route: "jwt", key: "eddsa", alg: "EdDSA", secret: "ed25519", algs: []string{"EdDSA"}, keys: 1, verdict: wire.Valid},
		{route: "jwt", key: "rs256", algs: []string{"RS256"}, keys: 1},
		{route: "jwt", key: "remote", algs: []string{"ES256", "EdDSA"}, keys: 3, remote: true},
		{route: "base64", key: "hs256", alg: "HS256", secret: "a secret", algs: []string{"HS256"}}, // no key: not judged
		{route: "jwt", key: "gone", code: reason.IssuerUnavailable},
		{route: "jwt", key: "none", code: reason.CredentialUnknown},
		{route: "jwt", key: "HS256", code: reason.CredentialUnknown}, // keys are compared as they are
		{route: "jwt", key: "", code: reason.SidecarRefused},
		{route: "jwt", key: "../../etc/passwd", code: reason.CredentialUnknown},
		{route: "jwt", key: "' OR '1'='1", code: reason.CredentialUnknown},
		{route: "oidc", key: "hs256", code: reason.SidecarRefused},
	} {
		t.Run(test.route+"/"+test.key+"/"+test.alg, func(t *testing.T) {
			q := wire.Question{Kind: wire.Lookup, Key: test.key}
			if test.alg != "" {
				q.Alg, q.Input, q.Signature = signed(test.alg, test.secret)
			}
			a := b.ask(test.route, q)
			if a.Code != test.code || a.Verdict != test.verdict || (a.Credential != nil) != (test.code == 0) {
				t.Fatalf("code %q, verdict %d, credential %+v", a.Code, a.Verdict, a.Credential)
			}
			if a.Credential == nil {
				return
			}
			c := a.Credential
			var algs []string
			for _, alg := range c.Alg {
				algs = append(algs, alg.String())
			}
			slices.Sort(algs)
			if c.Key != test.key || c.Consumer.Username != "alice" || !slices.Equal(algs, test.algs) || len(c.Keys) != test.keys || c.Remote != test.remote || c.Version == "" {
				t.Errorf("%+v", c)
			}
			if strings.Contains(string(a.Encode()), "a secret") {
				t.Errorf("the secret goes to the filter: %s", a.Encode())
			}
		})
	}
}

func TestUnknownKids(t *testing.T) {
	b, s := asking(t)
	for i, step := range []struct {
		name, route string
		q           wire.Question
		add         string
		code        reason.Code
	}{
		{"a known one", "oidc", wire.Question{Trust: "own", KeyID: "e1"}, "", 0},
		{"an unknown one", "oidc", wire.Question{Trust: "own", KeyID: "e9"}, "", reason.KeyUnknown},
		{"the same again", "oidc", wire.Question{Trust: "own", KeyID: "e9"}, "", reason.KeyUnknown},
		{"a new one", "oidc", wire.Question{Trust: "own", KeyID: "n1"}, "n1", 0},
		{"the last of the bucket", "oidc", wire.Question{Trust: "own", KeyID: "e10"}, "", reason.KeyUnknown},
		{"one too many", "oidc", wire.Question{Trust: "own", KeyID: "e11"}, "", reason.KeysThrottled},
		{"of a credential", "jwt", wire.Question{Credential: "remote", KeyID: "n2"}, "n2", 0},
		{"of a credential without a key set", "jwt", wire.Question{Credential: "rs256", KeyID: "x"}, "", reason.KeyUnknown},
		{"of no credential", "jwt", wire.Question{Credential: "none", KeyID: "x"}, "", reason.CredentialUnknown},
		{"of a credential that cannot be had", "jwt", wire.Question{Credential: "gone", KeyID: "x"}, "", reason.IssuerUnavailable},
		{"of an issuer that is down", "down", wire.Question{Trust: "own", KeyID: "x"}, "", reason.IssuerUnavailable},
		{"of no trust record", "oidc", wire.Question{Trust: "t0", KeyID: "e1"}, "", reason.SidecarRefused},
		{"of nothing", "oidc", wire.Question{KeyID: "e1"}, "", reason.SidecarRefused},
	} {
		if step.add != "" {
			s.Add(step.add, "EdDSA", "ed25519")
		}
		step.q.Kind = wire.Keys
		a := b.ask(step.route, step.q)
		if a.Code != step.code {
			t.Errorf("%d, %s: code %q, want %q", i, step.name, a.Code, step.code)
		}
		if (a.Trust != nil) != (step.code == 0 && step.q.Trust != "") || (a.Credential != nil) != (step.code == 0 && step.q.Credential != "") {
			t.Errorf("%d, %s: trust %v, credential %v", i, step.name, a.Trust, a.Credential)
		}
	}
}

// A plugin may ask about its own issuer only, and only in the name of a bundle
// that has it.
func TestQuestionsInTheNameOfOthers(t *testing.T) {
	b, _ := asking(t)
	down, _, p := b.instance("down")
	_, generation, _ := b.instance("jwt")
	for name, q := range map[string]wire.Question{
		"another plugin's issuer":      {Kind: wire.Keys, Trust: p.OIDC.TrustID, KeyID: "e1"},
		"another plugin's issuer, v":   {Kind: wire.Verify, Trust: p.OIDC.TrustID, KeyID: "e1"},
		"an unknown instance":          {Kind: wire.Keys, Trust: "own", KeyID: "e1", Instance: "openid-connect-0"},
		"an unknown generation":        {Kind: wire.Keys, Trust: "own", KeyID: "e1", Generation: generation + 1000},
		"an instance and its stranger": {Kind: wire.Keys, Trust: "own", KeyID: "e1", Instance: down},
	} {
		if a := b.ask("oidc", q); a.Code != reason.SidecarRefused || a.Trust != nil || a.Verdict != 0 {
			t.Errorf("%s: code %q, trust %v, verdict %d", name, a.Code, a.Trust, a.Verdict)
		}
	}
}

// FuzzAsk gives the handler any body. It answers, with an answer that a filter
// can read, and says that a signature holds only where an independent check does.
func FuzzAsk(f *testing.F) {
	b, _ := asking(f)
	jwt, generation, _ := b.instance("jwt")
	oidc, _, p := b.instance("oidc")
	add := func(q wire.Question, alg, key string) {
		q.Generation = generation
		if alg != "" {
			q.Alg, q.Input, q.Signature = signed(alg, key)
		}
		f.Add(string(q.Encode()))
	}
	add(wire.Question{Kind: wire.Lookup, Instance: jwt, Key: "hs256"}, "HS256", "a secret")
	add(wire.Question{Kind: wire.Lookup, Instance: jwt, Key: "remote"}, "", "")
	add(wire.Question{Kind: wire.Verify, Instance: jwt, Credential: "ps256"}, "PS256", "rsa2048")
	add(wire.Question{Kind: wire.Verify, Instance: jwt, Credential: "hs512"}, "HS512", "a secret")
	add(wire.Question{Kind: wire.Verify, Instance: oidc, Trust: p.OIDC.TrustID, KeyID: "d1"}, "EdDSA", "ed25519")
	add(wire.Question{Kind: wire.Keys, Instance: oidc, Trust: p.OIDC.TrustID, KeyID: "e1"}, "", "")
	for _, body := range []string{"", "{}", `{"kind":"lookup"}`, `{"kind":"keys","generation":1e3}`, `[]`, "\xff", strings.Repeat("[", 1000)} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		w := b.send("POST", wire.PathAsk, body)
		a, ok := wire.DecodeAnswer(w.Body.String())
		if w.Code != 200 || !ok {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		q, readable := wire.DecodeQuestion(body)
		if !readable && a.Code != reason.SidecarRefused {
			t.Fatalf("code %q for a question that is none", a.Code)
		}
		if strings.Contains(w.Body.String(), "a secret") && !strings.Contains(body, "a secret") {
			t.Fatalf("a secret in the answer: %s", w.Body)
		}
		if a.Verdict == wire.Valid && !holds(&q) {
			t.Fatalf("%s is valid for %s", q.Alg, body)
		}
		if readable {
			again, ok := wire.DecodeQuestion(string(q.Encode()))
			if !ok || !reflect.DeepEqual(again, q) {
				t.Fatalf("%+v is read again as %+v", q, again)
			}
		}
	})
}

// holds checks a signature with the standard library alone, under any key that
// the file and the issuer of the fuzz target have.
func holds(q *wire.Question) bool {
	sizes := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}
	name, sig := q.Alg.String(), []byte(q.Signature)
	if name == "EdDSA" {
		return ed25519.Verify(tokens.Private("ed25519").Public().(ed25519.PublicKey), []byte(q.Input), sig)
	}
	hash := sizes[name[2:]]
	h := hash.New()
	h.Write([]byte(q.Input))
	digest := h.Sum(nil)
	for _, key := range []string{"rsa2048", "rsa2048b"} {
		pub := tokens.Private(key).Public().(*rsa.PublicKey)
		if name[:2] == "RS" && rsa.VerifyPKCS1v15(pub, hash, digest, sig) == nil ||
			name[:2] == "PS" && rsa.VerifyPSS(pub, hash, digest, sig, nil) == nil {
			return true
		}
	}
	if name == "ES256" && len(sig) == 64 {
		r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
		return ecdsa.Verify(tokens.Private("ec256").Public().(*ecdsa.PublicKey), digest, r, s)
	}
	for _, secret := range []string{"a secret", base64.StdEncoding.EncodeToString([]byte("a secret in base64"))} {
		mac := hmac.New(hash.New, []byte(secret))
		mac.Write([]byte(q.Input))
		if name[:2] == "HS" && hmac.Equal(mac.Sum(nil), sig) {
			return true
		}
	}
	return false
}
