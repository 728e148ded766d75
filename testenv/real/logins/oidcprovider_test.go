//go:build real

package logins

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/oidcprovider"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// certified is a gateway for the certified oidc-provider, with a route for each way a
// client may say who it is.
type certified struct {
	*stack.Stack
	up *echo.Server
	op *oidcprovider.Server
	t  *testing.T // with which the provider ends
}

const certifiedSecret = "a secret: with & and + 100%"

// client is one that the provider knows, with a route and an instance of its name.
type client struct {
	name, method string
	opaque       bool   // its access tokens, unless it asks for a resource
	more         string // of the configuration
	args         [2]string
}

const resource = "https://api.example"

var clients = []client{
	{name: "basic", method: "client_secret_basic"},
	{name: "post", method: "client_secret_post"},
	{name: "key", method: "private_key_jwt"},
	{name: "public", method: "none"},
	// The provider grants what it knows, and says so in the token response.
	{name: "opaque", method: "client_secret_basic", opaque: true, more: "scopes_required: [openid profile]"},
	{name: "narrow", method: "client_secret_basic", opaque: true, more: "scopes_required: [read]"},
	// With a resource it gets a token for that (RFC 8707).
	{name: "resource", method: "client_secret_post", opaque: true, more: "scopes_required: [read], audience_required: [" + resource + "]",
		args: [2]string{", resource", ", " + resource}},
	{name: "shown", method: "client_secret_basic", more: "login_action: response, login_tokens: [refresh_token]"},
}

func startCertified(t *testing.T, host string) *certified {
	t.Helper()
	c := &certified{up: echo.Start(t), t: t}
	c.op = oidcprovider.Start(t, oidcprovider.Config{Host: "localhost", Users: []oidcprovider.User{{Login: "alice", Password: "in wonderland", Subject: "a1",
		Claims: map[string]any{"name": "Alice", "email": "alice@example.com"}}}})
	file := "_format_version: \"3.0\"\nservices:\n- name: app\n  url: " + c.up.URL + "\n  routes:\n  - {name: open, paths: [/open], strip_path: false}\n"
	for _, one := range clients {
		secret := fmt.Sprintf("client_secret: [%q], ", certifiedSecret)
		if one.method == "private_key_jwt" || one.method == "none" {
			secret = ""
		}
		if one.more != "" {
			one.more = ", " + one.more
		}
		file += fmt.Sprintf(`  - name: %[1]s
    paths: [/%[1]s]
    strip_path: false
    plugins: [{name: openid-connect, instance_name: %[1]s, config: {issuer: %[2]q, client_id: [%[1]s], %[3]stoken_endpoint_auth_method: %[4]s, auth_methods: [authorization_code, session],
      scopes: [openid, profile, offline_access, read], authorization_query_args_names: [prompt%[6]s], authorization_query_args_values: [consent%[7]s],
      session_cookie_name: %[1]s, logout_query_arg: logout, logout_methods: [GET], logout_revoke: true, upstream_id_token_header: X-Id-Token,
      logout_redirect_uri: ["http://127.0.0.1:${PORT}/open"]%[5]s}}]
`, one.name, c.op.URL, secret, one.method, one.more, one.args[0], one.args[1])
	}
	c.Stack = stack.Start(t, host, file, stack.Options{})
	c.register(time.Hour)
	return c
}

// register tells the provider of the clients, whose addresses are known now.
func (c *certified) register(life time.Duration) {
	c.op.Stop()
	c.op.Config.Clients = nil
	c.op.Config.TTL.AccessToken = life
	for _, one := range clients {
		known := oidcprovider.Client{ID: one.name, Secret: certifiedSecret, AuthMethod: one.method, RedirectURIs: []string{c.URL + "/" + one.name},
			PostLogoutRedirectURIs: []string{c.URL + "/open"}, Opaque: one.opaque,
			BackchannelLogoutURI: c.URL + "/.sallyport/" + one.name + "/backchannel_logout"}
		if one.method == "private_key_jwt" {
			known.JWKSURI, known.Secret = c.URL+"/.sallyport/"+one.name+"/jwks", ""
		}
		if one.method == "none" {
			known.Secret = ""
		}
		c.op.Config.Clients = append(c.op.Config.Clients, known)
	}
	c.op.Run(c.t)
}

// enter signs somebody in at a route, up to the answer to the callback.
func (c *certified) enter(t testing.TB, v *visitor.Visitor, who *oidcprovider.Person, name string) *visitor.Page {
	t.Helper()
	p := v.Open(c.URL + "/" + name)
	if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), c.op.URL) {
		t.Fatalf("%s: %s: %d to %q: %s", c.Host, name, p.StatusCode, p.Location(), p.Body)
	}
	return v.Open(who.Authorize(t, p.Location()))
}

