package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/identity"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// issuedTo is a token of its own for each subject.
func issuedTo(sub string) string {
	return jws(issuedHeader, `{"iss":"i","sub":"`+sub+`","exp":1800001000}`, "signature of "+sub)
}

func credential(s *Step) string {
	for _, h := range s.Edits.Set {
		if h.Key == identity.Credential {
			return h.Value
		}
	}
	return ""
}

// TestRememberedTheSecondTime: a token that the proxy can verify takes a place when
// it comes again; in a chain its signature is checked once all the same.
func TestRememberedTheSecondTime(t *testing.T) {
	v := &verdicts{say: wire.Valid}
	e := engineWith(t, v, map[string][]*bundle.Plugin{"r": {oidcPlugin("a", headerOnly, rsaKey("k"))}})
	for range 3 {
		for i := range 40 { // one end of a signature for all of them would be one fingerprint
			if s := ask(e, start, "r", withToken(issuedTo(fmt.Sprint(i)))); credential(s) != fmt.Sprint(i) {
				t.Fatalf("token %d: %v, %q", i, s.Reason, credential(s))
			}
		}
	}
	if v.calls != 80 || len(e.tokens.entries) != 40 {
		t.Errorf("%d signatures checked, %d tokens remembered, want 80 and 40", v.calls, len(e.tokens.entries))
	}

	plugin := oidcPlugin("a", headerOnly, rsaKey("k"))
	v = &verdicts{say: wire.Valid}
	e = engineWith(t, v, map[string][]*bundle.Plugin{"r": {plugin, plugin}})
	for range 4 {
		if s := ask(e, start, "r", withToken(issued(""))); s.Reason != reason.Allowed {
			t.Fatal(s.Reason)
		}
	}
	if v.calls != 2 {
		t.Errorf("%d signatures checked in a chain of two, want 2", v.calls)
	}

	e = engineWith(t, v, map[string][]*bundle.Plugin{"r": {jwtPlugin("j", headerOnly)}})
	s := ask(e, start, "r", withToken(secretToken("a", "")))
	if s = e.Resume(s.Pending, s.Question, lookup("a", wire.Valid), reason.Unspecified, start); s.Reason != reason.Allowed {
		t.Fatal(s.Reason)
	}
	if s = ask(e, start, "r", withToken(secretToken("a", ""))); s.Kind != Allow {
		t.Errorf("what the sidecar has verified is asked for again: %+v", s)
	}
}

// TestUsualPlace: the short way to a token in the Authorization header says what the
// long one says, which a plugin that looks elsewhere too goes.
func TestUsualPlace(t *testing.T) {
	short, long := oidcPlugin("a", headerOnly, rsaKey("k")), oidcPlugin("a", headerOnly, rsaKey("k"))
	long.OIDC.QueryNames = []string{"access_token"}
	token, other := issued(""), issued(`,"sub":"other"`)
	for _, value := range []string{
		"", "Bearer", "Bearer ", "Bearer  ", "Bearer " + token, "bearer " + token, "BEARER\t" + token, "Bearer  " + token, "Bearer " + token + " ",
		"Bearer " + token + "\t", " Bearer " + token, "Bearer " + token + ",", "Bearer " + token + ", ", "Bearer " + token + ",Bearer " + token,
		"Bearer " + token + ", Bearer " + other, "Bearer " + token + ", Basic x", "Basic x, Bearer " + token, "Bearer ,", "Bearer " + token + "," + other,
		"Bearer " + token + "x", "Bearer " + token[1:], "Bearer a.b.c", "Bearer a.b.c.d.e", "Bearer x", "Bearer" + token, "Basic " + token, "Bearer " + token + " " + other,
	} {
		for seen := range 3 { // the third time it is remembered
			var steps [2]*Step
			for i, p := range []*bundle.Plugin{short, long} {
				e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {p}})
				for range seen + 1 {
					steps[i] = ask(e, start, "r", abi.Pair{Key: "authorization", Value: value})
				}
			}
			if steps[0].Reason != steps[1].Reason || steps[0].Kind != steps[1].Kind || credential(steps[0]) != credential(steps[1]) {
				t.Errorf("%q: %v the short way, %v the long one", value, steps[0].Reason, steps[1].Reason)
			}
		}
	}
}

// TestOfferedASessionOnce: a bearer token that is offered a session takes its place
// at once, or every client without cookies would be offered one at each request.
func TestOfferedASessionOnce(t *testing.T) {
	plugin := oidcPlugin("a", headerOnly, rsaKey("k"))
	plugin.OIDC.Login = &bundle.Login{BearerSession: true}
	e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {plugin}})
	if s := ask(e, start, "r", withToken(issued(""))); s.Kind != Ask || s.Question.Kind != wire.Establish {
		t.Fatalf("not offered a session: %v", s.Kind)
	}
	for _, later := range []int64{0, establishAgain - 1} {
		if e.Contact(start + later); ask(e, start+later, "r", withToken(issued(""))).Kind != Allow {
			t.Errorf("offered another one after %d s", later)
		}
	}
	e.Contact(start + establishAgain)
	if s := ask(e, start+establishAgain, "r", withToken(issued(""))); s.Kind != Ask || s.Question.Kind != wire.Establish {
		t.Errorf("not offered another one after %d s: %v", establishAgain, s.Kind)
	}
}

