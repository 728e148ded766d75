package declarative

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// lint is a file that a rule finds one thing in, and the same put right, without their
// first line.
type lint struct {
	rule      Rule
	severity  Severity
	line      int
	path      string
	bad, good string
}

// field is a row about a field of an openid-connect plugin that has a login, in line 9
// or where it replaces a usual one.
func field(rule Rule, s Severity, line int, bad, good string, others ...string) lint {
	name, _, _ := strings.Cut(bad, ":")
	src := func(field string) string {
		_, src, _ := strings.Cut(loginFile(append([]string{field}, others...)...), "\n")
		return src
	}
	return lint{rule, s, line, "plugins[0].config." + name, src(bad), src(good)}
}

// jwt and credential are rows about a field in line 5.
func jwt(rule Rule, s Severity, bad, good string) lint {
	name, _, _ := strings.Cut(bad, ":")
	const src = "plugins:\n- name: jwt\n  config:\n    "
	return lint{rule, s, 5, "plugins[0].config." + name, src + bad, src + good}
}

func credential(rule Rule, s Severity, bad, good string) lint {
	name, _, _ := strings.Cut(bad, ":")
	const src = "jwt_secrets:\n- key: k\n  consumer: alice\n  "
	const consumers = "\nconsumers: [{username: alice}]"
	return lint{rule, s, 5, "jwt_secrets[0]." + name, src + bad + consumers, src + good + consumers}
}

// secretOf is a row about the secret of a credential of a collection, in line 5.
func secretOf(collection string, rule Rule, bad, good string) lint {
	name, _, _ := strings.Cut(bad, ":")
	src := collection + ":\n- tags: []\n  consumer: alice\n  "
	const rest = "\nconsumers: [{username: alice}]"
	user := ""
	if collection == "basicauth_credentials" {
		user = "\n  username: alice"
	}
	return lint{rule, Warning, 5, collection + "[0]." + name, src + bad + user + rest, src + good + user + rest}
}

// loginRoute is a route with a login, in line 6.
func loginRoute(route, config string) string {
	return "services:\n- name: s\n  host: h\n  routes:\n  - {name: r, " + route + ", plugins: [{name: openid-connect, config: {issuer: 'https://i', " +
		"auth_methods: [session, authorization_code], client_id: [a], client_secret: [s], " + config + "}}]}\n"
}

// registered is a service of applications, with openid-connect in line 6.
func registered(config string) string {
	return "services:\n- name: s\n  host: h\n  plugins:\n  - {name: openid-connect, config: {issuer: 'https://i', auth_methods: [bearer], " + config + "}}\n" +
		"  - {name: application-registration, config: {display_name: S}}\n  routes: [{name: r, paths: [/]}]\n"
}

const (
	random32 = "0123456789abcdef0123456789abcdef"
	random48 = random32 + "0123456789abcdef"
	random64 = random32 + random32
)

