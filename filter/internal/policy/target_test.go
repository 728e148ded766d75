package policy

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
)

func TestCleanTarget(t *testing.T) {
	for target, want := range map[string]string{
		"/a":                                     "/a",
		"/a?":                                    "/a",
		"/a?x=1":                                 "/a?x=1",
		"/a?code=1&state=2&iss=3":                "/a",
		"/a?x=1&code=1&y=2&state=2":              "/a?x=1&y=2",
		"/a?c%6Fde=1&st%61te=2&x=%20+":           "/a?x=%20+",
		"/a?error=e&error_description=d&z":       "/a?z",
		"/a?error_uri=u&session_state=s":         "/a",
		"/a?Code=1&codes=2&xcode=3&state2=4":     "/a?Code=1&codes=2&xcode=3&state2=4",
		"/a?&&&":                                 "/a",
		"/a?next=//evil&code=1":                  "/a?next=//evil",
		"/a?x=code=1&state=s":                    "/a?x=code=1",
		"//evil.example/?code=1":                 "/evil.example/",
		"///evil.example":                        "/evil.example",
		"evil.example":                           "/evil.example",
		"":                                       "/",
		"?code=1":                                "/",
		"/a?x?code=1&code=1":                     "/a?x?code=1",
		"/a?code":                                "/a",
		"/a?%63ode%3D1=1":                        "/a?%63ode%3D1=1",
		"/a?code=1&a=b&code=2&c=d&state=sp0.x":   "/a?a=b&c=d",
		"/a?+code=1":                             "/a?+code=1",
		"/a?code=1&x=<script>&state=\"><script>": "/a?x=<script>",
	} {
		if got := cleanTarget(target); got != want {
			t.Errorf("%q: %q, want %q", target, got, want)
		}
	}
}

// FuzzCleanTarget: what is left is a path on this host, is no callback any more, and
// stays as it is: nobody is sent in circles.
func FuzzCleanTarget(f *testing.F) {
	for _, s := range []string{"/a?code=1&state=sp0.0123456789abc.x", "//evil?c%6fde=1&st%61te=sp0.0123456789abc.x&z=state=sp", "/?a&b=c", "/a?x=state=sp&%73tate=sp1.zzzzzzzzzzzzz.q&error=e"} {
		f.Add(s)
	}
	l := &bundle.Login{Begin: true}
	f.Fuzz(func(t *testing.T, target string) {
		got := cleanTarget(target)
		if !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") {
			t.Fatalf("%q: %q is another host", target, got)
		}
		if again := cleanTarget(got); again != got {
			t.Fatalf("%q: %q, then %q", target, got, again)
		}
		r := &run{facts: facts{method: "GET", path: got}}
		if _, called := r.callback(l); called {
			t.Fatalf("%q: %q is still a callback", target, got)
		}
	})
}

// FuzzOwnCookies: no upstream sees what opens a session, and everything else stays.
func FuzzOwnCookies(f *testing.F) {
	for _, s := range []string{"a=b; session=1.A; c=d", "session = 1.AAAA;;x", "session_2=x; session=2.A", "authorization_0123456789abc=x; y", ` session="1.A"; q="a b"`} {
		f.Add(s)
	}
	sealed := "1.A" + strings.Repeat("b", 80)
	own := ownNames{sessions: []string{"session", bundle.HostPrefix + "session"}, flows: []string{"authorization"}}
	f.Fuzz(func(t *testing.T, header string) {
		for _, h := range []string{header, header + "; session=" + sealed, "session=" + sealed + ";" + header} {
			pairs := cookiePairs(h)
			rest, changed := own.withoutOwn(pairs)
			if !changed {
				if h != header {
					t.Fatalf("%q: the session goes on", h)
				}
				continue
			}
			here := own.in(pairs)
			eachCookie(cookiePairs(rest), func(name, _, pair string) {
				if here.has(name) {
					t.Fatalf("%q: %q goes on", h, pair)
				}
			})
			var foreign, kept []string
			eachCookie(pairs, func(name, _, pair string) {
				if !here.has(name) {
					foreign = append(foreign, pair)
				}
			})
			eachCookie(cookiePairs(rest), func(_, _, pair string) { kept = append(kept, pair) })
			if strings.Join(kept, "\x00") != strings.Join(foreign, "\x00") {
				t.Fatalf("%q: %q are left of %q", h, kept, foreign)
			}
		}
	})
}

func cookiePairs(header string) abi.Pairs {
	return abi.Pairs(abi.AppendPairs(nil, []abi.Pair{{Key: "cookie", Value: header}}))
}

// TestManyParts: what a request is cut into is put together once, however many parts
// a client makes of it; joining them one by one took a second for 60 KB.
func TestManyParts(t *testing.T) {
	target := "/a?code=1&" + strings.Repeat("a&", 30_000)
	if n := testing.AllocsPerRun(5, func() { cleanTarget(target) }); n > 4 {
		t.Errorf("a target takes %v allocations", n)
	}
	header := cookiePairs("session=1.A" + strings.Repeat("b", 80) + strings.Repeat(";a", 30_000))
	own := ownNames{sessions: []string{"session"}}
	if n := testing.AllocsPerRun(5, func() { own.withoutOwn(header) }); n > 16 {
		t.Errorf("cookies take %v allocations", n)
	}
}
