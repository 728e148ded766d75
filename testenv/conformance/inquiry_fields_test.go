package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// inquiryFields are fields of openid-connect with what the issuer gets because of them.
// Without the field it gets something else.
var inquiryFields = []struct {
	config   string
	endpoint string
	request  []string // {opaque}, {user} and so on stand for credentials
	got      func(c *idp.Call) string
	want     string
	calls    int  // for two requests; 0 for one
	status   int  // 0 for 200
	late     bool // another request, later, is asked about again
}{
	{config: "auth_methods: [introspection], introspection_endpoint: '${ISSUER}/introspect?way=own'", endpoint: "introspect", got: callURI, want: "/introspect?way=own",
		status: 503}, // which takes nothing in the query,
	{config: "auth_methods: [introspection], client_id: [poster], client_secret: [poster-secret], introspection_endpoint_auth_method: client_secret_post",
		endpoint: "introspect", got: func(c *idp.Call) string { return c.AuthMethod }, want: "client_secret_post"},
	{config: "auth_methods: [introspection], introspection_hint: refresh_token", endpoint: "introspect", got: callForm("token_type_hint"), want: "refresh_token"},
	{config: "auth_methods: [introspection], introspection_hint: '', introspection_accept: application/json", endpoint: "introspect", got: callForm("token_type_hint"), want: ""},
	{config: "auth_methods: [introspection], introspection_token_param_name: the_token, introspection_post_args_names: [extra], introspection_post_args_values: [more]",
		endpoint: "introspect", got: func(c *idp.Call) string {
			return fmt.Sprint(c.Form.Get("the_token") != "", c.Form.Has("token"), c.Form.Get("extra"))
		},
		want: "true falsemore", status: 503},
	{config: "auth_methods: [introspection], introspection_post_args_client_headers: [X-Tenant]", endpoint: "introspect", request: []string{"X-Tenant: red"},
		got: callForm("X-Tenant"), want: "red"},
	{config: "auth_methods: [introspection], bearer_token_header_name: X-Token", endpoint: "introspect", request: []string{"X-Token: Bearer {opaque}", "Authorization: Basic Zm9yOm90aGVycw=="},
		got: callForm("token_type_hint"), want: "access_token"},
	{config: "auth_methods: [introspection], cache_introspection: false", endpoint: "introspect", calls: 2},
	{config: "auth_methods: [introspection], cache_introspection: true", endpoint: "introspect", calls: 1},
	{config: "auth_methods: [introspection], cache_ttl_neg: 0", endpoint: "introspect", request: []string{"Authorization: Bearer made-up"}, calls: 2, status: 401},
	{config: "auth_methods: [introspection], cache_ttl_neg: 30", endpoint: "introspect", request: []string{"Authorization: Bearer made-up-too"}, calls: 1, status: 401},

	{config: "auth_methods: [userinfo], userinfo_headers_names: [X-Gateway], userinfo_headers_values: [here], userinfo_query_args_names: [a], userinfo_query_args_values: ['b c']",
		endpoint: "userinfo", request: []string{"Authorization: Bearer {user}"}, got: func(c *idp.Call) string { return c.Header.Get("X-Gateway") + " " + c.URI }, want: "here /userinfo?a=b+c"},
	{config: "auth_methods: [userinfo], userinfo_headers_client: [X-Tenant], userinfo_query_args_client: [tenant]", endpoint: "userinfo",
		request: []string{"Authorization: Bearer {user}", "X-Tenant: red"}, got: func(c *idp.Call) string { return c.Header.Get("X-Tenant") + " " + c.URI }, want: "red /userinfo?tenant=blue"},
	{config: "auth_methods: [userinfo], cache_user_info: false, userinfo_accept: application/json", endpoint: "userinfo", request: []string{"Authorization: Bearer {user}"}, calls: 2},
	{config: "auth_methods: [userinfo], cache_ttl: 0", endpoint: "userinfo", request: []string{"Authorization: Bearer {user}"}, calls: 2},
	{config: "auth_methods: [userinfo], cache_ttl: 60", endpoint: "userinfo", request: []string{"Authorization: Bearer {user}"}, calls: 1},
	{config: "auth_methods: [userinfo], cache_ttl: 0, cache_ttl_min: 60", endpoint: "userinfo", request: []string{"Authorization: Bearer {user}"}, calls: 1},
	{config: "auth_methods: [userinfo], cache_ttl: 60, cache_ttl_max: 1", endpoint: "userinfo", request: []string{"Authorization: Bearer {user}"}, late: true},

	{config: "auth_methods: [client_credentials], token_headers_names: [X-Gateway], token_headers_values: [here], token_post_args_names: [resource], token_post_args_values: ['https://api']",
		endpoint: "token", request: []string{"{client}"}, got: func(c *idp.Call) string { return c.Header.Get("X-Gateway") + " " + c.Form.Get("resource") }, want: "here https://api"},
	{config: "auth_methods: [client_credentials], token_headers_client: [X-Tenant], token_post_args_client: [tenant]", endpoint: "token", request: []string{"{client}", "X-Tenant: red"},
		got: func(c *idp.Call) string {
			return c.Header.Get("X-Tenant") + " " + c.Form.Get("tenant") + " " + c.Form.Get("token")
		}, want: "red blue "},
	{config: "auth_methods: [client_credentials], cache_tokens: false", endpoint: "token", request: []string{"{client}"}, calls: 2},
	{config: "auth_methods: [client_credentials], cache_tokens: true, cache_tokens_salt: pepper, client_credentials_param_type: [header]", endpoint: "token", request: []string{"{client}"}, calls: 1},
	{config: "auth_methods: [client_credentials, password], auth_methods_order: listed", endpoint: "token", request: []string{"{client}"}, got: callForm("grant_type"), want: "client_credentials"},
	{config: "auth_methods: [client_credentials, password], auth_methods_order: kong, password_param_type: [header]", endpoint: "token", request: []string{"{client}"}, got: callForm("grant_type"), want: "password"},
	{config: "auth_methods: [bearer], audience: [api], id_token_param_name: X-ID, id_token_param_type: [header], introspect_jwt_tokens: true", endpoint: "introspect",
		request: []string{"Authorization: Bearer {jwt}", "X-ID: {id}"}, got: callForm("token_type_hint"), want: "access_token"},
	{config: "auth_methods: [refresh_token], refresh_token_param_name: X-Refresh, refresh_token_param_type: [header]", endpoint: "token", request: []string{"X-Refresh: {refresh}"},
		got: callForm("grant_type"), want: "refresh_token"},
}

