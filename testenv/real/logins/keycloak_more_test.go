//go:build real

package logins

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/keycloak"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// startWays starts a gateway with a route for each thing that the article could have
// done otherwise, written as its command has it: one value where there may be several.
func startWays(t *testing.T, host string, b *browser.Browser, kc *keycloak.Server, issuer string) *scoped {
	t.Helper()
	up := echo.Start(t)
	file := "_format_version: \"3.0\"\nservices:\n- name: openidconnect\n  url: " + up.URL + "/anything\n  routes:\n"
	for _, way := range [][2]string{
		{"bare", "issuer: " + kc.Issuer("kong")},
		{"stranger", "client_secret: another\n        display_errors: true"},
		{"strict", "consumer_optional: false"},
		{"trusting", "issuer: " + issuer + discovery + "\n        ssl_verify: false"},
		{"careful", "issuer: " + issuer + discovery},
		{"leaving", "logout_query_arg: logout\n        logout_methods: [GET]\n        logout_revoke: true\n        logout_redirect_uri: " + up.URL + "/bye"},
	} {
		config := ""
		for _, line := range []string{"issuer: " + kc.Issuer("kong") + discovery, "client_id: blog_post", "client_secret: " + secret,
			"consumer_claim: email", "verify_signature: false", "consumer_optional: true", "scopes_required: kong_api_access"} {
			if name, _, _ := strings.Cut(line, ":"); !strings.Contains(way[1], name+":") {
				config += "        " + line + "\n"
			}
		}
		file += fmt.Sprintf("  - name: %[1]s\n    paths: [/%[1]s]\n    plugins:\n    - name: openid-connect\n      instance_name: %[1]s\n      config:\n"+
			"        redirect_uri: http://localhost:${PORT}/%[1]s\n        session_audience: %[1]s\n        session_cookie_name: session_%[1]s\n%[2]s        %[3]s\n", way[0], config, way[1])
	}
	return newScoped(t, host, file, up, b, kc)
}

const discovery = "/.well-known/openid-configuration"

// way is the address of one of the ways.
func (s *scoped) way(name string) string { return s.ways.at("localhost", "/"+name) }

// happened returns what Keycloak says has happened of a type, the newest first.
func (s *scoped) happened(t testing.TB, kind string) []keycloak.Event {
	t.Helper()
	return s.kc.Events(t, "kong", kind)
}

// replay sends a request with cookies that somebody has, as a program that got hold
// of them.
func (s *scoped) replay(t testing.TB, cookies map[string]*http.Cookie) (*testenv.Response, []echo.Request) {
	t.Helper()
	var pairs []string
	for name, c := range cookies {
		pairs = append(pairs, name+"="+c.Value)
	}
	before := s.up.Total()
	r := testenv.Raw(t, s.Addr, testenv.Request("GET", "/oidc", "Host: localhost:"+s.Port(), "Cookie: "+strings.Join(pairs, "; "),
		"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"))
	seen := s.up.Since(before)
	testenv.Evidence(t, "%s: a copy of %d cookies -> %d, the upstream received %d requests", s.Host, len(pairs), r.Status, len(seen))
	return r, seen
}

func scopedDiscovery(t *testing.T, s *scoped) {
	p := s.person(t)
	v := p.begin(s.link())
	if to := v.Chain[0].Header.Get("Location"); !strings.HasPrefix(to, s.kc.Issuer("kong")+"/protocol/openid-connect/auth?") {
		t.Errorf("leads to %s", bare(to))
	}
	if s.kc.Asked("kong") == 0 {
		t.Error("Keycloak's discovery was not asked")
	}
	if v := p.signIn(withScope, password); payload(t, bearer(t, v.one(t)))["iss"] != s.kc.Issuer("kong") {
		t.Error("the token is of another issuer")
	}
	// The issuer itself will do as well.
	v = s.ways.person(t).login(s.way("bare"), withScope, password)
	if got := v.one(t); payload(t, bearer(t, got))["iss"] != s.kc.Issuer("kong") || got.Target != "/anything" {
		t.Errorf("by the bare issuer the upstream received %s", got.Target)
	}
}

