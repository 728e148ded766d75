package declarative

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/jose"
)

// OIDCConfig is the configuration of the openid-connect plugin with bearer
// tokens.
type OIDCConfig struct {
	Issuer string // as it is written
	// IssuerURL is the issuer identifier: Issuer without the path of discovery.
	IssuerURL      string
	IssuersAllowed []string
	Audience       []string // any of them has to be in aud
	Required       []Required
	Leeway         int64
	Anonymous      *Consumer
	RunOnPreflight bool
	HeaderNames    []string
	CookieNames    []string
	QueryNames     []string
	Verify         bool  // the IdP's certificate
	Timeout        int64 // of requests to the IdP, milliseconds

	// Beyond Kong.
	Algorithms     []jose.Alg
	AcceptIDTokens bool
	Realm          string

	anonymous ref
}

// Required is one of Kong's pairs x_claim and x_required.
type Required struct {
	What  string // scopes, audience, groups, roles
	Claim []string
	Any   []string
}

// discoverySuffix is what an issuer may end in (OpenID Connect Discovery §4).
const discoverySuffix = "/.well-known/openid-configuration"

func (p *parser) oidcConfig(v, config, shared at) *OIDCConfig {
	c := &OIDCConfig{RunOnPreflight: true, Verify: true, Timeout: 10000}
	var methods, places, algorithms []string
	var methodsSet bool
	cookie := ""
	pairs := map[string]*Required{
		"scopes":   {What: "scopes", Claim: []string{"scope"}},
		"audience": {What: "audience", Claim: []string{"aud"}},
		"groups":   {What: "groups", Claim: []string{"groups"}},
		"roles":    {What: "roles", Claim: []string{"roles"}},
	}
	var unused []string
	known := fields{
		"issuer":          p.text(&c.Issuer, httpURL),
		"issuers_allowed": p.texts(&c.IssuersAllowed, notEmpty),
		"auth_methods": func(v at) {
			methodsSet = true
			p.texts(&methods, authMethod)(v)
		},
		"audience":         p.texts(&c.Audience, notEmpty),
		"leeway":           p.int(&c.Leeway, 0, maxLeeway),
		"anonymous":        p.reference(&c.anonymous),
		"run_on_preflight": p.bool(&c.RunOnPreflight),
		"bearer_token_param_type": func(v at) {
			p.texts(&places, tokenPlace)(v)
		},
		"bearer_token_cookie_name": p.text(&cookie, notEmpty),
		"ssl_verify": func(v at) {
			p.bool(&c.Verify)(v)
			if !c.Verify {
				p.report(Warning, v.line(), v.path, "is false: anybody between here and the identity provider can hand out keys of their own")
			}
		},
		"timeout": p.int(&c.Timeout, 1, 60000),
		"verify_signature": func(v at) {
			verify := true
			p.bool(&verify)(v)
			if !verify {
				p.report(Warning, v.line(), v.path, "is false: has no effect on tokens that clients present, whose signature is always verified")
			}
		},
		"verify_claims":        p.refuseUnless("claims are always verified", "true"),
		"verify_parameters":    p.refuseUnless("the configuration is not compared with discovery", "false"),
		"enable_hs_signatures": p.refuseUnless("a token signed with the client secret could be made by anybody who has it", "false"),

		"algorithms":       p.texts(&algorithms, oneOf(jose.Algs()...)),
		"accept_id_tokens": p.bool(&c.AcceptIDTokens),
		"realm":            p.text(&c.Realm, printable),
	}
	for name, pair := range pairs {
		known[name+"_claim"] = p.texts(&pair.Claim, claimName)
		known[name+"_required"] = p.texts(&pair.Any, requirement)
	}
	for name := range otherMethods {
		known[name] = func(v at) { unused = append(unused, name) }
	}
	for name := range oidcRefused {
		if known[name] == nil {
			known[name] = p.refuse("only bearer tokens are verified")
		}
	}
	p.config(v, config, shared, known)

	if c.Issuer == "" {
		if !p.failedAt(v.path) {
			p.fail(v, "has no issuer")
		}
		return c
	}
	c.IssuerURL = strings.TrimSuffix(c.Issuer, discoverySuffix)
	if strings.HasPrefix(c.Issuer, "http://") {
		p.report(Warning, v.line(), v.path, "issuer is not https: anybody in between can hand out keys of their own")
	}
	if !methodsSet {
		p.report(Note, v.line(), v.path, "has no auth_methods: bearer tokens are verified, and nothing else")
	}
	if len(unused) > 0 {
		p.report(Note, v.line(), v.path, "%s: has no effect on bearer tokens", strings.Join(sorted(unused), ", "))
	}
	for _, name := range []string{"scopes", "audience", "groups", "roles"} {
		if len(pairs[name].Any) > 0 && len(pairs[name].Claim) == 0 {
			p.fail(v, "%s_required has no claim to look at: %s_claim is empty", name, name)
		}
		if len(pairs[name].Any) > 0 {
			c.Required = append(c.Required, *pairs[name])
		}
	}
	for _, name := range algorithms {
		a := jose.ParseAlg(name)
		if a.Family() == jose.HMAC {
			p.fail(v, "algorithms has %s: an issuer's tokens are verified with public keys", name)
		}
		c.Algorithms = append(c.Algorithms, a)
	}
	p.tokenPlaces(v, c, places, cookie)
	return c
}

