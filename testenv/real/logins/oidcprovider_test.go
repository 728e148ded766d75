//go:build real

package logins

import (
	"fmt"
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

// methods are clients by name, which is also that of the route and the instance.
var methods = map[string]string{"basic": "client_secret_basic", "post": "client_secret_post", "key": "private_key_jwt",
	"public": "none", "opaque": "client_secret_basic"}

func startCertified(t *testing.T, host string) *certified {
	t.Helper()
	c := &certified{up: echo.Start(t), t: t}
	c.op = oidcprovider.Start(t, oidcprovider.Config{Users: []oidcprovider.User{{Login: "alice", Password: "in wonderland", Subject: "a1",
		Claims: map[string]any{"name": "Alice", "email": "alice@example.com"}}}})
	file := "_format_version: \"3.0\"\nservices:\n- name: app\n  url: " + c.up.URL + "\n  routes:\n"
	for name, method := range methods {
		secret := fmt.Sprintf("client_secret: [%q], ", certifiedSecret)
		if method == "private_key_jwt" || method == "none" {
			secret = ""
		}
		file += fmt.Sprintf(`  - name: %[1]s
    paths: [/%[1]s]
    strip_path: false
    plugins: [{name: openid-connect, instance_name: %[1]s, config: {issuer: %[2]q, client_id: [%[1]s], %[3]stoken_endpoint_auth_method: %[4]s, auth_methods: [authorization_code, session],
      scopes: [openid, profile, offline_access, read], authorization_query_args_names: [prompt], authorization_query_args_values: [consent],
      session_cookie_name: %[1]s, logout_query_arg: logout, logout_methods: [GET], logout_revoke: true, upstream_id_token_header: X-Id-Token}}]
`, name, c.op.URL, secret, method)
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
	for name, method := range methods {
		client := oidcprovider.Client{ID: name, Secret: certifiedSecret, AuthMethod: method, RedirectURIs: []string{c.URL + "/" + name},
			PostLogoutRedirectURIs: []string{c.URL + "/"}, Opaque: name == "opaque",
			BackchannelLogoutURI: c.URL + "/.sallyport/" + name + "/backchannel_logout"}
		if method == "private_key_jwt" {
			client.JWKSURI, client.Secret = c.URL+"/.sallyport/"+name+"/jwks", ""
		}
		if method == "none" {
			client.Secret = ""
		}
		c.op.Config.Clients = append(c.op.Config.Clients, client)
	}
	c.op.Run(c.t)
}

// login signs somebody in at a route and returns what the upstream received.
func (c *certified) login(t *testing.T, v *visitor.Visitor, who *oidcprovider.Person, name string) *echo.Request {
	t.Helper()
	link := c.URL + "/" + name
	p := v.Open(link)
	if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), c.op.URL) {
		t.Fatalf("%s: %s: %d to %q: %s", c.Host, name, p.StatusCode, p.Location(), p.Body)
	}
	p = v.Open(who.Authorize(t, p.Location()))
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
		t.Run("browser", func(t *testing.T) { certifiedBrowser(t, c, b) })
		for name := range methods {
			t.Run(methods[name]+" "+name, func(t *testing.T) {
				got := c.login(t, visitor.New(t), c.op.Person("alice", "in wonderland"), name)
				if got.Header("X-Credential-Identifier") != "a1" || payload(t, got.Header("X-Id-Token"))["aud"] != name {
					t.Errorf("the upstream received %v", got.Headers)
				}
				token := bearer(t, got)
				if jwt := strings.Count(token, ".") == 2; jwt == (name == "opaque") {
					t.Errorf("the access token is a JWT: %v", jwt)
				}
			})
		}
		t.Run("back-channel", func(t *testing.T) { certifiedBackChannel(t, c) })
		t.Run("logout", func(t *testing.T) { certifiedLogout(t, c) })
		t.Run("refresh", func(t *testing.T) { certifiedRefresh(t, c) })
		t.Run("wrong secret", func(t *testing.T) {
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
		})
	})
}

