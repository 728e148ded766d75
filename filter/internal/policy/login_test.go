package policy

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// TestBegin: a login is begun where a session is missing and nothing worse is the
// matter, once.
func TestBegin(t *testing.T) {
	token := withToken(issued(`,"sub":"other"`)) // a claim twice: not one that could pass
	for code, begins := range map[reason.Code]bool{
		reason.SessionInvalid: true, reason.SessionExpired: true, reason.SessionRevoked: true, reason.RefreshRefused: true, reason.SubjectMismatch: true,
		reason.IssuerUnavailable: false, reason.SidecarRefused: false, reason.DomainMismatch: false,
	} {
		s := opened(t, loginEngine(t, nil), start, "r", wire.Answer{Feed: "f", Code: code, SetCookies: []string{"session=; Max-Age=0"}}, sealed("x"), person)
		if (asked(s) == "begin") != begins || !begins && s.Reason != code {
			t.Errorf("%v: %v, asked %q", code, s.Reason, asked(s))
		}
		s = opened(t, loginEngine(t, nil), start, "r", wire.Answer{Feed: "f", Code: code}, sealed("x"), person, token)
		if want := reason.TokenDuplicateKey; begins && (s.Reason != want || asked(s) != "") {
			t.Errorf("%v, and a bad token: %v, asked %q", code, s.Reason, asked(s))
		}
	}
	for name, tt := range map[string]struct {
		change func(p *bundle.Plugin)
		path   string
		want   string
		reason reason.Code
	}{
		"anonymous":           {func(p *bundle.Plugin) { p.OIDC.Anonymous = guest }, "/", "", reason.AllowedAnonymous},
		"no bearer tokens":    {func(p *bundle.Plugin) { p.OIDC.Methods = []bundle.Method{bundle.Session} }, "/", "begin", reason.Unspecified},
		"no sessions":         {func(p *bundle.Plugin) { p.OIDC.Login.Session = false }, "/", "begin", reason.Unspecified},
		"the longest path":    {nil, "/" + strings.Repeat("a", wire.MaxPath-1), "begin", reason.Unspecified},
		"a longer one":        {nil, "/" + strings.Repeat("a", wire.MaxPath), "", reason.CredentialMissing},
		"a long query":        {nil, "/a?" + strings.Repeat("a", wire.MaxPath-3), "begin", reason.Unspecified},
		"a query that is cut": {nil, "/a?" + strings.Repeat("a", wire.MaxPath-2), "begin", reason.Unspecified},
	} {
		s := ask(loginEngine(t, tt.change), start, "r", to(tt.path), person)
		if asked(s) != tt.want || s.Reason != tt.reason {
			t.Errorf("%s: %v, asked %q", name, s.Reason, asked(s))
			continue
		}
		want := tt.path
		if name == "a query that is cut" {
			want = "/a"
		}
		if s.Kind == Ask && s.Question.Request.Path != want {
			t.Errorf("%s: asked with %.20q, %d long", name, s.Question.Request.Path, len(s.Question.Request.Path))
		}
	}
}

// TestQuestionsOfBrowsers: what is told of a request, within its bounds, and whose
// answers may be shared: those for one session, never those for one login.
func TestQuestionsOfBrowsers(t *testing.T) {
	e := loginEngine(t, func(p *bundle.Plugin) {
		p.OIDC.Login.LogoutMethods, p.OIDC.Login.LogoutSuffix = []string{"POST"}, "/logout"
	})
	long := strings.Repeat("x", 2000)
	headers := []abi.Pair{head(":authority", long), head("x-request-id", long), head("x-forwarded-host", "a"), head("x-forwarded-host", "b"), head("x-forwarded-port", long), person}
	one := *ask(e, start, "r", headers...)
	if asked(&one) != "begin" {
		t.Fatal(one.Reason)
	}
	q := one.Question.Request
	if len(q.Authority) != 1024 || len(q.ID) != 128 || q.ForwardedHost != "a" || len(q.ForwardedPort) != 1024 || q.Method != "GET" || q.Route != "r" || q.Scheme != "http" {
		t.Errorf("%+v", q)
	}
	if two := ask(e, start, "r", headers...); two.Question.Identity == one.Question.Identity {
		t.Error("two logins share an answer")
	}
	one, two := *ask(e, start, "r", sealed("x")), *ask(e, start, "r", sealed("x"), to("/b"))
	if one.Question.Identity != two.Question.Identity || one.Question.Request.Path != "" {
		t.Errorf("one session is asked for twice, with %q", one.Question.Request.Path)
	}
	if other := ask(e, start, "r", sealed("y")); other.Question.Identity == one.Question.Identity {
		t.Error("two sessions share an answer")
	}
	for path, want := range map[string]int{"/logout?" + long: 2008, "/" + strings.Repeat("a", wire.MaxPath-8) + "/logout?x": wire.MaxPath, "/" + strings.Repeat("a", wire.MaxPath-7) + "/logout": 0} {
		if s := ask(e, start, "r", by("POST"), to(path), sealed("x")); asked(s) != "logout" || len(s.Question.Request.Path) != want || len(s.Question.Request.Cookies) != 1 {
			t.Errorf("a path of %d bytes is told with %d", len(path), len(s.Question.Request.Path))
		}
	}
}

