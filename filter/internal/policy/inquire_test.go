package policy

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// inquiring is an instance whose callers are known by these methods.
func inquiring(id string, methods ...bundle.Method) *bundle.Plugin {
	p := oidcPlugin(id, headerOnly, rsaKey("k"))
	p.OIDC.Methods = methods
	p.OIDC.Inquiry = &bundle.Inquiry{RefreshHeader: "refresh-token"}
	p.OIDC.Identity.Tokens = []bundle.TokenHeader{{Header: "authorization", Token: "access_token", Bearer: true}}
	return p
}

func withBasic(text string) abi.Pair {
	return abi.Pair{Key: "authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte(text))}
}

// active is what an issuer says of a token that introspection finds good.
func active(token, more string) wire.Answer {
	return wire.Answer{Feed: "f", Session: &wire.Session{Access: `{"active":true,"sub":"s"` + more + `}`, Token: token,
		Introspected: true, Keys: []string{"sub s"}, Until: start + 100}}
}

// fetched is a token that was fetched for a caller and cannot be read.
func fetched(token string) wire.Answer {
	return wire.Answer{Feed: "f", Session: &wire.Session{Access: `{"scope":"a b"}`, Opaque: true, Token: token, Until: start + 100}}
}

func refusedUntil(code reason.Code, until int64) wire.Answer {
	return wire.Answer{Feed: "f", Code: code, Until: until}
}

// inquired asks, and answers the inquiries by method; what has no answer fails the test.
func inquired(t *testing.T, e *Engine, now int64, route string, answers map[string]wire.Answer, headers ...abi.Pair) (s *Step, asked []string) {
	t.Helper()
	s = ask(e, now, route, headers...)
	for s.Kind == Ask {
		q := s.Question
		answer, ok := answers[q.Method]
		if q.Kind != wire.Inquire || !ok || len(asked) == 8 {
			t.Fatalf("asks %v %s after %v", q.Kind, q.Method, asked)
		}
		asked = append(asked, q.Method)
		s = e.Resume(s.Pending, q, answer, reason.Unspecified, now)
	}
	return s, asked
}

// TestMethods: which credential goes to which method, and what is refused without
// anybody being asked.
func TestMethods(t *testing.T) {
	all := []bundle.Method{bundle.Bearer, bundle.Introspection, bundle.UserInfo, bundle.RefreshToken, bundle.Password, bundle.ClientCredentials}
	answers := map[string]wire.Answer{
		"introspection": active("opaque", ""), "userinfo": fetched("opaque"), "refresh_token": fetched("new"),
		"password": fetched("for a user"), "client_credentials": fetched("for a client"),
	}
	inactive, unjudgeable := refusedUntil(reason.TokenInactive, 0), refusedUntil(reason.Unjudgeable, 0)
	refused := refusedUntil(reason.CredentialRefused, 0)
	long := strings.Repeat("a", maxPresented+1)
	refresh := func(v string) abi.Pair { return abi.Pair{Key: "refresh-token", Value: v} }
	with := func(change map[string]wire.Answer) map[string]wire.Answer {
		out := map[string]wire.Answer{}
		for m, a := range answers {
			out[m] = a
		}
		for m, a := range change {
			out[m] = a
		}
		return out
	}
	for name, tt := range map[string]struct {
		methods []bundle.Method
		answers map[string]wire.Answer
		headers []abi.Pair
		want    reason.Code
		asked   string
	}{
		"nothing":                             {all, nil, nil, reason.CredentialMissing, ""},
		"a JWT is verified":                   {all, nil, []abi.Pair{withToken(issued(""))}, reason.Allowed, ""},
		"a JWT of another issuer is refused":  {all, nil, []abi.Pair{withToken(jws(issuedHeader, `{"iss":"x","exp":1800001000}`, "s"))}, reason.IssuerUnknown, ""},
		"an expired JWT is refused":           {all, nil, []abi.Pair{withToken(jws(issuedHeader, `{"iss":"i","exp":1}`, "s"))}, reason.TokenExpired, ""},
		"an opaque token":                     {all, answers, []abi.Pair{withToken("opaque")}, reason.Allowed, "introspection"},
		"a JWE":                               {all, answers, []abi.Pair{withToken("a.b.c.d.e")}, reason.Allowed, "introspection"},
		"a JWT of a shared secret":            {all, answers, []abi.Pair{withToken(secretToken("i", ""))}, reason.Allowed, "introspection"},
		"a JWT without a signature":           {all, nil, []abi.Pair{withToken(jws(`{"alg":"none"}`, `{"iss":"i"}`, ""))}, reason.AlgorithmUnsupported, ""},
		"a JWT of an unknown algorithm":       {all, nil, []abi.Pair{withToken(jws(`{"alg":"ES256K"}`, `{"iss":"i"}`, "s"))}, reason.AlgorithmUnsupported, ""},
		"a JWT where none is verified":        {all[1:], answers, []abi.Pair{withToken(issued(""))}, reason.Allowed, "introspection"},
		"without introspection":               {[]bundle.Method{bundle.Bearer, bundle.UserInfo}, answers, []abi.Pair{withToken("opaque")}, reason.Allowed, "userinfo"},
		"opaque, verified only":               {all[:1], nil, []abi.Pair{withToken("opaque")}, reason.TokenMalformed, ""},
		"inactive":                            {all, with(map[string]wire.Answer{"introspection": inactive}), []abi.Pair{withToken("opaque")}, reason.TokenInactive, "introspection"},
		"no endpoint, then userinfo":          {all, with(map[string]wire.Answer{"introspection": unjudgeable}), []abi.Pair{withToken("opaque")}, reason.Allowed, "introspection userinfo"},
		"no endpoint at all":                  {all[:3], with(map[string]wire.Answer{"introspection": unjudgeable, "userinfo": unjudgeable}), []abi.Pair{withToken("opaque")}, reason.TokenMalformed, "introspection userinfo"},
		"no endpoint, none verified":          {all[1:2], with(map[string]wire.Answer{"introspection": unjudgeable}), []abi.Pair{withToken("opaque")}, reason.Unjudgeable, "introspection"},
		"the issuer is down":                  {all, with(map[string]wire.Answer{"introspection": {Code: reason.IssuerUnavailable}}), []abi.Pair{withToken("opaque")}, reason.IssuerUnavailable, "introspection"},
		"a token twice":                       {all, nil, []abi.Pair{withToken("opaque"), withToken("opaque")}, reason.CredentialMultiple, ""},
		"a token that is too long":            {all[1:], nil, []abi.Pair{withToken(long)}, reason.TokenTooLarge, ""},
		"a refresh token":                     {all, answers, []abi.Pair{refresh("r")}, reason.Allowed, "refresh_token"},
		"a refresh token twice":               {all, nil, []abi.Pair{refresh("r"), refresh("r")}, reason.CredentialMultiple, ""},
		"a refresh token that is too long":    {all, nil, []abi.Pair{refresh(long)}, reason.TokenTooLarge, ""},
		"a refused refresh token":             {all, with(map[string]wire.Answer{"refresh_token": refused}), []abi.Pair{refresh("r"), withBasic("u:p")}, reason.CredentialRefused, "refresh_token"},
		"a password":                          {all, answers, []abi.Pair{withBasic("u:p")}, reason.Allowed, "password"},
		"a client's secret":                   {all, with(map[string]wire.Answer{"password": refused}), []abi.Pair{withBasic("u:p")}, reason.Allowed, "password client_credentials"},
		"neither":                             {all, with(map[string]wire.Answer{"password": refused, "client_credentials": refused}), []abi.Pair{withBasic("u:p")}, reason.CredentialRefused, "password client_credentials"},
		"a client's secret alone":             {all[5:], answers, []abi.Pair{withBasic("u:p")}, reason.Allowed, "client_credentials"},
		"a password where none is taken":      {all[:4], nil, []abi.Pair{withBasic("u:p")}, reason.CredentialMissing, ""},
		"Basic twice":                         {all[4:], nil, []abi.Pair{withBasic("u:p"), withBasic("u:p")}, reason.CredentialMultiple, ""},
		"Basic without a colon":               {all, nil, []abi.Pair{withBasic("up")}, reason.CredentialMalformed, ""},
		"Basic without a user":                {all, nil, []abi.Pair{withBasic(":p")}, reason.CredentialMalformed, ""},
		"Basic with a control character":      {all, nil, []abi.Pair{withBasic("u:p\n")}, reason.CredentialMalformed, ""},
		"Basic that is no UTF-8":              {all, nil, []abi.Pair{withBasic("u:\xff")}, reason.CredentialMalformed, ""},
		"Basic that is no base64":             {all, nil, []abi.Pair{{Key: "authorization", Value: "Basic dTpw*"}}, reason.CredentialMalformed, ""},
		"Basic that is not canonical":         {all, nil, []abi.Pair{{Key: "authorization", Value: "Basic dTpx"[:9] + "R=="}}, reason.CredentialMalformed, ""},
		"Basic that is too long":              {all, nil, []abi.Pair{withBasic("u:" + long)}, reason.CredentialMalformed, ""},
		"basic in lower case, with blanks":    {all, answers, []abi.Pair{{Key: "authorization", Value: "basic  dTpw "}}, reason.Allowed, "password"},
		"neither a session nor a refusal":     {all, with(map[string]wire.Answer{"introspection": {Feed: "f"}}), []abi.Pair{withToken("opaque")}, reason.SidecarAnswer, "introspection"},
		"claims that are none":                {all, with(map[string]wire.Answer{"introspection": {Session: &wire.Session{Access: "[]"}}}), []abi.Pair{withToken("opaque")}, reason.SidecarAnswer, "introspection"},
		"a step of a login":                   {all, with(map[string]wire.Answer{"introspection": {Code: reason.LoginStarted, Response: &wire.Response{Status: 302}}}), []abi.Pair{withToken("opaque")}, reason.SidecarAnswer, "introspection"},
		"in the order that is configured":     {[]bundle.Method{bundle.ClientCredentials, bundle.Password}, answers, []abi.Pair{withBasic("u:p")}, reason.Allowed, "client_credentials"},
		"a client's secret, refused, is last": {[]bundle.Method{bundle.ClientCredentials, bundle.Password}, with(map[string]wire.Answer{"client_credentials": refused}), []abi.Pair{withBasic("u:p")}, reason.CredentialRefused, "client_credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {inquiring("o", tt.methods...)}})
			s, asked := inquired(t, e, start, "r", tt.answers, tt.headers...)
			if s.Reason != tt.want || (s.Kind == Allow) != tt.want.Passes() || strings.Join(asked, " ") != tt.asked {
				t.Errorf("%v after %q, want %v after %q", s.Reason, asked, tt.want, tt.asked)
			}
		})
	}
}

