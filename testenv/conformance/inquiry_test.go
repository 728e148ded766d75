package conformance

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// inquiryRoutes has a route for each method by which the issuer is asked.
var inquiryRoutes = [][2]string{
	{"introspection", "auth_methods: [bearer, introspection]"},
	{"jwt", "auth_methods: [bearer], introspect_jwt_tokens: true, cache_introspection: false"},
	{"scopes", "auth_methods: [introspection], introspection_check_active: true, scopes_required: [read]"},
	{"audience", "auth_methods: [introspection], audience: [api]"},
	{"forbidden", "auth_methods: [introspection], claims_forbidden: [admin]"},
	{"headers", "auth_methods: [introspection], upstream_introspection_header: X-Introspection, downstream_introspection_header: X-Said, " +
		"upstream_headers_claims: [client_id], upstream_headers_names: [X-Client], introspection_headers_names: [X-Gateway], " +
		"introspection_headers_values: [here], introspection_headers_client: [X-Tenant], introspection_post_args_client: [tenant]"},
	{"userinfo", "auth_methods: [userinfo], upstream_user_info_header: X-User-Info"},
	{"refresh", "auth_methods: [refresh_token], downstream_refresh_token_header: Refresh-Token"},
	{"password", "auth_methods: [password], scopes: [openid, read]"},
	{"client", "auth_methods: [client_credentials], scopes: [openid, read], consumer_claim: application_id, consumer_by: [custom_id]"},
	{"application", "auth_methods: [bearer, introspection], consumer_claim: application_id, consumer_by: [custom_id]"},
	{"both", "auth_methods: [password, client_credentials], scopes: [read]"},
	{"anonymous", "auth_methods: [client_credentials], anonymous: guest"},
	{"null", "auth_methods: [client_credentials], upstream_access_token_header: null"},
	{"shown", "auth_methods: [client_credentials], upstream_access_token_header: null, hide_credentials: false"},
	{"guest", "auth_methods: [password], anonymous: guest"},
	{"id", "auth_methods: [bearer], id_token_param_name: X-ID-Token, upstream_headers_claims: [nickname], upstream_headers_names: [X-Nick]"},
}

// inquiryFile has the routes, with a plugin of this client on each.
func inquiryFile(routes [][2]string) func(e vectors.Env) string {
	return func(e vectors.Env) string {
		var b strings.Builder
		b.WriteString("_format_version: \"3.0\"\nservices:\n- name: upstream\n  url: " + e.Upstream + "\n  routes:\n")
		for _, r := range routes {
			config := strings.ReplaceAll(r[1], "${ISSUER}", e.Issuer)
			if !strings.Contains(config, "client_id:") {
				config = "client_id: [gateway], client_secret: [gateway-secret], " + config
			}
			b.WriteString("  - {name: " + r[0] + ", paths: [/" + r[0] + "], strip_path: false, plugins: [{name: openid-connect, config: {issuer: \"" +
				e.Issuer + "\", " + config + "}}]}\n")
		}
		b.WriteString("plugins:\n")
		for _, r := range routes {
			if strings.Contains(r[1], "application_id") {
				b.WriteString("- {name: acl, route: " + r[0] + ", config: {allow: [partners]}}\n")
			}
		}
		b.WriteString("consumers:\n- {username: guest}\n- {username: the-application, custom_id: app, acls: [{group: partners}]}\n- {username: another, custom_id: other}\n")
		return b.String()
	}
}

// machines is a rig for machine clients.
func machines(t *testing.T, host string, routes [][2]string) *rig {
	t.Helper()
	r := start(t, host, stack.Options{}, inquiryFile(routes))
	for id, secret := range map[string]string{"gateway": "gateway-secret", "app": "app-secret", "stranger": "stranger-secret", "other": "other-secret"} {
		r.idp.AddClient(idp.Client{ID: id, Secret: secret})
	}
	r.idp.AddClient(idp.Client{ID: "poster", Secret: "poster-secret", AuthMethod: "client_secret_post"})
	r.idp.Set(func(o *idp.Options) { o.ClientClaim = "application_id" })
	r.idp.AddUser(idp.User{Name: "alice", Password: "wonder:land", Subject: "alice-1",
		Claims: map[string]any{"nickname": "Al"}, UserInfo: map[string]any{"email": "alice@example.com"}})
	r.idp.AddUser(idp.User{Name: "root", Password: "root", AccessClaims: map[string]any{"admin": true}})
	return r
}

