//go:build real

package real

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv/keycloak"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// machinesFile has a route for each method by which Keycloak is asked about a caller. The
// client of introspection is not the one that the tokens are for.
func machinesFile(kc *keycloak.Server, upstream string) string {
	file := "_format_version: \"3.0\"\nservices:\n- name: upstream\n  url: " + upstream + "\n  routes:\n"
	for _, r := range [][2]string{
		{"introspection", "auth_methods: [introspection]"},
		{"role", "auth_methods: [introspection], roles_claim: [realm_access, roles], roles_required: [orders-admin]"},
		{"taken-back", "auth_methods: [bearer], introspect_jwt_tokens: true, cache_introspection: false"},
		{"userinfo", "auth_methods: [userinfo], upstream_headers_claims: [email], upstream_headers_names: [X-Mail], cache_user_info: false"},
		{"refresh", "auth_methods: [refresh_token], downstream_refresh_token_header: Refresh-Token"},
		{"password", "auth_methods: [password], scopes: [openid]"},
		{"client", "auth_methods: [client_credentials], scopes: [openid, email]"},
		{"forbidden", "auth_methods: [introspection], claims_forbidden: [email]"},
		{"groups", "auth_methods: [introspection], authenticated_groups_claim: [realm_access, roles]"},
		{"consumer", "auth_methods: [client_credentials], consumer_claim: azp, consumer_by: [custom_id]"},
		{"anonymous", "auth_methods: [client_credentials], anonymous: guest"},
		{"id", "auth_methods: [bearer], id_token_param_name: X-ID-Token, upstream_headers_claims: [at_hash], upstream_headers_names: [X-Hash]"},
	} {
		file += "  - name: " + r[0] + "\n    paths: [/" + r[0] + "]\n    strip_path: false\n    plugins:\n" +
			"    - name: openid-connect\n      config: {issuer: ISSUER, client_id: [app], client_secret: [" + secret + "], " + r[1] + "}\n"
	}
	file += "plugins:\n- {name: acl, route: groups, config: {allow: [orders-admin]}}\n- {name: acl, route: consumer, config: {allow: [partners]}}\n" +
		"consumers:\n- {username: guest}\n- {username: partner, custom_id: ES256, acls: [{group: partners}]}\n- {username: other, custom_id: ES384}\n"
	return strings.ReplaceAll(file, "ISSUER", kc.Issuer("plain"))
}

func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// passed asserts that a request went through with a bearer token of Keycloak's, and returns
// its claims.
func (x *exchange) passed(t testing.TB) map[string]any {
	t.Helper()
	if x.Status != 200 || len(x.seen) != 1 {
		t.Fatalf("%s: %d %s by %q, the upstream was called %d times; want 200, once", x.r.Host, x.Status, x.shown(),
			x.r.Reason(x.RequestID()), len(x.seen))
	}
	token, ok := strings.CutPrefix(x.seen[0].Header("Authorization"), "Bearer ")
	if !ok || strings.Count(token, ".") != 2 {
		t.Fatalf("the upstream got no token")
	}
	return payload(t, token)
}

