//go:build real

package logins

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

const oktaSecret = "okta secret"

// oktaRoutes are added to the example: what one setting does is seen beside the same
// without it.
const oktaRoutes = `
  - name: exact
    paths: [/exact]
    strip_path: false
    plugins: [{name: openid-connect, config: {issuer: ${ISSUER}, client_id: [first, second], client_secret: [okta secret, other], auth_methods: [session, bearer, authorization_code], scopes: [openid], session_cookie_name: exact}}]
  - name: dotted
    paths: [/dotted]
    strip_path: false
    plugins: [{name: openid-connect, config: {issuer: ${ISSUER}, client_id: [first], client_secret: [okta secret], consumer_claim: [user.login], consumer_by: [custom_id], session_cookie_name: dotted}}]
  - name: tls
    paths: [/tls]
    strip_path: false
    plugins: [{name: openid-connect, config: {issuer: ${TLS}, client_id: [first], client_secret: [okta secret], ssl_verify: false, session_cookie_name: tls}}]
  - name: tls-verified
    paths: [/verified]
    strip_path: false
    plugins: [{name: openid-connect, config: {issuer: ${TLS}, client_id: [first], client_secret: [okta secret], session_cookie_name: verified}}]
  - {name: split-api, hosts: [api.portal.test], paths: [/split], strip_path: false, plugins: [${SPLIT}]}
  - {name: split-gui, hosts: [gui.portal.test], paths: [/gui], strip_path: false, plugins: [${SPLIT}]}
`

const oktaSplit = `{name: openid-connect, config: {issuer: ${ISSUER}, client_id: [first], client_secret: [okta secret], redirect_uri: "http://gui.portal.test:${PORT}/gui", session_cookie_domain: .portal.test, authorization_cookie_domain: .portal.test, session_cookie_name: split}}`

// okta starts examples/okta with the provider's addresses and the routes beside it.
func okta(t *testing.T, host string, b *browser.Browser, secure *idp.Server) *site {
	t.Helper()
	up, p := echo.Start(t), idp.Start(t)
	p.Shape(idp.Okta)
	for _, c := range []idp.Client{{ID: "first", Secret: oktaSecret}, {ID: "second", Secret: "other"}} {
		p.AddClient(c)
	}
	for name, email := range map[string]string{"alice": "alice@example.com", "dora": "dora@example.com",
		"carl": "44444444-4444-4444-8444-444444444444", "bob": "bob@example.com", "eve": "alice@example.com"} {
		p.AddUser(idp.User{Name: name, Password: name, Subject: "00u-" + name, Claims: map[string]any{
			"email": email, "email_verified": name != "eve", "user.login": name + "@login.example"}})
	}
	t.Setenv("OKTA_CLIENT_ID", "first")
	t.Setenv("OKTA_CLIENT_SECRET", oktaSecret)
	more := strings.NewReplacer("${SPLIT}", oktaSplit).Replace(oktaRoutes)
	more = strings.NewReplacer("${ISSUER}", p.Issuer(), "${TLS}", secure.Issuer()).Replace(more)
	file := read(t, "okta/kong.yml", "http://localhost:3000", up.URL, "https://dev-1234.okta.com/oauth2/default", p.Issuer(),
		"http://localhost:8003", "http://app.example:${PORT}", "\nconsumers:\n", more+"\nconsumers:\n- {username: carl, id: 44444444-4444-4444-8444-444444444444}\n- {username: by-login, custom_id: alice@login.example}\n")
	return start(t, host, file, up, p, b)
}

func TestOkta(t *testing.T) {
	secure := idp.StartTLS(t)
	secure.Shape(idp.Okta)
	secure.AddUser(idp.User{Name: "alice", Password: "alice", Subject: "00u-alice"})
	b := browser.Start(t, secure.Certificate())
	inBoth(t, func(t *testing.T, host string) {
		s := okta(t, host, b, secure)
		for _, c := range []struct {
			name string
			test func(t *testing.T, s *site)
		}{
			{"S3-01_leeway", oktaLeeway},
			{"S3-02_consumer_by", oktaConsumers},
			{"S3-03_scopes", oktaScopes},
			{"S3-04_logout_query_arg", oktaLogout},
			{"S3-05_clients_by_index", oktaClients},
			{"S3-06_login_redirect", oktaRedirect},
			{"S3-07_logout_redirect_uri", oktaLogout},
			{"S3-08_claim_with_a_dot", oktaDots},
			{"S3-09_forbidden_redirect_uri", oktaForbidden},
			{"S3-10_discovery_url", oktaDiscovery},
			{"S3-11_ssl_verify_false", func(t *testing.T, s *site) { oktaTLS(t, s, secure) }},
			{"S3-13_authorization_code_only", oktaCodeOnly},
			{"S3-17_split_domains", oktaSplitDomains},
			{"S4-09_bearer_starts_a_session", oktaBearer},
			{"S4-12_implicit_token_starts_a_session", oktaImplicit},
		} {
			t.Run(c.name, func(t *testing.T) {
				s.idp.FlowFault()
				c.test(t, s)
			})
		}
	})
}

