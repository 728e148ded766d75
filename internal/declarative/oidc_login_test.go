package declarative

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// loginFile is a file with a plugin in line 3 that has a login, and more fields, a line
// each, from line 9 on. A field that is usual replaces the usual.
func loginFile(lines ...string) string {
	usual := []string{"issuer: https://i", "auth_methods: [session, authorization_code]", "client_id: [a]", "client_secret: [s]"}
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		i := slices.IndexFunc(usual, func(u string) bool { return strings.HasPrefix(u, name+":") })
		if i >= 0 {
			usual[i] = line
		} else {
			usual = append(usual, line)
		}
	}
	return "_format_version: '3.0'\nplugins:\n- name: openid-connect\n  config:\n    " + strings.Join(usual, "\n    ") + "\n"
}

// accepted is a field, what becomes of it, and what is said of it.
type accepted struct {
	field string // or several, by newlines
	get   func(c *OIDCConfig) any
	want  string
	said  string // without place
}

func checkAccepted(t *testing.T, tests []accepted) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.field, func(t *testing.T) {
			f, problems := Parse("k", []byte(loginFile(strings.Split(tt.field, "\n")...)), Options{})
			if f == nil {
				t.Fatal(problems)
			}
			if got := fmt.Sprint(tt.get(f.Plugins[0].OIDC)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			said := ""
			for _, p := range problems {
				said += p.Severity.String() + ": " + p.Text
			}
			if said != tt.said {
				t.Errorf("said %q, want %q", said, tt.said)
			}
		})
	}
}

// refusedField is a field that is refused with a text. Line and path are the field's;
// after @ they are the plugin's, after a colon they are said.
type refusedField struct{ field, want string }

