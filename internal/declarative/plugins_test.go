package declarative

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

func inJWT(s string) string {
	return "plugins:\n- {name: jwt, config: {claims_to_verify: [exp], " + s + "}}"
}

func inOIDC(s string) string {
	return "plugins:\n- {name: openid-connect, config: {issuer: 'https://idp.example', auth_methods: [bearer], " + s + "}}"
}

func TestRefusedPlugins(t *testing.T) {
	const p = "3: plugins[0]: "
	const c = "3: plugins[0].config."
	checkRefusals(t, []refusal{
		{"plugins:\n- {config: {}}", p + "has no name"},
		{"plugins:\n- {name: jtw}", p + `the plugin "jtw" is not supported: expected jwt, key-auth, basic-auth, openid-connect, application-registration or acl`},
		{"plugins:\n- {name: acl}", p + "has neither allow nor deny: expected either config.allow or config.deny with at least one group"},
		{"plugins:\n- {name: acl, config: {allow: [a], deny: [b]}}", p + "has allow and deny: expected either config.allow or config.deny with at least one group"},
		{"plugins:\n- {name: acl, config: {allow: ['a,b']}}", "3: plugins[0].config.allow[0]: has a comma: upstreams read the groups of X-Consumer-Groups as a list"},
		{"plugins:\n- {name: acl, config: {allow: ['']}}", "3: plugins[0].config.allow[0]: is empty"},
		{"plugins:\n- {name: acl, config: {whitelist: [a]}}", "3: plugins[0].config.whitelist: is not supported: the field is allow since Kong 2.1"},
		{"plugins:\n- {name: acl, config: {allow: [a], include_consumer_groups: true}}", "3: plugins[0].config.include_consumer_groups: is not supported: consumer groups are an entity of Kong Enterprise: give consumers groups of their own, with acls"},
		{"plugins:\n- {name: acl, config: {allow: [a]}, consumer: u}\nconsumers: [{username: u}]", "3: plugins[0].consumer: binds acl to a consumer: authentication plugins run before there is one, and Kong refuses this too"},
		{"plugins:\n- {name: hmac-auth}", p + "the plugin hmac-auth is not supported: signed requests are not supported"},
		{"plugins:\n- {name: cors}", p + "the plugin cors is not supported: it guards nothing; leave it out, or have it left out with --ignore-unsupported"},
		{"plugins:\n- {name: openid-connect}", p + "has no issuer"},
		{"plugins:\n- {name: openid-connect, config: null}", p + "has no issuer"},
		{inJWT("maximum_expiration: 31536001"), c + "maximum_expiration: is 31536001: expected 0 to 31536000"},
		{"plugins:\n- {name: jwt, config: {claims_to_verify: [nbf], maximum_expiration: 60}}", p + "maximum_expiration needs exp in claims_to_verify"},
		{inJWT("header_names: []"), p + "has no place to look for a token: expected header_names, cookie_names or uri_param_names"},
		{inJWT("header_names: ['a b']"), c + "header_names[0]: is no header name"},
		{inJWT("header_names: authorization"), c + `header_names: is "authorization": expected a list`},
		{inJWT("key_claim_name: ''"), c + "key_claim_name: is empty"},
		{inJWT(`realm: "a\nb"`), c + "realm: holds a control character or broken UTF-8"},
		{inJWT("secret_is_base64: 'true'"), c + `secret_is_base64: is "true": expected true or false`},
		{inJWT("algorithms: [none]"), c + `algorithms[0]: is "none": expected HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA`},
		{inJWT("leeway: 86401"), c + "leeway: is 86401: expected 0 to 86400"},
		{inJWT("anonymous: nobody"), c + `anonymous: is "nobody": anonymous consumer nobody is configured but doesn't exist (expected a username or id)`},
		{inJWT("issuer: x"), c + "issuer: unknown field: did you mean issuers?"},
		{"plugins:\n- {name: jwt, config: [exp]}", "3: plugins[0].config: is a list: expected a mapping"},
		{"plugins:\n- {name: jwt, _config: none}", `3: plugins[0]._config: is "none", which _plugin_configs does not have`},
		{"plugins:\n- {name: jwt, condition: x}", "3: plugins[0].condition: is not supported: bind the plugin to a route instead"},
		{"plugins:\n- {name: jwt, ordering: {before: {access: [acl]}}}", "3: plugins[0].ordering: is not supported: plugins run in Kong's static order"},
		{"plugins:\n- {name: jwt, consumer_group: g}", "3: plugins[0].consumer_group: is not supported: authentication plugins run before there is a consumer"},
		{"plugins:\n- {name: jwt, consumer: u}\nconsumers: [{username: u}]",
			"3: plugins[0].consumer: binds jwt to a consumer: authentication plugins run before there is one, and Kong refuses this too"},
		{"plugins:\n- {name: rate-limiting, consumer: u}\nconsumers: [{username: u}]", p + "the plugin rate-limiting is not supported: it guards nothing; leave it out, or have it left out with --ignore-unsupported"},
		{"plugins:\n- {name: rate-limiting, consumer_group: g}", p + "the plugin rate-limiting is not supported: it guards nothing; leave it out, or have it left out with --ignore-unsupported"},
		{"consumers:\n- {username: u, plugins: [{name: rate-limiting}]}",
			"3: consumers[0].plugins[0]: the plugin rate-limiting is not supported: it guards nothing; leave it out, or have it left out with --ignore-unsupported"},
		{"consumers:\n- {username: u, plugins: [{name: ip-restriction}]}",
			"3: consumers[0].plugins[0]: the plugin ip-restriction is not supported: restrict addresses in front of the gateway"},
		{"consumers:\n- {username: u, plugins: [{name: jwt}]}",
			"3: consumers[0].plugins[0]: is bound to a consumer: authentication plugins run before there is one, and Kong refuses this too"},
		{"plugins:\n- {name: jwt, service: none}", `3: plugins[0].service: refers to "none", which is not among the services`},
		{"plugins:\n- {name: jwt, protocols: [tcp]}", `3: plugins[0].protocols[0]: is "tcp": expected http, https, grpc, grpcs, ws or wss`},
		{"plugins:\n- {name: jwt}\n- {name: jwt}", "4: plugins[1]: jwt is bound to the same place at line 3: expected one"},
		{"services:\n- {name: s, host: h, plugins: [{name: jwt}]}\nplugins:\n- {name: jwt, service: s}", "5: plugins[0]: jwt is bound to the same place at line 3: expected one"},
		{"services:\n- {name: s, host: h, plugins: [{name: jwt, service: s}]}", "3: services[0].plugins[0]: is nested in an entity and names one: expected one of the two"},
		{"services:\n- {name: s, host: h, routes: [{name: r, paths: [/]}]}\n- {name: t, host: h}\nplugins:\n- {name: jwt, service: t, route: r}",
			"6: plugins[0]: is bound to a route and to a service that the route does not belong to: it would never run"},
		{"plugins:\n- {name: jwt, instance_name: a}\n- {name: openid-connect, instance_name: a, config: {issuer: 'https://i'}}", `4: plugins[1]: "a" is taken by another of the plugins`},

		{inOIDC("auth_methods: [bearer]"), c + "auth_methods: appears twice in one mapping"},
		{"plugins:\n- {name: openid-connect, config: {issuer: 'https://i', auth_methods: [kong_oauth2]}}", c + "auth_methods[0]: is kong_oauth2, which is not supported: Kong keeps those tokens in its own database; use an identity provider, and bearer or introspection"},
		{"plugins:\n- {name: openid-connect, config: {issuer: 'https://i', auth_methods: [beaver]}}", c + `auth_methods[0]: is "beaver": expected session, bearer, introspection, userinfo, refresh_token, password, client_credentials or authorization_code`},
		{"plugins:\n- {name: openid-connect, config: {issuer: idp.example}}", c + `issuer: is "idp.example": expected an https URL`},
		{"plugins:\n- {name: openid-connect, config: {issuer: 'https://u:p@i'}}", c + `issuer: has a user name or cannot be read: expected an https URL without credentials`},
		{inOIDC("bearer_token_param_type: [body]"), c + "bearer_token_param_type: has nothing but body, and bodies are not read: expected header, query or cookie"},
		{inOIDC("bearer_token_param_type: [cookie]"), p + "bearer_token_param_type has cookie: expected bearer_token_cookie_name too"},
		{inOIDC("bearer_token_cookie_name: c"), p + "bearer_token_cookie_name needs cookie in bearer_token_param_type"},
		{inOIDC("verify_claims: false"), c + "verify_claims: is not supported: claims are always verified"},
		{inOIDC("enable_hs_signatures: true"), c + "enable_hs_signatures: is not supported: a token signed with the client secret could be made by anybody who has it"},
		{inOIDC("algorithms: [HS256]"), p + "algorithms has HS256: an issuer's tokens are verified with public keys"},
		{inOIDC("scopes_required: ['']"), c + "scopes_required[0]: is empty"},
		{inOIDC("scopes_required: ['  ']"), c + "scopes_required[0]: is empty"},
		{inOIDC("scopes_required: [a], scopes_claim: []"), p + "scopes_required has no claim to look at: scopes_claim is empty"},
		{inOIDC("client_arg: s"), c + "client_arg: is not supported: a request cannot choose the client: give each client a route with a plugin of its own"},
		{inOIDC("proof_of_possession_dpop: strict"), c + "proof_of_possession_dpop: is not supported: tokens are not bound to their sender: have the issuer make them short-lived"},
		{inOIDC("consumer_groups_claim: [sub]"), c + "consumer_groups_claim: is not supported: consumer groups are an entity of Kong Enterprise: use authenticated_groups_claim and the acl plugin"},
		{inOIDC("timeout: 0"), c + "timeout: is 0: expected 1 to 60000"},
	})
}

