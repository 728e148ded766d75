// Package bundle is what the sidecar compiles from the declarative file and the
// filter enforces: the routes by the name the proxy reports, their chains of
// plugins, and the trust records with public keys.
//
// It holds no secret: HMAC and client secrets stay in the sidecar. Consumers
// and credentials are not in it either, they are asked for one by one, so that
// it does not grow with them; only anonymous consumers are, by value.
//
// The encoding is JSON read by internal/jsonx. A reader steps over members that
// it does not know, and refuses a Version that it does not know.
package bundle

import (
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/match"
)

// Version is the version of the encoding. It changes when an older filter
// would enforce a newer bundle wrongly.
const Version = 2

// MaxBytes bounds an encoded bundle.
const MaxBytes = 4 << 20

// Bundle is one generation of the configuration. It is immutable once decoded,
// but for the trust records, which a filter replaces one by one.
type Bundle struct {
	Epoch      string // the installation; generations compare only within one
	Generation uint64
	Source     string // hash of the declarative file it was compiled from
	Routes     map[string]*Route
	Plugins    []*Plugin
	Trust      []*Trust
}

// Route is one route of the declarative file.
type Route struct {
	Name  string // as the proxy reports it in xds.route_name
	Chain []*Plugin
	// Broken says why the chain could not be compiled; such a route denies.
	Broken string
	// RequireHTTPS is not 0 for the twin of a route that takes only HTTPS, which
	// the proxy chooses for plain HTTP: the status of the answer, 426 or a redirect.
	RequireHTTPS int
	// GRPC marks a route that takes only gRPC.
	GRPC bool
}

// Plugin is one plugin instance. Exactly one of the pointers is set.
type Plugin struct {
	ID           string // stable name plus a hash of the configuration
	JWT          *JWT
	OIDC         *OIDC
	ACL          *ACL
	KeyAuth      *KeyAuth
	BasicAuth    *BasicAuth
	Registration *Registration
}

// Registration is an instance of the application-registration plugin: who calls has to
// be an application with a contract.
type Registration struct {
	Service   string // as contracts name it
	Consumers bool   // who is no application passes too
}

// KeyAuth is an instance of the key-auth plugin. Keys are looked for under the names
// of Common, without a scheme.
type KeyAuth struct {
	Common
	Hide bool // the upstream gets no header that may hold a key
}

// BasicAuth is an instance of the basic-auth plugin.
type BasicAuth struct {
	Common
	Hide bool // the upstream gets no user name and password
}

// ACL is an instance of the acl plugin: who may pass by groups.
type ACL struct {
	Groups        []string
	Deny          bool // the groups may not pass, all others may
	HideHeader    bool // the upstream is not told the groups
	Authenticated bool // the authentication's groups come before the consumer's
}

// Common is what the authentication plugins share.
type Common struct {
	// Anonymous is who passes when no credential is accepted; nil: nobody does.
	Anonymous      *Consumer
	SkipPreflight  bool // run_on_preflight: false
	Realm          string
	AcceptIDTokens bool
	HeaderNames    []string // lower case
	QueryNames     []string
	CookieNames    []string
	Leeway         int64 // seconds
	Audiences      []string
	Issuers        []string
	Algorithms     []jose.Alg // empty: whatever the key allows
}

// JWT is an instance of the jwt plugin.
type JWT struct {
	Common
	KeyClaim          string
	VerifyExp         bool
	VerifyNbf         bool
	MaximumExpiration int64 // seconds, 0 for no bound
	// Base64 marks instances that read secrets as base64: one credential is two
	// different keys to instances with and without.
	Base64 bool
}

// OIDC is an instance of the openid-connect plugin.
type OIDC struct {
	Common
	TrustID  string
	Trust    *Trust // resolved from TrustID by Decode
	Required []Requirement
	// Methods are how a caller may be known, in the order in which they are looked for.
	Methods   []Method
	Forbidden []string // claims that must not be there
	Hide      []string // headers with credentials that stay here; lower case
	Inquiry   *Inquiry // nil where no method asks the issuer about the caller's credential
	Login     *Login   // nil where there are neither sessions nor logins
	Identity  Identity
}

