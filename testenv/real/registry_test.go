//go:build real

package real

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/postgres"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

const registryFile = `_format_version: "3.0"
_sallyport: {installation_secret: an-installation-secret-of-32-bytes!, registry: "${REGISTRY}"}
services:
- name: orders
  url: ${UPSTREAM}
  plugins:
  - {name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer], consumer_claim: [client_id], consumer_by: [custom_id]}}
  - {name: application-registration, config: {display_name: Orders, enable_proxy_with_consumer_credential: true}}
  routes: [{name: orders, paths: [/orders], strip_path: false}]
consumers: [{username: of-the-file, custom_id: of-the-file}]
`

// settled is after how many answers in a row, each on a connection of its own, every
// worker is taken to know of a change.
const settled = 12

// TestRegistryOnPostgres: the registry is a Postgres, which stops and starts again while
// people call. That nothing is in force before it was read once is tested in oidc-sidecar.
func TestRegistryOnPostgres(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		pg, provider, up := postgres.Start(t), idp.Start(t), echo.Start(t)
		dsn := pg.Database(t)
		file := strings.NewReplacer("${UPSTREAM}", up.URL, "${ISSUER}", provider.Issuer(), "${REGISTRY}", dsn).Replace(registryFile)
		ctx, tester := context.Background(), registry.Actor{Kind: "system", Name: "test"}
		db, err := registry.Open(ctx, dsn, registry.Options{Secret: redact.New("an-installation-secret-of-32-bytes!")})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		d, err := db.Register(ctx, tester, registry.Developer{Email: "d@example.com", Name: "D"}, true)
		if err != nil {
			t.Fatal(err)
		}
		contract := map[string]registry.Contract{}
		for _, id := range []string{"app", "late"} {
			a, err := db.CreateApplication(ctx, tester, registry.Application{DeveloperID: d.ID, Name: id, CustomID: id, RedirectURI: "https://app.example/cb"})
			if err != nil {
				t.Fatal(err)
			}
			if contract[id], err = db.RequestContract(ctx, tester, a.ID, "orders", true); err != nil {
				t.Fatal(err)
			}
		}
		token := func(client string) string { return provider.Token("k1", map[string]any{"client_id": client}) }
		app, late, ofFile, stranger := token("app"), token("late"), token("of-the-file"), token("stranger")

		whole := t // whose end is the server's
		r := &rig{Stack: stack.Start(t, host, file, stack.Options{}), up: up}
		r.expect(t, 403, stranger)
		t.Run("stopped", func(t *testing.T) {
			r.remember(t, app)
			pg.Stop()
			testenv.Eventually(t, 20*time.Second, "the registry is missed", func() bool { return strings.Contains(r.status(t, "/metrics"), "sallyport_sidecar_registry_up 0") })
			for range settled {
				x := r.send(t, "GET", "/orders", app)
				if x.Status != 200 || len(x.seen) != 1 || x.seen[0].Header("X-Consumer-Custom-ID") != "app" {
					t.Fatalf("who is remembered: %d %s", x.Status, x.shown())
				}
			}
			r.unavailable(t, late)
			r.expect(t, 200, ofFile)
			if s := r.status(t, "/readyz"); !strings.HasPrefix(s, "ready\nthe registry does not answer since ") || strings.Contains(s, "password") {
				t.Errorf("/readyz says %q", s)
			}
			log := r.Gateway.Log()
			if r.Sidecar != nil {
				log += r.Sidecar.Log()
			}
			if strings.Contains(log, pg.Password()) || strings.Contains(log, "a%20password") || !strings.Contains(log, "the registry does not answer") {
				t.Errorf("the registry's password is in the log, or nothing of its absence: %s", log)
			}
			pg.Run(whole)
			r.expect(t, 200, late)
		})
		t.Run("revoked after its restart", func(t *testing.T) {
			if _, err := db.SetContractStatus(ctx, tester, contract["app"].ID, registry.Revoked); err != nil {
				t.Fatal(err)
			}
			r.expect(t, 403, app)
			r.expect(t, 200, late)
		})
	})
}

// expect waits until every worker answers a token with a status.
func (r *rig) expect(t *testing.T, status int, token string) {
	t.Helper()
	row, last := 0, 0
	err := testenv.Poll(30*time.Second, func() bool {
		res, err := testenv.TryRaw(r.Addr, testenv.Request("GET", "/orders", "Authorization: Bearer "+token))
		row++
		if err != nil || res.Status != status {
			row = 0
		}
		if err == nil {
			last = res.Status
		}
		return row == settled
	})
	if err != nil {
		t.Fatalf("%s: the last answer is %d, want %d", r.Host, last, status)
	}
	testenv.Evidence(t, "%s: %d by every worker", r.Host, status)
}

// remember makes every worker remember a token's caller: until nobody has asked the
// sidecar any more for longer than changes are under way, which make workers forget what
// they have just learnt.
func (r *rig) remember(t *testing.T, token string) {
	t.Helper()
	asked := func() string {
		var lines []string
		for line := range strings.SplitSeq(r.status(t, "/metrics"), "\n") {
			if strings.HasPrefix(line, "sallyport_sidecar_answers_total") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "\n")
	}
	last, since := "", time.Now()
	testenv.Eventually(t, time.Minute, "everybody remembers the caller", func() bool {
		r.expect(t, 200, token)
		if now := asked(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
}

// unavailable asserts that nobody can say whose a token is.
func (r *rig) unavailable(t *testing.T, token string) {
	t.Helper()
	for range 4 {
		x := r.send(t, "GET", "/orders", token)
		if reason := r.Reason(x.RequestID()); x.Status != http.StatusServiceUnavailable || len(x.seen) > 0 || reason != "registry_unavailable" {
			t.Fatalf("%d %s (%s)", x.Status, x.shown(), reason)
		}
	}
}

// status returns what the status listener says.
func (r *rig) status(t *testing.T, path string) string {
	t.Helper()
	res, err := http.Get(r.Status + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
