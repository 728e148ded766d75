package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// refused returns the step of a request that an instance with sessions refuses with 401,
// 403 (its session lacks a scope) or 503.
func refused(t *testing.T, status int, change func(l *bundle.Login), headers ...abi.Pair) *Step {
	t.Helper()
	e := loginEngine(t, func(p *bundle.Plugin) {
		p.OIDC.Login.Begin, p.OIDC.Realm = false, "r"
		p.OIDC.Required = []bundle.Requirement{{Claim: []string{"scope"}, Any: claims.ParseRequirement([]string{"gold"}), Scope: true}}
		change(p.OIDC.Login)
	})
	headers = append([]abi.Pair{head("x-request-id", "id"), to("/a?code=1&x")}, headers...)
	answer := wire.Answer{Feed: "f", Code: reason.SessionExpired, SetCookies: []string{"session=\n"}}
	switch status {
	case 403:
		answer = sessionAnswer("alice")
		answer.Session.SetCookies = []string{"session=\n"}
	case 503:
		answer.Code = reason.IssuerUnavailable
	}
	s := opened(t, e, start, "r", answer, append(headers, sealed("x"))...)
	if s.Kind != Deny || s.Plugin != "openid-connect" {
		t.Fatalf("not refused: %v", s.Reason)
	}
	return s
}

func valueOf(headers []abi.Pair, name string) string {
	var list []string
	for _, h := range headers {
		if h.Key == name {
			list = append(list, h.Value)
		}
	}
	return strings.Join(list, "|")
}

// TestRefusals: what a person and a program are told, and where they are sent instead.
func TestRefusals(t *testing.T) {
	plain := func(*bundle.Login) {}
	texts := func(l *bundle.Login) { l.UnauthorizedText, l.ForbiddenText = "sign in first", "not for you" }
	elsewhere := func(l *bundle.Login) {
		l.UnauthorizedRedirect, l.ForbiddenRedirect, l.UnexpectedRedirect = "https://e/401", "https://e/403", "https://e/503"
	}
	verbose := func(l *bundle.Login) { l.DisplayErrors = true }
	begin := func(l *bundle.Login) { l.Begin = true }
	for name, tt := range map[string]struct {
		status int
		change func(l *bundle.Login)
		page   bool // for a person
		parts  []string
		not    string
	}{
		"401":               {401, plain, false, []string{`{"message":"Unauthorized"}`}, ""},
		"401, page":         {401, plain, true, []string{"You are not signed in", "for people who have signed in", "session_expired", "<dd>id</dd>"}, "<a "},
		"401, with a link":  {401, begin, true, []string{`<a href="/a?x">Sign in</a>`}, ""},
		"401, own words":    {401, texts, false, []string{`{"message":"sign in first"}`}, ""},
		"401, page, words":  {401, texts, true, []string{"sign in first"}, "for people"},
		"401, reason":       {401, verbose, false, []string{`{"message":"Unauthorized","reason":"session_expired","request_id":"id"}`}, ""},
		"403":               {403, plain, false, []string{`{"message":"Forbidden"}`}, ""},
		"403, page":         {403, plain, true, []string{"You may not open this page", "does not have the rights"}, "required scopes"},
		"403, own words":    {403, texts, false, []string{`{"message":"not for you"}`}, ""},
		"403, page, words":  {403, texts, true, []string{"not for you"}, "the rights"},
		"403, page, reason": {403, verbose, true, []string{"required scopes were not found [ openid ]"}, ""},
		"503":               {503, plain, false, []string{`{"message":"` + reason.IssuerUnavailable.Text() + `"}`}, ""},
		"503, page":         {503, plain, true, []string{"Please try again in a moment", `<a href="/a?x">Try again</a>`}, ""},
		"401, elsewhere":    {401, elsewhere, true, nil, ""},
		"403, elsewhere":    {403, elsewhere, false, nil, ""},
		"503, elsewhere":    {503, elsewhere, true, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []abi.Pair
			if tt.page {
				headers = append(headers, person, by("POST")) // to a form; no login is begun
			}
			s := refused(t, tt.status, tt.change, headers...)
			h := s.Response.Headers
			if tt.parts == nil {
				if want := "https://e/" + name[:3]; s.Response.Status != 302 || valueOf(h, "location") != want || valueOf(h, "cache-control") != "no-store" || s.Response.Body != "" {
					t.Errorf("%+v, want to %s", s.Response, want)
				}
			} else {
				if s.Response.Status != tt.status || strings.HasPrefix(s.Response.Body, "<!doctype html>") != tt.page || valueOf(h, "location") != "" {
					t.Errorf("%+v", s.Response)
				}
				for _, part := range tt.parts {
					if !strings.Contains(s.Response.Body, part) || part[0] == '{' && s.Response.Body != part {
						t.Errorf("%s is not in %s", part, s.Response.Body)
					}
				}
				if tt.not != "" && strings.Contains(s.Response.Body, tt.not) {
					t.Errorf("%s is in %s", tt.not, s.Response.Body)
				}
				want := map[int]string{401: `Bearer realm="r"`, 403: `Bearer realm="r", error="insufficient_scope", scope="gold"`}[tt.status]
				if tt.page && tt.status == 403 {
					want = ""
				}
				if got := valueOf(h, "www-authenticate"); got != want {
					t.Errorf("challenged with %s, want %s", got, want)
				}
			}
			if retry := map[int]string{503: "1"}[tt.status]; valueOf(h, "retry-after") != retry {
				t.Errorf("retry-after is %q", valueOf(h, "retry-after"))
			}
			if got := valueOf(h, "set-cookie"); !strings.HasPrefix(got, "session=?") {
				t.Errorf("the renewed session does not reach the browser: %q", got)
			}
		})
	}
}

