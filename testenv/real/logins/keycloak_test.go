//go:build real

package logins

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/keycloak"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// scoped is a gateway for examples/keycloak-login.
type scoped struct {
	*site
	kc *keycloak.Server
}

const (
	withScope    = "Blog_with_scope"
	withoutScope = "Blog_without_scope"
	complexWord  = "veryComplexPa55word"
)

// scopedRoutes are added to the example: what a setting does is seen beside the same
// without it.
const scopedRoutes = `
  - name: bare
    paths: [/bare]
    plugins: [{name: openid-connect, config: {issuer: "${ISSUER}", client_id: [blog_post], client_secret: [a5186adc-b5e2-4501-85a8-eb19a5e1a2a3],
      ssl_verify: false, session_cookie_name: bare, authorization_cookie_name: bare_flow}}]
  - name: verified
    paths: [/verified]
    plugins: [{name: openid-connect, config: {issuer: "${ISSUER}", client_id: [blog_post], client_secret: [a5186adc-b5e2-4501-85a8-eb19a5e1a2a3],
      session_cookie_name: verified, authorization_cookie_name: verified_flow}}]
  - {name: other, paths: [/other]}
`

func startScoped(t *testing.T, host string, b *browser.Browser, kc *keycloak.Server) *scoped {
	t.Helper()
	up := echo.Start(t)
	file := read(t, "keycloak-login/kong.yml", "http://localhost:3000", up.URL, "http://localhost:8080", kc.URL, "http://localhost:8000", "http://localhost:${PORT}",
		"    - name: openid-connect\n", "    - name: openid-connect\n      instance_name: scopes\n")
	file += "        logout_query_arg: logout\n        logout_methods: [GET]\n" + strings.ReplaceAll(scopedRoutes, "${ISSUER}", kc.Issuer("kong"))
	s := &scoped{&site{Stack: stack.Start(t, host, file, stack.Options{}), up: up, browser: b}, kc}
	s.asked = func() string { return fmt.Sprintf("%d requests for tokens at Keycloak", kc.TokensAsked("kong")) }
	s.form = func(tab *browser.Tab, user, password string) browser.Navigation {
		tab.Fill("#username", user)
		tab.Fill("#password", password)
		return tab.Follow("#kc-login")
	}
	kc.SetClient(t, "kong", "blog_post", map[string]string{"backchannel.logout.url": s.at("localhost", "/.sallyport/scopes/backchannel_logout"),
		"access.token.lifespan": "300"})
	return s
}

func (s *scoped) link() string { return s.at("localhost", "/oidc") }

// with and without are people of the article.
func (s *scoped) with(t testing.TB) (*person, visit) {
	t.Helper()
	p := s.person(t)
	return p, p.login(s.link(), withScope, complexWord)
}

func (s *scoped) without(t testing.TB) (*person, visit) {
	t.Helper()
	p := s.person(t)
	p.begin(s.link())
	return p, p.signIn(withoutScope, complexWord)
}

func TestKeycloakScopes(t *testing.T) {
	kc := keycloak.StartTLS(t, map[string][]byte{"kong": []byte(read(t, "keycloak-login/realm.json", "http://localhost:8000/*", "*"))})
	b := browser.Start(t, kc.Certificate)
	inBoth(t, func(t *testing.T, host string) {
		s := startScoped(t, host, b, kc)
		for _, c := range []struct {
			name string
			test func(t *testing.T, s *scoped)
		}{
			{"S1-01_on_the_route", scopedRoute},
			{"S1-02_discovery_url", scopedDiscovery},
			{"S1-03_client", scopedClient},
			{"S1-04_ssl_verify_false", scopedTLS},
			{"S1-05_verify_signature_false", scopedForged},
			{"S1-06_consumer_claim", scopedConsumer},
			{"S1-07_consumer_optional", scopedAllowed},
			{"S1-08_redirect_uri", scopedRedirect},
			{"S1-09_with_the_scope", scopedAllowed},
			{"S1-10_without_the_scope", scopedDenied},
			{"S1-11_log_line", scopedLog},
			{"S1-12_scope_of_the_access_token", scopedAllowed},
			{"S1-13_no_local_users", scopedAllowed},
			{"S1-15_another_person", scopedAnother},
			{"S1-16_identity", scopedConsumer},
			{"logout", scopedLogout},
			{"refresh", scopedRefresh},
			{"back-channel logout", scopedBackChannel},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, s) })
		}
	})
}