// enter signs in at the example's route and ends where its login_redirect_uri says.
func (p *person) enter(user string) visit {
	p.t.Helper()
	p.begin(p.s.at("app.example", "/portal"))
	return p.signIn(user, user)
}

func oktaLeeway(t *testing.T, s *site) {
	s.idp.Set(func(o *idp.Options) { o.IDLifetime, o.AccessLifetime = -500*time.Second, time.Hour })
	defer s.idp.Set(func(o *idp.Options) { o.IDLifetime, o.AccessLifetime = 5*time.Minute, 5*time.Minute })
	p := s.person(t)
	if v := p.enter("alice"); v.Status != 200 || !strings.HasPrefix(v.URL, s.at("app.example", "/default?")) {
		t.Fatalf("an ID token that ended 500 seconds ago, leeway 1000: %d at %s: %s", v.Status, bare(v.URL), p.Text())
	}
	if v := p.open(s.at("app.example", "/portal")); v.one(t).Header("X-Consumer-Username") != "alice@example.com" {
		t.Errorf("the upstream received %v", v.upstream)
	}
	q := s.person(t)
	q.begin(s.at("app.example", "/exact"))
	q.refused(q.signIn("alice", "alice"), 401, "token_expired")
	s.idp.Set(func(o *idp.Options) { o.IDLifetime = -1500 * time.Second })
	q = s.person(t)
	q.refused(q.enter("alice"), 401, "token_expired")
}

func oktaConsumers(t *testing.T, s *site) {
	for user, consumer := range map[string]string{"alice": "alice@example.com", "dora": "dora", "carl": "carl"} {
		p := s.person(t)
		p.enter(user)
		got := p.open(s.at("app.example", "/portal")).one(t)
		if got.Header("X-Consumer-Username") != consumer || got.Header("X-Consumer-Id") == "" {
			t.Errorf("%s: the upstream received the consumer %q", user, got.Header("X-Consumer-Username"))
		}
		testenv.Evidence(t, "%s: %s is the consumer %s", s.Host, user, got.Header("X-Consumer-Username"))
	}
}

func oktaScopes(t *testing.T, s *site) {
	p := s.person(t)
	p.enter("alice")
	if got := s.last(t, "authorize").Form.Get("scope"); got != "openid profile email offline_access" {
		t.Errorf("the provider was asked for %q", got)
	}
	scp, _ := payload(t, bearer(t, p.open(s.at("app.example", "/portal")).one(t)))["scp"].([]any)
	if len(scp) != 4 {
		t.Errorf("the upstream received a token with scp %v", scp)
	}
}

func oktaLogout(t *testing.T, s *site) {
	p := s.person(t)
	p.enter("alice")
	logouts := s.idp.Count("end_session")
	// Only the method that is named, and only with the argument.
	if f, seen := p.fetch("/portal?logout=true", map[string]any{"method": "POST"}); f.Status != 200 || len(seen) != 1 {
		t.Errorf("POST: %d, the upstream received %d requests", f.Status, len(seen))
	}
	if len(p.own()) != 1 {
		t.Errorf("cookies after a POST: %v", p.own())
	}
	v := p.open(s.at("app.example", "/portal?logout=true"))
	first := v.Chain[0]
	to, err := url.Parse(first.Header.Get("Location"))
	if err != nil || first.Status != 302 || !strings.HasPrefix(first.Header.Get("Location"), s.idp.Endpoint("end_session")) {
		t.Fatalf("logout: %d to %s", first.Status, bare(first.Header.Get("Location")))
	}
	q := to.Query()
	if q.Get("id_token_hint") == "" || q.Get("post_logout_redirect_uri") != s.at("app.example", "/default") || s.idp.Count("end_session") != logouts+1 {
		t.Errorf("the provider was asked with %s, %d times", bare(to.String()), s.idp.Count("end_session")-logouts)
	}
	if v.URL != s.at("app.example", "/default") || v.Status != 200 || len(p.own()) != 0 {
		t.Errorf("ends at %s with %d and the cookies %v", bare(v.URL), v.Status, p.own())
	}
	// The provider has forgotten, too: the next visit is a form again.
	p.begin(s.at("app.example", "/portal"))
}