// TestRequestsShareNoMemory: the memory of a token is used again, but not while a
// request waits, nor by a later plugin of the same request.
func TestRequestsShareNoMemory(t *testing.T) {
	second := bundle.Common{HeaderNames: []string{"x-second"}}
	e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{
		"two":  {oidcPlugin("a", headerOnly, rsaKey("k")), oidcPlugin("b", second, rsaKey("k"))},
		"wait": {oidcPlugin("c", headerOnly, rsaKey("k")), jwtPlugin("j", second)},
	})
	quiet := jws(issuedHeader, `{"iss":"i","exp":1800001000,"x":"`+strings.Repeat("#", 200)+`"}`, "no subject")
	s := ask(e, start, "two", withToken(issuedTo("alice")), abi.Pair{Key: "x-second", Value: "Bearer " + quiet})
	if credential(s) != "alice" {
		t.Errorf("two tokens of one request: %v, %q", s.Reason, credential(s))
	}

	other := secretToken("a-key", `,"x":"`+strings.Repeat("#", 2000)+`"`) // there is room for the others in its place
	waiting := *ask(e, start, "wait", withToken(issuedTo("bob")), abi.Pair{Key: "x-second", Value: "Bearer " + other})
	if waiting.Kind != Ask {
		t.Fatalf("no question: %v", waiting.Reason)
	}
	for i := range 3 {
		if s := ask(e, start, "two", withToken(issuedTo(strings.Repeat("mallory", i+1))), abi.Pair{Key: "x-second", Value: "Bearer " + quiet}); s.Reason != reason.Allowed {
			t.Fatal(s.Reason)
		}
	}
	if q := waiting.Question; q.Key != "a-key" || q.Input+"."+other[strings.LastIndexByte(other, '.')+1:] != other || q.Signature != strings.Repeat("s", 32) {
		t.Errorf("the question changed: %+v", q)
	}
	if who := waiting.Pending.run.who.credential; who != "bob" {
		t.Errorf("a request that waits is %q's, want bob's", who)
	}
}

// TestNoGarbage: with the settings that a file has by default, a token that is
// remembered costs no memory, and one that comes once next to none.
func TestNoGarbage(t *testing.T) {
	plugin := oidcPlugin("a", headerOnly, rsaKey("k"))
	plugin.OIDC.Identity.Tokens = []bundle.TokenHeader{{Header: "authorization", Token: "access_token", Bearer: true}}
	e := engineWith(t, quietVerifier{}, map[string][]*bundle.Plugin{"r": {plugin}})
	request := func(token string) *Request {
		pairs := abi.AppendPairs(nil, []abi.Pair{{Key: ":authority", Value: "h"}, {Key: ":path", Value: "/"}, {Key: ":method", Value: "GET"}, withToken(token)})
		return &Request{Now: start, RouteState: RouteChosen, Route: "r", Headers: abi.Pairs(pairs)}
	}
	judge := func(r *Request) {
		if s := e.Start(r); s.Reason != reason.Allowed || len(s.Edits.Set) != 1 {
			t.Fatalf("%v, %v", s.Reason, s.Edits)
		}
	}
	known := request(issuedTo("alice"))
	judge(known)
	judge(known)
	if n := testing.AllocsPerRun(100, func() { judge(known) }); n > 0 {
		t.Errorf("%v allocations for a token that is remembered", n)
	}
	var once []*Request
	for i := range 102 {
		once = append(once, request(issuedTo(fmt.Sprint("user ", i))))
	}
	judge(once[0])
	i := 0
	if n := testing.AllocsPerRun(100, func() { i++; judge(once[i]) }); n > 1 { // the keys that may have signed it
		t.Errorf("%v allocations for a token that comes once", n)
	}
}

type quietVerifier struct{}

func (quietVerifier) Verify(jose.Alg, string, string, string) wire.Verdict { return wire.Valid }

// TestTokensInUseStay: where more tokens come round than there is room for, a part of
// them stays remembered; who has not been seen for a while makes room.
func TestTokensInUseStay(t *testing.T) {
	v := &verdicts{say: wire.Valid}
	e := engineWith(t, v, map[string][]*bundle.Plugin{"r": {oidcPlugin("a", headerOnly, rsaKey("k"))}})
	const all = 40
	round := func(now int64, first int) (checked int) {
		t.Helper()
		v.calls = 0
		for i := range all {
			if s := ask(e, now, "r", withToken(issuedTo(fmt.Sprint(first+i)))); s.Reason != reason.Allowed {
				t.Fatal(s.Reason)
			}
		}
		return v.calls
	}
	round(start, 0)
	round(start, 0)
	size := e.tokens.used / all
	e.tokens.clear()
	e.tokens.limit = size*all/4 + size/2 // a quarter of them, whose sizes differ by a byte
	round(start, 0)
	for i := range int64(4) {
		if got := round(start+i, 0); got != all-all/4 {
			t.Errorf("round %d: %d signatures checked, want %d", i, got, all-all/4)
		}
	}
	for i, want := range []int{all, all} { // others come while those are in use
		if got := round(start+10, 1000); got != want {
			t.Errorf("others, round %d: %d signatures checked, want %d", i, got, want)
		}
	}
	if got := round(start+4+tokenIdle+1, 1000); got != all {
		t.Errorf("others, later: %d signatures checked, want %d", got, all)
	}
	if got := round(start+4+tokenIdle+1, 1000); got != all-all/4 {
		t.Errorf("others, again: %d signatures checked, want %d", got, all-all/4)
	}
}
