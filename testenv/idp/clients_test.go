package idp

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

var clientCredentials = url.Values{"grant_type": {"client_credentials"}}

func TestAClientAuthenticatesInItsWayOnly(t *testing.T) {
	t.Parallel()
	keys := keyServer(t, tokens.JWK("ec256", "c", map[string]any{"alg": "ES256"}))
	ways := []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"}
	s := Start(t)
	for _, way := range ways {
		s.AddClient(Client{ID: way, Secret: "x", AuthMethod: way, JWKSURI: keys, RedirectURIs: []string{callback}})
	}
	s.Set(func(o *Options) { o.AutoLogin = alice })
	for _, registered := range ways {
		for _, used := range ways {
			t.Run(registered+" by "+used, func(t *testing.T) {
				p := newRP(t, s, registered, "x")
				p.method = used
				p.assertion = func() string { return assertion(p, nil) }
				form := codeForm(p.answer("").Get("code"))
				if registered != used {
					p.refused("token", form, 401, "invalid_client", used+" where "+registered+" is registered")
				} else if status, body := p.post("token", form); status != 200 {
					t.Errorf("%d %v", status, body)
				}
				calls := s.Calls("token")
				last := calls[len(calls)-1]
				equal(t, "recorded", []string{last.ClientID, last.AuthMethod}, []string{registered, used})
			})
		}
	}
	p := newRP(t, s, "none", "")
	p.method = "none"
	p.refused("token", clientCredentials, 400, "unauthorized_client", "a public client has no credentials")
	p.refused("introspect", url.Values{"token": {"x"}}, 401, "invalid_client", "a public client may not ask")
}

func TestWithoutAClientRegisteredAnyWillDo(t *testing.T) {
	t.Parallel()
	s := Start(t)
	for _, way := range []string{"client_secret_basic", "client_secret_post", "private_key_jwt"} {
		p := newRP(t, s, "anybody", "anything")
		p.method = way
		p.assertion = func() string { return assertion(p, nil) }
		if status, body := p.post("token", clientCredentials); status != 200 {
			t.Errorf("%s: %d %v", way, status, body)
		}
	}
}