func checkRefusedFields(t *testing.T, tests []refusedField) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.field, func(t *testing.T) {
			got := refused(t, loginFile(strings.Split(tt.field, "\n")...), Options{}).Error()
			name, _, _ := strings.Cut(tt.field, ":")
			want := ""
			switch {
			case strings.HasPrefix(tt.want, ":"):
				want = "kong.yml" + tt.want
			case strings.HasPrefix(tt.want, "@"):
				want = "kong.yml:3: plugins[0]: " + tt.want[1:]
			default:
				line := 9
				if i := slices.Index([]string{"issuer", "auth_methods", "client_id", "client_secret"}, name); i >= 0 {
					line = 5 + i
				}
				want = fmt.Sprintf("kong.yml:%d: plugins[0].config.%s: %s", line, name, tt.want)
				want = strings.Replace(want, name+": [", name+"[", 1) // an element
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func login[T any](get func(l *Login) T) func(c *OIDCConfig) any {
	return func(c *OIDCConfig) any { return get(c.Login) }
}

var acceptedLogins = []accepted{
	{"client_id: [a, b]\nclient_secret: [s, t]", login(func(l *Login) []string { return l.ClientIDs }), "[a b]", ""},
	{"client_id: a\nclient_secret: s", login(func(l *Login) string { return l.ClientIDs[0] + l.ClientSecrets[0].Reveal() }), "as", ""},
	{"client_secret: [s]", login(func(l *Login) any { return l.ClientSecrets }), "[[redacted]]", ""},
	{"client_auth: [client_secret_post]", login(func(l *Login) string { return l.ClientAuth }), "client_secret_post", ""},
	{"token_endpoint_auth_method: client_secret_basic\nclient_auth: none", login(func(l *Login) string { return l.ClientAuth }), "client_secret_basic", ""},
	{"client_auth: none\nclient_secret: null", login(func(l *Login) any { return len(l.ClientSecrets) }), "0", ""},
	{"client_auth: private_key_jwt\nclient_secret: null\nclient_alg: ES256", login(func(l *Login) any { return l.ClientAlg }), "ES256", ""},
	{"client_auth: private_key_jwt", login(func(l *Login) any { return l.ClientAlg }), "RS256", ""},
	{"client_auth: client_secret_post\nrevocation_endpoint_auth_method: client_secret_post", login(func(l *Login) string { return l.ClientAuth }), "client_secret_post", ""},
	{"scopes: [openid, email, 'x:y']", login(func(l *Login) any { return l.Scopes }), "[openid email x:y]", ""},
	{"leeway: 0", login(func(l *Login) any { return l.Scopes }), "[openid]", ""},
	{"max_age: 0", login(func(l *Login) any { return l.MaxAge }), "0", ""},
	{"max_age: 60", login(func(l *Login) any { return l.MaxAge }), "60", ""},
	{"max_age: null", login(func(l *Login) any { return l.MaxAge }), "-1", ""},
	{"authorization_query_args_names: [acr, kc]\nauthorization_query_args_values: ['1', google]", login(func(l *Login) any { return l.QueryArgs }), "[{acr 1} {kc google}]", ""},
	{"authorization_query_args_client: [login_hint]", login(func(l *Login) any { return l.QueryArgsOf }), "[login_hint]", ""},
	{"authorization_endpoint: https://i/a", login(func(l *Login) any { return l.Endpoints.Authorization }), "https://i/a", ""},
	{"token_endpoint: https://i/t", login(func(l *Login) any { return l.Endpoints.Token }), "https://i/t", ""},
	{"scopes: ['openid email', read]", login(func(l *Login) any { return l.Scopes }), "[openid email read]", ""},
	{"userinfo_endpoint: https://i/u", login(func(l *Login) any { return l.Endpoints.UserInfo }), "https://i/u", ""},
	{"revocation_endpoint: https://i/r", login(func(l *Login) any { return l.Endpoints.Revocation }), "https://i/r", ""},
	{"end_session_endpoint: https://i/e", login(func(l *Login) any { return l.Endpoints.EndSession }), "https://i/e", ""},
	{"jwks_endpoint: https://i/k", func(c *OIDCConfig) any { return c.JWKSEndpoint }, "https://i/k", ""},
	{"discovery_headers_names: [X-K]\ndiscovery_headers_values: [v]", func(c *OIDCConfig) any { return c.DiscoveryHeaders }, "[{X-K [redacted]}]", ""},
	{"domains: [example.com]", login(func(l *Login) any { return l.Domains }), "[example.com]", ""},
	{"search_user_info: true", login(func(l *Login) any { return l.UserInfo }), "true", ""},
	{"refresh_tokens: false", login(func(l *Login) any { return l.Refresh }), "false", ""},
	{"verify_signature: false", login(func(l *Login) any { return l.SkipSignature }), "true",
		"warning: is false: whoever answers in the identity provider's place logs in as anybody; it has no effect on tokens that clients present, whose signature is always verified"},
	{"disable_session: [bearer]\nauth_methods: [session, bearer]\naudience: [a]", login(func(l *Login) any { return fmt.Sprint(l.BearerSession, l.DisabledSession) }), "false [bearer]", ""},
	{"auth_methods: [session, bearer]\naudience: [a]", login(func(l *Login) any { return fmt.Sprint(l.Session, l.Begin, l.BearerSession) }), "true false true", ""},
	{"auth_methods: [bearer, authorization_code]\naudience: [a]", login(func(l *Login) any { return fmt.Sprint(l.Session, l.Begin, l.BearerSession) }), "true true false", ""},
	{"auth_methods: null\naudience: [a]", login(func(l *Login) any { return fmt.Sprint(l.Session, l.Begin, l.BearerSession) }), "true true true",
		"info: has no auth_methods: session, bearer, introspection and authorization_code are on, the others only when named"},
	{"session_secret: a-secret-of-thirty-two-bytes-or-so", login(func(l *Login) any { return l.SessionSecrets[0].Reveal() }), "a-secret-of-thirty-two-bytes-or-so", ""},
	{"session_secret: [a-secret-of-thirty-two-bytes-or-so, another-secret-of-thirty-two-bytes]", login(func(l *Login) any { return len(l.SessionSecrets) }), "2", ""},
	{"session_secret: short", login(func(l *Login) any { return len(l.SessionSecrets) }), "1",
		"warning: has fewer than 32 bytes: whoever guesses it logs in as anybody"},
	{"session_audience: team", login(func(l *Login) any { return l.SessionAudience }), "team", ""},
	{"session_idling_timeout: 10\nsession_rolling_timeout: 20\nsession_absolute_timeout: 30", login(func(l *Login) any { return fmt.Sprint(l.Idling, l.Rolling, l.Absolute) }), "10 20 30", ""},
	{"session_idling_timeout: 0\nsession_rolling_timeout: 0\nsession_absolute_timeout: 0", login(func(l *Login) any { return fmt.Sprint(l.Idling, l.Rolling, l.Absolute) }), "0 0 0",
		"warning: is 0: a session that is used never ends"},
	{"leeway: 1", login(func(l *Login) any { return fmt.Sprint(l.Idling, l.Rolling, l.Absolute, l.FlowTimeout) }), "900 3600 86400 600", ""},
	{"authorization_rolling_timeout: 30", login(func(l *Login) any { return l.FlowTimeout }), "30", ""},
	{"login_action: response", login(func(l *Login) any { return fmt.Sprint(l.LoginAction, l.LoginMode, l.LoginTokens) }), "responsefragment[id_token]", ""},
	{"login_action: response\nlogin_tokens: [refresh_token]", login(func(l *Login) any { return l.LoginTokens }), "[refresh_token]",
		"warning: has refresh_token: whoever sees it stays logged in"},
	{"login_action: response\nlogin_tokens: [tokens]", login(func(l *Login) any { return l.LoginTokens }), "[tokens]",
		"warning: has tokens, the refresh token too: whoever sees it stays logged in"},
	{"login_action: redirect\nlogin_redirect_uri: [https://s/a, https://s/b]", login(func(l *Login) any { return l.LoginRedirects }), "[https://s/a https://s/b]", ""},
	{"login_action: redirect\nlogin_redirect_uri: https://s/a\nlogin_redirect_mode: query", login(func(l *Login) any { return l.LoginMode }), "query",
		"warning: is query: tokens end up in logs, histories and referrers"},
	{"login_action: redirect\nlogin_redirect_uri: https://s/a\nlogin_redirect_mode: query\nlogin_tokens: []", login(func(l *Login) any { return len(l.LoginTokens) }), "0", ""},
	{"logout_methods: [GET]\nlogout_query_arg: logout\nlogout_uri_suffix: /logout", login(func(l *Login) any { return fmt.Sprint(l.LogoutMethods, l.LogoutQuery, l.LogoutSuffix) }), "[GET]logout/logout", ""},
	{"leeway: 2", login(func(l *Login) any { return fmt.Sprint(l.LogoutMethods, l.RevokeAccess, l.RevokeRefresh) }), "[POST DELETE] false false", ""},
	{"logout_redirect_uri: https://s/bye", login(func(l *Login) any { return l.LogoutRedirects }), "[https://s/bye]", ""},
	{"logout_revoke: true", login(func(l *Login) any { return fmt.Sprint(l.RevokeAccess, l.RevokeRefresh) }), "true true", ""},
	{"logout_revoke: true\nlogout_revoke_access_token: false", login(func(l *Login) any { return fmt.Sprint(l.RevokeAccess, l.RevokeRefresh) }), "false true", ""},
	{"logout_revoke: true\nlogout_revoke_refresh_token: false", login(func(l *Login) any { return fmt.Sprint(l.RevokeAccess, l.RevokeRefresh) }), "true false", ""},
	{"unauthorized_redirect_uri: https://s/u", login(func(l *Login) any { return l.UnauthorizedTo }), "https://s/u", ""},
	{"forbidden_redirect_uri: [https://s/f]", login(func(l *Login) any { return l.ForbiddenTo }), "https://s/f", ""},
	{"unexpected_redirect_uri: https://s/x", login(func(l *Login) any { return l.UnexpectedTo }), "https://s/x", ""},
	{"unauthorized_error_message: 'No, not you'\nforbidden_error_message: Nor you", login(func(l *Login) any { return l.Unauthorized + "|" + l.Forbidden }), "No, not you|Nor you", ""},
	{"display_errors: true", login(func(l *Login) any { return l.DisplayErrors }), "true", ""},
	{"forbidden_destroy_session: true", login(func(l *Login) any { return fmt.Sprint(l.KeepForbidden, l.DropForbidden) }), "false true", ""},
	{"forbidden_destroy_session: false", login(func(l *Login) any { return fmt.Sprint(l.KeepForbidden, l.DropForbidden) }), "true false", ""},
	{"forbidden_destroy_session: null", login(func(l *Login) any { return fmt.Sprint(l.KeepForbidden, l.DropForbidden) }), "false false", ""},
	{"preserve_query_args: true", login(func(l *Login) any { return l.Begin }), "true", ""},
	{"preserve_query_args: false", login(func(l *Login) any { return l.Begin }), "true",
		"info: is false: the query of the page that asked for the login is kept all the same"},
	{"session_cookie_name: s\nsession_cookie_path: /p\nsession_cookie_domain: example.com\nsession_cookie_same_site: Strict",
		login(func(l *Login) any { return l.SessionCookie }), "{s /p example.com Strict true <nil>}", ""},
	{"leeway: 3", login(func(l *Login) any { return fmt.Sprint(l.SessionCookie, l.FlowCookie, l.SessionCookie.HostPrefix()) }),
		"{session /  Lax true <nil>} {authorization /  Lax true <nil>} true", ""},
	{"session_cookie_same_site: Default", login(func(l *Login) any { return l.SessionCookie.SameSite }), "Lax", ""},
	{"session_cookie_same_site: 'off'", login(func(l *Login) any { return l.SessionCookie.SameSite == "" }), "true",
		"warning: is off: some browsers send the cookie with requests that other sites make"},
	{"session_cookie_same_site: None", login(func(l *Login) any { return l.SessionCookie.SameSite }), "None",
		"warning: is None: other sites can make requests with the cookie"},
	{"session_cookie_secure: true", login(func(l *Login) any { return fmt.Sprint(*l.SessionCookie.Secure, l.SessionCookie.HostPrefix()) }), "true true", ""},
	{"session_cookie_secure: false", login(func(l *Login) any { return fmt.Sprint(*l.SessionCookie.Secure, l.SessionCookie.HostPrefix()) }), "false false",
		"warning: is false: the cookie also travels without TLS"},
	{"session_cookie_http_only: false", login(func(l *Login) any { return l.SessionCookie.HTTPOnly }), "false",
		"warning: is false: any script on the page can take the cookie along"},
	{"session_cookie_path: /p", login(func(l *Login) any { return l.SessionCookie.HostPrefix() }), "false", ""},
	{"session_cookie_domain: .example.com", login(func(l *Login) any { return l.SessionCookie.HostPrefix() }), "false", ""},
	{"authorization_cookie_name: f\nauthorization_cookie_path: /p\nauthorization_cookie_domain: example.com",
		login(func(l *Login) any { return l.FlowCookie }), "{f /p example.com Lax true <nil>}", ""},
	{"authorization_cookie_same_site: None\nauthorization_cookie_secure: true", login(func(l *Login) any { return fmt.Sprint(l.FlowCookie.SameSite, *l.FlowCookie.Secure) }), "Nonetrue",
		"warning: is None: other sites can make requests with the cookie"},
	{"authorization_cookie_http_only: true", login(func(l *Login) any { return l.FlowCookie.HTTPOnly }), "true", ""},
	{"redirect_uri: https://h/cb", login(func(l *Login) any { return l.RedirectURIs }), "[https://h/cb]",
		"warning: redirect_uri https://h/cb reaches no route of this plugin: logins would not come back to it"},

	// Of Kong's fields with one value that is right.
	{"response_type: [code]", login(func(l *Login) any { return l.Begin }), "true", ""}, // a list, as Kong has it
}

func TestLoginFields(t *testing.T) { checkAccepted(t, acceptedLogins) }

// Every field of a login, of an identity and of an inquiry is in the tables of these tests.
func TestEveryLoginFieldIsTried(t *testing.T) {
	p := &parser{}
	tried := map[string]bool{}
	for _, list := range [][]accepted{acceptedLogins, acceptedIdentities, acceptedInquiries} {
		for _, a := range list {
			for line := range strings.SplitSeq(a.field, "\n") {
				name, _, _ := strings.Cut(line, ":")
				tried[name] = true
			}
		}
	}
	known := newLogin().fields(p)
	maps.Copy(known, newIdentity().fields(p))
	maps.Copy(known, newInquiry().fields(p))
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !tried[name] {
			t.Errorf("%s is not tried", name)
		}
	}
}

func TestRefusedLogins(t *testing.T) {
	many := "[" + strings.Repeat("a-secret-of-thirty-two-bytes-or-so, ", 9) + "]"
	checkRefusedFields(t, []refusedField{
		{"client_id: null", "@has no client_id: auth_methods has authorization_code"},
		{"client_id: ['']", ":3: plugins[0]: has no client_id: auth_methods has authorization_code\nkong.yml:7: plugins[0].config.client_id[0]: is empty"},
		{`client_id: "a\nb"`, ":3: plugins[0]: has no client_id: auth_methods has authorization_code\nkong.yml:7: plugins[0].config.client_id: holds a control character or broken UTF-8"},
		{"client_id: [a, b]", "@client_id has 2 values and client_secret 1: expected as many"},
		{"client_secret: null", `@has no client_secret: expected one, or client_auth "none" for a public client`},
		{"client_secret: ''", ":8: plugins[0].config.client_secret: is empty"},
		{"client_auth: client_secret_jwt", "is client_secret_jwt, which is not supported: expected client_secret_basic, client_secret_post, private_key_jwt or none"},
		{"client_auth: [tls_client_auth]", "[0]: is tls_client_auth, which is not supported: expected client_secret_basic, client_secret_post, private_key_jwt or none"},
		{"client_auth: basic", `is "basic": expected client_secret_basic, client_secret_post, private_key_jwt or none`},
		{"token_endpoint_auth_method: self_signed_tls_client_auth", "is self_signed_tls_client_auth, which is not supported: expected client_secret_basic, client_secret_post, private_key_jwt or none"},
		{"revocation_endpoint_auth_method: none", "@revocation_endpoint_auth_method is not token_endpoint_auth_method: expected the same"},
		{"client_alg: HS256", `is "HS256": expected RS256, PS256 or ES256`},
		{"scopes: [email]", "@scopes does not have openid: a login is verified by its ID token (OIDC Core §3.1.2.1)"},
		{`scopes: ['open"id']`, "[0]: is no scope: expected printable ASCII without quotes and backslashes"},
		{"scopes: [openid, '']", "[1]: is empty"},
		{"redirect_uri: [/cb]", `[0]: is "/cb": expected an https URL`},
		{"redirect_uri: https://u:p@h/cb", "has a user name or cannot be read: expected an https URL without credentials"},
		{"max_age: -1", "is -1: expected 0 to 315360000"},
		{"max_age: soon", `is "soon": expected an integer`},
		{"authorization_query_args_names: [a]", "@authorization_query_args_names has 1 values and authorization_query_args_values 0: expected as many"},
		{"authorization_query_args_names: [state]", ":9: plugins[0].config.authorization_query_args_names[0]: is state, which the login sets itself"},
		{"authorization_query_args_client: [redirect_uri]", "[0]: is redirect_uri, which the login sets itself"},
		{"authorization_endpoint: ftp://i/a", `is "ftp://i/a": expected an https URL`},
		{"token_endpoint: i", `is "i": expected an https URL`},
		{"userinfo_endpoint: ''", `is "": expected an https URL`},
		{"revocation_endpoint: [https://i]", "is a list: expected a string"},
		{"end_session_endpoint: 7", "is 7: expected a string (put it in quotes)"},
		{"jwks_endpoint: /k", `is "/k": expected an https URL`},
		{"discovery_headers_names: [X-K]", "@discovery_headers_names has 1 values and discovery_headers_values 0: expected as many"},
		{"discovery_headers_names: [Host]\ndiscovery_headers_values: [v]", ":3: plugins[0]: discovery_headers_names has 0 values and discovery_headers_values 1: expected as many\nkong.yml:9: plugins[0].config.discovery_headers_names[0]: is Host, which has a meaning of its own"},
		{"domains: ['']", "[0]: is empty"},
		{"search_user_info: 1", "is 1: expected true or false"},
		{"disable_session: [cookies]", `[0]: is "cookies": expected authorization_code, bearer, client_credentials, introspection, kong_oauth2, password, refresh_token, session or userinfo`},
		{"disable_session: [authorization_code]", "@disable_session has authorization_code: a login would end in the next one; expected login_action to be response or redirect"},
		{"session_secret: ''", "is empty"},
		{"session_secret: " + many, "@session_secret has 9 values: expected at most 8"},
		{"session_audience: ''", "is empty"},
		{"session_idling_timeout: -1", "is -1: expected 0 to 315360000"},
		{"session_idling_timeout: 9", "@session_idling_timeout is 9: expected 0 or at least 10 seconds"},
		{"session_rolling_timeout: 9", "@session_rolling_timeout and session_absolute_timeout: expected 0 or at least 10 seconds"},
		{"session_absolute_timeout: 1", "@session_rolling_timeout and session_absolute_timeout: expected 0 or at least 10 seconds"},
		{"authorization_rolling_timeout: 29", "is 29: expected 30 to 86400"},
		{"login_action: page", `is "page": expected upstream, response or redirect`},
		{"login_action: redirect", "@login_action is redirect: expected login_redirect_uri too"},
		{"login_redirect_mode: form_post", `is "form_post": expected fragment or query`},
		{"login_tokens: [introspection]", "[0]: is introspection, which is not supported: expected id_token, access_token, refresh_token or tokens"},
		{"login_tokens: [id]", `[0]: is "id": expected id_token, access_token, refresh_token or tokens`},
		{"login_redirect_uri: /in", `is "/in": expected an https URL`},
		{"logout_methods: [PUT]", `[0]: is "PUT": expected GET, POST or DELETE`},
		{"logout_query_arg: ''", "is empty"},
		{"logout_uri_suffix: logout", "is no end of a path: expected something like /logout"},
		{"logout_uri_suffix: /", "is no end of a path: expected something like /logout"},
		{"logout_uri_suffix: /a?b", "is no end of a path: expected something like /logout"},
		{"logout_redirect_uri: [javascript:alert]", `[0]: is "javascript:alert": expected an https URL`},
		{"unauthorized_redirect_uri: [https://a, https://b]", "@unauthorized_redirect_uri has 2 values: expected one"},
		{"forbidden_redirect_uri: [https://a, https://b]", "@forbidden_redirect_uri has 2 values: expected one"},
		{"unexpected_redirect_uri: [https://a, https://b]", "@unexpected_redirect_uri has 2 values: expected one"},
		{`unauthorized_error_message: "a\nb"`, "holds a control character or broken UTF-8"},
		{`forbidden_error_message: "a\tb"`, "holds a control character or broken UTF-8"},
		{"forbidden_destroy_session: perhaps", `is "perhaps": expected true or false`},
		{"session_cookie_name: a b", "is no name of a cookie"},
		{"session_cookie_name: " + strings.Repeat("a", 65), "is no name of a cookie"},
		{"session_cookie_name: authorization", `@session_cookie_name and authorization_cookie_name are both "authorization": expected two names`},
		{"session_cookie_name: __Host-s", `@session_cookie_name is "__Host-s": expected a name without prefix, which is added where the attributes permit`},
		{"authorization_cookie_name: __Secure-a", `@authorization_cookie_name is "__Secure-a": expected a name without prefix, which is added where the attributes permit`},
		{"session_cookie_path: a", "is no path of a cookie"},
		{"session_cookie_path: /a;Domain=x", "is no path of a cookie"},
		{"session_cookie_domain: 'a;b'", "is no domain"},
		{"session_cookie_same_site: lax", `is "lax": expected Strict, Lax, None, Default or off`},
		{"session_cookie_same_site: None\nsession_cookie_secure: false", "@session_cookie_same_site is None and session_cookie_secure false: browsers refuse such cookies"},
		{"authorization_cookie_same_site: Strict", "@authorization_cookie_same_site is Strict: the cookie would not come back from the identity provider"},
		{"auth_methods: []", "@auth_methods is empty: nobody could pass"},
		{"auth_methods: [kong_oauth2]", "[0]: is kong_oauth2, which is not supported: Kong keeps those tokens in its own database; use an identity provider, and bearer or introspection"},
	})
}

// Sessions that take turns in one cookie, and cookies of which one reads as a part of
// another.
func TestSharedCookies(t *testing.T) {
	const turns = `has the session cookie "session", as the plugin of line 7 has, and not the same issuer, client, scopes, session_audience or checks: ` +
		`who logs in to one is logged out of the other`
	two := func(a, b string) string {
		plugin := func(more string) string {
			return "\n    - {name: openid-connect, config: {issuer: 'https://i', auth_methods: [session, authorization_code], client_id: [a], client_secret: [s]" + more + "}}"
		}
		return "_format_version: '3.0'\nservices:\n- name: s\n  host: h\n  routes:\n  - {name: r, paths: [/a], plugins: [\n" +
			strings.TrimPrefix(strings.TrimPrefix(plugin(a), "\n"), "    - ") + "]}\n  - {name: q, paths: [/b], plugins: [\n" +
			strings.TrimPrefix(strings.TrimPrefix(plugin(b), "\n"), "    - ") + "]}\n"
	}
	for _, tt := range []struct{ a, b, want string }{
		{"", "", ""},
		{"", ", scopes_required: [x], leeway: 9", ""},
		{", session_cookie_name: one, session_audience: x", ", session_cookie_name: two", ""},
		{"", ", session_cookie_path: /b, session_audience: x", ""},
		{"", ", session_cookie_domain: example.com, session_audience: x", ""},
		{"", ", session_audience: x", "k:9: warning: services[0].routes[1].plugins[0]: " + turns},
		{"", ", scopes: [openid, email]", "k:9: warning: services[0].routes[1].plugins[0]: " + turns},
		{"", ", audience: [api]", "k:9: warning: services[0].routes[1].plugins[0]: " + turns},
		{"", ", max_age: 5", "k:9: warning: services[0].routes[1].plugins[0]: " + turns},
		{"", ", session_cookie_name: session_2", `k:9: services[0].routes[1].plugins[0]: session_cookie_name "session_2" and "session" of line 7: one reads as a part of the other`},
		{", session_cookie_name: s_8", ", session_cookie_name: s", `k:9: services[0].routes[1].plugins[0]: session_cookie_name "s" and "s_8" of line 7: one reads as a part of the other`},
		{", session_cookie_name: s_x", ", session_cookie_name: s", ""},
	} {
		_, problems := Parse("k", []byte(two(tt.a, tt.b)), Options{})
		if got := plain(problems).Error(); got != tt.want {
			t.Errorf("%s and %s: got\n%s\nwant\n%s", tt.a, tt.b, got, tt.want)
		}
	}
}

// A session that browsers do not send is one that has to be begun at each request.
func TestLostCookies(t *testing.T) {
	const note = "k:6: warning: services[0].routes[0].plugins[0]: "
	for _, tt := range []struct{ route, config, want string }{
		{"paths: [/a]", "", ""},
		{"paths: [/a]", "session_cookie_path: /a", ""},
		{"paths: [/a/b, /a/]", "session_cookie_path: /a/", ""},
		{"paths: [~/b/.*]", "session_cookie_path: /a", ""},
		{"paths: [/a, /ab]", "session_cookie_path: /a", note + `session_cookie_path "/a" does not cover the path "/ab" of line 6: browsers do not send the session there, and have to log in again each time`},
		{"paths: [/a]", "session_cookie_path: /a/b", note + `session_cookie_path "/a/b" does not cover the path "/a" of line 6: browsers do not send the session there, and have to log in again each time`},
		{"hosts: [x.example.com, example.com, '*.example.com', 'example.*']", "session_cookie_domain: .example.com", ""},
		{"hosts: [an-example.com]", "session_cookie_domain: example.com", note + `session_cookie_domain "example.com" does not cover the host "an-example.com" of line 6: browsers take no such cookie from there, and have to log in again each time`},
		{"hosts: ['*.example.com']", "session_cookie_domain: x.example.com", note + `session_cookie_domain "x.example.com" does not cover the host "example.com" of line 6: browsers take no such cookie from there, and have to log in again each time`},
	} {
		if tt.config != "" {
			tt.config = ", " + tt.config
		}
		_, problems := Parse("k", []byte("_format_version: '3.0'\nservices:\n- name: s\n  host: h\n  routes:\n  - {name: r, "+tt.route+
			", plugins: [{name: openid-connect, config: {issuer: 'https://i', client_id: [a], client_secret: [s], auth_methods: [session, authorization_code]"+tt.config+"}}]}\n"), Options{})
		if got := plain(problems).Error(); got != tt.want {
			t.Errorf("%s%s: got\n%s\nwant\n%s", tt.route, tt.config, got, tt.want)
		}
	}
}

// A redirect_uri has to lead back to the plugin, or to one that shares its sessions.
func TestRedirectURIs(t *testing.T) {
	file := func(uri string) string {
		const config = "issuer: 'https://i', auth_methods: [session, authorization_code], client_id: [a], client_secret: [s]"
		return `_format_version: '3.0'
services:
- name: s
  host: h
  routes:
  - {name: r, paths: [/a], hosts: [app.example], plugins: [{name: openid-connect, config: {` + config + `, redirect_uri: ['` + uri + `']}}]}
  - {name: shared, paths: [/shared], plugins: [{name: openid-connect, config: {` + config + `, leeway: 5}}]}
  - {name: other, paths: [/other], plugins: [{name: openid-connect, config: {` + config + `, session_audience: x, session_cookie_name: x}}]}
  - {name: open, paths: [/open]}
  - {name: post, paths: [/post], methods: [POST], plugins: [{name: openid-connect, config: {` + config + `}}]}
`
	}
	for uri, ok := range map[string]bool{
		"https://app.example/a/cb": true, "http://app.example/a": true, "https://app.example:8443/a/cb": true, "https://any.example/shared": true,
		"https://else.example/a/cb": false, "https://app.example/other": false, "https://app.example/open": false,
		"https://app.example": false, "https://app.example/": false, "https://app.example/post": false,
	} {
		f, problems := Parse("k", []byte(file(uri)), Options{})
		want := "k:6: warning: services[0].routes[0].plugins[0]: redirect_uri " + uri + " reaches no route of this plugin: logins would not come back to it"
		if ok {
			want = ""
		}
		if got := plain(ofRule(problems, redirectURILost)).Error(); f == nil || got != want {
			t.Errorf("%s: got %q, want %q", uri, got, want)
		}
	}
}