// copies asks a route with the same cookies from new browsers, all at once, and says
// how often the answer was another one than expected.
func (c *certified) copies(t testing.TB, n int, cookies map[string]string, name string, status int) (others []string) {
	t.Helper()
	var asking sync.WaitGroup
	answers := make(chan string, n)
	for range n {
		asking.Go(func() {
			w := visitor.New(t)
			for name, value := range cookies {
				w.SetCookie(c.URL, name, value)
			}
			if p, err := w.Try("GET", c.URL+"/"+name); err != nil {
				answers <- err.Error()
			} else if p.StatusCode != status {
				answers <- fmt.Sprintf("%d %.200s", p.StatusCode, p.Body)
			}
		})
	}
	asking.Wait()
	close(answers)
	for a := range answers {
		others = append(others, a)
	}
	testenv.Evidence(t, "%s: %d requests for /%s with one cookie: all but %d are answered with %d", c.Host, n, name, len(others), status)
	return others
}

// dead asserts that a cookie is dead in every worker, two seconds after it ended (D8).
func (c *certified) dead(t testing.TB, ended time.Time, cookies map[string]string, name string) {
	t.Helper()
	if _, there := cookies[name]; !there {
		t.Fatalf("there is no session of %s", name)
	}
	time.Sleep(time.Until(ended.Add(2 * time.Second)))
	if others := c.copies(t, 24, cookies, name, 401); len(others) > 0 {
		t.Errorf("%s: two seconds after its end the session of %s is alive: %q", c.Host, name, others[0])
	}
}

// login signs somebody in at a route and returns what the upstream received.
func (c *certified) login(t *testing.T, v *visitor.Visitor, who *oidcprovider.Person, name string) *echo.Request {
	t.Helper()
	link := c.URL + "/" + name
	p := c.enter(t, v, who, name)
	if p.StatusCode != 303 || p.Location() != link {
		t.Fatalf("%s: %s: the callback: %d to %q: %s\n%s\n%s", c.Host, name, p.StatusCode, p.Location(), p.Body, c.Gateway.Tail(), c.op.Log())
	}
	return c.ask(t, v, name, 200)
}

// ask asks a route as a script does.
func (c *certified) ask(t testing.TB, v *visitor.Visitor, name string, status int) *echo.Request {
	t.Helper()
	id := tokens.Random()
	p := v.Fetch(c.URL+"/"+name, echo.TestID+": "+id)
	seen := c.up.Seen(id)
	testenv.Evidence(t, "%s: GET /%s -> %d, the upstream received %d requests", c.Host, name, p.StatusCode, len(seen))
	if p.StatusCode != status || (status == 200) != (len(seen) == 1) {
		t.Fatalf("%s: %s: %d, the upstream received %d requests: %s\n%s", c.Host, name, p.StatusCode, len(seen), p.Body, c.Gateway.Tail())
	}
	if len(seen) == 0 {
		return nil
	}
	return &seen[0]
}

func TestOIDCProvider(t *testing.T) {
	b := browser.Start(t)
	inBoth(t, func(t *testing.T, host string) {
		c := startCertified(t, host)
		for _, one := range clients {
			if one.name == "narrow" || one.name == "shown" {
				continue
			}
			t.Run(one.method+" "+one.name, func(t *testing.T) { certifiedLogin(t, c, one) })
		}
		for _, part := range []struct {
			name string
			test func(t *testing.T, c *certified)
		}{
			{"scopes of the token response", certifiedScopes},
			{"Chromium", func(t *testing.T, c *certified) { certifiedBrowser(t, c, b) }},
			{"back-channel", certifiedBackChannel}, {"logout", certifiedLogout}, {"refresh", certifiedRefresh}, {"reuse", certifiedReuse},
			{"wrong secret", certifiedSecretWrong},
		} {
			t.Run(part.name, func(t *testing.T) { part.test(t, c) })
		}
	})
}

func certifiedLogin(t *testing.T, c *certified, one client) {
	got := c.login(t, visitor.New(t), c.op.Person("alice", "in wonderland"), one.name)
	if got.Header("X-Credential-Identifier") != "a1" || payload(t, got.Header("X-Id-Token"))["aud"] != one.name {
		t.Errorf("the upstream received %v", got.Headers)
	}
	token := bearer(t, got)
	if jwt := strings.Count(token, ".") == 2; jwt == (one.opaque && one.args[0] == "") {
		t.Fatalf("the access token is a JWT: %v", jwt)
	} else if !jwt {
		return
	}
	if claims := payload(t, token); claims["aud"] != resource || claims["scope"] != "read" || claims["client_id"] != one.name {
		t.Errorf("the token is for %v with %v", claims["aud"], claims["scope"])
	}
}

