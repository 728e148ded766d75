package declarative

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// Login is what an openid-connect plugin has for browsers: sessions, the
// authorization code flow, logout.
type Login struct {
	Session         bool     // session cookies are accepted
	Begin           bool     // auth_methods has authorization_code
	BearerSession   bool     // a bearer token begins a session
	DisabledSession []string // methods that begin no session
	InstanceName    string

	Client
	RedirectURIs []string
	MaxAge       int64    // seconds, -1 for none
	QueryArgs    []Pair   // added to the authorization request
	QueryArgsOf  []string // parameters of the client's own that are handed on
	UserInfo     bool     // is fetched at login
	Refresh      bool

	SessionSecrets               []redact.Secret // a ring: the first seals, all open
	SessionAudience              string
	Idling, Rolling, Absolute    int64 // seconds; 0 for no bound
	FlowTimeout                  int64 // seconds
	SessionCookie, FlowCookie    CookieSettings
	LoginAction, LoginMode       string
	LoginTokens, LoginRedirects  []string
	LogoutMethods                []string
	LogoutQuery, LogoutSuffix    string
	LogoutRedirects              []string
	RevokeAccess, RevokeRefresh  bool
	Unauthorized, Forbidden      string // texts
	UnauthorizedTo, ForbiddenTo  string // URLs
	UnexpectedTo                 string
	DisplayErrors                bool
	KeepForbidden, DropForbidden bool
}

// Pair is a name with a value.
type Pair struct{ Name, Value string }

// Endpoints are URLs of an identity provider; "" for discovery's.
type Endpoints struct{ Authorization, Token, UserInfo, Revocation, EndSession, Introspection string }

// CookieSettings are the attributes of a cookie (RFC 6265bis §4.1.2).
type CookieSettings struct {
	Name, Path, Domain, SameSite string // SameSite: Strict, Lax, None or "" for none
	HTTPOnly                     bool
	Secure                       *bool // nil: over https
}

// HostPrefix reports whether the cookie's name may begin with __Host- over https.
func (c *CookieSettings) HostPrefix() bool {
	return c.Path == "/" && c.Domain == "" && (c.Secure == nil || *c.Secure)
}

// loginReader reads the fields of a login.
type loginReader struct {
	*Login
	secrets, sessionSecrets, clientAuth, clientAlg, argNames, argValues []string
	tokenAuth, revocationAuth                                           string
	unauthorized, forbidden, unexpected                                 []string
	logoutRevoke                                                        bool
	dropForbidden                                                       *bool
	seen                                                                []string // fields that mean nothing without it
}

func newLogin() *loginReader {
	cookie := func(name string) CookieSettings {
		return CookieSettings{Name: name, Path: "/", SameSite: "Lax", HTTPOnly: true}
	}
	return &loginReader{Login: &Login{
		Client: Client{Scopes: []string{"openid"}}, MaxAge: -1, Refresh: true, SessionAudience: "default",
		Idling: 900, Rolling: 3600, Absolute: 86400, FlowTimeout: 600,
		SessionCookie: cookie("session"), FlowCookie: cookie("authorization"),
		LoginAction: "upstream", LoginMode: "fragment", LoginTokens: []string{"id_token"},
		LogoutMethods: []string{"POST", "DELETE"}, RevokeAccess: true, RevokeRefresh: true,
	}}
}

const maxSeconds = 10 * 365 * 24 * 3600

