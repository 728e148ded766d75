package logins

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

const form = "application/x-www-form-urlencoded"

// post calls the back channel of an instance as a provider does.
func (l *lab) post(t testing.TB, method, target, kind, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest(method, l.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := newVisitor(t).Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode/100 == 2 && res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %s: Cache-Control %q", l.Host, target, res.Header.Get("Cache-Control"))
	}
	return res.StatusCode, string(text)
}

func (l *lab) logout(t testing.TB, name, token string) (int, string) {
	t.Helper()
	return l.post(t, "POST", "/.sallyport/"+name+"/backchannel_logout", form, url.Values{"logout_token": {token}}.Encode())
}

const event = "http://schemas.openid.net/event/backchannel-logout"

func TestBackChannel(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		l := newLab(t, host, stack.Options{Workers: 2}, nil,
			site{path: "/app", idp: "main", name: "app"},
			site{path: "/short", idp: "main", name: "short", config: "session_absolute_timeout: 10"},
			site{path: "/long", idp: "main", config: "session_audience: pair"},
			site{path: "/brief", idp: "main", config: "session_audience: pair\nsession_absolute_timeout: 10\nlogout_query_arg: logout\nlogout_methods: [GET]"},
			site{path: "/other", idp: "second", name: "other"},
			site{path: "/bearer", idp: "main", name: "bearer", config: "client_id: []\nauth_methods: [bearer, session]"})
		t.Run("rules", l.rules)
		t.Run("paths", l.paths)
		t.Run("endings", l.endings)
		t.Run("another's clock", l.shorter)
	})
}

