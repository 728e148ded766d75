//go:build real

package logins

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// TestPages looks at the pages that people see: on a telephone and on a desk, by day
// and by night. The pictures are left in build/pages.
func TestPages(t *testing.T) {
	b := browser.Start(t)
	inBoth(t, func(t *testing.T, host string) {
		s := people(t, host, b)
		for name, get := range map[string]func(t *testing.T, s *site) *person{
			"refused": pageRefused, "no-cookies": pageNoCookies, "forbidden": pageForbidden, "unreachable": pageUnreachable,
			"too-large": pageTooLarge, "form": func(t *testing.T, s *site) *person { return pageForm(t, s, "localhost") },
			"signed-out": pageSignedOut,
		} {
			t.Run(name, func(t *testing.T) {
				s.idp.FlowFault()
				get(t, s).look(name)
			})
		}
	})
}

func pageRefused(t *testing.T, s *site) *person {
	s.idp.FlowFault(idp.AuthorizeDenied)
	p := s.person(t)
	p.refused(p.open(s.at("app.example", "/app/page")), 401, "login_refused")
	return p
}

func pageNoCookies(t *testing.T, s *site) *person {
	p := s.person(t)
	p.begin(s.at("app.example", "/brief/page"))
	p.context.DeleteCookies()
	p.signIn("alice", "alice") // begun again
	p.context.DeleteCookies()
	p.refused(p.signIn("alice", "alice"), 401, "login_state_unknown")
	return p
}

func pageSignedOut(t *testing.T, s *site) *person {
	p := s.person(t)
	link := s.at("app.example", "/app/page")
	p.login(link, "alice", "alice")
	if v := p.open(link + "?logout=1"); v.Status != 200 || len(v.upstream) != 0 || len(p.own()) != 0 || !strings.Contains(p.Text(), "signed out") {
		t.Errorf("%d %s, cookies %v", v.Status, p.Text(), p.own())
	}
	return p
}

func pageForbidden(t *testing.T, s *site) *person {
	p := s.person(t)
	p.begin(s.at("app.example", "/scoped/page"))
	p.refused(p.signIn("alice", "alice"), 403, "scope_missing")
	return p
}

func pageUnreachable(t *testing.T, s *site) *person {
	p := s.person(t)
	v := p.open(s.at("app.example", "/down/page"))
	p.refused(v, 503, "issuer_unavailable")
	if v.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	return p
}

func pageTooLarge(t *testing.T, s *site) *person {
	s.idp.AddUser(heavy(11000))
	p := s.person(t)
	p.begin(s.at("app.example", "/info/page"))
	p.refused(p.signIn("heavy", "heavy"), 503, "session_too_large")
	return p
}

// pageForm sends a form without a session: what a person reads is no JSON.
func pageForm(t *testing.T, s *site, name string) *person {
	p := s.person(t)
	p.open(s.at(name, "/open/page"))
	v := p.watch(func() browser.Navigation {
		return p.Await(func() {
			p.Eval(`(() => { const f = Object.assign(document.createElement("form"), {method: "post", action: "/app/order?x=1"});
				document.documentElement.append(f); f.submit(); })()`, nil)
		})
	})
	p.refused(v, 401, "credential_missing")
	return p
}

// seenPage is what a page's own measures say.
type seenPage struct {
	Lang, Title  string
	Heads, Mains int
	Wide         bool     // there is something to scroll sideways
	Faint        []string // texts whose contrast is less than 4.5 (WCAG 2.2 §1.4.3)
	Small        []string // links of less than 24 pixels (§2.5.8)
	Loaded       int      // resources beside the page itself
	Scripts      int
	Background   string
}

const measure = `(() => {
	const root = document.documentElement;
	const rgb = s => s.match(/[\d.]+/g).map(Number);
	const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
	const faint = [];
	for (const e of document.querySelectorAll("h1,p,a,dt,dd")) {
		const [a, b] = [light(rgb(getComputedStyle(e).color).slice(0, 3)), light(behind(e).slice(0, 3))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) faint.push(e.tagName + " " + ratio.toFixed(2));
	}
	const small = [...document.querySelectorAll("a")].filter(e => e.getBoundingClientRect().height < 24).map(e => e.textContent);
	return {lang: root.lang, title: document.title, heads: document.querySelectorAll("h1").length, mains: document.querySelectorAll("main").length,
		wide: root.scrollWidth > innerWidth, faint, small, scripts: document.scripts.length,
		loaded: performance.getEntriesByType("resource").filter(e => !e.name.endsWith("/favicon.ico")).length,
		background: getComputedStyle(document.body).backgroundColor};
})()`

// look looks at the page that the person is on.
func (p *person) look(name string) {
	p.t.Helper()
	var backgrounds []string
	for _, width := range []int64{360, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			p.Look(width, scheme == "dark")
			var got seenPage
			p.Eval(measure, &got)
			if got.Lang != "en" || got.Title == "" || got.Heads != 1 || got.Mains != 1 || got.Wide || len(got.Faint)+len(got.Small) > 0 ||
				got.Loaded > 0 || got.Scripts > 0 {
				p.t.Errorf("%s: %s at %d, %s: %+v", p.s.Host, name, width, scheme, got)
			}
			backgrounds = append(backgrounds, got.Background)
			p.Screenshot(filepath.Join(testenv.Root(), "build", "pages", fmt.Sprintf("%s-%s-%d-%s.png", p.s.Host, name, width, scheme)))
		}
	}
	if backgrounds[0] == backgrounds[1] {
		p.t.Errorf("%s is as bright by night as by day", name)
	}
	testenv.Evidence(p.t, "%s: the page %s is readable at 360 and 1280 pixels, in light and in dark", p.s.Host, name)
}