// certifiedBrowser is a person at the provider's own pages, which sets cookies of its own
// for every port of the machine.
func certifiedBrowser(t *testing.T, c *certified, b *browser.Browser) {
	s := &site{Stack: c.Stack, up: c.up, browser: b, asked: func() string {
		return fmt.Sprintf("tokens %d, revocations %d", len(c.op.Requests(t, "/token")), len(c.op.Requests(t, "/token/revocation")))
	}}
	s.form = func(tab *browser.Tab, user, password string) browser.Navigation {
		tab.Fill("[name=login]", user)
		tab.Fill("[name=password]", password)
		tab.Follow("#login")
		return tab.Follow("#consent")
	}
	p := s.person(t)
	link := c.URL + "/basic?x=1"
	p.begin(link)
	v := p.signIn("alice", "in wonderland")
	p.lands(v, link, "a1")
	if got := v.one(t); strings.Contains(got.Header("Cookie"), "basic=") || payload(t, got.Header("X-Id-Token"))["aud"] != "basic" {
		t.Errorf("the upstream received %v", got.Headers)
	}
	p.lands(p.open(link), link, "a1")
	v = p.open(link + "&logout=1")
	if first := v.Chain[0]; first.Status != 302 || !strings.HasPrefix(v.URL, c.op.URL+"/session/end?") || p.context.Cookie("basic") != nil {
		t.Fatalf("%v", v.Chain)
	}
	p.watch(func() browser.Navigation { return p.Follow("#logout") })
	if !strings.Contains(p.Text(), "Logged out") {
		t.Errorf("ends with %s", p.Text())
	}
	p.begin(link) // a form again
}

// certifiedBackChannel has somebody sign out at the provider: it tells the gateway.
func certifiedBackChannel(t *testing.T, c *certified) {
	v, who := visitor.New(t), c.op.Person("alice", "in wonderland")
	got := c.login(t, v, who, "basic")
	copied := visitor.New(t)
	for name, value := range v.Cookies(c.URL) {
		copied.SetCookie(c.URL, name, value)
	}
	who.EndSession(t, c.op.URL+"/session/end?post_logout_redirect_uri="+url.QueryEscape(c.URL+"/")+"&id_token_hint="+got.Header("X-Id-Token"))
	// Both cookies are the same; which worker takes a connection, nobody knows. One that
	// has not heard of the end yet hears of it while the others are asked.
	for what, who := range map[string]*visitor.Visitor{"the copy": copied, "the original": v} {
		row := 0
		testenv.Eventually(t, 20*time.Second, "the end of the session for "+what, func() bool {
			p, err := who.Try("GET", c.URL+"/basic")
			if row++; err != nil || p.StatusCode != 401 {
				row = 0
			}
			return row == 12
		})
	}
	testenv.Evidence(t, "%s: the session has ended, for who copied its cookie too", c.Host)
}

// certifiedLogout signs out at the gateway: the tokens are revoked, the provider is told.
func certifiedLogout(t *testing.T, c *certified) {
	v := visitor.New(t)
	c.login(t, v, c.op.Person("alice", "in wonderland"), "post")
	before := len(c.op.Requests(t, "/token/revocation"))
	p := v.Open(c.URL + "/post?logout=1")
	if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), c.op.URL+"/session/end?") || len(v.Cookies(c.URL)) != 0 {
		t.Fatalf("%d to %q, cookies %v", p.StatusCode, p.Location(), v.Cookies(c.URL))
	}
	if n := len(c.op.Requests(t, "/token/revocation")) - before; n == 0 {
		t.Error("no token was revoked at the provider")
	}
	c.ask(t, v, "post", 401)
}

// certifiedRefresh asks from everywhere at once when the token has ended: the provider
// takes a refresh token once, and ends everything when it sees it twice.
func certifiedRefresh(t *testing.T, c *certified) {
	c.register(2 * time.Second)
	v := visitor.New(t)
	first := bearer(t, c.login(t, v, c.op.Person("alice", "in wonderland"), "basic"))
	c.op.Config.TTL.AccessToken = time.Hour
	cookies := v.Cookies(c.URL)
	testenv.Eventually(t, 20*time.Second, "the end of the first token", func() bool {
		return payload(t, first)["exp"].(float64) < float64(time.Now().Unix())
	})
	before := len(c.op.Requests(t, "/token"))
	var asking sync.WaitGroup
	failed := make(chan string, 200)
	for range 40 {
		asking.Go(func() {
			w := visitor.New(t)
			for name, value := range cookies {
				w.SetCookie(c.URL, name, value)
			}
			if p, err := w.Try("GET", c.URL+"/basic"); err != nil || p.StatusCode != 200 {
				failed <- fmt.Sprint(err, p)
			}
		})
	}
	asking.Wait()
	close(failed)
	for f := range failed {
		t.Errorf("%.200s", f)
	}
	if n := len(c.op.Requests(t, "/token")) - before; n != 1 {
		t.Errorf("the provider saw %d refreshes, want 1", n)
	}
	if bearer(t, c.ask(t, v, "basic", 200)) == first {
		t.Error("the upstream receives the token that has ended")
	}
}