func scopedRoute(t *testing.T, s *scoped) {
	_, v := s.with(t)
	if got := v.one(t); got.Target != "/anything" || got.Method != "GET" {
		t.Errorf("the upstream received %s %s", got.Method, got.Target)
	}
	// The service's other route is not guarded, and what is none is not there.
	for target, status := range map[string]int{"/other/x": 200, "/nowhere": 404} {
		before := s.up.Total()
		r := testenv.Raw(t, s.Addr, testenv.Request("GET", target))
		seen := s.up.Since(before)
		testenv.Evidence(t, "%s: GET %s -> %d, the upstream received %d requests", s.Host, target, r.Status, len(seen))
		if r.Status != status || (status == 200) != (len(seen) == 1 && seen[0].Target == "/anything/x") {
			t.Errorf("%s: %d, the upstream received %v", target, r.Status, seen)
		}
	}
}

// scopedDiscovery gives the issuer as the article does, and as it is.
func scopedDiscovery(t *testing.T, s *scoped) {
	if file := readFile(t, s.Path); !strings.Contains(file, s.kc.Issuer("kong")+"/.well-known/openid-configuration") {
		t.Fatal("the example does not have the URL of discovery")
	}
	for _, link := range []string{s.link(), s.at("localhost", "/bare")} {
		p := s.person(t)
		v := p.begin(link)
		if to := v.Chain[0].Header.Get("Location"); !strings.HasPrefix(to, s.kc.Issuer("kong")+"/protocol/openid-connect/auth?") {
			t.Errorf("leads to %s", bare(to))
		}
		got := p.signIn(withScope, complexWord)
		if claims := payload(t, bearer(t, got.one(t))); claims["iss"] != s.kc.Issuer("kong") || got.URL != link {
			t.Errorf("a token of %v at %s", claims["iss"], got.URL)
		}
	}
	if n := s.kc.Asked("kong"); n == 0 {
		t.Error("Keycloak's discovery was not asked")
	}
}

func scopedClient(t *testing.T, s *scoped) {
	before := s.kc.TokensAsked("kong")
	_, v := s.with(t)
	claims := payload(t, bearer(t, v.one(t)))
	if claims["azp"] != "blog_post" || s.kc.TokensAsked("kong") != before+1 {
		t.Errorf("the token is of %v, after %d requests", claims["azp"], s.kc.TokensAsked("kong")-before)
	}
	told := s.kc.Told(t, "kong")
	req := http.Request{Header: http.Header{"Authorization": {told.Authorization}}}
	id, secret, _ := req.BasicAuth()
	if id != "blog_post" || secret != "a5186adc-b5e2-4501-85a8-eb19a5e1a2a3" || told.Form.Get("grant_type") != "authorization_code" ||
		told.Form.Get("redirect_uri") != s.link() || told.Form.Get("code_verifier") == "" || told.Form.Has("client_secret") {
		t.Errorf("Keycloak was told that the client is %q, and %d fields", id, len(told.Form))
	}
	testenv.Evidence(t, "%s: Keycloak's token endpoint received client %s with its secret, and gave a token of %v", s.Host, id, claims["azp"])
}

// scopedTLS shows a Keycloak whose certificate nobody knows: it is taken where the file
// says so, with a warning, and nowhere else.
func scopedTLS(t *testing.T, s *scoped) {
	scopedWarnings("ssl_verify: is false")(t, s)
	p := s.person(t)
	p.refused(p.open(s.at("localhost", "/verified")), 503, "issuer_unavailable")
}

