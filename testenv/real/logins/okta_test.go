//go:build real

package logins

import (
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

const oktaSecret = "okta secret"

// oktaRoutes are added to the example: what one setting does is seen beside the same
// without it.
const oktaRoutes = `
  - {name: exact, paths: [/exact], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, auth_methods: [session, bearer, authorization_code], session_cookie_name: exact}}]}
  - {name: code, paths: [/code], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, auth_methods: [authorization_code], scopes: [openid, anything.at_all, offline_access], session_cookie_name: code}}]}
  - {name: consumers, paths: [/consumers], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, consumer_claim: [email], session_cookie_name: consumers}}]}
  - {name: dotted, paths: [/dotted], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, consumer_claim: [user.login], session_cookie_name: dotted}}]}
  - {name: swapped, paths: [/swapped], strip_path: false, plugins: [{name: openid-connect, config: {issuer: ${ISSUER}, client_id: [second, first], client_secret: [other, okta secret], session_cookie_name: swapped}}]}
  - {name: crossed, paths: [/crossed], strip_path: false, plugins: [{name: openid-connect, config: {issuer: ${ISSUER}, client_id: [first, second], client_secret: [other, okta secret], session_cookie_name: crossed}}]}
  - {name: aged, paths: [/aged], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, max_age: 100, leeway: 1000, session_cookie_name: aged}}]}
  - {name: aged-exact, paths: [/aged-exact], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, max_age: 100, session_cookie_name: aged-exact}}]}
  - {name: tls, paths: [/tls], strip_path: false, plugins: [{name: openid-connect, config: {issuer: ${TLS}, client_id: [first], client_secret: [okta secret], ssl_verify: false, session_cookie_name: tls}}]}
  - {name: tls-verified, paths: [/verified], strip_path: false, plugins: [{name: openid-connect, config: {issuer: ${TLS}, client_id: [first], client_secret: [okta secret], ssl_verify: true, session_cookie_name: verified}}]}
  - {name: anywhere, paths: [/anywhere], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, bearer_token_param_type: [header, query, cookie], bearer_token_cookie_name: token, session_cookie_name: anywhere}}]}
  - {name: sessionless, paths: [/sessionless], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, disable_session: [bearer], session_cookie_name: sessionless}}]}
  - {name: split-api, hosts: [api.portal.test], paths: [/split], strip_path: false, plugins: [${SPLIT}]}
  - {name: split-gui, hosts: [gui.portal.test], paths: [/gui], strip_path: false, plugins: [${SPLIT}]}
  - {name: alone-api, hosts: [api.portal.test], paths: [/alone], strip_path: false, plugins: [${ALONE}]}
  - {name: alone-gui, hosts: [gui.portal.test], paths: [/alone], strip_path: false, plugins: [${ALONE}]}
`

// The portal of two subdomains, and the same without domains for its cookies.
const (
	oktaSplit = `{name: openid-connect, config: {${CLIENT}, redirect_uri: "http://gui.portal.test:${PORT}/gui", session_cookie_domain: .portal.test, authorization_cookie_domain: .portal.test, session_cookie_name: split, logout_query_arg: logout, logout_methods: [GET]}}`
	oktaAlone = `{name: openid-connect, config: {${CLIENT}, redirect_uri: "http://gui.portal.test:${PORT}/alone", display_errors: true, session_cookie_name: alone}}`
)

// oktaPeople are who may sign in, and the address that the ID token has of them. A
// password is the name.
var oktaPeople = map[string]string{
	"alice": "alice@example.com", // a consumer's username
	"dora":  "dora@example.com",  // a consumer's custom_id
	"carl":  "44444444-4444-4444-8444-444444444444",
	"bob":   "bob@example.com",   // nobody's
	"eve":   "alice@example.com", // whom Okta has not asked whether it is hers
}

// oktaUser is one of them, whose ID token has the claim that the article adds.
func oktaUser(name string, more map[string]any) idp.User {
	claims := map[string]any{"email": oktaPeople[name], "email_verified": name != "eve", "user.login": name + "@login.example",
		"user": map[string]any{"login": "not this one"}}
	for claim, value := range more {
		claims[claim] = value
	}
	return idp.User{Name: name, Password: name, Subject: "00u-" + name, Claims: claims}
}

// okta starts examples/okta with the provider's addresses and the routes beside it.
func okta(t *testing.T, host string, b *browser.Browser, secure *idp.Server) *site {
	t.Helper()
	up, p := echo.Start(t), idp.Start(t)
	p.Shape(idp.Okta)
	p.Set(func(o *idp.Options) { o.Refresh = idp.RefreshOffline })
	t.Setenv("OKTA_CLIENT_ID", "first")
	t.Setenv("OKTA_CLIENT_SECRET", oktaSecret)
	more := strings.NewReplacer("${SPLIT}", oktaSplit, "${ALONE}", oktaAlone).Replace(oktaRoutes)
	more = strings.ReplaceAll(more, "${CLIENT}", "issuer: ${ISSUER}, client_id: [first], client_secret: [okta secret]")
	more = strings.NewReplacer("${ISSUER}", p.Issuer(), "${TLS}", secure.Issuer()).Replace(more)
	file := read(t, "okta/kong.yml", "http://localhost:3000", up.URL, "https://dev-1234.okta.com/oauth2/default", p.Issuer(),
		"http://localhost:8003", "http://app.example:${PORT}", "\nconsumers:\n", more+"\nconsumers:\n"+
			"- {username: carl, id: 44444444-4444-4444-8444-444444444444}\n- {username: dotted, custom_id: alice@login.example}\n")
	s := start(t, host, file, up, p, b)
	s.oktaReset()
	return s
}

// oktaReset has the provider behave as it is set up: it knows what it may redirect to.
func (s *site) oktaReset() {
	s.idp.FlowFault()
	s.idp.Set(func(o *idp.Options) {
		o.IDLifetime, o.AccessLifetime, o.Now = 5*time.Minute, 5*time.Minute, time.Now
	})
	uris := []string{s.at("gui.portal.test", "/gui"), s.at("gui.portal.test", "/alone")}
	for _, path := range []string{"/portal", "/exact", "/code", "/consumers", "/dotted", "/swapped", "/crossed", "/aged", "/aged-exact"} {
		uris = append(uris, s.at("app.example", path))
	}
	for id, secret := range map[string]string{"first": oktaSecret, "second": "other"} {
		s.idp.AddClient(idp.Client{ID: id, Secret: secret, RedirectURIs: uris, PostLogoutRedirectURIs: []string{s.at("app.example", "/default")}})
	}
	for name := range oktaPeople {
		s.idp.AddUser(oktaUser(name, nil))
	}
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
			{"S3-07_logout_redirect_uri", oktaAfterLogout},
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
				s.oktaReset()
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
	for _, c := range []struct {
		what string
		set  func(o *idp.Options)
		far  func(o *idp.Options) // beyond the leeway
		code string
	}{
		{"exp", func(o *idp.Options) { o.IDLifetime = -500 * time.Second }, func(o *idp.Options) { o.IDLifetime = -1500 * time.Second }, "token_expired"},
		{"iat", func(o *idp.Options) { o.Now = ahead(500 * time.Second) }, func(o *idp.Options) { o.Now = ahead(1500 * time.Second) }, "token_not_yet_valid"},
	} {
		s.oktaReset()
		s.idp.Set(c.set)
		p := s.person(t)
		if v := p.enter("alice"); v.Status != 200 || !strings.HasPrefix(v.URL, s.at("app.example", "/default?")) {
			t.Fatalf("%s off by 500 seconds, leeway 1000: %d at %s: %s", c.what, v.Status, bare(v.URL), p.Text())
		}
		if v := p.open(s.at("app.example", "/portal")); v.one(t).Header("X-Consumer-Username") != "alice@example.com" {
			t.Errorf("the upstream received %v", v.upstream)
		}
		q := s.person(t)
		q.begin(s.at("app.example", "/exact"))
		q.refused(q.signIn("alice", "alice"), 401, c.code)
		s.idp.Set(c.far)
		q = s.person(t)
		q.refused(q.enter("alice"), 401, c.code)
	}
	// auth_time, where there is a max_age.
	s.oktaReset()
	s.idp.AddUser(oktaUser("alice", map[string]any{"auth_time": tokens.In(-500)}))
	s.person(t).login(s.at("app.example", "/aged"), "alice", "alice")
	p := s.person(t)
	p.begin(s.at("app.example", "/aged-exact"))
	p.refused(p.signIn("alice", "alice"), 401, "auth_time_too_old")
	s.idp.AddUser(oktaUser("alice", map[string]any{"auth_time": tokens.In(-1500)}))
	p = s.person(t)
	p.begin(s.at("app.example", "/aged"))
	p.refused(p.signIn("alice", "alice"), 401, "auth_time_too_old")
	// The same for bearer tokens.
	s.oktaReset()
	who := map[string]any{"email": "alice@example.com", "email_verified": true}
	for _, c := range []struct {
		claims map[string]any
		target string
		status int
		reason string
	}{
		{map[string]any{"exp": tokens.In(-500)}, "/portal", 200, ""},
		{map[string]any{"exp": tokens.In(-500)}, "/exact", 401, "token_expired"},
		{map[string]any{"exp": tokens.In(-1500)}, "/portal", 401, "token_expired"},
		{map[string]any{"nbf": tokens.In(500)}, "/portal", 200, ""},
		{map[string]any{"nbf": tokens.In(500)}, "/exact", 401, "token_not_yet_valid"},
		{map[string]any{"nbf": tokens.In(1500)}, "/portal", 401, "token_not_yet_valid"},
	} {
		claims := maps.Clone(who)
		maps.Copy(claims, c.claims)
		r, seen := s.ask(t, c.target, "Authorization: Bearer "+s.idp.Token("k1", claims))
		if r.Status != c.status || (len(seen) == 1) != (c.status == 200) || c.reason != "" && s.Reason(r.RequestID()) != c.reason {
			t.Errorf("%s with %v: %d %s, the upstream received %d requests, want %d %s", c.target, c.claims, r.Status, r.Body, len(seen), c.status, c.reason)
		}
	}
}

// ahead is a clock that is ahead of this machine's.
func ahead(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }

func oktaConsumers(t *testing.T, s *site) {
	for _, c := range []struct{ user, consumer, custom string }{
		{"alice", "alice@example.com", ""}, {"dora", "dora", "dora@example.com"}, {"carl", "carl", ""},
	} {
		p := s.person(t)
		p.enter(c.user)
		got := p.open(s.at("app.example", "/portal")).one(t)
		if got.Header("X-Consumer-Username") != c.consumer || got.Header("X-Consumer-Custom-Id") != c.custom || got.Header("X-Consumer-Id") == "" {
			t.Errorf("%s: the upstream received %v", c.user, got.Headers)
		}
		if c.user == "carl" && got.Header("X-Consumer-Id") != oktaPeople["carl"] {
			t.Errorf("carl is %s", got.Header("X-Consumer-Id"))
		}
		testenv.Evidence(t, "%s: %s is the consumer %s", s.Host, c.user, got.Header("X-Consumer-Username"))
	}
	// Without consumer_by, an id is nobody.
	p := s.person(t)
	p.begin(s.at("app.example", "/consumers"))
	p.refused(p.signIn("carl", "carl"), 403, "consumer_missing")
	s.person(t).login(s.at("app.example", "/consumers"), "dora", "dora")
}

func oktaScopes(t *testing.T, s *site) {
	s.idp.Set(func(o *idp.Options) { o.AccessLifetime = 4 * time.Second })
	p := s.person(t)
	p.enter("alice")
	if got := s.last(t, "authorize").Form.Get("scope"); got != "openid profile email offline_access" {
		t.Errorf("the provider was asked for %q", got)
	}
	first := bearer(t, p.open(s.at("app.example", "/portal")).one(t))
	if scp := fmt.Sprint(payload(t, first)["scp"]); scp != "[openid profile email offline_access]" {
		t.Errorf("the upstream received a token with scp %v", scp)
	}
	// With offline_access the session outlives the token; the default, openid, gives none.
	q := s.person(t)
	q.login(s.at("app.example", "/exact"), "bob", "bob")
	if got := s.last(t, "authorize").Form.Get("scope"); got != "openid" {
		t.Errorf("by default the provider was asked for %q", got)
	}
	testenv.Eventually(t, 20*time.Second, "another token", func() bool {
		f, seen := p.fetch("/portal", nil)
		return f.Status == 200 && bearer(t, &seen[0]) != first && s.last(t, "token").Form.Get("grant_type") == "refresh_token"
	})
	testenv.Eventually(t, 20*time.Second, "the end of a session without a refresh token", func() bool {
		f, seen := q.fetch("/exact", nil)
		return f.Status == 401 && len(seen) == 0 && s.Reason(f.Header.Get("X-Request-Id")) == "session_expired"
	})
}

func oktaLogout(t *testing.T, s *site) {
	p := s.person(t)
	p.enter("alice")
	c := p.own()["session"]
	if c == nil {
		t.Fatalf("the cookies are %v", p.own())
	}
	logouts := s.idp.Count("end_session")
	// Only the method that is named, and only with the argument.
	for target, method := range map[string]string{"/portal?logout=true": "POST", "/portal?logout=": "DELETE", "/portal?login=logout": "GET", "/portal/logout": "GET"} {
		if f, seen := p.fetch(target, map[string]any{"method": method}); f.Status != 200 || len(seen) != 1 || seen[0].Target != target {
			t.Errorf("%s %s: %d, the upstream received %d requests", method, target, f.Status, len(seen))
		}
	}
	if len(p.own()) != 1 || s.idp.Count("end_session") != logouts {
		t.Errorf("cookies after that: %v", p.own())
	}
	v := p.open(s.at("app.example", "/portal?logout=true"))
	first := v.Chain[0]
	if first.Status != 302 || !strings.HasPrefix(first.Header.Get("Location"), s.idp.Endpoint("end_session")+"?") || len(p.own()) != 0 ||
		first.Header.Get("Cache-Control") != "no-store" || !strings.Contains(first.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Fatalf("logout: %d %v, cookies %v", first.Status, first.Header, p.own())
	}
	if s.idp.Count("end_session") != logouts+1 || v.one(t).Target != "/default" {
		t.Errorf("the provider was told %d times, the upstream received %v", s.idp.Count("end_session")-logouts, v.upstream)
	}
	// Who has kept a copy of the cookie is nobody, in every worker.
	p.eventually("the end of the session", func() bool {
		r, seen := s.ask(t, "/portal", "Host: app.example", "Cookie: session="+c.Value)
		return r.Status == 401 && len(seen) == 0
	})
	// The provider has forgotten, too: the next visit is a form again.
	p.begin(s.at("app.example", "/portal"))
}

func oktaAfterLogout(t *testing.T, s *site) {
	p := s.person(t)
	p.enter("alice")
	after := s.at("app.example", "/default")
	v := p.open(s.at("app.example", "/portal?logout=true"))
	told := s.last(t, "end_session")
	if told.Form.Get("post_logout_redirect_uri") != after || told.Status != 302 || told.Form.Get("client_id") != "first" {
		t.Errorf("the provider was told %v, and answered %d %s", told.Form, told.Status, told.Detail)
	}
	if hint := payload(t, told.Form.Get("id_token_hint")); hint["sub"] != "00u-alice" || hint["aud"] != "first" {
		t.Errorf("the provider was given a hint of %v", hint)
	}
	if len(v.Chain) != 3 || v.URL != after || v.Status != 200 || v.one(t).Target != "/default" {
		t.Errorf("the way is %v", v.Chain)
	}
	// Whoever is logged out already gets there as well.
	if v := p.open(s.at("app.example", "/portal?logout=true")); v.URL != after || v.Status != 200 {
		t.Errorf("again: %v", v.Chain)
	}
}

func oktaClients(t *testing.T, s *site) {
	// The first is who we are, with the secret at its place in the other list.
	for target, client := range map[string]string{"/exact": "first", "/swapped": "second"} {
		p := s.person(t)
		v := p.login(s.at("app.example", target), "alice", "alice")
		call := s.last(t, "token")
		if call.ClientID != client || call.Status != 200 || call.AuthMethod != "client_secret_basic" || s.last(t, "authorize").Form.Get("client_id") != client {
			t.Errorf("%s: the provider was asked by %s with %s, answered %d", target, call.ClientID, call.AuthMethod, call.Status)
		}
		if cid := payload(t, bearer(t, v.one(t)))["cid"]; cid != client {
			t.Errorf("%s: the upstream received a token for %v", target, cid)
		}
		testenv.Evidence(t, "%s: %s: the provider was asked by %s, with its own secret", s.Host, target, call.ClientID)
	}
	p := s.person(t)
	p.begin(s.at("app.example", "/crossed"))
	p.refused(p.signIn("alice", "alice"), 503, "login_misconfigured")
	if call := s.last(t, "token"); call.ClientID != "first" || call.Status != 401 {
		t.Errorf("the provider was asked by %s, answered %d", call.ClientID, call.Status)
	}
}

func oktaRedirect(t *testing.T, s *site) {
	p := s.person(t)
	v := p.enter("alice")
	callback := v.Chain[len(v.Chain)-2]
	u, err := url.Parse(v.URL)
	if err != nil || callback.Status != 302 || !strings.HasPrefix(callback.URL, s.at("app.example", "/portal?")) || u.Path != "/default" ||
		v.Status != 200 || u.Fragment != "" || callback.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("ends at %s with %d, by %d", bare(v.URL), v.Status, callback.Status)
	}
	if got := payload(t, u.Query().Get("id_token")); got["sub"] != "00u-alice" || u.Query().Get("access_token") != "" || len(u.Query()) != 1 {
		t.Errorf("the query has %v", bare(v.URL))
	}
	if got := v.one(t); got.Target != u.RequestURI() || got.Header("Authorization") != "" {
		t.Errorf("the upstream received %s", bare(got.Target))
	}
	if p.own()["session"] == nil || len(p.own()) != 1 {
		t.Errorf("the cookies are %v", p.own())
	}
	// Then there is a session, and no more going anywhere.
	if v := p.open(s.at("app.example", "/portal/deeper?x=1")); len(v.Chain) != 1 || v.Status != 200 || v.one(t).Target != "/portal/deeper?x=1" {
		t.Errorf("%v", v.Chain)
	}
	if said := s.Check(); !strings.Contains(said, "login_redirect_mode: is query: tokens end up in logs") {
		t.Errorf("check says %s", said)
	}
}

