//go:build real

package logins

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

const tabsFile = `_format_version: "3.0"
services:
- name: app
  url: ${UPSTREAM}
  routes:
  - name: app
    paths: [/app]
    strip_path: false
    plugins: [{name: openid-connect, config: {issuer: ${ISSUER}, client_id: [app], client_secret: [secret], auth_methods: [authorization_code, session], scopes: [openid]}}]
  - name: info
    paths: [/info]
    strip_path: false
    plugins: [{name: openid-connect, config: {issuer: ${ISSUER}, client_id: [app], client_secret: [secret], auth_methods: [authorization_code, session], scopes: [openid], search_user_info: true, session_cookie_name: info}}]
  - {name: open, paths: [/open], strip_path: false}
`

// TestTabs is about what browsers do: several tabs, back and reload, no cookies.
func TestTabs(t *testing.T) {
	b := browser.Start(t)
	inBoth(t, func(t *testing.T, host string) {
		up, p := echo.Start(t), idp.Start(t)
		p.AddClient(idp.Client{ID: "app", Secret: "secret"})
		p.AddUser(idp.User{Name: "alice", Password: "alice", Subject: "a1"})
		p.AddUser(idp.User{Name: "large", Password: "large", Subject: "l1", AccessClaims: map[string]any{"more": words(7)}})
		p.AddUser(idp.User{Name: "huge", Password: "huge", Subject: "h1", UserInfo: map[string]any{"more": words(100)}})
		s := start(t, host, strings.NewReplacer("${UPSTREAM}", up.URL, "${ISSUER}", p.Issuer()).Replace(tabsFile), up, p, b)
		for _, c := range []struct {
			name string
			test func(t *testing.T, s *site)
		}{
			{"five tabs", tabsFive}, {"many tabs", tabsMany}, {"back and reload", tabsBack}, {"programs", tabsPrograms},
			{"no cookies", tabsNoCookies}, {"several cookies", tabsLarge}, {"too large", tabsHuge}, {"a form", tabsForm},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, s) })
		}
	})
}

// words are kilobytes of text that does not get shorter by packing.
func words(kilobytes int) string {
	var b strings.Builder
	for n := uint64(88172645463325252); b.Len() < kilobytes<<10; {
		n ^= n << 13
		n ^= n >> 7
		n ^= n << 17
		fmt.Fprintf(&b, "%016x", n)
	}
	return b.String()[:kilobytes<<10]
}

// tabsFive begins a login in five tabs, and ends all of them, the last one first.
func tabsFive(t *testing.T, s *site) {
	p := s.person(t)
	tabs := []*person{p, p.tab(), p.tab(), p.tab(), p.tab()}
	link := func(i int) string { return s.at("app.example", fmt.Sprintf("/app/page-%d?tab=%d", i, i)) }
	for i, tab := range tabs {
		tab.begin(link(i))
	}
	if n := len(p.own()); n != len(tabs) {
		t.Errorf("%d flows have %d cookies", len(tabs), n)
	}
	for i := len(tabs) - 1; i >= 0; i-- {
		v := tabs[i].signIn("alice", "alice")
		if v.Status != 200 || v.URL != link(i) || v.one(t).Target != fmt.Sprintf("/app/page-%d?tab=%d", i, i) {
			t.Fatalf("tab %d ends with %d at %s: %s", i, v.Status, v.URL, tabs[i].Text())
		}
	}
	if own := p.own(); len(own) != 1 || own["session"] == nil {
		t.Errorf("the cookies are %v", own)
	}
}

// tabsMany begins more logins than are kept: the oldest gives way, and ends well too.
func tabsMany(t *testing.T, s *site) {
	p := s.person(t)
	first := p.tab()
	first.begin(s.at("app.example", "/app/first"))
	for i := range 9 {
		p.begin(s.at("app.example", fmt.Sprint("/app/", i)))
		if n := len(p.own()); n > 7 {
			t.Fatalf("%d flows are kept", n)
		}
	}
	if n := len(p.own()); n != 7 {
		t.Errorf("%d flows are kept, want 7", n)
	}
	grants := s.idp.Count("token")
	// Its cookie is gone: the code is not redeemed, the login begins anew by itself. (The
	// query of the page went with the cookie; the page is the callback's.)
	v := first.signIn("alice", "alice")
	if v.Status != 200 || v.URL != s.at("app.example", "/app/first") || len(v.Chain) > 8 || s.idp.Count("token") != grants+1 {
		t.Errorf("the oldest ends with %d at %s, after %d steps and %d redemptions", v.Status, v.URL, len(v.Chain), s.idp.Count("token")-grants)
	}
}