// lints has a row for each rule, and for each place of a rule that has several. What
// is secret in them is hunter2.
var lints = []lint{
	{NotYAML, Error, 2, "", "services: ]", "services: []"},
	{unknownField, Error, 2, "servcies", "servcies: []", "services: []"},
	{unsupported, Error, 2, "vaults", "vaults: [{name: v}]", "vaults: []"},
	{unsupported, Error, 2, "plugins[0]", "plugins: [{name: hmac-auth}]", "plugins: [{name: hmac-auth, enabled: false}]"},
	{unsupported, Error, 2, "plugins[0]", "plugins: [{name: cors}]", "plugins: [{name: cors, enabled: false}]"},
	{unsupported, Error, 2, "plugins[0]", "plugins: [{name: my-own}]", "plugins: [{name: jwt}]"},
	{unsupported, Error, 2, "services[0].tls_verify_depth", "services: [{host: h, tls_verify_depth: 1}]", "services: [{host: h, tls_verify_depth: null}]"},
	{unsupported, Error, 2, "upstreams[0].healthchecks.active.healthy.interval",
		"upstreams: [{name: u, healthchecks: {active: {healthy: {interval: 1}}}}]", "upstreams: [{name: u, healthchecks: {active: {healthy: {interval: 0}}}}]"},
	field(unsupported, Error, 9, "session_storage: redis", "session_storage: cookie"),
	{invalid, Error, 2, "services[0].port", "services: [{host: h, port: 65536}]", "services: [{host: h, port: 65535}]"},

	field(verifySignature, Warning, 9, "verify_signature: false", "verify_signature: true"),
	field(passwordGrant, Warning, 6, "auth_methods: [session, password]", "auth_methods: [session, client_credentials]"),
	field(anyClientsToken, Info, 6, "auth_methods: [session, userinfo]", "auth_methods: [session, introspection]"),
	field(endpointPlainHTTP, Warning, 9, "introspection_endpoint: http://i", "introspection_endpoint: https://i", "auth_methods: [session, introspection]"),
	field(sslVerifyOff, Warning, 9, "ssl_verify: false", "ssl_verify: true"),
	{tlsVerifyOff, Warning, 2, "services[0].tls_verify", "services: [{url: 'https://h', tls_verify: false}]", "services: [{url: 'https://h', tls_verify: true}]"},
	field(issuerPlainHTTP, Warning, 5, "issuer: http://idp.example", "issuer: https://idp.example"),
	field(issuerPlainHTTP, Warning, 5, "issuer: HTTP://localhost.example", "issuer: HTTP://localhost:8080"),
	field(issuerPlainHTTP, Warning, 5, "issuer: http://128.0.0.1", "issuer: http://127.0.0.2"),
	field(issuerPlainHTTP, Warning, 5, "issuer: 'http://[::2]'", "issuer: 'http://[::1]'"),
	field(endpointPlainHTTP, Warning, 9, "authorization_endpoint: http://i/?key=hunter2", "authorization_endpoint: https://i"),
	field(endpointPlainHTTP, Warning, 9, "token_endpoint: http://i", "token_endpoint: http://127.0.0.1"),
	field(endpointPlainHTTP, Warning, 9, "userinfo_endpoint: http://i", "userinfo_endpoint: https://i"),
	field(endpointPlainHTTP, Warning, 9, "revocation_endpoint: http://i", "revocation_endpoint: https://i"),
	field(endpointPlainHTTP, Warning, 9, "end_session_endpoint: http://i", "end_session_endpoint: https://i"),
	field(endpointPlainHTTP, Warning, 9, "token_endpoint: http://i", "auth_methods: [bearer]\n    token_endpoint: http://i"),
	field(jwksURIPlainHTTP, Warning, 9, "jwks_endpoint: http://i/k", "jwks_endpoint: https://i/k"),
	credential(jwksURIPlainHTTP, Warning, "jwks_uri: http://i/?key=hunter2", "jwks_uri: https://i/?key=hunter2"),
	field(redirectPlainHTTP, Warning, 9, "redirect_uri: [https://app.example, http://app.example]", "redirect_uri: [https://app.example, http://localhost:8000]"),
	field(redirectPlainHTTP, Warning, 9, "login_redirect_uri: http://app.example", "login_redirect_uri: https://app.example", "login_action: redirect"),
	field(redirectPlainHTTP, Warning, 9, "login_redirect_uri: http://app.example\n    login_action: redirect", "login_redirect_uri: http://app.example"),
	field(largeLeeway, Warning, 9, "leeway: 301", "leeway: 300"),
	jwt(largeLeeway, Warning, "leeway: 1000", "leeway: 300"),
	credential(largeLeeway, Warning, "leeway: 1000", "leeway: 300"),
	jwt(tokenInQuery, Warning, "uri_param_names: [jwt]", "uri_param_names: []"),
	field(tokenInQuery, Warning, 9, "bearer_token_param_type: [header, query]", "bearer_token_param_type: [header]"),
	field(loginTokensQuery, Warning, 9, "login_redirect_mode: query", "login_redirect_mode: fragment", "login_action: redirect", "login_redirect_uri: https://app.example"),
	field(refreshTokenShown, Warning, 9, "login_tokens: [refresh_token]", "login_tokens: [access_token]", "login_action: response"),
	field(refreshTokenShown, Warning, 9, "login_tokens: [tokens]", "login_tokens: [id_token]", "login_action: response"),
	credential(shortSecret, Warning, "secret: hunter2", "secret: "+random32),
	credential(shortSecret, Warning, "secret: "+random32[1:], "algorithm: HS256"), // generated
	credential(shortSecret, Warning, "secret: "+random48[1:]+"\n  algorithm: HS384", "secret: "+random48+"\n  algorithm: HS384"),
	credential(shortSecret, Warning, "secret: "+random64[1:]+"\n  algorithm: HS512", "secret: "+random64+"\n  algorithm: HS512"),
	credential(shortSecret, Warning, "secret: "+random32+"abcdefghij==\nplugins: [{name: jwt, config: {secret_is_base64: true}}]",
		"secret: "+random32+"abcdefghijk=\nplugins: [{name: jwt, config: {secret_is_base64: true}}]"),
	secretOf("keyauth_credentials", shortAPIKey, "key: hunter2hunter2x", "key: hunter2hunter2xy"),
	secretOf("keyauth_credentials", shortAPIKey, "key: hunter2", "key_hash: sha256:"+random64),
	secretOf("basicauth_credentials", plainPassword, "password: hunter2", "password: $2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"),
	secretOf("basicauth_credentials", weakPasswordHash, "password: $2b$09$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
		"password: $2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"),
	secretOf("basicauth_credentials", weakPasswordHash, "password: $argon2id$v=19$m=4096,t=3,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA",
		"password: $argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA"),
	{keyInQuery, Warning, 5, "plugins[0].config.key_in_query", "plugins:\n- name: key-auth\n  config:\n    key_in_query: true",
		"plugins:\n- name: key-auth\n  config:\n    key_in_query: false"},
	field(shortSession, Warning, 9, "session_secret: [hunter2hunter2hunter2, "+random32+"]", "session_secret: [hunter2hunter2hunter2hunter2hunter2, "+random32+"]"),
	field(cookieNotSecure, Warning, 9, "session_cookie_secure: false", "session_cookie_secure: true"),
	field(cookieNotSecure, Warning, 9, "authorization_cookie_secure: false", "authorization_cookie_secure: null"),
	field(cookieNotSecure, Warning, 9, "session_cookie_secure: false", "session_cookie_secure: no"), // refused
	field(cookieNotHTTPOnly, Warning, 9, "session_cookie_http_only: false", "session_cookie_http_only: true"),
	field(cookieNotHTTPOnly, Warning, 9, "authorization_cookie_http_only: false", "authorization_cookie_http_only: null"),
	field(cookieCrossSite, Warning, 9, "session_cookie_same_site: None", "session_cookie_same_site: Lax"),
	field(cookieCrossSite, Warning, 9, "session_cookie_same_site: 'off'", "session_cookie_same_site: Default"),
	field(cookieCrossSite, Warning, 9, "authorization_cookie_same_site: None", "authorization_cookie_same_site: any"), // refused
	field(endlessSession, Warning, 9, "session_absolute_timeout: 0", "session_absolute_timeout: 86400"),
	field(trustEmail, Warning, 9, "trust_email: true", "trust_email: false"),
	field(idTokensAccepted, Warning, 9, "accept_id_tokens: true", "accept_id_tokens: false"),
	jwt(idTokensAccepted, Warning, "accept_id_tokens: true", "accept_id_tokens: false"),
	jwt(expiredTokens, Warning, "claims_to_verify: [nbf]", "claims_to_verify: [nbf, exp]"),
	{expiredTokens, Warning, 3, "plugins[0]", "plugins:\n- name: jwt", "plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]"},
	{trustsEverybody, Warning, 2, "_sallyport.trusted_ips[0]", "_sallyport: {trusted_ips: [0.0.0.0/0]}", "_sallyport: {trusted_ips: [10.0.0.0/8]}"},

	{redirectURILost, Warning, 6, "services[0].routes[0].plugins[0]",
		loginRoute("paths: [/a]", "redirect_uri: 'https://h/b'"), loginRoute("paths: [/a]", "redirect_uri: 'https://h/a/b'")},
	{aclAlone, Warning, 8, "plugins[0]",
		"services:\n- name: s\n  host: h\n  routes:\n  - {name: r, paths: [/]}\nplugins:\n- {name: acl, config: {deny: [bad]}}",
		"services:\n- name: s\n  host: h\n  routes:\n  - {name: r, paths: [/]}\nplugins:\n- {name: acl, config: {deny: [bad]}}\n- name: jwt"},
	{applicationsNotFound, Warning, 6, "services[0].plugins[0]", registered("realm: r"), registered("consumer_claim: [client_id]")},
	{applicationsNotFound, Warning, 6, "services[0].plugins[0]", registered("consumer_claim: [client_id], consumer_by: [username, id]"),
		registered("consumer_claim: [client_id], consumer_by: [username, custom_id]")},
	{applicationsNotFound, Warning, 6, "services[0].plugins[0]", registered("realm: r"), registered("realm: r") + "  - {name: jwt, config: {anonymous: guest}}\nconsumers: [{username: guest}]\n"},
	{cookieNotSent, Warning, 6, "services[0].routes[0].plugins[0]",
		loginRoute("paths: [/a]", "session_cookie_path: /b"), loginRoute("paths: [/a]", "session_cookie_path: /a")},
	{cookieNotSent, Warning, 6, "services[0].routes[0].plugins[0]",
		loginRoute("hosts: [a.example]", "session_cookie_domain: b.example"), loginRoute("hosts: [a.example]", "session_cookie_domain: a.example")},
	{sharedCookie, Warning, 7, "plugins[0]",
		loginRoute("paths: [/a]", "session_audience: x") + "plugins: [{name: openid-connect, config: {issuer: 'https://i', auth_methods: [session]}}]",
		loginRoute("paths: [/a]", "session_cookie_name: x") + "plugins: [{name: openid-connect, config: {issuer: 'https://i', auth_methods: [session]}}]"},

	{anonymousAccess, Info, 3, "plugins[0].config.anonymous", "consumers: [{username: guest}]\nplugins: [{name: jwt, config: {anonymous: guest}}]",
		"consumers: [{username: guest}]\nplugins: [{name: jwt}]"},
	field(anonymousAccess, Info, 9, "anonymous: guest", "anonymous: null", "realm: r\nconsumers: [{username: guest}]"),
	{defaultMethods, Info, 2, "plugins[0]", "plugins: [{name: openid-connect, config: {issuer: 'https://i'}}]",
		"plugins: [{name: openid-connect, config: {issuer: 'https://i', auth_methods: [bearer]}}]"},
	{defaultMethods, Info, 2, "plugins[0]", "plugins: [{name: openid-connect, config: {issuer: 'https://i', client_id: [a], client_secret: [s]}}]",
		"plugins: [{name: openid-connect, config: {issuer: 'https://i', client_id: [a], client_secret: [s], auth_methods: [session, authorization_code]}}]"},
	{noAudience, Info, 2, "plugins[0]", "plugins: [{name: openid-connect, config: {issuer: 'https://i'}}]",
		"plugins: [{name: openid-connect, config: {issuer: 'https://i', audience: [a]}}]"},
	{defaultMethods, Info, 2, "plugins[0]", "plugins: [{name: openid-connect, config: {issuer: 'https://i', client_id: [a], client_secret: [s]}}]",
		"plugins: [{name: openid-connect, config: {issuer: 'https://i', client_id: [a], client_secret: [s], auth_methods: [session, authorization_code]}}]"},
	{noAudience, Info, 2, "plugins[0]", "plugins: [{name: openid-connect, config: {issuer: 'https://i'}}]", loginRoute("paths: [/a]", "realm: r")},
	{noAudience, Info, 2, "plugins[0]", "plugins: [{name: openid-connect, config: {issuer: 'https://i', scopes_required: [s]}}]",
		"plugins: [{name: openid-connect, config: {issuer: 'https://i', audience_required: [a]}}]"},
	field(issuersShareKeys, Info, 9, "issuers_allowed: [https://i, https://j]", "issuers_allowed: [https://i]"),
	credential(issuersShareKeys, Info, "issuers: [a, b]", "issuers: [a]"),
	{disabled, Info, 2, "plugins[0]", "plugins: [{name: jwt, enabled: false}]", "plugins: [{name: jwt}]"},
	{disabled, Info, 2, "services[0]", "services: [{host: h, enabled: false}]", "services: [{host: h}]"},
	{noEffect, Info, 2, "plugins[0].protocols", "plugins: [{name: jwt, protocols: [https]}]", "plugins: [{name: jwt, protocols: [grpc, grpcs, http, https]}]"},
	field(noEffect, Info, 9, "preserve_query_args: false", "preserve_query_args: true"),
	{noEffect, Info, 2, "plugins[0]", "plugins: [{name: openid-connect, config: {issuer: 'https://i', auth_methods: [bearer], max_age: 1}}]",
		"plugins: [{name: openid-connect, config: {issuer: 'https://i', auth_methods: [bearer]}}]"},
	{noEffect, Info, 10, "_sallyport.applications[0].services[0]", registered("consumer_claim: [c]") + "- {name: t, host: h}\n_sallyport: {applications: [{custom_id: a, services: [t]}]}\n",
		registered("consumer_claim: [c]") + "- {name: t, host: h}\n_sallyport: {applications: [{custom_id: a, services: [s]}]}\n"},
	{leftOut, Info, 2, "plugins[0]", "plugins: [{name: cors}]", "plugins: []"},
	{leftOut, Info, 2, "hmacauth_credentials", "hmacauth_credentials: [{username: n}]", "hmacauth_credentials: []"},
}

