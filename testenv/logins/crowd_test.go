package logins

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

const crowd = 200

// crowded sends so many requests with one cookie at once, each on a connection of its
// own, and returns how they were answered, by status, and the tokens that the
// upstream received. sent is called when all have been written.
func (r *rig) crowded(t testing.TB, line string, sent func()) (statuses map[int]int, seen map[string]int) {
	t.Helper()
	var mu sync.Mutex
	statuses, seen = map[int]int{}, map[string]int{}
	id := tokens.Random()
	var work sync.WaitGroup
	var begun atomic.Int64
	for range crowd {
		work.Go(func() {
			begun.Add(1)
			res, err := testenv.TryRaw(r.Addr, testenv.Request("GET", "/r/page", line, echo.TestID+": "+id))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				statuses[-1]++
				return
			}
			statuses[res.Status]++
		})
	}
	if sent != nil {
		sent()
	}
	work.Wait()
	for _, s := range r.up.Seen(id) {
		seen[s.Header("Authorization")]++
	}
	return statuses, seen
}

// TestManyAtOnce: a session that needs a refresh is asked for from everywhere at
// once, with a refresh token that is good for one use.
func TestManyAtOnce(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(way{"r", ""}), nil, stack.Options{Workers: 2})
		r.settled(t, "/r/page")
		v := r.expired(t, "/r/page", "alice")
		asks := r.idp.Count("token")
		before, asked := r.refreshes(), r.answers(t, "open", "")
		release := r.idp.Hold("token")
		statuses, seen := r.crowded(t, r.cookieLine(v), func() {
			r.idp.Await(t, "token", asks+1)
			if r.Envoy != nil {
				testenv.Eventually(t, 20*time.Second, "all requests in Envoy", func() bool {
					return r.inside(t) >= crowd
				})
			}
			release()
		})
		questions := r.answers(t, "open", "") - asked
		workers := "the sidecar was asked by both workers"
		if r.Envoy != nil {
			workers = r.perWorker(t)
		}
		testenv.Evidence(t, "%s: %d requests at once on a session that had ended: statuses %v, %d tokens at the upstream; %d questions to the sidecar, %d refresh at the provider; %s",
			host, crowd, statuses, len(seen), questions, r.refreshes()-before, workers)
		if statuses[200] != crowd || r.refreshes()-before != 1 || len(seen) != 1 {
			t.Errorf("statuses %v, %d refreshes, %d tokens\n%s", statuses, r.refreshes()-before, len(seen), r.Gateway.Tail())
		}
		// A worker asks once for everybody it has waiting, and remembers what it hears.
		if questions != 2 {
			t.Errorf("%d questions, want one of each worker", questions)
		}
		// The cookies of before are good still.
		statuses, seen = r.crowded(t, r.cookieLine(v), nil)
		if statuses[200] != crowd || len(seen) != 1 || r.refreshes()-before != 1 || r.answers(t, "open", "")-asked != 2 {
			t.Errorf("with the same cookies: %v, %d tokens, %d refreshes", statuses, len(seen), r.refreshes()-before)
		}
	})
}

// inside is how many requests Envoy has under way on the listener of the traffic.
func (r *rig) inside(t testing.TB) int {
	t.Helper()
	return int(r.Envoy.Stat("http.ingress.downstream_rq_active"))
}

// perWorker says how many connections each of Envoy's workers took, and fails where
// one had none.
func (r *rig) perWorker(t testing.TB) string {
	t.Helper()
	var list []string
	for n := range 2 {
		name := fmt.Sprintf("listener.%s.worker_%d.downstream_cx_total", strings.ReplaceAll(r.Addr, ":", "_"), n)
		count := r.Envoy.Stat(name)
		if count == 0 {
			t.Errorf("%s is 0", name)
		}
		list = append(list, fmt.Sprint(count))
	}
	return "connections by worker: " + strings.Join(list, ", ")
}

// TestSidecarKilled: the process that refreshes ends before it has sent the refresh
// token, or after.
func TestSidecarKilled(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(way{"r", ""}), nil, stack.Options{Apart: true})
		for _, c := range []struct {
			fault  string
			rotate bool
			passes bool // the session lives on
			sent   int  // refreshes that reach the provider
		}{
			{"refresh-before-send", true, true, 1},
			{"refresh-after-send", false, true, 2},
			{"refresh-after-send", true, false, 2},
		} {
			t.Run(fmt.Sprintf("%s, rotate %v", c.fault, c.rotate), func(t *testing.T) {
				r.idp.Set(func(o *idp.Options) { o.Rotate = c.rotate })
				r.idp.Forget()
				v := r.expired(t, "/r/page", "alice")
				r.Sidecar.Kill()
				r.StartSidecar("SALLYPORT_TEST_FAULT=" + c.fault)
				statuses, _ := r.crowded(t, r.cookieLine(v), nil)
				testenv.Eventually(t, 10*time.Second, "the sidecar's end", r.Sidecar.Ended)
				if statuses[503] != crowd {
					t.Errorf("while the sidecar dies: %v", statuses)
				}
				if n := r.refreshes(); n > c.sent-1 {
					t.Errorf("%d refreshes before the restart", n)
				}
				r.StartSidecar()
				if !c.passes {
					r.cleanLogin(t, v)
					if n := r.refreshes(); n != c.sent {
						t.Errorf("%d refreshes, want %d", n, c.sent)
					}
					return
				}
				r.eventually(t, v, r.URL+"/r/page", 200, "Accept: */*")
				statuses, seen := r.crowded(t, r.cookieLine(v), nil)
				testenv.Evidence(t, "%s: killed at %s: %d refreshes; after the restart %v", host, c.fault, r.refreshes(), statuses)
				if statuses[200] != crowd || len(seen) != 1 || r.refreshes() != c.sent {
					t.Errorf("after the restart: %v, %d tokens, %d refreshes, want %d", statuses, len(seen), r.refreshes(), c.sent)
				}
			})
		}
	})
}

// cleanLogin: a session whose refresh token is spent is over at the first try, and a
// login, the same for everybody, begins and ends well.
func (r *rig) cleanLogin(t *testing.T, v *visitor.Visitor) {
	t.Helper()
	copied := r.copyOf(t, v)
	testenv.Eventually(t, 20*time.Second, "an answer of the new sidecar", func() bool {
		p := v.Open(r.URL + "/r/page")
		if p.StatusCode == 200 {
			t.Fatal("a session passes whose refresh token is spent")
		}
		return p.StatusCode == 302
	})
	r.eventually(t, copied, r.URL+"/r/page", 401, "Accept: */*")
	codes := r.idp.Count("authorize")
	if p := r.login(t, v, "/r/page", "alice"); p.StatusCode != 200 {
		t.Errorf("the login: %d %s", p.StatusCode, p.Body)
	}
	if n := r.idp.Count("authorize") - codes; n < 1 || n > 2 { // the form is a request of its own
		t.Errorf("the login took %d requests for codes", n)
	}
	testenv.Evidence(t, "%s: the refresh token is spent: %d refreshes, then one login", r.Host, r.refreshes())
}
