package policy

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// TestRegistration: who may pass application-registration, and what the others are told.
func TestRegistration(t *testing.T) {
	app := func(contracts ...string) *bundle.Consumer {
		return &bundle.Consumer{ID: "id", CustomID: "client", Application: true, Contracts: contracts}
	}
	person := &bundle.Consumer{ID: "id", Username: "alice"}
	odd := &bundle.Consumer{ID: "id", Username: "alice", Contracts: []string{"orders"}} // no answer can say so
	for _, tt := range []struct {
		name      string
		who       caller
		consumers bool
		want      reason.Code
	}{
		{"nobody", caller{}, false, reason.CredentialMissing},
		{"nobody, where consumers may pass", caller{}, true, reason.CredentialMissing},
		{"anonymous", caller{anonymous: true, consumer: person}, true, reason.CredentialMissing},
		{"an anonymous application", caller{anonymous: true, consumer: app("orders")}, false, reason.CredentialMissing},
		{"no consumer", caller{authenticated: true}, false, reason.ApplicationUnknown},
		{"no consumer, where consumers may pass", caller{authenticated: true}, true, reason.ApplicationUnknown},
		{"a consumer", caller{authenticated: true, consumer: person}, false, reason.ConsumerRefused},
		{"a consumer with contracts", caller{authenticated: true, consumer: odd}, false, reason.ConsumerRefused},
		{"a consumer where it may pass", caller{authenticated: true, consumer: person}, true, reason.Allowed},
		{"an application", caller{authenticated: true, consumer: app("billing", "orders")}, false, reason.Allowed},
		{"an application without contracts", caller{authenticated: true, consumer: app()}, false, reason.ContractMissing},
		{"an application with others", caller{authenticated: true, consumer: app("billing", "order", "orders2", "Orders", "")}, false, reason.ContractMissing},
		{"an application without contracts, where consumers may pass", caller{authenticated: true, consumer: app()}, true, reason.ContractMissing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {{ID: "a", Registration: &bundle.Registration{Service: "orders", Consumers: tt.consumers}}}})
			r := &run{engine: e, bundle: e.bundle, route: e.bundle.Routes["r"], now: start, who: tt.who}
			s := r.chain()
			if tt.want == reason.Allowed {
				if s.Kind != Allow {
					t.Errorf("%v", s.Reason)
				}
				return
			}
			body := `{"message":"You cannot consume this service"}`
			if tt.want == reason.CredentialMissing {
				body = `{"message":"Unauthorized"}`
			}
			if s.Kind != Deny || s.Reason != tt.want || s.Response.Status != tt.want.Status() || s.Response.Body != body || s.Plugin != "application-registration" {
				t.Errorf("%+v, want %v", s, tt.want)
			}
		})
	}
	e := engineWith(t, &verdicts{}, map[string][]*bundle.Plugin{"r": {{ID: "later"}}})
	if s := ask(e, start, "r"); s.Kind != Deny || s.Reason != reason.Internal {
		t.Errorf("a plugin of no kind: %v %v", s.Kind, s.Reason)
	}
}

// client is an application with contracts, as an answer.
func client(contracts ...string) *bundle.Consumer {
	return &bundle.Consumer{ID: "app-id", Username: "app", CustomID: "client", Application: true, Contracts: contracts}
}

// TestContractsAreForgotten: whatever a caller is known by, a change of its consumer
// makes the next request ask for its contracts anew.
func TestContractsAreForgotten(t *testing.T) {
	guard := &bundle.Plugin{ID: "a", Registration: &bundle.Registration{Service: "orders"}}
	session := sessionPlugin("s")
	session.OIDC.Identity.ConsumerClaims, session.OIDC.Identity.ConsumerBy = [][]string{{"sub"}}, []string{"custom_id"}
	anyCase := consumerPlugin("i", bundle.UsernameAnyCase)
	asConsumer := func(c *bundle.Consumer) wire.Answer { return wire.Answer{Feed: "f", Consumer: c} }
	asKey := func(c *bundle.Consumer) wire.Answer {
		return wire.Answer{Feed: "f", Credential: &bundle.Credential{ID: "k", Version: "1", Consumer: c}}
	}
	asJWT := func(c *bundle.Consumer) wire.Answer {
		a := lookup("k", wire.Valid)
		a.Credential.Consumer = c
		return a
	}
	for _, tt := range []struct {
		name   string
		plugin *bundle.Plugin
		header abi.Pair
		kind   wire.Kind
		answer func(*bundle.Consumer) wire.Answer
	}{
		{"by a claim", consumerPlugin("c", "custom_id"), withToken(issuedTo("client")), wire.Consumer, asConsumer},
		{"by a claim, in any case", anyCase, withToken(issuedTo("client")), wire.Consumer, asConsumer},
		{"by a jwt credential", jwtPlugin("j", headerOnly), withToken(secretToken("k", "")), wire.Lookup, asJWT},
		{"by an API key", keyPlugin, theKey, wire.APIKey, asKey},
		{"by a password", basicPlugin, aBasic, wire.Password, asKey},
		{"by a session", session, sealed("x"), wire.Consumer, asConsumer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{"r": {tt.plugin, guard}})
			expect := func(what string, c *bundle.Consumer, seq uint64, asks bool, code reason.Code) {
				t.Helper()
				s := ask(e, start, "r", tt.header)
				if s.Kind == Ask && s.Question.Kind == wire.Open {
					s = e.Resume(s.Pending, s.Question, sessionAnswer("client"), reason.Unspecified, start)
				}
				asked := s.Kind == Ask
				if asked {
					answer := tt.answer(c)
					answer.Seq = seq
					s = mustAsk(t, e, s, tt.kind, answer, start)
				}
				if s.Reason != code || asked != asks {
					t.Errorf("%s: %v, asked %v; want %v, %v", what, s.Reason, asked, code, asks)
				}
			}
			expect("at first", client("orders"), 0, true, reason.Allowed)
			expect("remembered", client(), 0, false, reason.Allowed)
			e.Apply(wire.Changes{Feed: "f", Seq: 1, Consumers: []string{"other-id", "other"}})
			// Of names in any case any change may be one of theirs.
			expect("after another's change", client("orders"), 1, tt.plugin == anyCase, reason.Allowed)
			e.Apply(wire.Changes{Feed: "f", Seq: 2, Consumers: []string{"app-id"}})
			expect("revoked", client(), 2, true, reason.ContractMissing)
			expect("revoked, remembered", client("orders"), 2, false, reason.ContractMissing)
			e.Apply(wire.Changes{Feed: "f", Seq: 3, Consumers: []string{"app-id"}})
			expect("an answer from before a change", client("orders"), 2, true, reason.Allowed)
			expect("which is used once", client(), 3, true, reason.ContractMissing)
		})
	}
}

