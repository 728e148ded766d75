package logins

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// waitUntil waits for a time of the clock, which is what is tested here.
func waitUntil(t testing.TB, at time.Time) {
	t.Helper()
	if err := testenv.Poll(time.Until(at)+5*time.Second, func() bool { return !time.Now().Before(at) }); err != nil {
		t.Fatal(err)
	}
}

// TestTimeouts: what idles, what is not renewed and what has lasted ends; what is in
// use goes on, by cookies that are written anew.
func TestTimeouts(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(
			way{"idle", "session_idling_timeout: 10\nsession_rolling_timeout: 0"},
			way{"roll", "session_idling_timeout: 0\nsession_rolling_timeout: 10"},
			way{"end", "session_idling_timeout: 0\nsession_rolling_timeout: 0\nsession_absolute_timeout: 10"},
		), nil, stack.Options{})
		r.settled(t, "/idle/page")
		type browsers struct{ used, idle *visitor.Visitor }
		all := map[string]browsers{}
		for _, name := range []string{"idle", "roll", "end"} {
			v := r.entered(t, "/"+name+"/page", "alice")
			r.ask(t, v, "/"+name+"/page", 200)
			all[name] = browsers{v, r.copyOf(t, v)}
		}
		begun := time.Now()
		rewritten := map[string]int{}
		for sec := time.Duration(1); sec <= 12; sec++ {
			waitUntil(t, begun.Add(sec*time.Second))
			for name, b := range all {
				if name == "end" && sec > 8 {
					continue
				}
				p, _ := r.ask(t, b.used, "/"+name+"/page", 200)
				if slices.Contains(setCookies(p), "session") {
					rewritten[name]++
				}
			}
		}
		testenv.Evidence(t, "%s: 12 s of use of sessions that may idle, or go without renewal, for 10 s: cookies written anew %v times; the bounds passed without an end", host, rewritten)
		if rewritten["idle"] < 3 || rewritten["roll"] < 3 || rewritten["end"] != 0 {
			t.Errorf("cookies were written anew: %v", rewritten)
		}
		for name, b := range all {
			p, _ := r.ask(t, b.idle, "/"+name+"/page", 401)
			r.reason(t, p, "session_expired")
			if p := b.idle.Open(r.URL + "/" + name + "/page"); p.StatusCode != 302 {
				t.Errorf("%s: a page: %d", name, p.StatusCode)
			}
		}
		p, _ := r.ask(t, all["end"].used, "/end/page", 401)
		r.reason(t, p, "session_expired")
	})
}

// bearerToken is an access token of alice's, or of whom the claims say.
func (r *rig) bearerToken(seconds int64, more map[string]any) string {
	claims := map[string]any{"iss": r.idp.Issuer(), "sub": "alice-1", "exp": time.Now().Unix() + seconds, "scope": "openid"}
	for name, value := range more {
		claims[name] = value
	}
	return r.idp.Token("k1", claims)
}

// TestBearerSession: S4-09. A token of the Authorization header begins a session that
// ends with it; nothing else does.
func TestBearerSession(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		t.Run("S4-09", func(t *testing.T) {
			r := start(t, host, ways(
				way{"b", "auth_methods: [bearer, session]"},
				way{"all", "auth_methods: [bearer, session]\nbearer_token_param_type: [header, query, cookie]\nbearer_token_cookie_name: tok"},
				way{"off", "auth_methods: [bearer, session]\ndisable_session: [bearer]"},
				way{"none", "auth_methods: [bearer]"},
			), nil, stack.Options{Apart: true})
			r.settledBearer(t)
			ends := time.Now().Add(8 * time.Second)
			v := visitor.New(t)
			token := r.bearerToken(8, nil)
			p, _ := r.ask(t, v, "/b/page", 200, "Authorization: Bearer "+token)
			if !slices.Equal(setCookies(p), []string{"session"}) {
				t.Fatalf("a bearer token begins a session: %v", setCookies(p))
			}
			_, seen := r.ask(t, v, "/b/page", 200)
			if seen.Header("Authorization") != "Bearer "+token || seen.Header("X-Credential-Identifier") != "alice-1" {
				t.Errorf("the session at the upstream: %v", seen.Headers)
			}
			testenv.Evidence(t, "%s: a bearer token began a session; the upstream received credential %q by its cookie", host, seen.Header("X-Credential-Identifier"))
			t.Run("no cookies kept", func(t *testing.T) { bearerWithoutJar(t, r) })
			t.Run("elsewhere", func(t *testing.T) { bearerElsewhere(t, r) })
			t.Run("another subject", func(t *testing.T) {
				p, seen := r.ask(t, v, "/b/page", 200, "Authorization: Bearer "+r.bearerToken(100, map[string]any{"sub": "bob-2"}))
				if seen.Header("X-Credential-Identifier") != "alice-1" || len(setCookies(p)) != 0 {
					t.Errorf("alice's session with bob's token: the upstream sees %q, cookies %v", seen.Header("X-Credential-Identifier"), setCookies(p))
				}
			})
			waitUntil(t, ends)
			p, _ = r.ask(t, v, "/b/page", 401)
			r.reason(t, p, "session_expired")
			testenv.Evidence(t, "%s: the session ended with its token", host)
			t.Run("sidecar away", func(t *testing.T) { bearerAway(t, r) })
		})
	})
}