// rules are those of OIDC Back-Channel Logout §2.6, each broken once.
func (l *lab) rules(t *testing.T) {
	v := newVisitor(t)
	l.signIn(t, v, "/app/page", "alice")
	kid := "strange-" + tokens.Random()
	stranger := func(header map[string]any) string {
		return tokens.Sign("rsa4096", header, map[string]any{"iss": l.idp.Issuer(), "aud": "app", "iat": tokens.In(0), "exp": tokens.In(60),
			"jti": tokens.Random(), "sub": "alice-1", "events": map[string]any{event: map[string]any{}}})
	}
	_, seen := l.fetch(t, v, l.URL+"/app/page")
	access := strings.TrimPrefix(seen[0].Header("Authorization"), "Bearer ")
	made := func(claims, header map[string]any) string { return l.idp.LogoutToken("", claims, header) }
	for _, c := range []struct{ name, token, reason string }{
		{"no token", "", "token_malformed"},
		{"no JWT", "a.b.c", "token_encoding"},
		{"an access token", access, "audience_mismatch"},
		{"another issuer", made(map[string]any{"iss": "https://evil.example"}, nil), "issuer_unknown"},
		{"no issuer", made(map[string]any{"iss": nil}, nil), "claim_missing"},
		{"the other provider", l.idps["second"].LogoutToken("", map[string]any{"sub": "alice-1", "aud": "app"}, nil), "issuer_unknown"},
		{"another client", made(map[string]any{"aud": "other"}, nil), "audience_mismatch"},
		{"no audience", made(map[string]any{"aud": nil}, nil), "audience_mismatch"},
		{"odd audience", made(map[string]any{"aud": []any{"app", 7}}, nil), "claim_invalid"},
		{"expired", made(map[string]any{"exp": tokens.In(-3600), "iat": tokens.In(-7200)}, nil), "token_expired"},
		{"no exp", made(map[string]any{"exp": nil}, nil), "claim_missing"},
		{"no iat", made(map[string]any{"iat": nil}, nil), "claim_missing"},
		{"iat ahead", made(map[string]any{"iat": tokens.In(3600), "exp": tokens.In(7200)}, nil), "token_not_yet_valid"},
		{"nbf ahead", made(map[string]any{"nbf": tokens.In(3600), "exp": tokens.In(7200)}, nil), "token_not_yet_valid"},
		{"no events", made(map[string]any{"events": nil}, nil), "logout_token_invalid"},
		{"other events", made(map[string]any{"events": map[string]any{"x": map[string]any{}}}, nil), "logout_token_invalid"},
		{"events in a list", made(map[string]any{"events": []any{event}}, nil), "logout_token_invalid"},
		{"an event that is text", made(map[string]any{"events": map[string]any{event: "x"}}, nil), "logout_token_invalid"},
		{"a nonce", made(map[string]any{"nonce": "x"}, nil), "logout_token_invalid"},
		{"no jti", made(map[string]any{"jti": nil}, nil), "logout_token_invalid"},
		{"empty jti", made(map[string]any{"jti": ""}, nil), "logout_token_invalid"},
		{"jti a number", made(map[string]any{"jti": 7}, nil), "logout_token_invalid"},
		{"neither sub nor sid", made(map[string]any{"sub": nil, "sid": nil}, nil), "logout_token_invalid"},
		{"empty sub", made(map[string]any{"sub": ""}, nil), "logout_token_invalid"},
		{"sid a number", made(map[string]any{"sid": 7}, nil), "logout_token_invalid"},
		{"sub a list", made(map[string]any{"sub": []string{"alice-1"}}, nil), "logout_token_invalid"},
		{"wrong typ", made(nil, map[string]any{"typ": "at+jwt"}), "token_type"},
		{"another typ", made(nil, map[string]any{"typ": "dpop+jwt"}), "token_type"},
		{"unsigned", made(nil, map[string]any{"alg": "none"}), "algorithm_unsupported"},
		{"tampered", tokens.Tamper(made(nil, nil)), "signature_invalid"},
		{"a foreign key", stranger(map[string]any{"alg": "RS256", "kid": "k1"}), "signature_invalid"},
		{"an unknown key", stranger(map[string]any{"alg": "RS256", "kid": kid}), "key_unknown"},
		{"the client's secret", tokens.Sign(secret, map[string]any{"alg": "HS256"}, map[string]any{"iss": l.idp.Issuer(), "aud": "app", "sub": "alice-1",
			"iat": tokens.In(0), "exp": tokens.In(60), "jti": "x", "events": map[string]any{event: map[string]any{}}}), "algorithm_mismatch"},
		{"critical", made(nil, map[string]any{"crit": []string{"x"}, "x": 1}), "header_critical"},
		{"its own key", made(nil, map[string]any{"jku": "https://evil.example/jwks"}), "header_key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := l.logout(t, "app", c.token)
			if status != 400 || !strings.Contains(body, `"`+c.reason+`"`) {
				t.Errorf("%s: %d %s, want 400 %s", l.Host, status, body, c.reason)
			}
			if p, seen := l.fetch(t, v, l.URL+"/app/page"); p.StatusCode != 200 || len(seen) != 1 {
				t.Errorf("%s: the session ended: %d", l.Host, p.StatusCode)
			}
		})
	}
	// Somebody who has no client at the provider is nobody to be told anything.
	if status, body := l.logout(t, "bearer", made(map[string]any{"aud": "stranger"}, nil)); status != 400 {
		t.Errorf("%s: an instance without a client: %d %s", l.Host, status, body)
	}
	if p, _ := l.fetch(t, v, l.URL+"/app/page"); p.StatusCode != 200 {
		t.Errorf("%s: the session ended: %d", l.Host, p.StatusCode)
	}
}

