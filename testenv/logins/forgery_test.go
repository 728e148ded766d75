package logins

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

func TestForgery(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		l := newLab(t, host, stack.Options{}, nil,
			site{path: "/app", idp: "main", config: "logout_query_arg: logout\nlogout_methods: [GET]\nlogout_redirect_uri: ['https://bye.example/']"},
			site{path: "/hosts", idp: "main", hosts: []string{"app.example", `"*.wild.example"`}},
			site{path: "/fixed", idp: "main", config: "redirect_uri: [https://fixed.example/cb]"},
			site{path: "/suffix", idp: "main", config: "logout_uri_suffix: /logout\nlogout_methods: [GET, POST]"})
		t.Run("targets", l.targets)
		t.Run("parameters", l.chosen)
		t.Run("hosts", l.hosts)
		t.Run("logout", l.logouts)
		t.Run("raw", l.rawTargets)
	})
}

// targets are pages from which a login leads back to just there.
func (l *lab) targets(t *testing.T) {
	for _, target := range []string{
		"/app/page?next=//evil.example", "/app/page?next=https://evil.example/&x=1",
		"/app/page?login_redirect_uri=https://evil.example&redirect_uri=https://evil.example&return_to=//evil.example",
		"/app/page?x=%0d%0aSet-Cookie:%20evil=1%0d%0a%0d%0a<script>", "/app/a@evil.example", "/app/@evil.example:80/", "/app/http:evil.example",
		"/app/%09/evil.example", "/app/page?\\\\evil.example", "/app/page?a=%F0%9F%98%80&b=ä", "/app/page?", "/app/;/evil.example", "/app/page?state=x&code=y",
		"/app/%0d%0aLocation:%20https:%2f%2fevil.example", "/app/page?#", "/app/page?x=1&state=theirs&iss=https://theirs.example",
	} {
		fresh := newVisitor(t)
		p := fresh.Open(l.URL + target)
		if p.StatusCode == 400 {
			continue // a path that the proxy does not take
		}
		if !strings.HasPrefix(p.Location(), l.idp.Endpoint("authorize")) {
			t.Errorf("%s: %s: %d to %q", l.Host, target, p.StatusCode, p.Location())
			continue
		}
		back := query(t, p.Location()).Get("redirect_uri")
		if !strings.HasPrefix(back, l.URL+"/app/") || strings.ContainsAny(back, "?#\r\n") {
			t.Errorf("%s: %s: redirect_uri is %q", l.Host, target, back)
		}
		p = fresh.Open(l.idp.SignIn(t, fresh.Client, p.Location(), "alice"))
		to := p.Header.Get("Location")
		if p.StatusCode != 303 || !strings.HasPrefix(to, l.URL+"/app/") || strings.ContainsAny(to, "\r\n") || len(p.Header.Values("Location")) != 1 {
			t.Errorf("%s: %s: the login ends at %d %q: %s", l.Host, target, p.StatusCode, to, p.Body)
		}
		for _, c := range p.Response.Cookies() {
			if c.Name == "evil" {
				t.Errorf("%s: %s: a cookie was smuggled in: %v", l.Host, target, p.Header)
			}
		}
		testenv.Evidence(t, "%s: a login from %s ends at %s", l.Host, target, to)
	}
}

