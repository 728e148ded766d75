package policy

import (
	"errors"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// TestBundlesOnlyGrow: within one installation nobody goes back to an older file.
func TestBundlesOnlyGrow(t *testing.T) {
	for _, tt := range []struct {
		epoch      string
		generation uint64
		want       error
	}{
		{"e", 6, nil}, {"e", 5, nil}, {"e", 4, ErrOlder}, {"e", 0, ErrOlder}, {"other", 4, nil}, {"other", 6, nil},
	} {
		e := New(&verdicts{}, Config{})
		old, next := &bundle.Bundle{Epoch: "e", Generation: 5}, &bundle.Bundle{Epoch: tt.epoch, Generation: tt.generation}
		if err := e.SetBundle(old, "old", start); err != nil {
			t.Fatal(err)
		}
		err := e.SetBundle(next, "next", start)
		_, _, etag := e.Place()
		if !errors.Is(err, tt.want) || (e.Bundle() == next) != (err == nil) || (etag == "next") != (err == nil) {
			t.Errorf("%s %d: %v, with %q", tt.epoch, tt.generation, err, etag)
		}
	}
}

// consumerPlugin looks for the consumer that sub names.
func consumerPlugin(id string, by ...string) *bundle.Plugin {
	p := oidcPlugin(id, headerOnly, rsaKey("k"))
	p.OIDC.Identity.ConsumerClaims, p.OIDC.Identity.ConsumerBy = [][]string{{"sub"}}, by
	return p
}

// TestConsumersAreRemembered: for five minutes, one that nobody is for a minute, and
// until a change names one of its names.
func TestConsumersAreRemembered(t *testing.T) {
	found := wire.Answer{Feed: "f", Consumer: &bundle.Consumer{ID: "id", Username: "alice"}}
	missing := wire.Answer{Feed: "f", Code: reason.ConsumerMissing}
	for name, tt := range map[string]struct {
		answer  wire.Answer
		changes wire.Changes
		after   int64
		want    bool // remembered
	}{
		"found":                   {found, wire.Changes{Feed: "f"}, 299, true},
		"found, five minutes ago": {found, wire.Changes{Feed: "f"}, 300, false},
		"none":                    {missing, wire.Changes{Feed: "f"}, 59, true},
		"none, a minute ago":      {missing, wire.Changes{Feed: "f"}, 60, false},
		"changed":                 {found, wire.Changes{Feed: "f", Seq: 1, Consumers: []string{"bob", "alice"}}, 0, false},
		"added":                   {missing, wire.Changes{Feed: "f", Seq: 1, Consumers: []string{"alice"}}, 0, false},
		"another changed":         {found, wire.Changes{Feed: "f", Seq: 1, Consumers: []string{"bob"}}, 0, true},
		"a reset":                 {found, wire.Changes{Feed: "f", Seq: 1, Reset: true}, 0, false},
		"neither one nor none":    {wire.Answer{Feed: "f"}, wire.Changes{Feed: "f"}, 0, false},
		"trouble":                 {wire.Answer{Feed: "f", Code: reason.SidecarRefused}, wire.Changes{Feed: "f"}, 0, false},
		"of another feed":         {wire.Answer{Feed: "g", Consumer: guest}, wire.Changes{Feed: "f"}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{
				"r": {jwtPlugin("j", bundle.Common{Anonymous: guest}), oidcPlugin("o", headerOnly, rsaKey("k")), consumerPlugin("c", "id", "username")}})
			s := ask(e, start, "r", withToken(issuedTo("alice")))
			if s.Kind != Ask || s.Question.Kind != wire.Consumer || s.Question.Value != "alice" {
				t.Fatalf("no question for a consumer: %+v", s)
			}
			e.Resume(s.Pending, s.Question, tt.answer, reason.Unspecified, start)
			e.Apply(tt.changes)
			e.Contact(start + tt.after)
			if s = ask(e, start+tt.after, "r", withToken(issuedTo("alice"))); (s.Kind != Ask) != tt.want {
				t.Errorf("%v %v", s.Kind, s.Reason)
			}
		})
	}
}

