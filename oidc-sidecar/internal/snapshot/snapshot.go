package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/inquiry"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/login"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// Snapshot is a compiled file.
type Snapshot struct {
	File        *declarative.File
	Providers   map[string]provider.Config // by trust id
	routes      map[string]*bundle.Route
	plugins     []*bundle.Plugin
	instances   map[string]*bundle.Plugin
	credentials map[string]*Credential
	secrets     secrets
	// Logins are the instances with sessions, by plugin id.
	Logins map[string]*login.Instance
	// Inquiries are the instances that ask their issuer about callers, by plugin id.
	Inquiries map[string]*inquiry.Instance
	secret    Secrets
}

// Secrets are what the installation knows beside the file.
type Secrets struct {
	// MAC is a keyed hash: versions of credentials travel to the filters and must not
	// tell anything about a secret.
	MAC func(parts ...string) string
	// Session is what cookies are sealed with where the file has no session_secret.
	Session redact.Secret
}

// Compile compiles a file.
func Compile(f *declarative.File, secret Secrets) *Snapshot {
	s := &Snapshot{
		File:        f,
		Providers:   map[string]provider.Config{},
		routes:      map[string]*bundle.Route{},
		instances:   map[string]*bundle.Plugin{},
		credentials: map[string]*Credential{},
		Logins:      map[string]*login.Instance{},
		Inquiries:   map[string]*inquiry.Instance{},
		secret:      secret,
	}
	compiled := map[*declarative.Plugin]*bundle.Plugin{}
	for _, r := range f.Routes {
		route := &bundle.Route{Name: r.BundleName(), GRPC: r.GRPC()}
		for _, p := range f.Chain(r) {
			if compiled[p] == nil {
				compiled[p] = s.plugin(p)
			}
			route.Chain = append(route.Chain, compiled[p])
			if in := s.Logins[compiled[p].ID]; in != nil {
				in.Hosts[route.Name] = r.Hosts
			}
		}
		s.routes[route.Name] = route
		if !r.Takes(false) {
			name := r.HTTPSName()
			s.routes[name] = &bundle.Route{Name: name, RequireHTTPS: r.HTTPSRedirectStatus}
		}
	}
	s.longest()
	if len(s.Logins) > 0 || s.publishesKeys() {
		name := f.ReservedName()
		s.routes[name] = &bundle.Route{Name: name}
	}
	for _, c := range f.JWTSecrets {
		s.credential(c)
	}
	s.compileSecrets(f)
	return s
}

// plugin compiles one plugin instance. Instances with one configuration are one.
func (s *Snapshot) plugin(p *declarative.Plugin) *bundle.Plugin {
	out := &bundle.Plugin{}
	switch {
	case p.JWT != nil:
		out.JWT = compileJWT(p.JWT)
	case p.OIDC != nil:
		out.OIDC = s.compileOIDC(p.OIDC)
	case p.ACL != nil:
		out.ACL = compileACL(p.ACL)
	case p.Registration != nil:
		out.Registration = &bundle.Registration{Service: p.Service.Key(), Consumers: p.Registration.Consumers}
	case p.KeyAuth != nil:
		out.KeyAuth = compileKeyAuth(p.KeyAuth)
	case p.BasicAuth != nil:
		out.BasicAuth = compileBasicAuth(p.BasicAuth)
	}
	content := string((&bundle.Bundle{Plugins: []*bundle.Plugin{out}}).Encode())
	if p.OIDC != nil && p.OIDC.Login != nil {
		content += s.loginDigest(p.OIDC)
	}
	if p.OIDC != nil && p.OIDC.Inquiry != nil {
		content += s.realm(p.OIDC, out.OIDC.TrustID)
	}
	sum := sha256.Sum256([]byte(content))
	out.ID = p.Name + "-" + hex.EncodeToString(sum[:8])
	if same := s.instances[out.ID]; same != nil {
		return same
	}
	s.instances[out.ID] = out
	s.plugins = append(s.plugins, out)
	if p.OIDC != nil && p.OIDC.Login != nil {
		s.login(p, out)
	}
	if p.OIDC != nil && p.OIDC.Inquiry != nil {
		s.inquiry(p, out)
	}
	return out
}

