package idp

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestRevocation(t *testing.T) {
	t.Parallel()
	p := party(t)
	p.s.AddClient(Client{ID: "other", Secret: "x"})
	token := func(v any) url.Values { return url.Values{"token": {v.(string)}} }
	body := p.login(alice)
	newRP(t, p.s, "other", "x").refused("revoke", token(body["refresh_token"]), 400, "invalid_grant", "token of another client")
	newRP(t, p.s, "other", "x").refused("revoke", token(body["access_token"]), 400, "invalid_grant", "token of another client")
	newRP(t, p.s, "other", "y").refused("revoke", token(body["access_token"]), 401, "invalid_client", "wrong secret")
	p.refused("revoke", url.Values{}, 400, "invalid_request", "no token")

	equalStatus(t, p, "revoke", token("unknown"), 200)
	equalStatus(t, p, "revoke", token(body["access_token"]), 200)
	if status, _, _ := p.ask("userinfo", body["access_token"]); status != 401 {
		t.Errorf("a revoked access token: %d", status)
	}
	_, body = p.post("token", refreshForm(body["refresh_token"]))
	equalStatus(t, p, "revoke", token(body["refresh_token"]), 200)
	p.refused("token", refreshForm(body["refresh_token"]), 400, "invalid_grant", "refresh token revoked")
	if status, _, _ := p.ask("userinfo", body["access_token"]); status != 401 {
		t.Errorf("an access token whose refresh token is revoked: %d", status)
	}
}

func equalStatus(t *testing.T, p *rp, endpoint string, form url.Values, want int) {
	t.Helper()
	if status, body := p.post(endpoint, form); status != want {
		t.Errorf("%s: %d %v, want %d", endpoint, status, body, want)
	}
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	p := party(t)
	body := p.login(alice)
	_, said := p.post("introspect", url.Values{"token": {body["access_token"].(string)}})
	for name, want := range map[string]any{"active": true, "scope": "openid offline_access", "client_id": "rp", "username": "alice", "sub": "sub-alice",
		"token_type": "Bearer", "iss": p.s.Issuer(), "role": "admin"} {
		equal(t, name, said[name], want)
	}
	_, said = p.post("introspect", url.Values{"token": {body["refresh_token"].(string)}})
	equal(t, "refresh token", []any{said["active"], said["sub"]}, []any{true, "sub-alice"})
	_, said = p.post("introspect", url.Values{"token": {"unknown"}})
	equal(t, "unknown", said, map[string]any{"active": false})
	now := time.Now().Add(2 * time.Hour)
	p.s.Set(func(o *Options) { o.Now = func() time.Time { return now } })
	for _, name := range []string{"access_token", "refresh_token"} {
		_, said = p.post("introspect", url.Values{"token": {body[name].(string)}})
		equal(t, "expired "+name, said, map[string]any{"active": false})
	}
	p.refused("introspect", url.Values{}, 400, "invalid_request", "no token")
	newRP(t, p.s, "rp", "guess").refused("introspect", url.Values{"token": {"x"}}, 401, "invalid_client", "wrong secret")
}

// leave asks for the end of the session and returns status and Location.
func (p *rp) leave(pairs ...string) (int, string) {
	p.t.Helper()
	res, err := p.browser.Get(p.s.Endpoint("end_session") + "?" + with(url.Values{}, pairs...).Encode())
	if err != nil {
		p.t.Fatal(err)
	}
	read(p.t, res)
	return res.StatusCode, res.Header.Get("Location")
}

func TestTheEndOfASession(t *testing.T) {
	t.Parallel()
	p := party(t)
	body := p.login(alice, "scope", "openid")
	offline := p.login(alice)
	status, to := p.leave("id_token_hint", body["id_token"].(string), "post_logout_redirect_uri", "https://rp.example/bye", "state", "a&b")
	equal(t, "redirect", []any{status, to}, []any{302, "https://rp.example/bye?state=a%26b"})
	equal(t, "sessions", len(p.s.Sessions()), 0)
	equal(t, "prompt none", p.answer("", "prompt", "none").Get("error"), "login_required")
	p.refused("token", refreshForm(body["refresh_token"]), 400, "invalid_grant", "refresh token revoked")
	if status, _ := p.post("token", refreshForm(offline["refresh_token"])); status != 200 {
		t.Errorf("offline_access: %d", status)
	}
	call := p.s.Calls("end_session")[0]
	equal(t, "recorded", []string{call.ClientID, call.Form.Get("state")}, []string{"rp", "a&b"})

	p.login(alice)
	p.login("bob", "prompt", "login")
	equal(t, "by cookie", []any{p.leave1(), len(p.s.Sessions())}, []any{200, 0})
	p.login(alice)
	p.s.EndSessions("bob")
	equal(t, "another's session", len(p.s.Sessions()), 1)
	code := p.answer("").Get("code")
	p.s.EndSessions("")
	equal(t, "all sessions", len(p.s.Sessions()), 0)
	p.refused("token", codeForm(code), 400, "invalid_grant", "session ended")
}