// granted asks the issuer for tokens, as a client that knows where it is.
func (r *rig) granted(t testing.TB, client string, form url.Values) (out struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}) {
	t.Helper()
	req, err := http.NewRequest("POST", r.idp.URL+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(client, client+"-secret")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// revoke takes a token of the application back.
func (r *rig) revoke(t testing.TB, token string) {
	t.Helper()
	req, err := http.NewRequest("POST", r.idp.URL+"/revoke", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("app", "app-secret")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(err, res)
	}
	_ = res.Body.Close()
}

// opaque returns an access token that is no JWT, of the application or of a user.
func (r *rig) opaque(t testing.TB, form url.Values) string {
	t.Helper()
	r.idp.Set(func(o *idp.Options) { o.OpaqueAccess = true })
	defer r.idp.Set(func(o *idp.Options) { o.OpaqueAccess = false })
	return r.granted(t, "app", form).Access
}

func clientGrant(scope string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
}

func userGrant(name, password, scope string) url.Values {
	return url.Values{"grant_type": {"password"}, "username": {name}, "password": {password}, "scope": {scope}}
}

// TestInquiries: each method by which the issuer judges a caller.
func TestInquiries(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := machines(t, host, inquiryRoutes)
		refused := func(t *testing.T, x *exchange, status int, challenge string) {
			t.Helper()
			if x.Status != status || len(x.Seen) > 0 || x.Header.Get("WWW-Authenticate") != challenge {
				t.Errorf("%d %s %q, upstream called %d times; want %d %q", x.Status, x.Body, x.Header.Get("WWW-Authenticate"), len(x.Seen), status, challenge)
			}
		}
		passed := func(t *testing.T, x *exchange) http.Header {
			t.Helper()
			if x.Status != 200 || len(x.Seen) != 1 {
				t.Fatalf("%d %s, upstream called %d times\n%s", x.Status, x.Body, len(x.Seen), r.Gateway.Tail())
			}
			return x.Upstream()
		}
		const invalid = `Bearer error="invalid_token"`

		t.Run("introspection", func(t *testing.T) {
			token := r.opaque(t, clientGrant("read write"))
			r.idp.Forget()
			for range 8 {
				if h := passed(t, r.send(t, "GET", "/introspection", bearer(token))); h.Get("Authorization") != "Bearer "+token {
					t.Errorf("the upstream got %q", h.Get("Authorization"))
				}
			}
			if calls := r.idp.Calls("introspect"); len(calls) != 1 || calls[0].ClientID != "gateway" || calls[0].Form.Get("token") != token ||
				calls[0].Form.Get("token_type_hint") != "access_token" {
				t.Errorf("the issuer was asked %d times: %+v", len(calls), calls)
			}
			refused(t, r.send(t, "GET", "/introspection", bearer("made-up")), 401, invalid)
			refused(t, r.send(t, "GET", "/introspection"), 401, "Bearer")
			passed(t, r.send(t, "GET", "/introspection", bearer(r.idp.Token("k1", nil))))
			if n := r.idp.Count("introspect"); n != 2 {
				t.Errorf("the issuer was asked %d times: a JWT is verified", n)
			}
			refused(t, r.send(t, "GET", "/introspection", bearer(r.idp.Token("k1", map[string]any{"exp": tokens.In(-10)}))), 401, invalid)
		})
		t.Run("introspect_jwt_tokens", func(t *testing.T) {
			token := r.granted(t, "app", clientGrant("read")).Access
			passed(t, r.send(t, "GET", "/jwt", bearer(token)))
			r.revoke(t, token)
			refused(t, r.send(t, "GET", "/jwt", bearer(token)), 401, invalid)
		})
		t.Run("rights", func(t *testing.T) {
			passed(t, r.send(t, "GET", "/scopes", bearer(r.opaque(t, clientGrant("read write")))))
			refused(t, r.send(t, "GET", "/scopes", bearer(r.opaque(t, clientGrant("write")))), 403, `Bearer error="insufficient_scope", scope="read"`)
			refused(t, r.send(t, "GET", "/audience", bearer(r.opaque(t, clientGrant("read")))), 401, invalid)
			r.idp.Set(func(o *idp.Options) { o.AccessAudience = []string{"other", "api"} })
			passed(t, r.send(t, "GET", "/audience", bearer(r.opaque(t, clientGrant("read")))))
			r.idp.Set(func(o *idp.Options) { o.AccessAudience = nil })
			passed(t, r.send(t, "GET", "/forbidden", bearer(r.opaque(t, userGrant("alice", "wonder:land", "read")))))
			refused(t, r.send(t, "GET", "/forbidden", bearer(r.opaque(t, userGrant("root", "root", "read")))), 403, `Bearer error="insufficient_scope"`)
		})
		t.Run("headers", func(t *testing.T) {
			token := r.opaque(t, clientGrant("read"))
			r.idp.Forget()
			x := r.send(t, "GET", "/headers?tenant=blue&token=stolen", bearer(token), "X-Tenant: green", "X-Other: red", "X-Introspection: forged")
			h := passed(t, x)
			if got := x.Header.Get("X-Said"); got != h.Get("X-Introspection") {
				t.Errorf("the client got %q", got)
			}
			var said map[string]any
			if err := json.Unmarshal([]byte(h.Get("X-Introspection")), &said); err != nil || said["active"] != true || h.Get("X-Client") != "app" {
				t.Errorf("the upstream got %q, %q", h.Get("X-Introspection"), h.Get("X-Client"))
			}
			calls := r.idp.Calls("introspect")
			if len(calls) != 1 || calls[0].Header.Get("X-Gateway") != "here" || calls[0].Header.Get("X-Tenant") != "green" ||
				calls[0].Form.Get("tenant") != "blue" || calls[0].Header.Get("X-Other") != "" || calls[0].Form.Get("token") != token {
				t.Errorf("the issuer got %+v", calls)
			}
		})
		t.Run("userinfo", func(t *testing.T) {
			token := r.opaque(t, userGrant("alice", "wonder:land", "openid"))
			h := passed(t, r.send(t, "GET", "/userinfo", bearer(token)))
			if !strings.Contains(h.Get("X-User-Info"), "alice@example.com") || h.Get("X-Credential-Identifier") != "alice-1" {
				t.Errorf("the upstream got %q, %q", h.Get("X-User-Info"), h.Get("X-Credential-Identifier"))
			}
			refused(t, r.send(t, "GET", "/userinfo", bearer("made-up")), 401, invalid)
		})
		t.Run("refresh_token", func(t *testing.T) {
			first := r.granted(t, "gateway", userGrant("alice", "wonder:land", "openid read")).Refresh
			x := r.send(t, "GET", "/refresh", "Refresh-Token: "+first)
			h := passed(t, x)
			next := x.Header.Get("Refresh-Token")
			if !strings.HasPrefix(h.Get("Authorization"), "Bearer ey") || h.Get("Refresh-Token") != "" || next == "" || next == first {
				t.Errorf("the upstream got %q %q, the client %q", h.Get("Authorization"), h.Get("Refresh-Token"), next)
			}
			for range 8 { // every worker: an issuer that rotates takes a token once
				passed(t, r.send(t, "GET", "/refresh", "Refresh-Token: "+first))
			}
			passed(t, r.send(t, "GET", "/refresh", "Refresh-Token: "+next))
			refused(t, r.send(t, "GET", "/refresh", "Refresh-Token: made-up"), 401, "Bearer")
		})
		t.Run("password", func(t *testing.T) {
			r.idp.Forget()
			for range 8 {
				h := passed(t, r.send(t, "GET", "/password", basic("alice", "wonder:land")))
				if !strings.HasPrefix(h.Get("Authorization"), "Bearer ey") || h.Get("X-Credential-Identifier") != "alice-1" {
					t.Errorf("the upstream got %q of %q", h.Get("Authorization"), h.Get("X-Credential-Identifier"))
				}
			}
			if calls := r.idp.Calls("token"); len(calls) != 1 || calls[0].ClientID != "gateway" || calls[0].Form.Get("scope") != "openid read" {
				t.Errorf("the issuer was asked %d times: %+v", len(calls), calls)
			}
			refused(t, r.send(t, "GET", "/password", basic("alice", "wonder:lan")), 401, "Bearer")
			refused(t, r.send(t, "GET", "/password", "Authorization: Basic !"), 401, "Bearer")
			refused(t, r.send(t, "GET", "/password", bearer(r.idp.Token("k1", nil))), 401, "Bearer")
		})
		t.Run("S4-06", func(t *testing.T) {
			r.idp.Forget()
			for range 8 {
				h := passed(t, r.send(t, "GET", "/client", basic("app", "app-secret")))
				if !strings.HasPrefix(h.Get("Authorization"), "Bearer ey") || h.Get("X-Consumer-Username") != "the-application" {
					t.Errorf("the upstream got %q of %q", h.Get("Authorization"), h.Get("X-Consumer-Username"))
				}
			}
			calls := r.idp.Calls("token")
			if len(calls) != 1 || calls[0].ClientID != "app" || calls[0].Form.Get("grant_type") != "client_credentials" || calls[0].Form.Get("scope") != "read" {
				t.Errorf("the issuer was asked %d times: %+v", len(calls), calls)
			}
			testenv.Evidence(t, "%s: the issuer received %d client_credentials request of %q", host, len(calls), calls[0].ClientID)
			refused(t, r.send(t, "GET", "/client", basic("app", "wrong")), 401, "Bearer")
			refused(t, r.send(t, "GET", "/client", basic("stranger", "stranger-secret")), 403, `Bearer error="insufficient_scope"`)
			if x := r.send(t, "GET", "/client", basic("other", "other-secret")); x.Status != 403 || x.Body != `{"message":"You cannot consume this service"}` {
				t.Errorf("an application without permission: %d %s", x.Status, x.Body)
			}
		})
		t.Run("S4-10", func(t *testing.T) {
			token := r.opaque(t, clientGrant("read"))
			r.idp.Forget()
			if h := passed(t, r.send(t, "GET", "/application", bearer(token))); h.Get("X-Consumer-Username") != "the-application" || h.Get("X-Consumer-Custom-ID") != "app" {
				t.Errorf("the upstream was told of %q", h.Get("X-Consumer-Username"))
			}
			calls := r.idp.Calls("introspect")
			if len(calls) != 1 {
				t.Fatalf("the issuer was asked %d times", len(calls))
			}
			testenv.Evidence(t, "%s: the authorization server was asked %d time about the token", host, len(calls))
			refused(t, r.send(t, "GET", "/application", bearer(token+"x")), 401, invalid)
		})
		t.Run("a password or a client's secret", func(t *testing.T) {
			passed(t, r.send(t, "GET", "/both", basic("alice", "wonder:land")))
			passed(t, r.send(t, "GET", "/both", basic("other", "other-secret")))
			refused(t, r.send(t, "GET", "/both", basic("other", "wrong")), 401, "Bearer")
		})
		t.Run("anonymous", func(t *testing.T) {
			if h := passed(t, r.send(t, "GET", "/anonymous", basic("app", "wrong"))); h.Get("X-Anonymous-Consumer") != "true" {
				t.Error("the upstream was not told of an anonymous consumer")
			}
			if h := passed(t, r.send(t, "GET", "/anonymous", basic("app", "app-secret"))); h.Get("X-Anonymous-Consumer") != "" {
				t.Error("the application is anonymous")
			}
		})
		t.Run("hide_credentials", func(t *testing.T) {
			if h := passed(t, r.send(t, "GET", "/null", basic("app", "app-secret"))); h.Get("Authorization") != "" {
				t.Errorf("the upstream got %q", h.Get("Authorization"))
			}
			if h := passed(t, r.send(t, "GET", "/guest", basic("alice", "wrong"))); h.Get("Authorization") != "" || h.Get("X-Anonymous-Consumer") != "true" {
				t.Errorf("the upstream got %q of the anonymous consumer", h.Get("Authorization"))
			}
			if h := passed(t, r.send(t, "GET", "/guest", bearer("of-the-upstream's-own"))); h.Get("Authorization") != "Bearer of-the-upstream's-own" {
				t.Errorf("the upstream got %q", h.Get("Authorization"))
			}
			if h := passed(t, r.send(t, "GET", "/shown", basic("app", "app-secret"))); !strings.HasPrefix(h.Get("Authorization"), "Basic ") {
				t.Errorf("the upstream got %q", h.Get("Authorization"))
			}
		})
		t.Run("an ID token beside", func(t *testing.T) {
			alice := r.granted(t, "gateway", userGrant("alice", "wonder:land", "openid read"))
			root := r.granted(t, "gateway", userGrant("root", "root", "openid read"))
			foreign := r.granted(t, "app", userGrant("alice", "wonder:land", "openid read"))
			h := passed(t, r.send(t, "GET", "/id", bearer(alice.Access), "X-ID-Token: "+alice.ID))
			if h.Get("X-Nick") != "Al" || h.Get("X-ID-Token") != "" {
				t.Errorf("the upstream got %q, %q", h.Get("X-Nick"), h.Get("X-ID-Token"))
			}
			if h := passed(t, r.send(t, "GET", "/id", bearer(alice.Access))); h.Get("X-Nick") != "" {
				t.Errorf("the upstream got %q", h.Get("X-Nick"))
			}
			if h := passed(t, r.send(t, "GET", "/id", bearer(alice.Access), "X_ID_Token: "+root.ID)); h.Get("X_ID_Token") != "" || len(h.Values("X-ID-Token")) > 0 {
				t.Error("the upstream got an ID token that nobody has judged")
			}
			for name, id := range map[string]string{"of another access token": root.ID, "for another client": foreign.ID,
				"forged": alice.ID[:len(alice.ID)-8] + "AAAAAAAA", "nonsense": "x"} {
				if x := r.send(t, "GET", "/id", bearer(alice.Access), "X-ID-Token: "+id); x.Status != 401 || len(x.Seen) > 0 {
					t.Errorf("%s: %d, upstream called %d times", name, x.Status, len(x.Seen))
				}
			}
		})
		t.Run("an issuer that misbehaves", func(t *testing.T) {
			for fault, status := range map[idp.Fault]int{idp.IntrospectHTML: 503, idp.IntrospectHangUp: 503, idp.IntrospectHuge: 503,
				idp.IntrospectEndless: 503, idp.IntrospectDuplicate: 503, idp.IntrospectActiveText: 503, idp.IntrospectNoActive: 503, idp.IntrospectWrongIss: 401} {
				token := r.opaque(t, clientGrant("read"))
				r.idp.FlowFault(fault)
				if x := r.send(t, "GET", "/introspection", bearer(token)); x.Status != status || len(x.Seen) > 0 {
					t.Errorf("%s: %d %s, upstream called %d times", fault, x.Status, x.Body, len(x.Seen))
				}
			}
			r.idp.FlowFault()
		})
		t.Run("the issuer is away", func(t *testing.T) {
			good, bad := r.opaque(t, clientGrant("read write")), r.opaque(t, clientGrant("read"))
			passed(t, r.send(t, "GET", "/scopes", bearer(good)))
			r.idp.FlowFault(idp.Introspect500)
			if x := r.send(t, "GET", "/introspection", bearer(bad)); x.Status != 503 || len(x.Seen) > 0 {
				t.Errorf("%d, upstream called %d times", x.Status, len(x.Seen))
			}
			if x := r.send(t, "GET", "/anonymous", basic("app", "app-secret-2")); x.Status != 200 {
				t.Errorf("another endpoint: %d", x.Status)
			}
			for range 8 {
				passed(t, r.send(t, "GET", "/scopes", bearer(good)))
			}
		})
	})
}
