package logins

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

const (
	secretA = "the first secret, of more than thirty-two bytes"
	secretB = "the second secret, of more than thirty-two bytes"
)

// inForce waits until a file that was written is.
func (r *rig) inForce(t testing.TB, file string) {
	t.Helper()
	before := r.generation(t)
	r.Write(r.fill(file))
	testenv.Eventually(t, 10*time.Second, "another bundle", func() bool { return r.generation(t) > before })
	want, vms := r.generation(t), 2
	if r.Envoy != nil {
		vms++ // one that sees no requests
	}
	testenv.Eventually(t, 10*time.Second, "the bundle in every worker", func() bool {
		return strings.Count(r.Gateway.Log(), fmt.Sprintf("bundle %d with", want)) >= vms
	})
}

func (r *rig) generation(t testing.TB) (n int) {
	t.Helper()
	for line := range strings.SplitSeq(get(t, r.Status+"/metrics"), "\n") {
		if rest, ok := strings.CutPrefix(line, "sallyport_sidecar_bundle_generation "); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

// traffic is what people do while something changes: each request has to be answered
// with 200.
type traffic struct {
	stop     chan struct{}
	work     sync.WaitGroup
	requests atomic.Int64
	mu       sync.Mutex // guards failures
	failures []string
}

// keepUsing begins traffic of some browsers.
func (r *rig) keepUsing(target string, all []*visitor.Visitor) *traffic {
	u := &traffic{stop: make(chan struct{})}
	for _, v := range all {
		u.work.Go(func() {
			for {
				select {
				case <-u.stop:
					return
				default:
				}
				p, err := v.Try("GET", r.URL+target, "Accept: */*")
				u.requests.Add(1)
				if err != nil || p.StatusCode != 200 {
					u.mu.Lock()
					u.failures = append(u.failures, fmt.Sprint(err, p))
					u.mu.Unlock()
				}
			}
		})
	}
	return u
}

func (u *traffic) end(t testing.TB) int64 {
	t.Helper()
	close(u.stop)
	u.work.Wait()
	if len(u.failures) > 0 {
		t.Errorf("%d of %d requests failed: %q", len(u.failures), u.requests.Load(), u.failures[:min(len(u.failures), 3)])
	}
	return u.requests.Load()
}

// TestKeyRing: a secret is replaced while people are logged in, under load. Nobody is
// logged out, and nobody gets in with the old one when it has gone.
func TestKeyRing(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		file := func(secrets ...string) string {
			return ways(way{"r", fmt.Sprintf("session_secret: [%s]\nsession_idling_timeout: 10", `"`+strings.Join(secrets, `", "`)+`"`)})
		}
		r := start(t, host, file(secretA), nil, stack.Options{})
		var people []*visitor.Visitor
		for range 8 {
			people = append(people, r.entered(t, "/r/page", "alice"))
		}
		absent := r.copyOf(t, people[0]) // who does not come while both are there
		load := r.keepUsing("/r/page", people)
		r.inForce(t, file(secretB, secretA))
		r.ask(t, r.copyOf(t, absent), "/r/page", 200)
		late := r.entered(t, "/r/page", "bob") // sealed with the new one
		// In use, cookies are written anew within a tenth of the idling timeout.
		written := map[*visitor.Visitor]string{}
		for _, v := range people {
			written[v] = r.cookieLine(v)
		}
		testenv.Eventually(t, 15*time.Second, "cookies that are written anew", func() bool {
			for v, line := range written {
				if r.cookieLine(v) != line {
					delete(written, v)
				}
			}
			return len(written) == 0
		})
		r.inForce(t, file(secretB))
		n := load.end(t)
		for _, v := range append(people, late) {
			r.ask(t, v, "/r/page", 200)
		}
		p, _ := r.ask(t, absent, "/r/page", 401)
		r.reason(t, p, "session_invalid")
		if p := absent.Open(r.URL + "/r/page"); p.StatusCode != 302 || len(p.Header["Set-Cookie"]) == 0 {
			t.Errorf("a page with a cookie of the old secret: %d", p.StatusCode)
		}
		testenv.Evidence(t, "%s: the secret was replaced under %d requests of %d people, none of whom was logged out; a cookie of the old secret opens nothing", host, n, len(people))
	})
}

