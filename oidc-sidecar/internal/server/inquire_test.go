package server

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// inquiring is a file whose plugins ask their issuer.
func inquiring(issuer string) string {
	return fmt.Sprintf(`
services:
- name: s
  url: http://127.0.0.1:1
  routes:
  - {name: introspection, paths: [/i], plugins: [{name: openid-connect, config: {issuer: %[1]q, client_id: [app], client_secret: [secret], auth_methods: [introspection]}}]}
  - {name: machines, paths: [/m], plugins: [{name: openid-connect, config: {issuer: %[1]q, auth_methods: [client_credentials]}}]}
  - {name: both, paths: [/b], plugins: [{name: openid-connect, config: {issuer: %[1]q, client_id: [app], client_secret: [secret], auth_methods: [bearer], introspect_jwt_tokens: true, id_token_param_name: x-id}}]}
  - {name: bearer, paths: [/o], plugins: [{name: openid-connect, config: {issuer: %[1]q, auth_methods: [bearer]}}]}
  - {name: jwt, paths: [/j], plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]}
  - {name: keys, paths: [/k], plugins: [{name: openid-connect, id: 6f3a0f2c-3c7a-4f5c-9df5-3f1b8c2d9a10, config: {issuer: %[1]q, client_id: [app], client_auth: private_key_jwt, auth_methods: [introspection]}}]}
`, issuer)
}

func TestInquire(t *testing.T) {
	s := idp.Start(t)
	s.AddClient(idp.Client{ID: "app", Secret: "secret"})
	s.AddClient(idp.Client{ID: "machine", Secret: "m"})
	s.AddUser(idp.User{Name: "alice", Password: "alice"})
	b := start(t)
	b.use(inquiring(s.Issuer()))
	ask := func(route, method, value string) wire.Answer {
		return b.ask(route, wire.Question{Kind: wire.Inquire, Method: method, Value: value})
	}
	a := ask("machines", "client_credentials", "machine:m")
	if a.Session == nil || a.Session.Token == "" {
		t.Fatalf("%v", a.Code)
	}
	token := a.Session.Token
	if a := ask("introspection", "introspection", token); a.Session == nil || !a.Session.Introspected || a.Session.Token != token {
		t.Errorf("%v %+v", a.Code, a.Session)
	}
	if a := ask("both", "introspection", token); a.Session == nil {
		t.Errorf("%v", a.Code)
	}
	if a := ask("both", "id_token", "x"); a.Code != reason.TokenMalformed {
		t.Errorf("%v", a.Code)
	}
	if a := ask("introspection", "introspection", "made-up"); a.Code != reason.TokenInactive || a.Until == 0 {
		t.Errorf("%v %d", a.Code, a.Until)
	}
	for _, tt := range []struct{ route, method string }{
		{"introspection", "client_credentials"}, {"introspection", "id_token"}, {"machines", "introspection"}, {"machines", "password"},
		{"introspection", "session"}, {"both", "bearer"}, {"both", ""}, {"introspection", "x"}, {"bearer", "bearer"}, {"bearer", "introspection"},
		{"jwt", "introspection"},
	} {
		if a := ask(tt.route, tt.method, token); a.Code != reason.SidecarRefused || a.Until != 0 {
			t.Errorf("%s %s: %v", tt.route, tt.method, a.Code)
		}
	}
	for _, q := range []wire.Question{{Instance: "another"}, {Generation: 1 << 40}} {
		q.Kind, q.Method, q.Value = wire.Inquire, "introspection", token
		if a := b.ask("introspection", q); a.Code != reason.SidecarRefused {
			t.Errorf("%v", a.Code)
		}
	}
	// An instance of the file before still asks; one that is longer gone does not.
	id, generation, _ := b.instance("introspection")
	old := wire.Question{Kind: wire.Inquire, Instance: id, Generation: generation, Method: "introspection", Value: token}
	b.use(strings.Replace(inquiring(s.Issuer()), "auth_methods: [introspection]", "scopes_required: [x], auth_methods: [introspection]", 1))
	if a := b.ask("introspection", old); a.Session == nil {
		t.Errorf("%v", a.Code)
	}
	b.use(minimal)
	if a := b.ask("r", old); a.Code != reason.SidecarRefused {
		t.Errorf("%v", a.Code)
	}
	for label, want := range map[string]float64{"introspection ok": 3, "introspection token_inactive": 1, "client_credentials ok": 1, "id_token token_malformed": 1} {
		if got := b.inquiries(label); got < want {
			t.Errorf("%s: %v, want %v", label, got, want)
		}
	}
}

// inquiries returns a metric by "method outcome".
func (b *bench) inquiries(label string) (value float64) {
	families, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "sallyport_sidecar_inquiries_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["method"]+" "+labels["outcome"] == label {
				value += m.GetCounter().GetValue()
			}
		}
	}
	return value
}

// The keys of a client that only asks about credentials are there for its issuer.
func TestKeysOfInquiries(t *testing.T) {
	b := start(t)
	b.use(inquiring("http://127.0.0.1:1"))
	keys, err := endpoint.OpenClientKeys(testenv.TempDir(t))
	if err != nil {
		t.Fatal(err)
	}
	public := NewPublic(b.publisher, b.logins, keys, prometheus.NewRegistry())
	for path, status := range map[string]int{
		"/.sallyport/6f3a0f2c-3c7a-4f5c-9df5-3f1b8c2d9a10/jwks":               200,
		"/.sallyport/6f3a0f2c-3c7a-4f5c-9df5-3f1b8c2d9a10/backchannel_logout": 405,
		"/.sallyport/x/jwks": 404,
	} {
		w := httptest.NewRecorder()
		public.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != status {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// Questions that wait for an issuer leave room for those that do not.
func TestInquiriesHaveTheirOwnRoom(t *testing.T) {
	s := idp.Start(t)
	s.AddClient(idp.Client{ID: "app", Secret: "secret"})
	b := start(t)
	b.use(inquiring(s.Issuer()))
	for range maxInquiries {
		b.inquirers <- struct{}{}
	}
	if a := b.ask("introspection", wire.Question{Kind: wire.Inquire, Method: "introspection", Value: "x"}); a.Code != reason.Overloaded {
		t.Errorf("%v", a.Code)
	}
	if a := b.ask("jwt", wire.Question{Kind: wire.Lookup, Key: "x"}); a.Code != reason.CredentialUnknown {
		t.Errorf("%v", a.Code)
	}
	<-b.inquirers
	if a := b.ask("introspection", wire.Question{Kind: wire.Inquire, Method: "introspection", Value: "x"}); a.Code != reason.TokenInactive {
		t.Errorf("%v", a.Code)
	}
}
