package declarative

// Rule names a kind of finding. The names stay: people grep for them.
type Rule string

// The rules. docs/lint.md has a row for each.
const (
	// Why a file is refused.

	Unreadable   Rule = "unreadable" // there is no such file, or nobody may read it
	NotYAML      Rule = "not-yaml"
	unknownField Rule = "unknown-field"
	unsupported  Rule = "unsupported" // Kong knows it
	invalid      Rule = "invalid"
	EnvoyLimit   Rule = "envoy-limit" // only Envoy cannot do it
	TooLarge     Rule = "too-large"   // for the filters

	// What lets in the wrong ones, or lets out what is secret.

	cookieCrossSite   Rule = "cookie-cross-site"
	cookieNotHTTPOnly Rule = "cookie-not-http-only"
	cookieNotSecure   Rule = "cookie-not-secure"
	endlessSession    Rule = "endless-session"
	endpointPlainHTTP Rule = "endpoint-plain-http"
	FailsOpen         Rule = "fails-open"
	PathsAsSent       Rule = "paths-as-sent"
	SharedVM          Rule = "shared-vm-id"
	expiredTokens     Rule = "expired-tokens"
	idTokensAccepted  Rule = "id-tokens-accepted"
	issuerPlainHTTP   Rule = "issuer-plain-http"
	jwksURIPlainHTTP  Rule = "jwks-uri-plain-http"
	keyInQuery        Rule = "key-in-query"
	largeLeeway       Rule = "large-leeway"
	loginTokensQuery  Rule = "login-tokens-in-query"
	plainPassword     Rule = "plain-password"
	redirectPlainHTTP Rule = "redirect-uri-plain-http"
	refreshTokenShown Rule = "refresh-token-shown"
	passwordGrant     Rule = "password-grant"
	shortAPIKey       Rule = "short-api-key"
	shortSecret       Rule = "short-secret"
	shortSession      Rule = "short-session-secret"
	sslVerifyOff      Rule = "ssl-verify-off"
	tlsVerifyOff      Rule = "tls-verify-off"
	tokenInQuery      Rule = "token-in-query"
	trustEmail        Rule = "trust-email"
	trustsEverybody   Rule = "trusts-everybody"
	verifySignature   Rule = "verify-signature-off"
	weakPasswordHash  Rule = "weak-password-hash"

	// What would not work for people.

	aclAlone             Rule = "acl-alone"
	applicationsNotFound Rule = "applications-not-found"
	cookieNotSent        Rule = "cookie-not-sent"
	redirectURILost      Rule = "redirect-uri-lost"
	sharedCookie         Rule = "shared-cookie"

	// What is worth knowing.

	anonymousAccess  Rule = "anonymous-access"
	defaultMethods   Rule = "default-auth-methods"
	disabled         Rule = "disabled"
	issuersShareKeys Rule = "issuers-share-keys"
	leftOut          Rule = "left-out"
	anyClientsToken  Rule = "any-clients-token"
	noAudience       Rule = "no-audience"
	noEffect         Rule = "no-effect"
)

// rules says of each rule how much it matters, and what to do; "" where the text
// of a finding says it.
var rules = map[Rule]struct {
	severity Severity
	fix      string
}{
	Unreadable:   {Error, ""},
	NotYAML:      {Error, ""},
	unknownField: {Error, ""},
	unsupported:  {Error, ""},
	invalid:      {Error, ""},
	EnvoyLimit:   {Error, ""},
	TooLarge:     {Error, ""},

	cookieCrossSite:   {Warning, "leave it out, or set it to Lax or Strict"},
	cookieNotHTTPOnly: {Warning, "leave it out, or set it to true"},
	cookieNotSecure:   {Warning, "leave it out, or set it to true"},
	endlessSession:    {Warning, "set it to the seconds after which people have to log in again, such as 86400"},
	FailsOpen:         {Warning, "set failure_policy to FAIL_RELOAD, as sallyport envoy does"},
	PathsAsSent:       {Warning, "set normalize_path and merge_slashes to true, and path_with_escaped_slashes_action to REJECT_REQUEST"},
	SharedVM:          {Warning, "give each module a vm_id of its own"},
	expiredTokens:     {Warning, "put exp into claims_to_verify"},
	endpointPlainHTTP: {Warning, "use the endpoint's https address"},
	idTokensAccepted:  {Warning, "set it to false, and have clients send access tokens"},
	issuerPlainHTTP:   {Warning, "use the issuer's https address"},
	jwksURIPlainHTTP:  {Warning, "use the key set's https address"},
	keyInQuery:        {Warning, "have clients send keys in a header, and set key_in_query to false"},
	largeLeeway:       {Warning, "use at most 300, and keep the clocks in step"},
	loginTokensQuery:  {Warning, "set it to fragment, or login_tokens to []"},
	plainPassword:     {Warning, "write its hash ($argon2id$… or $2b$…), or refer to it by {vault://…}"},
	redirectPlainHTTP: {Warning, "use an https address"},
	refreshTokenShown: {Warning, "take it out of login_tokens"},
	passwordGrant:     {Warning, "use authorization_code for people, client_credentials for programs (RFC 9700 §2.4)"},
	shortAPIKey:       {Warning, "use a random key of at least 16 bytes"},
	shortSecret:       {Warning, "use a random secret, of at least 32 bytes for HS256, 48 for HS384 and 64 for HS512"},
	shortSession:      {Warning, "use at least 32 random bytes, or leave session_secret out to have it generated"},
	sslVerifyOff:      {Warning, "set it to true, and have the system trust the provider's authority"},
	tlsVerifyOff:      {Warning, "set it to true, and name the upstream's authority in ca_certificates"},
	tokenInQuery:      {Warning, "have clients send tokens in the Authorization header"},
	trustEmail:        {Warning, "set it to false, and have the issuer say email_verified"},
	trustsEverybody:   {Warning, "name the proxies in front, such as 10.0.0.0/8"},
	verifySignature:   {Warning, "set it to true"},
	weakPasswordHash:  {Warning, "hash the password anew: argon2id with 19 MiB and two passes, or bcrypt with a cost of 10"},

	aclAlone:             {Warning, "put an authentication plugin on the route, or take acl off it"},
	applicationsNotFound: {Warning, "set consumer_claim to the claim that has the client id, and leave custom_id in consumer_by"},
	cookieNotSent:        {Warning, "widen the cookie's path or domain, or leave it out"},
	redirectURILost:      {Warning, "use an address on a route of the plugin"},
	sharedCookie:         {Warning, "use another session_cookie_name"},

	anonymousAccess:  {Info, "take it out, unless the upstream heeds X-Anonymous-Consumer"},
	defaultMethods:   {Info, "name the auth_methods that are wanted"},
	disabled:         {Info, "take it out, or set enabled to true"},
	issuersShareKeys: {Info, "give each issuer a plugin or a credential of its own, unless one provider is behind all of them"},
	leftOut:          {Info, "take it out, or put what it did in front of the gateway"},
	anyClientsToken:  {Info, "use introspection with an audience"},
	noAudience:       {Info, "set audience to what the issuer writes into aud for this API"},
	noEffect:         {Info, "take it out"},
}
