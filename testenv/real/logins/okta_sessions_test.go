//go:build real

package logins

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// ask asks as a program does, which has no cookies but those that it is given.
func (s *site) ask(t testing.TB, target string, lines ...string) (*testenv.Response, []echo.Request) {
	t.Helper()
	before := s.up.Total()
	r := testenv.Raw(t, s.Addr, testenv.Request("GET", target, lines...))
	seen := s.up.Since(before)
	var who []string
	for _, u := range seen {
		who = append(who, u.Header("X-Credential-Identifier"))
	}
	testenv.Evidence(t, "%s: GET %s with %d headers -> %d, sets %d cookies, the upstream received %d requests of %q; the provider so far: %s",
		s.Host, bare(target), len(lines), r.Status, len(r.Header["Set-Cookie"]), len(seen), who, s.asked())
	return r, seen
}

func oktaTLS(t *testing.T, s *site, secure *idp.Server) {
	before := secure.Count("token")
	p := s.person(t)
	v := p.open(s.at("app.example", "/tls"))
	if !strings.HasPrefix(v.Chain[0].Header.Get("Location"), secure.Endpoint("authorize")) || !strings.HasPrefix(secure.Issuer(), "https://") {
		t.Fatalf("%v", v.Chain)
	}
	if v = p.signIn("alice", "alice"); v.Status != 200 || v.one(t).Header("X-Credential-Identifier") == "" || secure.Count("token") != before+1 {
		t.Fatalf("%d: %s", v.Status, p.Text())
	}
	if said := s.Check(); strings.Count(said, "ssl_verify: is false") != 2 { // the example's and this one's
		t.Errorf("check says %s", said)
	}
	// Verified, the same provider is nobody's: 503, and nothing was asked of it.
	asked := secure.Count("discovery") + secure.Count("jwks") + secure.Count("token")
	q := s.person(t)
	v = q.open(s.at("app.example", "/verified"))
	q.refused(v, 503, "issuer_unavailable")
	if v.Header.Get("Retry-After") == "" || len(v.Chain) != 1 || len(q.own()) != 0 {
		t.Errorf("%v, cookies %v", v.Header, q.own())
	}
	r, seen := s.ask(t, "/verified", "Authorization: Bearer "+secure.Token("k1", nil))
	if r.Status != 503 || len(seen) != 0 {
		t.Errorf("a bearer token: %d %s", r.Status, r.Body)
	}
	if n := secure.Count("discovery") + secure.Count("jwks") + secure.Count("token") - asked; n != 0 {
		t.Errorf("the provider was asked %d times without being known", n)
	}
	testenv.Evidence(t, "%s: with ssl_verify the provider was asked for nothing", s.Host)
}

func oktaCodeOnly(t *testing.T, s *site) {
	// No other way is tried, with a token that would do elsewhere.
	before := s.idp.Count("token")
	for _, line := range []string{"Authorization: Bearer " + s.idp.Token("k1", nil), "Authorization: Basic YWxpY2U6YWxpY2U="} {
		if r, seen := s.ask(t, "/code", line); r.Status != 401 || len(seen) != 0 || len(r.Header["Set-Cookie"]) != 0 {
			t.Errorf("%.24s…: %d %v", line, r.Status, r.Header)
		}
	}
	if s.idp.Count("token") != before {
		t.Error("the provider was asked for a token")
	}
	// Anybody, any scopes, and as long as the provider likes.
	s.idp.Set(func(o *idp.Options) { o.AccessLifetime = 2 * time.Second })
	p := s.person(t)
	v := p.login(s.at("app.example", "/code"), "bob", "bob")
	if scope := s.last(t, "authorize").Form.Get("scope"); scope != "openid anything.at_all offline_access" || v.one(t).Header("X-Consumer-Id") != "" {
		t.Errorf("scope %q, the upstream received %v", scope, v.upstream)
	}
	s.idp.Set(func(o *idp.Options) { o.AccessLifetime = 5 * time.Minute })
	codes := s.idp.Count("authorize")
	testenv.Eventually(t, 15*time.Second, "a refreshed token", func() bool {
		f, _ := p.fetch("/code", nil)
		return f.Status == 200 && s.last(t, "token").Form.Get("grant_type") == "refresh_token"
	})
	for _, c := range s.idp.Calls("token") {
		if g := c.Form.Get("grant_type"); g != "authorization_code" && g != "refresh_token" {
			t.Errorf("the provider was asked with %s", g)
		}
	}
	if s.idp.Count("authorize") != codes {
		t.Error("a refresh sent the browser to the provider")
	}
}

