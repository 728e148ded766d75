//go:build real

package logins

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

const (
	project   = idp.DescopeProject
	accessKey = "K2 access key & more"
)

// alice is somebody at Descope, whose tokens say who may use them only when asked.
func alice(more map[string]any) idp.User {
	access := map[string]any{"groups": []string{"staff", "billing admins"}}
	for name, value := range more {
		access[name] = value
	}
	return idp.User{Name: "alice", Password: "in wonderland", Subject: "U2alice", AccessClaims: access,
		Claims: map[string]any{"email": "alice@example.com", "groups": []string{"of the ID token"}}}
}

// descope starts examples/descope.
func descope(t *testing.T, host string, b *browser.Browser) *site {
	t.Helper()
	up, p := echo.Start(t), idp.Start(t)
	p.Shape(idp.Descope)
	p.AddUser(alice(nil))
	t.Setenv("DESCOPE_ISSUER_URL", p.Issuer())
	t.Setenv("DESCOPE_CLIENT_ID", project)
	t.Setenv("DESCOPE_CLIENT_SECRET", accessKey)
	s := start(t, host, read(t, "descope/kong.yml", "http://localhost:3000", up.URL), up, p, b)
	s.register("/echo", "app.example")
	return s
}

// register says at the provider to which names of the gateway it may send browsers.
func (s *site) register(path string, names ...string) {
	client := idp.Client{ID: project, Secret: accessKey, AuthMethod: "client_secret_post"}
	for _, name := range names {
		client.RedirectURIs = append(client.RedirectURIs, s.at(name, path))
	}
	s.idp.AddClient(client)
}

func TestDescope(t *testing.T) {
	b := browser.Start(t)
	inBoth(t, func(t *testing.T, host string) {
		s := descope(t, host, b)
		for _, c := range []struct {
			name string
			test func(t *testing.T, s *site)
		}{
			{"S0-01_redirects_to_the_provider", descopeRedirects},
			{"S0-02_only_authorization_code", descopeOnlyCode},
			{"S0-03_comes_back_to_the_same_path", descopeComesBack},
			{"S0-04_tokens_before_the_upstream", descopeTokens},
			{"S0-05_display_errors", descopeErrors},
			{"S0-06_client_secret_post", descopePost},
			{"S0-07_dotted_scopes", descopeScopes},
			{"S0-08_placeholders", descopePlaceholders},
			{"S0-09_azp", descopeParty},
			{"S0-10_groups_of_the_access_token", descopeGroups},
			{"S0-13_another_address", descopeMoves},
			{"S0-14_wildcard_names", descopeWildcard},
			{"S0-15_endpoint_with_a_query", descopeQuery},
			{"S0-16_session", descopeSession},
		} {
			t.Run(c.name, func(t *testing.T) {
				s.idp.FlowFault()
				s.idp.AddUser(alice(nil))
				c.test(t, s)
			})
		}
	})
}

func descopeRedirects(t *testing.T, s *site) {
	p := s.person(t)
	for _, target := range []string{"/echo", "/echo/deeper?x=1"} {
		v := p.open(s.at("app.example", target))
		first := v.Chain[0]
		if first.Status != 302 || !strings.HasPrefix(first.Header.Get("Location"), s.idp.Endpoint("authorize")+"?") || len(v.upstream) != 0 {
			t.Fatalf("%s: %v, the upstream was called %d times", target, first, len(v.upstream))
		}
		if first.Header.Get("Cache-Control") != "no-store" || first.Header.Get("X-Request-Id") == "" {
			t.Errorf("%v", first.Header)
		}
		sets := first.Header["Set-Cookie"]
		if len(sets) != 1 || !strings.HasPrefix(sets[0], "authorization_") || !strings.Contains(sets[0], "; HttpOnly") ||
			!strings.Contains(sets[0], "; SameSite=Lax") || len(first.Refused) != 0 {
			t.Errorf("sets %q, refused %q", sets, first.Refused)
		}
	}
	// pathType: Prefix goes by elements of the path.
	if v := p.open(s.at("app.example", "/echoes")); v.Status != 404 || !strings.Contains(p.Text(), "no Route matched") || len(v.upstream) != 0 {
		t.Errorf("/echoes: %d %s", v.Status, p.Text())
	}
}