func tabsBack(t *testing.T, s *site) {
	p := s.person(t)
	link := s.at("app.example", "/app/page?x=1")
	p.begin(link)
	v := p.signIn("alice", "alice")
	if v.URL != link {
		t.Fatalf("ends at %s", v.URL)
	}
	callback := ""
	for _, r := range v.Chain {
		if strings.Contains(r.URL, "code=") {
			callback = r.URL
		}
	}
	grants := s.idp.Count("token")
	if v := p.watch(p.Reload); v.Status != 200 || v.URL != link || len(v.Chain) != 1 {
		t.Errorf("reload: %d at %s", v.Status, v.URL)
	}
	// The callback from the history, or from a copied address.
	if v := p.open(callback); v.Status != 200 || v.URL != s.at("app.example", "/app/page") || v.Chain[0].Status != 303 {
		t.Errorf("the callback again: %d at %s", v.Status, bare(v.URL))
	}
	p.watch(p.Back)
	if got := p.Location(); got != link {
		t.Errorf("back leads to %s", bare(got))
	}
	// Somebody else with the same address: the code is theirs no more than before.
	other := s.person(t)
	if v := other.open(callback); v.Status != 200 || !strings.HasPrefix(v.URL, s.idp.Endpoint("authorize")) || len(v.upstream) != 0 {
		t.Errorf("somebody else: %d at %s", v.Status, bare(v.URL))
	}
	if s.idp.Count("token") != grants {
		t.Error("the code was redeemed again")
	}
}

// tabsPrograms asks as pages do without a person: 401, no cookie, no login.
func tabsPrograms(t *testing.T, s *site) {
	p := s.person(t)
	p.open(s.at("localhost", "/open")) // browsers say what a request is for where it is secure
	codes, before := s.idp.Count("authorize"), s.up.Total()
	for name, options := range map[string]map[string]any{"GET": nil, "POST": {"method": "POST", "body": "x"}, "no-cors": {"mode": "no-cors"}} {
		if f, seen := p.fetch("/app/data", options); f.Status != 401 || len(seen) != 0 || f.Redirected {
			t.Errorf("%s: %d", name, f.Status)
		}
	}
	p.Eval(`new Promise(done => { const i = new Image(); i.onerror = i.onload = () => done(1); i.src = "/app/image.png" })`, nil)
	p.Eval(`new Promise(done => { const f = document.createElement("iframe"); f.onload = () => done(1); f.src = "/app/frame"; document.body.append(f) })`, nil)
	if len(p.own()) != 0 || s.idp.Count("authorize") != codes {
		t.Errorf("cookies %v, the provider was asked %d times", p.own(), s.idp.Count("authorize")-codes)
	}
	for _, r := range s.up.Since(before) {
		if strings.HasPrefix(r.Target, "/app") {
			t.Errorf("the upstream received %s", r.Target)
		}
	}
}

