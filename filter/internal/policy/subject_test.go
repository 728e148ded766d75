package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/match/compile"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// passed returns what the upstream gets of the named headers.
func passed(t *testing.T, s *Step, sent []abi.Pair, names ...string) (list []string) {
	t.Helper()
	if s.Kind != Allow {
		t.Fatalf("refused: %v", s.Reason)
	}
	for _, name := range names {
		ours := false
		for _, h := range s.Edits.Set {
			if h.Key == name {
				list, ours = append(list, h.Value), true
			}
		}
		for _, h := range sent {
			if h.Key == name && !ours && !slices.Contains(s.Edits.Remove, name) {
				list = append(list, h.Value)
			}
		}
	}
	return list
}

// TestTokensForTheUpstream: where our token goes to the upstream in the Authorization
// header, it is the only one there.
func TestTokensForTheUpstream(t *testing.T) {
	token := issued("")
	ours, forged := withToken(token), withToken("forged")
	cookie := abi.Pair{Key: "cookie", Value: "t=" + token}
	inHeader, inCookie := headerOnly, bundle.Common{CookieNames: []string{"t"}}
	for name, tt := range map[string]struct {
		places bundle.Common
		sent   []abi.Pair
		bearer bool
		want   []string
	}{
		"it is there":             {inHeader, []abi.Pair{ours}, true, []string{ours.Value}},
		"in other letters":        {inHeader, []abi.Pair{{Key: "authorization", Value: "bearer  " + token}}, true, []string{ours.Value}},
		"from a cookie":           {inCookie, []abi.Pair{cookie}, true, []string{ours.Value}},
		"another in its place":    {inCookie, []abi.Pair{cookie, forged}, true, []string{ours.Value}},
		"another before it":       {inCookie, []abi.Pair{cookie, forged, ours}, true, []string{ours.Value}},
		"another behind it":       {inCookie, []abi.Pair{cookie, ours, forged}, true, []string{ours.Value}},
		"another, joined":         {inCookie, []abi.Pair{cookie, {Key: "authorization", Value: forged.Value + "," + ours.Value}}, true, []string{ours.Value}},
		"bare":                    {inCookie, []abi.Pair{cookie}, false, []string{token}},
		"bare, another before it": {inCookie, []abi.Pair{cookie, forged, {Key: "authorization", Value: token}}, false, []string{token}},
	} {
		t.Run(name, func(t *testing.T) {
			p := oidcPlugin("o", tt.places, rsaKey("k"))
			p.OIDC.Identity.Tokens = []bundle.TokenHeader{{Header: "authorization", Token: "access_token", Bearer: tt.bearer}}
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {p}})
			if got := passed(t, ask(e, start, "r", tt.sent...), tt.sent, "authorization"); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// TestHeadersOfClaims: what is made of a session for upstream and client, and that a
// caller's headers of these names, or of names that read alike, are removed.
func TestHeadersOfClaims(t *testing.T) {
	expr, err := compile.Expression("g-.*")
	if err != nil {
		t.Fatal(err)
	}
	answer := sessionAnswer("alice")
	answer.Session.Access = `{"scope":"openid","n":7,"list":["a",1,true],"mixed":["a",{"b":1}],"object":{"c":1},"text":"g-text","null":null,"yes":true}`
	answer.Session.Claims = `{"sub":"s","n":8,"null":"id","groups":["g-one","x","g-two",["g-three"]]}`
	answer.Session.Info, answer.Session.IDToken = `{"info":"i","groups":"g-info"}`, "the ID token"
	claim := func(name string) bundle.Identity {
		return bundle.Identity{Upstream: []bundle.ClaimHeader{{Header: "x-h", Claim: []string{name}}}}
	}
	match := func(token, name string) bundle.Identity {
		return bundle.Identity{Matches: []bundle.ClaimMatch{{Header: "x-h", Claim: []string{name}, Match: expr, Token: token}}}
	}
	token := func(name string, bearer bool) bundle.Identity {
		return bundle.Identity{Tokens: []bundle.TokenHeader{{Header: "x-h", Token: name, Bearer: bearer}}}
	}
	both := claim("n")
	both.Matches = []bundle.ClaimMatch{{Header: "x-other", Claim: []string{"text"}, Match: expr, Token: "access_token"}}
	mixed := claim("n")
	mixed.Tokens = []bundle.TokenHeader{{Header: "x-other", Token: "access_token"}}
	for name, tt := range map[string]struct {
		identity bundle.Identity
		want     string
	}{
		"a number": {claim("n"), "7"}, "a list": {claim("list"), "a,1,true"}, "a list with an object": {claim("mixed"), `["a",{"b":1}]`},
		"an object": {claim("object"), `{"c":1}`}, "null there, a text here": {claim("null"), "id"}, "userinfo": {claim("info"), "i"}, "yes": {claim("yes"), "true"}, "none": {claim("none"), ""},
		"those that match": {match("id_token", "groups"), "g-one, g-two"}, "a text that matches": {match("access_token", "text"), "g-text"},
		"of userinfo": {match("user_info", "groups"), "g-info"}, "of another token": {match("access_token", "groups"), ""}, "of no token": {match("", "groups"), ""},
		"a claim beside a match": {both, "7"}, "a claim beside a token": {mixed, "7"},
		"access token": {token("access_token", true), "Bearer token of alice"}, "ID token": {token("id_token", false), "the ID token"},
		"all of userinfo": {token("user_info", false), answer.Session.Info}, "session": {token("session_id", false), "id of alice"}, "an unknown token": {token("x", true), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := sessionPlugin("a")
			p.OIDC.Identity = tt.identity
			e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {p}})
			sent := []abi.Pair{sealed("x"), {Key: "x-h", Value: "root"}, {Key: "X_H", Value: "root"}, {Key: "x-i", Value: "kept"}, {Key: "x-hh", Value: "kept"}}
			s := opened(t, e, start, "r", answer, sent...)
			if got := strings.Join(passed(t, s, sent, "x-h"), "|"); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if got, want := strings.Join(s.Edits.Remove, " "), "x-h X_H cookie"; got != want {
				t.Errorf("removed: %q, want %q", got, want)
			}
			if credential(s) != "s" {
				t.Errorf("the subject is %q", credential(s))
			}
		})
	}

	p := sessionPlugin("a")
	p.OIDC.Identity = bundle.Identity{CredentialClaim: []string{"n"}, Downstream: []bundle.ClaimHeader{{Header: "x-d", Claim: []string{"n"}}, {Header: "x-none", Claim: []string{"none"}}},
		Tokens: []bundle.TokenHeader{{Header: "authorization", Token: "access_token", Bearer: true, Response: true}}}
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {p}})
	answer.Session.SetCookies = nil
	s := opened(t, e, start, "r", answer, sealed("x"), abi.Pair{Key: "x-d", Value: "kept"}, withToken("token of alice"))
	if got, want := s.Edits.Response, []abi.Pair{{Key: "x-d", Value: "7"}, {Key: "authorization", Value: "Bearer token of alice"}}; !slices.Equal(got, want) {
		t.Errorf("to the client: %v, want %v", got, want)
	}
	if !slices.Equal(s.Edits.Remove, []string{"cookie"}) || credential(s) != "7" {
		t.Errorf("removed %q, the subject is %q", s.Edits.Remove, credential(s))
	}
}

