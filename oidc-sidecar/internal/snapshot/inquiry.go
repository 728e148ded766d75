package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/inquiry"
)

// compileInquiry is what the filter has to know of an instance that asks its issuer
// about callers' credentials.
func compileInquiry(c *declarative.OIDCConfig) *bundle.Inquiry {
	i := c.Inquiry
	if i == nil {
		return nil
	}
	out := &bundle.Inquiry{IntrospectJWT: i.IntrospectJWT, RefreshHeader: i.RefreshHeader, IDTokenHeader: i.IDTokenHeader}
	list := methods(c)
	if i.IntrospectJWT && !slices.Contains(list, bundle.Introspection) {
		list = append(list, bundle.Introspection)
	}
	for _, m := range list {
		e := inquiry.Extra(i, m)
		if e == nil {
			continue
		}
		add := func(name string, header bool) {
			one := bundle.Sent{Method: m, Header: header, Name: name}
			if header {
				one.Name = strings.ToLower(name)
			}
			if !slices.Contains(out.Sent, one) {
				out.Sent = append(out.Sent, one)
			}
		}
		for _, name := range append(slices.Clone(e.ClientHeaders), e.ClientArgHeaders...) {
			add(name, true)
		}
		for _, name := range e.ClientArgs {
			add(name, false)
		}
	}
	return out
}

// realm names everything that an issuer's answer about a credential depends on, secrets
// too: what was answered under one realm holds under no other.
func (s *Snapshot) realm(c *declarative.OIDCConfig, trust string) string {
	public := *c.Inquiry
	public.ClientSecrets = nil
	wanted := false
	for _, t := range c.Identity.Tokens {
		wanted = wanted || t.Token == "id_token"
	}
	parts := []string{"inquiry", trust, fmt.Sprintf("%#v", public), fmt.Sprintf("%q %q %v %d %v", c.IssuersAllowed, c.Audience, c.Algorithms, c.Leeway, wanted)}
	for _, secret := range c.Inquiry.ClientSecrets {
		parts = append(parts, secret.Reveal())
	}
	return s.secret.MAC(parts...)
}

// inquiry enters an instance that asks its issuer.
func (s *Snapshot) inquiry(p *declarative.Plugin, out *bundle.Plugin) {
	s.Inquiries[out.ID] = &inquiry.Instance{
		ID: out.ID, Public: p.PublicName(), Trust: out.OIDC.TrustID, Realm: s.realm(p.OIDC, out.OIDC.TrustID), Config: p.OIDC,
	}
}

// publishesKeys reports whether an issuer fetches our keys from us to know our client
// by, without there being a login.
func (s *Snapshot) publishesKeys() bool {
	for _, in := range s.Inquiries {
		if in.Inquiry().UsesKeys() {
			return true
		}
	}
	return false
}