// found are a file's findings of a rule.
func found(t *testing.T, rule Rule, src string) Problems {
	t.Helper()
	_, problems := Parse("k", []byte("_format_version: '3.0'\n"+src), Options{IgnoreUnsupported: rule == leftOut})
	for _, p := range problems {
		if _, ok := rules[p.Rule]; !ok {
			t.Errorf("no rule of ours: %+v", p)
		}
		if strings.Contains(p.String(), "hunter2") {
			t.Errorf("the secret is in %s", p)
		}
	}
	return ofRule(problems, rule)
}

func TestLint(t *testing.T) {
	seen := map[Rule]bool{Unreadable: true, EnvoyLimit: true, TooLarge: true, FailsOpen: true, PathsAsSent: true, SharedVM: true} // not of this package
	for _, tt := range lints {
		seen[tt.rule] = true
		t.Run(string(tt.rule), func(t *testing.T) {
			list := found(t, tt.rule, tt.bad)
			if len(list) != 1 {
				t.Fatalf("%d findings, want one: %v\nin\n%s", len(list), list, tt.bad)
			}
			p := list[0]
			if p.Severity != tt.severity || p.File != "k" || p.Line != tt.line || p.Path != tt.path {
				t.Errorf("%s at line %d, %s; want %s at line %d, %s", p.Severity, p.Line, p.Path, tt.severity, tt.line, tt.path)
			}
			if p.Severity != Error && p.Fix == "" {
				t.Errorf("nothing is said of what to do: %s", p)
			}
			if list := found(t, tt.rule, tt.good); len(list) != 0 {
				t.Errorf("found in what is right: %v", list)
			}
		})
	}
	for rule := range rules {
		if !seen[rule] {
			t.Errorf("%s has no row", rule)
		}
	}
}

