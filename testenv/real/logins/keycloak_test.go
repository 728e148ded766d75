//go:build real

package logins

import (
	"fmt"
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
	withScope    = "blog_with_scope"
	withoutScope = "blog_without_scope"
)

func startScoped(t *testing.T, host string, b *browser.Browser, kc *keycloak.Server) *scoped {
	t.Helper()
	up := echo.Start(t)
	file := read(t, "keycloak-login/kong.yml", "http://localhost:3000", up.URL, "http://localhost:8080", kc.URL, "http://localhost:8000", "http://localhost:${PORT}",
		"    - name: openid-connect\n", "    - name: openid-connect\n      instance_name: scopes\n")
	file += "        logout_query_arg: logout\n        logout_methods: [GET]\n"
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
	return p, p.login(s.link(), withScope, "with-password")
}

func (s *scoped) without(t testing.TB) (*person, visit) {
	t.Helper()
	p := s.person(t)
	p.begin(s.link())
	return p, p.signIn(withoutScope, "without-password")
}

func TestKeycloakScopes(t *testing.T) {
	b := browser.Start(t)
	kc := keycloak.Start(t, map[string][]byte{"kong": []byte(read(t, "keycloak-login/realm.json", "http://localhost:8000/*", "*"))})
	inBoth(t, func(t *testing.T, host string) {
		s := startScoped(t, host, b, kc)
		for _, c := range []struct {
			name string
			test func(t *testing.T, s *scoped)
		}{
			{"S1-01_on_the_route", scopedRoute},
			{"S1-02_discovery_url", scopedDiscovery},
			{"S1-03_client", scopedClient},
			{"S1-04_ssl_verify_false", scopedWarnings("ssl_verify: is false")},
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
	// Nothing else is guarded, nor there.
	r := testenv.Raw(t, s.Addr, testenv.Request("GET", "/other"))
	testenv.Evidence(t, "%s: GET /other -> %d", s.Host, r.Status)
	if r.Status != 404 {
		t.Errorf("/other: %d", r.Status)
	}
}

func scopedDiscovery(t *testing.T, s *scoped) {
	p := s.person(t)
	v := p.begin(s.link())
	if to := v.Chain[0].Header.Get("Location"); !strings.HasPrefix(to, s.kc.Issuer("kong")+"/protocol/openid-connect/auth?") {
		t.Errorf("leads to %s", bare(to))
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
	testenv.Evidence(t, "%s: Keycloak took the client's secret: the token is of %v", s.Host, claims["azp"])
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
	v = p.signIn(withScope, "with-password")
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
