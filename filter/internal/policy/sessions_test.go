package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// sessionPlugin is an instance whose sessions are in the cookie session.
func sessionPlugin(id string) *bundle.Plugin {
	p := oidcPlugin(id, headerOnly)
	p.OIDC.Login = &bundle.Login{Session: true, SessionCookie: bundle.Cookie{Name: "session"}, FlowCookie: bundle.Cookie{Name: "flow"}}
	p.OIDC.Identity.Upstream = []bundle.ClaimHeader{{Header: "x-name", Claim: []string{"name"}}}
	return p
}

// sealed has the form of a session's cookie. By their ends, which are alike, two take
// turns in what is remembered.
func sealed(what string) abi.Pair {
	return abi.Pair{Key: "cookie", Value: "session=1.A" + strings.Repeat("a", 60) + what + "_the_end_of_it"}
}

func sessionAnswer(name string) wire.Answer {
	return wire.Answer{Feed: "f", Session: &wire.Session{ID: "id of " + name, Keys: []string{"sid " + name, "sub " + name, "all"}, Access: `{"scope":"openid"}`,
		Claims: `{"sub":"s","name":"` + name + `"}`, Token: "token of " + name, Until: start + 100, SetCookies: []string{"session=new; Path=/", "session_2=; Max-Age=0"}}}
}

// opened asks, and answers the question for the session.
func opened(t *testing.T, e *Engine, now int64, route string, answer wire.Answer, headers ...abi.Pair) *Step {
	t.Helper()
	s := ask(e, now, route, headers...)
	if s.Kind != Ask || s.Question.Kind != wire.Open {
		t.Fatalf("no question for a session: %+v", s)
	}
	return e.Resume(s.Pending, s.Question, answer, reason.Unspecified, now)
}

// remembers reports whether a request passes without a question.
func remembers(t *testing.T, e *Engine, now int64, route string, headers ...abi.Pair) bool {
	t.Helper()
	s := ask(e, now, route, headers...)
	if s.Kind == Deny {
		t.Fatalf("refused: %v", s.Reason)
	}
	return s.Kind == Allow
}

func cookiesSet(s *Step) (list []string) {
	for _, h := range s.Edits.Response {
		if h.Key == "set-cookie" {
			list = append(list, h.Value)
		}
	}
	return list
}

func sessionEngine(t *testing.T) *Engine {
	t.Helper()
	return engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"a": {sessionPlugin("a")}, "b": {sessionPlugin("b")}})
}

// The cookies of an answer are for those who asked.
func TestSessionCookiesAreNotReplayed(t *testing.T) {
	e := sessionEngine(t)
	s := opened(t, e, start, "a", sessionAnswer("alice"), sealed("x"))
	if s.Kind != Allow || !slices.Equal(cookiesSet(s), []string{"session=new; Path=/", "session_2=; Max-Age=0"}) {
		t.Fatalf("the first: %v %q", s.Reason, cookiesSet(s))
	}
	for i := range int64(5) {
		s = ask(e, start+i, "a", sealed("x"))
		if s.Kind != Allow || len(cookiesSet(s)) > 0 {
			t.Fatalf("request %d: %v %v, with %q", i, s.Kind, s.Reason, cookiesSet(s))
		}
		if !slices.Contains(s.Edits.Set, abi.Pair{Key: "x-name", Value: "alice"}) || !slices.Contains(s.Edits.Remove, "cookie") {
			t.Errorf("edits: %+v", s.Edits)
		}
	}
}

