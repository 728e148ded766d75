package conformance

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestExampleKeys runs examples/keys, request by request as its README has them.
func TestExampleKeys(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", "keys", "kong.yml"))
	if err != nil {
		t.Fatal(err)
	}
	const key, alice, bob = "X-API-Key: billing-6f1d0c2a9b7e4853", "correct horse battery staple", "bob's password"
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string {
			return strings.Replace(string(data), "http://localhost:3000", e.Upstream, 1)
		})
		for _, tt := range []struct {
			name, target string
			lines        []string
			status       int
			body         string
			consumer     string
		}{
			{"a key", "/reports", []string{key}, 200, "", "billing"},
			{"no key", "/reports", nil, 401, `{"message":"No API key found in request"}`, ""},
			{"a key that has ended", "/reports", []string{"X-API-Key: trial-0d9c8b7a6f5e4d3c2b1a"}, 401, `{"message":"Unauthorized"}`, ""},
			{"a password for a key", "/reports", []string{basic("alice", alice)}, 401, `{"message":"No API key found in request"}`, ""},
			{"staff", "/backoffice", []string{basic("alice", alice)}, 200, "", "alice"},
			{"not staff", "/backoffice", []string{basic("bob", bob)}, 403, `{"message":"You cannot consume this service"}`, ""},
			{"another's password", "/backoffice", []string{basic("alice", bob)}, 401, `{"message":"Unauthorized"}`, ""},
			{"either: a key", "/catalogue", []string{key}, 200, "", "billing"},
			{"either: a password", "/catalogue", []string{basic("bob", bob)}, 200, "", "bob"},
			{"either: neither", "/catalogue", nil, 200, "", "everybody"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				x := r.send(t, "GET", tt.target, tt.lines...)
				if x.Status != tt.status || tt.body != "" && x.Body != tt.body {
					t.Fatalf("%d %s, want %d %s", x.Status, x.Body, tt.status, tt.body)
				}
				if got := x.Upstream().Get("X-Consumer-Username"); got != tt.consumer {
					t.Errorf("the upstream is told of %q, want %q", got, tt.consumer)
				}
				if tt.status == 200 && tt.target != "/catalogue" {
					for _, name := range []string{"X-Api-Key", "Authorization"} {
						if v := x.Upstream().Values(name); len(v) > 0 {
							t.Errorf("the upstream got %s %q", name, v)
						}
					}
				}
			})
		}
	})
}

// keysFile is a file with a key and a password of alice's, and what is put behind them.
func keysFile(upstream, password, more string) string {
	return fmt.Sprintf(`_format_version: "3.0"
_sallyport:
  filter: {credential_grace_s: 5}
services:
- name: s
  url: %s
  routes:
  - {name: open, paths: [/open], strip_path: false}
  - {name: key, paths: [/key], strip_path: false, plugins: [{name: key-auth}]}
  - {name: basic, paths: [/basic], strip_path: false, plugins: [{name: basic-auth}]}
  - {name: guest, paths: [/guest], strip_path: false, plugins: [{name: key-auth, config: {anonymous: guest}}]}
- name: g
  url: %s
  routes: [{name: g, paths: [/grpc], protocols: [grpc], plugins: [{name: key-auth}]}]
consumers:
- {username: guest}
- username: alice
  keyauth_credentials: [{key: alice-key-0123456789}]
  basicauth_credentials: [{username: alice, password: %q}]
%s`, upstream, strings.Replace(upstream, "http", "grpc", 1), password, more)
}

const (
	aliceKey = "apikey: alice-key-0123456789"
	bobKey   = "apikey: bob-key-0123456789"
)

