package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
)

// asking is a file with one plugin that asks its issuer, with settings beside the usual
// ones.
func asking(settings string) string {
	return `services: [{name: s, url: "http://127.0.0.1:1", routes: [{name: r, paths: [/r], plugins: [{name: openid-connect,
    config: {issuer: "https://i.example", client_id: [app], client_secret: [s], ` + settings + `}}]}]}]
`
}

func only(t testing.TB, s *Snapshot) *bundle.Plugin {
	t.Helper()
	if len(s.plugins) != 1 || len(s.Inquiries) != 1 || s.Inquiries[s.plugins[0].ID] == nil {
		t.Fatalf("%d plugins, %d that ask", len(s.plugins), len(s.Inquiries))
	}
	return s.plugins[0]
}

func TestInquiryOfAFile(t *testing.T) {
	s := compile(t, asking(`auth_methods: [introspection, userinfo, password, client_credentials], introspection_headers_client: [X-Tenant],
      introspection_post_args_client_headers: [X-Device, X-Tenant], userinfo_query_args_client: [lang], token_post_args_client: [otp],
      refresh_token_param_name: X-Refresh, id_token_param_name: X-Id, domains: [corp.example]`))
	p := only(t, s)
	var sent []string
	for _, one := range p.OIDC.Inquiry.Sent {
		sent = append(sent, fmt.Sprint(one.Method, " ", one.Header, " ", one.Name))
	}
	want := []string{"introspection true x-tenant", "introspection true x-device", "userinfo false lang", "password false otp", "client_credentials false otp"}
	if !slices.Equal(sent, want) {
		t.Errorf("%q, want %q", sent, want)
	}
	if i := p.OIDC.Inquiry; i.RefreshHeader != "x-refresh" || i.IDTokenHeader != "x-id" || i.IntrospectJWT {
		t.Errorf("%+v", i)
	}
	in := s.Inquiries[p.ID]
	if in.ID != p.ID || in.Trust != p.OIDC.TrustID || in.Realm == "" || in.Public == "" || in.Config.Inquiry == nil {
		t.Errorf("%+v", in)
	}
	if s.routes[s.File.ReservedName()] != nil {
		t.Error("identity providers may call us, and none needs to")
	}
	// Tokens that have been verified may be introspected, too.
	p = only(t, compile(t, asking(`auth_methods: [bearer], introspect_jwt_tokens: true, introspection_headers_client: [x]`)))
	if i := p.OIDC.Inquiry; !i.IntrospectJWT || len(i.Sent) != 1 || i.Sent[0].Method != bundle.Introspection {
		t.Errorf("%+v", i)
	}
	for _, settings := range []string{
		`auth_methods: [introspection], introspection_endpoint_auth_method: private_key_jwt`,
		`auth_methods: [refresh_token], client_auth: private_key_jwt`,
	} {
		if s := compile(t, asking(settings)); s.routes[s.File.ReservedName()] == nil {
			t.Errorf("%s: nobody can fetch our keys", settings)
		}
	}
}

// Instances that differ in anything that an answer depends on are two, and remember
// nothing for each other; those that differ in what they make of it share it.
func TestRealms(t *testing.T) {
	const methods = `auth_methods: [introspection, password]`
	first := compile(t, asking(methods))
	p := only(t, first)
	for _, tt := range []struct {
		settings          string
		instance, realm   bool // whether it is another one
		replace, byReplac string
	}{
		{settings: methods},
		{settings: methods + `, scopes_required: [x]`, instance: true},
		{settings: methods, replace: "client_secret: [s]", byReplac: "client_secret: [t]", instance: true, realm: true},
		{settings: methods, replace: "client_id: [app]", byReplac: "client_id: [bpp]", instance: true, realm: true},
		{settings: methods, replace: "https://i.example", byReplac: "https://j.example", instance: true, realm: true},
		{settings: methods + `, scopes: [openid, x]`, instance: true, realm: true},
		{settings: methods + `, domains: [corp.example]`, instance: true, realm: true},
		{settings: methods + `, audience: [a]`, instance: true, realm: true},
		{settings: methods + `, leeway: 5`, instance: true, realm: true},
		{settings: methods + `, issuers_allowed: [https://k.example]`, instance: true, realm: true},
		{settings: methods + `, introspection_endpoint: "https://i.example/x"`, instance: true, realm: true},
		{settings: methods + `, introspection_headers_names: [x], introspection_headers_values: [y]`, instance: true, realm: true},
		{settings: methods + `, token_post_args_names: [x], token_post_args_values: [y]`, instance: true, realm: true},
		{settings: methods + `, cache_ttl: 7`, instance: true, realm: true},
		{settings: methods + `, verify_signature: false`, instance: true, realm: true},
		{settings: methods + `, ssl_verify: false`, instance: true, realm: true},
	} {
		s := compile(t, strings.Replace(asking(tt.settings), tt.replace, tt.byReplac, 1))
		q := only(t, s)
		if (q.ID != p.ID) != tt.instance || (s.Inquiries[q.ID].Realm != first.Inquiries[p.ID].Realm) != tt.realm {
			t.Errorf("%s %s: %s, %s", tt.settings, tt.byReplac, q.ID, s.Inquiries[q.ID].Realm)
		}
	}
	if strings.Contains(string((&bundle.Bundle{Plugins: []*bundle.Plugin{p}}).Encode()), first.Inquiries[p.ID].Realm) {
		t.Error("a keyed hash of secrets is in the bundle")
	}
}

// TestHidden: which headers stay here, by what is looked for in them.
func TestHidden(t *testing.T) {
	for _, tt := range []struct {
		settings string
		want     []string
	}{
		{"auth_methods: [bearer, introspection]", nil}, // the token goes on as it came
		{"auth_methods: [bearer, introspection], upstream_access_token_header: null", []string{"authorization"}},
		{"auth_methods: [introspection], bearer_token_header_name: X-Token", []string{"x-token"}},
		{"auth_methods: [introspection], bearer_token_header_name: X-Token, hide_credentials: false", nil},
		{"auth_methods: [password]", []string{"authorization"}},
		{"auth_methods: [client_credentials], upstream_access_token_header: X-Access", []string{"authorization"}},
		{"auth_methods: [refresh_token], refresh_token_param_name: X-Refresh", []string{"x-refresh"}},
		{"auth_methods: [introspection], id_token_param_name: X-Id", []string{"x-id"}},
		{"auth_methods: [session, introspection], upstream_access_token_header: null", []string{"authorization"}},
	} {
		p := only(t, compile(t, asking(tt.settings)))
		if !slices.Equal(p.OIDC.Hide, tt.want) {
			t.Errorf("%s: %q, want %q", tt.settings, p.OIDC.Hide, tt.want)
		}
	}
}
