//go:build real

package logins

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/keycloak"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

// scoped is a gateway for examples/keycloak-login.
type scoped struct {
	*site
	kc *keycloak.Server
	// ways is another gateway, with what the article does otherwise.
	ways *scoped
}

const (
	withScope    = "Blog_with_scope"
	withoutScope = "Blog_without_scope"
	password     = "veryComplexPa55word"
	members      = "kong_api_users"
	secret       = "a5186adc-b5e2-4501-85a8-eb19a5e1a2a3"
)

func startScoped(t *testing.T, host string, b *browser.Browser, kc *keycloak.Server) *scoped {
	t.Helper()
	up := echo.Start(t)
	file := read(t, "keycloak-login/kong.yml", "http://localhost:3000", up.URL, "http://localhost:8080", kc.URL, "http://localhost:8000", "http://localhost:${PORT}",
		"    - name: openid-connect\n", "    - name: openid-connect\n      instance_name: scopes\n")
	file += "        logout_query_arg: logout\n        logout_methods: [GET]\n"
	s := newScoped(t, host, file, up, b, kc)
	kc.SetClient(t, "kong", "blog_post", map[string]string{"backchannel.logout.url": s.at("localhost", "/.sallyport/scopes/backchannel_logout"),
		"access.token.lifespan": "300"})
	return s
}

func newScoped(t *testing.T, host, file string, up *echo.Server, b *browser.Browser, kc *keycloak.Server) *scoped {
	t.Helper()
	s := &scoped{site: &site{Stack: stack.Start(t, host, file, stack.Options{}), up: up, browser: b}, kc: kc}
	s.asked = func() string { return fmt.Sprintf("%d requests for tokens at Keycloak", kc.TokensAsked("kong")) }
	s.form = func(tab *browser.Tab, user, password string) browser.Navigation {
		tab.Fill("#username", user)
		tab.Fill("#password", password)
		return tab.Follow("#kc-login")
	}
	return s
}

func (s *scoped) link() string { return s.at("localhost", "/oidc") }

// with and without are people of the article.
func (s *scoped) with(t testing.TB) (*person, visit) {
	t.Helper()
	p := s.person(t)
	return p, p.login(s.link(), withScope, password)
}

func (s *scoped) without(t testing.TB) (*person, visit) {
	t.Helper()
	p := s.person(t)
	p.begin(s.link())
	return p, p.signIn(withoutScope, password)
}

func TestKeycloakScopes(t *testing.T) {
	realm := read(t, "keycloak-login/realm.json", "http://localhost:8000/*", "*")
	kc := keycloak.Start(t, map[string][]byte{"kong": []byte(realm), "tls": []byte(edit(t, realm, `"realm": "kong"`, `"realm": "tls"`))})
	kc.KeepEvents(t, "kong")
	issuer, certificate := kc.TLS(t, "tls")
	b := browser.Start(t, certificate)
	inBoth(t, func(t *testing.T, host string) {
		s := startScoped(t, host, b, kc)
		s.ways = startWays(t, host, b, kc, issuer)
		for _, c := range []struct {
			name string
			test func(t *testing.T, s *scoped)
		}{
			{"S1-01_on_the_route", scopedRoute},
			{"S1-02_discovery_url", scopedDiscovery},
			{"S1-03_client", scopedClient},
			{"S1-04_ssl_verify_false", scopedTLS},
			{"S1-05_verify_signature_false", scopedForged},
			{"S1-06_consumer_claim", scopedConsumerClaim},
			{"S1-07_consumer_optional", scopedOptional},
			{"S1-08_redirect_uri", scopedRedirect},
			{"S1-09_with_the_scope", scopedAllowed},
			{"S1-10_without_the_scope", scopedDenied},
			{"S1-11_log_line", scopedLog},
			{"S1-12_scope_of_the_access_token", scopedToken},
			{"S1-13_no_local_users", scopedElsewhere},
			{"S1-15_another_person", scopedAnother},
			{"S1-16_identity", scopedIdentity},
			{"logout", scopedLogout},
			{"logout leads on", scopedLogoutOn},
			{"refresh", scopedRefresh},
			{"refresh of somebody disabled", scopedDisabled},
			{"back-channel logout", scopedBackChannel},
			{"back-channel logout by the person", scopedSignOut},
		} {
			t.Run(c.name, func(t *testing.T) {
				kc.ForgetEvents(t, "kong")
				c.test(t, s)
				testenv.Evidence(t, "%s: what Keycloak says has happened, the newest first: %v", host, kc.Events(t, "kong"))
			})
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

func scopedRedirect(t *testing.T, s *scoped) {
	p := s.person(t)
	deeper := s.link() + "/deeper?x=1"
	v := p.begin(deeper)
	if to := v.Chain[0].Header.Get("Location"); !strings.Contains(to, "redirect_uri=http%3A%2F%2Flocalhost%3A"+s.Port()+"%2Foidc&") {
		t.Errorf("leads to %s", bare(to))
	}
	v = p.signIn(withScope, password)
	callback := v.Chain[len(v.Chain)-2]
	if !strings.HasPrefix(callback.URL, s.link()+"?") || callback.Status != 303 || v.URL != deeper || v.one(t).Target != "/anything/deeper?x=1" {
		t.Errorf("the way back is %v", v.Chain)
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