// cookie returns a cookie of any name.
func (p *person) cookie(name string) *http.Cookie {
	p.t.Helper()
	for _, c := range p.context.Cookies() {
		if c.Name == name || strings.HasSuffix(name, "_") && strings.HasPrefix(c.Name, name) {
			return c
		}
	}
	return nil
}

// oktaSplitDomains has a portal whose pages are at one subdomain and whose API is at
// another: people come back to one, and are known at both.
func oktaSplitDomains(t *testing.T, s *site) {
	p := s.person(t)
	link := s.at("api.portal.test", "/split")
	p.begin(link)
	if got := s.last(t, "authorize").Form.Get("redirect_uri"); got != s.at("gui.portal.test", "/gui") {
		t.Errorf("redirect_uri is %q", got)
	}
	if c := p.cookie("authorization_"); c == nil || c.Domain != ".portal.test" || !c.HttpOnly {
		t.Errorf("the cookie of the flow is %v", c)
	}
	v := p.signIn("alice", "alice")
	callback := v.Chain[len(v.Chain)-2]
	if !strings.HasPrefix(callback.URL, s.at("gui.portal.test", "/gui?")) || callback.Status != 303 || v.URL != link || v.one(t).Target != "/split" {
		t.Errorf("the way back is %v", v.Chain)
	}
	if c := p.cookie("split"); c == nil || c.Domain != ".portal.test" || !c.HttpOnly || c.Path != "/" || p.cookie("authorization_") != nil {
		t.Fatalf("the cookies are %v", p.context.Cookies())
	}
	grants := s.idp.Count("token")
	v = p.open(s.at("gui.portal.test", "/gui"))
	if len(v.Chain) != 1 || v.Status != 200 || v.one(t).Target != "/gui" ||
		v.one(t).Header("X-Credential-Identifier") != "alice" || v.one(t).Header("Cookie") != "" || s.idp.Count("token") != grants {
		t.Errorf("the other subdomain: %v", v.Chain)
	}
	// Nobody else gets the cookie.
	if v := p.open(s.at("app.example", "/default")); strings.Contains(v.Chain[0].Sent.Get("Cookie"), "split=") {
		t.Errorf("another domain was sent %d bytes of cookies", len(v.Chain[0].Sent.Get("Cookie")))
	}
	// Signed out at one is signed out at both.
	if v := p.open(s.at("gui.portal.test", "/gui?logout=true")); v.Chain[0].Status != 302 || p.cookie("split") != nil {
		t.Errorf("logout: %v, %v", v.Chain, p.context.Cookies())
	}
	p.begin(link)
	// Without domains the cookie of the flow stays behind: nobody gets to the API.
	q := s.person(t)
	api := s.at("api.portal.test", "/alone")
	q.begin(api)
	for _, v := range []visit{q.signIn("alice", "alice"), q.open(api)} {
		if v.URL == api || len(v.upstream) > 1 || len(v.upstream) == 1 && v.URL != s.at("gui.portal.test", "/alone") {
			t.Errorf("without domains: %v", v.Chain)
		}
	}
	if c := q.cookie("alone"); c != nil && c.Domain != "gui.portal.test" {
		t.Errorf("without domains there is a session at %s", c.Domain)
	}
}

// oktaToken is what Okta gives a page by the implicit flow, or a program by another.
func oktaToken(s *site, more map[string]any) string {
	claims := map[string]any{"ver": 1, "cid": "somebody's client", "uid": "00u-dora", "sub": "dora", "aud": "api://default",
		"scp": []string{"openid", "read"}, "scope": nil, "jti": "AT." + tokens.Random()}
	for name, value := range more {
		claims[name] = value
	}
	return s.idp.Token("k1", claims)
}