// paths are other ways to call, and other things to call.
func (l *lab) paths(t *testing.T) {
	token := url.Values{"logout_token": {l.idp.LogoutToken("", map[string]any{"sub": "nobody", "sid": nil}, nil)}}.Encode()
	const at = "/.sallyport/app/backchannel_logout"
	for _, c := range []struct {
		method, target, kind, body string
		status                     []int
	}{
		{"GET", at, "", "", []int{405}},
		{"GET", at + "?" + token, "", "", []int{405}},
		{"PUT", at, form, token, []int{405}},
		{"DELETE", at, form, token, []int{405}},
		{"POST", at + "?" + token, form, "", []int{400}},
		{"POST", at + "?" + token, form, "x=y", []int{400}},
		{"POST", at, "application/json", `{"logout_token":"x"}`, []int{400}},
		{"POST", at, "text/plain", token, []int{400}},
		{"POST", at, "", token, []int{400}},
		{"POST", at, "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"logout_token\"\r\n\r\n" + token + "\r\n--x--", []int{400}},
		{"POST", at, form, token + "&" + token, []int{400}},
		{"POST", at, form, "", []int{400}},
		{"POST", at, form, token + "&x=" + strings.Repeat("x", 40<<10), []int{400, 413}},
		{"POST", at, form, "logout_token=" + strings.Repeat("x", 20<<10), []int{400}},
		{"POST", at, form, "logout_token=%zz", []int{400}},
		{"POST", "/.sallyport/nobody/backchannel_logout", form, token, []int{404}},
		{"POST", "/.sallyport//backchannel_logout", form, token, []int{404, 301, 307}},
		{"POST", "/.sallyport/app/", form, token, []int{404}},
		{"POST", "/.sallyport/app/jwks", form, token, []int{404, 405}},
		{"GET", "/.sallyport/app/jwks", "", "", []int{404}}, // no private_key_jwt
		{"GET", "/.sallyport/", "", "", []int{404}},
		{"GET", "/.sallyport", "", "", []int{404}},
		{"POST", "/.sallyport/v1/ask", form, token, []int{404}},
		{"GET", "/.sallyport/../v1/bundle", "", "", []int{404, 400}},
		{"GET", "/.sallyport/%2e%2e/v1/bundle", "", "", []int{404, 400}},
		{"GET", "/.sallyport/app/../../v1/bundle", "", "", []int{404, 400}},
		{"GET", "/.sallyport/..%2fv1%2fbundle", "", "", []int{404, 400}},
		{"GET", "/v1/bundle", "", "", []int{404}},
		{"GET", "/.sallyport//v1/bundle", "", "", []int{404, 301, 307}},
		{"GET", "/.sallyport/app/jwks/../../../metrics", "", "", []int{404, 400}},
		{"POST", "/.SALLYPORT/app/backchannel_logout", form, token, []int{404}},
		{"POST", "/app/../.sallyport/app/backchannel_logout?x", form, "x=y", []int{400}},
		{"CONNECT", "/.sallyport/app/backchannel_logout", "", "", []int{404, 405, 400, 501}},
		{"OPTIONS", at, "", "", []int{405, 404}},
	} {
		upstream := l.up.Total()
		status, body := l.post(t, c.method, c.target, c.kind, c.body)
		ok := false
		for _, s := range c.status {
			ok = ok || s == status
		}
		if !ok || strings.Contains(body, "generation") || strings.Contains(body, "sallyport_") {
			t.Errorf("%s: %s %s (%s): %d %.200s", l.Host, c.method, c.target, c.kind, status, body)
		}
		if l.up.Total() != upstream {
			t.Errorf("%s: %s %s reached the upstream", l.Host, c.method, c.target)
		}
	}
	if status, body := l.post(t, "POST", at, "application/x-www-form-urlencoded; charset=utf-8", token); status != 200 {
		t.Errorf("%s: a right one: %d %s", l.Host, status, body)
	}
	if status, body := l.post(t, "POST", at, form, token); status != 400 || !strings.Contains(body, "logout_token_replayed") {
		t.Errorf("%s: a replay: %d %s", l.Host, status, body)
	}
}

// held are somebody's cookies as a thief keeps them: what answers say changes nothing.
func (l *lab) held(t *testing.T, v *visitor.Visitor) string {
	t.Helper()
	var pairs []string
	for name, value := range v.Cookies(l.URL) {
		pairs = append(pairs, name+"="+value)
	}
	if len(pairs) == 0 {
		t.Fatal("there are no cookies to steal")
	}
	return cookieHeader(pairs...)
}

// ended waits until stolen cookies open nothing, in any worker.
func (l *lab) ended(t *testing.T, stolen, path string) {
	t.Helper()
	l.eventually(t, newVisitor(t), l.URL+path, 401, stolen)
}

// warm makes every worker remember a session.
func (l *lab) warm(t *testing.T, v *visitor.Visitor, path string) {
	t.Helper()
	for range 12 {
		if p := v.Fetch(l.URL + path); p.StatusCode != 200 {
			t.Fatalf("%s: %s: %d", l.Host, path, p.StatusCode)
		}
	}
}

