package idp

import (
	"net/http"
	"strconv"
	"time"
)

// RefreshPolicy says when a refresh token is issued.
type RefreshPolicy string

// The policies. None gives a refresh token to client_credentials.
const (
	RefreshAlways  RefreshPolicy = "always"
	RefreshOffline RefreshPolicy = "offline_access" // only when that scope was asked for
	RefreshNever   RefreshPolicy = "never"
)

// Options are how the provider behaves well. Set changes them while it runs;
// they apply to what is issued from then on.
type Options struct {
	// Lifetimes. A negative one issues what has expired. By default five minutes,
	// five minutes, an hour and one minute.
	AccessLifetime, IDLifetime, RefreshLifetime, CodeLifetime time.Duration

	// OpaqueAccess issues access tokens that are no JWTs.
	OpaqueAccess bool
	// Implicit also answers response_type token, with an access token in the fragment.
	Implicit bool
	// AccessAudience is the aud of access tokens; without it they have none, or
	// that of the shape.
	AccessAudience []string
	// AccessV1 makes AzureV2 issue access tokens of version 1, as Entra does for a
	// resource whose accessTokenAcceptedVersion is null: iss is not the issuer.
	AccessV1 bool
	// ClientClaim is a further claim of access tokens with the client's id.
	ClientClaim string
	// IDTokenAzp puts azp into ID tokens.
	IDTokenAzp bool
	// SigningKID is the kid of the key that signs; by default the newest of those
	// that are published.
	SigningKID string

	// Refresh is RefreshAlways by default.
	Refresh RefreshPolicy
	// Rotate makes refresh tokens good for one use. Using one again ends all that
	// came of the sign-in (RFC 9700 §4.14.2). On by default. When it is off, a
	// refresh answers without a refresh token and the old one stays good.
	Rotate bool
	// RefreshWithoutIDToken leaves the ID token out of refreshes (OIDC Core §12.2).
	RefreshWithoutIDToken bool
	// RefreshNonce repeats the nonce in refreshed ID tokens, which OIDC Core §12.2
	// advises against and many providers do.
	RefreshNonce bool

	// OmitScope and OmitExpiresIn leave members out of the token response.
	OmitScope, OmitExpiresIn bool
	// IssParameter answers authorization requests with iss and advertises that
	// (RFC 9207). On by default; Shape turns it off for vendors.
	IssParameter bool
	// AutoLogin is a user who is signed in without the form. Who is not registered
	// comes into being, with the name as subject.
	AutoLogin string
	// TokenDelay is how long the token endpoint takes. Hold is for order.
	TokenDelay time.Duration
	// Now is the clock of all that is issued and checked.
	Now func() time.Time
}

func defaults() Options {
	return Options{
		AccessLifetime: 5 * time.Minute, IDLifetime: 5 * time.Minute, RefreshLifetime: time.Hour, CodeLifetime: time.Minute,
		Refresh: RefreshAlways, Rotate: true, IssParameter: true, Now: time.Now,
	}
}

// Set changes options. It must not call the server.
func (s *Server) Set(change func(*Options)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.options)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

// pause waits, unless the client goes or the server closes.
func (s *Server) pause(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-r.Context().Done():
	case <-s.done:
	case <-time.After(d):
	}
}
