package policy

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

const start = 1_800_000_000

// verdicts is a Verifier that says what it is told to, and counts.
type verdicts struct {
	say   wire.Verdict
	calls int
	keys  []string
}

func (v *verdicts) Verify(_ jose.Alg, der, _, _ string) wire.Verdict {
	v.calls++
	v.keys = append(v.keys, der)
	return v.say
}

// jws is a token with a signature that nobody checks.
func jws(header, claims, signature string) string {
	b := base64.RawURLEncoding.EncodeToString
	return b([]byte(header)) + "." + b([]byte(claims)) + "." + b([]byte(signature))
}

func ask(e *Engine, now int64, route string, headers ...abi.Pair) *Step {
	headers = append([]abi.Pair{{Key: ":authority", Value: "h"}, {Key: ":path", Value: "/"}, {Key: ":method", Value: "GET"}}, headers...)
	return e.Start(&Request{Now: now, RouteState: RouteChosen, Route: route, Headers: abi.Pairs(abi.AppendPairs(nil, headers))})
}

func withToken(token string) abi.Pair {
	return abi.Pair{Key: "authorization", Value: "Bearer " + token}
}

var (
	guest      = &bundle.Consumer{ID: "g", Username: "guest"}
	headerOnly = bundle.Common{HeaderNames: []string{"authorization"}}
)

// engineWith returns an engine with one route per name and chain.
func engineWith(t *testing.T, v Verifier, routes map[string][]*bundle.Plugin) *Engine {
	t.Helper()
	e := New(v, Config{})
	b := &bundle.Bundle{Epoch: "e", Generation: 1, Routes: map[string]*bundle.Route{}}
	for name, chain := range routes {
		b.Routes[name] = &bundle.Route{Name: name, Chain: chain}
		for _, p := range chain {
			b.Plugins = append(b.Plugins, p)
			if p.OIDC != nil {
				b.Trust = append(b.Trust, p.OIDC.Trust)
			}
		}
	}
	if err := e.SetBundle(b, "etag", start); err != nil {
		t.Fatal(err)
	}
	e.Apply(wire.Changes{Feed: "f"})
	return e
}

func oidcPlugin(id string, common bundle.Common, keys ...bundle.Key) *bundle.Plugin {
	return &bundle.Plugin{ID: id, OIDC: &bundle.OIDC{Common: common, TrustID: "t" + id, Methods: []bundle.Method{bundle.Bearer},
		Trust: &bundle.Trust{ID: "t" + id, Hash: "h" + id, Issuers: []string{"i"}, Keys: keys}}}
}

func jwtPlugin(id string, common bundle.Common) *bundle.Plugin {
	return &bundle.Plugin{ID: id, JWT: &bundle.JWT{Common: common, KeyClaim: "iss"}}
}

func rsaKey(kid string) bundle.Key {
	return bundle.Key{ID: kid, DER: "der of " + kid, Alg: []jose.Alg{jose.RS256}}
}

const issuedHeader = `{"alg":"RS256","kid":"k"}`

func issued(more string) string {
	return jws(issuedHeader, `{"iss":"i","sub":"s","exp":1800001000`+more+`}`, "signature")
}

func lookup(key string, verdict wire.Verdict) wire.Answer {
	return wire.Answer{Feed: "f", Verdict: verdict, Credential: &bundle.Credential{ID: "c", Key: key, Version: "1",
		Alg: []jose.Alg{jose.HS256}, Consumer: &bundle.Consumer{ID: "id", Username: "user of " + key}}}
}

func secretToken(iss, more string) string {
	return jws(`{"alg":"HS256"}`, `{"iss":"`+iss+`"`+more+`}`, strings.Repeat("s", 32))
}

func TestZeroStepDenies(t *testing.T) {
	if s := (Step{}); s.Kind != Deny || s.Reason.Passes() {
		t.Error("the zero Step lets a request pass")
	}
	e := New(&verdicts{say: wire.Valid}, Config{})
	if s := ask(e, start, "r"); s.Kind != Deny || s.Reason != reason.BundleMissing || s.Response.Status != 503 {
		t.Errorf("without a bundle: %+v", s)
	}
}