// established sends a token once and returns the cookie that it brought.
func (s *site) established(t *testing.T, target, token string) string {
	t.Helper()
	r, seen := s.ask(t, target, "Authorization: Bearer "+token)
	line := r.Header.Get("Set-Cookie")
	if r.Status != 200 || len(seen) != 1 || len(r.Header["Set-Cookie"]) != 1 || !strings.HasPrefix(line, target[1:]+"=1.") {
		t.Fatalf("%d %v, the upstream received %d requests", r.Status, r.Header, len(seen))
	}
	for _, part := range []string{"; Path=/", "; HttpOnly", "; SameSite=Lax"} {
		if !strings.Contains(line, part) {
			t.Errorf("the cookie has no %s", part)
		}
	}
	cookie, _, _ := strings.Cut(line, ";")
	return cookie
}

func oktaBearer(t *testing.T, s *site) {
	grants, codes := s.idp.Count("token"), s.idp.Count("authorize")
	token := oktaToken(s, nil)
	cookie := s.established(t, "/exact", token)
	for range 6 { // every worker
		r, seen := s.ask(t, "/exact", "Cookie: "+cookie)
		if r.Status != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != "dora" ||
			seen[0].Header("Authorization") != "Bearer "+token || seen[0].Header("Cookie") != "" || len(r.Header["Set-Cookie"]) != 0 {
			t.Errorf("the cookie alone: %d %v", r.Status, seen)
		}
	}
	if r, seen := s.ask(t, "/exact"); r.Status != 401 || len(seen) != 0 {
		t.Errorf("nothing: %d", r.Status)
	}
	// Nor does it open what another instance guards.
	if r, seen := s.ask(t, "/anywhere", "Cookie: "+strings.Replace(cookie, "exact=", "anywhere=", 1)); r.Status != 401 || len(seen) != 0 {
		t.Errorf("at another route: %d", r.Status)
	}
	// Somebody else's token does not take the place of a session.
	other := oktaToken(s, map[string]any{"sub": "somebody else"})
	if r, seen := s.ask(t, "/exact", "Cookie: "+cookie, "Authorization: Bearer "+other); r.Status != 200 || len(r.Header["Set-Cookie"]) != 0 ||
		len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != "dora" {
		t.Errorf("a session and another's token: %d %v", r.Status, seen)
	}
	// A token that does not hold begins nothing.
	for _, bad := range []string{tokens.Tamper(oktaToken(s, nil)), oktaToken(s, map[string]any{"exp": tokens.In(-5)}),
		oktaToken(s, map[string]any{"iss": "https://elsewhere.test"})} {
		if r, seen := s.ask(t, "/exact", "Authorization: Bearer "+bad); r.Status != 401 || len(r.Header["Set-Cookie"]) != 0 || len(seen) != 0 {
			t.Errorf("a bad token: %d %v", r.Status, r.Header)
		}
	}
	t.Run("elsewhere", func(t *testing.T) { oktaElsewhere(t, s) })
	t.Run("without cookies", func(t *testing.T) { oktaForgetful(t, s) })
	t.Run("ends with the token", func(t *testing.T) { oktaEnds(t, s) })
	if s.idp.Count("token") != grants || s.idp.Count("authorize") != codes {
		t.Error("the provider was asked for tokens")
	}
}

// oktaElsewhere has tokens where a page of anybody's could put them: they are good for
// the request and for no session.
func oktaElsewhere(t *testing.T, s *site) {
	token := oktaToken(s, nil)
	for _, c := range []struct{ target, line string }{
		{"/anywhere?access_token=" + token, "Accept: */*"},
		{"/anywhere", "Cookie: token=" + token},
	} {
		r, seen := s.ask(t, c.target, c.line)
		if r.Status != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != "dora" || len(r.Header["Set-Cookie"]) != 0 {
			t.Errorf("%s: %d %v", bare(c.target), r.Status, r.Header)
		}
	}
	s.established(t, "/anywhere", token)
	// And nowhere where that is not wanted.
	if r, seen := s.ask(t, "/sessionless", "Authorization: Bearer "+token); r.Status != 200 || len(seen) != 1 || len(r.Header["Set-Cookie"]) != 0 {
		t.Errorf("disable_session: %d %v", r.Status, r.Header)
	}
	for _, target := range []string{"/exact?access_token=" + token, "/code?access_token=" + token} {
		if r, seen := s.ask(t, target, "Cookie: access_token="+token); r.Status != 401 || len(seen) != 0 || len(r.Header["Set-Cookie"]) != 0 {
			t.Errorf("%s: %d %v", bare(target), r.Status, r.Header)
		}
	}
}