func scopedWarnings(warning string) func(t *testing.T, s *scoped) {
	return func(t *testing.T, s *scoped) {
		said := s.Check()
		if !strings.Contains(said, warning) {
			t.Errorf("check says %s", said)
		}
		_, v := s.with(t)
		if v.Status != 200 {
			t.Errorf("%d", v.Status)
		}
	}
}

func scopedForged(t *testing.T, s *scoped) {
	scopedWarnings("verify_signature: is false")(t, s)
	_, v := s.with(t)
	good := bearer(t, v.one(t))
	parts := strings.Split(good, ".")
	forged := tokens.Input(map[string]any{"alg": "RS256", "typ": "JWT"}, map[string]any{"iss": s.kc.Issuer("kong"), "sub": "admin",
		"scope": "kong_api_access", "exp": tokens.In(600)})
	for name, token := range map[string]string{"tampered": tokens.Tamper(good), "forged": forged + "." + parts[2],
		"unsigned": strings.Join(parts[:2], ".") + "."} {
		before := s.up.Total()
		r := testenv.Raw(t, s.Addr, testenv.Request("GET", "/oidc", "Authorization: Bearer "+token, "Accept: text/html"))
		testenv.Evidence(t, "%s: a %s bearer token -> %d %s, the upstream was called %d times", s.Host, name, r.Status, r.Header.Get("WWW-Authenticate"), s.up.Total()-before)
		if r.Status != 401 || s.up.Total() != before || !strings.Contains(r.Header.Get("WWW-Authenticate"), `error="invalid_token"`) || r.Header.Get("Location") != "" {
			t.Errorf("%s: %d %v", name, r.Status, r.Header)
		}
	}
}

func scopedAllowed(t *testing.T, s *scoped) {
	p, v := s.with(t)
	got := v.one(t)
	claims := payload(t, bearer(t, got))
	scope, _ := claims["scope"].(string)
	if !slices.Contains(strings.Fields(scope), "kong_api_access") {
		t.Errorf("the upstream received a token with the scope %q", scope)
	}
	if got.Header("X-Consumer-Username") != "" || got.Header("X-Consumer-Id") != "" || got.Header("X-Credential-Identifier") != claims["sub"] {
		t.Errorf("the upstream received %v", got.Headers)
	}
	if v.Status != 200 || !strings.Contains(p.Text(), `"target":"/anything"`) {
		t.Errorf("%d %s", v.Status, p.Text())
	}
	testenv.Evidence(t, "%s: no consumer is needed; the token's scope is %q", s.Host, scope)
}

func scopedRedirect(t *testing.T, s *scoped) {
	p := s.person(t)
	deeper := s.link() + "/deeper?x=1"
	v := p.begin(deeper)
	if to := v.Chain[0].Header.Get("Location"); !strings.Contains(to, "redirect_uri=http%3A%2F%2Flocalhost%3A"+s.Port()+"%2Foidc&") {
		t.Errorf("leads to %s", bare(to))
	}
	v = p.signIn(withScope, complexWord)
	callback := v.Chain[len(v.Chain)-2]
	if !strings.HasPrefix(callback.URL, s.link()+"?") || callback.Status != 303 || v.URL != deeper || v.one(t).Target != "/anything/deeper?x=1" {
		t.Errorf("the way back is %v", v.Chain)
	}
}

func scopedDenied(t *testing.T, s *scoped) {
	p, v := s.without(t)
	p.refused(v, 403, "scope_missing")
	// The page is the end: nobody is sent round and round.
	if len(v.Chain) > 4 {
		t.Errorf("%d steps", len(v.Chain))
	}
}