// TestInquiryQuestion: what the sidecar is told, and nothing of what it must not be.
func TestInquiryQuestion(t *testing.T) {
	p := inquiring("o", bundle.Introspection)
	p.OIDC.Inquiry.Sent = []bundle.Sent{
		{Method: bundle.Introspection, Name: "tenant"}, {Method: bundle.Introspection, Header: true, Name: "x-tenant"},
		{Method: bundle.Introspection, Header: true, Name: "x-twice"}, {Method: bundle.Introspection, Header: true, Name: "x-long"},
		{Method: bundle.Introspection, Header: true, Name: "x-absent"}, {Method: bundle.Password, Header: true, Name: "x-other"},
	}
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {p}})
	headers := []abi.Pair{withToken("opaque"), {Key: "x-tenant", Value: "a"}, {Key: "x-other", Value: "b"}, {Key: "x-twice", Value: "1"},
		{Key: "x-twice", Value: "2"}, {Key: "x-long", Value: strings.Repeat("l", maxSentValue+1)}, {Key: "cookie", Value: "c=d"}}
	s := e.Start(&Request{Now: start, RouteState: RouteChosen, Route: "r", Headers: abi.Pairs(abi.AppendPairs(nil,
		append([]abi.Pair{{Key: ":authority", Value: "h"}, {Key: ":path", Value: "/?tenant=b%20c&more=1"}, {Key: ":method", Value: "GET"}}, headers...)))})
	want := wire.Question{Kind: wire.Inquire, Instance: "o", Generation: 1, Method: "introspection", Value: "opaque",
		Sent: []wire.Header{{Name: "tenant", Value: "b c"}, {Name: "x-tenant", Value: "a"}}}
	if s.Kind != Ask || fmt.Sprint(s.Question.Question) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", s.Question, want)
	}
}