// tokenPlaces decides where bearer tokens are looked for. Kong's default is body,
// header and query; ours is the header alone.
func (p *parser) tokenPlaces(v at, c *OIDCConfig, places []string, cookie string) {
	if len(places) == 0 {
		places = []string{"header"}
	}
	for _, place := range places {
		switch place {
		case "header":
			c.HeaderNames = []string{"authorization"}
		case "query":
			c.QueryNames = []string{"access_token"} // RFC 6750 §2.3
		case "cookie":
			if cookie == "" {
				p.fail(v, "bearer_token_param_type has cookie: expected bearer_token_cookie_name too")
				continue
			}
			c.CookieNames = []string{cookie}
		}
	}
	if cookie != "" && len(c.CookieNames) == 0 {
		p.fail(v, "bearer_token_cookie_name needs cookie in bearer_token_param_type")
	}
}

// authMethod is a check. The methods of Kong's that are not there are named, so
// that nobody believes they are.
func authMethod(s string) string {
	switch s {
	case "bearer":
		return ""
	case "authorization_code", "session", "introspection", "userinfo", "client_credentials", "password",
		"refresh_token", "kong_oauth2":
		return "is " + s + ", which is not supported: expected bearer"
	}
	return oneOf("bearer")(s)
}

// tokenPlace is a check.
func tokenPlace(s string) string {
	if s == "body" {
		return "is body, which is not supported: expected header, query or cookie"
	}
	return oneOf("header", "query", "cookie")(s)
}

// requirement is a check: an element without words would be met by nothing, and
// is a mistake.
func requirement(s string) string {
	if strings.TrimSpace(s) == "" {
		return "is empty"
	}
	return ""
}

// otherMethods are fields that mean something only with another method than
// bearer. They are noted, so that a file which names them loads, as it does in
// Kong with auth_methods: [bearer].
var otherMethods = set("client_id", "client_secret", "client_auth", "redirect_uri", "scopes",
	"token_endpoint_auth_method", "response_mode", "login_methods")

