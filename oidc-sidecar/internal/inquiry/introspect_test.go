package inquiry

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

func TestIntrospection(t *testing.T) {
	for _, opaque := range []bool{true, false} {
		w := newWorld(t, "")
		w.idp.Set(func(o *idp.Options) { o.OpaqueAccess = opaque })
		token := w.tokens("openid read").Access
		s := w.good(bundle.Introspection, token)
		if !s.Introspected || s.Opaque || s.Token != token || s.Claims != "" || !strings.Contains(s.Access, `"alice-1"`) {
			t.Errorf("%+v", s)
		}
		// The cache's time is 60 seconds where the answer has no end; this one has.
		if s.Until != w.now().Unix()+300 {
			t.Errorf("until %d", s.Until-w.now().Unix())
		}
		if want := endpoint.SubjectKey(w.idp.Issuer(), "alice-1"); len(s.Keys) != 1 || s.Keys[0] != want {
			t.Errorf("keys %v, want %s", s.Keys, want)
		}
		call := w.last("introspect")
		if call.AuthMethod != "client_secret_basic" || call.ClientID != "app" || call.Form.Get("token") != token || call.Form.Get("token_type_hint") != "access_token" {
			t.Errorf("%+v", call)
		}
		if n := w.bad(bundle.Introspection, "made-up", reason.TokenInactive); n != 10 {
			t.Errorf("a refusal is remembered for %d s", n)
		}
		w.good(bundle.Introspection, token)
		w.bad(bundle.Introspection, "made-up", reason.TokenInactive)
		if n := w.idp.Count("introspect"); n != 2 {
			t.Errorf("the issuer was asked %d times", n)
		}
	}
}

func TestIntrospectionThatGoesWrong(t *testing.T) {
	for _, tt := range []struct {
		name, settings string
		fault          idp.Fault
		want           reason.Code
	}{
		{"active in quotes", "", idp.IntrospectActiveText, reason.IssuerUnavailable},
		{"no active", "", idp.IntrospectNoActive, reason.IssuerUnavailable},
		{"active null", "", idp.IntrospectActiveNull, reason.IssuerUnavailable},
		{"active twice", "", idp.IntrospectDuplicate, reason.IssuerUnavailable},
		{"a list", "", idp.IntrospectList, reason.IssuerUnavailable},
		{"signed", "", idp.IntrospectSigned, reason.IssuerUnavailable},
		{"expired", "", idp.IntrospectExpired, reason.TokenExpired},
		{"not yet", "", idp.IntrospectNbfAhead, reason.TokenNotYetValid},
		{"exp in quotes", "", idp.IntrospectExpText, reason.ClaimInvalid},
		{"expired, forgiven", "leeway: 3700", idp.IntrospectExpired, 0},
		{"another issuer", "", idp.IntrospectWrongIss, reason.IssuerUnknown},
		{"another issuer, allowed", "issuers_allowed: [https://elsewhere.example]", idp.IntrospectWrongIss, 0},
		{"no organisation", "domains: [corp.example]", "", reason.DomainMismatch},
		{"HTML", "", idp.IntrospectHTML, reason.IssuerUnavailable},
		{"500", "", idp.Introspect500, reason.IssuerUnavailable},
		{"huge", "", idp.IntrospectHuge, reason.IssuerUnavailable},
		{"endless", "", idp.IntrospectEndless, reason.IssuerUnavailable},
		{"cut off", "", "introspect:" + idp.Truncated, reason.IssuerUnavailable},
		{"hung up", "", idp.IntrospectHangUp, reason.IssuerUnavailable},
		{"redirected", "", "introspect:" + idp.Redirect, reason.IssuerUnavailable},
		{"slow", "timeout: 50", "introspect:" + idp.Slow, reason.IssuerUnavailable},
		{"204", "", idp.StatusOf("introspect", "204"), reason.IssuerUnavailable},
		{"401", "", idp.StatusOf("introspect", "401"), reason.LoginMisconfigured},
		{"403", "", idp.StatusOf("introspect", "403"), reason.LoginMisconfigured},
		{"429", "", idp.StatusOf("introspect", "429"), reason.Overloaded},
		{"503", "", idp.StatusOf("introspect", "503"), reason.IssuerUnavailable},
		{"unauthorized_client", "", "introspect:error unauthorized_client", reason.LoginMisconfigured},
		{"unsupported_token_type", "", "introspect:error unsupported_token_type", reason.TokenInactive},
		{"our secret is wrong", "client_secret: [wrong]", "", reason.LoginMisconfigured},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.settings)
			token := w.tokens("openid").Access
			w.idp.FlowFault(tt.fault)
			if tt.want == 0 {
				w.good(bundle.Introspection, token)
				return
			}
			if n := w.bad(bundle.Introspection, token, tt.want); tt.want.Ours() && n != 0 {
				t.Errorf("our trouble is remembered for %d s", n)
			}
			if tt.want.Ours() != strings.Contains(w.logged(), "reason="+tt.want.Error()) {
				t.Errorf("logged: %s", w.logged())
			}
			if n := w.idp.Count("elsewhere"); n != 0 {
				t.Error("the token was taken elsewhere")
			}
			if n := w.idp.Count("introspect"); n != 1 {
				t.Errorf("the issuer was asked %d times", n)
			}
			if tt.want.Ours() && tt.settings == "" {
				w.idp.FlowFault()
				w.good(bundle.Introspection, token) // as soon as it is right again
			}
		})
	}
}

