package idp

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestALogin(t *testing.T) {
	t.Parallel()
	p := party(t)
	p.s.Set(func(o *Options) { o.AccessAudience = []string{"api"}; o.IDTokenAzp = true })
	back := p.answer(alice)
	for name, want := range map[string]string{"state": "st&te", "iss": p.s.Issuer(), "tenant": "a", "error": ""} {
		if back.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, back.Get(name), want)
		}
	}
	if back.Get("code") == "" || back.Get("session_state") == "" {
		t.Errorf("callback: %v", back)
	}
	status, body := p.post("token", codeForm(back.Get("code")))
	equal(t, "status", status, 200)
	equal(t, "token_type", body["token_type"], "Bearer")
	equal(t, "expires_in", body["expires_in"], 300)
	equal(t, "scope", body["scope"], "openid offline_access")

	id := p.claims(body["id_token"])
	session := p.s.Sessions()[0]
	for name, want := range map[string]any{"iss": p.s.Issuer(), "sub": "sub-alice", "aud": "rp", "azp": "rp", "nonce": "n-1",
		"sid": session.SID, "groups": []string{"staff"}, "at_hash": atHash("RS256", body["access_token"].(string)), "auth_time": session.Time.Unix()} {
		equal(t, "id token: "+name, id[name], want)
	}
	now := time.Now().Unix()
	iat, _ := parsed(t, body["id_token"]).seconds("iat")
	exp, _ := parsed(t, body["id_token"]).seconds("exp")
	if iat < now-20 || iat > now || exp != iat+300 {
		t.Errorf("iat %d, exp %d, now %d", iat, exp, now)
	}

	access := p.claims(body["access_token"])
	for name, want := range map[string]any{"iss": p.s.Issuer(), "sub": "sub-alice", "aud": "api", "client_id": "rp",
		"scope": "openid offline_access", "role": "admin"} {
		equal(t, "access token: "+name, access[name], want)
	}
	if access["jti"] == nil || access["iat"] == nil || access["exp"] == nil {
		t.Errorf("access token: %v", access)
	}

	_, _, text := p.ask("userinfo", body["access_token"])
	var info map[string]any
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		t.Fatal(err)
	}
	equal(t, "userinfo", info, map[string]any{"sub": "sub-alice", "preferred_username": "alice", "email": "alice@example.com"})
	equal(t, "session", []any{session.User, session.Subject, session.Clients}, []any{"alice", "sub-alice", []string{"rp"}})
	call := p.s.Calls("token")[0]
	equal(t, "call", []any{call.Method, call.ClientID, call.AuthMethod, call.Status, call.Form.Get("code_verifier")},
		[]any{"POST", "rp", "client_secret_basic", 200, verifier})
	equal(t, "counts", []int{p.s.Count("authorize"), p.s.Count("token"), p.s.Count("userinfo"), p.s.Count("elsewhere")}, []int{2, 1, 1, 0})
	p.s.Forget()
	equal(t, "counts", []int{p.s.Count("authorize"), p.s.Count("token")}, []int{0, 0})
}

func TestTheFormIsShownUntilThePasswordIsRight(t *testing.T) {
	t.Parallel()
	p := party(t)
	res, err := p.browser.Get(p.authorizeURL("login_hint", `"><script>`))
	if err != nil {
		t.Fatal(err)
	}
	page := read(t, res)
	for _, part := range []string{`name="username"`, `name="password"`, `id="login"`, `method="post"`} {
		if !strings.Contains(page, part) {
			t.Errorf("no %s in %s", part, page)
		}
	}
	if strings.Contains(page, "<script>") {
		t.Errorf("not escaped: %s", page)
	}
	for _, try := range []url.Values{{"username": {alice}, "password": {"wrong"}}, {"username": {"nobody"}, "password": {""}}} {
		res, err := p.browser.PostForm(p.authorizeURL(), try)
		if err != nil {
			t.Fatal(err)
		}
		if page := read(t, res); res.StatusCode != 401 || !strings.Contains(page, `id="error"`) || len(res.Cookies()) > 0 {
			t.Errorf("%v: %d %s", try, res.StatusCode, page)
		}
	}
	equal(t, "sessions", len(p.s.Sessions()), 0)
	if p.answer(alice).Get("code") == "" {
		t.Error("no code")
	}
}

func TestASessionAnswersAtOnceUnlessItIsAskedNotTo(t *testing.T) {
	t.Parallel()
	p := party(t)
	now := time.Now()
	p.s.Set(func(o *Options) { o.Now = func() time.Time { return now } })
	if got := p.answer("", "prompt", "none").Get("error"); got != "login_required" {
		t.Fatalf("before the session: %q", got)
	}
	p.login(alice)
	first := p.s.Sessions()[0]
	p.s.Set(func(o *Options) { o.Now = func() time.Time { return now.Add(time.Minute) } })
	for _, c := range []struct {
		name, parameter, value string
		form                   bool
	}{
		{"nothing", "prompt", "", false},
		{"prompt none", "prompt", "none", false},
		{"a session that is young enough", "max_age", "60", false},
		{"a session that is too old", "max_age", "59", true},
		{"max_age 0", "max_age", "0", true},
		{"prompt login", "prompt", "login", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.t = t
			res, err := p.browser.Get(p.authorizeURL(c.parameter, c.value))
			if err != nil {
				t.Fatal(err)
			}
			if form := strings.Contains(read(t, res), "<form"); form != c.form || form == (res.StatusCode == 302) {
				t.Errorf("form %v, status %d", form, res.StatusCode)
			}
		})
	}
	p.t = t
	if got := p.answer("", "prompt", "none", "max_age", "59").Get("error"); got != "login_required" {
		t.Errorf("prompt none, too old: %q", got)
	}
	id := p.claims(p.login(alice, "prompt", "login")["id_token"])
	second := p.s.Sessions()[0]
	if len(p.s.Sessions()) != 1 || second.SID == first.SID {
		t.Errorf("signed in again: %v after %v", p.s.Sessions(), first)
	}
	equal(t, "auth_time", id["auth_time"], now.Add(time.Minute).Unix())
}