// certifiedScopes asks for a scope that the provider does not grant for an opaque
// token: what it says it has granted counts, not what was asked for (RFC 6749 §5.1).
func certifiedScopes(t *testing.T, c *certified) {
	v := visitor.New(t)
	if p := c.enter(t, v, c.op.Person("alice", "in wonderland"), "narrow"); p.StatusCode != 303 {
		t.Fatalf("the callback: %d %s", p.StatusCode, p.Body)
	}
	c.ask(t, v, "narrow", 403)
}

// certifiedBrowser signs in and out in a real browser, by the provider's own pages.
func certifiedBrowser(t *testing.T, c *certified, b *browser.Browser) {
	s := &site{Stack: c.Stack, up: c.up, browser: b}
	s.asked = func() string { return fmt.Sprint(len(c.op.Requests(t, "")), " requests") }
	s.form = func(tab *browser.Tab, user, password string) browser.Navigation {
		tab.Fill("[name=login]", user)
		tab.Fill("[name=password]", password)
		tab.Follow("#login")
		return tab.Follow("#consent")
	}
	p := s.person(t)
	link := s.at("127.0.0.1", "/basic")
	v := p.login(link, "alice", "in wonderland")
	if got := v.one(t); got.Header("X-Credential-Identifier") != "a1" || p.own("basic")["basic"] == nil {
		t.Errorf("the upstream received %v", got.Headers)
	}
	if v := p.open(link); len(v.Chain) != 1 || v.Status != 200 {
		t.Errorf("again: %v", v.Chain)
	}
	// Out: the provider asks, and leads back to where the gateway wants it.
	if v := p.open(link + "?logout=1"); !strings.HasPrefix(v.URL, c.op.URL+"/session/end?") || len(v.upstream) != 0 || len(p.own("basic")) != 0 {
		t.Fatalf("the logout leads to %s with %d cookies", bare(v.URL), len(p.own("basic")))
	}
	if v := p.watch(func() browser.Navigation { return p.Follow("#logout") }); v.URL != s.at("127.0.0.1", "/open") || v.Status != 200 {
		t.Errorf("the logout ends with %d at %s", v.Status, bare(v.URL))
	}
	if v := p.open(link); v.Status != 200 || !strings.HasPrefix(v.URL, c.op.URL+"/interaction/") || !strings.Contains(p.Text(), "Log in") {
		t.Errorf("the provider still knows her: %d at %s", v.Status, bare(v.URL))
	}
}

// certifiedBackChannel has somebody sign out at the provider: it tells each of the
// gateway's clients that she has used, and nobody else is touched.
func certifiedBackChannel(t *testing.T, c *certified) {
	v, who := visitor.New(t), c.op.Person("alice", "in wonderland")
	elsewhere := visitor.New(t)
	c.login(t, elsewhere, c.op.Person("alice", "in wonderland"), "basic")
	got := c.login(t, v, who, "basic")
	c.login(t, v, who, "key")
	cookies := v.Cookies(c.URL)
	who.EndSession(t, c.op.URL+"/session/end?post_logout_redirect_uri="+url.QueryEscape(c.URL+"/open")+"&id_token_hint="+got.Header("X-Id-Token"))
	ended := time.Now()
	c.dead(t, ended, cookies, "basic")
	c.dead(t, ended, cookies, "key")
	if strings.Contains(c.op.Log(), "backchannel.error") {
		t.Errorf("a logout token was not taken: %s", c.op.Log())
	}
	c.ask(t, elsewhere, "basic", 200) // her session at another browser, with another sid
}

// certifiedLogout signs out at the gateway: the tokens are revoked, the provider is told.
func certifiedLogout(t *testing.T, c *certified) {
	for _, name := range []string{"post", "opaque", "key", "public"} {
		v, who := visitor.New(t), c.op.Person("alice", "in wonderland")
		token := bearer(t, c.login(t, v, who, name))
		cookies := v.Cookies(c.URL)
		before := len(c.op.Requests(t, "/token/revocation"))
		p := v.Open(c.URL + "/" + name + "?logout=1")
		ended := time.Now()
		if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), c.op.URL+"/session/end?") || len(v.Cookies(c.URL)) != 0 {
			t.Fatalf("%s: %d to %q, cookies %d", name, p.StatusCode, bare(p.Location()), len(v.Cookies(c.URL)))
		}
		revoked := c.op.Requests(t, "/token/revocation")[before:]
		for _, r := range revoked {
			if r.Status != 200 {
				t.Errorf("%s: a revocation was answered with %d", name, r.Status)
			}
		}
		if len(revoked) != 2 {
			t.Errorf("%s: %d tokens were revoked at the provider, want the refresh token and the access token", name, len(revoked))
		}
		if name == "opaque" {
			if p := v.Send("GET", c.op.URL+"/me", "Authorization: Bearer "+token); p.StatusCode != 401 {
				t.Errorf("the provider still takes the access token: %d", p.StatusCode)
			}
		}
		if back := who.EndSession(t, p.Location()); back != c.URL+"/open" {
			t.Errorf("%s: the provider leads back to %s", name, back)
		}
		c.dead(t, ended, cookies, name)
		testenv.Evidence(t, "%s: %s signed out, %d tokens revoked, the provider led back to the gateway", c.Host, name, len(revoked))
	}
}

