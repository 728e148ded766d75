//go:build real

package logins

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// peopleFile has a page for people, one that asks for userinfo too, one whose logins
// have to be quick and ask for the password each time, and one that nobody guards.
const peopleFile = `_format_version: "3.0"
services:
- name: app
  url: ${UPSTREAM}
  routes:
  - {name: app, paths: [/app], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, display_errors: true,
      logout_query_arg: logout, logout_methods: [GET]}}]}
  - {name: info, paths: [/info], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, display_errors: true,
      search_user_info: true, session_cookie_name: info, authorization_cookie_name: info_flow}}]}
  - {name: brief, paths: [/brief], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, display_errors: true,
      session_cookie_name: brief, authorization_cookie_name: brief_flow, authorization_rolling_timeout: 30,
      authorization_query_args_names: [prompt], authorization_query_args_values: [login]}}]}
  - {name: scoped, paths: [/scoped], strip_path: false, plugins: [{name: openid-connect, config: {${CLIENT}, scopes_required: [admin],
      session_cookie_name: scoped, authorization_cookie_name: scoped_flow}}]}
  - {name: down, paths: [/down], strip_path: false, plugins: [{name: openid-connect, config: {issuer: "http://127.0.0.1:1/",
      client_id: [app], client_secret: [secret], session_cookie_name: down, authorization_cookie_name: down_flow}}]}
  - {name: open, paths: [/open], strip_path: false}
`

// people starts a gateway for peopleFile, with a provider that knows no logout.
func people(t *testing.T, host string, b *browser.Browser) *site {
	t.Helper()
	up, p := echo.Start(t), idp.Start(t)
	p.Advertise(map[string]any{"end_session_endpoint": nil})
	p.AddClient(idp.Client{ID: "app", Secret: "secret"})
	p.AddUser(idp.User{Name: "alice", Password: "alice", Subject: "a1"})
	client := "issuer: " + p.Issuer() + ", client_id: [app], client_secret: [secret], scopes: [openid]"
	file := strings.NewReplacer("${UPSTREAM}", up.URL, "${CLIENT}", client).Replace(peopleFile)
	return start(t, host, file, up, p, b)
}

func TestPeople(t *testing.T) {
	b, forbidding := browser.Start(t), browser.StartWithoutCookies(t)
	inBoth(t, func(t *testing.T, host string) {
		s := people(t, host, b)
		for _, c := range []struct {
			name string
			test func(t *testing.T, s *site)
		}{
			{"five tabs", fiveTabs},
			{"five tabs at once", fiveTabsAtOnce},
			{"back and forward", backAndForward},
			{"reload of the callback", reloadCallback},
			{"seven flows", sevenFlows},
			{"scripts and pictures", scriptsAndPictures},
			{"prefetch", prefetch},
			{"HEAD", headRequests},
			{"no cookies", func(t *testing.T, s *site) { noCookies(t, s, forbidding) }},
			{"large sessions", largeSessions},
			{"a form", aForm},
		} {
			t.Run(c.name, func(t *testing.T) {
				s.idp.FlowFault()
				s.idp.Set(func(o *idp.Options) { o.AutoLogin = "" })
				c.test(t, s)
			})
		}
	})
}

// lands asserts that a visit has ended on the page with an address, for a person.
func (p *person) lands(v visit, link, who string) {
	p.t.Helper()
	if v.URL != link || v.Status != 200 || len(v.upstream) != 1 || v.upstream[0].Header("X-Credential-Identifier") != who {
		p.t.Errorf("%s: %d at %s, want 200 at %s; the upstream received %d requests: %s\n%v", p.s.Host, v.Status, bare(v.URL), bare(link),
			len(v.upstream), p.Text(), v.Chain)
	}
}

// fiveTabs begins in five tabs before anybody has signed in.
func fiveTabs(t *testing.T, s *site) {
	first := s.person(t)
	tabs, links := []*person{first}, []string{}
	for i := range 5 {
		if i > 0 {
			tabs = append(tabs, first.tab())
		}
		links = append(links, s.at("app.example", fmt.Sprintf("/app/%d?tab=%d", i, i)))
		tabs[i].begin(links[i])
	}
	if n := len(first.own()); n != 5 {
		t.Errorf("%d cookies for five logins", n)
	}
	// In whatever order.
	for _, i := range []int{2, 4, 0, 1, 3} {
		tabs[i].lands(tabs[i].signIn("alice", "alice"), links[i], "a1")
	}
	if own := first.own(); len(own) != 1 || own["session"] == nil {
		t.Errorf("left: %v", slices.Sorted(maps.Keys(own)))
	}
}