func oktaDots(t *testing.T, s *site) {
	p := s.person(t)
	p.enter("alice")
	spoof := map[string]any{"headers": map[string]string{"X-User-Login": "root"}}
	f, seen := p.fetch("/portal", spoof)
	if f.Status != 200 || len(seen) != 1 || seen[0].Header("X-User-Login") != "alice@login.example" {
		t.Fatalf("%d, the upstream received %v", f.Status, seen)
	}
	if claims := payload(t, bearer(t, &seen[0])); claims["user.login"] != nil || claims["user"] != nil {
		t.Errorf("the access token has the claim too: this shows nothing")
	}
	testenv.Evidence(t, "%s: the upstream received X-User-Login of the ID token's user.login", s.Host)
	// Nor is the dot a step into user, which these have.
	s.idp.AddUser(oktaUser("alice", map[string]any{"user.login": nil}))
	q := s.person(t)
	q.enter("alice")
	if f, seen := q.fetch("/portal", spoof); f.Status != 200 || len(seen) != 1 || len(seen[0].Headers["X-User-Login"]) != 0 {
		t.Errorf("without the claim: %d, the upstream received %v", f.Status, seen)
	}
	// And a consumer is found by it.
	s.oktaReset()
	v := s.person(t).login(s.at("app.example", "/dotted"), "alice", "alice")
	if got := v.one(t); got.Header("X-Consumer-Username") != "dotted" || got.Header("X-Consumer-Custom-Id") != "alice@login.example" {
		t.Errorf("the upstream received %v", got.Headers)
	}
	r := s.person(t)
	r.begin(s.at("app.example", "/dotted"))
	r.refused(r.signIn("dora", "dora"), 403, "consumer_missing")
}

