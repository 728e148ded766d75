package portal_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/portal"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// article is portal_auth_conf as the article has it, its lost values as Kong's own
// sample has them (S3-01 … S3-11). The addresses are filled in.
const article = `{
  "leeway": 1000,
  "consumer_by": ["username", "custom_id", "id"],
  "scopes": ["openid", "profile", "email", "offline_access"],
  "logout_query_arg": "logout",
  "client_id": ["portal"],
  "login_action": "redirect",
  "logout_redirect_uri": ["${PORTAL}/default"],
  "logout_methods": ["GET"],
  "consumer_claim": ["email"],
  "forbidden_redirect_uri": ["${PORTAL}/unauthorized"],
  "issuer": "${ISSUER}/.well-known/openid-configuration",
  "client_secret": ["portal secret & more"],
  "ssl_verify": false,
  "login_redirect_uri": ["${PORTAL}/default"],
  "login_redirect_mode": "query"
}`

// plainConf is a shorter one, that leaves all to the defaults.
const plainConf = `{"issuer": "${ISSUER}", "client_id": ["portal"], "client_secret": ["portal secret & more"], "scopes": ["openid", "email", "profile"]}`

// services are what is offered.
const services = `
services:
- name: orders
  url: http://orders.invalid
  routes: [{name: orders, paths: [/orders]}]
  plugins:
  - {name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer], consumer_claim: [client_id], consumer_by: [custom_id], scopes_required: ["orders:read"]}}
  - {name: application-registration, config: {display_name: Orders, description: What customers have bought., show_issuer: true}}
- name: weather
  url: http://weather.invalid
  routes: [{name: weather, paths: [/weather]}]
  plugins:
  - {name: openid-connect, config: {issuer: "${ISSUER}", client_id: [gate], client_secret: [gate-secret-0123456789], auth_methods: [bearer, client_credentials], consumer_claim: [client_id], consumer_by: [custom_id]}}
  - {name: application-registration, config: {display_name: Weather, description: Rain and shine., auto_approve: true}}
- name: hidden
  url: http://hidden.invalid
  routes: [{name: hidden, paths: [/hidden]}]
`

// options say how a portal is set up.
type options struct {
	conf    string // portal_auth_conf; plainConf
	auto    bool   // portal_auto_approve
	more    string // members of the block portal, YAML
	catalog string // services
}

// rig is a portal with its surroundings.
type rig struct {
	t      testing.TB
	idp    *idp.Server
	db     *registry.Registry
	portal *portal.Portal
	url    string // origin of the pages
	auth   string // origin of the way back
	admin  string // origin of the administrators' listener
	token  string
	log    *logBuffer
	state  string

	mu   sync.Mutex // guards file
	file string
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const bootstrap = "bootstrap-token-of-the-test-0123456789"

// people are the users of the identity provider.
func people(s *idp.Server) {
	s.AddClient(idp.Client{ID: "portal", Secret: "portal secret & more"})
	for _, name := range []string{"ada", "bob", "cleo", "dan", "eve", "fay"} {
		s.AddUser(idp.User{Name: name, Password: name, Subject: name + "-1",
			Claims: map[string]any{"email": name + "@example.com", "email_verified": true, "name": strings.ToUpper(name[:1]) + name[1:] + " Example"}})
	}
	s.AddUser(idp.User{Name: "una", Password: "una", Subject: "una-1", Claims: map[string]any{"email": "una@example.com", "email_verified": false}})
	s.AddUser(idp.User{Name: "nil", Password: "nil", Subject: "nil-1"})
}

// start starts a portal.
func start(t testing.TB, o options) *rig {
	t.Helper()
	module, _ := testenv.Build(t)
	wasm, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	dir := testenv.TempDir(t)
	r := &rig{t: t, idp: idp.Start(t), log: &logBuffer{}, token: bootstrap, state: dir}
	people(r.idp)
	gui, api, admin := testenv.FreePort(t), testenv.FreePort(t), testenv.FreePort(t)
	r.url, r.auth, r.admin = fmt.Sprintf("http://localhost:%d", gui), fmt.Sprintf("http://localhost:%d", api), fmt.Sprintf("http://localhost:%d", admin)
	if o.conf == "" {
		o.conf = plainConf
	}
	if o.catalog == "" {
		o.catalog = services
	}
	conf, err := json.Marshal(r.fill(o.conf)) // a JSON string is a YAML string
	if err != nil {
		t.Fatal(err)
	}
	approve := "off"
	if o.auto {
		approve = "on"
	}
	r.file = fmt.Sprintf(`_format_version: "3.0"
_sallyport:
  portal:
    portal_auth: openid-connect
    portal_auth_conf: %s
    portal_auto_approve: %q
    portal_app_auth: external-oauth2
    portal_gui_listen: 127.0.0.1:%d
    portal_api_listen: 127.0.0.1:%d
    admin_listen: 127.0.0.1:%d
    gateway_url: https://api.example
%s
%s`, conf, approve, gui, api, admin, indent(o.more, 4), r.fill(o.catalog))
	secret := redact.New("installation-secret-of-the-test-0123456789")
	ctx, cancel := context.WithCancel(context.Background())
	if r.db, err = registry.Open(ctx, "sqlite:"+filepath.Join(dir, "registry.db"), registry.Options{Secret: secret}); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.portal, err = portal.Open(ctx, portal.Config{Read: r.read, Dir: dir, StateDir: dir, Registry: r.db, Secret: secret,
		Token: redact.New(bootstrap), Module: wasm, Deadline: -1, CacheDir: filepath.Join(testenv.Root(), "build", "test", "cache"), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.portal.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the portal ended: %v", err)
		}
		_ = r.db.Close()
		r.quiet()
	})
	testenv.Eventually(t, 60*time.Second, "the portal is ready", func() bool { return r.portal.Ready() == nil && testenv.OK(r.url+"/default/kong") })
	return r
}