// TestForbiddenSessions: when a session ends with 403, and how: its cookies alone, each
// with the attributes it was set with.
func TestForbiddenSessions(t *testing.T) {
	keep, drop := func(l *bundle.Login) { l.KeepForbidden = true }, func(l *bundle.Login) { l.DropForbidden = true }
	for name, tt := range map[string]struct {
		status  int
		change  func(l *bundle.Login)
		headers []abi.Pair
		want    bool
	}{
		"a navigation": {403, func(*bundle.Login) {}, []abi.Pair{person}, true},
		"a program":    {403, func(*bundle.Login) {}, nil, false},
		"a form":       {403, func(*bundle.Login) {}, []abi.Pair{person, by("POST")}, false},
		"kept":         {403, keep, []abi.Pair{person}, false},
		"dropped":      {403, drop, nil, true},
		"401":          {401, drop, []abi.Pair{person}, false},
		"503":          {503, drop, []abi.Pair{person}, false},
	} {
		s := refused(t, tt.status, tt.change, tt.headers...)
		if got := strings.Contains(valueOf(s.Response.Headers, "set-cookie"), "session=; Max-Age=0; HttpOnly"); got != tt.want {
			t.Errorf("%s: %q", name, valueOf(s.Response.Headers, "set-cookie"))
		}
	}
	s := refused(t, 403, func(l *bundle.Login) {
		l.DropForbidden, l.CookieAttributes, l.SessionCookie.Host = true, "Path=/", true
	},
		head("x-forwarded-proto", "https"), head("cookie", "__Host-session="+sealedValue+"; __Host-session_2=x; a=b"), flowCookie())
	want := []string{"__Host-session=; Max-Age=0; HttpOnly; Path=/; Secure", "__Host-session_2=; Max-Age=0; HttpOnly; Path=/; Secure"}
	if got := strings.Split(valueOf(s.Response.Headers, "set-cookie"), "|"); !slices.Equal(got[1:], want) {
		t.Errorf("%q, want %q", got, want)
	}
	// A bearer token without the scope has no session to end.
	e := loginEngine(t, func(p *bundle.Plugin) {
		p.OIDC.Trust.Keys, p.OIDC.Login.DropForbidden = []bundle.Key{rsaKey("k")}, true
		p.OIDC.Required = []bundle.Requirement{{Claim: []string{"scope"}, Any: claims.ParseRequirement([]string{"gold"}), Scope: true}}
	})
	if s := ask(e, start, "r", withToken(issued("")), head("cookie", "session=x")); s.Reason != reason.ScopeMissing || valueOf(s.Response.Headers, "set-cookie") != "" {
		t.Errorf("%v %+v", s.Reason, s.Response.Headers)
	}
}

// TestOwnDenial: a request that could not even be read is answered like any other.
func TestOwnDenial(t *testing.T) {
	for code, status := range map[reason.Code]int{reason.HostFailure: 503, reason.Allowed: 503, reason.RequestMalformed: 400, reason.Unspecified: 503} {
		if s := Denial(code); s.Kind != Deny || s.Response.Status != status || s.Reason.Passes() || (valueOf(s.Response.Headers, "retry-after") != "") != (status == 503) {
			t.Errorf("%v: %+v", code, s)
		}
	}
}
