package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

const (
	flow     = "0123456789abc"
	callback = "/a?x=1&code=c&state=sp1." + flow + ".rest"
)

var person = abi.Pair{Key: "accept", Value: "text/html,*/*"} // somebody is looking

func to(path string) abi.Pair          { return abi.Pair{Key: ":path", Value: path} }
func by(method string) abi.Pair        { return abi.Pair{Key: ":method", Value: method} }
func flowCookie() abi.Pair             { return abi.Pair{Key: "cookie", Value: "flow_" + flow + "=f"} }
func head(name, value string) abi.Pair { return abi.Pair{Key: name, Value: value} }

// loginEngine has one route, r, whose instance begins logins.
func loginEngine(t *testing.T, change func(p *bundle.Plugin)) *Engine {
	t.Helper()
	p := sessionPlugin("a")
	p.OIDC.Login.Begin = true
	if change != nil {
		change(p)
	}
	return engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {p}})
}

// asked is the kind of a step's question, "" for none.
func asked(s *Step) string {
	if s.Kind != Ask {
		return ""
	}
	return s.Question.Kind.String()
}

func TestLogout(t *testing.T) {
	for _, tt := range []struct {
		query, suffix string
		method, path  string
		want          string
	}{
		{"", "", "GET", "/logout?logout", ""},
		{"logout", "", "GET", "/a?logout", "logout"}, {"logout", "", "POST", "/a?x=1&logout=true", "logout"}, {"logout", "", "GET", "/a?l%6Fgout", "logout"},
		{"logout", "", "GET", "/logout", ""}, {"logout", "", "GET", "/a?x=logout", ""}, {"logout", "", "DELETE", "/a?logout", ""}, {"logout", "", "GET", "/a?logouts", ""},
		{"", "/logout", "GET", "/a/logout", "logout"}, {"", "/logout", "GET", "/a/logout?x", "logout"}, {"", "/logout", "GET", "/a?x=/logout", ""},
		{"", "/logout", "PUT", "/a/logout", ""}, {"", "/logout", "GET", "/a/logout/", ""},
		{"out", "/logout", "GET", "/a?out", "logout"}, {"out", "/logout", "POST", "/logout", "logout"},
	} {
		e := loginEngine(t, func(p *bundle.Plugin) {
			p.OIDC.Login.LogoutMethods, p.OIDC.Login.LogoutQuery, p.OIDC.Login.LogoutSuffix = []string{"GET", "POST"}, tt.query, tt.suffix
		})
		if s := ask(e, start, "r", by(tt.method), to(tt.path), sealed("x")); asked(s) != tt.want && (tt.want != "" || asked(s) != "open") {
			t.Errorf("%+v: %v, %q", tt, s.Reason, asked(s))
		}
	}
}

// TestStates: what is taken for an answer of the identity provider.
func TestStates(t *testing.T) {
	r := &run{}
	state := "/?code=c&state="
	for path, want := range map[string]string{
		state + "sp0." + flow + ".r": flow, state + "sp9." + flow + ".rest.and.more": flow, "/?error=e&state=sp0." + flow + ".r": flow, state + "sp0.azAZ" + flow[4:] + ".r": "",
		state + "sp0.09az" + flow[4:] + ".r": "09az" + flow[4:], state + "sp0./" + flow[1:] + ".r": "", state + "sp0.:" + flow[1:] + ".r": "",
		state + "sp0.`" + flow[1:] + ".r": "", state + "sp0.{" + flow[1:] + ".r": "",
		state + "sp/." + flow + ".r": "", state + "sp:." + flow + ".r": "", state + "sp0" + flow + ".r": "", state + "sp0-" + flow + ".r": "", state + "sp0." + flow + "-r": "",
		state + "sp0." + flow + ".": "", state + "sp0." + flow: "", state + "sp": "", state + "xsp0." + flow + ".r": "", state + "sx0." + flow + ".r": "",
		state + "sp0." + flow + ".r&state=x": "", state + "sp0." + flow + ".r&state=sp0." + flow + ".r": "", "/?x=1&state=sp0." + flow + ".r": "", "/?code=c&s%74ate=sp0." + flow + ".r": "",
		"/?code=c": "", "/?code=c&state=other": "", "/?code=c&xstate=sp0." + flow + ".r": "",
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			r.facts = facts{method: method, path: path}
			s, ok := r.callback(&bundle.Login{Begin: true})
			if expect := want != "" && method != "POST"; ok != expect || ok && s.flow != want {
				t.Errorf("%s %s: %v %+v, want %q", method, path, ok, s, want)
			}
			if _, ok := r.callback(&bundle.Login{}); ok {
				t.Errorf("%s: an instance without logins takes it", path)
			}
		}
	}
	r.facts = facts{method: "GET", path: state + "sp7." + flow + ".r"}
	if s, _ := r.callback(&bundle.Login{Begin: true}); s.attempt != 7 {
		t.Errorf("attempt %d", s.attempt)
	}
}

