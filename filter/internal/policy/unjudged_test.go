package policy

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// TestIDTokensOutliveTheRequest: the memory of a request's headers is written over while
// a later plugin of its chain waits for an answer.
func TestIDTokensOutliveTheRequest(t *testing.T) {
	p := inquiring("a", bundle.Bearer)
	p.OIDC.Inquiry.IDTokenHeader = "x-id"
	p.OIDC.Identity.Tokens = []bundle.TokenHeader{{Header: "x-identity", Token: "id_token"}}
	k := &bundle.Plugin{ID: "k", KeyAuth: &bundle.KeyAuth{Common: bundle.Common{HeaderNames: []string{"apikey"}}}}
	e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"a": {p}, "b": {p, k}})
	beside := abi.Pair{Key: "x-id", Value: "the ID token of alice"}
	id := map[string]wire.Answer{"id_token": {Feed: "f", Session: &wire.Session{Claims: `{"sub":"s","exp":1800000100}`, Until: start + 100}}}
	if s, _ := inquired(t, e, start, "a", id, beside, withToken(issued(""))); s.Kind != Allow {
		t.Fatal(s.Reason)
	}
	memory := abi.AppendPairs(nil, []abi.Pair{{Key: ":authority", Value: "h"}, {Key: ":path", Value: "/"}, {Key: ":method", Value: "GET"},
		beside, withToken(issued("")), {Key: "apikey", Value: "key"}})
	s := e.Start(&Request{Now: start, RouteState: RouteChosen, Route: "b", Headers: abi.Pairs(unsafe.String(&memory[0], len(memory)))})
	if s.Kind != Ask || s.Question.Kind != wire.APIKey {
		t.Fatal(s.Kind, s.Reason)
	}
	for i := range memory {
		memory[i] = '#'
	}
	s = e.Resume(s.Pending, s.Question, wire.Answer{Feed: "f", Credential: &bundle.Credential{ID: "c", Consumer: guest}}, reason.Unspecified, start)
	if s.Kind != Allow || !slices.Contains(s.Edits.Set, abi.Pair{Key: "x-identity", Value: "the ID token of alice"}) {
		t.Errorf("%v %+v", s.Reason, s.Edits.Set)
	}
}

// TestUnjudgedBesideOthers: behind a plugin that judges bearer tokens, by whatever
// method, an upstream believes those that reach it.
func TestUnjudgedBesideOthers(t *testing.T) {
	for _, m := range []bundle.Method{bundle.Introspection, bundle.UserInfo} {
		p := sessionPlugin("a")
		p.OIDC.Methods, p.OIDC.Identity = []bundle.Method{bundle.Session, m}, bundle.Identity{}
		p.OIDC.Inquiry = &bundle.Inquiry{}
		e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {p}})
		s := opened(t, e, start, "r", sessionAnswer("alice"), withToken("forged"), sealed("x"))
		if s.Kind != Allow || !slices.Contains(s.Edits.Remove, "authorization") {
			t.Errorf("a session and %v: %v, removed %q", m, s.Reason, s.Edits.Remove)
		}
	}
	for name, token := range map[string]string{"not looked at": issued(""), "left to others": secretToken("i", "")} {
		p := inquiring("a", bundle.RefreshToken, bundle.Bearer)
		if name == "left to others" {
			p.OIDC.Methods = []bundle.Method{bundle.Bearer, bundle.RefreshToken}
		}
		p.OIDC.Identity = bundle.Identity{}
		e := engineWith(t, &verdicts{say: wire.Invalid}, map[string][]*bundle.Plugin{"r": {p}})
		s, _ := inquired(t, e, start, "r", map[string]wire.Answer{"refresh_token": fetched("of mallory")},
			withToken(token), abi.Pair{Key: "refresh-token", Value: "mallory's"})
		if s.Kind == Allow && !slices.Contains(s.Edits.Remove, "authorization") {
			t.Errorf("a refresh token and a bearer token that is %s: %v, removed %q", name, s.Reason, s.Edits.Remove)
		}
	}
}