func scopedClient(t *testing.T, s *scoped) {
	before := len(s.kc.TokenCalls("kong"))
	_, v := s.with(t)
	claims := payload(t, bearer(t, v.one(t)))
	calls := s.kc.TokenCalls("kong")[before:]
	if len(calls) != 1 || calls[0].Client != "blog_post" || calls[0].Secret != secret || !calls[0].Proof ||
		calls[0].Grant != "authorization_code" || calls[0].RedirectURI != s.link() || claims["azp"] != "blog_post" {
		t.Errorf("the token is of %v; Keycloak's token endpoint received %d requests", claims["azp"], len(calls))
	}
	if e := s.happened(t, "CODE_TO_TOKEN"); len(e) != 1 || e[0].Client != "blog_post" {
		t.Errorf("Keycloak says %v", e)
	}
	testenv.Evidence(t, "%s: Keycloak received the client's id and secret (basic: %v) and a code_verifier: the token is of %v", s.Host, calls[0].Basic, claims["azp"])
	// It is the secret that counts: with another nobody gets in, and it is not the person's fault.
	p := s.ways.person(t)
	p.begin(s.way("stranger"))
	w := p.signIn(withScope, password)
	if w.Status/100 != 5 || len(w.upstream) != 0 || p.own()["session_stranger"] != nil || strings.Contains(p.Text(), "another") {
		t.Errorf("with another secret: %d %s", w.Status, p.Text())
	}
	if e := s.happened(t, "CODE_TO_TOKEN_ERROR"); len(e) != 1 || e[0].Error != "invalid_client_credentials" {
		t.Errorf("Keycloak says %v", e)
	}
}

// scopedTLS has Keycloak at an https address with a certificate that nobody vouches for.
func scopedTLS(t *testing.T, s *scoped) {
	const warning = "ssl_verify: is false"
	if said := s.Check(); !strings.Contains(said, warning) {
		t.Errorf("check says %s", said)
	}
	if n := strings.Count(s.ways.Check(), warning); n != 1 {
		t.Errorf("check warns %d times of one such field", n)
	}
	v := s.ways.person(t).login(s.way("trusting"), withScope, password)
	if iss, _ := payload(t, bearer(t, v.one(t)))["iss"].(string); !strings.HasPrefix(iss, "https://") {
		t.Errorf("the upstream received a token of %s", iss)
	}
	// Nobody gets that by saying nothing.
	p := s.ways.person(t)
	p.refused(p.open(s.way("careful")), 503, "issuer_unavailable")
	log := s.ways.Gateway.Log()
	if s.ways.Sidecar != nil {
		log = s.ways.Sidecar.Log()
	}
	if len(p.own()) != 0 || !strings.Contains(log, "certificate") {
		t.Errorf("there are cookies: %v, or the log does not speak of a certificate: %s", p.own(), log[max(0, len(log)-2000):])
	}
}

func scopedForged(t *testing.T, s *scoped) {
	if said := s.Check(); !strings.Contains(said, "verify_signature: is false") {
		t.Errorf("check says %s", said)
	}
	_, v := s.with(t)
	good := bearer(t, v.one(t))
	parts := strings.Split(good, ".")
	claims := payload(t, good)
	claims["sub"], claims["exp"] = "admin", tokens.In(600)
	forged := tokens.Input(map[string]any{"alg": "RS256", "typ": "JWT"}, claims)
	hs := tokens.Input(map[string]any{"alg": "HS256", "typ": "JWT"}, claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(hs))
	for name, token := range map[string]string{
		"tampered":                        tokens.Tamper(good),
		"forged, signed for another":      forged + "." + parts[2],
		"forged, signed by another":       tokens.Sign("rsa4096", map[string]any{"alg": "RS256", "typ": "JWT"}, claims),
		"with its signature cut off":      strings.Join(parts[:2], ".") + ".",
		"alg none":                        tokens.Input(map[string]any{"alg": "none", "typ": "JWT"}, claims) + ".",
		"signed with the client's secret": hs + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
	} {
		before, asked := s.up.Total(), s.kc.TokensAsked("kong")
		for accept, body := range map[string]string{"*/*": `{"message":"Unauthorized"}`, "text/html": "You are not signed in"} {
			r := testenv.Raw(t, s.Addr, testenv.Request("GET", "/oidc", "Authorization: Bearer "+token, "Accept: "+accept))
			reason := s.Reason(r.RequestID())
			testenv.Evidence(t, "%s: a bearer token %s, for %s -> %d %s, %s, the upstream was called %d times", s.Host, name, accept, r.Status,
				r.Header.Get("WWW-Authenticate"), reason, s.up.Total()-before)
			if r.Status != 401 || s.up.Total() != before || !strings.Contains(r.Header.Get("WWW-Authenticate"), `error="invalid_token"`) ||
				r.Header.Get("Location") != "" || len(r.Header["Set-Cookie"]) != 0 || s.kc.TokensAsked("kong") != asked || !strings.Contains(r.Body, body) ||
				!slices.Contains([]string{"signature_invalid", "signature_encoding", "algorithm_unsupported", "token_inactive"}, reason) {
				t.Errorf("%s: %d %v %s %s", name, r.Status, r.Header, reason, r.Body)
			}
		}
	}
	r := testenv.Raw(t, s.Addr, testenv.Request("GET", "/oidc", "Authorization: Bearer "+good))
	testenv.Evidence(t, "%s: the token that is good -> %d", s.Host, r.Status)
	if r.Status != 200 {
		t.Errorf("the token that is good: %d %s", r.Status, r.Body)
	}
}