func TestSameHeader(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"x-name", "x-name", true}, {"X-NAME", "x-name", true}, {"x_name", "x-name", true}, {"x.name", "x-name", true}, {"x-AZaz09", "x-azaz09", true},
		{"x-name", "x-names", false}, {"x-name", "y-name", false}, {"x-nam1", "x-name", false}, {"", "", false}, {":path", "-path", false}, {"x-[", "x-a", false}, {"x-@", "x--", true},
		{"x-0", "x--", false}, {"x-9", "x--", false}, {"x-a", "x--", false}, {"x-z", "x--", false}, {"x-A", "x--", false}, {"x-Z", "x--", false}, {"x-/", "x-:", true}, {"x-`", "x-{", true}, {"x-[", "x--", true},
	} {
		if got := sameHeader(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %v", tt.a, tt.b, got)
		}
	}
}

// TestUnjudgedTokens: behind a plugin that takes bearer tokens no token reaches an
// upstream that nobody has looked at, because a session was enough.
func TestUnjudgedTokens(t *testing.T) {
	other := bundle.Common{HeaderNames: []string{"x-token"}, Anonymous: guest}
	for name, tt := range map[string]struct {
		noBearer bool
		sent     []abi.Pair
		removed  string
	}{
		"none":                      {false, nil, "cookie"},
		"the session's":             {false, []abi.Pair{withToken("token of alice")}, "cookie"},
		"another":                   {false, []abi.Pair{withToken("forged")}, "authorization cookie"},
		"another beside it":         {false, []abi.Pair{withToken("token of alice"), withToken("forged")}, "authorization cookie"},
		"no bearer token":           {false, []abi.Pair{{Key: "authorization", Value: "Basic x"}}, "cookie"},
		"in a header of no plugin":  {false, []abi.Pair{{Key: "x-other", Value: "Bearer forged"}}, "cookie"},
		"where none is taken":       {true, []abi.Pair{withToken("forged")}, "cookie"},
		"beside one that is judged": {false, []abi.Pair{{Key: "x-token", Value: "Bearer " + issued("")}, withToken("forged")}, "cookie"},
	} {
		t.Run(name, func(t *testing.T) {
			p := sessionPlugin("a")
			p.OIDC.Methods, p.OIDC.Identity = []bundle.Method{bundle.Session, bundle.Bearer}, bundle.Identity{}
			if tt.noBearer {
				p.OIDC.Methods = p.OIDC.Methods[:1]
			}
			second := oidcPlugin("b", other, rsaKey("k"))
			second.OIDC.Anonymous = nil
			chain := []*bundle.Plugin{p}
			if name == "beside one that is judged" {
				chain = append(chain, second)
			}
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": chain})
			s := opened(t, e, start, "r", sessionAnswer("alice"), append(tt.sent, sealed("x"))...)
			if got := strings.Join(s.Edits.Remove, " "); s.Kind != Allow || got != tt.removed {
				t.Errorf("%v, removed %q, want %q", s.Reason, got, tt.removed)
			}
		})
	}
}