func (p *rp) leave1() int { status, _ := p.leave(); return status }

func TestALogoutThatIsRefused(t *testing.T) {
	t.Parallel()
	p := party(t)
	p.s.Set(func(o *Options) { o.IDLifetime = -time.Minute }) // expired ones are hints too
	hint := p.login(alice)["id_token"].(string)
	stranger := Start(t)
	foreign := stranger.Token("k1", map[string]any{"aud": "rp"})
	bye := "https://rp.example/bye"
	for _, c := range []struct {
		name  string
		pairs []string
		want  string
	}{
		{"redirect of nobody", []string{"post_logout_redirect_uri", bye}, "post_logout_redirect_uri of nobody"},
		{"of a stranger", []string{"post_logout_redirect_uri", bye, "client_id", "x"}, "post_logout_redirect_uri of nobody"},
		{"elsewhere", []string{"post_logout_redirect_uri", "https://evil.example/", "client_id", "rp"}, "post_logout_redirect_uri is not registered"},
		{"no JWT", []string{"id_token_hint", "x"}, "id_token_hint: not three parts"},
		{"tampered", []string{"id_token_hint", hint[:len(hint)-4] + "AAAA"}, "id_token_hint: not signed here"},
		{"another issuer's", []string{"id_token_hint", foreign}, "id_token_hint: not issued here"},
		{"no ID token", []string{"id_token_hint", p.s.Token("k1", nil)}, "id_token_hint: not issued here"},
		{"another client's", []string{"id_token_hint", hint, "client_id", "x"}, "client_id is not that of id_token_hint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.t = t
			status, to := p.leave(c.pairs...)
			calls := p.s.Calls("end_session")
			equal(t, "refused", []any{status, to, calls[len(calls)-1].Detail}, []any{400, "", c.want})
			equal(t, "sessions", len(p.s.Sessions()), 1)
		})
	}
	p.t = t
	status, to := p.leave("id_token_hint", hint, "client_id", "rp", "post_logout_redirect_uri", bye)
	equal(t, "expired", []any{status, to}, []any{302, bye})
}

func TestLogoutTokens(t *testing.T) {
	t.Parallel()
	p := party(t)
	before := p.claims(p.s.LogoutToken("", nil, nil))
	equal(t, "before a sign-in", []any{before["aud"], before["sub"]}, []any{"client", "user-1"})
	p.login(alice)
	p.s.Add("k2", "ES256", "ec256")
	token := p.s.LogoutToken("k1", nil, nil)
	claims := p.claims(token)
	for name, want := range map[string]any{"iss": p.s.Issuer(), "aud": "rp", "sub": "sub-alice", "sid": p.s.Sessions()[0].SID,
		"events": map[string]any{backchannelEvent: map[string]any{}}, "nonce": nil} {
		equal(t, name, claims[name], want)
	}
	for _, name := range []string{"iat", "exp", "jti"} {
		if claims[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	header := parsed(t, token).header
	equal(t, "header", []string{header.Typ, header.Kid, header.Alg}, []string{"logout+jwt", "k1", "RS256"})
	other := p.s.LogoutToken("", map[string]any{"sid": nil, "nonce": "n", "sub": "x"}, map[string]any{"typ": nil})
	claims = p.claims(other)
	equal(t, "changed", []any{claims["sid"], claims["nonce"], claims["sub"], parsed(t, other).header.Typ, parsed(t, other).header.Kid},
		[]any{nil, "n", "x", "", "k2"})
	if none := p.s.LogoutToken("", nil, map[string]any{"alg": "none"}); !strings.HasSuffix(none, ".") {
		t.Errorf("alg none: %s", none)
	}
}
