package declarative

import (
	"fmt"
	"strings"
	"testing"
)

func inquiryOf(get func(i *Inquiry) any) func(c *OIDCConfig) any {
	return func(c *OIDCConfig) any {
		if c.Inquiry == nil {
			return "none"
		}
		return get(c.Inquiry)
	}
}

const inquiring = "auth_methods: [introspection, userinfo, refresh_token, password, client_credentials, bearer]\n"

// saidOfAll is what is said of inquiring.
const saidOfAll = "info: has no audience: bearer tokens that the issuer has made for other APIs pass" +
	"warning: has password: callers show people's passwords to the gateway, and no second factor can be asked for" +
	"info: has userinfo: any token of the issuer passes, also one that was made for another application"

var acceptedInquiries = []accepted{
	{"auth_methods: [client_credentials, password, introspection, refresh_token]\naudience: [a]", methodsOf, "[introspection refresh_token password client_credentials]",
		"warning: has password: callers show people's passwords to the gateway, and no second factor can be asked for"},
	{"auth_methods: [client_credentials, introspection]\naudience: [a]\nauth_methods_order: listed", methodsOf, "[client_credentials introspection]", ""},
	{"auth_methods: [introspection, session]\naudience: [a]\nauth_methods_order: kong", methodsOf, "[session introspection]", ""},
	{"auth_methods: [bearer, introspection]\naudience: [a]\nintrospect_jwt_tokens: true", inquiryOf(func(i *Inquiry) any { return i.IntrospectJWT }), "true", ""},
	{"auth_methods: [bearer]\naudience: [a]\nintrospect_jwt_tokens: true\nclient_auth: none\nclient_secret: null", inquiryOf(func(i *Inquiry) any { return fmt.Sprint(i.ClientIDs, i.ClientAuth) }), "[a]none", ""},
	{"auth_methods: [introspection]\naudience: [a]\nclient_auth: client_secret_post\nscopes: [x]", inquiryOf(func(i *Inquiry) any {
		return fmt.Sprint(i.ClientIDs, i.ClientSecrets[0].Reveal(), i.ClientAuth, i.Scopes)
	}), "[a]sclient_secret_post[x]", ""},
	{"auth_methods: [client_credentials]\nclient_id: null\nclient_secret: null", inquiryOf(func(i *Inquiry) any { return i.ClientIDs }), "[]", ""},
	{"auth_methods: [userinfo]\nclient_id: null\nclient_secret: null", methodsOf, "[userinfo]",
		"info: has userinfo: any token of the issuer passes, also one that was made for another application"},
	{"auth_methods: [introspection]\naudience: [a]\nintrospection_endpoint: https://i/x", inquiryOf(func(i *Inquiry) any { return i.Endpoints.Introspection }), "https://i/x", ""},
	{"auth_methods: [introspection]\naudience: [a]\nintrospection_endpoint_auth_method: none", inquiryOf(func(i *Inquiry) any { return i.IntrospectionAuth }), "none", ""},
	{"auth_methods: [introspection]\naudience: [a]\nintrospection_hint: ''", inquiryOf(func(i *Inquiry) any { return i.IntrospectionHint + "." }), ".", ""},
	{"auth_methods: [introspection]\naudience: [a]\nintrospection_token_param_name: t", inquiryOf(func(i *Inquiry) any { return i.IntrospectionName }), "t", ""},
	{"auth_methods: [introspection]\naudience: [a]\nintrospection_accept: application/json\nintrospection_check_active: true\nuserinfo_accept: application/json", methodsOf, "[introspection]", ""},
	{"auth_methods: [introspection]\naudience: [a]\nintrospection_headers_names: [X-A, X-B]\nintrospection_headers_values: [a, b]", inquiryOf(func(i *Inquiry) any { return i.Introspection.Headers }), "[{X-A a} {X-B b}]", ""},
	{"auth_methods: [introspection]\naudience: [a]\nintrospection_post_args_names: [a]\nintrospection_post_args_values: ['1']", inquiryOf(func(i *Inquiry) any { return i.Introspection.Args }), "[{a 1}]", ""},
	{"auth_methods: [introspection]\naudience: [a]\nintrospection_headers_client: [X-A]\nintrospection_post_args_client: [b]\nintrospection_post_args_client_headers: [X-C]",
		inquiryOf(func(i *Inquiry) any { return i.Introspection }), "{[] [] [X-A] [b] [X-C]}", ""},
	{inquiring + "userinfo_headers_names: [X-A]\nuserinfo_headers_values: [a]\nuserinfo_query_args_names: [b]\nuserinfo_query_args_values: [c]\nuserinfo_headers_client: [X-D]\nuserinfo_query_args_client: [e]",
		inquiryOf(func(i *Inquiry) any { return i.UserInfo }), "{[{X-A a}] [{b c}] [X-D] [e] []}", saidOfAll},
	{inquiring + "token_headers_names: [X-A]\ntoken_headers_values: [a]\ntoken_post_args_names: [b]\ntoken_post_args_values: [c]\ntoken_headers_client: [X-D]\ntoken_post_args_client: [e]",
		inquiryOf(func(i *Inquiry) any { return i.Client.Token }), "{[{X-A a}] [{b c}] [X-D] [e] []}", saidOfAll},
	{"auth_methods: [introspection]\naudience: [a]\ncache_introspection: false\ncache_user_info: false\ncache_tokens: false",
		inquiryOf(func(i *Inquiry) any { return fmt.Sprint(i.CacheIntrospection, i.CacheUserInfo, i.CacheTokens) }), "false false false", ""},
	{"auth_methods: [introspection]\naudience: [a]", inquiryOf(func(i *Inquiry) any {
		return fmt.Sprint(i.CacheIntrospection, i.CacheUserInfo, i.CacheTokens, i.CacheTTL, i.CacheMax, i.CacheMin, i.CacheNegative, i.IntrospectionHint, i.IntrospectionName)
	}), "true true true 60 0 0 10access_tokentoken", ""},
	{"auth_methods: [introspection]\naudience: [a]\ncache_ttl: 3600\ncache_ttl_max: 7200\ncache_ttl_min: 5\ncache_ttl_neg: 0",
		inquiryOf(func(i *Inquiry) any { return fmt.Sprint(i.CacheTTL, i.CacheMax, i.CacheMin, i.CacheNegative) }), "3600 7200 5 0", ""},
	{"auth_methods: [introspection]\naudience: [a]\ncache_tokens_salt: x", methodsOf, "[introspection]", "info: is set: the sidecar draws a salt whenever it starts"},
	{"auth_methods: [refresh_token]\nrefresh_token_param_name: X-R", inquiryOf(func(i *Inquiry) any { return i.RefreshHeader }), "x-r", ""},
	{"auth_methods: [refresh_token]\nrefresh_token_param_type: header", inquiryOf(func(i *Inquiry) any { return i.RefreshHeader }), "refresh-token", ""},
	{"auth_methods: [bearer]\naudience: [a]\nid_token_param_name: X-ID\nid_token_param_type: [header]", inquiryOf(func(i *Inquiry) any { return i.IDTokenHeader }), "x-id", ""},
	{"auth_methods: [client_credentials]\nclient_credentials_param_type: [body, header, query]\npassword_param_type: [body]", methodsOf, "[client_credentials]",
		"info: only headers are looked at: addresses end up in logs, and bodies are not collected"},
	{"cache_ttl: 60", methodsOf, "[session]", "info: cache_ttl: has no effect where the issuer is not asked about callers' credentials"},
	{"auth_methods: [bearer]\naudience: [a]\nclaims_forbidden: [x, y]", func(c *OIDCConfig) any { return c.Forbidden }, "[x y]", "info: client_id, client_secret: has no effect on bearer tokens"},
	{"hide_credentials: false", func(c *OIDCConfig) any { return c.Keep }, "true", ""},
	{"hide_credentials: true", func(c *OIDCConfig) any { return c.Keep }, "false", ""},
	{"auth_methods: [introspection]\naudience: [a]\nbearer_token_header_name: X-Token", func(c *OIDCConfig) any { return c.HeaderNames }, "[x-token]", ""},
}