func scopedLog(t *testing.T, s *scoped) {
	p, v := s.without(t)
	p.refused(v, 403, "scope_missing")
	line := s.LogLine("[openid-connect] required scopes were not found [ ", "request_id="+v.Header.Get("X-Request-Id"))
	found := regexp.MustCompile(`required scopes were not found \[ ([a-z]+(?:, [a-z]+)*) \]`).FindStringSubmatch(line)
	if found == nil {
		t.Fatalf("the log has no such line: %s", s.Gateway.Tail())
	}
	have := strings.Split(found[1], ", ")
	slices.Sort(have)
	if !slices.Equal(have, []string{"email", "openid", "profile"}) {
		t.Errorf("the line names %v", have)
	}
	testenv.Evidence(t, "%s: the log says %s", s.Host, found[0])
}

func scopedAnother(t *testing.T, s *scoped) {
	one, v := s.with(t)
	first := v.one(t).Header("X-Credential-Identifier")
	two, w := s.without(t)
	two.refused(w, 403, "scope_missing")
	if f, seen := one.fetch("/oidc", nil); f.Status != 200 || seen[0].Header("X-Credential-Identifier") != first {
		t.Errorf("the first: %d", f.Status)
	}
	// The second's session has ended with the refusal: another try asks Keycloak again.
	if len(two.own()) != 0 {
		t.Errorf("the second has %v", two.own())
	}
}

// scopedConsumer gives the article's gateway a consumer, by a reload.
func scopedConsumer(t *testing.T, s *scoped) {
	file := readFile(t, s.Path)
	defer s.Write(file)
	s.Write(file + "consumers:\n- {username: with@example.com, custom_id: c-1}\n")
	p, _ := s.with(t)
	p.eventually("the consumer", func() bool {
		f, seen := p.fetch("/oidc", map[string]any{"headers": map[string]string{"X-Consumer-Username": "root"}})
		return f.Status == 200 && len(seen) == 1 && seen[0].Header("X-Consumer-Username") == "with@example.com" &&
			seen[0].Header("X-Consumer-Custom-Id") == "c-1" && seen[0].Header("X-Consumer-Id") != "" && seen[0].Header("X-Credential-Identifier") != ""
	})
}

func scopedLogout(t *testing.T, s *scoped) {
	p, _ := s.with(t)
	v := p.open(s.link() + "?logout=true")
	if first := v.Chain[0]; first.Status != 302 || !strings.HasPrefix(first.Header.Get("Location"), s.kc.Issuer("kong")+"/protocol/openid-connect/logout?") || len(p.own()) != 0 {
		t.Fatalf("%v, cookies %v", v.Chain, p.own())
	}
	p.begin(s.link()) // Keycloak has forgotten too: a form again
}

func scopedRefresh(t *testing.T, s *scoped) {
	s.kc.SetClient(t, "kong", "blog_post", map[string]string{"access.token.lifespan": "3"})
	defer s.kc.SetClient(t, "kong", "blog_post", map[string]string{"access.token.lifespan": "300"})
	p, v := s.with(t)
	token, before := bearer(t, v.one(t)), s.kc.TokensAsked("kong")
	testenv.Eventually(t, 20*time.Second, "another token", func() bool {
		f, seen := p.fetch("/oidc", nil)
		if f.Status != 200 || len(seen) != 1 {
			t.Fatalf("%d while the token is renewed: %s", f.Status, f.Body)
		}
		return bearer(t, &seen[0]) != token
	})
	if s.kc.TokensAsked("kong") == before {
		t.Error("Keycloak was not asked")
	}
}

// scopedBackChannel has Keycloak end one session of somebody who has two.
func scopedBackChannel(t *testing.T, s *scoped) {
	other, _ := s.with(t)
	p, v := s.with(t)
	sid, _ := payload(t, bearer(t, v.one(t)))["sid"].(string)
	if f, _ := p.fetch("/oidc", nil); f.Status != 200 || sid == "" {
		t.Fatalf("%d, session %q", f.Status, sid)
	}
	s.kc.EndSession(t, "kong", sid)
	p.eventually("the end of the session", func() bool {
		f, seen := p.fetch("/oidc", nil)
		return f.Status == 401 && len(seen) == 0
	})
	if f, _ := other.fetch("/oidc", nil); f.Status != 200 {
		t.Errorf("the other session: %d", f.Status)
	}
}