// TestInquiriesAreRemembered: until the sidecar says, by everything that the answer
// depends on, and no longer than the sidecar is heard of.
func TestInquiriesAreRemembered(t *testing.T) {
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{
		"a": {inquiring("a", bundle.Introspection)}, "b": {inquiring("b", bundle.Introspection)},
		"c": {inquiring("c", bundle.Password, bundle.ClientCredentials)}})
	yes := map[string]wire.Answer{"introspection": active("opaque", "")}
	count := func(now int64, route string, answers map[string]wire.Answer, headers ...abi.Pair) int {
		t.Helper()
		_, asked := inquired(t, e, now, route, answers, headers...)
		return len(asked)
	}
	for i, tt := range []struct {
		now   int64
		route string
		token string
		asked int
	}{
		{start, "a", "opaque", 1}, {start, "a", "opaque", 0}, {start + 59, "a", "opaque", 0},
		{start, "b", "opaque", 1},             // another instance
		{start, "a", "opaquf", 1},             // another token
		{start + 61, "a", "opaque", 1},        // the sidecar has been silent for a minute
		{start + 100, "a", "opaque", 1},       // its time is over
		{start + 100, "a", "opaque-again", 1}, // which is the answer's own
	} {
		if got := count(tt.now, tt.route, yes, withToken(tt.token)); got != tt.asked {
			t.Errorf("%d: %d questions, want %d", i, got, tt.asked)
		}
	}
	e.Contact(start + 100)
	once := active("once", "")
	once.Session.Until = start + 100
	for range 2 {
		if got := count(start+100, "a", map[string]wire.Answer{"introspection": once}, withToken("once")); got != 1 {
			t.Errorf("an answer for once: %d questions", got)
		}
	}
	refused := map[string]wire.Answer{"introspection": refusedUntil(reason.TokenInactive, start+110)}
	for i, want := range []int{1, 0} {
		if got := count(start+100, "a", refused, withToken("bad")); got != want {
			t.Errorf("a refusal, %d: %d questions, want %d", i, got, want)
		}
	}
	if got := count(start+110, "a", refused, withToken("bad")); got != 1 {
		t.Errorf("a refusal whose time is over: %d questions", got)
	}
	far := map[string]wire.Answer{"introspection": refusedUntil(reason.TokenInactive, start+1e6)}
	count(start+100, "a", far, withToken("worse"))
	e.Contact(start + 100 + unknownLifetime)
	if got := count(start+100+unknownLifetime, "a", far, withToken("worse")); got != 1 {
		t.Errorf("a refusal for ever: %d questions", got)
	}
	ours := map[string]wire.Answer{"introspection": {Feed: "f", Code: reason.IssuerUnavailable, Until: start + 1e6}}
	for range 2 {
		if got := count(start+200, "a", ours, withToken("unlucky")); got != 1 {
			t.Errorf("trouble of ours: %d questions", got)
		}
	}
	// One credential is two to two methods.
	both := map[string]wire.Answer{"password": refusedUntil(reason.CredentialRefused, start+300), "client_credentials": fetched("t")}
	both["client_credentials"].Session.Until = start + 300
	for i, want := range []int{2, 0} {
		if got := count(start+200, "c", both, withBasic("u:p")); got != want {
			t.Errorf("two methods, %d: %d questions, want %d", i, got, want)
		}
	}
}

