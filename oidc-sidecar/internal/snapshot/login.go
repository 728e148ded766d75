package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/login"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/seal"
)

// compileLogin is what the filter has to know of an instance with sessions.
func compileLogin(l *declarative.Login) *bundle.Login {
	if l == nil {
		return nil
	}
	attributes := "Path=" + l.SessionCookie.Path
	if l.SessionCookie.Domain != "" {
		attributes += "; Domain=" + l.SessionCookie.Domain
	}
	return &bundle.Login{
		Session: l.Session, Begin: l.Begin, BearerSession: l.BearerSession,
		SessionCookie:    bundle.Cookie{Name: l.SessionCookie.Name, Host: l.SessionCookie.HostPrefix()},
		FlowCookie:       bundle.Cookie{Name: l.FlowCookie.Name, Host: l.FlowCookie.HostPrefix()},
		CookieAttributes: attributes,
		LogoutMethods:    l.LogoutMethods, LogoutQuery: l.LogoutQuery, LogoutSuffix: l.LogoutSuffix,
		UnauthorizedRedirect: l.UnauthorizedTo, ForbiddenRedirect: l.ForbiddenTo, UnexpectedRedirect: l.UnexpectedTo,
		UnauthorizedText: l.Unauthorized, ForbiddenText: l.Forbidden, DisplayErrors: l.DisplayErrors,
		KeepForbidden: l.KeepForbidden, DropForbidden: l.DropForbidden,
	}
}

func compileIdentity(i *declarative.Identity) bundle.Identity {
	out := bundle.Identity{
		GroupsClaim:    i.GroupsClaim,
		ConsumerClaims: i.ConsumerClaims, ConsumerOptional: i.ConsumerOptional, TrustEmail: i.TrustEmail,
	}
	if !slices.Equal(i.CredentialClaim, []string{"sub"}) {
		out.CredentialClaim = i.CredentialClaim
	}
	if len(i.ConsumerClaims) > 0 {
		out.ConsumerBy = slices.Clone(i.ConsumerBy)
		if at := slices.Index(out.ConsumerBy, "username"); at >= 0 && i.UsernameAnyCase {
			out.ConsumerBy = slices.Insert(out.ConsumerBy, at+1, bundle.UsernameAnyCase)
		}
	}
	for _, h := range i.Upstream {
		out.Upstream = append(out.Upstream, bundle.ClaimHeader(h))
	}
	for _, h := range i.Downstream {
		out.Downstream = append(out.Downstream, bundle.ClaimHeader(h))
	}
	for _, t := range i.Tokens {
		out.Tokens = append(out.Tokens, bundle.TokenHeader(t))
	}
	for _, m := range i.Matches {
		out.Matches = append(out.Matches, bundle.ClaimMatch(m))
	}
	return out
}

// loginDigest names what an instance with sessions is beside what the filter knows
// of it: two that differ in a secret are two.
func (s *Snapshot) loginDigest(c *declarative.OIDCConfig) string {
	l := c.Login
	parts := []string{c.IssuerURL, fmt.Sprintf("%q %v %d", c.Audience, c.Verify, c.Timeout)}
	public := *l
	public.ClientSecrets, public.SessionSecrets = nil, nil
	for _, cookie := range []*declarative.CookieSettings{&public.SessionCookie, &public.FlowCookie} {
		if cookie.Secure != nil {
			parts = append(parts, fmt.Sprint(*cookie.Secure))
			cookie.Secure = nil
		}
	}
	parts = append(parts, fmt.Sprintf("%+v", public))
	for _, list := range [][]redact.Secret{l.ClientSecrets, l.SessionSecrets} {
		parts = append(parts, fmt.Sprint(len(list)))
		for _, secret := range list {
			parts = append(parts, secret.Reveal())
		}
	}
	return s.secret.MAC(parts...)
}

// login enters an instance with sessions.
func (s *Snapshot) login(p *declarative.Plugin, out *bundle.Plugin) {
	l := p.OIDC.Login
	secrets := l.SessionSecrets
	if len(secrets) == 0 {
		secrets = []redact.Secret{s.secret.Session}
	}
	ring, err := seal.NewRing(secrets)
	if err != nil {
		return // the file was read without an installation; nothing is served from it
	}
	in := &login.Instance{
		ID: out.ID, Public: p.PublicName(), Trust: out.OIDC.TrustID, Config: p.OIDC, Ring: ring,
		Hosts: map[string][]string{}, TrustedIPs: s.File.Settings.TrustedIPs,
	}
	for _, t := range p.OIDC.Identity.Tokens {
		in.IDTokenHeader = in.IDTokenHeader || t.Token == "id_token"
		in.UserInfo = in.UserInfo || t.Token == "user_info"
	}
	for _, m := range p.OIDC.Identity.Matches {
		in.UserInfo = in.UserInfo || m.Token == "user_info"
	}
	in.UserInfo = in.UserInfo || l.UserInfo
	s.Logins[out.ID] = in
}

// longest tells every instance how long sessions of its issuer may last.
func (s *Snapshot) longest() {
	of := map[string]int64{}
	for _, in := range s.Logins {
		a := in.Login().Absolute
		if have, ok := of[in.Config.IssuerURL]; !ok || have != 0 && (a == 0 || a > have) {
			of[in.Config.IssuerURL] = a
		}
	}
	for _, in := range s.Logins {
		in.Longest = of[in.Config.IssuerURL]
	}
}

// Consumer returns the consumer whose id, user name or custom id a value is; nil for
// none. The first of by that fits counts.
func (s *Snapshot) Consumer(by []string, value string) *bundle.Consumer {
	for _, field := range by {
		if field == bundle.UsernameAnyCase {
			if c := s.anyCase(value); c != nil {
				return Consumer(c)
			}
			continue
		}
		for _, c := range s.File.Consumers {
			have := map[string]string{"id": c.ID, "username": c.Username, "custom_id": c.CustomID}[field]
			if have != "" && have == value {
				return Consumer(c)
			}
		}
	}
	return nil
}

// anyCase returns the one consumer whose user name is a value but for small and capital
// letters of ASCII. The letters of others are not folded: a Kelvin sign is no k, and
// whoever may choose a name at an identity provider must not become somebody by one that
// only looks alike. Of two that fit nobody is meant.
func (s *Snapshot) anyCase(value string) (found *declarative.Consumer) {
	for _, c := range s.File.Consumers {
		if c.Username == "" || lowerASCII(c.Username) != lowerASCII(value) {
			continue
		}
		if found != nil {
			return nil
		}
		found = c
	}
	return found
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// ChangedConsumers returns ids, user names and custom ids of consumers that differ
// between two snapshots, before and after, sorted. old may be nil.
func (s *Snapshot) ChangedConsumers(old *Snapshot) []string {
	if old == nil {
		return nil
	}
	index := func(list []*declarative.Consumer) map[string]string {
		m := map[string]string{}
		for _, c := range list {
			m[c.ID] = strings.Join([]string{c.ID, c.Username, c.CustomID}, "\x00") + "\x01" + Who(c)
		}
		return m
	}
	before, after := index(old.File.Consumers), index(s.File.Consumers)
	names := map[string]bool{}
	note := func(text string) {
		text, _, _ = strings.Cut(text, "\x01") // the rest is no names
		for _, v := range strings.Split(text, "\x00") {
			if v != "" {
				names[v] = true
			}
		}
	}
	for id, text := range after {
		if before[id] != text {
			note(text)
			note(before[id])
		}
	}
	for id, text := range before {
		if after[id] == "" {
			note(text)
		}
	}
	list := make([]string, 0, len(names))
	for n := range names {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}