func TestRefusedConsumers(t *testing.T) {
	pem := func(name string) string { return fmt.Sprintf("%q", tokens.PublicPEM(name)) }
	secret := func(s string) string { return "consumers:\n- username: u\n  jwt_secrets:\n  - {" + s + "}" }
	const at = "5: consumers[0].jwt_secrets[0]"
	checkRefusals(t, []refusal{
		{"consumers:\n- {tags: [a]}", "3: consumers[0]: has neither username nor custom_id: expected one of them"},
		{"consumers:\n- {username: \"a\\nb\"}", "3: consumers[0].username: holds a control character or broken UTF-8"},
		{"consumers:\n- {username: 007}", "3: consumers[0].username: is 007: expected a string (put it in quotes)"},
		{"consumers:\n- {username: u}\n- {username: u}", `4: consumers[1]: "u" is taken by another of the consumers' usernames`},
		{"consumers:\n- {username: u, custom_id: c}\n- {username: v, custom_id: c}", `4: consumers[1]: "c" is taken by another of the consumers' custom_ids`},
		{"consumers:\n- {username: u, groups: [{name: g}]}", "3: consumers[0].groups: is not supported: consumer groups are a Kong Enterprise entity"},
		{"consumers:\n- {username: u, acls: [{}]}", "3: consumers[0].acls[0]: has no group"},
		{"consumers:\n- {username: u, acls: [{group: 'a, b'}]}", "3: consumers[0].acls[0].group: has a comma: upstreams read the groups of X-Consumer-Groups as a list"},
		{"consumers:\n- {username: u, hmacauth_credentials: [{username: a}]}", "3: consumers[0].hmacauth_credentials: is not supported: the hmac-auth plugin is not supported"},
		{"jwt_secrets:\n- {key: k, secret: s}", "3: jwt_secrets[0]: has no consumer"},
		{"jwt_secrets:\n- {key: k, secret: s, consumer: u}", `3: jwt_secrets[0].consumer: refers to "u", which is not among the consumers`},
		{"consumers: [{username: u}]\njwt_secrets:\n- {key: k, secret: s, consumer: u}\n- {key: k, secret: t, consumer: u}", `5: jwt_secrets[1]: "k" is taken by another of the jwt_secrets' keys`},
		{"consumers: [{username: u}, {username: v, jwt_secrets: [{key: k, secret: s}]}]\njwt_secrets:\n- {key: k, secret: s, consumer: u}",
			`4: jwt_secrets[0]: "k" is taken by another of the jwt_secrets' keys`},
		{secret("key: k, consumer: u"), at + ".consumer: unknown field"},
		{secret("key: ''"), at + ".key: is empty"},
		{secret("key: " + strings.Repeat("k", 513)), at + ".key: is longer than 512 bytes"},
		{secret("key: k, secret: ''"), at + ".secret: is empty"},
		{secret("key: k, algorithm: none"), at + `.algorithm: is "none": expected HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA`},
		{secret("key: k, algorithm: RS256"), at + ": has algorithm RS256 and no rsa_public_key: expected the public key in PEM"},
		{secret("key: k, rsa_public_key: " + pem("rsa2048")), at + ": has rsa_public_key and algorithm HS256: expected algorithm to be of the key's kind (RS256 …)"},
		{secret("key: k, algorithm: RS256, rsa_public_key: nonsense"), at + ".rsa_public_key: not a public key in PEM: expected -----BEGIN PUBLIC KEY----- or -----BEGIN RSA PUBLIC KEY-----"},
		{secret("key: k, algorithm: ES256, rsa_public_key: " + pem("rsa2048")), at + ": has algorithm ES256, which its key is not for: expected RS256, RS384, RS512, PS256, PS384 or PS512"},
		{secret("key: k, algorithm: ES256, rsa_public_key: " + pem("ec384")), at + ": has algorithm ES256, which its key is not for: expected ES384"},
		{secret("key: k, algorithms: [RS256]"), at + ": has algorithms: without a key set the field is algorithm, one"},
		{secret("key: k, jwks_uri: 'https://i', jwks: {keys: []}"), at + ": has jwks and jwks_uri: expected one of them"},
		{secret("key: k, jwks_uri: 'https://i', secret: s"), at + ": has a key set beside algorithm, secret or rsa_public_key: expected algorithms (a list) with a key set"},
		{secret("key: k, jwks_uri: ftp"), at + `.jwks_uri: is "ftp": expected an https URL`},
		{secret("key: k, jwks: {keys: []}"), at + ".jwks: has no key for signatures"},
		{secret("key: k, jwks: {keys: [{kty: oct, k: c2VjcmV0}]}"), at + ".jwks: keys[0]: a symmetric key in a public key set"},
		{secret("key: k, jwks: '{'"), at + ".jwks: jsonx: not JSON"},
		{secret("key: k, jwks: {1: 2}"), at + ".jwks: cannot be read: expected a JWK or a JWK set"},
	})
}

