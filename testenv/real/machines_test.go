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
	} {
		file += "  - name: " + r[0] + "\n    paths: [/" + r[0] + "]\n    strip_path: false\n    plugins:\n" +
			"    - name: openid-connect\n      config: {issuer: ISSUER, client_id: [app], client_secret: [" + secret + "], " + r[1] + "}\n"
	}
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
	t.Run("client_credentials", func(t *testing.T) {
		if claims := r.send(t, "GET", "/client", "", basic("ES256", secret)).passed(t); claims["azp"] != "ES256" {
			t.Errorf("the upstream got a token of %v", claims["azp"])
		}
		r.send(t, "GET", "/client", "", basic("ES256", "wrong")).refused(t, 401, "credential_refused", "Bearer")
		r.send(t, "GET", "/client", "", basic("nobody", secret)).refused(t, 401, "credential_refused", "Bearer")
	})
}
