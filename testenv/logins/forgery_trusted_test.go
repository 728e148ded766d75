package logins

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

// A proxy that is trusted says where its clients came to. Some of them let a client
// say it.
func TestForgeryTrusted(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		l := newLab(t, host, stack.Options{}, func(l *lab) { l.settings = trusted },
			site{path: "/app", idp: "main"},
			site{path: "/hosts", idp: "main", hosts: []string{"app.example", `"*.wild.example"`}},
			site{path: "/listed", idp: "main", config: "redirect_uri: ['https://one.example/cb', 'https://two.example/cb']"})
		const https = "X-Forwarded-Proto: https"
		for _, c := range []struct {
			name, path string
			header     []string
			want       string // redirect_uri; "" for no login
		}{
			{"all of it", "/app/page", []string{https, "X-Forwarded-Host: front.example", "X-Forwarded-Port: 443", "X-Forwarded-For: 192.0.2.7"}, "https://front.example/app/page"},
			{"another port", "/app/page", []string{https, "X-Forwarded-Host: front.example", "X-Forwarded-Port: 8443"}, "https://front.example:8443/app/page"},
			{"port in the host", "/app/page", []string{https, "X-Forwarded-Host: front.example:8443"}, "https://front.example:8443/app/page"},
			{"several clients", "/app/page", []string{https, "X-Forwarded-Host: front.example", "X-Forwarded-For: 192.0.2.7, 198.51.100.1"}, "https://front.example/app/page"},
			{"no forwarded-for", "/app/page", []string{https, "X-Forwarded-Host: front.example"}, "https://front.example/app/page"},
			{"the route's host", "/hosts/page", []string{https, "Host: app.example"}, "https://app.example/hosts/page"},
			{"the route's host, said", "/hosts/page", []string{https, "Host: app.example", "X-Forwarded-Host: a.wild.example"}, "https://a.wild.example/hosts/page"},
			{"listed", "/listed/page", []string{https, "X-Forwarded-Host: two.example"}, "https://two.example/cb"},
			{"not listed", "/listed/page", []string{https, "X-Forwarded-Host: evil.example"}, "https://one.example/cb"},
			{"another's host", "/hosts/page", []string{https, "Host: app.example", "X-Forwarded-Host: evil.example"}, ""},
			{"like the route's host", "/hosts/page", []string{https, "Host: app.example", "X-Forwarded-Host: app.example.evil.example"}, ""},
			{"behind an @", "/hosts/page", []string{https, "Host: app.example", "X-Forwarded-Host: app.example@evil.example"}, ""},
			{"before an @", "/hosts/page", []string{https, "Host: app.example", "X-Forwarded-Host: evil.example@app.example"}, ""},
			{"with a path", "/hosts/page", []string{https, "Host: app.example", "X-Forwarded-Host: evil.example/.wild.example"}, ""},
			{"with a path of ours", "/hosts/page", []string{https, "Host: app.example", "X-Forwarded-Host: app.example/../evil"}, ""},
			{"with a query", "/hosts/page", []string{https, "Host: app.example", "X-Forwarded-Host: app.example?x"}, ""},
			{"with a fragment", "/hosts/page", []string{https, "Host: app.example", "X-Forwarded-Host: app.example#evil"}, ""},
			{"with a backslash", "/hosts/page", []string{https, "Host: app.example", `X-Forwarded-Host: evil.example\.wild.example`}, ""},
			{"with a space", "/hosts/page", []string{https, "Host: app.example", "X-Forwarded-Host: app.example evil"}, ""},
			{"escaped", "/hosts/page", []string{https, "Host: app.example", "X-Forwarded-Host: app.example%2eevil"}, ""},
			{"no host, anywhere", "/app/page", []string{https, "X-Forwarded-Host: a@b"}, ""},
			{"a path, anywhere", "/app/page", []string{https, "X-Forwarded-Host: a/b"}, ""},
			{"nonsense, anywhere", "/app/page", []string{https, `X-Forwarded-Host: "><script>`}, ""},
			{"very long", "/app/page", []string{https, "X-Forwarded-Host: " + strings.Repeat("a", 5000)}, ""},
			{"port nonsense", "/app/page", []string{https, "X-Forwarded-Host: front.example", "X-Forwarded-Port: 99999999"}, "https://front.example/app/page"},
			{"port nonsense in the host", "/app/page", []string{https, "X-Forwarded-Host: front.example:x@evil"}, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				p, _ := l.raw(t, "GET", c.path, append(append([]string{}, navigate...), c.header...)...)
				if c.want == "" {
					l.refusedWith(t, p, 400, "login_redirect_refused")
					return
				}
				q := url.Values{}
				if p.StatusCode == 302 {
					q = query(t, p.Location())
				}
				if q.Get("redirect_uri") != c.want {
					t.Errorf("%s: %d, redirect_uri %q, want %q: %s", host, p.StatusCode, q.Get("redirect_uri"), c.want, p.Body)
				}
				for _, cookie := range p.Response.Cookies() {
					if !cookie.Secure || !strings.HasPrefix(cookie.Name, "__Host-") {
						t.Errorf("%s: over https: %v", host, cookie)
					}
				}
				testenv.Evidence(t, "%s: %v -> redirect_uri %s", host, c.header, q.Get("redirect_uri"))
			})
		}
	})
}