// A plugin runs at the most specific of the places that it is bound to, and the
// plugins of a route in the order of Kong's priorities.
func TestChain(t *testing.T) {
	all := []string{
		"{name: jwt, instance_name: global, config: {claims_to_verify: [exp]}}",
		"{name: jwt, instance_name: service, service: s, config: {claims_to_verify: [exp]}}",
		"{name: jwt, instance_name: route, route: r, config: {claims_to_verify: [exp]}}",
		"{name: jwt, instance_name: both, service: s, route: r, config: {claims_to_verify: [exp]}}",
	}
	const oidc = "{name: openid-connect, instance_name: oidc, config: {issuer: 'https://i', auth_methods: [bearer]}}"
	tests := []struct {
		places   []int
		r, other string // the chains of the route r and of another service's route
	}{
		{nil, "", ""},
		{[]int{0}, "global", "global"},
		{[]int{1}, "service", ""},
		{[]int{2}, "route", ""},
		{[]int{3}, "both", ""},
		{[]int{0, 1}, "service", "global"},
		{[]int{0, 2}, "route", "global"},
		{[]int{1, 2}, "route", ""},
		{[]int{2, 3}, "both", ""},
		{[]int{0, 1, 2, 3}, "both", "global"},
	}
	for _, tt := range tests {
		for _, order := range permutations(len(tt.places)) {
			for _, withOIDC := range []bool{false, true} {
				plugins := []string{}
				for _, i := range order {
					plugins = append(plugins, all[tt.places[i]])
				}
				r, other := tt.r, tt.other
				if withOIDC {
					plugins = slices.Insert(plugins, 0, oidc) // first in the file, last in the chain
					r, other = strings.TrimPrefix(r+" oidc", " "), strings.TrimPrefix(other+" oidc", " ")
				}
				f := read(t, "_format_version: '3.0'\nservices: [{name: s, host: h, routes: [{name: r, paths: [/r]}]}, {name: t, host: h, routes: [{name: q, paths: [/q]}]}]\nplugins: ["+
					strings.Join(plugins, ", ")+"]")
				for i, want := range []string{r, other} {
					var got []string
					for _, p := range f.Chain(f.Routes[i]) {
						got = append(got, p.InstanceName)
					}
					if strings.Join(got, " ") != want {
						t.Errorf("%v in the order %v: the chain of %s is %q, want %q", tt.places, order, f.Routes[i].Name, got, want)
					}
				}
			}
		}
	}
}

