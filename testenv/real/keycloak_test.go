//go:build real

package real

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/keycloak"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// TestKeycloak runs everything with one Keycloak, which takes a while to start.
// What stops it comes last.
func TestKeycloak(t *testing.T) {
	shop := read("realm.json")
	kc := keycloak.Start(t, map[string][]byte{
		"shop":  shop,
		"other": []byte(strings.Replace(string(shop), `"realm": "shop"`, `"realm": "other"`, 1)),
		"plain": plainRealm(),
	})
	t.Run("example", func(t *testing.T) {
		inBoth(t, func(t *testing.T, host string) { testExample(t, start(t, host, kc, example)) })
	})
	t.Run("tokens", func(t *testing.T) {
		inBoth(t, func(t *testing.T, host string) { testTokens(t, start(t, host, kc, plainFile)) })
	})
	t.Run("machines", func(t *testing.T) {
		inBoth(t, func(t *testing.T, host string) { testMachines(t, start(t, host, kc, machinesFile)) })
	})
	t.Run("example for machines", func(t *testing.T) {
		inBoth(t, func(t *testing.T, host string) { testExampleMachines(t, start(t, host, kc, exampleMachines)) })
	})
	t.Run("rotation", func(t *testing.T) {
		inBoth(t, func(t *testing.T, host string) { testRotation(t, start(t, host, kc, example)) })
	})
	t.Run("flood", func(t *testing.T) {
		inBoth(t, func(t *testing.T, host string) { testFlood(t, start(t, host, kc, example)) })
	})
	t.Run("outage", func(t *testing.T) { testOutage(t, kc) })
}

// testExample runs examples/keycloak.
func testExample(t *testing.T, r *rig) {
	reader := r.client(t, "reader")
	user := r.kc.UserTokens(t, "shop", "reader", "reader-secret", "alice", "alice-password", "openid")

	t.Run("accepted", func(t *testing.T) {
		r.send(t, "GET", "/orders", reader).allowed(t, reader)
		writer := r.client(t, "writer")
		r.send(t, "POST", "/orders", writer).allowed(t, writer)
		r.send(t, "GET", "/orders", user.Access).allowed(t, user.Access)
		if payload(t, user.Access)["sub"] == payload(t, reader)["sub"] {
			t.Error("a user and a client have the same sub: the identifier shows nothing")
		}
	})
	t.Run("identity", func(t *testing.T) {
		x := r.send(t, "GET", "/orders", reader, "X-Credential-Identifier: admin", "X-Consumer-Username: admin",
			"X_Consumer_ID: 1", "X-Anonymous-Consumer: true", "X-Authenticated-Scope: everything")
		x.allowed(t, reader)
		for name, values := range x.seen[0].Headers {
			level := strings.ReplaceAll(strings.ToLower(name), "_", "-")
			own := name == "X-Credential-Identifier" && len(values) == 1
			if !own && (strings.HasPrefix(level, "x-consumer") || strings.HasPrefix(level, "x-credential") ||
				strings.HasPrefix(level, "x-anonymous") || strings.HasPrefix(level, "x-authenticated")) {
				t.Errorf("the upstream received the client's own %s: %q", name, values)
			}
		}
		testenv.Evidence(t, "%s: identity headers of the client's did not reach the upstream", r.Host)
	})
	t.Run("refused", func(t *testing.T) {
		r.send(t, "GET", "/orders", "").refused(t, 401, "credential_missing", "Bearer")
		r.send(t, "GET", "/orders", tokens.Tamper(reader)).refused(t, 401, "signature_invalid", invalid)
		// The claims of one token with the signature of another.
		mine, theirs := strings.Split(r.client(t, "visitor"), "."), strings.Split(reader, ".")
		r.send(t, "GET", "/orders", mine[0]+"."+theirs[1]+"."+mine[2]).refused(t, 401, "signature_invalid", invalid)
		r.send(t, "GET", "/orders", r.client(t, "elsewhere")).refused(t, 401, "audience_mismatch", invalid)
		other := r.kc.ClientToken(t, "other", "reader", "reader-secret")
		r.send(t, "GET", "/orders", other).refused(t, 401, "issuer_unknown", invalid)
		r.send(t, "GET", "/orders", user.ID).refused(t, 401, "token_is_id", invalid)
		r.send(t, "GET", "/orders", user.Refresh).refused(t, 401, "token_type", invalid)
		// Twice: what was refused is not remembered as anything else.
		r.send(t, "GET", "/orders", tokens.Tamper(reader)).refused(t, 401, "signature_invalid", invalid)
		r.send(t, "GET", "/orders", reader).allowed(t, reader)
	})
	t.Run("scopes", func(t *testing.T) {
		for _, c := range []struct{ method, client, required string }{
			{"GET", "visitor", "orders:read"},
			{"POST", "reader", "orders:read orders:write"},
		} {
			token := r.client(t, c.client)
			x := r.send(t, c.method, "/orders", token)
			x.refused(t, 403, "scope_missing", `Bearer error="insufficient_scope", scope="`+c.required+`"`)
			r.scopesInLog(t, x, token)
		}
	})
}

// scopesInLog asserts the line that says which scopes a token had, in Kong's form.
func (r *rig) scopesInLog(t testing.TB, x *exchange, token string) {
	t.Helper()
	scope, _ := payload(t, token)["scope"].(string)
	if scope == "" {
		t.Fatal("Keycloak's token has no scope: the line shows nothing")
	}
	want := "[openid-connect] required scopes were not found [ " + strings.Join(strings.Fields(scope), ", ") + " ]"
	if r.LogLine(want, "request_id="+x.RequestID()) == "" {
		t.Errorf("the log has no line with %q for the request: %s", want, r.Gateway.Tail())
	}
	testenv.Evidence(t, "%s: the log says %s", r.Host, want)
}
