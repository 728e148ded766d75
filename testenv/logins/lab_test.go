package logins

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// lab is a rig with several routes, each with a plugin of its own, and several
// providers. Starting one takes seconds, so many cases share it.
type lab struct {
	*rig
	idps     map[string]*idp.Server
	site     map[string]site // by path
	settings string          // of _sallyport, for prepare to set
}

// site is a protected route.
type site struct {
	path   string
	idp    string // name of the provider
	config string // beside issuer, client and, unless it says so, auth_methods
	hosts  []string
	name   string // instance_name; without one, and with equal settings, sessions are shared
}

const secret = "app secret & more"

// provider starts a provider that knows the client and two people.
func provider(t testing.TB) *idp.Server {
	s := idp.Start(t)
	s.AddClient(idp.Client{ID: "app", Secret: secret})
	s.AddClient(idp.Client{ID: "other", Secret: secret})
	s.AddUser(idp.User{Name: "alice", Password: "alice", Subject: "alice-1",
		Claims: map[string]any{"email": "alice@example.com", "email_verified": true}})
	s.AddUser(idp.User{Name: "bob", Password: "bob", Subject: "bob-2"})
	s.AddUser(idp.User{Name: "carol", Password: "carol", Subject: "carol-3"})
	return s
}

// newLab starts a stack for sites, after prepare.
func newLab(t testing.TB, host string, o stack.Options, prepare func(l *lab), sites ...site) *lab {
	t.Helper()
	l := &lab{rig: &rig{t: t, up: echo.Start(t)}, idps: map[string]*idp.Server{}, site: map[string]site{}}
	for _, s := range sites {
		if l.idps[s.idp] == nil {
			l.idps[s.idp] = provider(t)
		}
		l.site[s.path] = s
	}
	l.idp = l.idps[sites[0].idp]
	if prepare != nil {
		prepare(l)
	}
	l.Stack = stack.Start(t, host, l.file(sites...), o)
	return l
}

// trusted makes the test a proxy that the gateway believes.
const trusted = "trusted_ips: [127.0.0.1/32], "

func (l *lab) file(sites ...site) string {
	var b strings.Builder
	fmt.Fprintf(&b, "_format_version: \"3.0\"\n_sallyport: {%sfilter: {log_lines: 100000}}\nservices:\n- name: app\n  url: %s\n  routes:\n", l.settings, l.up.URL)
	for _, s := range sites {
		name := strings.Trim(strings.ReplaceAll(s.path, "/", "-"), "-")
		fmt.Fprintf(&b, "  - name: %q\n    paths: [%q]\n    strip_path: false\n", name, s.path)
		if len(s.hosts) > 0 {
			fmt.Fprintf(&b, "    hosts: [%s]\n", strings.Join(s.hosts, ", "))
		}
		b.WriteString("    plugins:\n    - name: openid-connect\n")
		if s.name != "" {
			fmt.Fprintf(&b, "      instance_name: %q\n", s.name)
		}
		fmt.Fprintf(&b, "      config:\n        issuer: %s\n", l.idps[s.idp].Issuer())
		config := s.config
		if !strings.Contains(config, "auth_methods:") {
			config += "\nauth_methods: [authorization_code, session]"
		}
		if !strings.Contains(config, "client_id:") {
			config += fmt.Sprintf("\nclient_id: [app]\nclient_secret: [%q]", secret)
		}
		b.WriteString(indent(config, 8) + "\n")
	}
	b.WriteString("  - {name: open, paths: [/open], strip_path: false}\n")
	return b.String()
}

// provider returns the provider of a path.
func (l *lab) provider(path string) *idp.Server {
	for p, s := range l.site {
		if path == p || strings.HasPrefix(path, p+"/") {
			return l.idps[s.idp]
		}
	}
	l.t.Fatalf("no site at %s", path)
	return nil
}

// begin opens a page and returns where the provider then sends the browser.
func (l *lab) begin(t testing.TB, v *visitor.Visitor, target, user string) (callback string) {
	t.Helper()
	p := v.Open(l.URL + target)
	if to := l.provider(target).Endpoint("authorize"); p.StatusCode != 302 || !strings.HasPrefix(p.Location(), to) {
		t.Fatalf("%s: %s: %d to %q: %s", l.Host, target, p.StatusCode, p.Location(), p.Body)
	}
	return l.provider(target).SignIn(t, v.Client, p.Location(), user)
}