// fiveTabsAtOnce restores a window of five tabs: all of them go to the provider and
// back at the same time.
func fiveTabsAtOnce(t *testing.T, s *site) {
	s.idp.Set(func(o *idp.Options) { o.AutoLogin = "alice" })
	first := s.person(t)
	before, grants := s.up.Total(), s.idp.Count("token")
	ends := make([]browser.Navigation, 5)
	errs := make([]error, 5)
	var opening sync.WaitGroup
	for i := range ends {
		tab := first
		if i > 0 {
			tab = first.tab()
		}
		opening.Go(func() { ends[i], errs[i] = tab.TryNavigate(s.at("app.example", fmt.Sprint("/app/", i))) })
	}
	opening.Wait()
	for i, n := range ends {
		if errs[i] != nil || n.Status != 200 || n.URL != s.at("app.example", fmt.Sprint("/app/", i)) {
			t.Errorf("tab %d: %v, %d at %s", i, errs[i], n.Status, bare(n.URL))
		}
	}
	seen := s.up.Since(before)
	testenv.Evidence(t, "%s: five tabs at once ended on their pages, the upstream received %d requests, the provider redeemed %d codes", s.Host,
		len(seen), s.idp.Count("token")-grants)
	if len(seen) != 5 || slices.ContainsFunc(seen, func(r echo.Request) bool { return r.Header("X-Credential-Identifier") != "a1" }) {
		t.Errorf("the upstream received %d requests", len(seen))
	}
	if own := first.own(); len(own) != 1 || own["session"] == nil {
		t.Errorf("left: %v", slices.Sorted(maps.Keys(own)))
	}
}

// backAndForward goes back to the provider when the login is over: what it answers
// then was answered before.
func backAndForward(t *testing.T, s *site) {
	p := s.person(t)
	link, clean := s.at("app.example", "/app/page?x=1"), s.at("app.example", "/app/page")
	p.login(link, "alice", "alice")
	grants := s.idp.Count("token")
	// The provider remembers the person, and sends a code along for a flow that is over.
	v := p.watch(p.Back)
	p.lands(v, clean, "a1")
	if len(v.Chain) != 3 || v.Chain[1].Status != 303 {
		t.Errorf("%v", v.Chain)
	}
	if v = p.watch(p.Forward); v.URL != link {
		t.Errorf("forward at %s", bare(v.URL))
	}
	if n := s.idp.Count("token") - grants; n != 0 {
		t.Errorf("%d codes were redeemed again", n)
	}
	// Here it asks for the password each time: the old form is shown, and used again.
	q := s.person(t)
	page := s.at("app.example", "/brief/page")
	q.login(page, "alice", "alice")
	grants = s.idp.Count("token")
	if v = q.watch(q.Back); !strings.HasPrefix(v.URL, s.idp.URL) {
		t.Fatalf("back at %s", bare(v.URL))
	}
	q.lands(q.signIn("alice", "alice"), page, "a1")
	if n := s.idp.Count("token") - grants; n != 0 {
		t.Errorf("%d codes were redeemed again", n)
	}
	q.lands(q.watch(q.Reload), page, "a1")
}

// reloadCallback asks for an address once more that the provider sent the browser to.
func reloadCallback(t *testing.T, s *site) {
	p := s.person(t)
	link := s.at("app.example", "/app/page")
	p.begin(link)
	v := p.signIn("alice", "alice")
	callback := v.Chain[1].URL
	if !strings.Contains(callback, "code=") {
		t.Fatalf("the callback is %s", bare(callback))
	}
	grants := s.idp.Count("token")
	for range 2 {
		v = p.open(callback)
		p.lands(v, link, "a1")
		if len(v.Chain) != 2 || v.Chain[0].Status != 303 || s.idp.Count("token") != grants {
			t.Errorf("%v", v.Chain)
		}
	}
	// Somebody else, who found it: a login of their own, and never the code's.
	other := s.person(t)
	other.begin(callback)
	if s.idp.Count("token") != grants {
		t.Error("the code was redeemed in another browser")
	}
	other.lands(other.signIn("alice", "alice"), link, "a1")
	// On the page about an error: it begins again, and ends well.
	s.idp.FlowFault(idp.AuthorizeDenied)
	third := s.person(t)
	third.refused(third.open(link), 401, "login_refused")
	s.idp.FlowFault()
	if v = third.watch(third.Reload); v.Status != 200 || !strings.HasPrefix(v.URL, s.idp.URL) {
		t.Fatalf("%d at %s", v.Status, bare(v.URL))
	}
	third.lands(third.signIn("alice", "alice"), link, "a1")
}