// TestKeysAreRemembered: credentials live for five minutes, the lack of one for a
// minute, both until a change names them.
func TestKeysAreRemembered(t *testing.T) {
	unknown := wire.Answer{Feed: "f", Code: reason.CredentialUnknown}
	for name, tt := range map[string]struct {
		answer  wire.Answer
		changes wire.Changes
		after   int64
		want    reason.Code // Unspecified for a question
	}{
		"found":                   {lookup("a", wire.Valid), wire.Changes{Feed: "f"}, 299, reason.Allowed},
		"found, five minutes ago": {lookup("a", wire.Valid), wire.Changes{Feed: "f"}, 300, reason.Unspecified},
		"changed":                 {lookup("a", wire.Valid), wire.Changes{Feed: "f", Seq: 1, Credentials: []string{"a"}}, 0, reason.Unspecified},
		"none":                    {unknown, wire.Changes{Feed: "f"}, 59, reason.CredentialUnknown},
		"none, a minute ago":      {unknown, wire.Changes{Feed: "f"}, 60, reason.Unspecified},
		"added":                   {unknown, wire.Changes{Feed: "f", Seq: 1, Credentials: []string{"a"}}, 0, reason.Unspecified},
		"another added":           {unknown, wire.Changes{Feed: "f", Seq: 1, Credentials: []string{"b"}}, 0, reason.CredentialUnknown},
		"trouble":                 {wire.Answer{Feed: "f", Code: reason.SidecarRefused}, wire.Changes{Feed: "f"}, 0, reason.Unspecified},
	} {
		t.Run(name, func(t *testing.T) {
			e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {jwtPlugin("j", headerOnly)}})
			s := ask(e, start, "r", withToken(secretToken("a", "")))
			e.Resume(s.Pending, s.Question, tt.answer, reason.Unspecified, start)
			e.Apply(tt.changes)
			e.Contact(start + tt.after)
			if s = ask(e, start+tt.after, "r", withToken(secretToken("a", ""))); s.Reason != tt.want {
				t.Errorf("%v %v, want %v", s.Kind, s.Reason, tt.want)
			}
		})
	}
}

// TestRenewedTrust: keys that the sidecar fetched for one token are there for the next,
// for every instance of that issuer and for no other.
func TestRenewedTrust(t *testing.T) {
	fetched := func(id string) *bundle.Trust {
		return &bundle.Trust{ID: id, Hash: "new", Issuers: []string{"i"}, Keys: []bundle.Key{rsaKey("k")}}
	}
	for name, tt := range map[string]struct {
		answer       wire.Answer
		first, later reason.Code // for the token that asked, and for the next
	}{
		"the issuer's":     {wire.Answer{Feed: "f", Trust: fetched("tissuer")}, reason.Allowed, reason.Allowed},
		"of another feed":  {wire.Answer{Feed: "g", Trust: fetched("tissuer")}, reason.Allowed, reason.Unspecified},
		"another issuer's": {wire.Answer{Feed: "f", Trust: fetched("tother")}, reason.KeyUnknown, reason.Unspecified},
		"nothing new":      {wire.Answer{Feed: "f"}, reason.KeyUnknown, reason.Unspecified},
		"no such key":      {wire.Answer{Feed: "f", Code: reason.KeyUnknown}, reason.KeyUnknown, reason.Unspecified},
		"too many asked":   {wire.Answer{Feed: "f", Code: reason.KeysThrottled}, reason.KeysThrottled, reason.Unspecified},
	} {
		t.Run(name, func(t *testing.T) {
			one, two, other := oidcPlugin("issuer", headerOnly, rsaKey("old")), oidcPlugin("two", headerOnly, rsaKey("old")), oidcPlugin("other", headerOnly, rsaKey("old"))
			two.OIDC.TrustID, two.OIDC.Trust = one.OIDC.TrustID, one.OIDC.Trust
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"one": {one}, "two": {two}, "other": {other}, "jwt": {jwtPlugin("j", headerOnly)}})
			s := ask(e, start, "one", withToken(issuedTo("alice")))
			if s.Kind != Ask || s.Question.Kind != wire.Keys || s.Question.Trust != "tissuer" || s.Question.KeyID != "k" {
				t.Fatalf("no question for the key: %+v", s)
			}
			if s = e.Resume(s.Pending, s.Question, tt.answer, reason.Unspecified, start); s.Reason != tt.first {
				t.Errorf("the first: %v, want %v", s.Reason, tt.first)
			}
			for _, route := range []string{"one", "two"} {
				if s = ask(e, start, route, withToken(issuedTo("bob"))); s.Reason != tt.later {
					t.Errorf("%s, the next: %v, want %v", route, s.Reason, tt.later)
				}
			}
			if s = ask(e, start, "other", withToken(issuedTo("bob"))); s.Kind != Ask {
				t.Errorf("another issuer: %v", s.Reason)
			}
			renewed := tt.later == reason.Allowed
			for _, trust := range e.Bundle().Trust {
				if (trust.Hash == "new") != (renewed && trust.ID == "tissuer") {
					t.Errorf("the bundle has %s of %s", trust.Hash, trust.ID)
				}
			}
		})
	}
}