// A flood of credentials that are refused drives nothing out that is good.
func TestRefusalsHaveTheirPlace(t *testing.T) {
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"a": {inquiring("a", bundle.Introspection)}})
	e.refusals.limit = 10 << 10
	e.inquiries.limit = 20 << 10
	inquired(t, e, start, "a", map[string]wire.Answer{"introspection": active("good", "")}, withToken("good"))
	for i := range 1000 {
		inquired(t, e, start, "a", map[string]wire.Answer{"introspection": refusedUntil(reason.TokenInactive, start+60)}, withToken(fmt.Sprint("bad", i)))
	}
	if _, asked := inquired(t, e, start, "a", nil, withToken("good")); len(asked) > 0 {
		t.Error("the good one was forgotten")
	}
	if e.refusals.used > e.refusals.limit {
		t.Errorf("refusals take %d bytes of %d", e.refusals.used, e.refusals.limit)
	}
}

// What ends somebody's sessions ends what is remembered of their tokens, and whoever
// misses changes forgets everything.
func TestInquiriesEnd(t *testing.T) {
	yes := map[string]wire.Answer{"introspection": active("opaque", "")}
	for name, change := range map[string]wire.Changes{
		"revoked": {Feed: "f", Seq: 1, Revoked: []string{"x", "sub s"}}, "reset": {Feed: "f", Seq: 1, Reset: true}, "another feed": {Feed: "g"},
	} {
		e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"a": {inquiring("a", bundle.Introspection)}})
		inquired(t, e, start, "a", yes, withToken("opaque"))
		inquired(t, e, start, "a", map[string]wire.Answer{"introspection": refusedUntil(reason.TokenInactive, start+60)}, withToken("bad"))
		e.Apply(wire.Changes{Feed: "f", Seq: 1, Revoked: []string{"sub x"}})
		if _, asked := inquired(t, e, start, "a", yes, withToken("opaque")); len(asked) != 0 {
			t.Errorf("%s: ended by somebody else's logout", name)
		}
		e.Apply(change)
		if _, asked := inquired(t, e, start, "a", yes, withToken("opaque")); len(asked) != 1 {
			t.Errorf("%s: asked %q", name, asked)
		}
		if n := len(e.refusals.entries); (name == "revoked") != (n == 1) {
			t.Errorf("%s: %d refusals left", name, n)
		}
	}
}

