//go:build real

package real

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/keycloak"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// bucket and refill are how often an issuer may be asked for the sake of unknown
// kids (D10).
const (
	bucket = 3
	refill = 20 * time.Second
)

// traffic sends requests with a token, each on a connection of its own, until
// stop is called, which says how many there were and what those that failed got.
func (r *rig) traffic(token string) (stop func() (sent int64, failed []int)) {
	var sending sync.WaitGroup
	var sent atomic.Int64
	var mu sync.Mutex // guards failed
	var failed []int
	done := make(chan struct{})
	for range 2 {
		sending.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				status := 0
				if x, err := testenv.TryRaw(r.Addr, testenv.Request("GET", "/orders", "Authorization: Bearer "+token)); err == nil {
					status = x.Status
				}
				sent.Add(1)
				if status != 200 {
					mu.Lock()
					failed = append(failed, status)
					mu.Unlock()
				}
			}
		})
	}
	return func() (int64, []int) {
		close(done)
		sending.Wait()
		return sent.Load(), failed
	}
}

// testRotation has Keycloak sign with new keys while requests with the old one go
// on, and then takes one away.
func testRotation(t *testing.T, r *rig) {
	before := r.client(t, "reader")
	r.send(t, "GET", "/orders", before).allowed(t, before)
	asked := r.kc.KeysAsked("shop")
	stop := r.traffic(before)
	rotate := func(size string) (keycloak.Key, string) {
		t.Helper()
		key := r.kc.AddKey(t, "shop", "rsa-generated", map[string]string{"algorithm": "RS256", "keySize": size})
		token := r.client(t, "reader")
		if kid(t, token) != key.ID {
			t.Fatalf("Keycloak signs with %s, not with the new key %s", kid(t, token), key.ID)
		}
		r.send(t, "GET", "/orders", token).allowed(t, token) // at once
		return key, token
	}
	first, withFirst := rotate("2048")
	_, withSecond := rotate("3072")
	r.send(t, "GET", "/orders", withFirst).allowed(t, withFirst)
	sent, failed := stop()
	testenv.Evidence(t, "%s: two new keys, each accepted at once; %d requests meanwhile, failed with %v", r.Host, sent, failed)
	if len(failed) > 0 || sent < 20 {
		t.Errorf("of %d requests %d failed, with %v", sent, len(failed), failed)
	}
	if n := r.kc.KeysAsked("shop") - asked; n < 2 || n > bucket {
		t.Errorf("two new keys made the gateway ask %d times", n)
	}

	// A key that is withdrawn holds until the keys have been fetched again and every
	// worker has them (200), and is unknown once that may be asked (503 before).
	r.kc.RemoveKey(t, "shop", first)
	_, withThird := rotate("2048")
	r.eventually(t, "/orders", withFirst, 401, 200, 503)
	r.send(t, "GET", "/orders", withFirst).refused(t, 401, "key_unknown", invalid)
	for _, token := range []string{before, withSecond, withThird} {
		r.send(t, "GET", "/orders", token).allowed(t, token)
	}
}