func descopeOnlyCode(t *testing.T, s *site) {
	// A token that is good, by every check there is.
	p := s.person(t)
	v := p.login(s.at("app.example", "/echo"), "alice", "in wonderland")
	token := bearer(t, v.one(t))
	before, codes := s.up.Total(), s.idp.Count("authorize")
	for _, lines := range [][]string{
		{"Authorization: Bearer " + token},
		{"Authorization: Basic " + "YWxpY2U6aW4gd29uZGVybGFuZA=="},
		{"X-Access-Token: " + token},
	} {
		r := testenv.Raw(t, s.Addr, testenv.Request("GET", "/echo?access_token="+token, append(lines, "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty")...))
		testenv.Evidence(t, "%s: a script with %.24s… -> %d %s, the upstream was called %d times", s.Host, lines[0], r.Status, r.Body, s.up.Total()-before)
		if r.Status != 401 || r.Header.Get("WWW-Authenticate") != "Bearer" || s.up.Total() != before ||
			!strings.Contains(r.Body, `"reason":"credential_missing"`) || len(r.Header["Set-Cookie"]) != 0 {
			t.Errorf("%.24s…: %d %v %s", lines[0], r.Status, r.Header, r.Body)
		}
	}
	if n := s.idp.Count("authorize") - codes; n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	if grants := s.idp.Calls("token"); grants[len(grants)-1].Form.Get("grant_type") != "authorization_code" {
		t.Errorf("%v", grants[len(grants)-1].Form)
	}
}

func descopeComesBack(t *testing.T, s *site) {
	p := s.person(t)
	link := s.at("app.example", "/echo")
	p.begin(link)
	authorize := s.last(t, "authorize")
	if got := authorize.Form.Get("redirect_uri"); got != link {
		t.Errorf("redirect_uri is %q, want %q", got, link)
	}
	v := p.signIn("alice", "in wonderland")
	var chain []string
	for _, r := range v.Chain {
		chain = append(chain, fmt.Sprint(r.Method, " ", bare(r.URL), " ", r.Status))
	}
	want := []string{"POST " + bare(v.Chain[0].URL) + " 302", "GET " + link + "?code&state 303", "GET " + link + " 200"}
	if fmt.Sprint(chain) != fmt.Sprint(want) || v.URL != link {
		t.Fatalf("the way back is %q, want %q", chain, want)
	}
	got := v.one(t)
	if !strings.Contains(p.Text(), `"target":"/echo"`) || got.Target != "/echo" {
		t.Errorf("the browser shows %s", p.Text())
	}
	token := s.last(t, "token")
	if token.Status != 200 || token.Form.Get("redirect_uri") != link || token.Form.Get("code_verifier") == "" ||
		authorize.Form.Get("code_challenge_method") != "S256" || authorize.Form.Get("nonce") == "" {
		t.Errorf("the code was redeemed with %d %v", token.Status, token.Error)
	}
	for _, c := range strings.Split(got.Header("Cookie"), "; ") {
		if strings.HasPrefix(c, "session") || strings.HasPrefix(c, "authorization") {
			t.Errorf("the upstream received the cookie %.20s…", c)
		}
	}
}

func descopeTokens(t *testing.T, s *site) {
	link := s.at("app.example", "/echo")
	p := s.person(t)
	before := s.idp.Count("token")
	v := p.login(link, "alice", "in wonderland")
	got := v.one(t)
	claims := payload(t, bearer(t, got))
	if n := s.idp.Count("token") - before; n != 1 || claims["iss"] != s.idp.Issuer() || claims["sub"] != "U2alice" ||
		got.Header("X-Credential-Identifier") != "U2alice" {
		t.Errorf("%d token requests, the upstream received a token of %v and %q", n, claims, got.Header("X-Credential-Identifier"))
	}
	// Both are validated: neither of these reaches the upstream.
	for fault, reason := range map[idp.Fault]string{
		idp.IDTampered: "signature_invalid", idp.IDMissing: "id_token_missing", idp.NonceWrong: "nonce_mismatch",
		idp.IDWrongAud: "audience_mismatch", idp.IDExpired: "token_expired", idp.IDWrongAtHash: "access_token_hash_mismatch",
		idp.TokenNoAccess: "issuer_unavailable",
	} {
		s.idp.FlowFault(fault)
		q := s.person(t)
		q.begin(link)
		v := q.signIn("alice", "in wonderland")
		status := 401
		if reason == "issuer_unavailable" {
			status = 503
		}
		q.refused(v, status, reason)
		if q.own()["session"] != nil {
			t.Errorf("%s: there is a session", fault)
		}
	}
}

