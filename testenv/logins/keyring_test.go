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

// reloads is a rig whose file changes. A consumer whose name changes with it tells
// when every worker has taken a change in.
type reloads struct {
	*rig
	first  string // waysAnd's first lines
	mark   *visitor.Visitor
	number int
}

const markSecret = "session_secret: the-mark-keeps-its-own-session-secret\n"

func (r *reloads) file(list ...way) string {
	r.number++
	return waysAnd(r.first+fmt.Sprintf("consumers: [{username: file-%d, custom_id: alice@example.com}]\n", r.number),
		append([]way{{"mark", markSecret + "consumer_claim: [email]"}}, list...)...)
}

func startReloads(t *testing.T, host, first string, o stack.Options, list ...way) *reloads {
	t.Helper()
	r := &reloads{first: first}
	r.rig = start(t, host, r.file(list...), nil, o)
	r.mark = r.entered(t, "/mark/page", "alice")
	return r
}

// reload replaces the file and waits for every worker.
func (r *reloads) reload(t *testing.T, list ...way) {
	t.Helper()
	r.Write(r.fill(r.file(list...)))
	r.everyWorker(t, r.mark, "/mark/page", fmt.Sprintf("file-%d", r.number))
}

// TestSecretRotation: the secret of sessions is changed in two steps, and nobody is
// logged out who comes by in between.
func TestSecretRotation(t *testing.T) {
	const times = "session_idling_timeout: 0\nsession_rolling_timeout: 20\n"
	const before, after = "the-secret-of-before-with-32-bytes-or-more", "the-secret-of-after-with-32-bytes-or-more!"
	inBoth(t, func(t *testing.T, host string) {
		r := startReloads(t, host, "", stack.Options{Apart: true}, way{"r", times + "session_secret: " + before})
		const busy = 8
		var people, old []*visitor.Visitor
		for range busy {
			people = append(people, r.entered(t, "/r/page", "alice"))
		}
		idle, idleScript := r.entered(t, "/r/page", "bob"), r.entered(t, "/r/page", "bob")
		for _, v := range people {
			old = append(old, r.copyOf(t, v))
		}
		var work sync.WaitGroup
		var asked, refused atomic.Int64
		stop := make(chan struct{})
		for _, v := range people {
			work.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
					}
					if p, err := v.Try("GET", r.URL+"/r/page", "Accept: */*"); err != nil || p.StatusCode != 200 {
						refused.Add(1)
					}
					asked.Add(1)
				}
			})
		}
		rotated := fmt.Sprintf("%ssession_secret: [%q, %q]", times, after, before)
		r.reload(t, way{"r", rotated})
		testenv.Eventually(t, 15*time.Second, "cookies that are sealed anew", func() bool {
			for i, v := range people {
				if v.Cookies(r.URL)["session"] == old[i].Cookies(r.URL)["session"] {
					return false
				}
			}
			return true
		})
		// A cookie from the time of both may have been written just before the reload.
		for i, v := range people {
			old[i] = r.copyOf(t, v)
		}
		testenv.Eventually(t, 15*time.Second, "cookies that are sealed anew", func() bool {
			for i, v := range people {
				if v.Cookies(r.URL)["session"] == old[i].Cookies(r.URL)["session"] {
					return false
				}
			}
			return true
		})
		r.ask(t, idleScript, "/r/page", 200) // the old one opens still
		unused := r.copyOf(t, idle)
		r.reload(t, way{"r", times + "session_secret: " + after})
		if p := idle.Open(r.URL + "/r/page"); p.StatusCode != 302 {
			t.Errorf("%s: a page with the old secret: %d", host, p.StatusCode)
		}
		p, _ := r.ask(t, unused, "/r/page", 401)
		r.reason(t, p, "session_invalid")
		r.eventually(t, unused, r.URL+"/r/page", 401, "Accept: */*")
		time.Sleep(200 * time.Millisecond)
		close(stop)
		work.Wait()
		testenv.Evidence(t, "%s: %d requests of %d people while the secret was rotated, %d refused; the old secret opens nothing any more",
			host, asked.Load(), busy, refused.Load())
		if refused.Load() > 0 || asked.Load() < 50 {
			t.Errorf("%s: %d of %d requests were refused\n%s", host, refused.Load(), asked.Load(), r.Gateway.Tail())
		}
		if p := r.login(t, idle, "/r/page", "bob"); p.StatusCode != 200 {
			t.Errorf("%s: after a new login: %d", host, p.StatusCode)
		}
	})
}

