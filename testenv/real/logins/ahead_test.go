//go:build real

package logins

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
)

// prefetch has the browser fetch pages that nobody has asked for yet.
func prefetch(t *testing.T, s *site) {
	p := s.person(t)
	p.open(s.at("localhost", "/open"))
	codes := s.idp.Count("authorize")
	for name, script := range map[string]string{
		"a link": `{ const l = document.createElement("link"); l.rel = "prefetch"; l.href = "/app/next"; document.head.append(l) }`,
		"speculation rules": `{ const r = document.createElement("script"); r.type = "speculationrules";
			r.textContent = JSON.stringify({prefetch: [{urls: ["/app/soon"], eagerness: "immediate"}]}); document.head.append(r) }`,
	} {
		before := s.Requests("credential_missing")
		p.Eval(`(() => `+script+`)()`, nil)
		testenv.Eventually(t, 10*time.Second, name+" is refused", func() bool { return s.Requests("credential_missing") > before })
		if len(p.own()) != 0 || s.idp.Count("authorize") != codes {
			t.Errorf("%s: %d cookies, the provider was asked %d times", name, len(p.own()), s.idp.Count("authorize")-codes)
		}
		testenv.Evidence(t, "%s: what %s fetches ahead is refused, without a cookie", s.Host, name)
	}
	// When the person goes there, it is a page like others.
	if v := p.open(s.at("localhost", "/app/soon")); !strings.HasPrefix(v.URL, s.idp.Endpoint("authorize")) {
		t.Errorf("going there leads to %d at %s", v.Status, bare(v.URL))
	}
}

// headRequests asks with HEAD, which is answered as GET is, without a body.
func headRequests(t *testing.T, s *site) {
	before := s.up.Total()
	r := testenv.Raw(t, s.Addr, testenv.Request("HEAD", "/app/page", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"))
	if r.Status != 302 || !strings.HasPrefix(r.Header.Get("Location"), s.idp.Endpoint("authorize")+"?") || len(r.Header["Set-Cookie"]) != 1 || r.Body != "" {
		t.Errorf("a navigation: %d to %s, %d cookies", r.Status, bare(r.Header.Get("Location")), len(r.Header["Set-Cookie"]))
	}
	r = testenv.Raw(t, s.Addr, testenv.Request("HEAD", "/app/page", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"))
	if r.Status != 401 || len(r.Header["Set-Cookie"]) != 0 || r.Body != "" || s.up.Total() != before {
		t.Errorf("a script: %d, %d cookies, %q", r.Status, len(r.Header["Set-Cookie"]), r.Body)
	}
	p := s.person(t)
	p.login(s.at("app.example", "/app/page"), "alice", "alice")
	f, seen := p.fetch("/app/data", map[string]any{"method": "HEAD"})
	if f.Status != 200 || f.Body != "" || len(seen) != 1 || seen[0].Method != "HEAD" || seen[0].Header("X-Credential-Identifier") != "a1" {
		t.Errorf("with a session: %d, the upstream received %d requests", f.Status, len(seen))
	}
	// Somebody looks where a callback leads: its code is not the upstream's affair, and is
	// not redeemed.
	grants := s.idp.Count("token")
	q := s.person(t)
	q.begin(s.at("app.example", "/app/page"))
	state := s.last(t, "authorize").Form.Get("state")
	flow := q.own()["authorization_"+flowOf(q)]
	for cookie, want := range map[*http.Cookie]string{p.own()["session"]: "/app/page", flow: s.idp.Endpoint("authorize") + "?", {Name: "none"}: s.idp.Endpoint("authorize") + "?"} {
		before := s.up.Total()
		r := testenv.Raw(t, s.Addr, testenv.Request("HEAD", "/app/page?code=a-code&state="+state, "Host: app.example:"+s.Port(), "Cookie: "+cookie.Name+"="+cookie.Value,
			"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"))
		testenv.Evidence(t, "%s: HEAD of a callback with %s -> %d to %s", s.Host, strings.TrimSuffix(cookie.Name, flowOf(q)), r.Status, bare(r.Header.Get("Location")))
		if r.Status/100 != 3 || !strings.HasPrefix(r.Header.Get("Location"), want) || s.up.Total() != before || s.idp.Count("token") != grants {
			t.Errorf("a callback with %s: %d to %s", cookie.Name, r.Status, bare(r.Header.Get("Location")))
		}
	}
}

// flowOf is the id of the one flow that a person has begun.
func flowOf(p *person) string {
	for name := range p.own() {
		if id, ok := strings.CutPrefix(name, "authorization_"); ok {
			return id
		}
	}
	return ""
}
