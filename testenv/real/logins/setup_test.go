//go:build real

package logins

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

// inBoth runs a test in each host, with one browser for both.
func inBoth(t *testing.T, run func(t *testing.T, host string)) {
	for _, host := range stack.Hosts {
		t.Run(host, func(t *testing.T) { run(t, host) })
	}
}

// site is a gateway at work, the upstream behind it and the browser before it.
type site struct {
	*stack.Stack
	up      *echo.Server
	browser *browser.Browser
	// idp is the test provider, nil where it is another one.
	idp *idp.Server
	// asked says in a few words what the provider was asked for so far.
	asked func() string
	// form fills in the provider's form.
	form func(tab *browser.Tab, user, password string) browser.Navigation
}

// read returns a file of an example, with some of it replaced by what this run has.
// Nothing else is changed, and what is replaced has to be there.
func read(t testing.TB, name string, replace ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return edit(t, string(data), replace...)
}

// edit replaces texts, each of which has to be there.
func edit(t testing.TB, text string, replace ...string) string {
	t.Helper()
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("the file does not have %q", replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return text
}

// start starts a gateway between the test provider and an upstream.
func start(t *testing.T, host, file string, up *echo.Server, p *idp.Server, b *browser.Browser) *site {
	t.Helper()
	s := &site{Stack: stack.Start(t, host, file, stack.Options{}), up: up, browser: b, idp: p}
	s.asked = func() string {
		return fmt.Sprintf("codes %d, tokens %d, revocations %d, logouts %d", p.Count("authorize"), p.Count("token"),
			p.Count("revoke"), p.Count("end_session"))
	}
	s.form = func(tab *browser.Tab, user, password string) browser.Navigation {
		tab.Fill("#username", user)
		tab.Fill("#password", password)
		return tab.Follow("#login")
	}
	return s
}

// at returns an address of the gateway by a name of this machine.
func (s *site) at(name, target string) string { return "http://" + name + ":" + s.Port() + target }

// person is somebody with a browser that has nothing yet.
type person struct {
	*browser.Tab
	context *browser.Context
	t       testing.TB
	s       *site
}

func (s *site) person(t testing.TB) *person {
	t.Helper()
	c := s.browser.New(t)
	return &person{c.Tab(t), c, t, s}
}

// tab is another tab of the same person.
func (p *person) tab() *person {
	p.t.Helper()
	return &person{p.context.Tab(p.t), p.context, p.t, p.s}
}

// visit is what came of going somewhere: in the browser, and at the upstream.
type visit struct {
	browser.Navigation
	upstream []echo.Request
}

// open goes to an address.
func (p *person) open(link string) visit {
	p.t.Helper()
	return p.watch(func() browser.Navigation { return p.Navigate(link) })
}

// signIn fills in the provider's form.
func (p *person) signIn(user, password string) visit {
	p.t.Helper()
	return p.watch(func() browser.Navigation { return p.s.form(p.Tab, user, password) })
}

// login goes to an address, signs in, and ends on the page with that address.
func (p *person) login(link, user, password string) visit {
	p.t.Helper()
	p.begin(link)
	v := p.signIn(user, password)
	if v.Status != 200 || v.URL != link || len(v.upstream) == 0 {
		p.t.Fatalf("%s: signed in as %s: %d at %s, the upstream was called %d times: %s\n%s", p.s.Host, user, v.Status, bare(v.URL),
			len(v.upstream), p.Text(), p.s.Gateway.Tail())
	}
	return v
}

// begin goes to an address that needs a login, and ends on the provider's form.
func (p *person) begin(link string) visit {
	p.t.Helper()
	v := p.open(link)
	if len(v.Chain) < 2 || v.Chain[0].Status != 302 || len(v.upstream) != 0 || v.Status != 200 {
		p.t.Fatalf("%s: %s does not lead to the provider's form: %v, the upstream was called %d times: %s\n%s", p.s.Host, bare(link),
			v.Chain, len(v.upstream), p.Text(), p.s.Gateway.Tail())
	}
	return v
}

// watch does something that goes elsewhere, and logs what came of it.
func (p *person) watch(act func() browser.Navigation) visit {
	p.t.Helper()
	before := p.s.up.Total()
	v := visit{Navigation: act()}
	v.upstream = p.s.up.Since(before)
	var steps []string
	for _, r := range v.Chain {
		step := fmt.Sprintf("%s %s -> %d", r.Method, bare(r.URL), r.Status)
		if to := r.Header.Get("Location"); to != "" {
			step += " to " + bare(to)
		}
		for _, c := range r.Header["Set-Cookie"] {
			name, _, _ := strings.Cut(c, "=")
			step += ", sets " + name
		}
		steps = append(steps, step)
	}
	var received []string
	for _, r := range v.upstream {
		received = append(received, fmt.Sprintf("%s %s of %q", r.Method, bare(r.Target), r.Header("X-Credential-Identifier")))
	}
	testenv.Evidence(p.t, "%s: %s; the upstream received %d requests %v; the provider so far: %s", p.s.Host, strings.Join(steps, "; "),
		len(v.upstream), received, p.s.asked())
	return v
}

// bare is an address without what must not be in a log.
func bare(link string) string {
	link, query, _ := strings.Cut(link, "?")
	link, _, _ = strings.Cut(link, "#")
	if query == "" {
		return link
	}
	values, _ := url.ParseQuery(query)
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return link + "?" + strings.Join(names, "&")
}

// fetch is what a script of the page does.
func (p *person) fetch(target string, options map[string]any) (browser.Fetched, []echo.Request) {
	p.t.Helper()
	before := p.s.up.Total()
	f := p.Tab.Fetch(target, options)
	seen := p.s.up.Since(before)
	testenv.Evidence(p.t, "%s: fetch %s -> %d %s, the upstream received %d requests; the provider so far: %s", p.s.Host, bare(target),
		f.Status, f.Err, len(seen), p.s.asked())
	return f, seen
}

// one returns the one request that reached the upstream.
func (v visit) one(t testing.TB) *echo.Request {
	t.Helper()
	if len(v.upstream) != 1 {
		t.Fatalf("the upstream received %d requests, want 1: %v", len(v.upstream), v.Chain)
	}
	return &v.upstream[0]
}

// own are the gateway's cookies that the person has: name to cookie. Where sessions have
// other names than the usual one, those are given.
func (p *person) own(sessions ...string) map[string]*http.Cookie {
	p.t.Helper()
	out := map[string]*http.Cookie{}
	for _, c := range p.context.Cookies() {
		if c.Name == "session" || strings.HasPrefix(c.Name, "session_") || strings.HasPrefix(c.Name, "authorization_") ||
			slices.Contains(sessions, c.Name) {
			out[c.Name] = c
		}
	}
	return out
}

// payload returns the claims of a token, unverified.
func payload(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %d parts", len(parts))
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// bearer returns the token that the upstream received.
func bearer(t testing.TB, r *echo.Request) string {
	t.Helper()
	token, ok := strings.CutPrefix(r.Header("Authorization"), "Bearer ")
	if !ok {
		t.Fatalf("the upstream received no token: %q", r.Header("Authorization"))
	}
	return token
}

// last returns the last request that came to an endpoint of the test provider.
func (s *site) last(t testing.TB, endpoint string) idp.Call {
	t.Helper()
	calls := s.idp.Calls(endpoint)
	if len(calls) == 0 {
		t.Fatalf("the provider's %s was not asked", endpoint)
	}
	return calls[len(calls)-1]
}

// refused asserts that a visit ended on an error page with a reason, by which the
// log explains it too, and that the upstream saw nothing.
func (p *person) refused(v visit, status int, reason string) {
	p.t.Helper()
	text := p.Text()
	if v.Status != status || len(v.upstream) != 0 || !strings.Contains(text, reason) {
		p.t.Fatalf("%s: %d at %s, the upstream was called %d times, want %d with %s: %s\n%s", p.s.Host, v.Status, bare(v.URL),
			len(v.upstream), status, reason, text, p.s.Gateway.Tail())
	}
	if kind := v.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/html") || v.Header.Get("Cache-Control") != "no-store" {
		p.t.Errorf("the page has Content-Type %q and Cache-Control %q", kind, v.Header.Get("Cache-Control"))
	}
	id := v.Header.Get("X-Request-Id")
	if id == "" || !strings.Contains(text, id) {
		p.t.Errorf("the page does not show the request id %q: %s", id, text)
	}
	testenv.Evidence(p.t, "%s: the page says %q with the request's id", p.s.Host, reason)
}

// eventually repeats something until it has come out well so many times in a row
// that every worker has been asked.
func (p *person) eventually(what string, good func() bool) {
	p.t.Helper()
	row := 0
	testenv.Eventually(p.t, 15*time.Second, p.s.Host+": "+what, func() bool {
		if row++; !good() {
			row = 0
		}
		return row == 8
	})
}

// readFile returns the file of a run.
func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