// signIn is the whole way to the page; it ends with a session.
func (l *lab) signIn(t testing.TB, v *visitor.Visitor, target, user string) {
	t.Helper()
	if p := v.Open(l.begin(t, v, target, user)); p.StatusCode != 303 {
		t.Fatalf("%s: the callback: %d to %q: %s\n%s", l.Host, p.StatusCode, p.Location(), p.Body, l.Gateway.Tail())
	}
	if p, seen := l.fetch(t, v, l.URL+target); p.StatusCode != 200 || len(seen) != 1 {
		t.Fatalf("%s: %s after the login: %d, %s", l.Host, target, p.StatusCode, p.Body)
	}
}

// newVisitor is somebody whose Client takes long headers.
func newVisitor(t testing.TB) *visitor.Visitor { return visitor.New(t) }

// copyOf returns somebody with the same cookies.
func copyOf(t testing.TB, v *visitor.Visitor, link string) *visitor.Visitor {
	t.Helper()
	thief := newVisitor(t)
	for name, value := range v.Cookies(link) {
		thief.SetCookie(link, name, value)
	}
	return thief
}

// cookieHeader writes cookies as a header's line.
func cookieHeader(pairs ...string) string { return "Cookie: " + strings.Join(pairs, "; ") }

// raw sends a request with no cookies but those of its headers.
func (l *lab) raw(t testing.TB, method, target string, header ...string) (*visitor.Page, []echo.Request) {
	t.Helper()
	v := newVisitor(t)
	id := tokens.Random()
	p := v.Send(method, l.URL+target, append(header, echo.TestID+": "+id)...)
	return p, l.up.Seen(id)
}

var navigate = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html"}

func requestID(p *visitor.Page) string { return p.Header.Get("X-Request-Id") }

// setsSession reports whether an answer hands out a session.
func setsSession(p *visitor.Page) bool {
	for _, c := range p.Response.Cookies() {
		if name := strings.TrimPrefix(c.Name, "__Host-"); strings.HasPrefix(name, "session") && c.Value != "" && c.MaxAge >= 0 {
			return true
		}
	}
	return false
}

// refusedWith asserts that an answer refuses with a reason and gives nothing away.
func (l *lab) refusedWith(t testing.TB, p *visitor.Page, status int, reason string) {
	t.Helper()
	got := l.Reason(requestID(p))
	if p.StatusCode != status || got != reason {
		t.Errorf("%s: %d %q, want %d %q: to %q: %.300s", l.Host, p.StatusCode, got, status, reason, p.Location(), p.Body)
	}
	if setsSession(p) {
		t.Errorf("%s: %s: a session is set: %q", l.Host, reason, p.Header.Values("Set-Cookie"))
	}
	l.harmless(t, p)
}

// harmless asserts that no browser runs anything of an answer.
func (l *lab) harmless(t testing.TB, p *visitor.Page) {
	t.Helper()
	kind := p.Header.Get("Content-Type")
	if strings.Contains(p.Body, "<script") || strings.Contains(strings.ToLower(p.Body), "javascript:") {
		t.Errorf("%s: a script is in the answer: %s", l.Host, p.Body)
	}
	if strings.HasPrefix(kind, "text/html") {
		csp := p.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || p.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: the page has the headers %v", l.Host, p.Header)
		}
	} else if p.Body != "" && !strings.HasPrefix(kind, "application/json") {
		t.Errorf("%s: content type %q: %s", l.Host, kind, p.Body)
	}
	if len(p.Header.Values("Location")) > 1 {
		t.Errorf("%s: %v", l.Host, p.Header)
	}
}

// query returns the parameters of a link.
func query(t testing.TB, link string) url.Values {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// with returns a link with another query.
func with(t testing.TB, link string, change func(q url.Values)) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	change(q)
	u.RawQuery = q.Encode()
	return u.String()
}

// quiet asserts that no log has any of what must be in none.
func (l *lab) quiet(t testing.TB, secrets ...string) {
	t.Helper()
	logs := l.Gateway.Log()
	if l.Sidecar != nil {
		logs += l.Sidecar.Log()
	}
	for _, p := range l.idps {
		for _, call := range p.Calls("token") {
			secrets = append(secrets, call.Form.Get("code"), call.Form.Get("refresh_token"), call.Form.Get("code_verifier"), call.Header.Get("Authorization"))
		}
	}
	for _, s := range secrets {
		if len(s) > 8 && strings.Contains(logs, s) {
			t.Errorf("%s: a secret is in a log: %.12s…", l.Host, s)
		}
	}
}