// consumers puts consumers into the file of the gateway until the test ends.
func (s *scoped) consumers(t *testing.T, p *person, list string) {
	t.Helper()
	file := readFile(t, s.Path)
	show := func() string {
		var all struct{ Data []map[string]any }
		s.Admin("/consumers", &all)
		return fmt.Sprint(len(all.Data))
	}
	s.Write(file + "consumers:\n" + list)
	testenv.Eventually(t, 10*time.Second, "the consumers", func() bool { return show() == fmt.Sprint(strings.Count(list, "\n")) })
	t.Cleanup(func() {
		s.Write(file)
		p.eventually("no consumers", func() bool {
			f, seen := p.fetch("/oidc", nil)
			return f.Status == 200 && len(seen) == 1 && seen[0].Header("X-Consumer-Id") == ""
		})
	})
}

func scopedConsumerClaim(t *testing.T, s *scoped) {
	p, v := s.with(t)
	if got := v.one(t); got.Header("X-Consumer-Username") != "" {
		t.Fatalf("there is a consumer already: %v", got.Headers)
	}
	claims := payload(t, bearer(t, v.one(t)))
	// By the e-mail address, and not by the other names that this person has.
	s.consumers(t, p, fmt.Sprintf("- {username: blog_with_scope, custom_id: other-1}\n- {username: other, custom_id: %q}\n- {username: somebody, custom_id: with@example.com}\n", claims["sub"]))
	p.eventually("the consumer", func() bool {
		f, seen := p.fetch("/oidc", nil)
		return f.Status == 200 && len(seen) == 1 && seen[0].Header("X-Consumer-Username") == "somebody" && seen[0].Header("X-Consumer-Custom-Id") == "with@example.com"
	})
	testenv.Evidence(t, "%s: the consumer of %v is the one with that address", s.Host, claims["email"])
	// An address that Keycloak does not vouch for is nobody's: the person passes, the consumer does not.
	s.kc.SetUser(t, "kong", withScope, map[string]any{"emailVerified": false})
	defer s.kc.SetUser(t, "kong", withScope, map[string]any{"emailVerified": true})
	_, v = s.with(t)
	if got := v.one(t); payload(t, bearer(t, got))["email_verified"] != false || got.Header("X-Consumer-Username") != "" || got.Header("X-Credential-Identifier") != claims["sub"] {
		t.Errorf("by an address that is not verified the upstream received %v", got.Headers)
	}
	testenv.Evidence(t, "%s: no consumer by an address that is not verified", s.Host)
}

func scopedOptional(t *testing.T, s *scoped) {
	_, v := s.with(t)
	got := v.one(t)
	if v.Status != 200 || got.Header("X-Consumer-Username") != "" || got.Header("X-Consumer-Id") != "" ||
		got.Header("X-Credential-Identifier") != payload(t, bearer(t, got))["sub"] {
		t.Errorf("%d, the upstream received %v", v.Status, got.Headers)
	}
	// Without the field somebody who is no consumer does not get in.
	p := s.ways.person(t)
	p.begin(s.way("strict"))
	p.refused(p.signIn(withScope, password), 403, "consumer_missing")
}

