package conformance

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// How often an issuer may be asked for the sake of unknown kids (D10).
const (
	keysBucket = 3
	keysRefill = 20 * time.Second
)

// issuersFile has a route for each issuer, under its name.
func issuersFile(upstream string, issuers map[string]*idp.Server) string {
	var b strings.Builder
	fmt.Fprintf(&b, "_format_version: \"3.0\"\n_sallyport: {filter: {log_lines: 100000}}\nservices:\n- name: s\n  url: %s\n  routes:\n", upstream)
	for name, s := range issuers {
		fmt.Fprintf(&b, "  - {name: %s, paths: [/%s/], plugins: [{name: openid-connect, config: {issuer: %q, auth_methods: [bearer], timeout: 1000}}]}\n",
			name, name, s.Issuer())
	}
	return b.String()
}

// startIssuers starts a stack whose sidecar has a process of its own, with an
// issuer of each name.
func startIssuers(t *testing.T, host string, prepare func(name string, s *idp.Server), names ...string) (*rig, map[string]*idp.Server) {
	t.Helper()
	issuers := map[string]*idp.Server{}
	for _, name := range names {
		issuers[name] = idp.Start(t)
		issuers[name].Add("es", "ES256", "ec256")
		if prepare != nil {
			prepare(name, issuers[name])
		}
	}
	r := &rig{t: t, echo: echo.Start(t)}
	r.Stack = stack.Start(t, host, issuersFile(r.echo.URL, issuers), stack.Options{Apart: true})
	return r, issuers
}

// one returns a token that nobody has seen yet.
func one(s *idp.Server, kid string) string {
	return s.Token(kid, map[string]any{"jti": tokens.Random()})
}

// unknownKid returns a token with a kid that the issuer does not have.
func unknownKid(s *idp.Server, kid string) string {
	return tokens.Sign("rsa2048", map[string]any{"alg": "RS256", "typ": "JWT", "kid": kid},
		map[string]any{"iss": s.Issuer(), "sub": "mallory", "exp": tokens.In(600), "jti": tokens.Random()})
}

// enough requests have gone on beside something to say that it did not hinder them.
const enough = 50

// traffic sends requests, each with a new token on a new connection, until stop is
// called, which says how many there were and what came of those that failed.
func (r *rig) traffic(target string, token func() string) (stop func() (sent int, failed []string)) {
	var mu sync.Mutex // guards sent and failed
	var sent int
	var failed []string
	var sending sync.WaitGroup
	done := make(chan struct{})
	sending.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			x, err := testenv.TryRaw(r.Addr, testenv.Request("GET", target, bearer(token())))
			mu.Lock()
			sent++
			if err != nil {
				failed = append(failed, err.Error())
			} else if x.Status != 200 {
				failed = append(failed, fmt.Sprint(x.Status, " ", r.Reason(x.RequestID())))
			}
			mu.Unlock()
		}
	})
	return func() (int, []string) {
		_ = testenv.Poll(10*time.Second, func() bool { // enough of it to say something
			mu.Lock()
			defer mu.Unlock()
			return sent >= enough
		})
		close(done)
		sending.Wait()
		return sent, failed
	}
}

// refused asserts a refusal, by one of several pairs of status and reason.
func (r *rig) refused(t testing.TB, x *exchange, want ...string) {
	t.Helper()
	got := fmt.Sprint(x.Status, " ", r.Reason(x.RequestID()))
	if !slices.Contains(want, got) || len(x.Seen) > 0 {
		t.Errorf("%s: %s, upstream called %d times; want %q", r.Host, got, len(x.Seen), want)
	}
	if x.Status == 503 && x.Header.Get("Retry-After") == "" {
		t.Errorf("%s: %s without Retry-After", r.Host, got)
	}
}

// TestKeyRotation: an issuer rotates its keys under traffic; another is flooded
// with kids that it does not have.
func TestKeyRotation(t *testing.T) {
	rigs, issuers, begin := map[string]*rig{}, map[string]map[string]*idp.Server{}, time.Now()
	for _, host := range stack.Hosts {
		r, of := startIssuers(t, host, nil, "shop", "flooded", "beside")
		rigs[host], issuers[host] = r, of
		for name, s := range of {
			r.eventually(t, 200, "GET", "/"+name+"/", bearer(one(s, "k1")))
			r.eventually(t, 200, "GET", "/"+name+"/", bearer(one(s, "es")))
		}
	}
	for _, stage := range []struct {
		name string
		run  func(t *testing.T, r *rig, issuers map[string]*idp.Server, begin time.Time)
	}{
		{"flood", testKidFlood},
		{"rotation", testNewKeys},
		{"after_the_flood", testAfterFlood},
	} {
		t.Run(stage.name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, host string) { stage.run(t, rigs[host], issuers[host], begin) })
		})
	}
}