// TestAnswersForTheClient: a response of the sidecar goes out as it is, a bare reason in
// our words, anything else is the sidecar's fault.
func TestAnswersForTheClient(t *testing.T) {
	sent := &wire.Response{Status: 302, Headers: []wire.Header{{Name: "location", Value: "https://idp/\n"}}, Body: "b"}
	for name, tt := range map[string]struct {
		answer wire.Answer
		want   reason.Code
		status int
	}{
		"a step":                {wire.Answer{Code: reason.LoginStarted, Response: sent}, reason.LoginStarted, 302},
		"a refusal":             {wire.Answer{Code: reason.LoginRedirectRefused, Response: sent}, reason.LoginRedirectRefused, 302},
		"a bare refusal":        {wire.Answer{Code: reason.LoginRedirectRefused}, reason.LoginRedirectRefused, reason.LoginRedirectRefused.Status()},
		"trouble":               {wire.Answer{Code: reason.IssuerUnavailable}, reason.IssuerUnavailable, 503},
		"a step of nothing":     {wire.Answer{Code: reason.LoginStarted}, reason.SidecarAnswer, 503},
		"nothing":               {wire.Answer{}, reason.SidecarAnswer, 503},
		"a response of no sort": {wire.Answer{Response: sent}, reason.SidecarAnswer, 503},
	} {
		for _, change := range []func(p *bundle.Plugin){nil, func(p *bundle.Plugin) { p.OIDC.Methods = []bundle.Method{bundle.Session} }} {
			e := loginEngine(t, change)
			s := ask(e, start, "r", person)
			s = e.Resume(s.Pending, s.Question, tt.answer, reason.Unspecified, start)
			if s.Kind != Deny || s.Reason != tt.want || s.Response.Status != tt.status {
				t.Errorf("%s: %v with %d", name, s.Reason, s.Response.Status)
			}
			if tt.status == 302 && (len(s.Response.Headers) != 1 || s.Response.Headers[0] != head("location", "https://idp/?") || s.Response.Body != "b") {
				t.Errorf("%s: %+v", name, s.Response)
			}
		}
	}
}

// TestOfferedASession: to whom, and when. Without an answer the request goes on.
func TestOfferedASession(t *testing.T) {
	token := withToken(issued(""))
	for name, tt := range map[string]struct {
		off    bool
		quiet  int64 // seconds since the sidecar's last sign of life
		places bundle.Common
		sent   []abi.Pair
		want   string
	}{
		"offered":                           {false, 0, headerOnly, []abi.Pair{token}, "establish"},
		"not wanted":                        {true, 0, headerOnly, []abi.Pair{token}, ""},
		"quiet for a while":                 {false, quiet, headerOnly, []abi.Pair{token}, "establish"},
		"quiet for longer":                  {false, quiet + 1, headerOnly, []abi.Pair{token}, ""},
		"from a cookie":                     {false, 0, bundle.Common{CookieNames: []string{"t"}}, []abi.Pair{head("cookie", "t="+issued(""))}, ""},
		"from a query":                      {false, 0, bundle.Common{QueryNames: []string{"t"}}, []abi.Pair{to("/?t=" + issued(""))}, ""},
		"from another header":               {false, 0, bundle.Common{HeaderNames: []string{"x-token"}}, []abi.Pair{head("x-token", "Bearer "+issued(""))}, ""},
		"one in the header, another counts": {false, 0, bundle.Common{QueryNames: []string{"t"}}, []abi.Pair{to("/?t=" + issued("")), withToken("other")}, ""},
		"two headers":                       {false, 0, bundle.Common{QueryNames: []string{"t"}}, []abi.Pair{to("/?t=" + issued("")), withToken("other"), token}, ""},
	} {
		p := oidcPlugin("a", tt.places, rsaKey("k"))
		p.OIDC.Login = &bundle.Login{BearerSession: !tt.off}
		e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {p}})
		s := ask(e, start+tt.quiet, "r", tt.sent...)
		if asked(s) != tt.want || s.Kind != Ask && s.Reason != reason.Allowed {
			t.Errorf("%s: %v, asked %q", name, s.Reason, asked(s))
		}
		if s.Kind != Ask {
			continue
		}
		if q := s.Question; q.Trust != "ta" || q.KeyID != "k" || q.Input == "" || q.Signature != "signature" {
			t.Errorf("%s: %+v", name, q)
		}
		pending, question := s.Pending, s.Question
		if s = e.Resume(pending, question, wire.Answer{}, reason.SidecarUnreachable, start+tt.quiet); s.Reason != reason.Allowed || len(cookiesSet(s)) > 0 {
			t.Errorf("%s, no answer: %v", name, s.Reason)
		}
	}
}