func methodsOf(c *OIDCConfig) any { return c.Methods }

func TestInquiryFields(t *testing.T) { checkAccepted(t, acceptedInquiries) }

// TestDefaultMethods: what is on where auth_methods is absent.
func TestDefaultMethods(t *testing.T) {
	checkAccepted(t, []accepted{
		{"auth_methods: null", methodsOf, "[session bearer introspection userinfo]",
			"info: has no auth_methods: session, bearer, introspection, userinfo and authorization_code are on, the others only when named" +
				"info: has no audience: bearer tokens that the issuer has made for other APIs pass"},
		{"auth_methods: null\naudience: [a]", methodsOf, "[session bearer introspection]",
			"info: has no auth_methods: session, bearer, introspection and authorization_code are on, the others only when named"},
		{"auth_methods: null\naudience: [a]\nclient_id: null\nclient_secret: null", methodsOf, "[bearer]",
			"info: has no auth_methods: bearer tokens are verified, and nothing else"},
	})
}

func TestRefusedInquiries(t *testing.T) {
	long := strings.Repeat("a", 65)
	checkRefusedFields(t, []refusedField{
		{"auth_methods: [introspection]\nclient_id: null", "@has no client_id: introspection needs one"},
		{"auth_methods: [password]\nclient_id: null", "@has no client_id: password needs one"},
		{"auth_methods: [refresh_token]\nclient_secret: null", `@has no client_secret: expected one, or client_auth "none" for a public client`},
		{"auth_methods: [bearer]\nclient_id: null\nid_token_param_name: X-ID", "@has no client_id: an ID token has to be for one (OIDC Core §3.1.3.7)"},
		{"introspect_jwt_tokens: true", "@introspect_jwt_tokens is for tokens that bearer has verified: expected bearer in auth_methods"},
		{"auth_methods: [userinfo]\naudience: [a]", "@auth_methods has userinfo, which does not tell whom a token is for: expected no audience, or introspection in its place"},
		{"introspection_accept: application/jwt\nauth_methods: [introspection]", "is not supported: only JSON is read"},
		{"introspection_check_active: false\nauth_methods: [introspection]", "is not supported: a token that is not active is refused"},
		{"introspection_headers_names: [X-A]\nauth_methods: [introspection]", "@introspection_headers_names has 1 values and introspection_headers_values 0: expected as many"},
		{"introspection_headers_client: [Authorization]\nauth_methods: [introspection]", "[0]: is Authorization, which the request sets itself"},
		{"introspection_post_args_client: [token]\nauth_methods: [introspection]", "[0]: is token, which the request sets itself"},
		{"token_post_args_client: [Scope]\nauth_methods: [client_credentials]", "[0]: is Scope, which the request sets itself"},
		{"token_post_args_client: [" + long + "]\nauth_methods: [client_credentials]", "[0]: is longer than 64 bytes"},
		{"token_headers_client: ['a b']\nauth_methods: [client_credentials]", "[0]: is no header name"},
		{"cache_ttl_min: 9\ncache_ttl_max: 8\nauth_methods: [introspection]", "@cache_ttl_min is above cache_ttl_max"},
		{"cache_ttl: -1\nauth_methods: [introspection]", "is -1: expected 0 to 315360000"},
		{"password_param_type: [query]\nauth_methods: [password]", "does not have header: nothing else is looked at"},
		{"refresh_token_param_name: Cookie\nauth_methods: [refresh_token]", "is Cookie, which has a meaning of its own"},
		{"bearer_token_header_name: Cookie", "is Cookie, which has a meaning of its own"},
		{"auth_methods_order: mine", `is "mine": expected kong or listed`},
		{"claims_forbidden: ['']", "[0]: is empty"},
	})
}