func oktaClients(t *testing.T, s *site) {
	p := s.person(t)
	p.login(s.at("app.example", "/exact"), "alice", "alice")
	call := s.last(t, "token")
	if call.ClientID != "first" || call.Status != 200 || s.last(t, "authorize").Form.Get("client_id") != "first" {
		t.Errorf("the provider was asked by %s, answered %d", call.ClientID, call.Status)
	}
	testenv.Evidence(t, "%s: of two clients the first, with its own secret", s.Host)
}

func oktaRedirect(t *testing.T, s *site) {
	p := s.person(t)
	v := p.enter("alice")
	callback := v.Chain[len(v.Chain)-2]
	u, err := url.Parse(v.URL)
	if err != nil || callback.Status != 302 || u.Path != "/default" || v.Status != 200 {
		t.Fatalf("ends at %s with %d, by %d", bare(v.URL), v.Status, callback.Status)
	}
	if got := payload(t, u.Query().Get("id_token")); got["sub"] != "00u-alice" || u.Query().Get("access_token") != "" || len(u.Query()) != 1 {
		t.Errorf("the query has %v", bare(v.URL))
	}
	if got := v.one(t); !strings.HasPrefix(got.Target, "/default?id_token=") {
		t.Errorf("the upstream received %s", bare(got.Target))
	}
}

func oktaDots(t *testing.T, s *site) {
	p := s.person(t)
	p.enter("alice")
	f, seen := p.fetch("/portal", map[string]any{"headers": map[string]string{"X-User-Login": "root"}})
	if f.Status != 200 || len(seen) != 1 || seen[0].Header("X-User-Login") != "alice@login.example" {
		t.Errorf("%d, the upstream received %v", f.Status, seen)
	}
	if claims := payload(t, bearer(t, &seen[0])); claims["user.login"] != nil {
		t.Errorf("the access token has the claim too: this shows nothing")
	}
	testenv.Evidence(t, "%s: the upstream received X-User-Login of the ID token's user.login", s.Host)
	// The consumer is found by the same claim.
	q := s.person(t)
	if got := q.login(s.at("app.example", "/dotted"), "alice", "alice").one(t); got.Header("X-Consumer-Username") != "by-login" {
		t.Errorf("the upstream received the consumer %q", got.Header("X-Consumer-Username"))
	}
	q = s.person(t)
	q.begin(s.at("app.example", "/dotted"))
	q.refused(q.signIn("bob", "bob"), 403, "consumer_missing")
}

func oktaForbidden(t *testing.T, s *site) {
	for _, user := range []string{"bob", "eve"} { // no consumer; an address that nobody has verified
		p := s.person(t)
		p.enter(user)
		v := p.open(s.at("app.example", "/portal"))
		if len(v.Chain) != 2 || v.Chain[0].Status != 302 || v.URL != s.at("app.example", "/unauthorized") || v.one(t).Target != "/unauthorized" {
			t.Errorf("%s: %v", user, v.Chain)
		}
	}
}

func oktaDiscovery(t *testing.T, s *site) {
	uri := s.last(t, "discovery").URI
	if uri != "/oauth2/default/.well-known/openid-configuration" {
		t.Errorf("discovery was asked at %s", uri)
	}
	p := s.person(t)
	if v := p.enter("alice"); v.Status != 200 || len(v.upstream) != 1 {
		t.Errorf("%d", v.Status)
	}
	testenv.Evidence(t, "%s: the issuer was given as the URL of its discovery, which was asked at %s", s.Host, uri)
}

func oktaTLS(t *testing.T, s *site, secure *idp.Server) {
	before := secure.Count("token")
	p := s.person(t)
	v := p.open(s.at("app.example", "/tls"))
	if !strings.HasPrefix(v.Chain[0].Header.Get("Location"), secure.Endpoint("authorize")) {
		t.Fatalf("%v", v.Chain)
	}
	if v = p.signIn("alice", "alice"); v.Status != 200 || v.one(t).Header("X-Credential-Identifier") == "" || secure.Count("token") != before+1 {
		t.Fatalf("%d: %s", v.Status, p.Text())
	}
	if said := s.Check(); !strings.Contains(said, "ssl_verify: is false") {
		t.Errorf("check says %s", said)
	}
	// Verified, the same provider is nobody's: 503, and nothing was asked of it.
	q := s.person(t)
	q.refused(q.open(s.at("app.example", "/verified")), 503, "issuer_unavailable")
}

