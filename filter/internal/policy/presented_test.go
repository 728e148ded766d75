package policy

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

var (
	keyPlugin   = &bundle.Plugin{ID: "k", KeyAuth: &bundle.KeyAuth{Common: bundle.Common{HeaderNames: []string{"apikey"}, QueryNames: []string{"apikey"}}}}
	basicPlugin = &bundle.Plugin{ID: "b", BasicAuth: &bundle.BasicAuth{Common: bundle.Common{Realm: "service"}}}
)

// Both kinds, in a request: an API key, and alice with the password x.
var (
	theKey = abi.Pair{Key: "apikey", Value: "a-key-of-alice"}
	aBasic = abi.Pair{Key: "authorization", Value: "Basic YWxpY2U6eA=="}
)

func secretsEngine(t *testing.T) *Engine {
	t.Helper()
	return engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"key": {keyPlugin}, "basic": {basicPlugin},
		"both": {keyPlugin, basicPlugin}, "query": {keyPlugin}})
}

func held(id string, expires int64) wire.Answer {
	return wire.Answer{Feed: "f", Credential: &bundle.Credential{ID: id, Version: "1", Expires: expires, Consumer: &bundle.Consumer{ID: "c", Username: "alice"}}}
}

// must ask asks, and answers.
func mustAsk(t *testing.T, e *Engine, s *Step, kind wire.Kind, answer wire.Answer, now int64) *Step {
	t.Helper()
	if s.Kind != Ask || s.Question.Kind != kind {
		t.Fatalf("%v %v %+v, want a question", s.Kind, s.Reason, s.Question)
	}
	return e.Resume(s.Pending, s.Question, answer, reason.Unspecified, now)
}

func want(t *testing.T, s *Step, code reason.Code) {
	t.Helper()
	if s.Kind == Ask || s.Reason != code {
		t.Fatalf("kind %v, %v, want %v", s.Kind, s.Reason, code)
	}
}

// What a secret opens is remembered by its bytes, no longer than is allowed, and judged
// at every request.
func TestSecretsAreRemembered(t *testing.T) {
	for _, tt := range []struct {
		route  string
		secret abi.Pair
		kind   wire.Kind
		other  abi.Pair // as long, and nearly the same
		prefix string
	}{
		{"key", theKey, wire.APIKey, abi.Pair{Key: "apikey", Value: "a-key-of-alicf"}, bundle.KeyPrefix},
		{"basic", aBasic, wire.Password, abi.Pair{Key: "authorization", Value: "Basic YWxpY2U6eQ=="}, bundle.BasicPrefix},
	} {
		t.Run(tt.route, func(t *testing.T) {
			e := secretsEngine(t)
			want(t, mustAsk(t, e, ask(e, start, tt.route, tt.secret), tt.kind, held("1", start+100), start), reason.Allowed)
			want(t, ask(e, start+59, tt.route, tt.secret), reason.Allowed)

			// Another secret is another question, and what comes of it is remembered apart.
			unknown := wire.Answer{Feed: "f", Code: reason.CredentialUnknown}
			want(t, mustAsk(t, e, ask(e, start, tt.route, tt.other), tt.kind, unknown, start), reason.CredentialUnknown)
			want(t, ask(e, start+59, tt.route, tt.other), reason.CredentialUnknown)
			want(t, ask(e, start+59, tt.route, tt.secret), reason.Allowed)
			e.Contact(start + 60)
			if s := ask(e, start+60, tt.route, tt.other); s.Kind != Ask {
				t.Errorf("a refusal is remembered for ever: %v", s.Reason)
			}

			// The sidecar is gone: so long it may be, and no longer, for refusals as for passes.
			want(t, ask(e, start+99, tt.route, tt.secret), reason.Allowed)
			want(t, ask(e, start+121, tt.route, tt.secret), reason.SidecarUnreachable)

			// Expiry is judged by the clock of the request.
			e.Contact(start + 100)
			if s := ask(e, start+100, tt.route, tt.secret); s.Kind != Ask {
				t.Fatalf("remembered past its time: %v", s.Reason)
			} else {
				want(t, mustAsk(t, e, s, tt.kind, held("1", start+100), start+100), reason.CredentialExpired)
			}
			want(t, ask(e, start+101, tt.route, tt.secret), reason.CredentialExpired) // without a question

			// A change of another credential ends refusals, one of its own what it rests on.
			e.Apply(wire.Changes{Feed: "f", Seq: 1, Credentials: []string{tt.prefix + "2"}})
			e.Contact(start + 101)
			later := held("1", 0)
			later.Seq = 1
			want(t, mustAsk(t, e, ask(e, start+101, tt.route, tt.secret), tt.kind, later, start+101), reason.Allowed)
			e.Apply(wire.Changes{Feed: "f", Seq: 2, Credentials: []string{tt.prefix + "2", "1", "other:1"}})
			want(t, ask(e, start+101, tt.route, tt.secret), reason.Allowed)
			e.Apply(wire.Changes{Feed: "f", Seq: 3, Credentials: []string{tt.prefix + "1"}})
			s := ask(e, start+101, tt.route, tt.secret)
			want(t, mustAsk(t, e, s, tt.kind, later, start+101), reason.Allowed) // of a time before the change: used once
			if s := ask(e, start+101, tt.route, tt.secret); s.Kind != Ask {
				t.Errorf("an answer from before a change is remembered: %v", s.Reason)
			}
		})
	}
}