// TestRequired: where a required value may stand, and what the refusal says.
func TestRequired(t *testing.T) {
	var many []string
	for i := range 70 {
		many = append(many, fmt.Sprint(i))
	}
	for name, tt := range map[string]struct {
		claim  string
		scope  bool
		opaque bool
		access string
		want   reason.Code
		note   string
	}{
		"scope":                    {"scope", true, false, `{"scope":"a gold"}`, reason.Allowed, ""},
		"another scope":            {"scope", true, false, `{"scope":"a b"}`, reason.ScopeMissing, "required scopes were not found [ a, b ]"},
		"scope of the ID token":    {"scope", true, false, `{}`, reason.ScopeMissing, "required scopes were not found [  ]"},
		"groups":                   {"groups", false, false, `{"groups":["gold"]}`, reason.Allowed, ""},
		"groups of the ID token":   {"groups", false, false, `{}`, reason.Allowed, ""},
		"groups, others first":     {"groups", false, false, `{"groups":["silver"]}`, reason.ClaimMissingRequired, "required groups claim were not found [ silver ]"},
		"audience":                 {"aud", false, false, `{"aud":"gold"}`, reason.Allowed, ""},
		"audience of the ID token": {"aud", false, false, `{}`, reason.ClaimMissingRequired, "required aud claim were not found [  ]"},
		"audience, opaque":         {"aud", false, true, `{}`, reason.Allowed, ""},
		"many groups":              {"groups", false, false, `{"groups":"` + strings.Join(many, " ") + `"}`, reason.ClaimMissingRequired, "required groups claim were not found [ " + strings.Join(many[:64], ", ") + " ]"},
	} {
		t.Run(name, func(t *testing.T) {
			p := sessionPlugin("a")
			p.OIDC.Required = []bundle.Requirement{{Claim: []string{tt.claim}, Any: claims.ParseRequirement([]string{"gold"}), Scope: tt.scope}}
			e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {p}})
			answer := sessionAnswer("alice")
			answer.Session.Access, answer.Session.Claims, answer.Session.Opaque = tt.access, `{"sub":"s","scope":"gold","groups":"gold","aud":"gold"}`, tt.opaque
			s := opened(t, e, start, "r", answer, sealed("x"))
			if s.Reason != tt.want || s.Note != tt.note || tt.want != reason.Allowed && s.Response.Status != 403 {
				t.Errorf("%v %q, want %v %q", s.Reason, s.Note, tt.want, tt.note)
			}
		})
	}
}
