package logins

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// rig is a gateway between the test provider and an upstream.
type rig struct {
	*stack.Stack
	t   testing.TB
	up  *echo.Server
	idp *idp.Server
}

// inBoth runs a test in each host.
func inBoth(t *testing.T, run func(t *testing.T, host string)) {
	for _, host := range stack.Hosts {
		t.Run(host, func(t *testing.T) { run(t, host) })
	}
}

// start starts a stack for a file in which ${UPSTREAM} and ${ISSUER} stand.
func start(t *testing.T, host, file string, set func(s *idp.Server), o stack.Options) *rig {
	t.Helper()
	r := &rig{t: t, up: echo.Start(t), idp: idp.Start(t)}
	r.idp.AddClient(idp.Client{ID: "app", Secret: "app secret & more"})
	r.idp.AddUser(idp.User{Name: "alice", Password: "alice", Subject: "alice-1",
		Claims: map[string]any{"email": "alice@example.com", "email_verified": true, "name": "Alice Liddell"}})
	r.idp.AddUser(idp.User{Name: "bob", Password: "bob", Subject: "bob-2",
		Claims: map[string]any{"email": "bob@example.com", "email_verified": false}})
	if set != nil {
		set(r.idp)
	}
	r.Stack = stack.Start(t, host, r.fill(file), o)
	t.Cleanup(func() { r.quiet(t) })
	return r
}

// quiet asserts that no log has a token, a code or a cookie in it (D11).
func (r *rig) quiet(t testing.TB) {
	t.Helper()
	logs := r.Gateway.Log()
	if r.Sidecar != nil {
		logs += r.Sidecar.Log()
	}
	secrets := []string{"eyJ", "session=", "authorization_", "app secret & more", "app+secret"}
	for _, c := range r.idp.Calls("token") {
		for _, name := range []string{"code", "refresh_token", "code_verifier", "client_assertion"} {
			if v := c.Form.Get(name); v != "" {
				secrets = append(secrets, v)
			}
		}
	}
	for _, s := range secrets {
		if i := strings.Index(logs, s); i >= 0 {
			t.Errorf("%s: a log has %.12s… in it: …%.80s…", r.Host, s, logs[max(0, i-40):])
		}
	}
}

// fill puts the addresses of this run into a file.
func (r *rig) fill(file string) string {
	return strings.NewReplacer("${UPSTREAM}", r.up.URL, "${ISSUER}", r.idp.Issuer(), "${GATEWAY}", r.URL0()).Replace(file)
}

// URL0 is the gateway's URL, "" before it has one.
func (r *rig) URL0() string {
	if r.Stack == nil {
		return ""
	}
	return r.URL
}

// file is a declarative file with one protected service.
func file(config string) string {
	return `_format_version: "3.0"
_sallyport: {filter: {log_lines: 100000}}
services:
- name: app
  url: ${UPSTREAM}
  routes:
  - name: app
    paths: [/app]
    strip_path: false
    plugins:
    - name: openid-connect
      config:
        issuer: ${ISSUER}
        client_id: [app]
        client_secret: ["app secret & more"]
` + indent(config, 8) + `
  - {name: open, paths: [/open], strip_path: false}
`
}

func indent(s string, n int) string {
	return strings.Repeat(" ", n) + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n"+strings.Repeat(" ", n))
}

// login signs a visitor in and returns the page where it ends.
func (r *rig) login(t testing.TB, v *visitor.Visitor, target, user string) *visitor.Page {
	t.Helper()
	p := v.Open(r.URL + target)
	if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), r.idp.Endpoint("authorize")) {
		t.Fatalf("%s: %s: %d to %q: %s", r.Host, target, p.StatusCode, p.Location(), p.Body)
	}
	back := r.idp.SignIn(t, v.Client, p.Location(), user)
	p = v.Open(back)
	if p.StatusCode != 303 {
		t.Fatalf("%s: the callback: %d to %q: %s\n%s", r.Host, p.StatusCode, p.Location(), p.Body, r.Gateway.Tail())
	}
	return r.visit(t, v, p.Location())
}

// visit opens a page and logs what reached the upstream.
func (r *rig) visit(t testing.TB, v *visitor.Visitor, link string, header ...string) *visitor.Page {
	t.Helper()
	id := tokens.Random()
	p := v.Open(link, append(header, echo.TestID+": "+id)...)
	r.evidence(t, "GET", link, p, id)
	return p
}

// fetch is visit for a script.
func (r *rig) fetch(t testing.TB, v *visitor.Visitor, link string, header ...string) (*visitor.Page, []echo.Request) {
	t.Helper()
	id := tokens.Random()
	p := v.Fetch(link, append(header, echo.TestID+": "+id)...)
	return p, r.evidence(t, "GET", link, p, id)
}

func (r *rig) evidence(t testing.TB, method, link string, p *visitor.Page, id string) []echo.Request {
	t.Helper()
	seen := r.up.Seen(id)
	if u, err := url.Parse(link); err == nil {
		link = u.Path
	}
	testenv.Evidence(t, "%s: %s %s -> %d, upstream called %d times; the provider was asked for %d codes and %d times for tokens",
		r.Host, method, link, p.StatusCode, len(seen), r.idp.Count("authorize"), r.idp.Count("token"))
	return seen
}

// eventually fetches a page until every worker answers with a status.
func (r *rig) eventually(t testing.TB, v *visitor.Visitor, link string, status int, header ...string) {
	t.Helper()
	last, row := 0, 0
	err := testenv.Poll(10*time.Second, func() bool {
		p, err := v.Try("GET", link, header...)
		if err == nil {
			last = p.StatusCode
		}
		if row++; err != nil || last != status {
			row = 0
		}
		return row == 12
	})
	if err != nil {
		t.Fatalf("%s: %s: the last answer was %d, want %d: %v\n%s", r.Host, link, last, status, err, r.Gateway.Tail())
	}
}