func TestRouteStates(t *testing.T) {
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": nil})
	e.bundle.Routes["broken"] = &bundle.Route{Name: "broken", Broken: "why"}
	e.bundle.Routes["https"] = &bundle.Route{Name: "https", RequireHTTPS: 301}
	e.bundle.Routes["grpc"] = &bundle.Route{Name: "grpc", GRPC: true}
	headers := abi.Pairs(abi.AppendPairs(nil, []abi.Pair{{Key: ":authority", Value: "h"}, {Key: ":path", Value: "/p?q"}, {Key: ":method", Value: "GET"}}))
	for _, tt := range []struct {
		req    Request
		want   reason.Code
		status int
	}{
		{Request{RouteState: RouteChosen, Route: "r", Headers: headers}, reason.Unprotected, 0},
		{Request{RouteState: RouteUnreadable, Route: "r", Headers: headers}, reason.HostFailure, 503},
		{Request{RouteState: RouteNone, Route: "r", Headers: headers}, reason.RouteNotFound, 404},
		{Request{RouteState: RouteChosen, Route: "", Headers: headers}, reason.RouteUnnamed, 503},
		{Request{RouteState: RouteChosen, Route: "other", Headers: headers}, reason.RouteStale, 503},
		{Request{RouteState: RouteChosen, Route: "broken", Headers: headers}, reason.ChainBroken, 503},
		{Request{RouteState: RouteChosen, Route: "https", Headers: headers}, reason.HTTPSRequired, 301},
		{Request{RouteState: RouteChosen, Route: "grpc", Headers: headers}, reason.ProtocolMismatch, 415},
		{Request{RouteState: RouteChosen, Route: "r"}, reason.HostFailure, 503},
		{Request{RouteState: RouteChosen, Route: "r", Headers: headers[:len(headers)-1]}, reason.HostFailure, 503},
		{Request{RouteState: RouteState(9), Route: "r", Headers: headers}, reason.HostFailure, 503},
	} {
		s := e.Start(&tt.req)
		if s.Reason != tt.want || s.Response.Status != tt.status {
			t.Errorf("%+v: %v with %d, want %v with %d", tt.req, s.Reason, s.Response.Status, tt.want, tt.status)
		}
	}
	s := e.Start(&Request{RouteState: RouteChosen, Route: "https", Headers: headers})
	if len(s.Response.Headers) != 1 || s.Response.Headers[0].Value != "https://h/p?q" {
		t.Errorf("redirected to %v", s.Response.Headers)
	}
}

// TestChains: a plugin without an anonymous consumer has to accept, one with it
// may; our own trouble never becomes anonymous.
func TestChains(t *testing.T) {
	anonymous := headerOnly
	anonymous.Anonymous = guest
	strict, lax := oidcPlugin("strict", headerOnly, rsaKey("k")), oidcPlugin("lax", anonymous, rsaKey("k"))
	down := oidcPlugin("down", anonymous)
	down.OIDC.Trust.Unavailable = "gone"
	other := oidcPlugin("other", anonymous, rsaKey("k"))
	other.OIDC.Trust.Issuers = []string{"another"}
	preflight := headerOnly
	preflight.SkipPreflight = true
	for name, tt := range map[string]struct {
		chain []*bundle.Plugin
		token bool
		want  reason.Code
	}{
		"strict, token":             {[]*bundle.Plugin{strict}, true, reason.Allowed},
		"strict, none":              {[]*bundle.Plugin{strict}, false, reason.CredentialMissing},
		"lax, none":                 {[]*bundle.Plugin{lax}, false, reason.AllowedAnonymous},
		"lax and strict, none":      {[]*bundle.Plugin{lax, strict}, false, reason.CredentialMissing},
		"strict and lax, token":     {[]*bundle.Plugin{strict, lax}, true, reason.Allowed},
		"two, the second accepts":   {[]*bundle.Plugin{other, lax}, true, reason.Allowed},
		"two, the first accepts":    {[]*bundle.Plugin{lax, other}, true, reason.Allowed},
		"issuer down, anonymous":    {[]*bundle.Plugin{down}, true, reason.IssuerUnavailable},
		"down behind one that took": {[]*bundle.Plugin{lax, down}, true, reason.Allowed},
		"neither plugin":            {[]*bundle.Plugin{{ID: "x", JWT: nil, OIDC: nil}}, true, reason.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); p != nil && name != "neither plugin" {
					t.Fatal(p)
				}
			}()
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": tt.chain})
			var headers []abi.Pair
			if tt.token {
				headers = append(headers, withToken(issued("")))
			}
			s := ask(e, start, "r", headers...)
			if s.Reason != tt.want || (s.Kind == Allow) != tt.want.Passes() {
				t.Errorf("%v, kind %v, want %v", s.Reason, s.Kind, tt.want)
			}
		})
	}
}

