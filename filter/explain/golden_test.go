package explain_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/filter/explain"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

var update = flag.Bool("update", false, "write the golden files")

// file is what the golden texts are about.
const file = `_format_version: "3.0"
_sallyport: {installation_secret: "an-installation-secret-of-32-bytes!", applications: [{custom_id: client-1, name: reports, services: [api]}, {custom_id: client-2, name: stocks}]}
services:
- name: shop
  url: http://127.0.0.1:9
  routes:
  - name: orders
    paths: [/orders]
    methods: [GET]
    plugins: [{name: jwt, config: {claims_to_verify: [exp, nbf]}}]
  - name: stock
    paths: [/stock]
    hosts: [shop.example]
    plugins:
    - name: openid-connect
      config: {issuer: "${ISSUER}", auth_methods: [bearer], audience: [shop], scopes_required: ["stock:read"], leeway: 30}
  - name: either
    paths: [/either]
    plugins:
    - {name: jwt, config: {claims_to_verify: [exp], header_names: [x-token], anonymous: guest}}
    - {name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer], anonymous: guest}}
  - name: members
    paths: [/members]
    plugins:
    - {name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer], consumer_claim: [sub], consumer_by: [custom_id]}}
  - name: account
    paths: [/account]
    plugins:
    - name: openid-connect
      config: {issuer: "${ISSUER}", client_id: [app], client_secret: ["app-secret-of-this-test"], auth_methods: [authorization_code, session, bearer], session_secret: "a-session-secret-of-enough-bytes!"}
  - name: gone
    paths: [/gone]
    plugins:
    - name: openid-connect
      config: {issuer: "http://127.0.0.1:1", client_id: [app], client_secret: ["app-secret-of-this-test"], auth_methods: [authorization_code, session]}
  - name: gold
    paths: [/gold]
    plugins:
    - {name: jwt, config: {claims_to_verify: [exp]}}
    - {name: acl, config: {allow: [gold]}}
  - name: silver
    paths: [/silver]
    plugins:
    - {name: jwt, config: {claims_to_verify: [exp]}}
    - {name: acl, config: {deny: [gold]}}
  - {name: keys, paths: [/keys], plugins: [{name: key-auth, config: {key_in_query: true, hide_credentials: false}}]}
  - {name: people, paths: [/people], plugins: [{name: basic-auth, config: {hide_credentials: true}}]}
  - {name: either-key, paths: [/either-key], plugins: [{name: key-auth, config: {anonymous: guest}}, {name: basic-auth, config: {anonymous: guest}}]}
- name: api
  url: http://127.0.0.1:9
  plugins:
  - {name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer], consumer_claim: [client_id], consumer_by: [custom_id]}}
  - {name: application-registration, config: {display_name: The API}}
  - {name: acl, config: {allow: [partners]}}
  routes: [{name: api, paths: [/api]}]
consumers:
- {username: guest, id: 11111111-1111-4111-8111-111111111111}
- username: alice
  custom_id: a-1
  id: 22222222-2222-4222-8222-222222222222
  acls: [{group: gold}]
  jwt_secrets: [{key: alice, secret: alice-secret-of-at-least-32-bytes!}]
  keyauth_credentials: [{key: the-key-of-alice-16, id: 55555555-5555-4555-8555-555555555555, expires_at: 2026-03-01T12:00:01Z}]
  basicauth_credentials: [{username: alice, password: tunafish}]
`

// now is when all of it happens.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// varies is what differs from run to run.
var varies = regexp.MustCompile(`sha256:[0-9a-f]{12}|authorization_[0-9a-z]{13}`)