// tabsNoCookies loses the flow's cookie twice: a page, no loop, no redemption.
func tabsNoCookies(t *testing.T, s *site) {
	p := s.person(t)
	p.begin(s.at("app.example", "/app/page"))
	grants := s.idp.Count("token")
	p.context.DeleteCookies("authorization_" + flowOf(p))
	v := p.watch(func() browser.Navigation { return p.s.form(p.Tab, "alice", "alice") })
	// The provider knows her now, so that the second try is at once: it ends well.
	if v.Status != 200 || v.URL != s.at("app.example", "/app/page") || s.idp.Count("token") != grants+1 {
		t.Fatalf("lost once: %d at %s", v.Status, bare(v.URL))
	}
	// A browser that keeps none at all: every answer's cookies are dropped.
	v2 := noCookies(t, s)
	if v2.StatusCode != http.StatusUnauthorized || !strings.Contains(v2.body, "login_state_unknown") {
		t.Errorf("lost always: %d %s", v2.StatusCode, v2.body)
	}
	testenv.Evidence(t, "%s: a browser without cookies ends with %d login_state_unknown", s.Host, v2.StatusCode)
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

type answer struct {
	*http.Response
	body string
}

// noCookies plays a browser that keeps the provider's cookie and none of ours.
func noCookies(t *testing.T, s *site) answer {
	t.Helper()
	s.idp.Set(func(o *idp.Options) { o.AutoLogin = "alice" })
	defer s.idp.Set(func(o *idp.Options) { o.AutoLogin = "" })
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	link := s.URL + "/app/page"
	for range 10 {
		req, err := http.NewRequest(http.MethodGet, link, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Sec-Fetch-Mode", "navigate")
		req.Header.Set("Sec-Fetch-Dest", "document")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var body strings.Builder
		buf := make([]byte, 64<<10)
		for {
			n, err := res.Body.Read(buf)
			body.Write(buf[:n])
			if err != nil {
				break
			}
		}
		_ = res.Body.Close()
		next, err := res.Location()
		if err != nil {
			return answer{res, body.String()}
		}
		link = next.String()
	}
	t.Fatal("a browser without cookies is sent round and round")
	return answer{}
}

// tabsLarge is somebody whose session needs several cookies.
func tabsLarge(t *testing.T, s *site) {
	p := s.person(t)
	p.login(s.at("app.example", "/app/page"), "large", "large")
	own := p.own()
	if own["session"] == nil || own["session_2"] == nil || own["session_3"] == nil {
		t.Fatalf("the cookies are %d", len(own))
	}
	for name, c := range own {
		if len(c.Name)+len(c.Value) > 4096 {
			t.Errorf("%s has %d bytes", name, len(c.Value))
		}
	}
	if f, seen := p.fetch("/app/data", nil); f.Status != 200 || strings.Contains(seen[0].Header("Cookie"), "session") {
		t.Errorf("%d", f.Status)
	}
	p.context.DeleteCookies("session_2")
	if f, seen := p.fetch("/app/data", nil); f.Status != 401 || len(seen) != 0 {
		t.Errorf("without one of them: %d", f.Status)
	}
}

// tabsHuge is somebody whose session does not fit: a page, no loop.
func tabsHuge(t *testing.T, s *site) {
	p := s.person(t)
	p.begin(s.at("app.example", "/info"))
	v := p.signIn("huge", "huge")
	p.refused(v, 503, "session_too_large")
	if len(p.own()) != 0 || len(v.Chain) > 3 {
		t.Errorf("cookies %v after %d steps", p.own(), len(v.Chain))
	}
	p.Screenshot(shot(t, s, "too-large"))
}

// tabsForm sends a form without a session: a page with a way to sign in.
func tabsForm(t *testing.T, s *site) {
	p := s.person(t)
	p.open(s.at("app.example", "/open"))
	v := p.watch(func() browser.Navigation {
		return p.Await(func() {
			p.Eval(`(() => { const f = document.createElement("form"); f.method = "post"; f.action = "/app/form?x=1"; document.body.append(f); f.submit() })()`, nil)
		})
	})
	p.refused(v, 401, "credential_missing")
	p.Screenshot(shot(t, s, "form"))
	if v := p.watch(func() browser.Navigation { return p.Follow("main a") }); !strings.HasPrefix(v.URL, s.idp.Endpoint("authorize")) {
		t.Fatalf("the link leads to %s", bare(v.URL))
	}
	if v := p.signIn("alice", "alice"); v.URL != s.at("app.example", "/app/form?x=1") || v.Status != 200 {
		t.Errorf("ends with %d at %s", v.Status, v.URL)
	}
}

// shot is where a picture of a page is left, to be looked at.
func shot(t testing.TB, s *site, name string) string {
	t.Helper()
	return testenv.Root() + "/build/test/" + s.Host + "-" + name + ".png"
}