// TestSecretRemovedAtOnce: a secret that is taken out opens nothing, also where the
// session was in use a moment ago.
func TestSecretRemovedAtOnce(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := startReloads(t, host, "", stack.Options{}, way{"r", "session_secret: a-secret-that-has-leaked-with-32-bytes"})
		v := r.entered(t, "/r/page", "alice")
		for range 24 {
			r.ask(t, v, "/r/page", 200) // every worker remembers it
		}
		r.reload(t, way{"r", "session_secret: another-secret-that-nobody-has-seen"})
		r.eventually(t, v, r.URL+"/r/page", 401, "Accept: */*")
		if p := v.Open(r.URL + "/r/page"); p.StatusCode != 302 {
			t.Errorf("%s: a page: %d", host, p.StatusCode)
		}
	})
}

// TestReloadsAndRestarts: what a change of the file, and a new process, leave alone.
func TestReloadsAndRestarts(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := startReloads(t, host, "", stack.Options{Apart: true}, way{"r", ""})
		restart := func(t *testing.T) {
			t.Helper()
			r.Sidecar.Stop()
			r.StartSidecar()
		}
		t.Run("generated secret", func(t *testing.T) {
			v := r.entered(t, "/r/page", "alice")
			restart(t)
			r.eventually(t, v, r.URL+"/r/page", 200, "Accept: */*")
			if len(v.Cookies(r.URL)) == 0 {
				t.Error("the session is gone")
			}
			// One that no worker remembers, too.
			again := r.entered(t, "/r/page", "bob")
			restart(t)
			r.eventually(t, again, r.URL+"/r/page", 200, "Accept: */*")
		})
		t.Run("rights", func(t *testing.T) {
			v := r.entered(t, "/r/page", "alice")
			for _, step := range []struct {
				config string
				status int
			}{{"scopes_required: [openid]", 200}, {"scopes_required: [nothing]\nupstream_headers_names: [X-Mail]\nupstream_headers_claims: [email]", 403},
				{"leeway: 5\ngroups_required: [nobody]", 403}, {"unauthorized_error_message: no", 200}} {
				r.reload(t, way{"r", step.config})
				r.eventually(t, v, r.URL+"/r/page", step.status, "Accept: */*")
			}
			testenv.Evidence(t, "%s: rights taken away and given back by reloads: the session has stayed", host)
		})
		for _, c := range []struct {
			name string
			what func(t *testing.T)
		}{
			{"reload", func(t *testing.T) { r.reload(t, way{"r", "scopes_required: [openid]"}) }},
			{"restart", restart},
			{"both", func(t *testing.T) { restart(t); r.reload(t, way{"r", "leeway: 1"}) }},
		} {
			t.Run(c.name+" during a login", func(t *testing.T) {
				v := visitor.New(t)
				p := v.Open(r.URL + "/r/page?x=1")
				back := r.idp.SignIn(t, v.Client, p.Location(), "alice")
				c.what(t)
				p = v.Open(back)
				if p.StatusCode != 303 || p.Location() != r.URL+"/r/page?x=1" {
					t.Fatalf("%s: %d to %q: %s\n%s", host, p.StatusCode, p.Location(), p.Body, r.Gateway.Tail())
				}
				r.ask(t, v, "/r/page", 200)
			})
		}
		t.Run("another scope during a login", func(t *testing.T) {
			v := visitor.New(t)
			back := r.idp.SignIn(t, v.Client, v.Open(r.URL+"/r/page").Location(), "alice")
			r.reload(t, way{"r", "scopes: [openid, email]"})
			codes := r.idp.Count("token")
			p := v.Open(back)
			if setsSession(p) || r.idp.Count("token") != codes {
				t.Errorf("%s: %d with %q", host, p.StatusCode, setCookies(p))
			}
			if p.StatusCode == 200 || p.StatusCode >= 500 {
				t.Errorf("%s: %d %s", host, p.StatusCode, p.Body)
			}
			testenv.Evidence(t, "%s: a login that was begun with other scopes -> %d %s", host, p.StatusCode, r.Reason(requestID(p)))
		})
	})
}