// TestInquiredTokens: what is judged at every request, whatever the sidecar has said.
func TestInquiredTokens(t *testing.T) {
	for name, tt := range map[string]struct {
		claims string
		change func(c *bundle.OIDC)
		now    int64
		want   reason.Code
	}{
		"good":                     {``, nil, start, reason.Allowed},
		"ended":                    {`,"exp":1800000050`, nil, start + 50, reason.TokenExpired},
		"ended, with leeway":       {`,"exp":1800000050`, func(c *bundle.OIDC) { c.Leeway = 10 }, start + 55, reason.Allowed},
		"not begun":                {`,"nbf":1800000050`, nil, start, reason.TokenNotYetValid},
		"no number":                {`,"exp":"soon"`, nil, start, reason.ClaimInvalid},
		"for somebody else":        {`,"aud":"b"`, func(c *bundle.OIDC) { c.Audiences = []string{"a"} }, start, reason.AudienceMismatch},
		"for nobody":               {``, func(c *bundle.OIDC) { c.Audiences = []string{"a"} }, start, reason.AudienceMismatch},
		"a refresh token":          {`,"token_type":"refresh_token"`, nil, start, reason.TokenType},
		"of no type":               {`,"token_type":7`, nil, start, reason.TokenType},
		"of a proof of possession": {`,"token_type":"DPoP"`, nil, start, reason.TokenType},
		"an access token":          {`,"token_type":"bearer","token_use":"access_token"`, nil, start, reason.Allowed},
		"of an unsaid type":        {`,"token_type":null,"token_use":null`, nil, start, reason.Allowed},
		"for a refresh":            {`,"token_use":"refresh_token"`, nil, start, reason.TokenType},
		"Keycloak's refresh token": {`,"typ":"Refresh"`, nil, start, reason.TokenType},
		"an ID token":              {`,"at_hash":"x"`, nil, start, reason.TokenIsID},
		"for us":                   {`,"aud":["b","a"]`, func(c *bundle.OIDC) { c.Audiences = []string{"a"} }, start, reason.Allowed},
		"a claim that must not be": {`,"x":null`, func(c *bundle.OIDC) { c.Forbidden = []string{"y", "x"} }, start, reason.ClaimForbidden},
		"without it":               {`,"z":1`, func(c *bundle.OIDC) { c.Forbidden = []string{"y", "x"} }, start, reason.Allowed},
	} {
		t.Run(name, func(t *testing.T) {
			p := inquiring("a", bundle.Introspection)
			if tt.change != nil {
				tt.change(p.OIDC)
			}
			e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"a": {p}})
			for i := range 2 {
				s, asked := inquired(t, e, tt.now, "a", map[string]wire.Answer{"introspection": active("opaque", tt.claims)}, withToken("opaque"))
				if s.Reason != tt.want || len(asked) != 1-i {
					t.Errorf("%v after %q, want %v", s.Reason, asked, tt.want)
				}
			}
		})
	}
	p := inquiring("a", bundle.UserInfo)
	p.OIDC.Audiences = []string{"a"}
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"a": {p}})
	if s, _ := inquired(t, e, start, "a", map[string]wire.Answer{"userinfo": fetched("opaque")}, withToken("opaque")); s.Reason != reason.AudienceMismatch {
		t.Errorf("userinfo of a token for whomever: %v", s.Reason)
	}
}