// Takes reports whether callers may be known by m.
func (o *OIDC) Takes(m Method) bool {
	for _, have := range o.Methods {
		if have == m {
			return true
		}
	}
	return false
}

// Method is how a caller of an openid-connect instance may be known. The zero Method
// is none. The authorization code flow, for who is not known, is Login.Begin.
type Method uint8

// The methods, in Kong's order.
const (
	NoMethod          Method = iota
	Session                  // the cookies of a session
	Bearer                   // an access token that the issuer's public keys verify
	Introspection            // an access token, by RFC 7662
	UserInfo                 // an access token, by OIDC Core §5.3
	RefreshToken             // redeemed for an access token (RFC 6749 §6)
	Password                 // a user's (RFC 6749 §4.3), as HTTP Basic
	ClientCredentials        // the caller's own (RFC 6749 §4.4), as HTTP Basic
	IDToken                  // that comes beside another credential

	Methods // how many there are; keep last
)

var methodNames = [Methods]string{
	Session: "session", Bearer: "bearer", Introspection: "introspection", UserInfo: "userinfo", RefreshToken: "refresh_token",
	Password: "password", ClientCredentials: "client_credentials", IDToken: "id_token",
}

// String returns the word of auth_methods; id_token is none of them.
func (m Method) String() string {
	if m < Methods {
		return methodNames[m]
	}
	return ""
}

// ParseMethod returns the method with a word, NoMethod for none.
func ParseMethod(word string) Method {
	for m, name := range methodNames {
		if name == word {
			return Method(m)
		}
	}
	return NoMethod
}

// Inquiry is what the filter has to know of an instance that asks its issuer about
// callers' credentials.
type Inquiry struct {
	IntrospectJWT bool   // also tokens that have been verified
	RefreshHeader string // lower case; where a refresh token is looked for
	IDTokenHeader string // where an ID token is looked for, "" for nowhere
	Sent          []Sent
}

// Sent is a parameter, a header or one of the query, that the caller may add to what
// the issuer is asked by a method.
type Sent struct {
	Method Method
	Header bool
	Name   string // a header's in lower case
}

// Login is what the filter has to know of an instance with sessions. Everything
// secret about it stays in the sidecar.
type Login struct {
	Session       bool // session cookies are accepted
	Begin         bool // a browser without one is sent to the identity provider
	BearerSession bool // a bearer token of the Authorization header starts one
	SessionCookie Cookie
	FlowCookie    Cookie // the prefix of the names; a flow's id follows
	// CookieAttributes are path and domain of the session's cookies, as they stand in
	// Set-Cookie.
	CookieAttributes string

	LogoutMethods []string
	LogoutQuery   string // name of a query parameter
	LogoutSuffix  string // end of the path

	UnauthorizedRedirect string // instead of 401, where no login is begun
	ForbiddenRedirect    string // instead of 403
	UnexpectedRedirect   string // instead of 503
	UnauthorizedText     string
	ForbiddenText        string
	DisplayErrors        bool // the reason is in JSON answers too
	// KeepForbidden and DropForbidden say what becomes of the session of a request
	// that is answered 403: kept, or ended; neither: ended for navigations only.
	KeepForbidden, DropForbidden bool
}

// Cookie is how a cookie is named. Over https its name begins with __Host- where
// its attributes permit (RFC 6265bis §4.1.3.2).
type Cookie struct {
	Name string
	Host bool
}

// HostPrefix makes browsers refuse a cookie that any other host has set.
const HostPrefix = "__Host-"

// On returns the name for a scheme.
func (c Cookie) On(scheme string) string {
	if c.Host && scheme == "https" {
		return HostPrefix + c.Name
	}
	return c.Name
}

// UsernameAnyCase is a way to find a consumer: by its user name, whether its letters of
// ASCII are small or capital.
const UsernameAnyCase = "username_any_case"