// TestSettingsChange: other settings end no session, and neither they nor a restart
// come between a login's beginning and its end.
func TestSettingsChange(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		file := func(more string) string { return ways(way{"r", more}) }
		r := start(t, host, file(""), nil, stack.Options{Apart: true})
		v := r.entered(t, "/r/page", "alice")
		begin := func() (*visitor.Visitor, string) {
			w := visitor.New(t)
			p := w.Open(r.URL + "/r/page?x=1")
			if p.StatusCode != 302 {
				t.Fatalf("%d %s", p.StatusCode, p.Body)
			}
			return w, p.Location()
		}
		end := func(w *visitor.Visitor, to string) {
			t.Helper()
			p := w.Open(r.idp.SignIn(t, w.Client, to, "bob"))
			if p.StatusCode != 303 || p.Location() != r.URL+"/r/page?x=1" {
				t.Fatalf("the callback: %d to %q: %s", p.StatusCode, p.Location(), p.Body)
			}
			r.ask(t, w, "/r/page", 200)
		}
		w, to := begin()
		r.inForce(t, file("scopes_required: [openid]\nupstream_headers_claims: [sub]\nupstream_headers_names: [X-Sub]"))
		if _, seen := r.ask(t, v, "/r/page", 200); seen.Header("X-Sub") != "alice-1" {
			t.Errorf("the new setting has no effect: %v", seen.Headers)
		}
		end(w, to)
		r.inForce(t, file("scopes_required: [admin]"))
		p, _ := r.ask(t, v, "/r/page", 403)
		r.reason(t, p, "scope_missing")
		r.inForce(t, file(""))
		r.ask(t, v, "/r/page", 200)

		// A secret that nobody has set is kept where the sidecar keeps its state.
		w, to = begin()
		r.Sidecar.Kill()
		r.StartSidecar()
		r.eventually(t, v, r.URL+"/r/page", 200, "Accept: */*")
		end(w, to)
		testenv.Evidence(t, "%s: sessions and a login under way outlived four reloads and a sidecar that was killed", host)
	})
}

// TestSidecarAway: sessions are used from memory for a time that is set, then nobody
// passes, and everybody is back with the sidecar.
func TestSidecarAway(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, waysAnd("filter: credential_grace_s: 4\n", way{"r", ""}), nil, stack.Options{Apart: true})
		r.settled(t, "/r/page")
		v := r.entered(t, "/r/page", "alice")
		for range 20 { // every worker knows it
			r.ask(t, v, "/r/page", 200)
		}
		unknown := r.entered(t, "/r/page", "bob") // no worker does
		r.Sidecar.Kill()
		gone := time.Now()
		for range 10 {
			r.ask(t, v, "/r/page", 200)
		}
		p, _ := r.ask(t, unknown, "/r/page", 503)
		r.reason(t, p, "sidecar_unreachable")
		waitUntil(t, gone.Add(6*time.Second))
		for range 10 {
			p, _ = r.ask(t, v, "/r/page", 503)
			r.reason(t, p, "sidecar_unreachable")
		}
		if p := v.Open(r.URL + "/r/page"); p.StatusCode != 503 || !strings.Contains(p.Header.Get("Content-Type"), "html") || len(v.Cookies(r.URL)) == 0 {
			t.Errorf("a page: %d, cookies %v", p.StatusCode, v.Cookies(r.URL))
		}
		if p := visitor.New(t).Open(r.URL + "/r/page"); p.StatusCode != 503 {
			t.Errorf("a page of nobody: %d", p.StatusCode)
		}
		r.StartSidecar()
		r.eventually(t, v, r.URL+"/r/page", 200, "Accept: */*")
		r.ask(t, unknown, "/r/page", 200)
	})
}

// TestProviderDownAtStart: pages wait with 503 for a provider that is not there yet,
// sessions of before do not, and a login is possible when it is.
func TestProviderDownAtStart(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(way{"r", ""}), nil, stack.Options{Apart: true})
		v := r.entered(t, "/r/page", "alice")
		r.Sidecar.Kill()
		r.idp.Misbehave(idp.HangUp)
		r.idp.FlowFault(idp.TokenHangUp)
		r.StartSidecar()
		r.eventually(t, v, r.URL+"/r/page", 200, "Accept: */*")
		w := visitor.New(t)
		testenv.Eventually(t, 10*time.Second, "the page of a provider that is away", func() bool {
			p := w.Open(r.URL + "/r/page")
			if p.StatusCode != 503 || len(w.Cookies(r.URL)) != 0 {
				t.Errorf("a page: %d, cookies %v", p.StatusCode, w.Cookies(r.URL))
			}
			return strings.Contains(p.Body, "The identity provider cannot be reached") && p.Header.Get("Retry-After") != ""
		})
		if p, _ := r.fetch(t, w, r.URL+"/r/page"); p.StatusCode != 401 {
			t.Errorf("a script: %d", p.StatusCode)
		}
		r.idp.Misbehave("")
		r.idp.FlowFault()
		testenv.Eventually(t, 20*time.Second, "a login", func() bool { return w.Open(r.URL+"/r/page").StatusCode == 302 })
		if p := r.login(t, w, "/r/page", "bob"); p.StatusCode != 200 {
			t.Errorf("after the login: %d", p.StatusCode)
		}
	})
}