// An issuer that has no such endpoint is not asked; one that cannot be reached may have
// it.
func TestNoIntrospection(t *testing.T) {
	w := newWorld(t, "")
	w.idp.Advertise(map[string]any{"introspection_endpoint": nil, "userinfo_endpoint": nil})
	w.reload()
	for _, m := range []bundle.Method{bundle.Introspection, bundle.UserInfo} {
		if n := w.bad(m, "token", reason.Unjudgeable); n != 60 {
			t.Errorf("%v: remembered for %d s", m, n)
		}
	}
	w.in = w.instance("introspection_endpoint: " + w.idp.Endpoint("introspect"))
	w.in.Realm = "another"
	w.bad(bundle.Introspection, "token", reason.TokenInactive)
	w = newWorld(t, "")
	w.idp.Misbehave(idp.Error500)
	w.seconds(25 * 3600) // the keys are too old, and what discovery has said
	if n := w.bad(bundle.Introspection, "token", reason.IssuerUnavailable); n != 0 {
		t.Errorf("remembered for %d s", n)
	}
}

// Introspection needs no keys: with an endpoint of the file's it goes on while the
// issuer's are away, and iss is held against the file's issuer.
func TestIntrospectionWithoutKeys(t *testing.T) {
	iss := "https://idp.example"
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write([]byte(`{"active":true,"sub":"a","iss":"` + iss + `"}`))
	}))
	defer front.Close()
	w := newWorld(t, "introspection_endpoint: "+front.URL)
	w.idp.Misbehave(idp.Error500)
	c := w.provider.Config()
	w.provider = provider.New(c, w.provider.Client(), w.svc.logger, w.now, func() {})
	w.bad(bundle.Introspection, "x", reason.IssuerUnknown)
	iss = w.idp.Issuer()
	w.good(bundle.Introspection, "y")
}

// reload makes the provider read discovery again.
func (w *world) reload() {
	w.t.Helper()
	w.provider = provider.New(w.provider.Config(), w.provider.Client(), w.svc.logger, w.now, func() {})
	if _, o := w.provider.Lookup(w.t.Context(), "k1"); o != provider.Found {
		w.t.Fatal("no keys")
	}
}

func TestWhoAsksAtIntrospection(t *testing.T) {
	for _, tt := range []struct {
		name, settings string
		offered        map[string]any
		want           string
	}{
		{"as at the token endpoint", "token_endpoint_auth_method: client_secret_post", nil, "client_secret_post"},
		{"another way", "client_auth: client_secret_post\nintrospection_endpoint_auth_method: private_key_jwt", nil, "private_key_jwt"},
		{"what is offered there", "", map[string]any{"introspection_endpoint_auth_methods_supported": []string{"client_secret_post"}}, "client_secret_post"},
		{"what is offered", "", map[string]any{"token_endpoint_auth_methods_supported": []string{"client_secret_post"}}, "client_secret_post"},
		{"nobody", "introspection_endpoint_auth_method: none", nil, "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.settings)
			w.idp.Advertise(tt.offered)
			w.reload()
			w.ask(bundle.Introspection, "token")
			if call := w.last("introspect"); call.AuthMethod != tt.want || call.ClientID != "app" {
				t.Errorf("%s %s", call.AuthMethod, call.ClientID)
			}
		})
	}
}