// sevenFlows begins ten logins and ends the oldest.
func sevenFlows(t *testing.T, s *site) {
	oldest := s.person(t)
	tabs := []*person{oldest}
	for i := range 10 {
		if i > 0 {
			tabs = append(tabs, oldest.tab())
		}
		tabs[i].begin(s.at("app.example", fmt.Sprint("/app/", i)))
		if n := len(oldest.own()); n != min(i+1, 7) {
			t.Errorf("%d cookies after %d logins", n, i+1)
		}
	}
	testenv.Evidence(t, "%s: ten logins begun, the browser keeps %d", s.Host, len(oldest.own()))
	tabs[9].lands(tabs[9].signIn("alice", "alice"), s.at("app.example", "/app/9"), "a1")
	// The oldest has lost its cookie, and there is a session now: the code is not needed.
	grants := s.idp.Count("token")
	tabs[0].lands(tabs[0].signIn("alice", "alice"), s.at("app.example", "/app/0"), "a1")
	if n := s.idp.Count("token") - grants; n != 0 {
		t.Errorf("%d codes were redeemed", n)
	}
	// And with none: the login begins anew by itself, and its code is redeemed.
	oldest.context.DeleteCookies("session")
	v := tabs[1].signIn("alice", "alice")
	tabs[1].lands(v, s.at("app.example", "/app/1"), "a1")
	if n := s.idp.Count("token") - grants; n != 1 || len(v.Chain) > 6 {
		t.Errorf("%d codes were redeemed in %d steps", n, len(v.Chain))
	}
}

// scriptsAndPictures asks without a session for what is no page.
func scriptsAndPictures(t *testing.T, s *site) {
	p := s.person(t)
	// By an address that browsers trust, they say what a request is for.
	p.open(s.at("localhost", "/open/page"))
	codes := s.idp.Count("authorize")
	for name, options := range map[string]map[string]any{
		"GET": nil, "POST": {"method": "POST", "body": "{}"}, "DELETE": {"method": "DELETE"},
		"text/html": {"headers": map[string]string{"Accept": "text/html"}}, "include": {"credentials": "include"},
		"no-cors": {"mode": "no-cors"},
	} {
		f, seen := p.fetch("/app/data", options)
		if f.Status != 401 || f.Redirected || len(seen) != 0 || f.Header.Get("WWW-Authenticate") != "Bearer" ||
			!strings.HasPrefix(f.Header.Get("Content-Type"), "application/json") || !strings.Contains(f.Body, `"message":"Unauthorized"`) {
			t.Errorf("%s: %d %v %s", name, f.Status, f.Header, f.Body)
		}
	}
	before := s.up.Total()
	for _, element := range []string{
		`Object.assign(new Image(), {src: "/app/picture"})`,
		`Object.assign(document.createElement("iframe"), {src: "/app/frame"})`,
		`Object.assign(document.createElement("script"), {src: "/app/script"})`,
		`Object.assign(document.createElement("link"), {rel: "stylesheet", href: "/app/style"})`,
	} {
		p.Eval(`new Promise(done => { const e = `+element+`; e.onload = e.onerror = () => done(1); document.documentElement.append(e); })`, nil)
	}
	p.Eval(`document.documentElement.append(Object.assign(document.createElement("link"), {rel: "prefetch", href: "/app/soon"}))`, nil)
	testenv.Eventually(t, 10*time.Second, "the prefetch", func() bool {
		return slices.ContainsFunc(p.Responses(), func(r browser.Response) bool { return strings.HasSuffix(r.URL, "/app/soon") })
	})
	for _, r := range p.Responses() {
		if strings.Contains(r.URL, "/app/") && (r.Status != 401 || len(r.Header["Set-Cookie"]) != 0) {
			t.Errorf("%s", r)
		}
	}
	if len(p.context.Cookies()) != 0 || s.up.Total() != before || s.idp.Count("authorize") != codes {
		t.Errorf("cookies %v, the upstream was called %d times, the provider was asked %d times", p.context.Cookies(), s.up.Total()-before,
			s.idp.Count("authorize")-codes)
	}
	testenv.Evidence(t, "%s: a picture, a frame, a script, a style and a prefetch got 401 and left no cookie", s.Host)
	// With a session they all pass.
	p.login(s.at("localhost", "/app"), "alice", "alice")
	if f, seen := p.fetch("/app/data", nil); f.Status != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != "a1" {
		t.Errorf("with a session: %d", f.Status)
	}
	// By another one they say nothing: a script gets 401 all the same.
	q := s.person(t)
	q.open(s.at("app.example", "/open/page"))
	if f, seen := q.fetch("/app/data", nil); f.Status != 401 || len(seen) != 0 || len(q.context.Cookies()) != 0 {
		t.Errorf("without Fetch Metadata: %d, cookies %v", f.Status, q.context.Cookies())
	}
}

