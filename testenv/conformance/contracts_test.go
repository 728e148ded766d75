package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// contractsFile has two services whose applications are in a registry, and one consumer
// of its own.
const contractsFile = `_format_version: "3.0"
_sallyport:
  installation_secret: an-installation-secret-of-32-bytes!
  registry: "sqlite:${REGISTRY}"
  filter: {log_lines: 100000}
services:
- name: orders
  url: ${UPSTREAM}
  plugins:
  - name: openid-connect
    config: {issuer: "${ISSUER}", client_id: [gateway], client_secret: [gateway-secret], scopes: [openid, read], session_secret: a-session-secret-of-32-bytes-or-more,
      auth_methods: [session, bearer, introspection, client_credentials], consumer_claim: [application_id], consumer_by: [custom_id]}
  - {name: application-registration, config: {display_name: Orders}}
  routes: [{name: orders, paths: [/orders], strip_path: false}]
- name: keys
  url: ${UPSTREAM}
  plugins: [{name: key-auth}, {name: application-registration, config: {display_name: By key, enable_proxy_with_consumer_credential: true}}]
  routes: [{name: keys, paths: [/keys], strip_path: false}]
- name: jwts
  url: ${UPSTREAM}
  plugins: [{name: jwt, config: {claims_to_verify: [exp]}}, {name: application-registration, config: {display_name: By jwt}}]
  routes: [{name: jwts, paths: [/jwts], strip_path: false}]
- name: passwords
  url: ${UPSTREAM}
  plugins: [{name: basic-auth}, {name: application-registration, config: {display_name: By password}}]
  routes: [{name: passwords, paths: [/passwords], strip_path: false}]
- name: open
  url: ${UPSTREAM}
  routes: [{name: open, paths: [/open], strip_path: false}]
consumers:
- {username: of-the-file, custom_id: of-the-file, keyauth_credentials: [{key: a-key-of-the-file-0123}]}
`

// tester writes into the registry.
var tester = registry.Actor{Kind: "system", Name: "test"}

// contracts is a rig with a registry, which the test writes into as the portal does.
type contracts struct {
	*rig
	db   *registry.Registry
	path string
}

func withRegistry(t *testing.T, host, file string) *contracts {
	t.Helper()
	c := &contracts{path: filepath.Join(testenv.TempDir(t), "registry.db")}
	c.open(t)
	c.rig = start(t, host, stack.Options{}, func(e vectors.Env) string {
		return strings.NewReplacer("${UPSTREAM}", e.Upstream, "${ISSUER}", e.Issuer, "${REGISTRY}", c.path).Replace(file)
	})
	c.registerClients()
	return c
}

func (c *contracts) open(t *testing.T) {
	t.Helper()
	db, err := registry.Open(t.Context(), c.path, registry.Options{Secret: redact.New("an-installation-secret-of-32-bytes!")})
	if err != nil {
		t.Fatal(err)
	}
	c.db = db
	t.Cleanup(func() { _ = db.Close() })
}

// app is an application of a developer, with a contract for each service.
type app struct {
	registry.Application
	developer registry.Developer
	contract  map[string]registry.Contract
}

// register registers a developer with an application, whose contracts are approved.
func (c *contracts) register(t *testing.T, customID string, services ...string) *app {
	t.Helper()
	ctx := context.Background()
	var err error
	a := &app{contract: map[string]registry.Contract{}}
	fatal := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	a.developer, err = c.db.Register(ctx, tester, registry.Developer{Email: customID + "@example.com", Name: customID}, true)
	fatal()
	a.Application, err = c.db.CreateApplication(ctx, tester, registry.Application{DeveloperID: a.developer.ID, Name: customID, CustomID: customID, RedirectURI: "https://app.example/cb"})
	fatal()
	for _, s := range services {
		a.contract[s], err = c.db.RequestContract(ctx, tester, a.ID, s, false)
		fatal()
		_, err = c.db.SetContractStatus(ctx, tester, a.contract[s].ID, registry.Approved)
		fatal()
	}
	return a
}

