package policy

import (
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/identity"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// TestConsumerByClaim: which claim names the consumer, and what happens where it names
// none.
func TestConsumerByClaim(t *testing.T) {
	alice := wire.Answer{Feed: "f", Consumer: &bundle.Consumer{ID: "id", Username: "alice"}}
	nobody := wire.Answer{Feed: "f", Code: reason.ConsumerMissing}
	const notFound = "consumer was not found (claim (sub) was not found for consumer mapping)"
	for name, tt := range map[string]struct {
		paths    [][]string
		claims   string
		optional bool
		trust    bool // e-mail addresses
		asked    string
		answer   wire.Answer
		want     reason.Code
		note     string
	}{
		"found":            {[][]string{{"sub"}}, `"sub":"alice"`, false, false, "alice", alice, reason.Allowed, ""},
		"a number":         {[][]string{{"uid"}}, `"uid":7`, false, false, "7", alice, reason.Allowed, ""},
		"nested":           {[][]string{{"a", "b"}}, `"a":{"b":"alice"}`, false, false, "alice", alice, reason.Allowed, ""},
		"the first":        {[][]string{{"x"}, {"sub"}, {"uid"}}, `"sub":"alice","uid":"bob"`, false, false, "alice", alice, reason.Allowed, ""},
		"no such claim":    {[][]string{{"uid"}, {"sub"}}, `"x":1`, false, false, "", alice, reason.ConsumerMissing, notFound},
		"a list":           {[][]string{{"sub"}}, `"sub":["alice"]`, false, false, "", alice, reason.ConsumerMissing, notFound},
		"an empty one":     {[][]string{{"sub"}}, `"sub":""`, false, false, "", alice, reason.ConsumerMissing, notFound},
		"none, and may be": {[][]string{{"sub"}}, `"x":1`, true, false, "", alice, reason.Allowed, ""},

		"nobody":            {[][]string{{"a", "b"}}, `"a":{"b":"bob"}`, false, false, "bob", nobody, reason.ConsumerMissing, "consumer was not found (claim (a.b) names none)"},
		"nobody, may be":    {[][]string{{"sub"}}, `"sub":"bob"`, true, false, "bob", nobody, reason.Allowed, ""},
		"refused":           {[][]string{{"sub"}}, `"sub":"bob"`, true, false, "bob", wire.Answer{Feed: "f", Code: reason.SidecarRefused}, reason.SidecarRefused, ""},
		"an answer of none": {[][]string{{"sub"}}, `"sub":"bob"`, false, false, "bob", wire.Answer{Feed: "f"}, reason.ConsumerMissing, "consumer was not found (claim (sub) names none)"},

		"e-mail, verified":   {[][]string{{"email"}}, `"email":"a@b","email_verified":true`, false, false, "a@b", alice, reason.Allowed, ""},
		"e-mail, trusted":    {[][]string{{"email"}}, `"email":"a@b"`, false, true, "a@b", alice, reason.Allowed, ""},
		"e-mail, unverified": {[][]string{{"email"}}, `"email":"a@b","email_verified":false`, false, false, "", alice, reason.EmailUnverified, "consumer was not looked for (the issuer does not say email_verified)"},
		"e-mail, in words":   {[][]string{{"email"}}, `"email":"a@b","email_verified":"true"`, false, false, "", alice, reason.EmailUnverified, "consumer was not looked for (the issuer does not say email_verified)"},
		"e-mail, may be":     {[][]string{{"email"}}, `"email":"a@b"`, true, false, "", alice, reason.Allowed, ""},
		"another's e-mail":   {[][]string{{"emails"}}, `"emails":"a@b"`, false, false, "a@b", alice, reason.Allowed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := oidcPlugin("o", headerOnly, rsaKey("k"))
			p.OIDC.Identity = bundle.Identity{ConsumerClaims: tt.paths, ConsumerBy: []string{"username"}, ConsumerOptional: tt.optional, TrustEmail: tt.trust}
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {p}})
			token := withToken(jws(issuedHeader, `{"iss":"i","exp":1900000000,`+tt.claims+`}`, "signature"))
			s := ask(e, start, "r", token)
			if s.Kind == Ask {
				if q := s.Question; q.Kind != wire.Consumer || q.Value != tt.asked || len(q.By) != 1 {
					t.Fatalf("the question is %+v", q)
				}
				s = e.Resume(s.Pending, s.Question, tt.answer, reason.Unspecified, start)
			} else if tt.asked != "" {
				t.Fatalf("no question: %v", s.Reason)
			}
			if s.Reason != tt.want || s.Note != tt.note || tt.want == reason.EmailUnverified && s.Response.Status != 403 {
				t.Errorf("%v %q, want %v %q", s.Reason, s.Note, tt.want, tt.note)
			}
			consumer := ""
			for _, h := range s.Edits.Set {
				if h.Key == identity.ConsumerUsername {
					consumer = h.Value
				}
			}
			if want := tt.want == reason.Allowed && tt.asked != "" && tt.answer.Consumer != nil; (consumer == "alice") != want {
				t.Errorf("the consumer is %q", consumer)
			}
			if tt.asked == "" || tt.answer.Code == reason.SidecarRefused || name == "an answer of none" {
				return
			}
			again := ask(e, start, "r", token)
			if again.Reason != tt.want {
				t.Errorf("remembered: %v %v", again.Kind, again.Reason)
			}
			e.Contact(start - 60)
			if again = ask(e, start, "r", token); again.Reason != tt.want {
				t.Errorf("within the grace: %v", again.Reason)
			}
			e.Contact(start - 61)
			if again = ask(e, start, "r", token); again.Reason != reason.SidecarUnreachable {
				t.Errorf("after the grace: %v", again.Reason)
			}
		})
	}
}