// TestIntrospectedJWT: a token that is verified and has been taken back is refused.
func TestIntrospectedJWT(t *testing.T) {
	p := inquiring("a", bundle.Bearer)
	p.OIDC.Inquiry.IntrospectJWT = true
	v := &verdicts{say: wire.Valid}
	e := engineWith(t, v, map[string][]*bundle.Plugin{"a": {p}})
	good, bad := issued(""), issued(`,"n":1`)
	if s, asked := inquired(t, e, start, "a", map[string]wire.Answer{"introspection": active(good, "")}, withToken(good)); s.Kind != Allow || len(asked) != 1 {
		t.Errorf("active: %v after %q", s.Reason, asked)
	}
	if s, _ := inquired(t, e, start, "a", map[string]wire.Answer{"introspection": refusedUntil(reason.TokenInactive, 0)}, withToken(bad)); s.Reason != reason.TokenInactive {
		t.Errorf("taken back: %v", s.Reason)
	}
	v.say = wire.Invalid
	if s, asked := inquired(t, e, start, "a", nil, withToken(issued(`,"n":2`))); s.Reason != reason.SignatureInvalid || len(asked) != 0 {
		t.Errorf("forged: %v after %q", s.Reason, asked)
	}
}

// TestIDTokenBeside: an ID token says more about who comes with an access token, and
// nothing about anybody else.
func TestIDTokenBeside(t *testing.T) {
	id := func(claims string) map[string]wire.Answer {
		return map[string]wire.Answer{"id_token": {Feed: "f", Session: &wire.Session{Claims: claims, Until: start + 100}}}
	}
	beside := func(v string) abi.Pair { return abi.Pair{Key: "x-id", Value: v} }
	const sub, exp = `{"sub":"s",`, `"exp":1800000100`
	for name, tt := range map[string]struct {
		answers map[string]wire.Answer
		headers []abi.Pair
		want    reason.Code
		name    string
	}{
		"none":             {nil, nil, reason.Allowed, ""},
		"good":             {id(sub + exp + `,"name":"Alice"}`), []abi.Pair{beside("raw")}, reason.Allowed, "Alice"},
		"of somebody else": {id(`{"sub":"t",` + exp + `}`), []abi.Pair{beside("raw")}, reason.SubjectMismatch, ""},
		"of nobody":        {id(`{` + exp + `}`), []abi.Pair{beside("raw")}, reason.SubjectMismatch, ""},
		"ended":            {id(`{"sub":"s","exp":1800000000}`), []abi.Pair{beside("raw")}, reason.TokenExpired, ""},
		"without an end":   {id(`{"sub":"s"}`), []abi.Pair{beside("raw")}, reason.TokenExpired, ""},
		"refused":          {map[string]wire.Answer{"id_token": refusedUntil(reason.SignatureInvalid, 0)}, []abi.Pair{beside("raw")}, reason.SignatureInvalid, ""},
		"twice":            {nil, []abi.Pair{beside("raw"), beside("raw")}, reason.CredentialMultiple, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := inquiring("a", bundle.Bearer)
			p.OIDC.Inquiry.IDTokenHeader = "x-id"
			p.OIDC.Hide = []string{"x-id"}
			p.OIDC.Identity.Upstream = []bundle.ClaimHeader{{Header: "x-name", Claim: []string{"name"}}}
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"a": {p}})
			s, _ := inquired(t, e, start, "a", tt.answers, append(tt.headers, withToken(issued("")))...)
			if s.Reason != tt.want {
				t.Fatalf("%v, want %v", s.Reason, tt.want)
			}
			if tt.name != "" && (!slices.Contains(s.Edits.Set, abi.Pair{Key: "x-name", Value: tt.name}) || !slices.Contains(s.Edits.Remove, "x-id")) {
				t.Errorf("edits %+v", s.Edits)
			}
		})
	}
}