// caller is one way in which an application calls.
type caller struct {
	name, target string
	lines        []string
}

// callers are all ways, each of them good.
func (c *contracts) callers(t *testing.T, a *app) []caller {
	t.Helper()
	ctx := context.Background()
	_, key, err := c.db.CreateKeyAuth(ctx, tester, registry.KeyAuth{ConsumerID: a.ConsumerID}, redact.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := c.db.CreateJWTSecret(ctx, tester, registry.JWTSecret{ConsumerID: a.ConsumerID, Key: "jwt-of-" + a.CustomID, Algorithm: "HS256"}, redact.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.db.CreateBasicAuth(ctx, tester, registry.BasicAuth{ConsumerID: a.ConsumerID, Username: "user-of-" + a.CustomID}, redact.New("a long password")); err != nil {
		t.Fatal(err)
	}
	x := c.send(t, "GET", "/orders", bearer(c.byCode(t, a.CustomID)))
	cookie, _, _ := strings.Cut(x.Header.Get("Set-Cookie"), ";")
	if !strings.HasPrefix(cookie, "session=") {
		t.Fatalf("%d %s, no session: %q", x.Status, x.Body, x.Header.Get("Set-Cookie"))
	}
	c.idp.Set(func(o *idp.Options) { o.OpaqueAccess = true })
	opaque := c.granted(t, a.CustomID, clientGrant("read")).Access
	c.idp.Set(func(o *idp.Options) { o.OpaqueAccess = false })
	return []caller{
		{"a bearer token", "/orders", []string{bearer(c.granted(t, a.CustomID, clientGrant("read")).Access)}},
		{"a session", "/orders", []string{"Cookie: " + cookie}},
		{"an introspected token", "/orders", []string{bearer(opaque)}},
		{"a client's secret", "/orders", []string{basic(a.CustomID, a.CustomID+"-secret")}},
		{"an API key", "/keys", []string{"apikey: " + key.Reveal()}},
		{"a jwt credential", "/jwts", []string{bearer(tokens.Sign(secret.Reveal(), map[string]any{"alg": "HS256"}, map[string]any{"iss": "jwt-of-" + a.CustomID, "exp": tokens.In(3600)}))}},
		{"a password", "/passwords", []string{basic("user-of-"+a.CustomID, "a long password")}},
	}
}

// settle waits until every worker answers all callers with a status, and then looks at
// one answer of each. Each round is one request of each caller, on a connection of its own.
func (c *contracts) settle(t *testing.T, what string, callers []caller, status int, code string) {
	t.Helper()
	began, last, row := time.Now(), time.Time{}, 0
	statuses := make([]int, len(callers))
	err := testenv.Poll(20*time.Second, func() bool {
		var round sync.WaitGroup
		for i, one := range callers {
			round.Go(func() {
				statuses[i] = 0
				if res, err := testenv.TryRaw(c.Addr, testenv.Request("GET", one.target, one.lines...)); err == nil {
					statuses[i] = res.Status
				}
			})
		}
		round.Wait()
		row++
		for _, got := range statuses {
			if got != status {
				last, row = time.Now(), 0
			}
		}
		return row == inARow
	})
	if err != nil {
		t.Fatalf("%s: %s: %v: the last answers were %v, want %d\n%s", c.Host, what, err, statuses, status, c.Gateway.Tail())
	}
	after := time.Duration(0)
	if !last.IsZero() {
		after = last.Sub(began)
	}
	testenv.Evidence(t, "%s: %s: %d to all %d ways to call, by every worker; the last other answer came %v after the change", c.Host, what, status, len(callers), after.Round(time.Millisecond))
	for _, one := range callers {
		t.Run(one.name, func(t *testing.T) {
			x := c.send(t, "GET", one.target, one.lines...)
			if status == http.StatusOK {
				passes(t, x, "app")
			} else {
				c.refuses(t, x, status, code)
			}
		})
	}
}

// warm makes every worker remember all callers: until nobody has asked the sidecar any
// more for longer than the registry's last changes are under way, which make workers
// forget what they have just learnt.
func (c *contracts) warm(t *testing.T, callers []caller) {
	t.Helper()
	asked := func() string {
		var lines []string
		for line := range strings.SplitSeq(get(t, c.Status+"/metrics"), "\n") {
			if strings.HasPrefix(line, "sallyport_sidecar_answers_total") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "\n")
	}
	last, since := "", time.Now()
	testenv.Eventually(t, 60*time.Second, "everybody is remembered by every worker", func() bool {
		for range inARow {
			for _, one := range callers {
				if _, err := testenv.TryRaw(c.Addr, testenv.Request("GET", one.target, one.lines...)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if now := asked(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
}

// TestContracts: what is decided in the registry reaches every worker, whatever it
// remembers of the caller.
func TestContracts(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		c := withRegistry(t, host, contractsFile)
		ctx := context.Background()
		services := []string{"orders", "keys", "jwts", "passwords"}
		late := bearer(c.granted(t, "late", clientGrant("read")).Access)
		t.Run("S4-02", func(t *testing.T) {
			// Nobody is remembered as nobody, until there is somebody.
			c.eventually(t, 403, "GET", "/orders", late)
			c.refuses(t, c.send(t, "GET", "/orders", late), 403, "consumer_missing")
			c.register(t, "late", "orders")
			c.eventually(t, 200, "GET", "/orders", late)
			passes(t, c.send(t, "GET", "/orders", late), "late")
		})
		a := c.register(t, "app", services...)
		all := c.callers(t, a)
		c.settle(t, "registered", all, 200, "")
		c.warm(t, all)
		set := func(status registry.Status) func(t *testing.T) {
			return func(t *testing.T) {
				for _, k := range a.contract {
					if _, err := c.db.SetContractStatus(ctx, tester, k.ID, status); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		suspend := func(suspended bool) func(t *testing.T) {
			return func(t *testing.T) {
				for _, k := range a.contract {
					if _, err := c.db.SuspendContract(ctx, tester, k.ID, suspended); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		developer := func(status registry.Status) func(t *testing.T) {
			return func(t *testing.T) {
				if _, err := c.db.SetDeveloperStatus(ctx, tester, a.developer.ID, status); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Run("S4-03", func(t *testing.T) {
			for _, step := range []struct {
				name     string
				end, new func(t *testing.T)
			}{
				{"revoked", set(registry.Revoked), set(registry.Approved)},
				{"rejected", set(registry.Rejected), set(registry.Approved)},
				{"suspended", suspend(true), suspend(false)},
				{"developer revoked", developer(registry.Revoked), developer(registry.Approved)},
			} {
				t.Run(step.name, func(t *testing.T) {
					step.end(t)
					c.settle(t, step.name, all, 403, "contract_missing")
					step.new(t)
					c.settle(t, step.name+", and not any more", all, 200, "")
					c.warm(t, all)
				})
			}
			t.Run("one of several", func(t *testing.T) {
				if _, err := c.db.SetContractStatus(ctx, tester, a.contract["keys"].ID, registry.Revoked); err != nil {
					t.Fatal(err)
				}
				for _, one := range all {
					if one.target == "/keys" {
						c.settle(t, "one is revoked", []caller{one}, 403, "contract_missing")
					}
				}
				for _, one := range all {
					if one.target != "/keys" {
						passes(t, c.send(t, "GET", one.target, one.lines...), "app")
					}
				}
			})
		})
		t.Run("deleted", func(t *testing.T) {
			if err := c.db.DeleteApplication(ctx, tester, a.ID); err != nil {
				t.Fatal(err)
			}
			for _, one := range all {
				status := 401
				if one.target == "/orders" {
					status = 403
				}
				c.eventually(t, status, "GET", one.target, one.lines...)
			}
			passes(t, c.send(t, "GET", "/orders", late), "late")
		})
	})
}

// TestRegistryAway: a registry that is not there disturbs nobody who is remembered, makes
// nobody of anybody, and is found again.
func TestRegistryAway(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		c := withRegistry(t, host, contractsFile)
		a := c.register(t, "app", "orders", "keys", "jwts", "passwords")
		c.register(t, "late", "orders")
		all := c.callers(t, a)
		c.settle(t, "registered", all, 200, "")
		c.warm(t, all)
		late := bearer(c.granted(t, "late", clientGrant("read")).Access)
		stranger := bearer(c.granted(t, "stranger", clientGrant("read")).Access)

		// The database goes first and comes back last: without its log it would be an older one.
		move := func(from, to string, suffixes ...string) {
			t.Helper()
			for _, suffix := range suffixes {
				if err := os.Rename(from+suffix, to+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
		}
		move(c.path, c.path+".aside", "", "-wal", "-shm")
		testenv.Eventually(t, 10*time.Second, "the registry is missed", func() bool { return strings.Contains(get(t, c.Status+"/metrics"), "sallyport_sidecar_registry_up 0") })
		for _, one := range all {
			for range 4 {
				passes(t, c.send(t, "GET", one.target, one.lines...), "app")
			}
		}
		for _, token := range []string{late, stranger} {
			for range 4 {
				x := c.send(t, "GET", "/orders", token)
				if reason := c.Reason(x.RequestID()); x.Status != 503 || len(x.Seen) > 0 || reason != "registry_unavailable" || x.Header.Get("Retry-After") != "1" {
					t.Errorf("%d %s (%s)", x.Status, x.Body, reason)
				}
			}
		}
		for target, line := range map[string]string{"/keys": "apikey: a-key-that-nobody-has-01", "/passwords": basic("nobody", "a password"),
			"/jwts": bearer(tokens.Sign("a-secret-that-nobody-has-of-32-bytes", map[string]any{"alg": "HS256"}, map[string]any{"iss": "nobody", "exp": tokens.In(600)}))} {
			if x := c.send(t, "GET", target, line); x.Status != 503 || len(x.Seen) > 0 || c.Reason(x.RequestID()) != "registry_unavailable" {
				t.Errorf("%s: a credential that only the registry could know: %d", target, x.Status)
			}
		}
		if x := c.send(t, "GET", "/keys", "apikey: a-key-of-the-file-0123"); x.Status != 200 || x.Upstream().Get("X-Consumer-Username") != "of-the-file" {
			t.Errorf("a key of the file: %d %s", x.Status, x.Body)
		}
		if x := c.send(t, "GET", "/open"); x.Status != 200 {
			t.Errorf("a route without plugins: %d", x.Status)
		}
		ready := get(t, c.Status+"/readyz")
		if !strings.HasPrefix(ready, "ready\nthe registry does not answer since ") {
			t.Errorf("/readyz says %q", ready)
		}
		testenv.Evidence(t, "%s: without its registry: %s", host, fmt.Sprintf("%q", ready))

		move(c.path+".aside", c.path, "-wal", "-shm", "")
		c.eventually(t, 200, "GET", "/orders", late)
		c.eventually(t, 403, "GET", "/orders", stranger)
		if ready := get(t, c.Status+"/readyz"); ready != "ready\n" {
			t.Errorf("/readyz says %q", ready)
		}
		if _, err := c.db.SetContractStatus(context.Background(), tester, a.contract["orders"].ID, registry.Revoked); err != nil {
			t.Fatal(err)
		}
		c.settle(t, "revoked in the registry that is back", all[:1], 403, "contract_missing")
	})
}
