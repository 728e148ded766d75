//go:build real

package logins

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

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
  - name: short
    paths: [/short]
    strip_path: false
    plugins: [{name: openid-connect, config: {issuer: ${ISSUER}, client_id: [app], client_secret: [secret], auth_methods: [authorization_code, session], scopes: [openid], authorization_rolling_timeout: 30}}]
  - name: asked
    paths: [/asked]
    strip_path: false
    plugins: [{name: openid-connect, config: {issuer: ${ISSUER}, client_id: [app], client_secret: [secret], auth_methods: [authorization_code, session], scopes: [openid], authorization_query_args_names: [prompt], authorization_query_args_values: [login]}}]
  - name: rights
    paths: [/rights]
    strip_path: false
    plugins: [{name: openid-connect, config: {issuer: ${ISSUER}, client_id: [app], client_secret: [secret], auth_methods: [authorization_code, session], scopes: [openid], scopes_required: [everything], display_errors: true}}]
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
		late := tabsSlow(t, s)
		for _, c := range []struct {
			name string
			test func(t *testing.T, s *site)
		}{
			{"five tabs", tabsFive}, {"many tabs", tabsMany}, {"many tabs at once", tabsCrowd}, {"back and reload", tabsBack}, {"back to the form", tabsForms},
			{"programs", tabsPrograms}, {"prefetch", tabsPrefetch}, {"HEAD", tabsHead}, {"no cookies", tabsNoCookies},
			{"no cookies in Chromium", tabsNoCookiesThere}, {"several cookies", tabsLarge}, {"too large", tabsHuge}, {"a form", tabsForm},
			{"pages", tabsPages},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, s) })
		}
		t.Run("too slow", late)
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
	p.openAll(tabs, link)
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

// openAll opens pages that need a login in all of the tabs at once, as a browser does
// that is started with those of last time.
func (p *person) openAll(tabs []*person, link func(i int) string) {
	p.t.Helper()
	var opening sync.WaitGroup
	errs := make([]error, len(tabs))
	for i, tab := range tabs {
		opening.Go(func() { _, errs[i] = tab.TryNavigate(link(i)) })
	}
	opening.Wait()
	for i, tab := range tabs {
		if at := tab.Location(); errs[i] != nil || !strings.HasPrefix(at, p.s.idp.Endpoint("authorize")) {
			p.t.Fatalf("tab %d is at %s: %v", i, bare(at), errs[i])
		}
	}
}