func (l *lab) endings(t *testing.T) {
	someone := func(user string) (v *visitor.Visitor, stolen string) {
		v = newVisitor(t)
		l.signIn(t, v, "/app/page", user)
		l.warm(t, v, "/app/page")
		return v, l.held(t, v)
	}
	bob, _ := someone("bob")
	first, firstStolen := someone("alice")
	_, second := someone("alice") // the provider's last
	token := l.idp.LogoutToken("", nil, nil)
	if status, body := l.logout(t, "app", token); status != 200 {
		t.Fatalf("%s: by sid: %d %s", l.Host, status, body)
	}
	l.ended(t, second, "/app/page")
	l.warm(t, first, "/app/page") // by sid only that session
	l.warm(t, bob, "/app/page")
	if status, body := l.logout(t, "app", token); status != 400 || !strings.Contains(body, "logout_token_replayed") {
		t.Errorf("%s: a replay: %d %s", l.Host, status, body)
	}
	_, third := someone("alice")
	if status, body := l.logout(t, "app", l.idp.LogoutToken("", map[string]any{"sid": nil}, nil)); status != 200 {
		t.Fatalf("%s: by sub: %d %s", l.Host, status, body)
	}
	l.ended(t, firstStolen, "/app/page")
	l.ended(t, third, "/app/page")
	l.warm(t, bob, "/app/page")
	later, _ := someone("alice") // and those begun later hold
	l.warm(t, later, "/app/page")
	testenv.Evidence(t, "%s: by sid -> one session dead in every worker; by sub -> all of the person's, not later ones", l.Host)
}

// shorter ends sessions by way of an instance whose own are over sooner: nobody comes
// back to life when those would have ended.
func (l *lab) shorter(t *testing.T) {
	v := newVisitor(t)
	l.signIn(t, v, "/app/page", "carol")
	byToken := l.held(t, v)
	if status, body := l.logout(t, "short", l.idp.LogoutToken("", map[string]any{"sid": nil}, nil)); status != 200 {
		t.Fatalf("%s: %d %s", l.Host, status, body)
	}
	l.ended(t, byToken, "/app/page")
	// And one that two instances share is logged out by the one with less time.
	v = newVisitor(t)
	l.signIn(t, v, "/long/page", "carol")
	byLogout := l.held(t, v)
	v.Open(l.URL + "/brief/page?logout")
	l.ended(t, byLogout, "/long/page")
	// Another session of the short instance tells when that time is over.
	v = newVisitor(t)
	l.signIn(t, v, "/short/page", "bob")
	clock := l.held(t, v)
	if err := testenv.Poll(30*time.Second, func() bool {
		p, _ := l.raw(t, "GET", "/short/page", clock)
		return p.StatusCode == 401
	}); err != nil {
		t.Fatal(err)
	}
	l.ended(t, byToken, "/app/page")
	l.ended(t, byLogout, "/long/page")
}

// TestBackChannelRestart kills the sidecar: what was ended stays so, and what was
// not goes on.
func TestBackChannelRestart(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		l := newLab(t, host, stack.Options{Apart: true}, nil, site{path: "/app", idp: "main", name: "app", config: "logout_query_arg: logout\nlogout_methods: [GET]"})
		v, left, alive := newVisitor(t), newVisitor(t), newVisitor(t)
		l.signIn(t, left, "/app/page", "bob")
		l.signIn(t, alive, "/app/page", "bob")
		l.signIn(t, v, "/app/page", "alice")
		told, loggedOut := l.held(t, v), l.held(t, left)
		token := l.idp.LogoutToken("", map[string]any{"sub": "alice-1", "sid": nil}, nil)
		if status, body := l.logout(t, "app", token); status != 200 {
			t.Fatalf("%s: %d %s", host, status, body)
		}
		left.Open(l.URL + "/app/page?logout")
		l.Sidecar.Kill()
		l.StartSidecar()
		l.eventually(t, alive, l.URL+"/app/page", 200)
		l.ended(t, told, "/app/page")
		l.ended(t, loggedOut, "/app/page")
		if status, body := l.logout(t, "app", token); status != 400 || !strings.Contains(body, "logout_token_replayed") {
			t.Errorf("%s: a replay after the restart: %d %s", host, status, body)
		}
		testenv.Evidence(t, "%s: sidecar killed and started -> logged-out cookies 401, others 200, logout token still used", host)
	})
}
