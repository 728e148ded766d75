//go:build real

package logins

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

// brief is how long the logins of /brief may take: the shortest there is.
const brief = 31 * time.Second

// TestLate signs in when it is too late. It is the one test that has to wait, so both
// hosts do it at the same time, and all in it have begun before.
func TestLate(t *testing.T) {
	b := browser.Start(t)
	for _, host := range stack.Hosts {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			late(t, people(t, host, b))
		})
	}
}

func late(t *testing.T, s *site) {
	link := s.at("app.example", "/brief/page?x=1")
	once, twice, forgotten, impatient := s.person(t), s.person(t), s.person(t), s.person(t)
	for _, p := range []*person{once, twice, forgotten, impatient} {
		p.begin(link)
	}
	pass(t)

	// The cookie outlives the login, so that it can say where that was to end.
	once.startsOver(once.signIn("alice", "alice"))
	once.lands(once.signIn("alice", "alice"), link, "a1")
	// The browser has dropped the cookie, which had the page's query.
	forgotten.context.DeleteCookies(forgotten.flows()...)
	forgotten.startsOver(forgotten.signIn("alice", "alice"))
	forgotten.lands(forgotten.signIn("alice", "alice"), s.at("app.example", "/brief/page"), "a1")
	// Who loses the second cookie too gets a page, from which the next try begins.
	impatient.startsOver(impatient.signIn("alice", "alice"))
	impatient.context.DeleteCookies()
	impatient.refused(impatient.signIn("alice", "alice"), 401, "login_state_unknown")
	impatient.watch(func() browser.Navigation { return impatient.Follow("a") })
	impatient.lands(impatient.signIn("alice", "alice"), s.at("app.example", "/brief/page"), "a1")

	// Too late twice: a page, and no third time by itself.
	twice.startsOver(twice.signIn("alice", "alice"))
	pass(t)
	v := twice.signIn("alice", "alice")
	twice.refused(v, 401, "login_expired")
	if len(v.Chain) != 2 || len(twice.own()) != 0 {
		t.Errorf("%v, cookies %v", v.Chain, twice.own())
	}
	if v = twice.watch(func() browser.Navigation { return twice.Follow("a") }); !strings.HasPrefix(v.URL, s.idp.URL) {
		t.Fatalf("the page's link leads to %s", bare(v.URL))
	}
	twice.lands(twice.signIn("alice", "alice"), link, "a1")
}

// startsOver asserts that a visit has led back to the provider's form, in one step.
func (p *person) startsOver(v visit) {
	p.t.Helper()
	if len(v.Chain) != 3 || v.Chain[1].Status != 302 || v.Status != 200 || !strings.HasPrefix(v.URL, p.s.idp.Endpoint("authorize")) || len(v.upstream) != 0 {
		p.t.Fatalf("%s: %d at %s: %v: %s", p.s.Host, v.Status, bare(v.URL), v.Chain, p.Text())
	}
}

// flows are the names of the cookies of logins that have begun.
func (p *person) flows() (names []string) {
	for _, c := range p.context.Cookies() {
		if strings.HasPrefix(c.Name, "brief_flow_") {
			names = append(names, c.Name)
		}
	}
	return names
}

func pass(t *testing.T) {
	t.Helper()
	end := time.Now().Add(brief)
	testenv.Eventually(t, 2*brief, "the end of a login", func() bool { return time.Now().After(end) })
}
