package idp

import (
	"crypto/sha256"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	callback = "https://rp.example/callback?tenant=a"
	verifier = "0123456789-abcdefghijklmnopqrstuvwxyz_ABCDEF~."
	alice    = "alice"
)

// rp is a relying party, played by hand. It has one browser.
type rp struct {
	t          *testing.T
	s          *Server
	browser    *http.Client
	id, secret string
	method     string // client_secret_basic by default
	assertion  func() string
}

// party returns a provider with two users, and a relying party that is registered.
func party(t *testing.T) *rp {
	t.Helper()
	s := Start(t)
	s.AddUser(User{Name: alice, Password: "a secret", Subject: "sub-alice",
		Claims: map[string]any{"groups": []string{"staff"}}, AccessClaims: map[string]any{"role": "admin"},
		UserInfo: map[string]any{"email": "alice@example.com"}})
	s.AddUser(User{Name: "bob", Password: "another"})
	s.AddClient(Client{ID: "rp", Secret: "s+e%c r:et", RedirectURIs: []string{callback}, PostLogoutRedirectURIs: []string{"https://rp.example/bye"}})
	return newRP(t, s, "rp", "s+e%c r:et")
}

func newRP(t *testing.T, s *Server, id, secret string) *rp {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := newClient(t)
	browser.Jar = jar
	return &rp{t: t, s: s, browser: browser, id: id, secret: secret}
}

// newClient returns a client with connections of its own: httptest closes those of
// the default one whenever a server of another test ends.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return encode(sum[:])
}

// with returns values with others in their place; an empty one removes.
func with(v url.Values, pairs ...string) url.Values {
	v = maps.Clone(v)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			delete(v, pairs[i])
			continue
		}
		v[pairs[i]] = []string{pairs[i+1]}
	}
	return v
}

// authorizeURL returns an authorization request, with parameters changed.
func (p *rp) authorizeURL(pairs ...string) string {
	p.t.Helper()
	endpoint, err := url.Parse(p.s.Discovery()["authorization_endpoint"].(string))
	if err != nil {
		p.t.Fatal(err)
	}
	q := url.Values{"response_type": {"code"}, "client_id": {p.id}, "redirect_uri": {callback}, "scope": {"openid offline_access"},
		"state": {"st&te"}, "nonce": {"n-1"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}}
	maps.Copy(q, endpoint.Query())
	endpoint.RawQuery = with(q, pairs...).Encode()
	return endpoint.String()
}

// answer signs in and returns the parameters of the callback.
func (p *rp) answer(user string, pairs ...string) url.Values {
	p.t.Helper()
	to := p.s.SignIn(p.t, p.browser, p.authorizeURL(pairs...), user)
	u, err := url.Parse(to)
	if err != nil || !strings.HasPrefix(to, callback+"&") {
		p.t.Fatalf("redirected to %q", to)
	}
	return u.Query()
}

// post sends a form, with the relying party's authentication.
func (p *rp) post(endpoint string, form url.Values) (int, map[string]any) {
	p.t.Helper()
	res := p.postRaw(endpoint, form)
	text := read(p.t, res)
	body := map[string]any{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			p.t.Fatalf("%s: %v: %q", endpoint, err, text)
		}
	}
	return res.StatusCode, body
}

func (p *rp) postRaw(endpoint string, form url.Values) *http.Response {
	p.t.Helper()
	res, err := p.try(endpoint, form)
	if err != nil {
		p.t.Fatal(err)
	}
	return res
}

func (p *rp) try(endpoint string, form url.Values) (*http.Response, error) {
	form = maps.Clone(form)
	basic := ""
	switch p.method {
	case "", "client_secret_basic":
		basic = url.QueryEscape(p.id) + ":" + url.QueryEscape(p.secret)
	case "client_secret_post":
		form.Set("client_id", p.id)
		form.Set("client_secret", p.secret)
	case "private_key_jwt":
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", p.assertion())
	case "none":
		form.Set("client_id", p.id)
	}
	req, err := http.NewRequestWithContext(p.t.Context(), "POST", p.s.Endpoint(endpoint), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id, secret, ok := strings.Cut(basic, ":"); ok {
		req.SetBasicAuth(id, secret)
	}
	return p.browser.Do(req)
}

func codeForm(code string, pairs ...string) url.Values {
	return with(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}, pairs...)
}

func refreshForm(token any, pairs ...string) url.Values {
	text, _ := token.(string)
	return with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text}}, pairs...)
}

// login goes all the way and returns the token response.
func (p *rp) login(user string, pairs ...string) map[string]any {
	p.t.Helper()
	status, body := p.post("token", codeForm(p.answer(user, pairs...).Get("code")))
	if status != 200 {
		p.t.Fatalf("token: %d %v", status, body)
	}
	return body
}

// ask sends a GET with a bearer token.
func (p *rp) ask(endpoint string, token any) (int, http.Header, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), "GET", p.s.Endpoint(endpoint), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if text, ok := token.(string); ok {
		req.Header.Set("Authorization", "Bearer "+text)
	}
	res, err := p.browser.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	return res.StatusCode, res.Header, read(p.t, res)
}

// published returns the keys that the provider publishes.
func (p *rp) published() []jwk {
	p.t.Helper()
	_, _, text := p.ask("jwks", nil)
	var set struct{ Keys []jwk }
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		p.t.Fatal(err)
	}
	return set.Keys
}

// verified reports whether a published key of the token's kid verifies it.
func verified(t *testing.T, token any, keys []jwk) bool {
	t.Helper()
	j := parsed(t, token)
	return slices.ContainsFunc(keys, func(k jwk) bool {
		key, err := k.public()
		return err == nil && k.Kid == j.header.Kid && k.Alg == j.header.Alg && j.verify(key)
	})
}

func parsed(t *testing.T, token any) *jws {
	t.Helper()
	text, _ := token.(string)
	j, err := parseJWS(text)
	if err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return j
}

// claims returns the claims of a token that a published key verifies.
func (p *rp) claims(token any) map[string]any {
	p.t.Helper()
	if !verified(p.t, token, p.published()) {
		p.t.Fatalf("no published key verifies %v", token)
	}
	return parsed(p.t, token).claims
}

// refused expects an error of an endpoint, and that the record has it.
func (p *rp) refused(endpoint string, form url.Values, status int, code, detail string) {
	p.t.Helper()
	got, body := p.post(endpoint, form)
	if got != status || body["error"] != code || body["error_description"] != detail {
		p.t.Errorf("%d %v, want %d %s: %s", got, body, status, code, detail)
	}
	calls := p.s.Calls(endpoint)
	last := calls[len(calls)-1]
	if last.Status != status || last.Error != code || last.Detail != detail {
		p.t.Errorf("recorded %d %s: %s, want %d %s: %s", last.Status, last.Error, last.Detail, status, code, detail)
	}
}

// equal fails unless two values are the same JSON.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	if string(g) != string(w) {
		t.Errorf("%s: %s, want %s", what, g, w)
	}
}

func drain(res *http.Response) string {
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	return string(body)
}