// noCookies is somebody whose browser keeps none.
func noCookies(t *testing.T, s *site, b *browser.Browser) {
	s.idp.Set(func(o *idp.Options) { o.AutoLogin = "alice" }) // round and round without a hand
	theirs := *s
	theirs.browser = b
	p := theirs.person(t)
	grants := s.idp.Count("token")
	v := p.open(s.at("app.example", "/app/page"))
	p.refused(v, 401, "login_state_unknown")
	if len(v.Chain) > 5 || !strings.Contains(p.Text(), "cookies") || len(p.context.Cookies()) != 0 || s.idp.Count("token") != grants {
		t.Errorf("%d steps, %d cookies: %v", len(v.Chain), len(p.context.Cookies()), v.Chain)
	}
	// The page's link and a reload end there too.
	for name, again := range map[string]func() browser.Navigation{"link": func() browser.Navigation { return p.Follow("a") }, "reload": p.Reload} {
		v := p.watch(again)
		p.refused(v, 401, "login_state_unknown")
		if len(v.Chain) > 5 {
			t.Errorf("%s: %d steps", name, len(v.Chain))
		}
	}
}

// heavy is somebody of whom there is much to say.
func heavy(size int) idp.User {
	pad := func() map[string]any {
		text := ""
		for len(text) < size {
			text += tokens.Random()
		}
		return map[string]any{"pad": text[:size]}
	}
	return idp.User{Name: "heavy", Password: "heavy", Subject: "h1", Claims: pad(), AccessClaims: pad(), UserInfo: pad()}
}

func largeSessions(t *testing.T, s *site) {
	// One that needs several cookies is kept, found again and ended.
	s.idp.AddUser(heavy(4000))
	p := s.person(t)
	link := s.at("app.example", "/app/page")
	p.begin(link)
	v := p.signIn("heavy", "heavy")
	p.lands(v, link, "h1")
	for _, r := range v.Chain {
		if len(r.Refused) != 0 {
			t.Errorf("the browser refused %.80q", r.Refused)
		}
	}
	parts := p.own()
	if len(parts) < 3 || parts["session_3"] == nil {
		t.Errorf("%d cookies", len(parts))
	}
	testenv.Evidence(t, "%s: a session in %d cookies", s.Host, len(parts))
	p.lands(p.open(link), link, "h1")
	p.context.DeleteCookies("session_3")
	if f, seen := p.fetch("/app/data", nil); f.Status != 401 || len(seen) != 0 {
		t.Errorf("without one of them: %d", f.Status)
	}
	for _, c := range parts {
		p.context.SetCookie(c) // the others were deleted by that
	}
	if f, _ := p.fetch("/app/data", nil); f.Status != 200 {
		t.Errorf("with all of them: %d", f.Status)
	}
	p.open(link + "?logout=1")
	if left := p.own(); len(left) != 0 {
		t.Errorf("left: %v", slices.Sorted(maps.Keys(left)))
	}
	// One that no browser takes: a page that says so, and no way round.
	s.idp.AddUser(heavy(11000))
	q := s.person(t)
	q.begin(s.at("app.example", "/info/page"))
	grants := s.idp.Count("token")
	v = q.signIn("heavy", "heavy")
	q.refused(v, 503, "session_too_large")
	if n := s.idp.Count("token") - grants; n != 1 || len(v.Chain) != 2 || strings.Contains(q.HTML(), "<a ") {
		t.Errorf("%d codes redeemed, %v", n, v.Chain)
	}
	if slices.ContainsFunc(q.context.Cookies(), func(c *http.Cookie) bool { return strings.HasPrefix(c.Name, "info") }) {
		t.Errorf("cookies are left: %v", q.context.Cookies())
	}
}

// aForm sends a form without a session: a page with a way to sign in, and nothing is
// sent by itself afterwards.
func aForm(t *testing.T, s *site) {
	for _, name := range []string{"app.example", "localhost"} {
		p := pageForm(t, s, name)
		if v := p.watch(func() browser.Navigation { return p.Follow("main a") }); !strings.HasPrefix(v.URL, s.idp.Endpoint("authorize")) {
			t.Fatalf("the link leads to %s", bare(v.URL))
		}
		v := p.signIn("alice", "alice")
		p.lands(v, s.at(name, "/app/order?x=1"), "a1")
		if got := v.one(t); got.Method != "GET" || got.Body != "" {
			t.Errorf("the upstream received %s with %q", got.Method, got.Body)
		}
	}
}