func oktaForbidden(t *testing.T, s *site) {
	for user, reason := range map[string]string{"bob": "consumer_missing", "eve": "email_unverified"} {
		p := s.person(t)
		p.enter(user)
		v := p.open(s.at("app.example", "/portal"))
		first := v.Chain[0]
		if len(v.Chain) != 2 || first.Status != 302 || first.Header.Get("Location") != s.at("app.example", "/unauthorized") ||
			v.URL != s.at("app.example", "/unauthorized") || v.one(t).Target != "/unauthorized" || first.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", user, v.Chain)
		}
		if got := s.Reason(first.Header.Get("X-Request-Id")); got != reason {
			t.Errorf("%s: the log says %q", user, got)
		}
		testenv.Evidence(t, "%s: %s is sent to /unauthorized: %s", s.Host, user, reason)
		// Whoever signs in as somebody else is not kept out.
		if len(p.own()) != 0 {
			t.Errorf("%s: still has %v", user, p.own())
		}
	}
	// What is not forbidden but unknown is no reason to go there.
	if r, seen := s.ask(t, "/portal"); r.Status != 401 || r.Header.Get("Location") != "" || len(seen) != 0 {
		t.Errorf("a program: %d %v", r.Status, r.Header)
	}
}

func oktaDiscovery(t *testing.T, s *site) {
	// The example has the URL, /exact the issuer alone.
	for _, d := range s.idp.Calls("discovery") {
		if d.URI != "/oauth2/default/.well-known/openid-configuration" || d.Status != 200 {
			t.Errorf("discovery was asked at %s: %d", d.URI, d.Status)
		}
	}
	testenv.Evidence(t, "%s: the issuer was given as the URL of its discovery, which was asked at %s", s.Host, s.last(t, "discovery").URI)
	p := s.person(t)
	v := p.begin(s.at("app.example", "/portal"))
	if to := v.Chain[0].Header.Get("Location"); !strings.HasPrefix(to, s.idp.Issuer()+"/v1/authorize?") {
		t.Errorf("leads to %s", bare(to))
	}
	if v := p.signIn("alice", "alice"); v.Status != 200 || len(v.upstream) != 1 {
		t.Errorf("%d", v.Status)
	}
	got := p.open(s.at("app.example", "/portal")).one(t)
	if iss := payload(t, bearer(t, got))["iss"]; iss != s.idp.Issuer() {
		t.Errorf("the upstream received a token of %v", iss)
	}
	s.person(t).login(s.at("app.example", "/exact"), "alice", "alice")
}