// TestSidecarAway: sessions that are remembered are good for a while without it, and
// then nobody gets in.
func TestSidecarAway(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, waysAnd("filter: credential_grace_s: 6\n", way{"r", ""}), nil, stack.Options{Apart: true})
		r.settled(t, "/r/page")
		v, fresh := r.entered(t, "/r/page", "alice"), r.entered(t, "/r/page", "bob")
		for range 24 {
			r.ask(t, v, "/r/page", 200)
		}
		upstream := r.up.Total()
		r.Sidecar.Kill()
		killed := time.Now()
		passed := 0
		for range 6 {
			if p, _ := r.fetch(t, v, r.URL+"/r/page"); p.StatusCode == 200 {
				passed++
			}
		}
		if since := time.Since(killed); passed != 6 && since < 3*time.Second {
			t.Errorf("%s: %d of 6 passed within %v\n%s", host, passed, since, r.Gateway.Tail())
		}
		p, _ := r.ask(t, fresh, "/r/page", 503)
		if r.reason(t, p, "sidecar_unreachable"); p.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After: %v", host, p.Header)
		}
		if p := visitor.New(t).Open(r.URL + "/r/page"); p.StatusCode != 503 || !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: a page: %d", host, p.StatusCode)
		}
		if n := r.up.Total() - upstream; n != passed {
			t.Errorf("%s: %d requests reached the upstream", host, n)
		}
		testenv.Eventually(t, 20*time.Second, "the end of the grace", func() bool {
			p, err := v.Try("GET", r.URL+"/r/page", "Accept: */*")
			return err == nil && p.StatusCode == 503
		})
		ended := time.Since(killed)
		r.eventually(t, v, r.URL+"/r/page", 503, "Accept: */*")
		testenv.Evidence(t, "%s: without the sidecar %d of 6 passed, the last %.1f s after its end; then 503", host, passed, ended.Seconds())
		if ended < 4*time.Second {
			t.Errorf("%s: the grace was %v", host, ended)
		}
		r.StartSidecar()
		for _, who := range []*visitor.Visitor{v, fresh} {
			r.eventually(t, who, r.URL+"/r/page", 200, "Accept: */*")
		}
	})
}

// TestProviderAwayAtStart: the provider is not there when the gateway starts.
func TestProviderAwayAtStart(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(way{"r", ""}), func(s *idp.Server) { s.Misbehave(idp.HangUp) }, stack.Options{})
		v := visitor.New(t)
		p := v.Open(r.URL + "/r/page")
		if r.reason(t, p, "issuer_unavailable"); p.StatusCode != 503 || len(p.Header.Values("Set-Cookie")) > 0 || p.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", host, p.StatusCode, p.Header)
		}
		r.ask(t, v, "/r/page", 401) // a script is told what it lacks
		r.idp.Misbehave("")
		testenv.Eventually(t, 60*time.Second, "a login", func() bool { return v.Open(r.URL+"/r/page").StatusCode == 302 })
		if p := r.login(t, v, "/r/page", "alice"); p.StatusCode != 200 {
			t.Errorf("%s: %d", host, p.StatusCode)
		}
	})
}