// fields are the fields of a login, by Kong's names.
func (l *loginReader) fields(p *parser) fields {
	var maxAge int64
	known := fields{
		"client_id":                  p.oneOrMore(&l.ClientIDs, notEmpty, printable),
		"client_secret":              p.secrets(&l.secrets, notEmpty),
		"client_auth":                p.oneOrMore(&l.clientAuth, clientAuth),
		"token_endpoint_auth_method": p.text(&l.tokenAuth, clientAuth),
		"revocation_endpoint_auth_method": func(v at) {
			p.text(&l.revocationAuth, clientAuth)(v)
		},
		"client_alg": p.oneOrMore(&l.clientAlg, oneOf("RS256", "PS256", "ES256")),
		"scopes": func(v at) {
			var list []string
			before := p.errors
			if p.oneOrMore(&list, scopeName)(v); p.errors == before {
				l.Scopes = strings.Fields(strings.Join(list, " ")) // which is how they are sent
			}
		},
		"redirect_uri": p.oneOrMore(&l.RedirectURIs, httpURL),
		"max_age": func(v at) {
			p.int(&maxAge, 0, maxSeconds)(v)
			l.MaxAge = maxAge
		},
		"authorization_query_args_names":  p.oneOrMore(&l.argNames, queryArg),
		"authorization_query_args_values": p.oneOrMore(&l.argValues),
		"authorization_query_args_client": p.oneOrMore(&l.QueryArgsOf, queryArg),
		"authorization_endpoint":          p.text(&l.Endpoints.Authorization, httpURL),
		"token_endpoint":                  p.text(&l.Endpoints.Token, httpURL),
		"userinfo_endpoint":               p.text(&l.Endpoints.UserInfo, httpURL),
		"revocation_endpoint":             p.text(&l.Endpoints.Revocation, httpURL),
		"end_session_endpoint":            p.text(&l.Endpoints.EndSession, httpURL),
		"domains":                         p.oneOrMore(&l.Domains, notEmpty),
		"search_user_info":                p.bool(&l.UserInfo),
		"refresh_tokens":                  p.bool(&l.Refresh),
		"disable_session":                 p.oneOrMore(&l.DisabledSession, oneOf(kongMethods...)),
		"session_secret":                  p.secrets(&l.sessionSecrets, notEmpty),
		"session_audience":                p.text(&l.SessionAudience, notEmpty),
		"session_idling_timeout":          p.int(&l.Idling, 0, maxSeconds),
		"session_rolling_timeout":         p.int(&l.Rolling, 0, maxSeconds),
		"session_absolute_timeout":        p.int(&l.Absolute, 0, maxSeconds),
		"authorization_rolling_timeout":   p.int(&l.FlowTimeout, 30, 24*3600),
		"login_action":                    p.text(&l.LoginAction, oneOf("upstream", "response", "redirect")),
		"login_redirect_mode":             p.text(&l.LoginMode, oneOf("fragment", "query")),
		"login_tokens":                    p.oneOrMore(&l.LoginTokens, loginToken),
		"login_redirect_uri":              p.oneOrMore(&l.LoginRedirects, httpURL),
		"logout_methods":                  p.oneOrMore(&l.LogoutMethods, oneOf("GET", "POST", "DELETE")),
		"logout_query_arg":                p.text(&l.LogoutQuery, notEmpty, printable),
		"logout_uri_suffix":               p.text(&l.LogoutSuffix, pathSuffix),
		"logout_redirect_uri":             p.oneOrMore(&l.LogoutRedirects, httpURL),
		"logout_revoke":                   p.bool(&l.logoutRevoke),
		"logout_revoke_access_token":      p.bool(&l.RevokeAccess),
		"logout_revoke_refresh_token":     p.bool(&l.RevokeRefresh),
		"unauthorized_redirect_uri":       p.oneOrMore(&l.unauthorized, httpURL),
		"forbidden_redirect_uri":          p.oneOrMore(&l.forbidden, httpURL),
		"unexpected_redirect_uri":         p.oneOrMore(&l.unexpected, httpURL),
		"unauthorized_error_message":      p.text(&l.Unauthorized, printable),
		"forbidden_error_message":         p.text(&l.Forbidden, printable),
		"display_errors":                  p.bool(&l.DisplayErrors),
		"forbidden_destroy_session":       func(v at) { l.dropForbidden = new(bool); p.bool(l.dropForbidden)(v) },
		"preserve_query_args": func(v at) {
			keep := true
			p.bool(&keep)(v)
			if !keep {
				p.note(noEffect, v, "is false: the query of the page that asked for the login is kept all the same")
			}
		},
	}
	l.SessionCookie.fields(p, known, "session_cookie_")
	l.FlowCookie.fields(p, known, "authorization_cookie_")
	for name, read := range known {
		known[name] = func(v at) {
			l.seen = append(l.seen, name)
			read(v)
		}
	}
	return known
}

