//go:build real

package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

// TestArticles plays both articles: from an empty database to a 200, and to a 403 once
// access is revoked, with every worker warm.
func TestArticles(t *testing.T) {
	b := browser.Start(t)
	for _, host := range stack.Hosts {
		t.Run(host, func(t *testing.T) { articles(t, b, host) })
	}
}

const sharedSecret = "installation-secret-of-the-test-0123456789"

func articles(t *testing.T, b *browser.Browser, host string) {
	up, issuer := echo.Start(t), idp.Start(t)
	issuer.AddClient(idp.Client{ID: "portal", Secret: "portal secret"})
	issuer.AddClient(idp.Client{ID: "0oashop", Secret: "shop secret"})
	issuer.AddUser(idp.User{Name: "ada", Password: "secret", Claims: map[string]any{"email": "ada@example.com", "email_verified": true, "name": "Ada Example"}})
	issuer.Set(func(o *idp.Options) { o.ClientClaim = "application_id" })
	gui, api, admin, status := testenv.FreePort(t), testenv.FreePort(t), testenv.FreePort(t), testenv.FreePort(t)
	at := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	s := &site{t: t, idp: issuer, browser: b, url: fmt.Sprintf("http://localhost:%d", gui), admin: fmt.Sprintf("http://localhost:%d", admin), token: "admin-token-of-the-test-0123456789"}
	text, err := json.Marshal(strings.NewReplacer("${ISSUER}", issuer.Issuer(), "${PORTAL}", s.url).Replace(conf))
	if err != nil {
		t.Fatal(err)
	}
	dsn := "sqlite:" + filepath.Join(testenv.TempDir(t), "registry.db")
	file := fmt.Sprintf(`_format_version: "3.0"
_sallyport:
  installation_secret: %s
  registry: %q
  portal: {portal_auth: openid-connect, portal_auth_conf: %s, gateway_url: "http://127.0.0.1:${PORT}"}
services:
- name: orders
  url: %s
  routes: [{name: orders, paths: [/orders], strip_path: false}]
  plugins:
  - {name: openid-connect, config: {issuer: %q, auth_methods: [bearer], consumer_claim: [application_id], consumer_by: [custom_id]}}
  - {name: application-registration, config: {display_name: Orders, show_issuer: true}}
`, sharedSecret, dsn, text, up.URL, issuer.Issuer())
	gateway := stack.Start(t, host, file, stack.Options{})
	_, binary := testenv.Build(t)
	s.process = testenv.Start(t, "portal", binary, []string{"portal", "-c", gateway.Path, "--state-dir", filepath.Join(testenv.TempDir(t), "state"),
		"--listen", at(gui), "--auth-listen", at(api), "--admin-listen", at(admin), "--status-listen", at(status), "--admin-token", s.token,
		"--cache-dir", filepath.Join(testenv.Root(), "build", "test", "cache")})
	s.process.WaitReady(t, 60*time.Second, func() bool { return testenv.OK("http://" + at(status) + "/readyz") })

	call := func() int {
		form := url.Values{"grant_type": {"client_credentials"}}
		req, err := http.NewRequest(http.MethodPost, issuer.Endpoint("token"), strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("0oashop", url.QueryEscape("shop secret"))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Token string `json:"access_token"`
		}
		err = json.NewDecoder(res.Body).Decode(&answer)
		_ = res.Body.Close()
		if err != nil || answer.Token == "" {
			t.Fatalf("no token: %v %d", err, res.StatusCode)
		}
		// Several, so that every worker has seen it.
		all := 0
		for i := range 12 {
			req, err = http.NewRequest(http.MethodGet, gateway.URL+"/orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+answer.Token)
			req.Close = true // a connection of its own: Envoy gives it to any thread
			if res, err = http.DefaultClient.Do(req); err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if i > 0 && res.StatusCode != all {
				return 0 // some know it, and some do not
			}
			all = res.StatusCode
		}
		return all
	}
	expect := func(want int, when string) {
		t.Helper()
		got := 0
		if err := testenv.Poll(5*time.Second, func() bool { got = call(); return got == want }); err != nil {
			t.Fatalf("%s: %d, want %d\n%s", when, got, want, gateway.Gateway.Tail())
		}
		testenv.Evidence(t, "%s: %s: GET /orders with the application's token -> %d, upstream called %d times; the provider was asked %d times for tokens", host, when, got, up.Total(), issuer.Count("token"))
	}
	heading := func(tab *browser.Tab, want string) {
		t.Helper()
		var got string
		if tab.Eval(`document.querySelector("h1").textContent`, &got); got != want {
			t.Fatalf("the page is %q instead of %q, at %s\n%s", got, want, tab.Location(), s.process.Tail())
		}
	}

	expect(403, "nobody knows the application")
	ada, op := b.New(t).Tab(t), b.New(t).Tab(t)
	s.signIn(ada, "ada")
	heading(ada, "You have no developer account yet")
	ada.Follow("main .button")
	ada.Submit("#name")
	op.Navigate(s.admin + "/portal-admin")
	op.Fill("#token", s.token)
	op.Submit("#token")
	op.Follow("button[value=approve]")
	ada.Navigate(s.url + "/default/applications/new")
	ada.Fill("#name", "Shop front")
	ada.Fill("#custom_id", "0oashop")
	ada.Submit("#name")
	heading(ada, "Shop front")
	expect(403, "registered, without access")
	ada.Submit("#service")
	expect(403, "access is requested")
	op.Navigate(s.admin + "/portal-admin")
	op.Follow("button[value=approve]")
	expect(200, "access is approved")
	ada.Reload()
	if !strings.Contains(ada.Text(), issuer.Issuer()) {
		t.Errorf("show_issuer: %s", ada.Text())
	}
	op.Follow("a[href$='/applications']")
	op.Follow(".rows .name")
	op.Follow("button[value=suspend]")
	expect(403, "access is suspended")
	op.Follow("button[value=resume]")
	expect(200, "access is given again")
	op.Follow("button[value=revoke]")
	expect(403, "access is revoked")
	op.Follow("button[value=approve]")
	expect(200, "access is approved again")

	// The portal is not needed: what is approved goes on.
	s.process.Stop()
	expect(200, "the portal is away")

	db, err := registry.Open(context.Background(), dsn, registry.Options{Secret: redact.New(sharedSecret)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.SetDeveloperStatus(context.Background(), registry.Actor{Kind: "system", Name: "test"}, "ada@example.com", registry.Revoked); err != nil {
		t.Fatal(err)
	}
	expect(403, "the developer is revoked")
}