// testMachines shows what machine clients have to Keycloak.
func testMachines(t *testing.T, r *rig) {
	app := r.kc.ClientToken(t, "plain", "RS256", secret)
	user := func(name string) keycloak.Tokens {
		return r.kc.UserTokens(t, "plain", "app", secret, name, secret, "openid")
	}
	t.Run("introspection", func(t *testing.T) {
		r.send(t, "GET", "/introspection", app).passed(t)
		r.send(t, "GET", "/introspection", tokens.Tamper(app)).refused(t, 401, "token_inactive", invalid)
		r.send(t, "GET", "/introspection", "nonsense").refused(t, 401, "token_inactive", invalid)
		r.send(t, "GET", "/role", user("alice").Access).passed(t)
		r.send(t, "GET", "/role", user("bob").Access).refused(t, 403, "claim_missing_required", `Bearer error="insufficient_scope"`)
	})
	t.Run("taken back", func(t *testing.T) {
		bob := user("bob")
		r.send(t, "GET", "/taken-back", bob.Access).passed(t)
		sid, _ := payload(t, bob.Access)["sid"].(string)
		r.kc.EndSession(t, "plain", sid)
		r.send(t, "GET", "/taken-back", bob.Access).refused(t, 401, "token_inactive", invalid)
	})
	t.Run("userinfo", func(t *testing.T) {
		alice := user("alice")
		x := r.send(t, "GET", "/userinfo", alice.Access)
		x.passed(t)
		if got := x.seen[0].Header("X-Mail"); got != "alice@example.com" {
			t.Errorf("the upstream got %q", got)
		}
		r.send(t, "GET", "/userinfo", tokens.Tamper(alice.Access)).refused(t, 401, "token_inactive", invalid)
		r.send(t, "GET", "/userinfo", app).refused(t, 401, "token_inactive", invalid) // without the scope openid
	})
	t.Run("refresh_token", func(t *testing.T) {
		x := r.send(t, "GET", "/refresh", "", "Refresh-Token: "+user("alice").Refresh)
		if claims := x.passed(t); claims["azp"] != "app" || x.Header.Get("Refresh-Token") == "" {
			t.Errorf("azp %v, a next refresh token: %v", claims["azp"], x.Header.Get("Refresh-Token") != "")
		}
		r.send(t, "GET", "/refresh", "", "Refresh-Token: "+x.Header.Get("Refresh-Token")).passed(t)
		r.send(t, "GET", "/refresh", "", "Refresh-Token: nonsense").refused(t, 401, "credential_refused", "Bearer")
	})
	t.Run("password", func(t *testing.T) {
		before := r.kc.TokensAsked("plain")
		for range 8 {
			if claims := r.send(t, "GET", "/password", "", basic("alice", secret)).passed(t); claims["preferred_username"] != "alice" {
				t.Errorf("the upstream got a token of %v", claims["preferred_username"])
			}
		}
		if n := r.kc.TokensAsked("plain") - before; n != 1 {
			t.Errorf("Keycloak was asked %d times for one password", n)
		}
		r.send(t, "GET", "/password", "", basic("alice", "wrong")).refused(t, 401, "credential_refused", "Bearer")
	})
	t.Run("rules", func(t *testing.T) {
		const lacks = `Bearer error="insufficient_scope"`
		r.send(t, "GET", "/forbidden", app).passed(t)
		r.send(t, "GET", "/forbidden", user("alice").Access).refused(t, 403, "claim_forbidden", lacks)
		x := r.send(t, "GET", "/groups", user("alice").Access)
		x.passed(t)
		if got := x.seen[0].Header("X-Authenticated-Groups"); !strings.Contains(got, "orders-admin") {
			t.Errorf("the upstream was told of the groups %q", got)
		}
		if x := r.send(t, "GET", "/groups", user("bob").Access); x.Status != 403 || len(x.seen) != 0 || x.Body != `{"message":"You cannot consume this service"}` {
			t.Errorf("without the group: %d %s", x.Status, x.shown())
		}
		x = r.send(t, "GET", "/consumer", "", basic("ES256", secret))
		x.passed(t)
		if got := x.seen[0].Header("X-Consumer-Username"); got != "partner" {
			t.Errorf("the upstream was told of %q", got)
		}
		if x := r.send(t, "GET", "/consumer", "", basic("ES384", secret)); x.Status != 403 || len(x.seen) != 0 {
			t.Errorf("a consumer without permission: %d %s", x.Status, x.shown())
		}
		r.send(t, "GET", "/consumer", "", basic("ES512", secret)).refused(t, 403, "consumer_missing", lacks)
		x = r.send(t, "GET", "/anonymous", "", basic("ES256", "wrong"))
		if x.Status != 200 || len(x.seen) != 1 || x.seen[0].Header("X-Anonymous-Consumer") != "true" {
			t.Errorf("anonymous: %d %s", x.Status, x.shown())
		}
	})
	t.Run("an ID token beside", func(t *testing.T) {
		alice, bob := user("alice"), user("bob")
		x := r.send(t, "GET", "/id", alice.Access, "X-ID-Token: "+alice.ID)
		x.passed(t)
		if x.seen[0].Header("X-Hash") == "" || x.seen[0].Header("X-ID-Token") != "" {
			t.Errorf("the upstream got the hash %q and a token %v", x.seen[0].Header("X-Hash"), x.seen[0].Header("X-ID-Token") != "")
		}
		r.send(t, "GET", "/id", alice.Access, "X-ID-Token: "+bob.ID).refused(t, 401, "access_token_hash_mismatch", "Bearer")
		r.send(t, "GET", "/id", alice.Access, "X-ID-Token: "+tokens.Tamper(alice.ID)).refused(t, 401, "signature_invalid", invalid)
	})
	t.Run("client_credentials", func(t *testing.T) {
		if claims := r.send(t, "GET", "/client", "", basic("ES256", secret)).passed(t); claims["azp"] != "ES256" {
			t.Errorf("the upstream got a token of %v", claims["azp"])
		}
		r.send(t, "GET", "/client", "", basic("ES256", "wrong")).refused(t, 401, "credential_refused", "Bearer")
		r.send(t, "GET", "/client", "", basic("nobody", secret)).refused(t, 401, "credential_refused", "Bearer")
	})
}

func exampleMachines(kc *keycloak.Server, upstream string) string {
	return addressed(readOf("machines", "kong.yml"), kc, upstream)
}

// testExampleMachines runs examples/machines, request by request as its README has them.
func testExampleMachines(t *testing.T, r *rig) {
	for range 2 {
		x := r.send(t, "GET", "/orders", "", basic("reader", "reader-secret"))
		x.passed(t)
		for name, want := range map[string]string{"X-Consumer-Username": "the-warehouse", "X-Consumer-Custom-Id": "reader", "X-Application": "reader"} {
			if got := x.seen[0].Header(name); got != want {
				t.Errorf("the upstream got %s %q, want %q", name, got, want)
			}
		}
	}
	r.send(t, "GET", "/orders", "", basic("reader", "wrong")).refused(t, 401, "credential_refused", "Bearer")
	if x := r.send(t, "GET", "/orders", "", basic("writer", "writer-secret")); x.Status != 403 || x.Body != `{"message":"You cannot consume this service"}` || len(x.seen) > 0 {
		t.Errorf("no partner: %d %s", x.Status, x.shown())
	}
	if x := r.send(t, "GET", "/orders", "", basic("visitor", "visitor-secret")); x.Status == 200 || x.Status == 503 || len(x.seen) > 0 {
		t.Errorf("without the scope: %d %s", x.Status, x.shown())
	}
	r.send(t, "GET", "/orders", r.client(t, "reader")).passed(t)
	r.send(t, "GET", "/orders", "made-up").refused(t, 401, "token_inactive", invalid)
	r.send(t, "GET", "/orders", "").refused(t, 401, "credential_missing", "Bearer")
}