func compileACL(c *declarative.ACLConfig) *bundle.ACL {
	return &bundle.ACL{
		Groups: append(slices.Clone(c.Allow), c.Deny...), Deny: len(c.Deny) > 0,
		HideHeader: c.HideGroupsHeader, Authenticated: c.AuthenticatedGroups,
	}
}

func compileJWT(c *declarative.JWTConfig) *bundle.JWT {
	return &bundle.JWT{
		Common: bundle.Common{
			Anonymous:      anonymous(c.Anonymous),
			SkipPreflight:  !c.RunOnPreflight,
			Realm:          c.Realm,
			AcceptIDTokens: c.AcceptIDTokens,
			HeaderNames:    c.HeaderNames,
			QueryNames:     c.URIParamNames,
			CookieNames:    c.CookieNames,
			Leeway:         c.Leeway,
			Audiences:      c.Audiences,
			Issuers:        c.Issuers,
			Algorithms:     c.Algorithms,
		},
		KeyClaim:          c.KeyClaimName,
		VerifyExp:         c.VerifyExp(),
		VerifyNbf:         c.VerifyNbf(),
		MaximumExpiration: c.MaximumExpiration,
		Base64:            c.SecretIsBase64,
	}
}

func (s *Snapshot) compileOIDC(c *declarative.OIDCConfig) *bundle.OIDC {
	ask := provider.Config{
		Issuer: c.IssuerURL, JWKSURI: c.JWKSEndpoint, Allowed: c.IssuersAllowed, Verify: c.Verify,
		Timeout: time.Duration(c.Timeout) * time.Millisecond,
	}
	for _, h := range c.DiscoveryHeaders {
		ask.Headers = append(ask.Headers, provider.Header(h))
	}
	trust := s.provider(ask)
	out := &bundle.OIDC{
		Common: bundle.Common{
			Anonymous:      anonymous(c.Anonymous),
			SkipPreflight:  !c.RunOnPreflight,
			Realm:          c.Realm,
			AcceptIDTokens: c.AcceptIDTokens,
			HeaderNames:    c.HeaderNames,
			QueryNames:     c.QueryNames,
			CookieNames:    c.CookieNames,
			Leeway:         c.Leeway,
			Audiences:      c.Audience,
			Issuers:        c.IssuersAllowed,
			Algorithms:     c.Algorithms,
		},
		TrustID: trust,
		Methods: methods(c), Forbidden: c.Forbidden, Hide: hidden(c),
		Inquiry:  compileInquiry(c),
		Login:    compileLogin(c.Login),
		Identity: compileIdentity(&c.Identity),
	}
	for _, r := range c.Required {
		out.Required = append(out.Required, bundle.Requirement{
			Claim: r.Claim, Any: claims.ParseRequirement(r.Any), Scope: r.What == "scopes",
		})
	}
	return out
}