// TestRespelledTokens: a JWT that would be refused for what it says must not be judged
// by less because it is written in another way.
func TestRespelledTokens(t *testing.T) {
	p := inquiring("a", bundle.Bearer, bundle.UserInfo)
	p.OIDC.Forbidden = []string{"act"}
	e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"a": {p}})
	token := jws(issuedHeader, `{"iss":"i","sub":"s","exp":1800001000,"act":"x"}`, strings.Repeat("s", 256))
	answers := map[string]wire.Answer{"userinfo": {Feed: "f", Session: &wire.Session{Info: `{"sub":"s"}`, Access: "{}", Opaque: true}}}
	if s, _ := inquired(t, e, start, "a", answers, withToken(token)); s.Reason != reason.ClaimForbidden {
		t.Fatal(s.Reason)
	}
	last := strings.LastIndexByte(token, '.') + 1
	raw, _ := base64.RawURLEncoding.DecodeString(token[last:])
	respelled := token[:len(token)-1] + string(token[len(token)-1]+1)
	if again, _ := base64.RawURLEncoding.DecodeString(respelled[last:]); string(again) != string(raw) {
		t.Fatal("another signature")
	}
	for name, tok := range map[string]string{"loose bits": respelled, "padded": token + "=="} {
		if s, _ := inquired(t, e, start, "a", answers, withToken(tok)); s.Kind == Allow {
			t.Errorf("%s: %v", name, s.Reason)
		}
	}
}

// TestUnboundIDTokens: an ID token that nothing ties to the access token is somebody's.
func TestUnboundIDTokens(t *testing.T) {
	p := inquiring("a", bundle.Introspection)
	p.OIDC.Inquiry.IDTokenHeader = "x-id"
	p.OIDC.Identity.Upstream = []bundle.ClaimHeader{{Header: "x-mail", Claim: []string{"email"}}}
	e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"a": {p}})
	answers := map[string]wire.Answer{
		"introspection": {Feed: "f", Session: &wire.Session{Access: `{"active":true,"client_id":"mallory"}`, Token: "t", Introspected: true}},
		"id_token":      {Feed: "f", Session: &wire.Session{Claims: `{"sub":"alice","email":"alice@example.com","exp":1800000100}`}},
	}
	if s, _ := inquired(t, e, start, "a", answers, withToken("t"), abi.Pair{Key: "x-id", Value: "alice's"}); s.Kind == Allow {
		t.Errorf("%v, %v", s.Reason, s.Edits.Set)
	}
}

// TestUnjudgedIDTokens: an ID token that nobody has judged does not reach an
// upstream which reads them, in whatever spelling.
func TestUnjudgedIDTokens(t *testing.T) {
	for _, name := range []string{"x-id", "x_id"} {
		p := sessionPlugin("a")
		p.OIDC.Methods = []bundle.Method{bundle.Session, bundle.Bearer}
		p.OIDC.Inquiry = &bundle.Inquiry{IDTokenHeader: "x-id"}
		p.OIDC.Identity = bundle.Identity{}
		e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {p}})
		s := opened(t, e, start, "r", sessionAnswer("alice"), abi.Pair{Key: name, Value: "forged"}, sealed("x"))
		if s.Kind == Allow && !slices.Contains(s.Edits.Remove, name) {
			t.Errorf("session, %s: removed %q", name, s.Edits.Remove)
		}
		s = ask(e, start, "r", abi.Pair{Key: name, Value: "forged"}, withToken(issued("")))
		if s.Kind == Allow && !slices.Contains(s.Edits.Remove, name) {
			t.Errorf("bearer, %s: removed %q", name, s.Edits.Remove)
		}
	}
}

// TestHiddenPasswords: what is to stay here stays here, also when it was not enough, or
// not needed.
func TestHiddenPasswords(t *testing.T) {
	p := inquiring("a", bundle.Password)
	p.OIDC.Hide = []string{"authorization"}
	p.OIDC.Anonymous = guest
	k := &bundle.Plugin{ID: "k", KeyAuth: &bundle.KeyAuth{Common: bundle.Common{HeaderNames: []string{"apikey"}, Anonymous: guest}}}
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"a": {p}, "b": {k, p}})
	s, _ := inquired(t, e, start, "a", map[string]wire.Answer{"password": refusedUntil(reason.CredentialRefused, 0)}, withBasic("u:p"))
	if s.Reason != reason.AllowedAnonymous || !slices.Contains(s.Edits.Remove, "authorization") {
		t.Errorf("anonymous: %v, removed %q", s.Reason, s.Edits.Remove)
	}
	s = ask(e, start, "b", withBasic("u:p"), abi.Pair{Key: "apikey", Value: "key"})
	s = e.Resume(s.Pending, s.Question, wire.Answer{Feed: "f", Credential: &bundle.Credential{ID: "c", Consumer: guest}}, reason.Unspecified, start)
	if s.Reason != reason.Allowed || !slices.Contains(s.Edits.Remove, "authorization") {
		t.Errorf("a key: %v, removed %q", s.Reason, s.Edits.Remove)
	}
}
