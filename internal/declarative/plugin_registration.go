package declarative

import "slices"

// RegistrationConfig is the configuration of the application-registration plugin: who
// calls the service has to be an application that has a contract with it.
type RegistrationConfig struct {
	// DisplayName and Description are what developers read of the service; the first is
	// always there, and both are unique in a file.
	DisplayName, Description string
	AutoApprove              bool // a contract that is asked for is approved at once
	ShowIssuer               bool // developers are told whose tokens to get
	Consumers                bool // enable_proxy_with_consumer_credential: who is no application passes too
}

func (p *parser) registrationConfig(v, config, shared at) *RegistrationConfig {
	c := &RegistrationConfig{}
	p.config(v, config, shared, p.known("application-registration", fields{
		"display_name":                          p.text(&c.DisplayName, notEmpty, printable, maxLength(maxDisplayName)),
		"description":                           p.text(&c.Description, maxLength(maxDescription)),
		"auto_approve":                          p.bool(&c.AutoApprove),
		"show_issuer":                           p.bool(&c.ShowIssuer),
		"enable_proxy_with_consumer_credential": p.bool(&c.Consumers),
	}))
	if c.DisplayName == "" && !p.failedAt(v.path) {
		p.fail(v, "has no display_name: expected the name that developers know the service by")
	}
	return c
}

// Bounds of what developers read, in bytes. Kong has none.
const (
	maxDisplayName = 256
	maxDescription = 4096
)

// uniqueRegistrations refuses what would be the same to developers, as Kong does.
func (p *parser) uniqueRegistrations() {
	names := index[*Plugin]{p: p, what: "display_names of application-registration"}
	texts := index[*Plugin]{p: p, what: "descriptions of application-registration"}
	for _, pl := range p.file.Plugins {
		if pl.Registration != nil && names.add(pl.Entity, pl, pl.Registration.DisplayName) {
			texts.add(pl.Entity, pl, pl.Registration.Description)
		}
	}
}

// resolveRegistrations refuses the plugin where nobody could be an application.
func (p *parser) resolveRegistrations() {
	for _, pl := range p.file.Plugins {
		if pl.Registration == nil {
			continue
		}
		if pl.Route != nil || pl.Service == nil {
			if !pl.service.set || pl.Route != nil { // else the reference is at fault
				p.report(invalid, pl.Line, pl.Path, "application-registration is bound to a whole service only: expected it in a service, or with service alone")
			}
			continue
		}
		for _, r := range p.file.Routes {
			if r.Service == pl.Service && !slices.ContainsFunc(p.file.Chain(r), (*Plugin).authenticates) {
				p.report(invalid, pl.Line, pl.Path, "application-registration has no authentication plugin before it on the route of %s: "+
					"expected openid-connect, or another, on the service", r.place())
			}
		}
	}
}

// authenticates reports whether the plugin finds out who calls.
func (p *Plugin) authenticates() bool {
	return p.JWT != nil || p.OIDC != nil || p.KeyAuth != nil || p.BasicAuth != nil
}

// Registration returns the application-registration plugin of a service, nil for none.
func (f *File) Registration(s *Service) *Plugin {
	for _, pl := range f.Plugins {
		if pl.Registration != nil && pl.Service == s {
			return pl
		}
	}
	return nil
}

// Issuers returns whose tokens the routes of a service take, in the order of the file:
// what developers are shown where ShowIssuer says so.
func (f *File) Issuers(s *Service) (list []string) {
	for _, r := range f.Routes {
		if r.Service != s {
			continue
		}
		for _, pl := range f.Chain(r) {
			if pl.OIDC != nil && !slices.Contains(list, pl.OIDC.IssuerURL) {
				list = append(list, pl.OIDC.IssuerURL)
			}
		}
	}
	return list
}

// lintRegistrations warns of routes on which no application is found: openid-connect is
// alone there, and does not look for consumers by the custom_id that applications have.
func (p *parser) lintRegistrations() {
	warned := map[*Plugin]bool{}
	for _, r := range p.file.Routes {
		chain := p.file.Chain(r)
		i := slices.IndexFunc(chain, func(pl *Plugin) bool { return pl.Registration != nil })
		if i < 0 {
			continue
		}
		var auth []*Plugin
		for _, pl := range chain {
			if pl.authenticates() {
				auth = append(auth, pl)
			}
		}
		if len(auth) != 1 || auth[0].OIDC == nil || warned[auth[0]] {
			continue
		}
		pl := auth[0]
		switch id := &pl.OIDC.Identity; {
		case len(id.ConsumerClaims) == 0:
			warned[pl] = true
			p.report(applicationsNotFound, pl.Line, pl.Path, "openid-connect has no consumer_claim, and application-registration is on the route of %s: "+
				"every request there is answered 403", r.place())
		case !slices.Contains(id.ConsumerBy, "custom_id"):
			warned[pl] = true
			p.report(applicationsNotFound, pl.Line, pl.Path, "openid-connect does not look by custom_id, and application-registration is on the route of %s: "+
				"applications are known by theirs", r.place())
		}
	}
}