// Identity is what becomes of claims: headers and a consumer.
type Identity struct {
	Upstream   []ClaimHeader
	Downstream []ClaimHeader
	Tokens     []TokenHeader
	Matches    []ClaimMatch

	CredentialClaim []string // path; empty: sub

	GroupsClaim []string // path of the groups that acl looks at; empty: none

	ConsumerClaims   [][]string // paths; the first that is there counts
	ConsumerBy       []string   // id, username, custom_id, UsernameAnyCase
	ConsumerOptional bool
	TrustEmail       bool // an e-mail address counts even without email_verified
}

// ClaimHeader is a claim that becomes a header.
type ClaimHeader struct {
	Header string // lower case
	Claim  []string
}

// TokenHeader is a token that becomes a header.
type TokenHeader struct {
	Header   string // lower case
	Token    string // access_token, id_token, user_info, session_id
	Bearer   bool   // after the word Bearer
	Response bool   // to the client instead of the upstream
}

// ClaimMatch hands on those values of a claim that match an expression.
type ClaimMatch struct {
	Header string // lower case
	Claim  []string
	Match  *match.Program // the whole value
	Token  string         // access_token, id_token, user_info
}

// Requirement is a claim and what it has to list.
type Requirement struct {
	Claim []string // path of member names
	Any   claims.Requirement
	Scope bool // a scope: RFC 6750 names it in the answer
}

// Consumer is who a credential belongs to.
type Consumer struct {
	ID       string
	Username string
	CustomID string
	Groups   []string // of the acl plugin
	// Application marks the consumer of an application. Contracts are the services that
	// it may call, at most MaxContracts; nobody else has any.
	Application bool
	Contracts   []string
}

// MaxContracts bounds the contracts of a consumer.
const MaxContracts = 1000

// Size is roughly what a consumer takes in memory, in bytes; 0 for nil.
func (c *Consumer) Size() int {
	if c == nil {
		return 0
	}
	const text = 16 // beside its bytes
	n := 128 + len(c.ID) + len(c.Username) + len(c.CustomID)
	for _, list := range [...][]string{c.Groups, c.Contracts} {
		for _, s := range list {
			n += text + len(s)
		}
	}
	return n
}

// Trust is an issuer and its public keys.
type Trust struct {
	ID      string
	Hash    string   // of the content, so that a verdict can name what it rests on
	Issuers []string // accepted values of iss
	Keys    []Key
	// Unavailable says why there are no keys: discovery failed, or they are too old.
	Unavailable string
}

// Key is a public key. DER is empty when the proxy cannot verify with it.
type Key struct {
	ID  string     // kid, "" when it has none
	Alg []jose.Alg // what it may be used for
	DER string     // SubjectPublicKeyInfo
	// Unusable says why the key may not be used: too short, too long.
	Unusable string
}

// Allows reports whether the key may be used for alg.
func (k *Key) Allows(alg jose.Alg) bool {
	for _, a := range k.Alg {
		if a == alg {
			return true
		}
	}
	return false
}

// Credential is a credential without its secret. Those of key-auth and basic-auth have
// ID, Version and Consumer, and may have Expires; the rest is the jwt plugin's.
type Credential struct {
	ID       string
	Key      string
	Version  string // hash of everything that matters, secret included
	Alg      []jose.Alg
	Keys     []Key // empty for HMAC
	Remote   bool  // keys come from jwks_uri: an unknown kid is worth a question
	Consumer *Consumer
	Expires  int64 // Unix seconds; from then on it is no good. 0: never

	Issuers   []string
	Audiences []string
	Leeway    int64
}

// What the names of credentials begin with in the sidecar's changes, where a key alone
// would tell a secret: their ids follow.
const (
	KeyPrefix   = "key-auth:"
	BasicPrefix = "basic-auth:"
)

// Common returns what the plugin shares with the others; nil for acl and
// application-registration, which authenticate nobody.
func (p *Plugin) Common() *Common {
	switch {
	case p.JWT != nil:
		return &p.JWT.Common
	case p.KeyAuth != nil:
		return &p.KeyAuth.Common
	case p.BasicAuth != nil:
		return &p.BasicAuth.Common
	case p.OIDC != nil:
		return &p.OIDC.Common
	}
	return nil
}