// short is the life of an access token where one has to end.
const short = 3 * time.Second

// outlive waits until a token has ended.
func outlive(t testing.TB, token string) {
	t.Helper()
	exp := payload(t, token)["exp"].(float64)
	testenv.Eventually(t, 20*time.Second, "the end of a token", func() bool { return exp < float64(time.Now().Unix()) })
}

// certifiedRefresh asks from everywhere at once when the token has ended: the provider
// takes a refresh token once, and ends everything when it sees it twice. Who comes with
// the cookie of before stays signed in.
func certifiedRefresh(t *testing.T, c *certified) {
	c.register(short)
	v := visitor.New(t)
	token := bearer(t, c.login(t, v, c.op.Person("alice", "in wonderland"), "basic"))
	cookies := v.Cookies(c.URL)
	for round := range 2 {
		outlive(t, token)
		before := len(c.op.Requests(t, "/token"))
		if others := c.copies(t, 40, cookies, "basic", 200); len(others) > 0 {
			t.Errorf("round %d: %d requests failed: %s", round, len(others), others[0])
		}
		after := c.op.Requests(t, "/token")[before:]
		for _, r := range after {
			if r.Status != 200 {
				t.Errorf("round %d: a refresh was answered with %d", round, r.Status)
			}
		}
		if n := len(after); n != 1 {
			t.Errorf("round %d: the provider saw %d refreshes, want 1", round, n)
		}
		next := bearer(t, c.ask(t, v, "basic", 200))
		if next == token {
			t.Fatal("the upstream receives the token that has ended")
		}
		token = next
	}
}

// certifiedReuse has a thief use a refresh token that was used before: the provider
// ends everything that came of it, and the gateway the session, with one new login.
func certifiedReuse(t *testing.T, c *certified) {
	v := visitor.New(t)
	p := c.enter(t, v, c.op.Person("alice", "in wonderland"), "shown")
	var shown struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(p.Body), &shown); p.StatusCode != 200 || err != nil || shown.Refresh == "" {
		t.Fatalf("the callback: %d %v", p.StatusCode, err)
	}
	first := bearer(t, c.ask(t, v, "shown", 200))
	outlive(t, first)
	second := bearer(t, c.ask(t, v, "shown", 200))
	if second == first {
		t.Fatal("there was no refresh")
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {shown.Refresh}}
	req, err := http.NewRequest("POST", c.op.URL+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape("shown"), url.QueryEscape(certifiedSecret))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 400 {
		t.Fatalf("the provider takes a refresh token twice: %d", res.StatusCode)
	}
	outlive(t, second)
	before := len(c.op.Requests(t, "/token"))
	row := 0
	testenv.Eventually(t, 10*time.Second, "the end of the session", func() bool {
		if row++; len(c.copies(t, 4, v.Cookies(c.URL), "shown", 401)) > 0 {
			row = 0
		}
		return row == 4
	})
	if n := len(c.op.Requests(t, "/token")) - before; n != 1 {
		t.Errorf("the provider was asked %d times for a session that has ended", n)
	}
	if p := v.Open(c.URL + "/shown"); p.StatusCode != 302 || !strings.HasPrefix(p.Location(), c.op.URL) {
		t.Errorf("a person gets %d to %q", p.StatusCode, bare(p.Location()))
	}
}

func certifiedSecretWrong(t *testing.T, c *certified) {
	c.Write(strings.ReplaceAll(readFile(t, c.Path), "secret: with &", "secret: without &"))
	testenv.Eventually(t, 20*time.Second, "a page that says so", func() bool {
		v := visitor.New(t)
		p := v.Open(c.URL + "/post")
		if p.StatusCode != 302 {
			return false
		}
		p = v.Open(c.op.Person("alice", "in wonderland").Authorize(t, p.Location()))
		return p.StatusCode == 503 && strings.Contains(p.Body, "login_misconfigured")
	})
}
