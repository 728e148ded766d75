package policy_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// FuzzApplication: whatever a token says of its client, who passes is the one application
// that has a contract, as encoding/json reads the claim; in the first request and in the
// next, from what is remembered.
func FuzzApplication(f *testing.F) {
	trust := &bundle.Trust{ID: "t", Hash: "h", Issuers: []string{fuzzIssuer}, Keys: fuzzKeys(f)}
	oidc := &bundle.Plugin{ID: "o", OIDC: &bundle.OIDC{Common: bundle.Common{HeaderNames: []string{"authorization"}}, TrustID: "t", Trust: trust,
		Methods:  []bundle.Method{bundle.Bearer},
		Identity: bundle.Identity{ConsumerClaims: [][]string{{"app", "id"}, {"client_id"}}, ConsumerBy: []string{"custom_id"}}}}
	guard := &bundle.Plugin{ID: "r", Registration: &bundle.Registration{Service: "orders"}}
	people := map[string]*bundle.Consumer{
		"good":   {ID: "1", CustomID: "good", Application: true, Contracts: []string{"billing", "orders"}},
		"poor":   {ID: "2", CustomID: "poor", Application: true, Contracts: []string{"billing"}},
		"person": {ID: "3", CustomID: "person"},
	}
	for _, claims := range []string{`{"client_id":"good"}`, `{"app":{"id":"good"}}`, `{"app":{"id":"poor"},"client_id":"good"}`, `{"client_id":"person"}`,
		`{"client_id":["good"]}`, `{"client_id":"good\u0000"}`, `{"client_id":"\u0067ood"}`, `{"app":{"id":null},"client_id":"good"}`, `{"app":"good"}`,
		`{"client_id":"custom_id\u0000good"}`, `{"client_id":1}`, `{"client_id":"poor","client_id":"good"}`, `{"app.id":"good"}`} {
		f.Add(claims)
	}
	engine := policy.New(&native{}, policy.Config{})
	if err := engine.SetBundle(&bundle.Bundle{Epoch: "e", Generation: 1, Trust: []*bundle.Trust{trust}, Plugins: []*bundle.Plugin{oidc, guard},
		Routes: map[string]*bundle.Route{"r": {Name: "r", Chain: []*bundle.Plugin{oidc, guard}}}}, "etag", fuzzNow); err != nil {
		f.Fatal(err)
	}
	engine.Apply(wire.Changes{Feed: "f"})
	f.Fuzz(func(t *testing.T, claims string) {
		var more map[string]json.RawMessage
		if json.Unmarshal([]byte(claims), &more) != nil || more["iss"] != nil || more["exp"] != nil || len(claims) < 3 || claims[0] != '{' {
			return
		}
		b64 := base64.RawURLEncoding.EncodeToString
		input := b64([]byte(`{"alg":"ES256","kid":"ec"}`)) + "." + b64([]byte(`{"iss":"`+fuzzIssuer+`","exp":1800000600,`+claims[1:]))
		token := input + "." + b64(tokens.SignBytes("ES256", tokens.Private("ec256"), input))
		for range 2 {
			step := engine.Start(&policy.Request{Now: fuzzNow, RouteState: policy.RouteChosen, Route: "r", Headers: abi.Pairs(abi.AppendPairs(nil, []abi.Pair{
				{Key: ":authority", Value: "h"}, {Key: ":path", Value: "/"}, {Key: ":method", Value: "GET"}, {Key: "authorization", Value: "Bearer " + token},
			}))})
			if step.Kind == policy.Ask {
				answer := wire.Answer{Feed: "f", Code: reason.ConsumerMissing}
				if c := people[step.Question.Value]; c != nil {
					answer = wire.Answer{Feed: "f", Consumer: c}
				}
				step = engine.Resume(step.Pending, step.Question, answer, reason.Unspecified, fuzzNow)
			}
			if step.Kind == policy.Allow {
				if id := clientOf(claims); id != "good" {
					t.Fatalf("%q has passed: %s", id, claims)
				}
			} else if step.Kind != policy.Deny || step.Response.Status < 400 {
				t.Fatalf("%+v", step)
			}
		}
	})
}

// clientOf is the client that claims name: the first claim that is there.
func clientOf(claims string) string {
	var c map[string]any // not a struct, whose names would be found in any case
	_ = json.Unmarshal([]byte(claims), &c)
	if app, ok := c["app"].(map[string]any); ok && app["id"] != nil {
		id, _ := app["id"].(string)
		return id
	}
	id, _ := c["client_id"].(string)
	return id
}
