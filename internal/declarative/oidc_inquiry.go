package declarative

import (
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// Client is what we are to an identity provider, and how it is asked.
type Client struct {
	ClientIDs     []string
	ClientSecrets []redact.Secret // paired by index
	ClientAuth    string          // at the token endpoint; "" for what discovery offers
	ClientAlg     jose.Alg        // of private_key_jwt
	Scopes        []string
	Endpoints     Endpoints // instead of discovery's
	Domains       []string  // accepted hd
	SkipSignature bool      // of tokens that the sidecar fetches (verify_signature: false)
	Token         Extra     // for the token endpoint
}

// Extra is what is added to a request to an endpoint of the issuer's.
type Extra struct {
	Headers, Args []Pair // as configured
	// FromClient are names of headers and parameters that a caller may add, where it
	// sends them: the first ones from its headers.
	ClientHeaders, ClientArgs []string
}

// Inquiry configures the methods of openid-connect that ask the issuer about the
// credential of a caller: introspection, userinfo, refresh_token, password,
// client_credentials, and an ID token that comes beside another credential.
type Inquiry struct {
	Client
	IntrospectJWT     bool
	IntrospectionAuth string // how we authenticate there; "" as at the token endpoint
	IntrospectionHint string // token_type_hint (RFC 7662 §2.1); "" for none
	IntrospectionName string // of the parameter with the token
	Introspection     Extra
	UserInfo          Extra
	RefreshHeader     string // lower case
	IDTokenHeader     string // lower case; "" for none
	Keep              bool   // hide_credentials: false

	CacheTokens, CacheIntrospection, CacheUserInfo bool
	// CacheTTL is how long, in seconds, an answer is remembered that does not say how long it
	// holds; CacheMax and CacheMin bound every one, 0 for no bound, and never beyond what
	// the answer says; CacheNegative is for refusals.
	CacheTTL, CacheMax, CacheMin, CacheNegative int64
}