// TestResume: a question is answered once, by its own answer, for its own engine;
// whatever else happens is 503.
func TestResume(t *testing.T) {
	anonymous := headerOnly
	anonymous.Anonymous = guest
	for name, common := range map[string]bundle.Common{"strict": headerOnly, "anonymous": anonymous} {
		t.Run(name, func(t *testing.T) {
			e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {jwtPlugin("j", common)}})
			first := func() *Step {
				s := ask(e, start, "r", withToken(secretToken("a", "")))
				if s.Kind != Ask || s.Question.Key != "a" || s.Question.Input == "" {
					t.Fatalf("no question: %+v", s)
				}
				c := *s
				return &c
			}
			for _, code := range []reason.Code{reason.SidecarUnreachable, reason.SidecarAnswer, reason.SidecarVersion, reason.HostFailure, reason.Overloaded} {
				s := first()
				if got := e.Resume(s.Pending, s.Question, lookup("a", wire.Valid), code, start); got.Kind != Deny || got.Response.Status != 503 || got.Reason != code {
					t.Errorf("%v: %+v", code, got)
				}
			}
			for what, answer := range map[string]wire.Answer{
				"nothing": {}, "another key": lookup("b", wire.Valid), "a verdict alone": {Verdict: wire.Valid},
				"ours": {Code: reason.SidecarRefused}, "throttled": {Code: reason.KeysThrottled},
			} {
				s := first()
				got := e.Resume(s.Pending, s.Question, answer, reason.Unspecified, start)
				for i := 0; got.Kind == Ask && i < 4; i++ {
					got = e.Resume(got.Pending, got.Question, answer, reason.Unspecified, start)
				}
				if got.Kind != Deny || got.Response.Status != 503 {
					t.Errorf("%s: %+v", what, got)
				}
			}
			s, other := first(), ask(e, start, "r", withToken(secretToken("b", "")))
			if got := e.Resume(s.Pending, other.Question, lookup("a", wire.Valid), reason.Unspecified, start); got.Reason != reason.Internal {
				t.Errorf("another question's answer: %v", got.Reason)
			}
			s = first()
			if got := New(&verdicts{}, Config{}).Resume(s.Pending, s.Question, lookup("a", wire.Valid), reason.Unspecified, start); got.Reason != reason.Internal {
				t.Errorf("another engine: %v", got.Reason)
			}
			if got := e.Resume(nil, s.Question, lookup("a", wire.Valid), reason.Unspecified, start); got.Reason != reason.Internal {
				t.Errorf("nothing pending: %v", got.Reason)
			}
			pending := s.Pending
			if got := e.Resume(pending, s.Question, lookup("a", wire.Valid), reason.Unspecified, start); got.Reason != reason.Allowed {
				t.Errorf("the answer: %v", got.Reason)
			}
			if got := e.Resume(pending, s.Question, lookup("a", wire.Valid), reason.Unspecified, start); got.Reason != reason.Internal {
				t.Errorf("the answer a second time: %v", got.Reason)
			}
		})
	}
}

// TestVerdictsAreOfOneToken: an answer to a question that another request asked
// brings the credential, not the verdict.
func TestVerdictsAreOfOneToken(t *testing.T) {
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {jwtPlugin("j", headerOnly)}})
	one := *ask(e, start, "r", withToken(secretToken("a", `,"n":1`)))
	two := *ask(e, start, "r", withToken(secretToken("a", `,"n":2`)))
	if one.Question.Identity != two.Question.Identity {
		t.Fatal("two questions for one credential")
	}
	if s := e.Resume(one.Pending, one.Question, lookup("a", wire.Valid), reason.Unspecified, start); s.Reason != reason.Allowed {
		t.Fatal(s.Reason)
	}
	s := e.Resume(two.Pending, one.Question, lookup("a", wire.Valid), reason.Unspecified, start)
	if s.Kind != Ask || s.Question.Kind != wire.Verify || s.Question.Credential != "a" {
		t.Fatalf("the second token: %+v", s)
	}
	if s = e.Resume(s.Pending, s.Question, wire.Answer{Verdict: wire.Invalid}, reason.Unspecified, start); s.Reason != reason.SignatureInvalid || s.Response.Status != 401 {
		t.Errorf("the second token: %v", s.Reason)
	}
	for n, want := range map[int]Kind{1: Allow, 2: Ask} { // what is remembered, and what is not
		if s := ask(e, start, "r", withToken(secretToken("a", fmt.Sprintf(`,"n":%d`, n)))); s.Kind != want {
			t.Errorf("token %d again: kind %v, want %v", n, s.Kind, want)
		}
	}
}

// TestGraceTimes: without a sign of the sidecar credentials are good for a minute,
// issuers' keys for a day; routes without plugins always pass.
func TestGraceTimes(t *testing.T) {
	e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{
		"secret": {jwtPlugin("j", headerOnly)}, "issuer": {oidcPlugin("o", headerOnly, rsaKey("k"))}, "open": nil})
	s := *ask(e, start, "secret", withToken(secretToken("a", "")))
	e.Resume(s.Pending, s.Question, lookup("a", wire.Valid), reason.Unspecified, start)
	long := jws(issuedHeader, `{"iss":"i","exp":1900000000}`, "signature")
	for _, tt := range []struct {
		route, token string
		after        int64
		want         reason.Code
	}{
		{"secret", secretToken("a", ""), 60, reason.Allowed},
		{"secret", secretToken("a", ""), 61, reason.SidecarUnreachable},
		{"secret", secretToken("new", ""), 61, reason.SidecarUnreachable},
		{"issuer", long, 24 * 3600, reason.Allowed},
		{"issuer", long, 24*3600 + 1, reason.SidecarUnreachable},
		{"open", "", 1 << 40, reason.Unprotected},
	} {
		if s := ask(e, start+tt.after, tt.route, withToken(tt.token)); s.Reason != tt.want {
			t.Errorf("%s after %d s: %v, want %v", tt.route, tt.after, s.Reason, tt.want)
		}
	}
	e.Contact(start + 61)
	if s := ask(e, start+62, "secret", withToken(secretToken("a", ""))); s.Reason != reason.Allowed {
		t.Errorf("after a sign of life: %v", s.Reason)
	}
}
