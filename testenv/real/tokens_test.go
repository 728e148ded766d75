//go:build real

package real

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/keycloak"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// algorithms are those that Keycloak signs access tokens with.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

const secret = "secret"

// plainRealm is a realm as Keycloak makes it, with its own client scopes, roles
// and keys, and a client for each algorithm.
func plainRealm() []byte {
	type object = map[string]any
	client := func(name string, attributes object) object {
		return object{"clientId": name, "secret": secret, "enabled": true, "publicClient": false, "attributes": attributes,
			"serviceAccountsEnabled": true, "directAccessGrantsEnabled": true}
	}
	user := func(name string, roles ...string) object {
		return object{"username": name, "enabled": true, "email": name + "@example.com", "emailVerified": true,
			"firstName": name, "lastName": "Example", "realmRoles": append(roles, "default-roles-plain"),
			"credentials": []object{{"type": "password", "value": secret, "temporary": false}}}
	}
	clients := []object{client("app", nil), client("brief", object{"access.token.lifespan": "2"})}
	for _, alg := range algorithms {
		clients = append(clients, client(alg, object{"access.token.signed.response.alg": alg}))
	}
	text, err := json.Marshal(object{
		"realm": "plain", "enabled": true, "clients": clients,
		"roles": object{"realm": []object{{"name": "orders-admin"}}},
		"users": []object{user("alice", "orders-admin"), user("bob")},
	})
	if err != nil {
		panic(err)
	}
	return text
}

// plainFile has a route for each thing that may be asked of a token.
func plainFile(kc *keycloak.Server, upstream string) string {
	file := "_format_version: \"3.0\"\nservices:\n- name: upstream\n  url: " + upstream + "\n  routes:\n"
	for _, r := range [][2]string{
		{"any", ""},
		{"account", "audience: [account]"},
		{"seed", "scopes_required: [kong_api_access]"},
		{"profile", `scopes_required: [kong_api_access, "email profile"]`},
		{"role", "roles_claim: [realm_access, roles], roles_required: [orders-admin]"},
		{"leeway", "leeway: 1000"},
		{"ours", "issuers_allowed: [https://login.example, ISSUER]"},
		{"theirs", "issuers_allowed: [https://login.example]"},
		{"pinned", "algorithms: [ES256]"},
		{"id", "accept_id_tokens: true"},
	} {
		file += "  - name: " + r[0] + "\n    paths: [/" + r[0] + "]\n    strip_path: false\n    plugins:\n" +
			"    - name: openid-connect\n      config: {issuer: ISSUER, auth_methods: [bearer], " + r[1] + "}\n"
	}
	return strings.ReplaceAll(file, "ISSUER", kc.Issuer("plain"))
}

// testTokens shows tokens as Keycloak makes them to routes that ask for this and
// for that.
func testTokens(t *testing.T, r *rig) {
	app := r.kc.ClientToken(t, "plain", "app", secret)
	login := func(t testing.TB, user string) keycloak.Tokens {
		return r.kc.UserTokens(t, "plain", "app", secret, user, secret, "openid")
	}
	alice, bob := login(t, "alice"), login(t, "bob")

	t.Run("claims", func(t *testing.T) {
		for _, path := range []string{"/any", "/account", "/profile", "/ours"} {
			r.send(t, "GET", path, app).allowed(t, app)
			r.send(t, "GET", path, alice.Access).allowed(t, alice.Access)
		}
		r.send(t, "GET", "/theirs", app).refused(t, 401, "issuer_unknown", invalid)
		r.send(t, "GET", "/role", alice.Access).allowed(t, alice.Access)
		r.send(t, "GET", "/role", bob.Access).refused(t, 403, "claim_missing_required", `Bearer error="insufficient_scope"`)
		r.send(t, "GET", "/id", alice.ID).allowed(t, alice.ID)
		r.send(t, "GET", "/any", alice.ID).refused(t, 401, "token_is_id", invalid)
	})
	t.Run("scopes in the log", func(t *testing.T) {
		x := r.send(t, "GET", "/seed", bob.Access)
		x.refused(t, 403, "scope_missing", `Bearer error="insufficient_scope", scope="kong_api_access"`)
		r.scopesInLog(t, x, bob.Access)
	})
	t.Run("algorithms", func(t *testing.T) {
		// Keycloak makes the keys for most only now; the first unknown kid brings
		// them all.
		made := map[string]string{}
		for _, alg := range algorithms {
			made[alg] = r.kc.ClientToken(t, "plain", alg, secret)
		}
		for _, alg := range algorithms {
			t.Run(alg, func(t *testing.T) {
				token := made[alg]
				if got := part(t, token, 0)["alg"]; got != alg {
					t.Fatalf("Keycloak signed with %v", got)
				}
				r.send(t, "GET", "/any", token).allowed(t, token)
				r.send(t, "GET", "/any", tokens.Tamper(token)).refused(t, 401, "signature_invalid", invalid)
				if alg == "ES256" {
					r.send(t, "GET", "/pinned", token).allowed(t, token)
				} else {
					r.send(t, "GET", "/pinned", token).refused(t, 401, "algorithm_mismatch", invalid)
				}
			})
		}
	})
	t.Run("expiry", func(t *testing.T) {
		brief := r.kc.ClientToken(t, "plain", "brief", secret)
		r.eventually(t, "/any", brief, 401, 200)
		r.send(t, "GET", "/any", brief).refused(t, 401, "token_expired", invalid)
		r.send(t, "GET", "/leeway", brief).allowed(t, brief)
	})
}

// eventually sends a request until it is answered with a status, so many times in
// a row that every worker must have been asked; until then, it has to be answered
// with one of the others.
func (r *rig) eventually(t testing.TB, target, token string, status int, others ...int) {
	t.Helper()
	const row = 20
	got, last, same := map[int]int{}, 0, 0
	err := testenv.Poll(60*time.Second, func() bool {
		for same < row {
			last = testenv.Raw(t, r.Addr, testenv.Request("GET", target, "Authorization: Bearer "+token)).Status
			got[last]++
			if last != status {
				same = 0
				return !slices.Contains(others, last)
			}
			same++
		}
		return true
	})
	if err != nil || same < row {
		t.Fatalf("%s: %s: the answers were %v, the last one %d (%v); want %d in the end: %s", r.Host, target, got, last, err, status, r.Gateway.Tail())
	}
	testenv.Evidence(t, "%s: GET %s -> %d in the end; all answers: %v", r.Host, target, status, got)
}
