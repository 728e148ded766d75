package declarative

// oidcRefused are the fields of Kong's schema (3.15) that are not read. They are
// refused by name unless they are null.
var oidcRefused = set(
	"cache_token_exchange", "cache_ttl_resurrect", "client_arg",
	"client_jwk", "cluster_cache_items", "cluster_cache_redis",
	"cluster_cache_strategy", "consumer_groups_claim", "consumer_groups_optional", "discovery_headers_names",
	"discovery_headers_values", "downstream_access_token_jwk_header", "downstream_id_token_jwk_header",
	"downstream_introspection_jwt_header", "downstream_user_info_jwt_header", "dpop_proof_lifetime", "dpop_use_nonce", "extra_jwks_uris",
	"http_proxy", "http_proxy_authorization", "http_version", "https_proxy",
	"https_proxy_authorization", "ignore_signature",
	"jwks_endpoint", "jwt_session_claim", "jwt_session_cookie", "keepalive",
	"logout_post_arg", "mtls_introspection_endpoint", "mtls_revocation_endpoint", "mtls_token_endpoint",
	"no_proxy", "principals", "proof_of_possession_auth_methods_validation",
	"proof_of_possession_dpop", "proof_of_possession_mtls", "proof_of_possession_mtls_from_header",
	"protected_resource_metadata", "pushed_authorization_request_endpoint",
	"pushed_authorization_request_endpoint_auth_method", "rediscovery_lifetime", "redis",
	"session_bind", "session_enforce_same_subject",
	"session_memcached_host", "session_memcached_port", "session_memcached_prefix", "session_memcached_socket",
	"session_memcached_ssl", "session_memcached_ssl_verify", "session_remember_absolute_timeout",
	"session_remember_cookie_name", "session_remember_rolling_timeout", "session_request_headers",
	"session_response_headers", "tls_client_auth_cert_id", "tls_client_auth_ssl_verify",
	"token_cache_key_include_scope", "token_exchange", "token_exchange_endpoint", "token_headers_grants", "token_headers_prefix", "token_headers_replay",
	"upstream_access_token_jwk_header", "upstream_id_token_jwk_header", "upstream_introspection_jwt_header", "upstream_refresh_token_header", "upstream_user_info_jwt_header",
)
