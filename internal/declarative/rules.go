package declarative

// Rule names a kind of finding. The names stay: people grep for them.
type Rule string

// The rules. docs/lint.md has a row for each.
const (
	// Why a file is refused.

	Unreadable   Rule = "unreadable" // there is no such file, or nobody may read it
	notYAML      Rule = "not-yaml"
	unknownField Rule = "unknown-field"
	unsupported  Rule = "unsupported" // Kong knows it
	invalid      Rule = "invalid"
	EnvoyLimit   Rule = "envoy-limit" // only Envoy cannot do it

	// What lets in the wrong ones, or lets out what is secret.

	cookieCrossSite   Rule = "cookie-cross-site"
	cookieNotHTTPOnly Rule = "cookie-not-http-only"
	cookieNotSecure   Rule = "cookie-not-secure"
	endlessSession    Rule = "endless-session"
	expiredTokens     Rule = "expired-tokens"
	issuerPlainHTTP   Rule = "issuer-plain-http"
	loginTokensQuery  Rule = "login-tokens-in-query"
	refreshTokenShown Rule = "refresh-token-shown"
	shortSession      Rule = "short-session-secret"
	sslVerifyOff      Rule = "ssl-verify-off"
	tlsVerifyOff      Rule = "tls-verify-off"
	trustEmail        Rule = "trust-email"
	trustsEverybody   Rule = "trusts-everybody"
	verifySignature   Rule = "verify-signature-off"

	// What would not work for people.

	cookieNotSent   Rule = "cookie-not-sent"
	redirectURILost Rule = "redirect-uri-lost"
	sharedCookie    Rule = "shared-cookie"

	// What is worth knowing.

	defaultMethods Rule = "default-auth-methods"
	disabled       Rule = "disabled"
	leftOut        Rule = "left-out"
	noEffect       Rule = "no-effect"
)

// rules says of each rule how much it matters, and what to do; "" where the text
// of a finding says it.
var rules = map[Rule]struct {
	severity Severity
	fix      string
}{
	Unreadable:   {Error, ""},
	notYAML:      {Error, ""},
	unknownField: {Error, ""},
	unsupported:  {Error, ""},
	invalid:      {Error, ""},
	EnvoyLimit:   {Error, ""},

	cookieCrossSite:   {Warning, "leave it out, or set it to Lax or Strict"},
	cookieNotHTTPOnly: {Warning, "leave it out, or set it to true"},
	cookieNotSecure:   {Warning, "leave it out, or set it to true"},
	endlessSession:    {Warning, "set it to the seconds after which people have to log in again, such as 86400"},
	expiredTokens:     {Warning, "put exp into claims_to_verify"},
	issuerPlainHTTP:   {Warning, "use the issuer's https address"},
	loginTokensQuery:  {Warning, "set it to fragment, or login_tokens to []"},
	refreshTokenShown: {Warning, "take it out of login_tokens"},
	shortSession:      {Warning, "use at least 32 random bytes, or leave session_secret out to have it generated"},
	sslVerifyOff:      {Warning, "set it to true, and have the system trust the provider's authority"},
	tlsVerifyOff:      {Warning, "set it to true, and name the upstream's authority in ca_certificates"},
	trustEmail:        {Warning, "set it to false, and have the issuer say email_verified"},
	trustsEverybody:   {Warning, "name the proxies in front, such as 10.0.0.0/8"},
	verifySignature:   {Warning, "set it to true"},

	cookieNotSent:   {Warning, "widen the cookie's path or domain, or leave it out"},
	redirectURILost: {Warning, "use an address on a route of the plugin"},
	sharedCookie:    {Warning, "use another session_cookie_name"},

	defaultMethods: {Info, "name the auth_methods that are wanted"},
	disabled:       {Info, "take it out, or set enabled to true"},
	leftOut:        {Info, "take it out, or guard the routes in another way if it is needed"},
	noEffect:       {Info, "take it out"},
}