// What ends a session ends what is remembered of it, and of it alone.
func TestSessionsAreDropped(t *testing.T) {
	of := func(name string) abi.Pair {
		c := sealed("x")
		c.Value += name
		return c
	}
	for _, tt := range []struct {
		name       string
		apply      wire.Changes
		alice, bob bool // still remembered
	}{
		{"nothing", wire.Changes{Feed: "f", Seq: 1}, true, true},
		{"somebody else", wire.Changes{Feed: "f", Seq: 1, Revoked: []string{"sid carol", ""}}, true, true},
		{"by sid", wire.Changes{Feed: "f", Seq: 1, Revoked: []string{"x", "sid alice"}}, false, true},
		{"by sub", wire.Changes{Feed: "f", Seq: 1, Revoked: []string{"sub bob"}}, true, false},
		{"of all", wire.Changes{Feed: "f", Seq: 1, Revoked: []string{"all"}}, false, false},
		{"a reset", wire.Changes{Feed: "f", Seq: 9, Reset: true}, false, false},
		{"another feed", wire.Changes{Feed: "g", Seq: 1}, false, false},
		{"a feed that goes back", wire.Changes{Feed: "f", Seq: 0}, false, false},
		{"credentials", wire.Changes{Feed: "f", Seq: 1, Credentials: []string{"sid alice"}, Consumers: []string{"sid alice"}}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := sessionEngine(t)
			e.place.seq = 1
			for _, name := range []string{"alice", "bob"} {
				a := sessionAnswer(name)
				a.Seq = 1
				opened(t, e, start, "a", a, of(name))
				if !remembers(t, e, start, "a", of(name)) {
					t.Fatalf("%s is not remembered", name)
				}
			}
			e.Apply(tt.apply)
			if got := remembers(t, e, start, "a", of("alice")); got != tt.alice {
				t.Errorf("alice is remembered: %v", got)
			}
			if got := remembers(t, e, start, "a", of("bob")); got != tt.bob {
				t.Errorf("bob is remembered: %v", got)
			}
		})
	}
}

// A bundle of another installation takes everything along; one of the same leaves
// sessions alone.
func TestSessionsAndBundles(t *testing.T) {
	e := sessionEngine(t)
	opened(t, e, start, "a", sessionAnswer("alice"), sealed("x"))
	next := *e.Bundle()
	next.Generation++
	if err := e.SetBundle(&next, "2", start); err != nil || !remembers(t, e, start, "a", sealed("x")) {
		t.Errorf("after a bundle: %v", err)
	}
	other := next
	other.Epoch = "other"
	if err := e.SetBundle(&other, "3", start); err != nil || remembers(t, e, start, "a", sealed("x")) {
		t.Errorf("after another installation's: %v", err)
	}
}

// A session is remembered for the instance, the scheme and the very bytes that it was
// opened with.
func TestSessionsAreToldApart(t *testing.T) {
	https := abi.Pair{Key: "x-forwarded-proto", Value: "https"}
	long := sealed("x")
	part := func(n int, value string) abi.Pair {
		return abi.Pair{Key: "cookie", Value: fmt.Sprintf("session_%d=%s", n, value)}
	}
	for _, tt := range []struct {
		name    string
		route   string
		headers []abi.Pair
		want    bool
	}{
		{"the same", "a", []abi.Pair{long, part(2, "two")}, true},
		{"other cookies beside it", "a", []abi.Pair{{Key: "cookie", Value: "theme=dark"}, long, part(2, "two"), {Key: "cookie", Value: "session_9=x"}}, true},
		{"http said", "a", []abi.Pair{{Key: "x-forwarded-proto", Value: "http"}, long, part(2, "two")}, true},
		{"another instance", "b", []abi.Pair{long, part(2, "two")}, false},
		{"another scheme", "a", []abi.Pair{https, long, part(2, "two")}, false},
		{"a byte in the middle", "a", []abi.Pair{sealed("y"), part(2, "two")}, false},
		{"another second part", "a", []abi.Pair{long, part(2, "twO")}, false},
		{"without the second part", "a", []abi.Pair{long}, false},
		{"a third part", "a", []abi.Pair{long, part(2, "two"), part(3, "three")}, false},
		{"another order", "a", []abi.Pair{part(2, "two"), long}, false},
		{"twice", "a", []abi.Pair{long, long, part(2, "two")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := sessionEngine(t)
			opened(t, e, start, "a", sessionAnswer("alice"), long, part(2, "two"))
			if got := remembers(t, e, start, tt.route, tt.headers...); got != tt.want {
				t.Errorf("remembered: %v", got)
			}
			if !remembers(t, e, start, "a", long, part(2, "two")) {
				t.Error("the session itself is not remembered any more")
			}
		})
	}
}