func scopedAllowed(t *testing.T, s *scoped) {
	p, v := s.with(t)
	got := v.one(t)
	scope, _ := payload(t, bearer(t, got))["scope"].(string)
	if v.Status != 200 || v.URL != s.link() || got.Target != "/anything" || !strings.Contains(p.Text(), `"target":"/anything"`) ||
		!slices.Contains(strings.Fields(scope), "kong_api_access") {
		t.Errorf("%d at %s: the upstream received %s with the scope %q", v.Status, bare(v.URL), got.Target, scope)
	}
	testenv.Evidence(t, "%s: the token's scope is %q", s.Host, scope)
	// It is the group that gives it: scope, role, group, user.
	s.kc.Leave(t, "kong", withScope, members)
	joined := false
	defer func() {
		if !joined {
			s.kc.Join(t, "kong", withScope, members)
		}
	}()
	p = s.person(t)
	p.begin(s.link())
	p.refused(p.signIn(withScope, password), 403, "scope_missing")
	s.kc.Join(t, "kong", withScope, members)
	joined = true
	// Whom Keycloak still knows gets in without a form.
	if v := p.open(s.link()); v.Status != 200 || v.one(t).Target != "/anything" {
		t.Errorf("a member again: %d", v.Status)
	}
}

func scopedDenied(t *testing.T, s *scoped) {
	p, v := s.without(t)
	p.refused(v, 403, "scope_missing")
	if sets := v.Header["Set-Cookie"]; len(sets) != 1 || !strings.HasPrefix(sets[0], "session=;") || p.own()["session"] != nil {
		t.Errorf("the session goes on: %q", sets)
	}
	// The page is the end: nobody is sent round and round, the second time neither.
	if len(v.Chain) > 4 {
		t.Errorf("%d steps", len(v.Chain))
	}
	v = p.open(s.link())
	p.refused(v, 403, "scope_missing")
	if len(v.Chain) > 4 {
		t.Errorf("%d steps the second time", len(v.Chain))
	}
	// Keycloak had no doubts: it signed them in and gave the tokens.
	if e := s.happened(t, "CODE_TO_TOKEN"); len(e) != 2 || len(s.happened(t, "LOGIN")) != 2 {
		t.Errorf("Keycloak says %v", e)
	}
	r := testenv.Raw(t, s.Addr, testenv.Request("GET", "/oidc", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"))
	if r.Status != 401 {
		t.Errorf("nobody: %d", r.Status)
	}
}

// scopedToken has an access token say elsewhere what its scope does not.
func scopedToken(t *testing.T, s *scoped) {
	_, v := s.with(t)
	scope, _ := payload(t, bearer(t, v.one(t)))["scope"].(string)
	if list := strings.Split(scope, " "); len(list) < 3 || !slices.Contains(list, "kong_api_access") {
		t.Errorf("the scope is %q", scope)
	}
	const mapper = "oidc-hardcoded-claim-mapper"
	claim := func(name, value string) map[string]string {
		return map[string]string{"claim.name": name, "claim.value": value, "jsonType.label": "String", "access.token.claim": "true",
			"id.token.claim": "true", "userinfo.token.claim": "true"}
	}
	remove := s.kc.AddMapper(t, "kong", "blog_post", mapper, claim("scp", "openid kong_api_access"))
	p, w := s.without(t)
	remove()
	p.refused(w, 403, "scope_missing")
	if line := s.LogLine("required scopes were not found [ ", "request_id="+w.Header.Get("X-Request-Id")); line == "" || strings.Contains(line, "kong_api_access ]") || strings.Contains(line, "kong_api_access,") {
		t.Errorf("the log says %q", line)
	}
	// The same token from a program: it is the token that is judged, however it comes.
	before := s.up.Total()
	r := testenv.Raw(t, s.Addr, testenv.Request("GET", "/oidc", "Authorization: Bearer "+bearer(t, v.one(t))))
	if r.Status != 200 || s.up.Total() != before+1 {
		t.Errorf("the token alone: %d, the upstream was called %d times", r.Status, s.up.Total()-before)
	}
	testenv.Evidence(t, "%s: the access token has the scope %q, which passes alone too -> %d; scp in its place does not count", s.Host, scope, r.Status)
}

// scopedElsewhere gives somebody access at Keycloak, and takes it away again.
func scopedElsewhere(t *testing.T, s *scoped) {
	var all struct{ Data []any }
	if status := s.Admin("/consumers", &all); status != 200 || len(all.Data) != 0 {
		t.Errorf("%d %v", status, all.Data)
	}
	file := readFile(t, s.Path)
	s.kc.Join(t, "kong", withoutScope, members)
	left := false
	defer func() {
		if !left {
			s.kc.Leave(t, "kong", withoutScope, members)
		}
	}()
	if v := s.person(t).login(s.link(), withoutScope, password); v.one(t).Header("X-Consumer-Id") != "" {
		t.Errorf("the upstream received %v", v.one(t).Headers)
	}
	s.kc.Leave(t, "kong", withoutScope, members)
	left = true
	p, v := s.without(t)
	p.refused(v, 403, "scope_missing")
	if readFile(t, s.Path) != file {
		t.Error("the gateway's file has changed")
	}
	testenv.Evidence(t, "%s: membership in Keycloak alone opened and closed the route, with no consumer at the gateway", s.Host)
}

func scopedAnother(t *testing.T, s *scoped) {
	early, w := s.without(t)
	early.refused(w, 403, "scope_missing")
	one, v := s.with(t)
	first := v.one(t).Header("X-Credential-Identifier")
	two, w := s.without(t)
	two.refused(w, 403, "scope_missing")
	for range 4 {
		if f, seen := one.fetch("/oidc", nil); f.Status != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != first {
			t.Errorf("the first: %d", f.Status)
		}
	}
	// The second's session has ended with the refusal: another try asks Keycloak again.
	if len(two.own()) != 0 || len(early.own()) != 0 {
		t.Errorf("the second has %v, %v", two.own(), early.own())
	}
	three, v := s.with(t)
	if v.one(t).Header("X-Credential-Identifier") != first || three.own()["session"].Value == one.own()["session"].Value {
		t.Error("the same person elsewhere is somebody else, or has the same session")
	}
}

func scopedIdentity(t *testing.T, s *scoped) {
	p, v := s.with(t)
	sub, _ := payload(t, bearer(t, v.one(t)))["sub"].(string)
	forged := map[string]any{"headers": map[string]string{"X-Consumer-Username": "root", "X-Consumer-Id": "1", "X-Consumer-Custom-Id": "r",
		"X-Credential-Identifier": "root", "X-Anonymous-Consumer": "true", "X-Authenticated-Groups": "admins"}}
	f, seen := p.fetch("/oidc", forged)
	if f.Status != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != sub || sub == "" {
		t.Fatalf("%d %v", f.Status, seen)
	}
	for _, name := range []string{"X-Consumer-Username", "X-Consumer-Id", "X-Consumer-Custom-Id", "X-Anonymous-Consumer", "X-Authenticated-Groups"} {
		if got := seen[0].Headers[name]; len(got) != 0 {
			t.Errorf("the upstream received %s %q", name, got)
		}
	}
	s.consumers(t, p, "- {username: with@example.com, custom_id: c-1}\n- {username: without@example.com, custom_id: c-2}\n")
	p.eventually("the consumer", func() bool {
		f, seen := p.fetch("/oidc", forged)
		if f.Status != 200 || len(seen) != 1 {
			return false
		}
		got := &seen[0]
		return got.Header("X-Consumer-Username") == "with@example.com" && got.Header("X-Consumer-Custom-Id") == "c-1" &&
			len(got.Header("X-Consumer-Id")) == 36 && got.Header("X-Credential-Identifier") == sub &&
			len(got.Headers["X-Consumer-Username"]) == 1 && len(got.Headers["X-Credential-Identifier"]) == 1 && got.Header("X-Anonymous-Consumer") == ""
	})
	// Each has their own.
	s.kc.Join(t, "kong", withoutScope, members)
	defer s.kc.Leave(t, "kong", withoutScope, members)
	v = s.person(t).login(s.link(), withoutScope, password)
	if got := v.one(t); got.Header("X-Consumer-Custom-Id") != "c-2" || got.Header("X-Credential-Identifier") == sub || got.Header("X-Credential-Identifier") == "" {
		t.Errorf("the upstream received %v", got.Headers)
	}
	testenv.Evidence(t, "%s: the upstream received credential and consumer of each person, and nothing that a client made up", s.Host)
}

func scopedLogout(t *testing.T, s *scoped) {
	p, v := s.with(t)
	sid, _ := payload(t, bearer(t, v.one(t)))["sid"].(string)
	if f, _ := p.fetch("/oidc", nil); f.Status != 200 || !slices.Contains(s.kc.Sessions(t, "kong", withScope), sid) {
		t.Fatalf("%d, the session is not Keycloak's", f.Status)
	}
	copied := p.own()
	v = p.open(s.link() + "?logout=true")
	first := v.Chain[0]
	to := first.Header.Get("Location")
	if first.Status != 302 || !strings.HasPrefix(to, s.kc.Issuer("kong")+"/protocol/openid-connect/logout?") || len(p.own()) != 0 || len(v.upstream) != 0 ||
		!strings.Contains(to, "id_token_hint=") || !strings.Contains(to, "client_id=blog_post") || first.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%v, cookies %v", v.Chain, p.own())
	}
	if e := s.happened(t, "LOGOUT"); len(e) != 1 || e[0].Session != sid || slices.Contains(s.kc.Sessions(t, "kong", withScope), sid) {
		t.Errorf("Keycloak says %v", e)
	}
	row := 0 // each worker learns of it by itself, in two seconds
	testenv.Eventually(t, 3*time.Second, "the end of a copy of the cookie", func() bool {
		row++
		if r, seen := s.replay(t, copied); r.Status != 401 || len(seen) != 0 {
			row = 0
		}
		return row == 8
	})
	p.begin(s.link()) // Keycloak has forgotten too: a form again
}

// scopedLogoutOn has tokens revoked and the browser sent on by Keycloak.
func scopedLogoutOn(t *testing.T, s *scoped) {
	p := s.ways.person(t)
	p.login(s.way("leaving"), withScope, password)
	v := p.open(s.way("leaving") + "?logout=true")
	last := v.Chain[len(v.Chain)-1]
	if len(v.Chain) != 3 || v.Chain[1].Status != 302 || last.URL != s.ways.up.URL+"/bye" || last.Status != 200 || len(p.own()) != 0 {
		t.Errorf("%v", v.Chain)
	}
	if e := s.happened(t, "REVOKE_GRANT"); len(e) == 0 || e[0].Client != "blog_post" {
		t.Errorf("Keycloak says %v", e)
	}
	if v := p.open(s.way("leaving")); v.Status != 200 || len(v.upstream) != 0 || len(v.Chain) != 2 {
		t.Errorf("afterwards: %v", v.Chain)
	}
}

// scopedRefresh renews tokens where Keycloak takes each refresh token once only.
func scopedRefresh(t *testing.T, s *scoped) {
	s.kc.SetRealm(t, "kong", map[string]any{"revokeRefreshToken": true, "refreshTokenMaxReuse": 0})
	defer s.kc.SetRealm(t, "kong", map[string]any{"revokeRefreshToken": false})
	s.kc.SetClient(t, "kong", "blog_post", map[string]string{"access.token.lifespan": "3"})
	defer s.kc.SetClient(t, "kong", "blog_post", map[string]string{"access.token.lifespan": "300"})
	p, v := s.with(t)
	first := bearer(t, v.one(t))
	copied := p.own()
	// Many requests at once, again and again, over several lives of a token.
	given := map[string]bool{first: true}
	for range 16 {
		before := s.up.Total()
		var statuses []int
		p.Eval(`Promise.all(Array.from({length: 12}, () => fetch("/oidc").then(r => r.status)))`, &statuses)
		seen := s.up.Since(before)
		for i := range seen {
			given[bearer(t, &seen[i])] = true
		}
		if len(statuses) != 12 || len(seen) != 12 || slices.ContainsFunc(statuses, func(n int) bool { return n != 200 }) {
			t.Fatalf("%v, the upstream received %d requests", statuses, len(seen))
		}
		time.Sleep(500 * time.Millisecond)
	}
	renewed, errors := s.happened(t, "REFRESH_TOKEN"), s.happened(t, "REFRESH_TOKEN_ERROR")
	testenv.Evidence(t, "%s: 192 requests, 12 at once, were given %d tokens; Keycloak renewed %d times and refused %v", s.Host, len(given), len(renewed), errors)
	if len(errors) != 0 || len(renewed) < 2 || len(renewed) != len(given)-1 {
		t.Errorf("%d tokens, %d renewals, errors %v", len(given), len(renewed), errors)
	}
	// A tab that slept through it all, with the first cookie.
	if r, seen := s.replay(t, copied); r.Status != 200 || len(seen) != 1 || bearer(t, &seen[0]) == first {
		t.Errorf("with the first cookie: %d", r.Status)
	}
	if f, _ := p.fetch("/oidc", nil); f.Status != 200 || len(s.happened(t, "REFRESH_TOKEN_ERROR")) != 0 {
		t.Errorf("afterwards: %d", f.Status)
	}
}

// scopedDisabled disables somebody at Keycloak, which tells nobody of it.
func scopedDisabled(t *testing.T, s *scoped) {
	s.kc.SetClient(t, "kong", "blog_post", map[string]string{"access.token.lifespan": "3"})
	defer s.kc.SetClient(t, "kong", "blog_post", map[string]string{"access.token.lifespan": "300"})
	p, _ := s.with(t)
	s.kc.SetUser(t, "kong", withScope, map[string]any{"enabled": false})
	defer s.kc.SetUser(t, "kong", withScope, map[string]any{"enabled": true})
	p.eventually("the end of the session", func() bool {
		f, seen := p.fetch("/oidc", nil)
		return f.Status == 401 && len(seen) == 0
	})
	if e := s.happened(t, "REFRESH_TOKEN_ERROR"); len(e) == 0 {
		t.Error("Keycloak was not asked")
	}
}

// dead asserts that a session that Keycloak has just ended has ended here too, in
// every worker, without Keycloak having been asked. The documents say: in two seconds.
func (p *person) dead(s *scoped, ended time.Time, asked int, copied map[string]*http.Cookie) {
	p.t.Helper()
	testenv.Eventually(p.t, 3*time.Second, "the end of the session", func() bool {
		f, _ := p.fetch("/oidc", nil)
		return f.Status == 401
	})
	time.Sleep(time.Until(ended.Add(2500 * time.Millisecond)))
	before := s.up.Total()
	for range 8 {
		if f, _ := p.fetch("/oidc", nil); f.Status != 401 || f.Body != `{"message":"Unauthorized"}` {
			p.t.Errorf("after %v: %d %s", time.Since(ended), f.Status, f.Body)
		}
		if r, _ := s.replay(p.t, copied); r.Status != 401 || s.Reason(r.RequestID()) != "session_revoked" {
			p.t.Errorf("a copy of the cookie: %d %s", r.Status, s.Reason(r.RequestID()))
		}
	}
	if n := s.up.Total() - before; n != 0 {
		p.t.Errorf("the upstream received %d requests", n)
	}
	if n := s.kc.TokensAsked("kong") - asked; n != 0 {
		p.t.Errorf("Keycloak was asked for tokens %d times: it is not the back channel that ended the session", n)
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
	copied, asked := p.own(), s.kc.TokensAsked("kong")
	s.kc.EndSession(t, "kong", sid)
	p.dead(s, time.Now(), asked, copied)
	if f, _ := other.fetch("/oidc", nil); f.Status != 200 {
		t.Errorf("the other session: %d", f.Status)
	}
	p.begin(s.link())
}

// scopedSignOut has the person sign out at Keycloak, in another tab.
func scopedSignOut(t *testing.T, s *scoped) {
	other, _ := s.with(t)
	p, v := s.with(t)
	sid, _ := payload(t, bearer(t, v.one(t)))["sid"].(string)
	copied, asked := p.own(), s.kc.TokensAsked("kong")
	tab := p.tab()
	tab.open(s.kc.Issuer("kong") + "/protocol/openid-connect/logout")
	w := tab.watch(func() browser.Navigation { return tab.Follow("#kc-logout") })
	ended := time.Now()
	if e := s.happened(t, "LOGOUT"); w.Status != 200 || len(e) != 1 || e[0].Session != sid {
		t.Fatalf("%d %s: Keycloak says %v", w.Status, tab.Text(), e)
	}
	p.dead(s, ended, asked, copied)
	if f, _ := other.fetch("/oidc", nil); f.Status != 200 {
		t.Errorf("the other session: %d", f.Status)
	}
}