// TestFetchedTokens: the upstream gets the token that was fetched, and not what it was
// fetched for; a caller whose refresh token was replaced gets the new one.
func TestFetchedTokens(t *testing.T) {
	p := inquiring("a", bundle.RefreshToken, bundle.Password)
	p.OIDC.Hide = []string{"refresh-token"}
	p.OIDC.Identity.Tokens = append(p.OIDC.Identity.Tokens, bundle.TokenHeader{Header: "refresh-token", Token: "refresh_token", Response: true})
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"a": {p}})
	s, _ := inquired(t, e, start, "a", map[string]wire.Answer{"password": fetched("the token")}, withBasic("u:p"))
	if s.Kind != Allow || !slices.Contains(s.Edits.Set, abi.Pair{Key: "authorization", Value: "Bearer the token"}) {
		t.Errorf("a password: %v %+v", s.Reason, s.Edits)
	}
	answer := fetched("another")
	answer.Session.Refresh = "the next one"
	s, _ = inquired(t, e, start, "a", map[string]wire.Answer{"refresh_token": answer}, abi.Pair{Key: "refresh-token", Value: "the last one"})
	if s.Kind != Allow || !slices.Contains(s.Edits.Set, abi.Pair{Key: "authorization", Value: "Bearer another"}) ||
		!slices.Contains(s.Edits.Remove, "refresh-token") || !slices.Contains(s.Edits.Response, abi.Pair{Key: "refresh-token", Value: "the next one"}) {
		t.Errorf("a refresh token: %v %+v", s.Reason, s.Edits)
	}
}

// A token of an algorithm that the file does not allow is not asked about, one with HMAC
// is.
func TestPinnedAlgorithms(t *testing.T) {
	p := inquiring("o", bundle.Bearer, bundle.Introspection)
	p.OIDC.Algorithms = []jose.Alg{jose.ES256}
	e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {p}})
	if s, asked := inquired(t, e, start, "r", nil, withToken(issued(""))); s.Reason != reason.AlgorithmMismatch || len(asked) > 0 {
		t.Errorf("%v after %q", s.Reason, asked)
	}
	if s, asked := inquired(t, e, start, "r", map[string]wire.Answer{"introspection": active("t", "")}, withToken(secretToken("i", ""))); s.Kind != Allow || len(asked) != 1 {
		t.Errorf("HMAC: %v after %q", s.Reason, asked)
	}
}