// read reads the file of the moment.
func (r *rig) read(further []declarative.Further) (*declarative.File, declarative.Problems) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return declarative.Parse("kong.yml", []byte(r.file), declarative.Options{Further: further})
}

func (r *rig) fill(s string) string {
	return strings.NewReplacer("${ISSUER}", r.idp.Issuer(), "${PORTAL}", r.url, "${AUTH}", r.auth).Replace(s)
}

func indent(s string, n int) string {
	if s == "" {
		return ""
	}
	return strings.Repeat(" ", n) + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n"+strings.Repeat(" ", n))
}

// quiet asserts that no log has a token, a secret or a cookie in it (D11).
func (r *rig) quiet() {
	for _, s := range []string{"eyJ", "portal secret", "portal+secret", bootstrap, "portal_session=", "csrf="} {
		if i := strings.Index(r.log.String(), s); i >= 0 {
			r.t.Errorf("the log has %q in it: …%.120s…", s, r.log.String()[max(0, i-60):])
		}
	}
}

// one is a browser with somebody in front of it.
type one struct {
	*visitor.Visitor
	r    *rig
	name string
}

func (r *rig) visitor(name string) *one { return &one{visitor.New(r.t), r, name} }

// signIn signs somebody in at the identity provider, by the portal's login, and
// returns the first page of the portal that is shown then.
func (v *one) signIn() *visitor.Page {
	v.r.t.Helper()
	p := v.Open(v.r.url + "/default/login")
	if p.StatusCode != http.StatusFound || !strings.HasPrefix(p.Location(), v.r.idp.Endpoint("authorize")) {
		v.r.t.Fatalf("the login: %d to %q: %s\n%s", p.StatusCode, p.Location(), p.Body, v.r.log)
	}
	back := v.r.idp.SignIn(v.r.t, v.Client, p.Location(), v.name)
	p = v.Open(back)
	for range 6 {
		if p.StatusCode != http.StatusFound && p.StatusCode != http.StatusSeeOther {
			break
		}
		p = v.Open(p.Location())
	}
	return p
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]*)"`)

// csrf returns the token of a page's forms.
func csrf(p *visitor.Page) string {
	if m := csrfField.FindStringSubmatch(p.Body); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// post sends a form as a page of the origin would. Without a token of its own it takes
// that of the page at path.
func (v *one) post(origin, path string, values url.Values, header ...string) *visitor.Page {
	v.r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, origin+path, strings.NewReader(values.Encode()))
	if err != nil {
		v.r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", origin)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Accept", "text/html")
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if value == "" {
			req.Header.Del(name)
			continue
		}
		req.Header.Set(name, value)
	}
	res, err := v.Client.Do(req)
	if err != nil {
		v.r.t.Fatal(err)
	}
	defer res.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(res.Body); err != nil {
		v.r.t.Fatal(err)
	}
	return &visitor.Page{Response: res, Body: body.String(), URL: origin + path}
}

// send opens a page, fills in its form and sends it to where the form leads.
func (v *one) send(page, to string, pairs ...string) *visitor.Page {
	v.r.t.Helper()
	p := v.Open(v.r.url + page)
	values := url.Values{"csrf": {csrf(p)}}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return v.post(v.r.url, to, values)
}

// register registers whoever has signed in.
func (v *one) register() *visitor.Page {
	v.r.t.Helper()
	return v.send("/default/register", "/default/register", "name", "Somebody "+v.name)
}

// system is who writes what tests need.
var system = registry.Actor{Kind: "system", Name: "test"}

// developer returns the account of a user.
func (r *rig) developer(name string) registry.Developer {
	r.t.Helper()
	d, err := r.db.Developer(context.Background(), name+"@example.com")
	if err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	return d
}

// set sets the status of a user's account.
func (r *rig) set(name string, status registry.Status) {
	r.t.Helper()
	if _, err := r.db.SetDeveloperStatus(context.Background(), system, name+"@example.com", status); err != nil {
		r.t.Fatal(err)
	}
}

// member returns a browser with a developer whose account is approved.
func (r *rig) member(name string) *one {
	r.t.Helper()
	v := r.visitor(name)
	v.signIn()
	if p := v.register(); p.StatusCode != http.StatusSeeOther {
		r.t.Fatalf("registering %s: %d %s", name, p.StatusCode, p.Body)
	}
	r.set(name, registry.Approved)
	return v
}

// application makes an application and returns its id.
func (v *one) application(name, clientID string) string {
	v.r.t.Helper()
	p := v.send("/default/applications/new", "/default/applications/new", "name", name, "custom_id", clientID, "description", "", "redirect_uri", "")
	path, _, _ := strings.Cut(strings.TrimPrefix(p.Location(), v.r.url+"/default/applications/"), "?")
	if p.StatusCode != http.StatusSeeOther || path == "" {
		v.r.t.Fatalf("application %s: %d %s", name, p.StatusCode, p.Body)
	}
	return path
}

// title returns the heading of a page.
func title(p *visitor.Page) string {
	_, rest, _ := strings.Cut(p.Body, "<h1>")
	text, _, _ := strings.Cut(rest, "</h1>")
	return html.UnescapeString(text)
}

func base64URL(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