func (c *CookieSettings) fields(p *parser, known fields, prefix string) {
	known[prefix+"name"] = p.text(&c.Name, cookieName)
	known[prefix+"path"] = p.text(&c.Path, cookiePath)
	known[prefix+"domain"] = p.text(&c.Domain, cookieDomain)
	known[prefix+"http_only"] = p.bool(&c.HTTPOnly)
	known[prefix+"secure"] = func(v at) {
		secure := true
		p.bool(&secure)(v)
		c.Secure = &secure
	}
	known[prefix+"same_site"] = func(v at) {
		var s string
		p.text(&s, oneOf("Strict", "Lax", "None", "Default", "off"))(v)
		switch s {
		case "":
			return // what is wrong has been said
		case "Default":
			s = "Lax"
		case "off":
			s = ""
		}
		c.SameSite = s
	}
}

var kongMethods = []string{"authorization_code", "bearer", "client_credentials", "introspection", "kong_oauth2", "password",
	"refresh_token", "session", "userinfo"}

// finish checks what was read as a whole.
func (l *loginReader) finish(p *parser, where places, inquiry *Inquiry) *Login {
	v := where.plugin
	if inquiry != nil {
		l.seen = slices.DeleteFunc(l.seen, func(name string) bool { return clientFields[name] })
		l.secretsOf(p, where)
		l.clientOf(p, v, inquiry)
		inquiry.ClientSecrets, inquiry.ClientAuth, inquiry.ClientAlg = l.ClientSecrets, l.ClientAuth, l.ClientAlg
	}
	if !l.Session && !l.Begin {
		l.seen = slices.DeleteFunc(l.seen, func(name string) bool { return loginHarmless[name] })
		if len(l.seen) > 0 {
			p.note(noEffect, v, "%s: has no effect on bearer tokens", strings.Join(sorted(l.seen), ", "))
		}
		return nil
	}
	one := func(name string, list []string) string {
		if len(list) > 1 {
			p.fail(v, "%s has %d values: expected one", name, len(list))
		}
		if len(list) == 0 {
			return ""
		}
		return list[0]
	}
	l.UnauthorizedTo = one("unauthorized_redirect_uri", l.unauthorized)
	l.ForbiddenTo = one("forbidden_redirect_uri", l.forbidden)
	l.UnexpectedTo = one("unexpected_redirect_uri", l.unexpected)
	if l.dropForbidden != nil {
		l.KeepForbidden, l.DropForbidden = !*l.dropForbidden, *l.dropForbidden
	}
	if !l.logoutRevoke {
		l.RevokeAccess, l.RevokeRefresh = false, false
	}
	if inquiry == nil {
		l.secretsOf(p, where)
		l.clientOf(p, v, nil)
	}
	l.cookiesOf(p, v)
	l.lint(p, where)
	if len(l.argNames) != len(l.argValues) {
		p.fail(v, "authorization_query_args_names has %d values and authorization_query_args_values %d: expected as many",
			len(l.argNames), len(l.argValues))
	} else {
		for i, name := range l.argNames {
			l.QueryArgs = append(l.QueryArgs, Pair{name, l.argValues[i]})
		}
	}
	if !slices.Contains(l.Scopes, "openid") {
		p.fail(v, "scopes does not have openid: a login is verified by its ID token (OIDC Core §3.1.2.1)")
	}
	if l.LoginAction == "redirect" && len(l.LoginRedirects) == 0 {
		p.fail(v, "login_action is redirect: expected login_redirect_uri too")
	}
	if l.LoginAction == "redirect" && l.LoginMode == "query" && len(l.LoginTokens) > 0 {
		p.note(loginTokensQuery, where.of("login_redirect_mode"), "is query: tokens end up in logs, histories and referrers")
	}
	switch {
	case l.LoginAction == "upstream":
	case slices.Contains(l.LoginTokens, "refresh_token"):
		p.note(refreshTokenShown, where.of("login_tokens"), "has refresh_token: whoever sees it stays logged in")
	case slices.Contains(l.LoginTokens, "tokens"):
		p.note(refreshTokenShown, where.of("login_tokens"), "has tokens, the refresh token too: whoever sees it stays logged in")
	}
	l.BearerSession = l.BearerSession && !slices.Contains(l.DisabledSession, "bearer")
	if l.Begin && slices.Contains(l.DisabledSession, "authorization_code") && l.LoginAction == "upstream" {
		p.fail(v, "disable_session has authorization_code: a login would end in the next one; expected login_action to be response or redirect")
	}
	if l.Idling > 0 && l.Idling < 10 {
		p.fail(v, "session_idling_timeout is %d: expected 0 or at least 10 seconds", l.Idling)
	}
	if l.Rolling > 0 && l.Rolling < 10 || l.Absolute > 0 && l.Absolute < 10 {
		p.fail(v, "session_rolling_timeout and session_absolute_timeout: expected 0 or at least 10 seconds")
	}
	if l.Absolute == 0 {
		p.note(endlessSession, where.of("session_absolute_timeout"), "is 0: a session that is used never ends")
	}
	return l.Login
}