// hidden are the headers with credentials that an upstream does not get
// (hide_credentials). An access token in the Authorization header stays where the
// configuration sends one there, as it does by default.
func hidden(c *declarative.OIDCConfig) (list []string) {
	if c.Keep {
		return nil
	}
	const authorization = "authorization"
	hide := func(name string) {
		if name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	sent := slices.ContainsFunc(c.Identity.Tokens, func(t declarative.TokenHeader) bool { return !t.Response && t.Header == authorization })
	takes := func(m string) bool { return slices.Contains(c.Methods, m) }
	if takes("bearer") || takes("introspection") || takes("userinfo") {
		for _, name := range c.HeaderNames {
			if name != authorization || !sent {
				hide(name)
			}
		}
	}
	if i := c.Inquiry; i != nil {
		hide(i.IDTokenHeader)
		if takes("refresh_token") {
			hide(i.RefreshHeader)
		}
		if takes("password") || takes("client_credentials") { // where tokens are sent there, those stay
			hide(authorization)
		}
	}
	return list
}

// methods are how callers of an instance may be known.
func methods(c *declarative.OIDCConfig) (list []bundle.Method) {
	for _, m := range c.Methods {
		list = append(list, bundle.ParseMethod(m))
	}
	return list
}

// provider enters an issuer and returns the id of its trust record. Two plugins
// share a record only if they ask the same issuer in the same way.
func (s *Snapshot) provider(c provider.Config) string {
	c.ID = ""
	text := fmt.Appendf(nil, "%q %q %q %v %v", c.Issuer, c.JWKSURI, c.Allowed, c.Verify, c.Timeout)
	for _, h := range c.Headers {
		text = append(text, s.secret.MAC(h.Name, h.Value.Reveal())...) // the id is no secret
	}
	sum := sha256.Sum256(text)
	c.ID = "t" + hex.EncodeToString(sum[:8])
	s.Providers[c.ID] = c
	return c.ID
}

// Consumer returns a consumer as a filter is told of it; nil for nil.
func Consumer(c *declarative.Consumer) *bundle.Consumer {
	if c == nil {
		return nil
	}
	return &bundle.Consumer{ID: c.ID, Username: c.Username, CustomID: c.CustomID, Groups: c.Groups, Application: c.Application, Contracts: c.Contracts}
}

// anonymous is Consumer for one who takes the place of nobody: its contracts open
// nothing, and would make the bundle grow.
func anonymous(c *declarative.Consumer) *bundle.Consumer {
	out := Consumer(c)
	if out != nil {
		out.Application, out.Contracts = false, nil
	}
	return out
}

// Bundle puts the bundle together: the snapshot's routes, those of kept that it
// does not have, and the trust records. Epoch and generation are the caller's to
// set.
func (s *Snapshot) Bundle(kept *Snapshot, trust func(id string) *bundle.Trust) *bundle.Bundle {
	b := &bundle.Bundle{Source: s.File.Source, Routes: maps.Clone(s.routes), Plugins: slices.Clone(s.plugins)}
	byID := maps.Clone(s.instances)
	if kept != nil {
		for name, old := range kept.routes {
			if b.Routes[name] != nil {
				continue
			}
			route := *old
			route.Chain = nil
			for _, p := range old.Chain {
				if byID[p.ID] == nil {
					byID[p.ID] = p
					b.Plugins = append(b.Plugins, p)
				}
				route.Chain = append(route.Chain, byID[p.ID])
			}
			b.Routes[name] = &route
		}
	}
	// Equal bundles have to be equal byte for byte: maps have no order.
	slices.SortFunc(b.Plugins, func(p, q *bundle.Plugin) int { return strings.Compare(p.ID, q.ID) })
	ids := map[string]bool{}
	for _, p := range b.Plugins {
		if p.OIDC != nil {
			ids[p.OIDC.TrustID] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		b.Trust = append(b.Trust, trust(id))
	}
	return b
}

// Instance returns the plugin instance with an id, nil for none.
func (s *Snapshot) Instance(id string) *bundle.Plugin { return s.instances[id] }

// Instances returns all of them, by id. The map is not to be changed.
func (s *Snapshot) Instances() map[string]*bundle.Plugin { return s.instances }

// Using returns the keys of credentials whose public keys come from a provider,
// sorted.
func (s *Snapshot) Using(trust string) []string {
	var keys []string
	for key, c := range s.credentials {
		if c.Trust == trust {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Changed returns the keys of credentials that differ between two snapshots, and of API
// keys and passwords the kind and the id; sorted. old may be nil.
func (s *Snapshot) Changed(old *Snapshot) []string {
	if old == nil {
		return nil
	}
	var keys []string
	for key, c := range s.credentials {
		if o := old.credentials[key]; o == nil || o.version != c.version {
			keys = append(keys, key)
		}
	}
	for key := range old.credentials {
		if s.credentials[key] == nil {
			keys = append(keys, key)
		}
	}
	keys = s.changedSecrets(old, keys)
	slices.Sort(keys)
	return keys
}
