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

var sealedValue = "1.A" + strings.Repeat("a", 58) // as short as one can be

// TestOwnCookies: which cookies an upstream gets to see.
func TestOwnCookies(t *testing.T) {
	plugins := []*bundle.Plugin{sessionPlugin("a"), sessionPlugin("b"), jwtPlugin("j", headerOnly)}
	plugins[1].OIDC.Login.SessionCookie.Name = "other"
	own := namesOf(&bundle.Bundle{Plugins: append(plugins, sessionPlugin("c"))})
	if want := []string{"session", "__Host-session", "other", "__Host-other"}; !slices.Equal(own.sessions, want) {
		t.Errorf("sessions are in %q, want %q", own.sessions, want)
	}
	if want := []string{"flow", "__Host-flow"}; !slices.Equal(own.flows, want) {
		t.Errorf("flows are in %q, want %q", own.flows, want)
	}
	const none = "nothing of ours"
	flow := strings.Repeat("f", flowID)
	for header, want := range map[string]string{
		"a=b; session=" + sealedValue:                                "a=b",
		"session=" + sealedValue + "; a=b;c ;;d=":                    "a=b; c; d=",
		" session = " + sealedValue + " ":                            "",
		"__Host-session=" + sealedValue + ";a":                       "a",
		"session=" + sealedValue + "; other=" + sealedValue:          "",
		"session_2=x; session_8=y; session=" + sealedValue:           "",
		"session=" + sealedValue + "; session_1=x; session_9=y":      "session_1=x; session_9=y",
		"session=" + sealedValue + "; session_22=; session-2=":       "session_22=; session-2=",
		"session=" + sealedValue + "; sessions=; xsession=":          "sessions=; xsession=",
		"session=" + sealedValue + "; other_2=x":                     "other_2=x",
		"session=8" + sealedValue[1:]:                                "",
		"session=" + sealedValue[:60]:                                none,
		"session=0" + sealedValue[1:]:                                none,
		"session=9" + sealedValue[1:]:                                none,
		"session=1-" + sealedValue[2:]:                               none,
		"session=1.B" + sealedValue[3:]:                              none,
		"Session=" + sealedValue:                                     none,
		"session":                                                    none,
		"session_2=" + sealedValue:                                   none,
		"":                                                           none,
		"flow_" + flow + "=x; __Host-flow_" + flow + "=y; a=b":       "a=b",
		"flow_" + flow + "f=x; flow_" + flow[1:] + "=; flow=" + flow: none,
		"flow-" + flow + "=x":                                        none,
	} {
		rest, changed := own.withoutOwn(cookiePairs(header))
		if !changed {
			rest = none
		}
		if rest != want {
			t.Errorf("%q: %q, want %q", header, rest, want)
		}
	}
	two := abi.Pairs(abi.AppendPairs(nil, []abi.Pair{{Key: "cookie", Value: "a=b"}, {Key: "x", Value: "session=" + sealedValue}, {Key: "cookie", Value: "session=" + sealedValue + "; c"}}))
	if rest, changed := own.withoutOwn(two); rest != "a=b; c" || !changed {
		t.Errorf("of two headers %q is left", rest)
	}
}

// TestCookiesOfAQuestion: ours alone, as many as a question holds; what cannot be ours
// by its value is asked for without it.
func TestCookiesOfAQuestion(t *testing.T) {
	flow := func(n int) string { return fmt.Sprintf("flow_%0*d", flowID, n) }
	flows := func(n int, value string) (header string) {
		for i := range n {
			header += "; " + flow(i) + "=" + value
		}
		return header
	}
	session := "session=" + sealedValue
	left := wire.MaxCookies - len("session") - len(sealedValue) - len(flow(0)) // for the value of a flow
	for what, tt := range map[string]struct {
		header string
		want   int
	}{
		"none":                         {"a=b; flow=x", 0},
		"a session":                    {session + "; a=b", 1},
		"its parts":                    {"session_2=x;" + session + "; session_3=y; session_9=z", 3},
		"a foreign cookie of its name": {"session=x; session_2=y", 0},
		"flows":                        {session + flows(3, "x"), 4},
		"as many as there may be":      {session + flows(47, "x"), 48},
		"more":                         {session + flows(48, "x"), 48},
		"as much as there may be":      {session + flows(1, strings.Repeat("x", left)), 2},
		"a byte more":                  {session + flows(1, strings.Repeat("x", left+1)), 1},
		"one that is too large":        {flows(1, strings.Repeat("x", left+1)) + "; " + session + "; " + flow(1) + "=x", 2},
	} {
		r := &run{headers: cookiePairs(tt.header), facts: facts{cookie: true}}
		l := sessionPlugin("a").OIDC.Login
		list := r.cookiesOf(l, true, true)
		size := 0
		for _, c := range list {
			size += len(c.Name) + len(c.Value)
		}
		if len(list) != tt.want || size > wire.MaxCookies {
			t.Errorf("%s: %d cookies with %d bytes, want %d", what, len(list), size, tt.want)
		}
		r.facts.cookie = false
		if list := r.cookiesOf(l, true, true); list != nil || r.hasCookie("session") {
			t.Errorf("%s: %v without a header", what, list)
		}
	}
	for _, value := range []string{"azAZ09-_.", "", "/", ":", "@", "[", "`", "{", "a b", "\x80", `"x"`, "a=b"} {
		r := &run{headers: cookiePairs(flow(1) + "=" + value), facts: facts{cookie: true}}
		want := map[bool]string{true: value}[value == "azAZ09-_."]
		if list := r.cookiesOf(sessionPlugin("a").OIDC.Login, true, true); len(list) != 1 || list[0].Value != want {
			t.Errorf("%q is asked for as %q", value, list)
		}
	}
}

// TestHostCookies: over https the cookies are those that no other host can set.
func TestHostCookies(t *testing.T) {
	p := sessionPlugin("a")
	p.OIDC.Login.SessionCookie.Host = true
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {p}})
	plain, host := abi.Pair{Key: "cookie", Value: "session=" + sealedValue}, abi.Pair{Key: "cookie", Value: "__Host-session=" + sealedValue}
	for scheme, name := range map[string]string{"http": "session", "https": "__Host-session", "HTTPS": "session"} {
		s := ask(e, start, "r", plain, host, abi.Pair{Key: "x-forwarded-proto", Value: scheme})
		if s.Kind != Ask || len(s.Question.Request.Cookies) != 1 || s.Question.Request.Cookies[0].Name != name {
			t.Errorf("%s: %v %+v", scheme, s.Reason, s.Question)
		}
	}
	if s := ask(e, start, "r", plain, abi.Pair{Key: "x-forwarded-proto", Value: "https"}); s.Reason != reason.CredentialMissing {
		t.Errorf("over https: %v", s.Reason)
	}
}
