package login

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/revoke"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/seal"
)

// Instance is an openid-connect plugin with sessions, as far as they are concerned.
type Instance struct {
	ID     string // of the plugin instance, as filters name it
	Public string // as paths for identity providers name it; it outlives changes of the configuration
	Trust  string // id of the issuer's trust record
	Config *declarative.OIDCConfig
	Ring   *seal.Ring
	// Hosts are those of the routes, by the name that proxies report; a route
	// without any takes every host.
	Hosts map[string][]string
	// Longest is how long a session of any instance with the same issuer lasts, in
	// seconds, 0 for no bound: a logout token ends them all.
	Longest int64
	// TrustedIPs are the proxies whose forwarded headers are believed (D16).
	TrustedIPs []netip.Prefix
	// Tokens says which tokens become headers.
	IDTokenHeader, UserInfo bool
}

// Login returns the plugin's settings of logins and sessions.
func (in *Instance) Login() *declarative.Login { return in.Config.Login }

// realm is what a session is bound to beside its purpose (D8).
func (in *Instance) realm(cookie string) []string { return in.Config.Realms(cookie) }

// admits reports whether a session may have begun as it did: one of a bearer token
// opens only what takes that token, too. The token of a login is bound by its nonce to
// our client; a bearer token may be anybody's.
func (in *Instance) admits(rec *record) bool {
	if rec.Source != sourceBearer {
		return true
	}
	tok, code := jose.Parse(rec.Access)
	if code != reason.Unspecified || !in.Login().BearerSession {
		return false
	}
	c := claims.Read(tok.Claims.Root())
	return c.Purpose(in.Config.AcceptIDTokens) == reason.Unspecified &&
		(len(in.Config.Algorithms) == 0 || slices.Contains(in.Config.Algorithms, tok.Alg))
}

// client returns the id of the i-th client, the first for one that is gone.
func (in *Instance) client(i int) string { return endpoint.ClientOf(&in.Login().Client, i, nil).ID }

// rules are what tokens of the issuer are judged by.
func (in *Instance) rules() endpoint.Rules {
	return endpoint.Rules{Config: in.Config, Client: &in.Login().Client}
}

// Service does what browsers ask for. It is safe for concurrent use.
type Service struct {
	revoked *revoke.List
	keys    *endpoint.ClientKeys
	logger  *slog.Logger
	now     func() time.Time
	ended   func(keys []string) // tells the filters which sessions have ended
	live    *live
	fault   func(point string) // for tests: what is at the point of being done
}

// New returns a service. ended is called with keys of sessions that have ended.
func New(revoked *revoke.List, keys *endpoint.ClientKeys, logger *slog.Logger, now func() time.Time, ended func(keys []string)) *Service {
	return &Service{revoked: revoked, keys: keys, logger: logger, now: now, ended: ended,
		live: newLive(maxLiveBytes), fault: func(string) {}}
}

// Fault makes f be called at named points, for tests that end the process there:
// refresh-before-send, refresh-after-send.
func (s *Service) Fault(f func(point string)) { s.fault = f }