// FuzzIntrospection holds the reader against encoding/json: what we take for active it
// takes for active, too, and nothing that has ended is taken.
func FuzzIntrospection(f *testing.F) {
	for _, s := range []string{
		`{"active":true}`, `{"active":false}`, `{"active":"true"}`, `{"active":1}`, `{"active":true,"active":false}`, `{"Active":true}`,
		`{"active":true,"exp":1,"sub":"a"}`, `{"active":true,"exp":9999999999,"iss":"https://idp.example","sub":"a","sid":"s"}`,
		`{"active":true,"iss":"https://evil.example"}`, `[{"active":true}]`, `{"active":true,"exp":1e99}`, "{\"active\":true}\x00",
	} {
		f.Add(s)
	}
	const now = 1_800_000_000
	q := &question{
		in: &Instance{Config: &declarative.OIDCConfig{IssuerURL: "https://idp.example", Inquiry: &declarative.Inquiry{
			Client: declarative.Client{ClientIDs: []string{"app"}}}}},
		set: &provider.Set{Issuers: []string{"https://idp.example"}}, method: bundle.Introspection,
	}
	f.Fuzz(func(t *testing.T, body string) {
		doc, err := endpoint.Answer(&http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body))})
		if err != nil {
			return
		}
		active, err := isActive(doc.Root())
		if err != nil || !active {
			return
		}
		c := claims.Read(doc.Root())
		if q.judge(&c, now) != reason.Unspecified {
			return
		}
		if names := q.names(doc.Root()); len(names) > maxNames {
			t.Fatalf("%d names", len(names))
		}
		folded := 0
		for m := doc.Root().Cursor(); m.Next(); {
			if strings.EqualFold(m.Name(), "active") || strings.EqualFold(m.Name(), "exp") || strings.EqualFold(m.Name(), "iss") {
				folded++
			}
		}
		var theirs struct {
			Active bool `json:"active"`
			Exp    *int64
			Iss    *string
		}
		d := json.NewDecoder(bytes.NewReader([]byte(body)))
		if err := d.Decode(&theirs); err != nil || doc.Root().Kind() != jsonx.Object {
			t.Fatalf("encoding/json refuses what we accept: %v", err)
		}
		if folded > 3 {
			return // to encoding/json ACTIVE is active
		}
		if doc.Root().Get("active").Exists() && folded == 1 && !theirs.Active {
			t.Fatal("not active")
		}
		if theirs.Exp != nil && doc.Root().Get("exp").Exists() && folded == 2 && *theirs.Exp <= now {
			t.Fatal("expired")
		}
	})
}

// The parameter's name, where it is not RFC 7662's, is nobody's to set.
func TestIntrospectionName(t *testing.T) {
	var got http.Header
	var form map[string][]string
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got, form = r.Header, r.PostForm
		_, _ = rw.Write([]byte(`{"active":true,"exp":1}`))
	}))
	defer front.Close()
	w := newWorld(t, "introspection_endpoint: "+front.URL+"\nintrospection_token_param_name: jeton\nintrospection_hint: \"\"")
	w.in.Inquiry().Introspection.ClientArgs = []string{"jeton", "tenant"}
	w.bad(bundle.Introspection, "x", reason.TokenExpired)
	w.seconds(int64(time.Minute / time.Second))
	w.ask(bundle.Introspection, "x", header("jeton", "y"), header("tenant", "blue"))
	if len(form["jeton"]) != 1 || form["jeton"][0] != "x" || form["tenant"][0] != "blue" || form["token"] != nil || form["token_type_hint"] != nil {
		t.Errorf("%v", form)
	}
	if user := got.Get("Authorization"); !strings.HasPrefix(user, "Basic ") {
		t.Errorf("%v", got)
	}
}