// settledBearer waits until every worker knows the keys and has the feed.
func (r *rig) settledBearer(t testing.TB) {
	t.Helper()
	testenv.Eventually(t, 10*time.Second, "a session for a bearer token", func() bool {
		p := visitor.New(t).Fetch(r.URL+"/b/page", "Authorization: Bearer "+r.bearerToken(100, map[string]any{"jti": time.Now().String()}))
		return p.StatusCode == 200 && len(setCookies(p)) == 1
	})
}

// bearerWithoutJar: a client that keeps no cookies is not offered one each time.
func bearerWithoutJar(t *testing.T, r *rig) {
	token := r.bearerToken(600, map[string]any{"jti": "1"})
	asked, offered := r.answers(t, "establish", ""), 0
	for range 30 {
		p, _ := r.ask(t, visitor.New(t), "/b/page", 200, "Authorization: Bearer "+token)
		offered += len(setCookies(p))
	}
	if n := r.answers(t, "establish", "") - asked; n < 1 || n > 2 || offered != n {
		t.Errorf("30 requests: %d questions, %d cookies; want one of each worker", n, offered)
	}
}

// bearerElsewhere: a token that a page can plant begins no session, nor does one that
// is refused.
func bearerElsewhere(t *testing.T, r *rig) {
	token := r.bearerToken(600, map[string]any{"jti": "2"})
	asked := r.answers(t, "establish", "")
	for _, c := range []struct {
		target, header string
		status         int
	}{
		{"/all/page?access_token=" + token, "Accept: */*", 200},
		{"/all/page", "Cookie: tok=" + token, 200},
		{"/off/page", "Authorization: Bearer " + token, 200},
		{"/none/page", "Authorization: Bearer " + token, 200},
		{"/b/page", "Authorization: Bearer " + r.bearerToken(-10, nil), 401},
		{"/b/page", "Authorization: Bearer x" + token, 401},
		{"/b/page?access_token=" + token, "Accept: */*", 401},
	} {
		for range 4 {
			p, _ := r.ask(t, visitor.New(t), c.target, c.status, c.header)
			if len(setCookies(p)) != 0 {
				t.Errorf("%s: set-cookie %v", c.target[:5], setCookies(p))
			}
		}
	}
	if n := r.answers(t, "establish", "") - asked; n != 0 {
		t.Errorf("the sidecar was asked for %d sessions", n)
	}
}

// bearerAway: without the sidecar the request passes, without a cookie.
func bearerAway(t *testing.T, r *rig) {
	pass := func(n int, jti string) {
		token := r.bearerToken(600, map[string]any{"jti": jti})
		for range n {
			p, _ := r.ask(t, visitor.New(t), "/b/page", 200, "Authorization: Bearer "+token)
			if len(setCookies(p)) != 0 {
				t.Errorf("set-cookie %v", setCookies(p))
			}
		}
	}
	r.Sidecar.Signal(syscall.SIGSTOP) // it takes questions, and answers none
	testenv.Eventually(t, 10*time.Second, "a sidecar that has stopped", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.Sidecar.PID()))
		_, state, _ := strings.Cut(string(stat), ") ")
		return err == nil && strings.HasPrefix(state, "T")
	})
	pass(3, "3")
	r.Sidecar.Kill()
	pass(6, "4")
	r.StartSidecar()
	testenv.Eventually(t, 10*time.Second, "sessions when the sidecar is back", func() bool {
		p := visitor.New(t).Fetch(r.URL+"/b/page", "Authorization: Bearer "+r.bearerToken(100, map[string]any{"jti": time.Now().String()}))
		return p.StatusCode == 200 && len(setCookies(p)) == 1
	})
}
