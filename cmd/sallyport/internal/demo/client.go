package demo

import (
	"crypto/rand"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// ordersScope is the right to read the orders.
const ordersScope = "orders:read"

// scopes are all that the provider knows.
var scopes = []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, oidc.ScopeOfflineAccess, ordersScope}

// client is somebody whom the provider knows: the gateway, a confidential web client,
// and the same for the portal and for the developers' applications.
type client struct {
	id, secret string
	issuer     string   // URL
	gateway    string   // URL
	origins    []string // the gateway's, by all its names
	back       string   // path that logins come back to
	after      string   // path that logouts come back to
	anywhere   bool     // logins come back to every path
	grants     []oidc.GrantType
}

var _ op.HasRedirectGlobs = (*client)(nil)

func newClient(issuer, gateway string) *client {
	c := &client{id: "demo", secret: rand.Text(), issuer: issuer, gateway: gateway, origins: []string{gateway}, back: "/account", after: "/", anywhere: true,
		grants: []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}}
	if u, err := url.Parse(gateway); err == nil && net.ParseIP(u.Hostname()).IsLoopback() {
		c.origins = append(c.origins, "http://"+net.JoinHostPort("localhost", u.Port()))
	}
	return c
}

// newPortal is the portal as the provider knows it.
func newPortal(issuer, portal string) *client {
	return &client{id: "portal", secret: rand.Text(), issuer: issuer, gateway: portal, origins: []string{portal}, back: "/default/auth", after: "/default",
		grants: []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}}
}

// newApplication is a developer's application as the provider knows it. Its secret can
// be pasted: it is the demo's.
func newApplication(issuer, id string) *client {
	return &client{id: id, secret: id + "-secret", issuer: issuer, grants: []oidc.GrantType{oidc.GrantTypeClientCredentials}}
}

func (c *client) GetID() string                       { return c.id }
func (c *client) RedirectURIs() []string              { return c.with(c.back) }
func (c *client) PostLogoutRedirectURIs() []string    { return c.with(c.after) }
func (c *client) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c *client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (c *client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c *client) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeJWT }
func (c *client) IDTokenLifetime() time.Duration       { return idLifetime }
func (c *client) DevMode() bool                        { return false }
func (c *client) IsScopeAllowed(scope string) bool     { return slices.Contains(scopes, scope) }
func (c *client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (c *client) ClockSkew() time.Duration             { return 0 }
func (c *client) LoginURL(id string) string            { return c.issuer + "/login?id=" + url.QueryEscape(id) }
func (c *client) GrantTypes() []oidc.GrantType         { return c.grants }
func (c *client) PostLogoutRedirectURIGlobs() []string { return nil }

// RedirectURIGlobs lets every path of the gateway be returned to: without a
// redirect_uri of its own, that is the path which was asked for, and the file may
// be changed to protect any.
func (c *client) RedirectURIGlobs() []string {
	escape := strings.NewReplacer("[", `\[`, "]", `\]`)
	var globs []string
	if !c.anywhere {
		return nil
	}
	for _, uri := range c.with("/**") {
		globs = append(globs, escape.Replace(uri))
	}
	return globs
}

func (c *client) RestrictAdditionalIdTokenScopes() func([]string) []string     { return same }
func (c *client) RestrictAdditionalAccessTokenScopes() func([]string) []string { return same }

func same(scopes []string) []string { return scopes }

// with returns a path under each of the gateway's origins.
func (c *client) with(path string) []string {
	var uris []string
	for _, origin := range c.origins {
		uris = append(uris, origin+path)
	}
	return uris
}