// testKidFlood sends kids that nobody has. They must not reach the issuer more
// often than D10 says, nor hinder those with known keys, nor another issuer.
func testKidFlood(t *testing.T, r *rig, issuers map[string]*idp.Server, begin time.Time) {
	s, beside := issuers["flooded"], issuers["beside"]
	const count = 300
	asked, reached := s.Asked(), r.echo.Total()
	stop := r.traffic("/flooded/", func() string { return one(s, "k1") })
	var mu sync.Mutex // guards statuses
	statuses := map[int]int{}
	var flooding sync.WaitGroup
	for range 3 {
		flooding.Go(func() {
			for range count / 3 {
				status := 0
				if x, err := testenv.TryRaw(r.Addr, testenv.Request("GET", "/flooded/", bearer(unknownKid(s, tokens.Random())))); err == nil {
					status = x.Status
				}
				mu.Lock()
				statuses[status]++
				mu.Unlock()
			}
		})
	}
	flooding.Wait()
	sent, failed := stop()
	asked = s.Asked() - asked
	most := keysBucket + int(time.Since(begin)/keysRefill)
	testenv.Evidence(t, "%s: %d unknown kids were answered %v and made the issuer be asked %d times, of %d allowed; %d requests with a known key meanwhile, failed %v",
		r.Host, count, statuses, asked, most, sent, failed)
	if statuses[401] == 0 || statuses[503] == 0 || statuses[401]+statuses[503] != count || statuses[401] > count/10 {
		t.Errorf("unknown kids were answered %v, want a few 401 and else 503", statuses)
	}
	if asked == 0 || asked > most {
		t.Errorf("the issuer was asked %d times, want 1 to %d", asked, most)
	}
	if len(failed) > 0 || sent < enough {
		t.Errorf("of %d requests with a known key failed %v", sent, failed)
	}
	if n := r.echo.Total() - reached; n != sent {
		t.Errorf("the upstream was called %d times for %d requests with a known key", n, sent)
	}

	// Whose keys are which issuer's is kept apart, and so is how often each is asked.
	beside.Add("k2", "RS256", "rsa4096")
	r.send(t, "GET", "/beside/", bearer(one(beside, "k2"))).want(t, 200, "", "")
	r.refused(t, r.send(t, "GET", "/flooded/", bearer(one(beside, "k2"))), "401 issuer_unknown")

	// A kid that was asked for in vain is remembered: it costs nothing again.
	asked = beside.Asked()
	for range 6 {
		r.refused(t, r.send(t, "GET", "/beside/", bearer(unknownKid(beside, "the-same"))), "401 key_unknown")
	}
	if n := beside.Asked() - asked; n != 1 {
		t.Errorf("one unknown kid, six times, made the issuer be asked %d times", n)
	}
}

// testNewKeys adds keys and takes them away under traffic.
func testNewKeys(t *testing.T, r *rig, issuers map[string]*idp.Server, _ time.Time) {
	s := issuers["shop"]
	asked := s.Asked()
	stop := r.traffic("/shop/", func() string { return one(s, "k1") })
	s.Add("k2", "ES256", "ec256b")
	r.send(t, "GET", "/shop/", bearer(one(s, "k2"))).want(t, 200, "", "") // at once
	s.Add("k3", "RS256", "rsa2048b")
	r.send(t, "GET", "/shop/", bearer(one(s, "k3"))).want(t, 200, "", "")
	for range inARow { // by every worker, without a further question to the issuer
		r.send(t, "GET", "/shop/", bearer(one(s, "k2"))).want(t, 200, "", "")
		r.send(t, "GET", "/shop/", bearer(one(s, "k3"))).want(t, 200, "", "")
	}
	sent, failed := stop()
	testenv.Evidence(t, "%s: two new keys were accepted at once, the issuer was asked %d times; %d requests with the old one meanwhile, failed %v",
		r.Host, s.Asked()-asked, sent, failed)
	if len(failed) > 0 || sent < enough {
		t.Errorf("of %d requests with the old key failed %v", sent, failed)
	}
	if n := s.Asked() - asked; n != 2 {
		t.Errorf("two new keys made the issuer be asked %d times", n)
	}

	// A key that is withdrawn holds until the keys are fetched for another reason;
	// from then on it is a stranger's, also for tokens that were accepted before.
	seen := one(s, "k1")
	r.send(t, "GET", "/shop/", bearer(seen)).want(t, 200, "", "")
	s.Remove("k1")
	r.send(t, "GET", "/shop/", bearer(one(s, "k1"))).want(t, 200, "", "")
	s.Add("k4", "ES384", "ec384")
	r.send(t, "GET", "/shop/", bearer(one(s, "k4"))).want(t, 200, "", "")
	row := 0
	testenv.Eventually(t, 10*time.Second, "a withdrawn key is refused by every worker", func() bool {
		x, err := testenv.TryRaw(r.Addr, testenv.Request("GET", "/shop/", bearer(seen)))
		if row++; err != nil || x.Status == 200 {
			row = 0
		}
		return row == inARow
	})
	for range inARow {
		// While the bucket is empty it is not known that the key is gone for good.
		r.refused(t, r.send(t, "GET", "/shop/", bearer(seen)), "503 keys_throttled", "401 key_unknown")
		r.send(t, "GET", "/shop/", bearer(one(s, "k3"))).want(t, 200, "", "")
	}
}

// testAfterFlood publishes a key that is really new while the bucket is empty: who
// comes with it has to wait, and is never told that the token is bad.
func testAfterFlood(t *testing.T, r *rig, issuers map[string]*idp.Server, begin time.Time) {
	s := issuers["flooded"]
	s.Add("k2", "RS256", "rsa4096")
	statuses := map[int]int{}
	err := testenv.Poll(keysRefill+20*time.Second, func() bool {
		x, err := testenv.TryRaw(r.Addr, testenv.Request("GET", "/flooded/", bearer(one(s, "k2"))))
		if err != nil {
			t.Error(err)
			return true
		}
		statuses[x.Status]++
		return x.Status == 200
	})
	asked := s.Asked() - 1 // before there was a flood
	testenv.Evidence(t, "%s: a new key after the flood was answered %v; the issuer was asked %d times in %v",
		r.Host, statuses, asked, time.Since(begin).Round(time.Second))
	if err != nil || len(statuses) > 2 || statuses[200] != 1 || statuses[401] > 0 {
		t.Errorf("a new key after the flood was answered %v: %v", statuses, err)
	}
	if most := keysBucket + int(time.Since(begin)/keysRefill); asked > most {
		t.Errorf("the issuer was asked %d times, want at most %d", asked, most)
	}
}