// oktaForgetful is a program that keeps no cookies: it is offered a session once by
// every worker, not with every answer.
func oktaForgetful(t *testing.T, s *site) {
	const workers, requests = 2, 20
	token := oktaToken(s, nil)
	begun := 0
	for range requests {
		r, seen := s.ask(t, "/exact", "Authorization: Bearer "+token)
		if r.Status != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != "dora" {
			t.Fatalf("%d, the upstream received %d requests", r.Status, len(seen))
		}
		begun += len(r.Header["Set-Cookie"])
	}
	if begun < 1 || begun > workers {
		t.Errorf("%d requests without a cookie began %d sessions, want 1 to %d", requests, begun, workers)
	}
	testenv.Evidence(t, "%s: %d requests without a cookie began %d sessions", s.Host, requests, begun)
}

func oktaEnds(t *testing.T, s *site) {
	exp := time.Now().Add(4 * time.Second).Unix()
	cookie := s.established(t, "/exact", oktaToken(s, map[string]any{"exp": exp}))
	held := 0
	testenv.Eventually(t, 20*time.Second, "the end of the token", func() bool {
		before := time.Now().Unix()
		r, seen := s.ask(t, "/exact", "Cookie: "+cookie)
		after := time.Now().Unix()
		switch {
		case r.Status == 200 && before <= exp && len(seen) == 1:
			held++
			return false
		case r.Status == 401 && after >= exp && len(seen) == 0:
			if got := s.Reason(r.RequestID()); got != "session_expired" {
				t.Errorf("the log says %q", got)
			}
			if line := r.Header.Get("Set-Cookie"); !strings.HasPrefix(line, "exact=;") || !strings.Contains(line, "Max-Age=0") {
				t.Errorf("the cookie stays: %v", r.Header)
			}
			return true
		}
		t.Fatalf("%d from %d to %d seconds of the token's end, the upstream received %d requests", r.Status, before-exp, after-exp, len(seen))
		return false
	})
	if held == 0 {
		t.Error("the session never held")
	}
	// What a leeway lets pass has ended all the same: it begins nothing.
	late := oktaToken(s, map[string]any{"exp": tokens.In(-500), "email": "alice@example.com", "email_verified": true})
	if r, seen := s.ask(t, "/portal", "Authorization: Bearer "+late); r.Status != 200 || len(seen) != 1 || len(r.Header["Set-Cookie"]) != 0 {
		t.Errorf("a token that ended 500 seconds ago, leeway 1000: %d, sets %d cookies", r.Status, len(r.Header["Set-Cookie"]))
	}
}

// oktaImplicit is a page that got a token by the implicit flow, which is nothing of
// ours: what it sends once the browser then has a session for.
func oktaImplicit(t *testing.T, s *site) {
	p := s.person(t)
	p.open(s.at("app.example", "/default"))
	if f, seen := p.fetch("/exact", nil); f.Status != 401 || len(seen) != 0 || p.cookie("exact") != nil {
		t.Fatalf("without a token: %d", f.Status)
	}
	grants := s.idp.Count("token")
	token := oktaToken(s, map[string]any{"cid": "a page's client"})
	f, seen := p.fetch("/exact", map[string]any{"headers": map[string]string{"Authorization": "Bearer " + token}})
	c := p.cookie("exact")
	if f.Status != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != "dora" || c == nil || !c.HttpOnly || c.Domain != "app.example" {
		t.Fatalf("with the token: %d, the cookies are %v", f.Status, p.context.Cookies())
	}
	for range 4 {
		f, seen := p.fetch("/exact", nil)
		if f.Status != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != "dora" || seen[0].Header("Authorization") != "Bearer "+token {
			t.Errorf("the cookie alone: %d %v", f.Status, seen)
		}
	}
	// A page that somebody opens has the session too, and is led nowhere.
	if v := p.open(s.at("app.example", "/exact")); len(v.Chain) != 1 || v.Status != 200 || v.one(t).Header("X-Credential-Identifier") != "dora" {
		t.Errorf("%v", v.Chain)
	}
	// Others have not.
	if v := s.person(t).open(s.at("app.example", "/exact")); v.Chain[0].Status != 302 || len(v.upstream) != 0 {
		t.Errorf("somebody else: %v", v.Chain)
	}
	if s.idp.Count("token") != grants {
		t.Error("the provider was asked for tokens")
	}
}
