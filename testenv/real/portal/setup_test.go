//go:build real

// Package portal plays the developer portal in a real browser.
package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/axe"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// conf is portal_auth_conf as the article has it.
const conf = `{
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
  "client_secret": ["portal secret"],
  "ssl_verify": false,
  "login_redirect_uri": ["${PORTAL}/default"],
  "login_redirect_mode": "query"
}`

const services = `
services:
- name: orders
  url: http://orders.invalid
  routes: [{name: orders, paths: [/orders]}]
  plugins:
  - {name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer], consumer_claim: [client_id], consumer_by: [custom_id], scopes_required: ["orders:read"]}}
  - {name: application-registration, config: {display_name: Orders, description: "What customers have bought, with everything that happened to it since: paid, packed, sent, returned.", show_issuer: true}}
- name: weather
  url: http://weather.invalid
  routes: [{name: weather, paths: [/weather]}]
  plugins:
  - {name: openid-connect, config: {issuer: "${ISSUER}", client_id: [gate], client_secret: [gate-secret-0123456789], auth_methods: [bearer, client_credentials], consumer_claim: [client_id], consumer_by: [custom_id]}}
  - {name: application-registration, config: {display_name: Weather, description: "Rain, shine and the odds of both.", auto_approve: true, show_issuer: true}}
- name: returns
  url: http://returns.invalid
  routes: [{name: returns, paths: [/returns]}]
  plugins:
  - {name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer], consumer_claim: [client_id], consumer_by: [custom_id]}}
  - {name: application-registration, config: {display_name: Returns and refunds, description: "Sends goods back and money too."}}
`

// site is a portal at work.
type site struct {
	t                 testing.TB
	idp               *idp.Server
	db                *registry.Registry
	browser           *browser.Browser
	process           *testenv.Process
	url, admin, token string
	axe               string
}

func start(t *testing.T) *site {
	t.Helper()
	_, binary := testenv.Build(t)
	b := browser.Start(t)
	dir := testenv.TempDir(t)
	s := &site{t: t, idp: idp.Start(t), browser: b, axe: axe.Script(t), token: "admin-token-of-the-test-0123456789"}
	s.idp.AddClient(idp.Client{ID: "portal", Secret: "portal secret"})
	for _, name := range []string{"Ada", "Bob", "Cleo"} {
		s.idp.AddUser(idp.User{Name: strings.ToLower(name), Password: "secret", Claims: map[string]any{
			"email": strings.ToLower(name) + "@example.com", "email_verified": true, "name": name + " Example"}})
	}
	s.idp.AddUser(idp.User{Name: "una", Password: "secret", Claims: map[string]any{"email": "una@example.com", "email_verified": false}})
	gui, api, admin, status := testenv.FreePort(t), testenv.FreePort(t), testenv.FreePort(t), testenv.FreePort(t)
	s.url, s.admin = fmt.Sprintf("http://localhost:%d", gui), fmt.Sprintf("http://localhost:%d", admin)
	fill := strings.NewReplacer("${ISSUER}", s.idp.Issuer(), "${PORTAL}", s.url).Replace
	text, err := json.Marshal(fill(conf))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "kong.yml")
	err = os.WriteFile(file, fmt.Appendf(nil, `_format_version: "3.0"
_sallyport:
  installation_secret: installation-secret-of-the-test-0123456789
  portal: {portal_auth: openid-connect, portal_auth_conf: %s, gateway_url: "https://api.example"}
%s`, text, fill(services)), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	dsn := "sqlite:" + filepath.Join(dir, "registry.db")
	if s.db, err = registry.Open(context.Background(), dsn, registry.Options{Secret: redact.New("installation-secret-of-the-test-0123456789")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
	at := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	s.process = testenv.Start(t, "portal", binary, []string{"portal", "-c", file, "--registry", dsn, "--state-dir", filepath.Join(dir, "state"),
		"--listen", at(gui), "--auth-listen", at(api), "--admin-listen", at(admin), "--status-listen", at(status), "--admin-token", s.token,
		"--cache-dir", filepath.Join(testenv.Root(), "build", "test", "cache")})
	s.process.WaitReady(t, 60*time.Second, func() bool { return testenv.OK(fmt.Sprintf("http://127.0.0.1:%d/readyz", status)) })
	return s
}

// signIn signs somebody in, by the button of the first page.
func (s *site) signIn(tab *browser.Tab, name string) browser.Navigation {
	s.t.Helper()
	tab.Navigate(s.url + "/default")
	tab.Follow(".hero .button")
	tab.Fill("[name=username]", name)
	tab.Fill("[name=password]", "secret")
	return tab.Submit("[name=password]")
}

// look takes pictures of the page at a desk and on a telephone, by day and by night,
// and has it judged in each of them.
func (s *site) look(t *testing.T, tab *browser.Tab, name string) {
	t.Helper()
	for _, width := range []int64{1280, 360} {
		for _, dark := range []bool{false, true} {
			scheme := "light"
			if dark {
				scheme = "dark"
			}
			tab.Look(width, dark)
			tab.Screenshot(filepath.Join(testenv.Root(), "build", "screens", fmt.Sprintf("%s-%d-%s.png", name, width, scheme)))
			for _, v := range axe.Check(tab, s.axe) {
				t.Errorf("%s, %d px, %s: %s", name, width, scheme, v)
			}
			var wide int64
			if tab.Eval("document.documentElement.scrollWidth", &wide); wide > width {
				t.Errorf("%s is %d pixels wide on %d", name, wide, width)
			}
		}
	}
	tab.Look(1280, false)
	for _, r := range tab.Responses() {
		if !strings.HasPrefix(r.URL, s.url) && !strings.HasPrefix(r.URL, s.admin) && !strings.HasPrefix(r.URL, s.idp.URL) && !strings.HasPrefix(r.URL, "http://localhost:") {
			t.Errorf("%s: something was loaded from %s", name, r.URL)
		}
	}
}

// get returns what is at an address.
func get(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// status is what a service answers with.
func status(t *testing.T, url, authorization string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}