// What several plugins share is said once, where it stands.
func TestLintOfSharedConfigs(t *testing.T) {
	const src = "_plugin_configs:\n  c: {leeway: 1000, claims_to_verify: [exp]}\nservices:\n" +
		"- {host: h, name: a, plugins: [{name: jwt, _config: c}]}\n- {host: h, name: b, plugins: [{name: jwt, _config: c}]}\n"
	list := found(t, largeLeeway, src)
	if len(list) != 1 || list[0].Line != 3 || list[0].Path != "_plugin_configs.c.leeway" {
		t.Errorf("%v", list)
	}
	many := src + strings.Repeat("- {host: h, plugins: [{name: jwt, _config: c}]}\n", maxProblems) + "- {host: h, tls_verify: false}\n"
	if list := found(t, tlsVerifyOff, many); len(list) != 1 {
		t.Errorf("what is not said again has hidden another warning: %v", list)
	}
	own := strings.ReplaceAll(src, "_config: c", "_config: c, config: {leeway: 1}")
	if list := found(t, largeLeeway, own); len(list) != 0 {
		t.Errorf("found in what no plugin reads: %v", list)
	}
}

func TestProblemString(t *testing.T) {
	p := Problem{Warning, shortSecret, "k.yml", 7, "a[0].b", "is short", "use more"}
	if got := p.String(); got != "k.yml:7: warning: a[0].b: is short; use more [short-secret]" {
		t.Errorf("got %s", got)
	}
	if got := NewProblem(NotYAML, "k.yml", 0, "", "is empty").String(); got != "k.yml: is empty [not-yaml]" {
		t.Errorf("got %s", got)
	}
}