func oktaCodeOnly(t *testing.T, s *site) {
	s.idp.Set(func(o *idp.Options) { o.AccessLifetime = 2 * time.Second })
	p := s.person(t)
	p.login(s.at("app.example", "/exact"), "bob", "bob")
	s.idp.Set(func(o *idp.Options) { o.AccessLifetime = 5 * time.Minute })
	codes := s.idp.Count("authorize")
	testenv.Eventually(t, 15*time.Second, "a refreshed token", func() bool {
		f, _ := p.fetch("/exact", nil)
		calls := s.idp.Calls("token")
		return f.Status == 200 && calls[len(calls)-1].Form.Get("grant_type") == "refresh_token"
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

func oktaSplitDomains(t *testing.T, s *site) {
	p := s.person(t)
	link := s.at("api.portal.test", "/split")
	v := p.login(link, "alice", "alice")
	callback := v.Chain[len(v.Chain)-2]
	if !strings.HasPrefix(callback.URL, s.at("gui.portal.test", "/gui?")) || callback.Status != 303 || v.one(t).Target != "/split" {
		t.Errorf("the way back is %v", v.Chain)
	}
	var domain string
	for _, c := range p.context.Cookies() {
		if c.Name == "split" {
			domain = c.Domain
		}
	}
	if domain != ".portal.test" {
		t.Errorf("the cookie's domain is %q", domain)
	}
	grants := s.idp.Count("token")
	if v := p.open(s.at("gui.portal.test", "/gui")); len(v.Chain) != 1 || v.Status != 200 || v.one(t).Host == "" || s.idp.Count("token") != grants {
		t.Errorf("the other subdomain: %v", v.Chain)
	}
}

func oktaBearer(t *testing.T, s *site) {
	bearerSession(t, s, map[string]any{"sub": "machine", "scp": []string{"read"}})
}

// oktaImplicit has a token that some page got by the implicit flow.
func oktaImplicit(t *testing.T, s *site) {
	bearerSession(t, s, map[string]any{"sub": "page", "cid": "a page's client", "scope": "openid"})
}

// bearerSession sends a token once, and then only the cookie that it brought.
func bearerSession(t *testing.T, s *site, claims map[string]any) {
	token := s.idp.Token("k1", claims)
	ask := func(lines ...string) (*testenv.Response, []echo.Request) {
		before := s.up.Total()
		r := testenv.Raw(t, s.Addr, testenv.Request("GET", "/exact", lines...))
		seen := s.up.Since(before)
		var who []string
		for _, u := range seen {
			who = append(who, u.Header("X-Credential-Identifier"))
		}
		testenv.Evidence(t, "%s: GET /exact with %d headers -> %d, sets %d cookies, the upstream received %v; the provider so far: %s", s.Host,
			len(lines), r.Status, len(r.Header["Set-Cookie"]), who, s.asked())
		return r, seen
	}
	grants := s.idp.Count("token")
	r, seen := ask("Authorization: Bearer " + token)
	if r.Status != 200 || len(seen) != 1 || len(r.Header["Set-Cookie"]) != 1 || !strings.HasPrefix(r.Header.Get("Set-Cookie"), "exact=1.") {
		t.Fatalf("%d %v", r.Status, r.Header)
	}
	cookie, _, _ := strings.Cut(r.Header.Get("Set-Cookie"), ";")
	for range 3 {
		r, seen := ask("Cookie: " + cookie)
		if r.Status != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != claims["sub"] ||
			seen[0].Header("Authorization") != "Bearer "+token || seen[0].Header("Cookie") != "" {
			t.Errorf("the cookie alone: %d %v", r.Status, seen)
		}
	}
	if r, _ := ask(); r.Status != 401 {
		t.Errorf("nothing: %d", r.Status)
	}
	if r, _ := ask("Cookie: access_token=" + token); r.Status != 401 || len(r.Header["Set-Cookie"]) != 0 {
		t.Errorf("the token as a cookie: %d %v", r.Status, r.Header)
	}
	if s.idp.Count("token") != grants {
		t.Error("the provider's token endpoint was asked")
	}
	// Somebody else's token does not take the place of a session.
	other := s.idp.Token("k1", map[string]any{"sub": "somebody else"})
	if r, seen := ask("Cookie: "+cookie, "Authorization: Bearer "+other); r.Status != 200 || len(r.Header["Set-Cookie"]) != 0 ||
		seen[0].Header("X-Credential-Identifier") != claims["sub"] {
		t.Errorf("a session and another's token: %d %v", r.Status, seen)
	}
}