// Disabled plugins, services and what belongs to these do not guard, and say so.
func TestDisabled(t *testing.T) {
	f, problems := Parse("kong.yml", []byte(`_format_version: "3.0"
services:
- {name: off, host: h, enabled: false, routes: [{name: gone, paths: [/], plugins: [{name: jwt}]}], plugins: [{name: jwt}]}
- {name: on, host: h, routes: [{name: there, paths: [/], plugins: [{name: jwt, enabled: false}]}]}
`), Options{})
	if f == nil || len(f.Services) != 1 || len(f.Routes) != 1 || len(f.Plugins) != 0 || f.Routes[0].Name != "there" {
		t.Fatalf("%+v, %v", f, problems)
	}
	for _, want := range []string{
		"kong.yml:3: info: services[0]: service off is not enabled: its routes are not there",
		"kong.yml:4: info: services[1].routes[0].plugins[0]: jwt is not enabled and guards nothing",
	} {
		if !strings.Contains(problems.Error(), want) {
			t.Errorf("no %q in\n%v", want, problems)
		}
	}
}

// Only plugins that guard nothing can be left out, and only on request.
func TestIgnoreUnsupported(t *testing.T) {
	src := func(plugin string) []byte {
		return []byte("_format_version: '3.0'\nplugins: [{name: " + plugin + ", config: {whatever: 1}}]")
	}
	for name := range harmless {
		f, problems := Parse("k", src(name), Options{IgnoreUnsupported: true})
		if f == nil || !strings.Contains(problems.Error(), "the plugin "+name+" is left out") {
			t.Errorf("%s: %v", name, problems)
		}
		refused(t, string(src(name)), Options{})
	}
	for _, name := range []string{"hmac-auth", "oauth2", "session", "ip-restriction", "mtls-auth",
		"ldap-auth", "bot-detection", "request-termination", "pre-function", "my-own", "request-size-limiting"} {
		if harmless[name] {
			t.Errorf("%s is taken for harmless", name)
		}
		refused(t, string(src(name)), Options{IgnoreUnsupported: true})
	}
	const keys = "_format_version: '3.0'\nconsumers: [{username: u, hmacauth_credentials: [{key: k}]}]"
	for _, bound := range []string{"plugins: [{name: cors, consumer: u}]", "plugins: [{name: cors, consumer_group: g}]", ""} {
		src := "_format_version: '3.0'\nconsumers: [{username: u}]\n" + bound
		if bound == "" {
			src = "_format_version: '3.0'\nconsumers: [{username: u, plugins: [{name: cors}]}]"
		}
		if f, problems := Parse("k", []byte(src), Options{IgnoreUnsupported: true}); f == nil || len(f.Plugins) > 0 {
			t.Errorf("%s: %v", src, problems)
		}
	}
	if f, problems := Parse("k", []byte(keys), Options{IgnoreUnsupported: true}); f == nil {
		t.Errorf("groups that no plugin reads: %v", problems)
	}
	refused(t, "_format_version: '3.0'\nfilter_chains: [{name: f}]", Options{IgnoreUnsupported: true})
}