// loginHarmless are fields whose absence changes nothing for bearer tokens.
var loginHarmless = set("display_errors", "preserve_query_args", "search_user_info")

// clientFields are those that are also for asking the issuer about callers' credentials.
var clientFields = set("client_id", "client_secret", "client_auth", "token_endpoint_auth_method", "client_alg", "scopes", "token_endpoint",
	"userinfo_endpoint", "domains")

func (l *loginReader) secretsOf(p *parser, where places) {
	for _, s := range l.sessionSecrets {
		if len(s) < 32 {
			p.note(shortSession, where.of("session_secret"), "has fewer than 32 bytes: whoever guesses it logs in as anybody")
		}
		l.SessionSecrets = append(l.SessionSecrets, redact.New(s))
	}
	if len(l.SessionSecrets) > 8 {
		p.fail(where.plugin, "session_secret has %d values: expected at most 8", len(l.SessionSecrets))
	}
	for _, s := range l.secrets {
		l.ClientSecrets = append(l.ClientSecrets, redact.New(s))
	}
}

// clientOf checks the client and how it says who it is.
func (l *loginReader) clientOf(p *parser, v at, inquiry *Inquiry) {
	if !l.Begin && (inquiry == nil || len(l.ClientIDs) == 0 || !inquiry.needsSecret) {
		return
	}
	if len(l.ClientIDs) == 0 {
		p.fail(v, "has no client_id: auth_methods has authorization_code")
	}
	l.ClientAuth = l.tokenAuth
	if len(l.clientAuth) > 0 && l.ClientAuth == "" {
		l.ClientAuth = l.clientAuth[0]
	}
	if l.revocationAuth != "" && l.revocationAuth != l.ClientAuth {
		p.fail(v, "revocation_endpoint_auth_method is not token_endpoint_auth_method: expected the same")
	}
	l.ClientAlg = jose.RS256
	if len(l.clientAlg) > 0 {
		l.ClientAlg = jose.ParseAlg(l.clientAlg[0])
	}
	switch l.ClientAuth {
	case "none", "private_key_jwt":
		return
	}
	if p.failedAt(v.path + ".config.client_secret") {
		return
	}
	if len(l.ClientSecrets) == 0 {
		p.fail(v, `has no client_secret: expected one, or client_auth "none" for a public client`)
	} else if len(l.ClientSecrets) != len(l.ClientIDs) && len(l.ClientIDs) > 0 {
		p.fail(v, "client_id has %d values and client_secret %d: expected as many", len(l.ClientIDs), len(l.ClientSecrets))
	}
}