// chosen are callbacks that nobody began, shown to somebody who is logged in.
func (l *lab) chosen(t *testing.T) {
	v := newVisitor(t)
	l.signIn(t, v, "/app/page", "alice")
	for target, want := range map[string]string{
		"/app/page?state=sp0.0123456789abc.x&code=1":                                   "/app/page",
		"/app/page?state=sp0.0123456789abc.x&code=1&next=//evil.example":               "/app/page?next=//evil.example",
		"/app/page?st%61te=sp0.0123456789abc.x&c%6fde=1&z=state=sp":                    "/app/page?z=state=sp",
		"/app/page?&&state=sp9.0123456789abc.x&error=e&error_description=<script>&a=b": "/app/page?a=b",
	} {
		p := v.Open(l.URL + target)
		if p.StatusCode != 303 || p.Header.Get("Location") != want {
			t.Errorf("%s: %s: %d to %q, want %q", l.Host, target, p.StatusCode, p.Header.Get("Location"), want)
		}
		if q := v.Open(p.Location()); q.StatusCode != 200 {
			t.Errorf("%s: %s: then %d to %q", l.Host, want, q.StatusCode, q.Location())
		}
	}
	// And to somebody who is not: a fresh login, or a page; never a redemption.
	before := l.idp.Count("token")
	for _, target := range []string{"/app/page?state=sp9.0123456789abc.x&code=1", "/app/page?state=sp1.0123456789abc.x&code=1"} {
		l.refusedWith(t, newVisitor(t).Open(l.URL+target), 401, "login_state_unknown")
	}
	if l.idp.Count("token") != before {
		t.Errorf("%s: a code was redeemed", l.Host)
	}
}

// hosts are names that somebody else chooses.
func (l *lab) hosts(t *testing.T) {
	_, port, err := net.SplitHostPort(l.Addr)
	if err != nil {
		t.Fatal(err)
	}
	forwarded := []string{"X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 444", "Forwarded: host=evil.example;proto=https",
		"X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "X-Forwarded-Prefix: /evil", "X-Original-URL: /evil", "X-Host: evil.example", "X-Forwarded-Path: /evil"}
	for _, c := range []struct{ path, host, want string }{
		{"/app/page", "", l.URL + "/app/page"},
		{"/hosts/page", "app.example", "http://app.example:" + port + "/hosts/page"},
		{"/hosts/page", "APP.example", "http://app.example:" + port + "/hosts/page"},
		{"/hosts/page", "app.example:8080", "http://app.example:" + port + "/hosts/page"},
		{"/hosts/page", "x.wild.example", "http://x.wild.example:" + port + "/hosts/page"},
		{"/hosts/page", "evil.example", ""},
		{"/hosts/page", "app.example.evil.example", ""},
		{"/hosts/page", "evilwild.example", ""},
		{"/fixed/page", "evil.example", "https://fixed.example/cb"},
	} {
		header := append(append([]string{}, navigate...), forwarded...)
		if c.host != "" {
			header = append(header, "Host: "+c.host)
		}
		p := newVisitor(t).Send("GET", l.URL+c.path, header...)
		if c.want == "" {
			if p.StatusCode != 404 {
				t.Errorf("%s: %s: %d to %q", l.Host, c.host, p.StatusCode, p.Location())
			}
			continue
		}
		if got := query(t, p.Location()).Get("redirect_uri"); p.StatusCode != 302 || got != c.want || strings.Contains(p.Location(), "evil") {
			t.Errorf("%s: %s by host %q: %d, redirect_uri %q, want %q", l.Host, c.path, c.host, p.StatusCode, got, c.want)
		}
		for _, cookie := range p.Response.Cookies() {
			if cookie.Secure || strings.HasPrefix(cookie.Name, "__Host-") {
				t.Errorf("%s: a stranger's word makes it https: %v", l.Host, cookie)
			}
		}
	}
}

// logouts are asked for with an address to go to.
func (l *lab) logouts(t *testing.T) {
	const evil = "&post_logout_redirect_uri=https://evil.example/&logout_redirect_uri=https://evil.example/&redirect=//evil.example&state=x&id_token_hint=x&client_id=evil"
	v := newVisitor(t)
	l.signIn(t, v, "/app/page", "alice")
	for _, header := range []string{"X: y", "Host: evil.example", "Referer: https://evil.example/", "X-Forwarded-Host: evil.example"} {
		p := v.Open(l.URL+"/app/page?logout=1"+evil, header)
		q := query(t, p.Location())
		if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), l.idp.Endpoint("end_session")) || q.Get("post_logout_redirect_uri") != "https://bye.example/" ||
			q.Get("client_id") != "app" || len(q["id_token_hint"]) > 1 || q.Get("id_token_hint") == "x" || strings.Contains(p.Location(), "evil") {
			t.Errorf("%s: logout: %d to %q", l.Host, p.StatusCode, p.Location())
		}
	}
	v = newVisitor(t)
	l.signIn(t, v, "/suffix/page", "alice")
	p := v.Open(l.URL + "/suffix/logout?x=1" + evil)
	if q := query(t, p.Location()); p.StatusCode != 302 || q.Has("post_logout_redirect_uri") || strings.Contains(p.Location(), "evil") {
		t.Errorf("%s: logout without an address: %d to %q", l.Host, p.StatusCode, p.Location())
	}
	// What only looks like a logout is none.
	v = newVisitor(t)
	l.signIn(t, v, "/suffix/page", "alice")
	for _, target := range []string{"/suffix/page?x=/logout", "/suffix/logoutx", "/suffix/page?a=/suffix/logout", "/suffix/logout/more"} {
		if p, seen := l.fetch(t, v, l.URL+target); p.StatusCode != 200 || len(seen) != 1 {
			t.Errorf("%s: %s: %d", l.Host, target, p.StatusCode)
		}
	}
	if p := v.Send("PUT", l.URL+"/suffix/logout"); p.StatusCode != 200 {
		t.Errorf("%s: PUT: %d", l.Host, p.StatusCode)
	}
}