// TestCallback: the code is redeemed for the browser that has the flow's cookie, and
// for no other; who is logged in already is sent on.
func TestCallback(t *testing.T) {
	for name, tt := range map[string]struct {
		headers []abi.Pair
		want    string
	}{
		"with the cookie":       {[]abi.Pair{to(callback), flowCookie()}, "callback"},
		"with another cookie":   {[]abi.Pair{to(callback), head("cookie", "flow_0123456789abd=f"), person}, "begin"},
		"no GET":                {[]abi.Pair{to(callback), flowCookie(), by("HEAD"), person}, "begin"},
		"without":               {[]abi.Pair{to(callback), person}, "begin"},
		"without, by a program": {[]abi.Pair{to(callback)}, ""},
		"with a session":        {[]abi.Pair{to(callback), sealed("x")}, "open"},
		"no callback":           {[]abi.Pair{to("/a?code=1"), flowCookie(), person}, "begin"},
	} {
		s := ask(loginEngine(t, nil), start, "r", tt.headers...)
		if asked(s) != tt.want {
			t.Errorf("%s: %v, asked %q", name, s.Reason, asked(s))
			continue
		}
		if tt.want != "begin" {
			continue
		}
		path, attempt := "/a?x=1", int64(2)
		if name == "no callback" {
			path, attempt = "/a?code=1", 0
		}
		if q := s.Question.Request; q.Path != path || q.Attempt != attempt || !q.Navigation {
			t.Errorf("%s: %+v", name, q)
		}
	}
	e := loginEngine(t, nil)
	s := opened(t, e, start, "r", sessionAnswer("alice"), to(callback), sealed("x"))
	if want := []abi.Pair{head("location", "/a?x=1"), head("cache-control", "no-store")}; s.Reason != reason.LoginReturned || s.Response.Status != 303 || !slices.Equal(s.Response.Headers, want) {
		t.Errorf("logged in already: %v %+v", s.Reason, s.Response)
	}
}

// TestNavigations: only a browser that goes somewhere is sent to the identity provider.
func TestNavigations(t *testing.T) {
	for name, tt := range map[string]struct {
		headers  []abi.Pair
		navigate bool
		person   bool // is answered with a page
	}{
		"a browser":          {[]abi.Pair{head("sec-fetch-mode", "navigate"), head("sec-fetch-dest", "document")}, true, true},
		"a frame":            {[]abi.Pair{head("sec-fetch-mode", "navigate"), head("sec-fetch-dest", "iframe"), person}, false, false},
		"a script":           {[]abi.Pair{head("sec-fetch-mode", "cors"), head("sec-fetch-dest", "empty"), person}, false, false},
		"mode alone":         {[]abi.Pair{head("sec-fetch-mode", "navigate"), person}, false, false},
		"destination alone":  {[]abi.Pair{head("sec-fetch-dest", "document"), person}, false, false},
		"by what it accepts": {[]abi.Pair{person}, true, true},
		"in two headers":     {[]abi.Pair{head("accept", "a/b"), person, head("accept", "c/d")}, true, true},
		"nothing":            {nil, false, false},
		"a program":          {[]abi.Pair{head("accept", "application/json")}, false, false},
		"an old script":      {[]abi.Pair{person, head("x-requested-with", "XMLHttpRequest")}, false, false},
		"a WebSocket":        {[]abi.Pair{person, head("upgrade", "websocket")}, false, false},
		"a prefetch":         {[]abi.Pair{person, head("purpose", "prefetch")}, false, false},
		"a prefetch, newer":  {[]abi.Pair{head("sec-fetch-mode", "navigate"), head("sec-fetch-dest", "document"), head("sec-purpose", "prefetch;prerender")}, false, false},
		"a prerender":        {[]abi.Pair{person, head("x-moz", "prerender")}, false, false},
		"a preview":          {[]abi.Pair{person, head("x-purpose", "preview")}, false, false},
		"HEAD":               {[]abi.Pair{person, by("HEAD")}, true, true},
		"a form":             {[]abi.Pair{person, by("POST")}, false, true},
	} {
		s := ask(loginEngine(t, nil), start, "r", tt.headers...)
		if (asked(s) == "begin") != tt.navigate || s.Kind == Allow {
			t.Errorf("%s: %v, asked %q", name, s.Reason, asked(s))
		}
		s = ask(loginEngine(t, func(p *bundle.Plugin) { p.OIDC.Login.Begin = false }), start, "r", tt.headers...)
		if html := strings.HasPrefix(s.Response.Body, "<!doctype html>"); s.Reason != reason.CredentialMissing || s.Response.Status != 401 || html != tt.person {
			t.Errorf("%s: %v with %d, a page: %v", name, s.Reason, s.Response.Status, html)
		}
	}
}
