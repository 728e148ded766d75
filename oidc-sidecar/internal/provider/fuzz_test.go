package provider

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// FuzzDiscovery gives an issuer's two documents any content. Whatever they are,
// the keys that come out are public ones of the issuer that was asked, or there
// is an error; and reading them again gives the same.
func FuzzDiscovery(f *testing.F) {
	set := keySet(tokens.JWK("rsa2048", "k1", nil), tokens.JWK("ec256", "k2", map[string]any{"alg": "ES256"}), tokens.JWK("ed25519", "k3", nil))
	for _, d := range []string{goodDiscovery, `{"issuer":"ISSUER/","jwks_uri":"ISSUER/jwks","JWKS_URI":"http://evil/"}`,
		`{"issuer":"https://evil.example","jwks_uri":"ISSUER/jwks"}`, `{}`, `[]`, `{"issuer":1}`, `{"issuer":"ISSUER","jwks_uri":"//ISSUER"}`} {
		f.Add(d, set)
	}
	for _, k := range []string{`{"keys":[]}`, `{"keys":null}`, `{"keys":[{"kty":"oct","k":"AA"}]}`, `{"kty":"RSA","n":"AQAB","e":"AQAB"}`,
		keySet(tokens.JWK("rsa1024", "k", nil)), keySet(tokens.JWK("ec256", "k", map[string]any{"x": "AA"})),
		keySet(tokens.JWK("rsa2048", "k", map[string]any{"D": "AA", "use": "enc"})), `{"keys":[{"kty":"OKP","crv":"Ed448","x":"AA"}]}`} {
		f.Add(goodDiscovery, k)
	}
	const issuer = "http://issuer.example"
	f.Fuzz(func(t *testing.T, discovery, jwks string) {
		transport := roundTrip(func(r *http.Request) *http.Response {
			w := httptest.NewRecorder()
			switch {
			case r.URL.Path == discoveryPath && r.URL.Host == "issuer.example":
				_, _ = w.WriteString(strings.ReplaceAll(discovery, "ISSUER", issuer))
			default:
				_, _ = w.WriteString(jwks)
			}
			return w.Result()
		})
		c := Config{ID: "t", Issuer: issuer, Timeout: time.Minute}
		p := newProvider(t, c, time.Now)
		p.client = &http.Client{Transport: transport}
		set, _, err := p.fetch(t.Context())
		if err != nil {
			if set != nil {
				t.Fatalf("keys and an error: %v", err)
			}
			return
		}
		if len(set.Keys) == 0 || len(set.Issuers) != 1 || strings.TrimSuffix(set.Issuers[0], "/") != issuer {
			t.Fatalf("%d keys of %q", len(set.Keys), set.Issuers)
		}
		for _, k := range set.Keys {
			if (k.Public == nil) == (k.Unusable == "") || k.Public != nil && (len(k.Alg) == 0 || len(k.SPKI()) == 0) {
				t.Fatalf("a key %q with algorithms %v, unusable %q, public %T", k.ID, k.Alg, k.Unusable, k.Public)
			}
		}
		again, _, err := p.fetch(t.Context())
		if err != nil || again.Hash != set.Hash {
			t.Fatalf("read again: %v", err)
		}
		if trust := set.Trust("t"); len(trust.Keys) != len(set.Keys) || trust.Unavailable != "" {
			t.Fatalf("trust record %+v", trust)
		}
	})
}

type roundTrip func(*http.Request) *http.Response

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