func callURI(c *idp.Call) string { return c.URI }

func callForm(name string) func(c *idp.Call) string {
	return func(c *idp.Call) string { return c.Form.Get(name) }
}

// TestInquiryFields: what each field makes of the request to the issuer.
func TestInquiryFields(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		var routes [][2]string
		for i, f := range inquiryFields {
			routes = append(routes, [2]string{fmt.Sprint("f", i), f.config})
		}
		r := machines(t, host, routes)
		for i, f := range inquiryFields {
			t.Run(f.config, func(t *testing.T) {
				lines := f.request
				if !strings.Contains(strings.Join(lines, "\n"), "{") && !strings.Contains(strings.Join(lines, "\n"), "Authorization") {
					lines = append([]string{"Authorization: Bearer {opaque}"}, lines...)
				}
				r.idp.Set(func(o *idp.Options) { o.AccessAudience = []string{"api"} })
				user := r.granted(t, "gateway", userGrant("alice", "wonder:land", "openid"))
				r.idp.Set(func(o *idp.Options) { o.AccessAudience = nil })
				known := strings.NewReplacer("{jwt}", user.Access, "{id}", user.ID, "{opaque}", r.opaque(t, clientGrant("read")), "{user}", r.opaque(t, userGrant("alice", "wonder:land", "openid")),
					"{client}", basic("app", "app-secret"), "{refresh}", user.Refresh)
				var sent []string
				for _, line := range lines {
					sent = append(sent, known.Replace(line))
				}
				status := f.status
				if status == 0 {
					status = 200
				}
				r.idp.Forget()
				for range max(f.calls*2, 1) {
					if x := r.send(t, "GET", fmt.Sprintf("/f%d?tenant=blue&grant_type=x&token=y", i), sent...); x.Status != status {
						t.Fatalf("%d %s, want %d\n%s", x.Status, x.Body, status, r.Gateway.Tail())
					}
				}
				if f.late {
					testenv.Eventually(t, 10*time.Second, "the issuer being asked again", func() bool {
						r.send(t, "GET", fmt.Sprintf("/f%d", i), sent...)
						return r.idp.Count(f.endpoint) > 1
					})
					return
				}
				calls := r.idp.Calls(f.endpoint)
				switch {
				case len(calls) == 0:
					t.Fatal("the issuer was not asked")
				case f.calls == 1 && len(calls) != 1, f.calls == 2 && len(calls) != 4:
					t.Errorf("the issuer was asked %d times", len(calls))
				case f.calls == 0:
					if got := f.got(&calls[0]); got != f.want {
						t.Errorf("the issuer got %q, want %q", got, f.want)
					}
				}
			})
		}
	})
}