// tabsCrowd begins more logins than are kept, none of which knows of the others: the next
// one puts that right, and all of them end well.
func tabsCrowd(t *testing.T, s *site) {
	p := s.person(t)
	var tabs []*person
	for range 12 {
		tabs = append(tabs, p.tab())
	}
	path := func(i int) string { return s.at("app.example", fmt.Sprint("/app/crowd-", i)) }
	p.openAll(tabs, func(i int) string { return path(i) + "?tab=" + fmt.Sprint(i) })
	testenv.Evidence(t, "%s: %d logins at once have %d cookies", s.Host, len(tabs), len(p.own()))
	p.begin(s.at("app.example", "/app/one-more"))
	if n := len(p.own()); n != 7 {
		t.Errorf("%d flows are kept, want 7", n)
	}
	anew := 0
	for i, tab := range tabs {
		v := tab.signIn("alice", "alice")
		if v.Status != 200 || v.URL != path(i) && v.URL != path(i)+"?tab="+fmt.Sprint(i) || len(v.Chain) > 6 {
			t.Errorf("tab %d ends with %d at %s after %d steps", i, v.Status, v.URL, len(v.Chain))
		}
		if v.URL == path(i) {
			anew++
		}
	}
	// Six were too many, and what begins anew may push out one more.
	if own := p.own(); anew < 6 || anew > 7 || len(own) > 2 || own["session"] == nil {
		t.Errorf("%d tabs had lost their flow, want 6 or 7; %d cookies are left, want the session and the last flow", anew, len(own))
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
	for name, options := range map[string]map[string]any{"GET": nil, "HEAD": {"method": "HEAD"}, "POST": {"method": "POST", "body": "x"},
		"no-cors": {"mode": "no-cors"}, "HTML": {"headers": map[string]string{"Accept": "text/html"}}} {
		if f, seen := p.fetch("/app/data", options); f.Status != 401 || len(seen) != 0 || f.Redirected {
			t.Errorf("%s: %d", name, f.Status)
		}
	}
	var status int
	p.Eval(`new Promise(done => { const x = new XMLHttpRequest(); x.open("GET", "/app/xhr"); x.onloadend = () => done(x.status); x.send() })`, &status)
	if status != 401 {
		t.Errorf("an XMLHttpRequest: %d", status)
	}
	p.Eval(`new Promise(done => { const i = document.createElement("script"); i.onerror = i.onload = () => done(1); i.src = "/app/script.js"; document.body.append(i) })`, nil)
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
	p.looks("too-large")
	// Again, and again no loop: one new login, for the provider knows him, and then a page
	// that leads to where he wanted to go.
	for _, reason := range []string{"session_too_large", "login_state_unknown", "login_state_unknown"} {
		status := 503
		if reason != "session_too_large" {
			status = 401
		}
		v := p.watch(p.Reload)
		p.refused(v, status, reason)
		if len(p.own()) != 0 || len(v.Chain) > 3 {
			t.Errorf("cookies %v after %d steps", p.own(), len(v.Chain))
		}
	}
	v = p.watch(func() browser.Navigation { return p.Follow("main a") })
	p.refused(v, 503, "session_too_large")
	if len(p.own()) != 0 || len(v.Chain) > 3 {
		t.Errorf("cookies %v after %d steps", p.own(), len(v.Chain))
	}
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
	p.looks("form")
	if v := p.watch(func() browser.Navigation { return p.Follow("main a") }); !strings.HasPrefix(v.URL, s.idp.Endpoint("authorize")) {
		t.Fatalf("the link leads to %s", bare(v.URL))
	}
	if v := p.signIn("alice", "alice"); v.URL != s.at("app.example", "/app/form?x=1") || v.Status != 200 {
		t.Errorf("ends with %d at %s", v.Status, v.URL)
	}
}

// tabsForms goes back to where the provider's form was: the provider knows her and sends
// her on, or she signs in once more. The code that comes of it has no flow any more, and
// the person a session.
func tabsForms(t *testing.T, s *site) {
	for _, asked := range []bool{false, true} {
		p := s.person(t)
		p.login(s.at("app.example", "/app/page?x=1"), "alice", "alice")
		grants := s.idp.Count("token")
		if asked {
			s.idp.EndSessions("alice")
		}
		v := p.watch(p.Back)
		if asked {
			if !strings.HasPrefix(v.URL, s.idp.Endpoint("authorize")) {
				t.Fatalf("back leads to %s", bare(v.URL))
			}
			v = p.signIn("alice", "alice")
		}
		if v.Status != 200 || v.URL != s.at("app.example", "/app/page") || s.idp.Count("token") != grants {
			t.Errorf("ends with %d at %s, the code was redeemed %d times", v.Status, bare(v.URL), s.idp.Count("token")-grants)
		}
		if own := p.own(); len(own) != 1 || own["session"] == nil {
			t.Errorf("the cookies are %d", len(own))
		}
	}
}

// tabsPrefetch has the browser fetch pages that nobody has asked for yet.
func tabsPrefetch(t *testing.T, s *site) {
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

// tabsHead asks with HEAD, which is answered as GET is, without a body.
func tabsHead(t *testing.T, s *site) {
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

// tabsNoCookiesThere is a browser that forgets every cookie between the begin of a login
// and its end, the provider's too: a page the second time, from which it goes on.
func tabsNoCookiesThere(t *testing.T, s *site) {
	p := s.person(t)
	link := s.at("app.example", "/asked/page?x=1")
	p.begin(link)
	grants := s.idp.Count("token")
	p.context.DeleteCookies()
	if v := p.signIn("alice", "alice"); v.Status != 200 || !strings.HasPrefix(v.URL, s.idp.Endpoint("authorize")) || len(v.Chain) > 4 {
		t.Fatalf("lost once: %d at %s", v.Status, bare(v.URL))
	}
	p.context.DeleteCookies()
	v := p.signIn("alice", "alice")
	p.refused(v, 401, "login_state_unknown")
	if len(v.Chain) > 3 || len(p.own()) != 0 || s.idp.Count("token") != grants {
		t.Errorf("lost twice: %d steps, %d cookies, %d redemptions", len(v.Chain), len(p.own()), s.idp.Count("token")-grants)
	}
	// A reload is no new attempt either.
	v = p.watch(p.Reload)
	p.refused(v, 401, "login_state_unknown")
	p.looks("no-cookies")
	// From here on cookies are kept.
	if v := p.watch(func() browser.Navigation { return p.Follow("main a") }); !strings.HasPrefix(v.URL, s.idp.Endpoint("authorize")) {
		t.Fatalf("the link leads to %d at %s", v.Status, bare(v.URL))
	}
	if v := p.signIn("alice", "alice"); v.Status != 200 || v.URL != s.at("app.example", "/asked/page") {
		t.Errorf("ends with %d at %s", v.Status, bare(v.URL))
	}
}

// tabsSlow begins a login that its time-out ends, and returns what is to be seen when that
// is over: one new login by itself, for the page that was asked for.
func tabsSlow(t *testing.T, s *site) func(t *testing.T) {
	p := s.person(t)
	link := s.at("app.example", "/short/page?x=1&y=a%20b")
	p.begin(link)
	begun, grants := time.Now(), 0
	return func(t *testing.T) {
		time.Sleep(time.Until(begun.Add(31 * time.Second)))
		grants = s.idp.Count("token")
		v := p.signIn("alice", "alice")
		if v.Status != 200 || v.URL != link || v.one(t).Target != "/short/page?x=1&y=a%20b" || len(v.Chain) != 5 || s.idp.Count("token") != grants+1 {
			t.Errorf("ends with %d at %s, after %d steps and %d redemptions", v.Status, v.URL, len(v.Chain), s.idp.Count("token")-grants)
		}
		if own := p.own(); len(own) != 1 || own["session"] == nil {
			t.Errorf("the cookies are %d", len(own))
		}
	}
}

// tabsPages are the other pages that people see.
func tabsPages(t *testing.T, s *site) {
	p := s.person(t)
	p.begin(s.at("app.example", "/rights/page"))
	p.refused(p.signIn("alice", "alice"), 403, "scope_missing")
	p.looks("rights")
	p = s.person(t)
	s.idp.FlowFault(idp.AuthorizeDenied)
	defer s.idp.FlowFault()
	p.refused(p.open(s.at("app.example", "/rights/page")), 401, "login_refused")
	p.looks("refused")
}

// looks takes pictures of a page as people see it, to be looked at: on a telephone and on
// a screen, by day and by night. Nothing may stick out, and all of it has to be legible
// (WCAG 2.2, 1.4.3 and 1.4.10) and big enough to be hit (2.5.8).
func (p *person) looks(name string) {
	p.t.Helper()
	for _, width := range []int{360, 1280} {
		for _, dark := range []bool{false, true} {
			p.Look(width, dark)
			var seen struct {
				Dark     bool
				Overflow float64
				Pale     []string
				Small    []string
			}
			p.Eval(judge, &seen)
			if seen.Dark != dark || seen.Overflow > 0 || len(seen.Pale) > 0 || len(seen.Small) > 0 {
				p.t.Errorf("%s: %s at %d pixels, dark %v: %+v", p.s.Host, name, width, dark, seen)
			}
			p.Screenshot(fmt.Sprintf("%s/build/test/%s-%s-%d-%v.png", testenv.Root(), p.s.Host, name, width, map[bool]string{false: "light", true: "dark"}[dark]))
		}
	}
}

// judge measures a page: what sticks out, what has too little contrast with what is
// behind it, and which links are too small.
const judge = `(() => {
	const rgb = c => c.match(/[\d.]+/g).map(Number);
	const light = c => rgb(c).slice(0, 3).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if ((rgb(c)[3] ?? 1) > 0) return c } return "rgb(255, 255, 255)" };
	const pale = [], small = [];
	let wide = document.documentElement.scrollWidth - window.innerWidth;
	for (const e of document.querySelectorAll("main *")) {
		const box = e.getBoundingClientRect();
		wide = Math.max(wide, box.right - window.innerWidth, -box.left);
		if (e.tagName === "A" && (box.width < 44 || box.height < 40)) small.push(e.textContent + " " + box.width + "x" + box.height);
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
		const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) pale.push(e.tagName + " " + ratio.toFixed(2));
	}
	return {dark: matchMedia("(prefers-color-scheme: dark)").matches, overflow: wide, pale, small};
})()`