// TestKeysReload: a key and a password that come and go take effect in time, though
// every worker remembers what was before.
func TestKeysReload(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string { return keysFile(e.Upstream, "swordfish", "") })
		const bobs = "- {username: bob, keyauth_credentials: [{key: bob-key-0123456789}], basicauth_credentials: [{username: bob, password: tuna}]}\n"
		expect := func(t *testing.T, what string, list map[string]int) {
			t.Helper()
			begin := time.Now()
			err := testenv.Poll(reloadWithin+reloadMargin, func() bool {
				for line, status := range list {
					path := "/key"
					if strings.HasPrefix(line, "Authorization") {
						path = "/basic"
					}
					if !r.holds(status, path, line, "") {
						return false
					}
				}
				return true
			})
			if err != nil {
				t.Fatalf("%s has no effect: %v\n%s", what, err, r.Gateway.Tail())
			}
			testenv.Evidence(t, "%s: %s is in force on all workers after %v", host, what, time.Since(begin).Round(10*time.Millisecond))
		}
		sword, tuna := basic("alice", "swordfish"), basic("bob", "tuna")
		expect(t, "the first file", map[string]int{aliceKey: 200, bobKey: 401, sword: 200, tuna: 401})
		r.Write(keysFile(r.echo.URL, "swordfish", bobs))
		expect(t, "what was added", map[string]int{aliceKey: 200, bobKey: 200, sword: 200, tuna: 200})
		r.Write(keysFile(r.echo.URL, "pike", strings.ReplaceAll(bobs, "tuna", "trout")))
		expect(t, "another password", map[string]int{bobKey: 200, sword: 401, tuna: 401, basic("alice", "pike"): 200, basic("bob", "trout"): 200})
		r.Write(strings.Replace(keysFile(r.echo.URL, "pike", ""), "{key: alice-key-0123456789}", "{key: alice-key-0123456789, expires_at: 1600000000}", 1))
		expect(t, "what is gone or has ended", map[string]int{aliceKey: 401, bobKey: 401, basic("bob", "trout"): 401, basic("alice", "pike"): 200})
	})
}

// remembers sends a request until it is answered without a question to the sidecar, by
// the one worker that there is.
func (r *rig) remembers(t *testing.T, status int, path, line string) {
	t.Helper()
	answers := func() string {
		var out []string
		for l := range strings.SplitSeq(get(t, r.Status+"/metrics"), "\n") {
			if strings.HasPrefix(l, "sallyport_sidecar_answers_total") {
				out = append(out, l)
			}
		}
		return strings.Join(out, "\n")
	}
	testenv.Eventually(t, 10*time.Second, "an answer from memory", func() bool {
		before := answers()
		return r.holds(status, path, line, "") && answers() == before
	})
}

// TestKeysWithoutSidecar: what is remembered works for the grace, and then nothing
// does; nobody passes who did not before.
func TestKeysWithoutSidecar(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{Apart: true, Workers: 1}, func(e vectors.Env) string { return keysFile(e.Upstream, "swordfish", "") })
		sword := basic("alice", "swordfish")
		r.remembers(t, 200, "/key", aliceKey)
		r.remembers(t, 200, "/basic", sword)
		r.remembers(t, 401, "/basic", basic("alice", "wrong"))
		r.Sidecar.Kill()
		for range 4 {
			r.send(t, "GET", "/key", aliceKey).want(t, 200, "", "")
			r.send(t, "GET", "/basic", sword).want(t, 200, "", "")
			r.send(t, "GET", "/basic", basic("alice", "wrong")).want(t, 401, "", `Basic realm="service"`)
		}
		r.send(t, "GET", "/key", bobKey).want(t, 503, "", "")
		r.send(t, "GET", "/basic", basic("alice", "wrong too")).want(t, 503, "", "")
		r.send(t, "GET", "/guest", bobKey).want(t, 503, "", "")
		r.eventually(t, 503, "GET", "/key", aliceKey)
		r.eventually(t, 503, "GET", "/basic", sword)
		r.send(t, "GET", "/key").want(t, 401, "", "Key")
		r.send(t, "GET", "/guest", aliceKey).want(t, 503, "", "")
		r.send(t, "GET", "/open", aliceKey).want(t, 200, "", "")
		r.StartSidecar()
		r.eventually(t, 200, "GET", "/key", aliceKey)
		r.eventually(t, 200, "GET", "/basic", sword)
	})
}

// TestKeysOfGRPC: a call that is refused gets a status of gRPC's.
func TestKeysOfGRPC(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string { return keysFile(e.Upstream, "swordfish", "") })
		c := clients(r, "", nil)["h2c"]
		for key, want := range map[string]string{"": "16", "nobody's": "16", "alice-key-0123456789": "0"} {
			req, err := http.NewRequest("POST", c.url+"/grpc/echo", strings.NewReader("message"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/grpc")
			if key != "" {
				req.Header.Set("apikey", key)
			}
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body := make([]byte, 100)
			n, _ := res.Body.Read(body)
			for more := n; more > 0; { // to the trailers
				more, _ = res.Body.Read(body[n:])
				n += more
			}
			_ = res.Body.Close()
			status := firstOf(res.Trailer.Get("Grpc-Status"), res.Header.Get("Grpc-Status"))
			if res.StatusCode != 200 || status != want || (string(body[:n]) == "message") != (want == "0") {
				t.Errorf("the key %q: %d, grpc-status %q, %q", key, res.StatusCode, status, body[:n])
			}
			testenv.Evidence(t, "%s: the key %q, grpc-status %s, %s", host, key, status, res.Header.Get("Grpc-Message"))
		}
	})
}