// TestContractsTakeTheirRoom: what is remembered of consumers is bounded in bytes, those
// of contracts and groups counted.
func TestContractsTakeTheirRoom(t *testing.T) {
	var many []string
	for i := range bundle.MaxContracts {
		many = append(many, fmt.Sprintf("a-service-with-a-long-name-%04d", i))
	}
	big := client(many...)
	if n := big.Size(); n < 32*bundle.MaxContracts || (*bundle.Consumer)(nil).Size() != 0 {
		t.Fatalf("%d bytes", n)
	}
	const limit = 4 << 20
	e := New(&verdicts{say: wire.Valid}, Config{CacheBytes: limit})
	b := &bundle.Bundle{Epoch: "e", Generation: 1, Routes: map[string]*bundle.Route{}}
	for name, p := range map[string]*bundle.Plugin{"c": consumerPlugin("c", "custom_id"), "j": jwtPlugin("j", headerOnly), "k": keyPlugin} {
		b.Routes[name] = &bundle.Route{Name: name, Chain: []*bundle.Plugin{p}}
		b.Plugins = append(b.Plugins, p)
	}
	if err := e.SetBundle(b, "etag", start); err != nil {
		t.Fatal(err)
	}
	e.Apply(wire.Changes{Feed: "f"})
	for i := range 200 {
		name := fmt.Sprintf("client-%d", i)
		mustAsk(t, e, ask(e, start, "c", withToken(issuedTo(name))), wire.Consumer, wire.Answer{Feed: "f", Consumer: big}, start)
		found := lookup(name, wire.Valid)
		found.Credential.Consumer = big
		mustAsk(t, e, ask(e, start, "j", withToken(secretToken(name, ""))), wire.Lookup, found, start)
		mustAsk(t, e, ask(e, start, "k", abi.Pair{Key: "apikey", Value: name + "-key"}), wire.APIKey,
			wire.Answer{Feed: "f", Credential: &bundle.Credential{ID: name, Version: "1", Consumer: big}}, start)
	}
	for name, n := range map[string][2]int{
		"consumers":   {len(e.consumers.entries), limit / 8},
		"credentials": {len(e.credentials.entries), limit / 4},
		"secrets":     {len(e.secrets.good.entries), limit / 4},
	} {
		if n[0] == 0 || n[0]*big.Size() > n[1] {
			t.Errorf("%s: %d of %d bytes each, in %d", name, n[0], big.Size(), n[1])
		}
	}
}

// TestRefusedApplicationKeepsTheSession: a session that was renewed for a request reaches
// the browser though the application has no contract.
func TestRefusedApplicationKeepsTheSession(t *testing.T) {
	e := engineWith(t, &verdicts{say: wire.Valid}, map[string][]*bundle.Plugin{
		"r": {sessionPlugin("a"), {ID: "r", Registration: &bundle.Registration{Service: "orders"}}},
	})
	s := opened(t, e, start, "r", sessionAnswer("alice"), sealed("x"))
	cookie := func(h abi.Pair) bool { return h.Key == "set-cookie" && h.Value == "session=new; Path=/" }
	if s.Reason != reason.ApplicationUnknown || !slices.ContainsFunc(s.Response.Headers, cookie) {
		t.Errorf("%v with %+v", s.Reason, s.Response.Headers)
	}
}