// Every kind of key that a credential may have.
func TestCredentials(t *testing.T) {
	jwk, err := json.Marshal(tokens.JWK("rsa2048", "k1", nil))
	if err != nil {
		t.Fatal(err)
	}
	f := read(t, fmt.Sprintf(`_format_version: "3.0"
consumers:
- username: u
  jwt_secrets:
  - {key: hs, secret: topsecret}
  - {secret: topsecret}
  - {}
  - {}
  - {algorithm: HS512}
  - {key: rs, algorithm: RS256, secret: "dummy, as decK needs one", rsa_public_key: %q}
  - {key: ps, algorithm: PS512, rsa_public_key: %q}
  - {key: es, algorithm: ES512, rsa_public_key: %q}
  - {key: ed, algorithm: EdDSA, rsa_public_key: %q}
  - {key: set, jwks: {keys: [%s]}, algorithms: [RS256], issuers: [i], audiences: [a], leeway: 5}
  - {key: text, jwks: '%s'}
  - {key: uri, jwks_uri: "https://idp.example/keys", tags: [t]}
- custom_id: only
jwt_secrets:
- {key: top, secret: s, consumer: {username: u}}
- {key: top2, secret: s, consumer: %s}
`, tokens.PublicPEM("rsa2048"), tokens.PublicPEM("rsa2048"), tokens.PublicPEM("ec521"), tokens.PublicPEM("ed25519"), jwk, jwk,
		kongID("consumers", "only")))
	u := f.Consumers[0].ID
	want := []struct {
		key, secret string
		alg         jose.Alg
		public      bool
		set         int
	}{
		{"hs", "topsecret", jose.HS256, false, 0},
		{"jwt-key(" + u + "|HS256|topsecret|||)", "topsecret", jose.HS256, false, 0},
		{"jwt-key(" + u + "|HS256|jwt-secret(" + u + "|HS256|#0)|||)", "jwt-secret(" + u + "|HS256|#0)", jose.HS256, false, 0},
		{"jwt-key(" + u + "|HS256|jwt-secret(" + u + "|HS256|#1)|||)", "jwt-secret(" + u + "|HS256|#1)", jose.HS256, false, 0},
		{"jwt-key(" + u + "|HS512|jwt-secret(" + u + "|HS512|#2)|||)", "jwt-secret(" + u + "|HS512|#2)", jose.HS512, false, 0},
		{"rs", "dummy, as decK needs one", jose.RS256, true, 0},
		{"ps", "", jose.PS512, true, 0},
		{"es", "", jose.ES512, true, 0},
		{"ed", "", jose.EdDSA, true, 0},
		{"set", "", jose.Unsupported, false, 1},
		{"text", "", jose.Unsupported, false, 1},
		{"uri", "", jose.Unsupported, false, 0},
		{"top", "s", jose.HS256, false, 0},
		{"top2", "s", jose.HS256, false, 0},
	}
	if len(f.JWTSecrets) != len(want) {
		t.Fatalf("%d credentials", len(f.JWTSecrets))
	}
	for i, w := range want {
		s := f.JWTSecrets[i]
		if s.Key != w.key || s.Secret != w.secret || s.Algorithm != w.alg || (s.Public != nil) != w.public || len(s.JWKS) != w.set || s.Consumer == nil || s.ID == "" {
			t.Errorf("credential %d is %+v, want %+v", i, s, w)
		}
	}
	if s := f.JWTSecrets[9]; len(s.Algorithms) != 1 || s.Issuers[0] != "i" || s.Audiences[0] != "a" || s.Leeway != 5 {
		t.Errorf("the rules of a key set: %+v", s)
	}
	if s := f.JWTSecrets[11]; s.JWKSURI != "https://idp.example/keys" || s.Tags[0] != "t" {
		t.Errorf("a key set elsewhere: %+v", s)
	}
	if f.JWTSecrets[13].Consumer != f.Consumers[1] {
		t.Error("a credential is not bound to the consumer whose id it names")
	}
}