// The texts for typical outcomes. A difference has to be read by somebody and then
// stored with -update.
func TestGolden(t *testing.T) {
	provider := idp.Start(t)
	provider.AddClient(idp.Client{ID: "app", Secret: "app-secret-of-this-test"})
	b := newBench(t, provider, strings.ReplaceAll(file, "${ISSUER}", provider.Issuer()), 1)
	alice := tokens.Sign("alice-secret-of-at-least-32-bytes!", map[string]any{"alg": "HS256", "typ": "JWT"},
		map[string]any{"iss": "alice", "exp": now.Unix() + 600, "nbf": now.Unix() - 60})
	stock := func(claims map[string]any) string {
		all := map[string]any{"exp": now.Unix() + 3600, "iat": now.Unix(), "aud": "shop", "scope": "stock:read"}
		for name, v := range claims {
			all[name] = v
		}
		return provider.Token("k1", all)
	}
	for _, test := range []struct {
		name, url, token string
		headers          []explain.Header
	}{
		{"allowed-jwt", "https://shop.example/orders/7?page=2", alice, []explain.Header{{Name: "X-Consumer-Username", Value: "root"}}},
		{"allowed-oidc", "https://shop.example/stock", stock(nil), nil},
		{"expired", "https://shop.example/stock", stock(map[string]any{"exp": now.Unix() - 60}), nil},
		{"no-credential", "https://shop.example/orders", "", nil},
		{"wrong-issuer", "https://shop.example/stock", stock(map[string]any{"iss": "https://elsewhere.example"}), nil},
		{"scope-missing", "https://shop.example/stock", stock(map[string]any{"scope": "profile"}), nil},
		{"unknown-key", "https://shop.example/stock", tokens.Sign("rsa2048b", map[string]any{"alg": "RS256", "kid": "k9"}, map[string]any{
			"iss": provider.Issuer(), "exp": now.Unix() + 60, "aud": "shop"}), nil},
		{"no-route", "http://other.example/stock", "", nil},
		{"consumer", "https://shop.example/members", stock(map[string]any{"sub": "a-1"}), nil},
		{"consumer-missing", "https://shop.example/members", stock(nil), nil},
		{"two-tokens", "https://shop.example/stock", stock(nil), []explain.Header{{Name: "Authorization", Value: "Bearer another"}}},
		{"either", "http://shop.example/either", stock(nil), nil},
		{"login-impossible", "http://shop.example/gone", "", []explain.Header{{Name: "Accept", Value: "text/html"}}},
		{"group-allowed", "http://shop.example/gold", alice, nil},
		{"group-refused", "http://shop.example/silver", alice, nil},
		{"group-not-reached", "http://shop.example/gold", "", nil},
		{"contract-missing", "http://shop.example/api", stock(map[string]any{"client_id": "client-2"}), nil},
		{"contract-and-no-group", "http://shop.example/api", stock(map[string]any{"client_id": "client-1"}), nil},
		{"consumer-no-application", "http://shop.example/api", stock(map[string]any{"client_id": "a-1"}), nil},
		{"application-elsewhere", "https://shop.example/members", stock(map[string]any{"sub": "client-1"}), nil},
		{"key-allowed", "http://shop.example/keys?page=2&apikey=the-key-of-alice-16", "", nil},
		{"key-unknown", "http://shop.example/keys", "", []explain.Header{{Name: "apikey", Value: "the-key-of-alice-17"}}},
		{"key-twice", "http://shop.example/keys?apikey=the-key-of-alice-16", "", []explain.Header{{Name: "apikey", Value: "the-key-of-alice-16"}}},
		{"password-allowed", "http://shop.example/people", "", []explain.Header{{Name: "Authorization", Value: "Basic YWxpY2U6dHVuYWZpc2g="}}},
		{"password-wrong", "http://shop.example/people", "", []explain.Header{{Name: "Authorization", Value: "Basic YWxpY2U6dHVuYWZpc2h5"}}},
		{"password-or-key", "http://shop.example/either-key", "", []explain.Header{{Name: "Authorization", Value: "Basic YWxpY2U6dHVuYWZpc2g="}}},
		{"login", "http://shop.example/account?tab=1", "", []explain.Header{{Name: "Accept", Value: "text/html"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := explain.Request{URL: test.url, Headers: test.headers, Now: now}
			if test.token != "" {
				r.Headers = append(r.Headers, explain.Header{Name: "Authorization", Value: "Bearer " + test.token})
			}
			trace, text, encoded := b.explain(r)
			fits(t, trace)
			hidden := append(strings.Split(test.token, "."), "app-secret-of", "a-session-secret", "an-installation-secret", "the-key-of", "tunafish", "YWxpY2U6")
			if test.token == "" {
				hidden = hidden[1:]
			}
			hides(t, text, hidden)
			hides(t, encoded, hidden)
			text = varies.ReplaceAllString(strings.ReplaceAll(text, provider.Issuer(), "<issuer>"), "<varies>")
			golden := filepath.Join("testdata", test.name+".golden.txt")
			if *update {
				if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if text != string(want) {
				t.Errorf("got\n%s\nwant\n%s", text, want)
			}
		})
	}
}
