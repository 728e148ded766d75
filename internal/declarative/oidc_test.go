package declarative

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/jose"
)

func TestOIDCConfig(t *testing.T) {
	f, problems := Parse("k", []byte(`_format_version: "3.0"
consumers: [{username: guest}]
plugins:
- name: openid-connect
  config:
    issuer: https://idp.example/realms/r/.well-known/openid-configuration
    auth_methods: [bearer]
    issuers_allowed: [https://idp.example/realms/r, https://other.example]
    audience: [api]
    scopes_required: ["read write", admin]
    scopes_claim: [scp]
    roles_required: [r]
    roles_claim: [realm_access, roles]
    leeway: 5
    anonymous: guest
    run_on_preflight: false
    bearer_token_param_type: [header, query, cookie]
    bearer_token_cookie_name: token
    algorithms: [RS256, ES256]
    accept_id_tokens: true
    realm: my realm
    timeout: 500
    verify_claims: true
    verify_parameters: false
    enable_hs_signatures: false
    client_id: [a]
    client_secret: [b]
    scopes: [openid]
    session_secret: null
    introspection_endpoint: null
`), Options{})
	if f == nil {
		t.Fatal(problems)
	}
	c := f.Plugins[0].OIDC
	if c.IssuerURL != "https://idp.example/realms/r" {
		t.Errorf("the issuer is %s", c.IssuerURL)
	}
	if fmt.Sprint(c.Required) != "[{scopes [scp] [read write admin]} {roles [realm_access roles] [r]}]" {
		t.Errorf("required: %v", c.Required)
	}
	if !slices.Equal(c.Required[0].Any, []string{"read write", "admin"}) {
		t.Errorf("alternatives: %q", c.Required[0].Any)
	}
	if c.Anonymous != f.Consumers[0] || c.RunOnPreflight || c.Leeway != 5 || !c.AcceptIDTokens || c.Realm != "my realm" || c.Timeout != 500 || !c.Verify {
		t.Errorf("%+v", c)
	}
	if !slices.Equal(c.HeaderNames, []string{"authorization"}) || !slices.Equal(c.QueryNames, []string{"access_token"}) || !slices.Equal(c.CookieNames, []string{"token"}) {
		t.Errorf("places: %q %q %q", c.HeaderNames, c.QueryNames, c.CookieNames)
	}
	if !slices.Equal(c.Algorithms, []jose.Alg{jose.RS256, jose.ES256}) {
		t.Errorf("algorithms: %v", c.Algorithms)
	}
	want := []string{
		"4: info: plugins[0]: client_id, client_secret, scopes: has no effect on bearer tokens",
		"8: info: plugins[0].config.issuers_allowed: " + shareKeys,
		"15: info: plugins[0].config.anonymous: lets in requests without a valid token, as this consumer",
		"17: warning: plugins[0].config.bearer_token_param_type: " + inQuery,
		"20: warning: plugins[0].config.accept_id_tokens: is true: what a client knows a person by, and may have shown to others, opens the API",
	}
	if got := plain(problems).Error(); got != "k:"+strings.Join(want, "\nk:") {
		t.Errorf("said: %s", got)
	}
}

// Where Kong's default is unsafe ours is safe, and what is unsafe on purpose is
// said.
func TestSafeDefaults(t *testing.T) {
	f, problems := Parse("k", []byte(`_format_version: "3.0"
services: [{name: s, url: "https://h", tls_verify: false}]
plugins:
- {name: jwt}
- name: openid-connect
  config: {issuer: "http://idp.example", ssl_verify: false, verify_signature: false}
`), Options{})
	if f == nil {
		t.Fatal(problems)
	}
	j, o := f.Plugins[0].JWT, f.Plugins[1].OIDC
	if len(j.URIParamNames) != 0 || !slices.Equal(j.HeaderNames, []string{"authorization"}) || j.KeyClaimName != "iss" || !j.RunOnPreflight {
		t.Errorf("jwt: %+v", j)
	}
	if len(o.QueryNames)+len(o.CookieNames) != 0 || !slices.Equal(o.HeaderNames, []string{"authorization"}) || !o.RunOnPreflight || o.Verify {
		t.Errorf("openid-connect: %+v", o)
	}
	want := []string{
		"2: warning: services[0].tls_verify: is false: anybody between here and the upstream can read and change requests",
		"4: warning: plugins[0]: claims_to_verify does not have exp: expired tokens are accepted, as in Kong",
		"5: info: plugins[1]: has no auth_methods: bearer tokens are verified, and nothing else",
		"5: info: plugins[1]: has no audience: bearer tokens that the issuer has made for other APIs pass",
		"6: warning: plugins[1].config.issuer: is not https: anybody in between can hand out keys of their own",
		"6: warning: plugins[1].config.ssl_verify: is false: anybody between here and the identity provider can hand out keys of their own",
		"6: warning: plugins[1].config.verify_signature: is false: whoever answers in the identity provider's place logs in as anybody; it has no effect on tokens that clients present, whose signature is always verified",
	}
	if got := plain(problems).Error(); got != "k:"+strings.Join(want, "\nk:") {
		t.Errorf("got\n%s\nwant\nk:%s", got, strings.Join(want, "\nk:"))
	}
}