// docs/lint.md has a row for each rule, and no other.
func TestLintIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/lint.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[Rule]bool{}
	for line := range strings.Lines(string(doc)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		name, ok := strings.CutPrefix(strings.TrimSpace(cells[0]), "`")
		if !ok || len(cells) != 4 {
			continue
		}
		rule := Rule(strings.TrimSuffix(name, "`"))
		known, ok := rules[rule]
		if !ok || documented[rule] {
			t.Errorf("%s is no rule, or is there twice", rule)
		}
		documented[rule] = true
		if got := strings.TrimSpace(cells[1]); got != known.severity.String() {
			t.Errorf("%s is %s, the page says %s", rule, known.severity, got)
		}
		if got := strings.ReplaceAll(strings.TrimSpace(cells[3]), "`", ""); known.fix != "" && got != known.fix {
			t.Errorf("%s: the page says\n%s\nnot\n%s", rule, got, known.fix)
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		if !documented[rule] {
			t.Errorf("%s is not in docs/lint.md", rule)
		}
	}
}

// TestSecretsAreNotSaid: a number where a secret was to be written is said to be none,
// and not which it is.
func TestSecretsAreNotSaid(t *testing.T) {
	const number = "918273645"
	for _, src := range []string{
		"jwt_secrets: [{consumer: alice, key: k, secret: NUMBER}]",
		"consumers: [{username: alice, keyauth_credentials: [{key: NUMBER}]}]",
		"consumers: [{username: alice, basicauth_credentials: [{username: u, password: NUMBER}]}]",
		"certificates: [{cert: c, key: NUMBER}]",
		"_sallyport: {installation_secret: NUMBER}",
	} {
		problems := refused(t, "_format_version: '3.0'\n"+strings.Replace(src, "NUMBER", number, 1)+"\n", Options{})
		if text := problems.Error(); strings.Contains(text, number) || !strings.Contains(text, "is no string: expected one (put it in quotes)") {
			t.Errorf("%s: %s", src, text)
		}
	}
	for _, field := range []string{
		"client_secret", "session_secret", "introspection_headers_values", "introspection_post_args_values", "userinfo_headers_values",
		"userinfo_query_args_values", "token_headers_values", "token_post_args_values", "discovery_headers_values",
	} {
		for _, value := range []string{number, "[" + number + "]", "[s, " + number + "]"} {
			if text := refused(t, loginFile(field+": "+value), Options{}).Error(); strings.Contains(text, number) || !strings.Contains(text, "is no string") {
				t.Errorf("%s: %s: %s", field, value, text)
			}
		}
	}
}
