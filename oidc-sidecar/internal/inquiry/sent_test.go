package inquiry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

func TestFilter(t *testing.T) {
	e := &declarative.Extra{
		ClientHeaders: []string{"X-Tenant", "authorization", "Content-Type", "Proxy-Authorization"},
		ClientArgs:    append([]string{"tenant", "otp", "jeton"}, ownArgs...), ClientArgHeaders: []string{"X-Device", "X-Tenant", "Scope"},
	}
	i := &declarative.Inquiry{IntrospectionName: "jeton"}
	show := func(s sent) string { return fmt.Sprint(s.headers, s.args) }
	for _, tt := range []struct {
		name string
		list []wire.Header
		want string // "" for a refusal
	}{
		{"nothing", nil, "[] []"},
		{"a header, which is a parameter too", []wire.Header{header("x-tenant", "a")}, "[{X-Tenant a}] [{X-Tenant a}]"},
		{"a header as a parameter", []wire.Header{header("x-device", "a")}, "[] [{X-Device a}]"},
		{"a parameter", []wire.Header{header("tenant", "a"), header("otp", "1 & 2")}, "[] [{tenant a} {otp 1 & 2}]"},
		{"another spelling of a parameter", []wire.Header{header("Tenant", "a")}, "[] []"},
		{"what is not let through", []wire.Header{header("x-forwarded-for", "a"), header("x", "a")}, "[] []"},
		{"who asks", []wire.Header{header("authorization", "a"), header("content-type", "a"), header("proxy-authorization", "x"), header("client_id", "a"),
			header("client_assertion", "a"), header("grant_type", "a"), header("username", "a"), header("scope", "a"), header("token", "a"), header("jeton", "a")}, "[] []"},
		{"twice", []wire.Header{header("tenant", "a"), header("tenant", "b")}, "[] [{tenant a}]"},
		{"a header with a line break", []wire.Header{header("x-tenant", "a\r\nb: c")}, ""},
		{"a parameter with a line break", []wire.Header{header("tenant", "a\r\nb")}, "[] [{tenant a\r\nb}]"},
		{"too long", []wire.Header{header("tenant", strings.Repeat("x", maxSentValue+1))}, ""},
		{"too long, and not let through", []wire.Header{header("x", strings.Repeat("x", maxSentValue+1))}, "[] []"},
	} {
		got, ok := filter(e, i, tt.list)
		if ok != (tt.want != "") || ok && show(got) != tt.want {
			t.Errorf("%s: %q %v, want %q", tt.name, show(got), ok, tt.want)
		}
	}
	many := &declarative.Extra{}
	var list []wire.Header
	for n := range maxSent + 1 {
		many.ClientArgs = append(many.ClientArgs, fmt.Sprint("a", n))
		list = append(list, header(fmt.Sprint("a", n), "x"))
	}
	if _, ok := filter(many, i, list[:maxSent]); !ok {
		t.Error("as many as may be are refused")
	}
	if _, ok := filter(many, i, list); ok {
		t.Error("more than may be")
	}
}

// What a caller adds reaches the endpoint of its method and no other, does not take the
// place of what the file says, and makes a question another one.
func TestSent(t *testing.T) {
	w := newWorld(t, `token_post_args_client: [tenant, realm]
token_post_args_names: [realm]
token_post_args_values: [people]
token_headers_client: [x-device, x-gateway]
token_headers_names: [x-gateway]
token_headers_values: [sallyport]
introspection_post_args_client_headers: [x-device]
introspection_headers_client: [x-tenant]`)
	all := []wire.Header{header("tenant", "blue"), header("realm", "robots"), header("x-device", "d"), header("x-tenant", "t"), header("username", "bob"),
		header("x-gateway", "mine"), header("scope", "admin")}
	w.good(bundle.Password, alice, all...)
	call := w.last("token")
	for name, want := range map[string]string{"tenant": "blue", "realm": "people", "username": "alice", "x-device": "", "x-tenant": "", "scope": "openid"} {
		if got := strings.Join(call.Form[name], "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{"X-Device": "d", "X-Tenant": "", "X-Gateway": "sallyport", "Content-Type": "application/x-www-form-urlencoded"} {
		if got := strings.Join(call.Header[http.CanonicalHeaderKey(name)], "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	w.good(bundle.Password, alice, append([]wire.Header{header("tenant", "red")}, all...)...)
	w.good(bundle.Password, alice)
	w.good(bundle.Password, alice, all...)
	w.good(bundle.Password, alice, header("let", "not through"))
	if n := w.idp.Count("token"); n != 3 {
		t.Errorf("asked %d times", n)
	}
	token := w.tokens("openid").Access
	w.good(bundle.Introspection, token, all...)
	if call := w.last("introspect"); call.Form.Get("x-device") != "d" || call.Header.Get("X-Tenant") != "t" || call.Form.Has("tenant") || call.Header.Get("X-Device") != "" {
		t.Errorf("%v %v", call.Form, call.Header)
	}
	if a := w.ask(bundle.Password, alice, header("x-device", "a\nb")); a.Code != reason.RequestMalformed {
		t.Errorf("%v", a.Code)
	}
}

// A header of the file that says who asks does not do so at the token endpoint: it would
// vouch for callers whose own secret is to be judged.
func TestAuthorizationOfTheFile(t *testing.T) {
	w := newWorld(t, "")
	i := w.in.Inquiry()
	for _, e := range []*declarative.Extra{&i.Token, &i.Introspection, &i.UserInfo} {
		e.Headers = []declarative.Pair{{Name: "Authorization", Value: "Basic b3RoZXI6c2VjcmV0"}}
	}
	i.ClientAuth = "client_secret_post"
	w.idp.AddClient(idp.Client{ID: "machine", Secret: machineSecret, AuthMethod: "client_secret_post"})
	w.bad(bundle.ClientCredentials, "machine:wrong", reason.CredentialRefused)
	w.good(bundle.ClientCredentials, "machine:"+machineSecret)
	for _, call := range w.idp.Calls("token") {
		if call.Header.Get("Authorization") != "" {
			t.Error("the file's header was sent")
		}
	}
	for _, tt := range []struct{ method, want string }{{"client_secret_post", ""}, {"none", "Basic b3RoZXI6c2VjcmV0"}} {
		q := &question{in: w.in, method: bundle.Introspection}
		if got := q.headers(&endpoint.Client{Auth: tt.method}).Get("Authorization"); got != tt.want {
			t.Errorf("%s: %q", tt.method, got)
		}
	}
}