// exchange writes a request as it stands.
func (l *lab) exchange(t *testing.T, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil // hung up
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res
}

// rawTargets are request lines that no library writes.
func (l *lab) rawTargets(t *testing.T) {
	const rest = "\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nConnection: close\r\n\r\n"
	callback := "?state=sp0.0123456789abc.x&code=1"
	for _, target := range []string{
		"//evil.example/app/page", "/\\evil.example/app/page", "/app/page\\..\\..\\evil", "//app/page", "/app//evil.example", "\\\\evil.example", "/app/\\evil.example",
		"http://evil.example/app/page", "http://app.example@evil.example/hosts/page", "https://evil.example/app/page", "//app.example@evil.example/app", "evil.example", "*",
		"/app/page?x=\x01", "/app/\tpage", "/app/..%2fevil", "/app/%2e%2e/evil", "/app/..;/evil", "/app/page#@evil", "http:///app/page", "http://[::1]/app/page",
		"///evil.example" + callback, "/app//evil.example" + callback, "/\\evil.example" + callback, "http://evil.example/hosts/page" + callback,
	} {
		for _, host := range []string{l.Addr, "app.example", "evil.example@app.example", "app.example/evil", "", "app.example,evil.example", "[::1]:1", "app.example:99999", "app.example:@x"} {
			res := l.exchange(t, "GET "+target+" HTTP/1.1\r\nHost: "+host+rest)
			if res == nil {
				continue
			}
			to := res.Header.Get("Location")
			u, err := url.Parse(to)
			switch {
			case res.StatusCode >= 500:
				t.Errorf("%s: %q by %q: %d", l.Host, target, host, res.StatusCode)
			case err != nil, len(res.Header.Values("Location")) > 1:
				t.Errorf("%s: %q by %q: to %q", l.Host, target, host, res.Header.Values("Location"))
			case to != "" && u.Host != "" && !strings.HasPrefix(to, l.idp.URL+"/"), strings.HasPrefix(to, "//"), strings.HasPrefix(to, "/\\"):
				t.Errorf("%s: %q by %q: %d to %q", l.Host, target, host, res.StatusCode, to)
			case strings.HasPrefix(target, "/hosts") || strings.HasSuffix(target, "/hosts/page"):
				if back := u.Query().Get("redirect_uri"); back != "" && !strings.HasPrefix(back, "http://app.example:") {
					t.Errorf("%s: %q by %q: redirect_uri %q", l.Host, target, host, back)
				}
			}
			if to != "" && u.Host != "" {
				back, err := url.Parse(u.Query().Get("redirect_uri"))
				if err != nil || back.User != nil || back.Host == "" || back.RawQuery != "" || back.Fragment != "" {
					t.Errorf("%s: %q by %q: redirect_uri %q", l.Host, target, host, u.Query().Get("redirect_uri"))
				}
			}
		}
	}
}