// oidcRefused are the other fields of Kong's schema (3.15), which are refused
// unless they are null.
var oidcRefused = set("auth_methods", "authenticated_groups_claim", "authorization_cookie_domain",
	"authorization_cookie_http_only", "authorization_cookie_name", "authorization_cookie_path",
	"authorization_cookie_same_site", "authorization_cookie_secure", "authorization_endpoint",
	"authorization_query_args_client", "authorization_query_args_names", "authorization_query_args_values",
	"authorization_rolling_timeout", "bearer_token_header_name", "by_username_ignore_case", "cache_introspection",
	"cache_token_exchange", "cache_tokens", "cache_tokens_salt", "cache_ttl", "cache_ttl_max", "cache_ttl_min",
	"cache_ttl_neg", "cache_ttl_resurrect", "cache_user_info", "claims_forbidden", "client_alg", "client_arg",
	"client_credentials_param_type", "client_jwk", "cluster_cache_items", "cluster_cache_redis",
	"cluster_cache_strategy", "consumer_by", "consumer_claim", "consumer_claims", "consumer_groups_claim",
	"consumer_groups_optional", "consumer_optional", "credential_claim", "disable_session",
	"discovery_headers_names", "discovery_headers_values", "display_errors", "domains",
	"downstream_access_token_header", "downstream_access_token_jwk_header", "downstream_headers",
	"downstream_headers_claims", "downstream_headers_names", "downstream_id_token_header",
	"downstream_id_token_jwk_header", "downstream_introspection_header", "downstream_introspection_jwt_header",
	"downstream_refresh_token_header", "downstream_session_id_header", "downstream_user_info_header",
	"downstream_user_info_jwt_header", "dpop_proof_lifetime", "dpop_use_nonce", "end_session_endpoint",
	"expose_error_code", "extra_jwks_uris", "forbidden_destroy_session", "forbidden_error_message",
	"forbidden_redirect_uri", "hide_credentials", "http_proxy", "http_proxy_authorization", "http_version",
	"https_proxy", "https_proxy_authorization", "id_token_param_name", "id_token_param_type", "ignore_signature",
	"introspect_jwt_tokens", "introspection_accept", "introspection_check_active", "introspection_endpoint",
	"introspection_endpoint_auth_method", "introspection_headers_client", "introspection_headers_names",
	"introspection_headers_values", "introspection_hint", "introspection_post_args_client",
	"introspection_post_args_client_headers", "introspection_post_args_names", "introspection_post_args_values",
	"introspection_token_param_name", "jwks_endpoint", "jwt_session_claim", "jwt_session_cookie", "keepalive",
	"login_action", "login_redirect_mode", "login_redirect_uri", "login_tokens", "logout_methods",
	"logout_post_arg", "logout_query_arg", "logout_redirect_uri", "logout_revoke", "logout_revoke_access_token",
	"logout_revoke_refresh_token", "logout_uri_suffix", "max_age", "mtls_introspection_endpoint",
	"mtls_revocation_endpoint", "mtls_token_endpoint", "no_proxy", "password_param_type", "preserve_query_args",
	"principals", "proof_of_possession_auth_methods_validation", "proof_of_possession_dpop",
	"proof_of_possession_mtls", "proof_of_possession_mtls_from_header", "protected_resource_metadata",
	"pushed_authorization_request_endpoint", "pushed_authorization_request_endpoint_auth_method",
	"rediscovery_lifetime", "redis", "refresh_token_param_name", "refresh_token_param_type", "refresh_tokens",
	"require_proof_key_for_code_exchange", "require_pushed_authorization_requests",
	"require_signed_request_object", "resolve_distributed_claims", "response_type", "reverify",
	"revocation_endpoint", "revocation_endpoint_auth_method", "revocation_token_param_name", "search_user_info",
	"session_absolute_timeout", "session_audience", "session_bind", "session_cookie_domain",
	"session_cookie_http_only", "session_cookie_name", "session_cookie_path", "session_cookie_same_site",
	"session_cookie_secure", "session_enforce_same_subject", "session_hash_storage_key", "session_hash_subject",
	"session_idling_timeout", "session_memcached_host", "session_memcached_port", "session_memcached_prefix",
	"session_memcached_socket", "session_memcached_ssl", "session_memcached_ssl_verify", "session_remember",
	"session_remember_absolute_timeout", "session_remember_cookie_name", "session_remember_rolling_timeout",
	"session_request_headers", "session_response_headers", "session_rolling_timeout", "session_secret",
	"session_storage", "session_store_metadata", "tls_client_auth_cert_id", "tls_client_auth_ssl_verify",
	"token_cache_key_include_scope", "token_endpoint", "token_exchange", "token_exchange_endpoint",
	"token_headers_client", "token_headers_grants", "token_headers_names", "token_headers_prefix",
	"token_headers_replay", "token_headers_values", "token_post_args_client", "token_post_args_names",
	"token_post_args_values", "unauthorized_destroy_session", "unauthorized_error_message",
	"unauthorized_redirect_uri", "unexpected_redirect_uri", "upstream_access_token_header",
	"upstream_access_token_jwk_header", "upstream_headers", "upstream_headers_claims", "upstream_headers_names",
	"upstream_id_token_header", "upstream_id_token_jwk_header", "upstream_introspection_header",
	"upstream_introspection_jwt_header", "upstream_refresh_token_header", "upstream_session_id_header",
	"upstream_user_info_header", "upstream_user_info_jwt_header", "userinfo_accept", "userinfo_endpoint",
	"userinfo_headers_client", "userinfo_headers_names", "userinfo_headers_values", "userinfo_query_args_client",
	"userinfo_query_args_names", "userinfo_query_args_values", "using_pseudo_issuer", "verify_nonce")