func TestClientAuthenticationThatIsRefused(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.AddClient(Client{ID: "rp", Secret: "a+b"})
	client := newClient(t)
	basic := func(id, secret string) string {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(id, secret)
		return r.Header.Get("Authorization")
	}
	for _, c := range []struct {
		name, header, query, body, contentType string
		want                                   string
	}{
		{"encoded", basic("rp", "a%2Bb"), "", "", "", "200 "},
		{"client_id in the body too", basic("rp", "a%2Bb"), "", "&client_id=rp", "", "200 "},
		{"not encoded", basic("rp", "a+b"), "", "", "", "401 wrong secret"},
		{"wrong secret", basic("rp", "x"), "", "", "", "401 wrong secret"},
		{"no secret", basic("rp", ""), "", "", "", "401 wrong secret"},
		{"unknown", basic("x", "a%2Bb"), "", "", "", "401 unknown client"},
		{"nobody", "", "", "", "", "401 no client_id"},
		{"no base64", "Basic !", "", "", "", "401 malformed Authorization"},
		{"bearer", "Bearer x", "", "", "", "401 malformed Authorization"},
		{"malformed encoding", basic("rp", "50%"), "", "", "", "401 malformed Authorization"},
		{"another in the body", basic("rp", "a%2Bb"), "", "&client_id=x", "", "400 client_id is not the one of Authorization"},
		{"two ways", basic("rp", "a%2Bb"), "", "&client_secret=a%2Bb", "", "400 more than one client authentication"},
		{"in the query", basic("rp", "a%2Bb"), "?a=b", "", "", "400 parameters in the query"},
		{"secret in the query", "", "?client_id=rp&client_secret=a%2Bb", "", "", "401 no client_id"},
		{"repeated", basic("rp", "a%2Bb"), "", "&scope=a&scope=b", "", "400 repeated parameter scope"},
		{"malformed", basic("rp", "a%2Bb"), "", "&scope=%zz", "", "400 malformed parameters"},
		{"JSON", basic("rp", "a%2Bb"), "", "", "application/json", "400 the body is no form"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "POST", s.Endpoint("token")+c.query, strings.NewReader("grant_type=client_credentials"+c.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if c.contentType != "" {
				req.Header.Set("Content-Type", c.contentType)
			}
			if c.header != "" {
				req.Header.Set("Authorization", c.header)
			}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			var body struct {
				Detail string `json:"error_description"`
			}
			if err := json.Unmarshal([]byte(drain(res)), &body); err != nil {
				t.Fatal(err)
			}
			if got := res.Status[:4] + body.Detail; got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// keyServer publishes keys as a relying party does.
func keyServer(t *testing.T, keys ...map[string]any) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// assertion returns private_key_jwt of a relying party, with claims changed.
func assertion(p *rp, claims map[string]any) string {
	all := map[string]any{"iss": p.id, "sub": p.id, "aud": p.s.Endpoint("token"), "iat": tokens.In(0), "exp": tokens.In(60), "jti": tokens.Random()}
	merge(all, claims)
	return tokens.Sign("ec256", map[string]any{"alg": "ES256", "kid": "c"}, all)
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	s := Start(t)
	good := tokens.JWK("ec256", "c", map[string]any{"alg": "ES256"})
	s.AddClient(Client{ID: "rp", AuthMethod: "private_key_jwt", JWKSURI: keyServer(t, good)})
	p := newRP(t, s, "rp", "")
	p.method = "private_key_jwt"
	claiming := func(pairs ...any) func() string {
		claims := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			claims[pairs[i].(string)] = pairs[i+1]
		}
		return func() string { return assertion(p, claims) }
	}
	signed := func(key, alg, kid string) func() string {
		return func() string {
			j := parsed(t, assertion(p, nil))
			return tokens.Sign(key, map[string]any{"alg": alg, "kid": kid}, j.claims)
		}
	}
	for _, c := range []struct {
		name      string
		assertion func() string
		want      string
	}{
		{"right", claiming(), ""},
		{"for the issuer", claiming("aud", s.Issuer()), ""},
		{"for two", claiming("aud", []string{"x", s.Endpoint("token")}), ""},
		{"without iat", claiming("iat", nil), ""},
		{"once", claiming("jti", "once"), ""},
		{"twice", claiming("jti", "once"), "jti used again"},
		{"no jti", claiming("jti", nil), "no jti"},
		{"another iss", claiming("iss", "x"), "iss or sub is not the client"},
		{"another aud", claiming("aud", "https://idp.example"), "aud is neither the token endpoint nor the issuer"},
		{"no aud", claiming("aud", nil), "aud is neither the token endpoint nor the issuer"},
		{"no exp", claiming("exp", nil), "expired"},
		{"expired", claiming("exp", tokens.In(-1)), "expired"},
		{"for a day", claiming("exp", tokens.In(86400)), "exp is more than an hour ahead"},
		{"from the future", claiming("iat", tokens.In(60)), "not yet valid"},
		{"not before", claiming("nbf", tokens.In(60)), "not yet valid"},
		{"another key", signed("ec256b", "ES256", "c"), "no key of jwks_uri verifies it"},
		{"another kid", signed("ec256", "ES256", "d"), "no key of jwks_uri verifies it"},
		{"HMAC", signed("x", "HS256", "c"), "no key of jwks_uri verifies it"},
		{"two parts", func() string { a := assertion(p, nil); return a[:strings.LastIndexByte(a, '.')] }, "not three parts"},
		{"tampered", func() string { return tokens.Tamper(assertion(p, nil)) }, "no key of jwks_uri verifies it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.t = t
			p.assertion = c.assertion
			form := with(clientCredentials, "client_id", "rp")
			if c.want != "" {
				p.refused("token", form, 401, "invalid_client", "assertion: "+c.want)
			} else if status, body := p.post("token", form); status != 200 {
				t.Errorf("%d %v", status, body)
			}
		})
	}
	p.t = t
	p.assertion = claiming()
	if status, body := p.post("token", with(clientCredentials, "client_id", "other")); status != 401 || body["error_description"] != "unknown client" {
		t.Errorf("%d %v", status, body)
	}
	s.AddClient(Client{ID: "rp", AuthMethod: "private_key_jwt", JWKSURI: keyServer(t, good, map[string]any{"kty": "RSA", "d": "x"})})
	p.refused("token", clientCredentials, 401, "invalid_client", "assertion: jwks_uri: publishes a private key")
	s.AddClient(Client{ID: "rp", AuthMethod: "private_key_jwt", JWKSURI: s.URL + "/none"})
	p.refused("token", clientCredentials, 401, "invalid_client", "assertion: jwks_uri: status 404")
}

func TestSignaturesOfEveryAlgorithm(t *testing.T) {
	t.Parallel()
	all := []struct{ alg, key string }{
		{"RS256", "rsa2048"}, {"RS384", "rsa2048"}, {"RS512", "rsa2048"}, {"PS256", "rsa2048"}, {"PS384", "rsa2048"}, {"PS512", "rsa2048"},
		{"ES256", "ec256"}, {"ES384", "ec384"}, {"ES512", "ec521"}, {"EdDSA", "ed25519"},
	}
	for _, c := range all {
		token := tokens.Sign(c.key, map[string]any{"alg": c.alg}, map[string]any{"sub": "x"})
		for _, key := range []string{"rsa2048", "rsa2048b", "ec256", "ec256b", "ec384", "ec521", "ed25519"} {
			var k jwk
			text, _ := json.Marshal(tokens.JWK(key, "k", nil))
			if err := json.Unmarshal(text, &k); err != nil {
				t.Fatal(err)
			}
			public, err := k.public()
			if err != nil {
				t.Fatal(err)
			}
			if got := parsed(t, token).verify(public); got != (key == c.key) {
				t.Errorf("%s of %s by %s: %v", c.alg, c.key, key, got)
			}
			if parsed(t, tokens.Tamper(token)).verify(public) {
				t.Errorf("%s: tampered, and verified", c.alg)
			}
		}
	}
	for _, alg := range []string{"", "none", "256", "12", "XX256", "HS256"} {
		j := &jws{input: "a.b"}
		j.header.Alg = alg
		if j.verify(tokens.Private("rsa2048").Public()) || j.verify(tokens.Private("ec256").Public()) {
			t.Errorf("alg %q verified", alg)
		}
	}
	if slices.ContainsFunc([]jwk{{}, {Kty: "RSA"}, {Kty: "EC", Crv: "P-256", X: "AA", Y: "AA"}, {Kty: "EC"}, {Kty: "OKP"}, {Kty: "RSA", N: "!"}},
		func(k jwk) bool { _, err := k.public(); return err == nil }) {
		t.Error("a key that is none")
	}
}
