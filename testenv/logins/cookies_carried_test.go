package logins

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

// Cookies of ours reach no upstream, whichever route it is behind; those of others
// arrive as they were.
func TestCookiesCarried(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		l := newLab(t, host, stack.Options{}, nil,
			site{path: "/app", idp: "main"},
			site{path: "/other", idp: "main", config: "session_cookie_name: mine\nauthorization_cookie_name: theirs"},
			site{path: "/guest", idp: "main", config: "auth_methods: [bearer]"})
		v := newVisitor(t)
		l.signIn(t, v, "/app/page", "alice")
		session := v.Cookies(l.URL)["session"]
		bearer := "Authorization: Bearer " + l.idp.Token("k1", nil)
		flow := "authorization_0123456789abc=AAAA"
		ours := []string{"session=" + session, "session_2=AAAA", "__Host-session=" + session, "mine=" + session, "mine_8=x", flow,
			"__Host-authorization_0123456789abc=AAAA", "theirs_0123456789abc=AAAA", "session=twice"}
		foreign := []string{
			`quoted="a b"`, "sessions=1", "session_=1", "session_1=1", "session_9=1", "session_22=1", "Session=1", "SESSION=1", "xsession=1", "session.2=1", "my-session=1",
			"authorization=1", "authorization_short=1", "authorization_0123456789abcd=1", "__Host-x=1", "__Secure-session=1",
			"empty=", "flag", "a=b=c", "eq==", "json={\"a\":1}", "pct=%20%3B", "plus=a+b", "slash=a/b?c", "tilde=~", "comma=a,b", "dollar=$Version",
		}
		all := "Cookie: " + strings.Join(interleave(ours, foreign), "; ")
		for _, c := range []struct {
			name, path string
			header     []string
			want       string
		}{
			{"protected", "/app/page", []string{all}, ""},
			{"bearer", "/guest/page", []string{all, bearer}, ""},
			{"open", "/open", []string{all}, ""},
			{"open, ours alone", "/open", []string{cookieHeader(ours...)}, "none"},
			{"open, several headers", "/open", []string{cookieHeader(ours[:3]...), cookieHeader(foreign[:9]...), cookieHeader(ours[3:]...), cookieHeader(foreign[9:]...)}, ""},
			{"open, without spaces", "/open", []string{"Cookie: " + strings.Join(interleave(ours, foreign), ";")}, ""},
			{"open, odd spaces", "/open", []string{"Cookie: ;; " + strings.Join(interleave(ours, foreign), " ; ") + " ;"}, ""},
			{"open, spaces around =", "/open", []string{"Cookie: " + strings.ReplaceAll(strings.Join(ours, "; "), "=", " = ") + "; " + strings.Join(foreign, "; ")}, ""},
			{"preflight", "/guest/page", []string{all}, "401"},
		} {
			if c.name == "protected" {
				// A duplicate session cookie is refused; the upstream sees this one.
				c.header = []string{"Cookie: " + strings.Join(interleave([]string{"session=" + session, flow, "mine=" + session, "mine_2=x"}, foreign), "; ")}
			}
			p, seen := l.raw(t, "GET", c.path, c.header...)
			switch {
			case c.want == "401":
				if p.StatusCode != 401 || len(seen) != 0 {
					t.Errorf("%s: %s: %d", host, c.name, p.StatusCode)
				}
				continue
			case p.StatusCode != 200 || len(seen) != 1:
				t.Errorf("%s: %s: %d, upstream called %d times: %s", host, c.name, p.StatusCode, len(seen), p.Body)
				continue
			}
			got := strings.Join(seen[0].Headers["Cookie"], "; ")
			want := strings.Join(foreign, "; ")
			if c.want == "none" {
				want = ""
			}
			if got != want {
				t.Errorf("%s: %s: the upstream received\n%s, want\n%s", host, c.name, got, want)
			}
			testenv.Evidence(t, "%s: %s: %d cookies of ours among %d -> upstream received none of ours", host, c.name, len(ours), len(ours)+len(foreign))
		}
		// Without any of ours nothing is touched, whatever it looks like.
		for _, odd := range []string{"a=1;b=2", "  a=1 ;; b=2 ", ";", "=", "a", `x="; session"`, "a=1,b=2"} {
			_, plain := l.raw(t, "GET", "/open", "Cookie: "+odd)
			if len(plain) != 1 || strings.Join(plain[0].Headers["Cookie"], "; ") != strings.TrimSpace(odd) {
				t.Errorf("%s: %q: the upstream received %v", host, odd, plain)
			}
		}
	})
}

// interleave puts two lists into one, in turns.
func interleave(a, b []string) (out []string) {
	for i := range max(len(a), len(b)) {
		if i < len(a) {
			out = append(out, a[i])
		}
		if i < len(b) {
			out = append(out, b[i])
		}
	}
	return out
}
