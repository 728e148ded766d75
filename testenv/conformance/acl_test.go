package conformance

import (
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

const groupsFile = `_format_version: "3.0"
services:
- name: upstream
  url: ${UPSTREAM}
  routes:
  - name: allow
    paths: [/allow]
    strip_path: false
    plugins: [{name: jwt, config: {claims_to_verify: [exp]}}, {name: acl, config: {allow: [gold, silver]}}]
  - name: deny
    paths: [/deny]
    strip_path: false
    plugins: [{name: jwt, config: {claims_to_verify: [exp]}}, {name: acl, config: {deny: [gold], hide_groups_header: true}}]
  - name: guest
    paths: [/guest]
    strip_path: false
    plugins: [{name: jwt, config: {claims_to_verify: [exp], anonymous: guest}}, {name: acl, config: {allow: [guests, gold]}}]
  - name: alone
    paths: [/alone]
    strip_path: false
    plugins: [{name: acl, config: {deny: [gold]}}]
  - name: token
    paths: [/token]
    strip_path: false
    plugins:
    - {name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer], authenticated_groups_claim: [realm_access, roles]}}
    - {name: acl, config: {allow: [gold]}}
consumers:
- {username: alice, acls: [{group: bronze}, {group: gold}], jwt_secrets: [{key: alice, secret: the-secret-of-alice-is-long-enough}]}
- {username: bob, jwt_secrets: [{key: bob, secret: the-secret-of-bob-is-long-enough-too}]}
- {username: guest, acls: [{group: guests}]}
acls: [{group: copper, consumer: bob}]
`

// TestGroups: the acl plugin behind both authentication plugins, and a group that is
// given to somebody whose credential every worker remembers.
func TestGroups(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		file := func(e vectors.Env) string {
			return strings.NewReplacer("${UPSTREAM}", e.Upstream, "${ISSUER}", e.Issuer).Replace(groupsFile)
		}
		r := start(t, host, stack.Options{}, file)
		secret := func(key, secret string) string {
			return bearer(tokens.Sign(secret, map[string]any{"alg": "HS256"}, map[string]any{"iss": key, "exp": tokens.In(600)}))
		}
		alice, bob := secret("alice", "the-secret-of-alice-is-long-enough"), secret("bob", "the-secret-of-bob-is-long-enough-too")
		roles := func(names ...any) string {
			return bearer(r.idp.Token("k1", map[string]any{"realm_access": map[string]any{"roles": names}}))
		}
		const (
			refused  = `{"message":"You cannot consume this service"}`
			nobody   = `{"message":"Unauthorized"}`
			consumer = "X-Consumer-Groups"
			byToken  = "X-Authenticated-Groups"
		)
		spoofed := []string{consumer + ": gold", byToken + ": gold", "X_Consumer_Groups: gold"}
		for _, tt := range []struct {
			name, target, token string
			status              int
			body, header, value string
		}{
			{"allowed", "/allow", alice, 200, "", consumer, "bronze, gold"},
			{"another group", "/allow", bob, 403, refused, "", ""},
			{"no token", "/allow", "", 401, nobody, "", ""},
			{"denied", "/deny", alice, 403, refused, "", ""},
			{"not denied, and hidden", "/deny", bob, 200, "", "", ""},
			{"anonymous", "/guest", "", 200, "", consumer, "guests"},
			{"not anonymous", "/guest", alice, 200, "", consumer, "bronze, gold"},
			{"neither", "/guest", bob, 403, refused, "", ""},
			{"without authentication", "/alone", alice, 401, nobody, "", ""},
			{"the token's group", "/token", roles("silver", "gold"), 200, "", byToken, "silver, gold"},
			{"another of the token", "/token", roles("golden", "gol d"), 403, refused, "", ""},
			{"none of the token", "/token", bearer(r.idp.Token("k1", nil)), 403, refused, "", ""},
		} {
			t.Run(tt.name, func(t *testing.T) {
				lines := spoofed
				if tt.token != "" {
					lines = append([]string{tt.token}, spoofed...)
				}
				x := r.send(t, "GET", tt.target, lines...)
				if x.Status != tt.status || tt.body != "" && x.Body != tt.body {
					t.Fatalf("%d %s, want %d %s", x.Status, x.Body, tt.status, tt.body)
				}
				if passed := len(x.Seen) == 1; passed != (tt.status == 200) {
					t.Fatalf("the upstream was called %d times", len(x.Seen))
				}
				for _, name := range []string{consumer, byToken} {
					want := map[bool]string{true: tt.value}[name == tt.header]
					if got := strings.Join(x.Upstream().Values(name), " | "); got != want {
						t.Errorf("the upstream got %s %q, want %q", name, got, want)
					}
				}
				for name := range x.claims() {
					if strings.Contains(name, "_") {
						t.Errorf("the upstream got the caller's %s", name)
					}
				}
			})
		}

		r.eventually(t, 403, "GET", "/allow", bob)
		r.Write(strings.Replace(file(r.env()), "{group: copper,", "{group: silver,", 1))
		r.eventually(t, 200, "GET", "/allow", bob)
		r.Write(file(r.env()))
		r.eventually(t, 403, "GET", "/allow", bob)
	})
}