// testFlood sends kids that nobody has. They must not reach Keycloak, nor hinder
// anybody else.
func testFlood(t *testing.T, r *rig) {
	good := r.client(t, "reader")
	r.send(t, "GET", "/orders", good).allowed(t, good)
	parts := strings.Split(good, ".")
	forged := func() string {
		header, _, _ := strings.Cut(tokens.Input(map[string]any{"alg": "RS256", "typ": "JWT", "kid": tokens.Random()}, nil), ".")
		return header + "." + parts[1] + "." + parts[2]
	}
	const count = 400
	keys, everything, reached, begin := r.kc.KeysAsked("shop"), r.kc.Asked("shop"), r.up.Total(), time.Now()
	stop := r.traffic(good)
	var mu sync.Mutex // guards statuses
	statuses := map[int]int{}
	var flooding sync.WaitGroup
	for range 4 {
		flooding.Go(func() {
			for range count / 4 {
				x, err := testenv.TryRaw(r.Addr, testenv.Request("GET", "/orders", "Authorization: Bearer "+forged()))
				mu.Lock()
				if err != nil {
					statuses[0]++
				} else {
					statuses[x.Status]++
				}
				mu.Unlock()
			}
		})
	}
	flooding.Wait()
	sent, failed := stop()
	most := bucket + int(time.Since(begin)/refill) + 1
	keys, everything = r.kc.KeysAsked("shop")-keys, r.kc.Asked("shop")-everything
	testenv.Evidence(t, "%s: %d unknown kids were answered %v and made Keycloak be asked %d times for keys, %d requests in all; "+
		"%d good requests meanwhile, failed with %v", r.Host, count, statuses, keys, everything, sent, failed)
	if statuses[401]+statuses[503] != count || statuses[401] == 0 || statuses[503] == 0 {
		t.Errorf("unknown kids were answered %v, want some 401 and then 503", statuses)
	}
	if keys == 0 || keys > most || everything > 2*most {
		t.Errorf("Keycloak was asked %d times for keys, %d in all, want at most %d and %d", keys, everything, most, 2*most)
	}
	if len(failed) > 0 || sent < 20 {
		t.Errorf("of %d good requests %d failed, with %v", sent, len(failed), failed)
	}
	if got := r.up.Total() - reached; got != int(sent) {
		t.Errorf("the upstream was called %d times for %d good requests", got, sent)
	}

	// Who comes with a key that is really new has to wait, and is never told that
	// the token is bad.
	r.kc.AddKey(t, "shop", "rsa-generated", map[string]string{"algorithm": "RS256", "keySize": "2048"})
	fresh := r.client(t, "reader")
	r.eventually(t, "/orders", fresh, 200, 503)
}

// testOutage ends Keycloak, and starts it again with other keys.
func testOutage(t *testing.T, kc *keycloak.Server) {
	rigs := map[string]*rig{}
	known := kc.ClientToken(t, "shop", "reader", "reader-secret")
	for _, host := range stack.Hosts {
		rigs[host] = start(t, host, kc, example)
		rigs[host].send(t, "GET", "/orders", known).allowed(t, known)
	}
	kc.Stop(t)
	late := map[string]*rig{}
	t.Run("stopped", func(t *testing.T) {
		inBoth(t, func(t *testing.T, host string) {
			r := rigs[host]
			for range 3 {
				r.send(t, "GET", "/orders", known).allowed(t, known)
			}
			// What was not asked before is judged too: it is the key that is known.
			r.send(t, "POST", "/orders", known).refused(t, 403, "scope_missing",
				`Bearer error="insufficient_scope", scope="orders:read orders:write"`)
			parts := strings.Split(known, ".")
			header, _, _ := strings.Cut(tokens.Input(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "new"}, nil), ".")
			x := r.send(t, "GET", "/orders", header+"."+parts[1]+"."+parts[2])
			x.refused(t, 503, "keys_throttled", "")
			if x.Header.Get("Retry-After") == "" {
				t.Error("503 without Retry-After")
			}
		})
	})
	// A gateway that starts meanwhile knows no keys.
	for _, host := range stack.Hosts {
		late[host] = start(t, host, kc, example)
	}
	t.Run("started without", func(t *testing.T) {
		inBoth(t, func(t *testing.T, host string) {
			late[host].send(t, "GET", "/orders", known).refused(t, 503, "issuer_unavailable", "")
		})
	})
	kc.Run(t)
	t.Run("back", func(t *testing.T) {
		inBoth(t, func(t *testing.T, host string) {
			fresh := kc.ClientToken(t, "shop", "reader", "reader-secret")
			if kid(t, fresh) == kid(t, known) {
				t.Fatal("Keycloak has the keys that it had: this shows nothing")
			}
			rigs[host].send(t, "GET", "/orders", fresh).allowed(t, fresh) // at once
			late[host].eventually(t, "/orders", fresh, 200, 503)
		})
	})
}