// Answers that do not say what they should, and our own trouble, deny.
func TestSecretsAndOddAnswers(t *testing.T) {
	nobodys := held("1", 0)
	nobodys.Credential.Consumer = nil
	for name, tt := range map[string]struct {
		answer wire.Answer
		want   reason.Code
		status int
	}{
		"nothing":             {wire.Answer{Feed: "f"}, reason.SidecarAnswer, 503},
		"a verdict":           {wire.Answer{Feed: "f", Verdict: wire.Valid}, reason.SidecarAnswer, 503},
		"a consumer":          {wire.Answer{Feed: "f", Consumer: guest}, reason.SidecarAnswer, 503},
		"nobody's":            {nobodys, reason.ConsumerUnknown, 401},
		"expired":             {held("1", start), reason.CredentialExpired, 401},
		"overloaded":          {wire.Answer{Feed: "f", Code: reason.Overloaded}, reason.Overloaded, 503},
		"refused":             {wire.Answer{Feed: "f", Code: reason.SidecarRefused}, reason.SidecarRefused, 503},
		"wrong":               {wire.Answer{Feed: "f", Code: reason.PasswordWrong}, reason.PasswordWrong, 401},
		"unknown":             {wire.Answer{Feed: "f", Code: reason.CredentialUnknown}, reason.CredentialUnknown, 401},
		"a code and an owner": {wire.Answer{Feed: "f", Code: reason.CredentialUnknown, Credential: held("1", 0).Credential}, reason.CredentialUnknown, 401},
	} {
		for route, secret := range map[string]abi.Pair{"key": theKey, "basic": aBasic} {
			e := secretsEngine(t)
			s := ask(e, start, route, secret)
			s = e.Resume(s.Pending, s.Question, tt.answer, reason.Unspecified, start)
			if s.Kind != Deny || s.Reason != tt.want || s.Response.Status != tt.status {
				t.Errorf("%s, %s: %v %v with %d, want %v", route, name, s.Kind, s.Reason, s.Response.Status, tt.want)
			}
			if again := ask(e, start, route, secret); tt.status == 503 && again.Kind != Ask {
				t.Errorf("%s, %s: our trouble is remembered: %v", route, name, again.Reason)
			}
		}
	}
	// No answer at all, and none of another request's.
	e := secretsEngine(t)
	s := ask(e, start, "key", theKey)
	want(t, e.Resume(s.Pending, s.Question, wire.Answer{}, reason.SidecarUnreachable, start), reason.SidecarUnreachable)
	first := *ask(e, start, "key", theKey)
	second := *ask(e, start, "key", abi.Pair{Key: "apikey", Value: "another"})
	if first.Question.Identity == second.Question.Identity {
		t.Error("two keys wait for one answer")
	}
	want(t, e.Resume(second.Pending, first.Question, held("1", 0), reason.Unspecified, start), reason.Internal)
	if twin := ask(e, start, "key", theKey); twin.Question.Identity != first.Question.Identity {
		t.Error("one key is asked for twice")
	}
}

// The memory of a request is gone when the answer comes.
func TestSecretsOutliveTheRequest(t *testing.T) {
	e := secretsEngine(t)
	raw := abi.AppendPairs(nil, []abi.Pair{{Key: ":authority", Value: "h"}, {Key: ":path", Value: "/"}, {Key: ":method", Value: "GET"}, theKey})
	s := e.Start(&Request{Now: start, RouteState: RouteChosen, Route: "key", Headers: abi.Pairs(raw)})
	if s.Question.Value != theKey.Value {
		t.Fatalf("asked for %q", s.Question.Value)
	}
	want(t, e.Resume(s.Pending, s.Question, held("1", 0), reason.Unspecified, start), reason.Allowed)
	for i := range raw {
		raw[i] = 'x'
	}
	want(t, ask(e, start, "key", theKey), reason.Allowed)
}

// A flood of wrong secrets drives out no good one, and takes no more memory than is
// given to it.
func TestSecretsUnderFlood(t *testing.T) {
	e := secretsEngine(t)
	want(t, mustAsk(t, e, ask(e, start, "key", theKey), wire.APIKey, held("1", 0), start), reason.Allowed)
	want(t, mustAsk(t, e, ask(e, start, "basic", aBasic), wire.Password, held("1", 0), start), reason.Allowed)
	unknown := wire.Answer{Feed: "f", Code: reason.CredentialUnknown}
	for i := range 5000 {
		s := ask(e, start, "key", abi.Pair{Key: "apikey", Value: strings.Repeat("k", 400) + string(rune('a'+i%26)) + strings.Repeat("x", i/26%100) + string(rune('a'+i/2600))})
		if s.Kind == Ask {
			e.Resume(s.Pending, s.Question, unknown, reason.Unspecified, start)
		}
	}
	if used, limit := e.secrets.bad.used, e.secrets.bad.limit; used > limit || limit == 0 {
		t.Errorf("%d bytes of %d", used, limit)
	}
	want(t, ask(e, start, "both", theKey, aBasic), reason.Allowed)
}

// Fingerprints that are equal make secrets take turns, and never stand for each other.
func TestEqualFingerprints(t *testing.T) {
	e := secretsEngine(t)
	at := print64(wire.APIKey, theKey.Value)
	e.secrets.good.put(at, &secret{kind: wire.APIKey, text: "another", credential: held("1", 0).Credential}, start+100, 1)
	if s := ask(e, start, "key", theKey); s.Kind != Ask {
		t.Errorf("another key's credential: %v", s.Reason)
	}
	e.secrets.good.put(at, &secret{kind: wire.Password, text: theKey.Value, credential: held("1", 0).Credential}, start+100, 1)
	if s := ask(e, start, "key", theKey); s.Kind != Ask {
		t.Errorf("a password's credential: %v", s.Reason)
	}
}