// What must not be remembered is asked for each time.
func TestSessionsThatAreNotRemembered(t *testing.T) {
	answer := func(change func(a *wire.Answer)) wire.Answer {
		a := sessionAnswer("alice")
		change(&a)
		return a
	}
	for name, a := range map[string]wire.Answer{
		"over already":       answer(func(a *wire.Answer) { a.Session.Until = start }),
		"of another feed":    answer(func(a *wire.Answer) { a.Feed = "g" }),
		"of before":          answer(func(a *wire.Answer) { a.Seq = 4 }),
		"larger than it all": answer(func(a *wire.Answer) { a.Session.Token = strings.Repeat("t", 9<<20) }),
	} {
		t.Run(name, func(t *testing.T) {
			e := sessionEngine(t)
			e.place.seq = 5
			if name != "of before" {
				a.Seq = 5
			}
			if s := opened(t, e, start, "a", a, sealed("x")); s.Kind != Allow {
				t.Fatalf("refused: %v", s.Reason)
			}
			if len(e.sessions.entries) > 0 || remembers(t, e, start, "a", sealed("x")) {
				t.Error("remembered")
			}
		})
	}
	for name, a := range map[string]wire.Answer{
		"claims that are none":     answer(func(a *wire.Answer) { a.Session.Claims = "{" }),
		"claims that are a list":   answer(func(a *wire.Answer) { a.Session.Access = "[]" }),
		"claims twice":             answer(func(a *wire.Answer) { a.Session.Info = `{"sub":"a","sub":"b"}` }),
		"neither session nor code": {Feed: "f"},
		"a step of a login":        {Feed: "f", Code: reason.LoginStarted},
	} {
		t.Run(name, func(t *testing.T) {
			e := sessionEngine(t)
			if s := opened(t, e, start, "a", a, sealed("x")); s.Kind != Deny || s.Reason != reason.SidecarAnswer || s.Response.Status != 503 {
				t.Errorf("%v %v", s.Kind, s.Reason)
			}
			if s := ask(e, start, "a", sealed("x")); s.Kind != Ask {
				t.Errorf("afterwards: %v %v", s.Kind, s.Reason)
			}
		})
	}
}

// A session is asked for again when its time is over, after five minutes at the
// latest, and when the sidecar has been silent for too long.
func TestSessionsAge(t *testing.T) {
	e := sessionEngine(t)
	opened(t, e, start, "a", sessionAnswer("alice"), sealed("x"))
	e.Contact(start + 99)
	if !remembers(t, e, start+99, "a", sealed("x")) || remembers(t, e, start+100, "a", sealed("x")) {
		t.Error("Until does not count")
	}
	long := sessionAnswer("bob")
	long.Session.Until = start + 10000
	opened(t, e, start, "a", long, sealed("y"))
	e.Contact(start + sessionLifetime)
	if !remembers(t, e, start+sessionLifetime-1, "a", sealed("y")) || remembers(t, e, start+sessionLifetime, "a", sealed("y")) {
		t.Error("five minutes do not count")
	}
	opened(t, e, start, "a", long, sealed("z"))
	e.Contact(start)
	if !remembers(t, e, start+60, "a", sealed("z")) || remembers(t, e, start+61, "a", sealed("z")) {
		t.Error("the grace does not count")
	}
}

// The caller's memory is written over: what is remembered points into none of it.
func TestSessionsAreCopied(t *testing.T) {
	e := sessionEngine(t)
	headers := abi.AppendPairs(nil, []abi.Pair{{Key: ":authority", Value: "h"}, {Key: ":path", Value: "/"}, {Key: ":method", Value: "GET"}, sealed("x")})
	s := e.Start(&Request{Now: start, RouteState: RouteChosen, Route: "a", Headers: abi.Pairs(headers)})
	if s.Kind != Ask {
		t.Fatal(s.Reason)
	}
	pending, question := s.Pending, s.Question
	clear(headers)
	if s = e.Resume(pending, question, sessionAnswer("alice"), reason.Unspecified, start); s.Kind != Allow {
		t.Fatalf("refused: %v", s.Reason)
	}
	if !remembers(t, e, start, "a", sealed("x")) {
		t.Error("not remembered")
	}
	if s = e.Resume(pending, question, sessionAnswer("alice"), reason.Unspecified, start); s.Kind != Deny {
		t.Error("a request is resumed twice")
	}
}