// cookiesOf checks the cookies against the rules of browsers.
func (l *loginReader) cookiesOf(p *parser, v at) {
	if l.SessionCookie.Name == l.FlowCookie.Name {
		p.fail(v, "session_cookie_name and authorization_cookie_name are both %q: expected two names", l.SessionCookie.Name)
	}
	for i, c := range []*CookieSettings{&l.SessionCookie, &l.FlowCookie} {
		what := []string{"session", "authorization"}[i]
		if c.SameSite == "None" && c.Secure != nil && !*c.Secure {
			p.fail(v, "%s_cookie_same_site is None and %s_cookie_secure false: browsers refuse such cookies", what, what)
		}
		if strings.HasPrefix(c.Name, "__Host-") || strings.HasPrefix(c.Name, "__Secure-") {
			p.fail(v, "%s_cookie_name is %q: expected a name without prefix, which is added where the attributes permit", what, c.Name)
		}
	}
	if l.FlowCookie.SameSite == "Strict" {
		p.fail(v, "authorization_cookie_same_site is Strict: the cookie would not come back from the identity provider")
	}
}

// oneOrMore reads a list of strings, or one string for a list of one: Kong's own
// API takes both.
func (p *parser) oneOrMore(dst *[]string, checks ...check) reader {
	return func(v at) {
		if v.node.Kind == scalarKind {
			var s string
			before := p.errors
			p.text(&s, checks...)(v)
			if p.errors == before {
				*dst = []string{s}
			}
			return
		}
		p.texts(dst, checks...)(v)
	}
}

// secrets is oneOrMore for what must not be shown.
func (p *parser) secrets(dst *[]string, checks ...check) reader {
	return func(v at) {
		var list []string
		one := func(v at) {
			var s string
			before := p.errors
			p.secret(&s, checks...)(v)
			if p.errors == before {
				list = append(list, s)
			}
		}
		if v.node.Kind == scalarKind {
			one(v)
		} else {
			list = []string{}
			p.list(one)(v)
		}
		*dst = list
	}
}

// clientAuth is a check.
func clientAuth(s string) string {
	switch s {
	case "client_secret_jwt", "tls_client_auth", "self_signed_tls_client_auth":
		return "is " + s + ", which is not supported: expected client_secret_basic, client_secret_post, private_key_jwt or none"
	}
	return oneOf("client_secret_basic", "client_secret_post", "private_key_jwt", "none")(s)
}

// loginToken is a check.
func loginToken(s string) string {
	if s == "introspection" {
		return "is introspection, which is not supported: expected id_token, access_token, refresh_token or tokens"
	}
	return oneOf("id_token", "access_token", "refresh_token", "tokens")(s)
}

// scopeName is a check (RFC 6749 §3.3).
func scopeName(s string) string {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			return "is no scope: expected printable ASCII without quotes and backslashes"
		}
	}
	return notEmpty(s)
}

// queryArg is a check: the parameters that make a login secure are ours.
func queryArg(s string) string {
	switch s {
	case "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge",
		"code_challenge_method", "request", "request_uri", "max_age":
		return "is " + s + ", which the login sets itself"
	}
	return notEmpty(s)
}

// pathSuffix is a check.
func pathSuffix(s string) string {
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, "?#%\\ ") || len(s) < 2 {
		return "is no end of a path: expected something like /logout"
	}
	return printable(s)
}

// cookieName is a check (RFC 6265 §4.1.1).
func cookieName(s string) string {
	if !isToken(s) || len(s) > 64 {
		return "is no name of a cookie"
	}
	return ""
}

// cookiePath and cookieDomain are checks.
func cookiePath(s string) string {
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, ";, \"\\") {
		return "is no path of a cookie"
	}
	return printable(s)
}

func cookieDomain(s string) string {
	if hostName(strings.TrimPrefix(s, ".")) != "" {
		return "is no domain"
	}
	return ""
}

// Origin returns scheme and host of a URL that has been checked.
func Origin(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
