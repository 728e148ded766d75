package policy

import (
	"encoding/json"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// FuzzInquiry: whatever a caller sends and a sidecar answers, nobody passes by the word of
// an issuer that has not been given, that has ended, or that is for somebody else.
func FuzzInquiry(f *testing.F) {
	for _, authorization := range []string{"Bearer opaque", "Basic dTpw", "basic dTpw ", "Bearer a, Basic dTpw", ""} {
		for _, answer := range []string{
			`{"feed":"f","session":{"access":"{\"sub\":\"s\",\"aud\":\"api\"}","token":"t","until":1800000100}}`,
			`{"feed":"f","session":{"access":"{\"exp\":1700000000,\"aud\":\"api\"}"}}`,
			`{"feed":"f","session":{"access":"{}","opaque":true,"info":"{\"sub\":\"s\"}"}}`,
			`{"feed":"f","code":"token_inactive","until":1800000010}`, `{"feed":"f"}`, `{"session":{"id":"x","keys":["k"],"access":"[]"}}`, ``,
		} {
			f.Add(authorization, "refresh", answer)
		}
	}
	plugin := inquiring("o", bundle.Bearer, bundle.Introspection, bundle.UserInfo, bundle.RefreshToken, bundle.Password, bundle.ClientCredentials)
	plugin.OIDC.Audiences = []string{"api"}
	plugin.OIDC.Inquiry.IDTokenHeader = "x-id"
	f.Fuzz(func(t *testing.T, authorization, other, answer string) {
		e := New(&verdicts{say: wire.Invalid}, Config{})
		b := &bundle.Bundle{Epoch: "e", Generation: 1, Plugins: []*bundle.Plugin{plugin}, Trust: []*bundle.Trust{plugin.OIDC.Trust},
			Routes: map[string]*bundle.Route{"r": {Name: "r", Chain: []*bundle.Plugin{plugin}}}}
		if err := e.SetBundle(b, "etag", start); err != nil {
			t.Fatal(err)
		}
		e.Apply(wire.Changes{Feed: "f"})
		a, readable := wire.DecodeAnswer(answer)
		for _, round := range []string{"asked", "remembered"} {
			s := ask(e, start, "r", abi.Pair{Key: "authorization", Value: authorization}, abi.Pair{Key: "refresh-token", Value: other}, abi.Pair{Key: "x-id", Value: other})
			for i := 0; s.Kind == Ask; i++ {
				if i == 8 {
					t.Fatal("the machine does not end")
				}
				failure := reason.Unspecified
				if !readable {
					failure = reason.SidecarAnswer
				}
				s = e.Resume(s.Pending, s.Question, a, failure, start)
			}
			if s.Kind != Allow {
				continue
			}
			if !readable || a.Session == nil || a.Code != reason.Unspecified {
				t.Fatalf("%s: passed with %q by %q", round, authorization, answer)
			}
			var claims struct {
				Exp json.Number     `json:"exp"`
				Aud json.RawMessage `json:"aud"`
			}
			if a.Session.Opaque || json.Unmarshal([]byte(a.Session.Access), &claims) != nil {
				continue
			}
			if exp, err := claims.Exp.Float64(); err == nil && exp <= start {
				t.Fatalf("%s: passed with a token that has ended by %q", round, answer)
			}
			if len(claims.Aud) == 0 {
				t.Fatalf("%s: passed with a token for nobody by %q", round, answer)
			}
		}
	})
}