func descopeErrors(t *testing.T, s *site) {
	link := s.at("app.example", "/echo")
	s.idp.FlowFault(idp.AuthorizeDenied)
	p := s.person(t)
	v := p.open(link)
	p.refused(v, 401, "login_refused")
	var title string
	p.Eval("document.title", &title)
	if title == "owned" || !strings.Contains(p.Text(), `<script>document.title="owned"</script>`) {
		t.Errorf("the provider's word is not shown as it stands: %q, %s", title, p.Text())
	}
	testenv.Evidence(t, "%s: the provider's description is a text on the page, not a script", s.Host)
	// Programs get it as JSON, with the reason. The page itself may ask for nothing.
	if f, _ := p.fetch("/echo", nil); f.Status != 0 {
		t.Errorf("a script on an error page got %d", f.Status)
	}
	before := s.up.Total()
	r := testenv.Raw(t, s.Addr, testenv.Request("GET", "/echo", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"))
	testenv.Evidence(t, "%s: a program: GET /echo -> %d %s, the upstream was called %d times", s.Host, r.Status, r.Body, s.up.Total()-before)
	if r.Status != 401 || s.up.Total() != before || !strings.Contains(r.Body, `"message":"Unauthorized"`) ||
		!strings.Contains(r.Body, `"reason":"credential_missing"`) || !strings.Contains(r.Body, `"request_id":"`) {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func descopePost(t *testing.T, s *site) {
	s.person(t).login(s.at("app.example", "/echo"), "alice", "in wonderland")
	call := s.last(t, "token")
	if call.AuthMethod != "client_secret_post" || call.Form.Get("client_id") != project || call.Form.Get("client_secret") != accessKey ||
		call.Header.Get("Authorization") != "" || call.Status != 200 || strings.Contains(call.URI, "?") {
		t.Errorf("the client said %s: %s, answered %d %s", call.AuthMethod, call.URI, call.Status, call.Detail)
	}
	testenv.Evidence(t, "%s: the provider received client_id and client_secret in the body of %s %s", s.Host, call.Method, call.URI)
}

func descopeScopes(t *testing.T, s *site) {
	v := s.person(t).login(s.at("app.example", "/echo"), "alice", "in wonderland")
	asked := s.last(t, "authorize").Form.Get("scope")
	if asked != "openid descope.custom_claims" {
		t.Errorf("scope is %q", asked)
	}
	if got := payload(t, bearer(t, v.one(t)))["scope"]; got != asked {
		t.Errorf("the upstream received a token with scope %q", got)
	}
	testenv.Evidence(t, "%s: the provider was asked for the scope %q", s.Host, asked)
}

func descopePlaceholders(t *testing.T, s *site) {
	s.person(t).login(s.at("app.example", "/echo"), "alice", "in wonderland")
	call := s.last(t, "token")
	if d := s.last(t, "discovery"); d.URI != "/"+project+"/.well-known/openid-configuration" || call.ClientID != project ||
		call.Form.Get("client_secret") != accessKey {
		t.Errorf("discovery is at %s, the client is %s", d.URI, call.ClientID)
	}
	testenv.Evidence(t, "%s: issuer, client id and secret came from the environment: %s", s.Host, s.idp.Issuer())
}

func descopeParty(t *testing.T, s *site) {
	link := s.at("app.example", "/echo")
	// Without: Descope's own default.
	v := s.person(t).login(link, "alice", "in wonderland")
	if azp := payload(t, bearer(t, v.one(t)))["azp"]; azp != nil {
		t.Fatalf("the provider gave azp %v", azp)
	}
	// With, as the article has it.
	s.idp.AddUser(alice(map[string]any{"azp": project}))
	s.idp.Set(func(o *idp.Options) { o.IDTokenAzp = true })
	defer s.idp.Set(func(o *idp.Options) { o.IDTokenAzp = false })
	v = s.person(t).login(link, "alice", "in wonderland")
	if azp := payload(t, bearer(t, v.one(t)))["azp"]; azp != project {
		t.Errorf("the upstream received azp %v", azp)
	}
	// Somebody else's, and none where there are two audiences: refused, with the reason.
	for _, fault := range []idp.Fault{idp.IDWrongAzp, idp.IDAudNoAzp, idp.IDAudWrongAzp} {
		s.idp.FlowFault(fault)
		q := s.person(t)
		q.begin(link)
		q.refused(q.signIn("alice", "in wonderland"), 401, "authorized_party_mismatch")
	}
}

func descopeGroups(t *testing.T, s *site) {
	p := s.person(t)
	v := p.login(s.at("app.example", "/echo"), "alice", "in wonderland")
	if got := v.one(t).Header("X-Authenticated-Groups"); got != "staff, billing admins" {
		t.Errorf("the upstream received the groups %q", got)
	}
	// A caller's own do not count.
	f, seen := p.fetch("/echo", map[string]any{"headers": map[string]string{"X-Authenticated-Groups": "root"}})
	if f.Status != 200 || len(seen) != 1 || seen[0].Header("X-Authenticated-Groups") != "staff, billing admins" {
		t.Errorf("%d %v", f.Status, seen)
	}
	// No groups, no header: the ID token's are not taken.
	s.idp.AddUser(alice(map[string]any{"groups": nil}))
	v = s.person(t).login(s.at("app.example", "/echo"), "alice", "in wonderland")
	if got, there := v.one(t).Headers["X-Authenticated-Groups"]; there {
		t.Errorf("the upstream received the groups %q", got)
	}
	testenv.Evidence(t, "%s: the upstream received X-Authenticated-Groups of the access token, and none when it has none", s.Host)
}

// descopeMoves gives the gateway another address: all that changes is what the
// provider has registered.
func descopeMoves(t *testing.T, s *site) {
	defer s.register("/echo", "app.example")
	link := s.at("moved.test", "/echo")
	p := s.person(t)
	v := p.open(link)
	if v.Status != 400 || s.last(t, "authorize").Form.Get("redirect_uri") != link || !strings.Contains(p.Text(), "redirect_uri is not registered") {
		t.Fatalf("not registered: %d %s", v.Status, p.Text())
	}
	s.register("/echo", "moved.test")
	if got := s.person(t).login(link, "alice", "in wonderland").one(t); got.Header("X-Credential-Identifier") != "U2alice" {
		t.Errorf("the upstream received %v", got.Headers)
	}
}

func descopeWildcard(t *testing.T, s *site) {
	defer s.register("/echo", "app.example")
	names := []string{"192-0-2-1.nip.example", "127-0-0-1.sslip.test", "app.example"}
	s.register("/echo", names...)
	p := s.person(t)
	for i, name := range names {
		link := s.at(name, "/echo")
		v := p.again(i, link)
		if call := s.last(t, "authorize"); call.Form.Get("redirect_uri") != link {
			t.Errorf("redirect_uri is %q, want %q", call.Form.Get("redirect_uri"), link)
		}
		if v.URL != link || v.one(t).Header("X-Credential-Identifier") != "U2alice" {
			t.Errorf("ends at %s", v.URL)
		}
	}
}

// again signs in for the first address; for others the provider remembers.
func (p *person) again(i int, link string) visit {
	p.t.Helper()
	if i == 0 {
		return p.login(link, "alice", "in wonderland")
	}
	return p.open(link)
}

func descopeQuery(t *testing.T, s *site) {
	p := s.person(t)
	v := p.begin(s.at("app.example", "/echo"))
	to, err := url.Parse(v.Chain[0].Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	q := to.Query()
	for name, n := range map[string]int{"flow": 1, "client_id": 1, "state": 1, "nonce": 1, "code_challenge": 1, "scope": 1, "response_type": 1} {
		if len(q[name]) != n {
			t.Errorf("the authorization request has %s %d times: %s", name, len(q[name]), bare(to.String()))
		}
	}
	if q.Get("flow") != "oidc-flow" || strings.Count(to.String(), "?") != 1 {
		t.Errorf("the query of the endpoint is gone: %s", bare(to.String()))
	}
	p.signIn("alice", "in wonderland")
	testenv.Evidence(t, "%s: the provider was asked with %s", s.Host, bare(to.String()))
}

func descopeSession(t *testing.T, s *site) {
	link := s.at("app.example", "/echo")
	p := s.person(t)
	p.login(link, "alice", "in wonderland")
	c := p.own()["session"]
	if c == nil || !c.HttpOnly || c.Path != "/" || c.Domain != "app.example" || len(p.own()) != 1 {
		t.Fatalf("the cookies are %v", p.own())
	}
	codes, grants := s.idp.Count("authorize"), s.idp.Count("token")
	for _, target := range []string{"/echo", "/echo/more?x=1"} {
		v := p.open(s.at("app.example", target))
		if len(v.Chain) != 1 || v.Status != 200 || v.one(t).Target != target || v.one(t).Header("X-Credential-Identifier") != "U2alice" {
			t.Errorf("%s again: %v", target, v.Chain)
		}
	}
	if f, seen := p.fetch("/echo", map[string]any{"method": "POST", "body": "x"}); f.Status != 200 || len(seen) != 1 || seen[0].Body != "x" {
		t.Errorf("a script: %d %s", f.Status, f.Body)
	}
	if s.idp.Count("authorize") != codes || s.idp.Count("token") != grants {
		t.Error("the provider was asked again")
	}
}