func TestAutoLoginSignsInWithoutAForm(t *testing.T) {
	t.Parallel()
	s := Start(t)
	p := newRP(t, s, "anybody", "anything")
	s.Set(func(o *Options) { o.AutoLogin = "carol" })
	equal(t, "sub", p.claims(p.login("")["id_token"])["sub"], "carol")
	s.Set(func(o *Options) { o.AutoLogin = "dave" })
	equal(t, "sub", p.claims(p.login("")["id_token"])["sub"], "dave")
	s.Set(func(o *Options) { o.AutoLogin = "" })
	equal(t, "sub", p.claims(p.login("")["id_token"])["sub"], "dave")
}

func TestARequestThatIsNotRedirected(t *testing.T) {
	t.Parallel()
	p := party(t)
	for _, c := range []struct{ name, parameter, value, want string }{
		{"no client", "client_id", "", "unknown client"},
		{"another client", "client_id", "stranger", "unknown client"},
		{"no redirect_uri", "redirect_uri", "", "redirect_uri is not absolute"},
		{"a relative one", "redirect_uri", "/callback", "redirect_uri is not absolute"},
		{"one with a fragment", "redirect_uri", callback + "#x", "redirect_uri is not absolute"},
		{"one that is longer", "redirect_uri", callback + "/", "redirect_uri is not registered"},
		{"another host", "redirect_uri", "https://evil.example/callback", "redirect_uri is not registered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.t = t
			res, err := p.browser.Get(p.authorizeURL(c.parameter, c.value))
			if err != nil {
				t.Fatal(err)
			}
			if page := read(t, res); res.StatusCode != 400 || !strings.Contains(page, c.want) || res.Header.Get("Location") != "" {
				t.Errorf("%d %s", res.StatusCode, page)
			}
			calls := p.s.Calls("authorize")
			equal(t, "recorded", calls[len(calls)-1].Detail, c.want)
		})
	}
	p.t = t
	res, err := p.browser.Get(p.authorizeURL() + "&state=again")
	if err != nil {
		t.Fatal(err)
	}
	if page := read(t, res); res.StatusCode != 400 || !strings.Contains(page, "repeated parameter state") {
		t.Errorf("%d %s", res.StatusCode, page)
	}
}

func TestARequestThatIsRefusedByRedirect(t *testing.T) {
	t.Parallel()
	p := party(t)
	p.login(alice)
	for _, c := range []struct {
		name  string
		pairs []string
		want  string
	}{
		{"no response_type", []string{"response_type", ""}, "invalid_request"},
		{"token", []string{"response_type", "token"}, "unsupported_response_type"},
		{"fragment", []string{"response_mode", "fragment"}, "invalid_request"},
		{"query", []string{"response_mode", "query"}, ""},
		{"a request object", []string{"request", "e30"}, "request_not_supported"},
		{"a request URI", []string{"request_uri", "https://rp.example/r"}, "request_uri_not_supported"},
		{"none and login", []string{"prompt", "none login"}, "invalid_request"},
		{"max_age", []string{"max_age", "soon"}, "invalid_request"},
		{"plain PKCE", []string{"code_challenge_method", "plain"}, "invalid_request"},
		{"PKCE without a method", []string{"code_challenge_method", ""}, "invalid_request"},
		{"a method alone", []string{"code_challenge", ""}, "invalid_request"},
		{"a short challenge", []string{"code_challenge", "short"}, "invalid_request"},
		{"a challenge of other characters", []string{"code_challenge", challenge()[:42] + "="}, "invalid_request"},
		{"no PKCE", []string{"code_challenge", "", "code_challenge_method", ""}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.t = t
			back := p.answer("", c.pairs...)
			if back.Get("error") != c.want || back.Get("state") != "st&te" || back.Get("iss") != p.s.Issuer() || (c.want == "") != back.Has("code") {
				t.Errorf("callback: %v", back)
			}
		})
	}
}

func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	s := Start(t)
	client := newClient(t)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/jwks", 200}, {"HEAD", "/jwks", 200}, {"POST", "/jwks", 405}, {"GET", "/token", 405}, {"GET", "/revoke", 405},
		{"GET", "/introspect", 405}, {"PUT", "/userinfo", 405}, {"GET", "/userinfo", 401}, {"GET", "/authorize", 400},
		{"GET", "/end_session", 200}, {"GET", "/", 404}, {"GET", "/oauth2/default" + wellKnown, 404}, {"GET", wellKnown, 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, res.StatusCode, c.want)
		}
	}
	equal(t, "asked", s.Asked(), 3)
	equal(t, "requests", s.Requests(), 4)
}