// Kong's API takes one value for a list of one, in every field that is a list.
func TestOIDCOneValue(t *testing.T) {
	read := func(open, end string) *OIDCConfig {
		t.Helper()
		f, problems := Parse("k", []byte(`_format_version: "3.0"
services: [{name: s, url: "https://h"}]
plugins:
- name: openid-connect
  config:
    issuer: https://idp.example
    client_id: `+open+`c`+end+`
    client_secret: `+open+`s`+end+`
    auth_methods: `+open+`authorization_code`+end+`
    audience: `+open+`api`+end+`
    scopes_required: `+open+`read write`+end+`
    roles_claim: `+open+`realm_roles`+end+`
    roles_required: `+open+`admin`+end+`
    bearer_token_param_type: `+open+`query`+end+`
`), Options{})
		if f == nil {
			t.Fatal(problems)
		}
		return f.Plugins[0].OIDC
	}
	one, list := read("", ""), read("[", "]")
	if !slices.Equal(one.Audience, []string{"api"}) || len(one.Required) != 2 || !slices.Equal(one.Required[0].Any, []string{"read write"}) {
		t.Errorf("%+v", one)
	}
	if !reflect.DeepEqual(one.Required, list.Required) || !slices.Equal(one.QueryNames, list.QueryNames) || one.Login.Begin != list.Login.Begin ||
		len(one.HeaderNames) != len(list.HeaderNames) {
		t.Errorf("%+v is not %+v", one, list)
	}
	for _, empty := range []string{`""`, `" "`, "7", "true", "{}"} {
		if f, _ := Parse("k", []byte(`_format_version: "3.0"
services: [{name: s, url: "https://h"}]
plugins: [{name: openid-connect, config: {issuer: "https://idp.example", auth_methods: bearer, scopes_required: `+empty+`}}]
`), Options{}); f != nil {
			t.Errorf("scopes_required: %s is taken: %+v", empty, f.Plugins[0].OIDC.Required)
		}
	}
}

// What cannot be read of a client is said once: it is not taken for a client that is
// not there.
func TestClientThatCannotBeRead(t *testing.T) {
	const id, secret = `"{vault://env/SALLYPORT_NOBODY_ID}"`, `"{vault://env/SALLYPORT_NOBODY_SECRET}"`
	const noID = "k:6: plugins[0].config.client_id[0]: refers to the environment variable SALLYPORT_NOBODY_ID, which is not set"
	const noSecret = "k:7: plugins[0].config.client_secret[0]: refers to the environment variable SALLYPORT_NOBODY_SECRET, which is not set"
	const noAudience = "k:3: info: plugins[0]: has no audience: bearer tokens that the issuer has made for other APIs pass\n"
	for _, c := range []struct{ id, secret, want string }{
		{id, secret, noAudience + noID + "\n" + noSecret},
		{id, "s", noAudience + noID},
		{"me", secret, "k:3: info: plugins[0]: has no auth_methods: session, bearer, introspection, userinfo and authorization_code are on, the others only when named\n" + noAudience + noSecret},
	} {
		f, problems := Parse("k", []byte(`_format_version: "3.0"
plugins:
- name: openid-connect
  config:
    issuer: https://idp.example
    client_id: [`+c.id+`]
    client_secret: [`+c.secret+`]
    scopes: [openid]
`), Options{Env: noEnv})
		if got := plain(problems).Error(); f != nil || got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}

// TestClaimsRequired: pairs beyond Kong's four.
func TestClaimsRequired(t *testing.T) {
	checkAccepted(t, []accepted{
		{"auth_methods: [bearer]\naudience: [a]\nclient_id: null\nclient_secret: null\nclaims_required: [{claim: tenant, required: [a, 'b c']}, {claim: [x, y], required: z}]\nscopes_required: [s]",
			func(c *OIDCConfig) any { return c.Required }, "[{scopes [scope] [s]} {claims [tenant] [a b c]} {claims [x y] [z]}]", ""},
	})
	checkRefusedFields(t, []refusedField{
		{"claims_required: [{claim: a}]", "[0]: has no claim or nothing required of it: expected both"},
		{"claims_required: [{required: [a]}]", "[0]: has no claim or nothing required of it: expected both"},
		{"claims_required: [{claim: a, required: ['']}]", "[0].required[0]: is empty"},
		{"claims_required: [{claim: a, required: [b], any: c}]", "[0].any: unknown field"},
		{"claims_required: [a]", `[0]: is "a": expected a mapping`},
	})
}
