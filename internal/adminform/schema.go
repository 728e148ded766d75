package adminform

import "strings"

// schema says which fields of an entity, or of a plugin's config, are something else
// than a text.
type schema struct {
	bools, ints, lists map[string]bool
	// commas are lists whose elements have no commas: before Kong 1.0 one text could
	// hold them all.
	commas map[string]bool
}

func names(s string) map[string]bool {
	m := map[string]bool{}
	for n := range strings.FieldsSeq(s) {
		m[n] = true
	}
	return m
}

// schemas are those of what the product reads. A list of openid-connect may be written
// as its only element.
var schemas = map[string]schema{
	"service": {
		bools: names("enabled tls_verify"),
		ints:  names("port retries connect_timeout write_timeout read_timeout tls_verify_depth"),
		lists: names("tags ca_certificates"),
	},
	"route": {
		bools:  names("strip_path preserve_host request_buffering response_buffering"),
		ints:   names("regex_priority https_redirect_status_code priority"),
		lists:  names("paths methods hosts protocols snis tags"),
		commas: names("methods hosts protocols"),
	},
	"plugin":               {bools: names("enabled"), lists: names("protocols tags"), commas: names("protocols")},
	"consumer":             {lists: names("tags")},
	"upstream":             {ints: names("slots"), bools: names("use_srv_name"), lists: names("tags")},
	"target":               {ints: names("weight"), lists: names("tags")},
	"certificate":          {lists: names("tags snis"), commas: names("snis")},
	"credential":           {ints: names("ttl expires_at leeway"), lists: names("tags algorithms issuers audiences")},
	"developer":            {ints: names("status")},
	"application_instance": {ints: names("status"), bools: names("suspended")},
	"admin_token":          {ints: names("expires_at"), lists: names("roles"), commas: names("roles")},
	"acl": {
		bools: names("hide_groups_header always_use_authenticated_groups include_consumer_groups"),
		lists: names("allow deny whitelist blacklist"),
	},
	"application-registration": {bools: names("auto_approve show_issuer enable_proxy_with_consumer_credential")},
	"jwt": {
		bools:  names("secret_is_base64 run_on_preflight accept_id_tokens"),
		ints:   names("maximum_expiration leeway"),
		lists:  names("uri_param_names cookie_names header_names claims_to_verify issuers audiences algorithms"),
		commas: names("claims_to_verify"),
	},
	"key-auth": {
		bools: names("key_in_header key_in_query key_in_body hide_credentials run_on_preflight"),
		lists: names("key_names"),
	},
	"basic-auth": {bools: names("hide_credentials run_on_preflight")},
	"openid-connect": {
		bools: names(`run_on_preflight ssl_verify verify_signature verify_claims verify_parameters enable_hs_signatures accept_id_tokens
			consumer_optional trust_email search_user_info refresh_tokens logout_revoke logout_revoke_access_token
			logout_revoke_refresh_token display_errors forbidden_destroy_session unauthorized_destroy_session
			session_cookie_http_only session_cookie_secure authorization_cookie_http_only authorization_cookie_secure
			hide_credentials cache_tokens cache_introspection cache_user_info cache_token_exchange reverify preserve_query_args
			introspect_jwt_tokens keepalive expose_error_code verify_nonce by_username_ignore_case session_remember
			require_proof_key_for_code_exchange require_pushed_authorization_requests require_signed_request_object`),
		ints: names(`leeway timeout max_age session_idling_timeout session_rolling_timeout session_absolute_timeout
			authorization_rolling_timeout cache_ttl cache_ttl_max cache_ttl_min cache_ttl_neg cache_ttl_resurrect rediscovery_lifetime`),
		lists:  names("auth_methods consumer_by logout_methods"),
		commas: names("auth_methods consumer_by logout_methods"),
	},
}
