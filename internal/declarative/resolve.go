package declarative

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/routing"
)

// resolveAll turns names into entities and checks what has to be unique.
func (p *parser) resolveAll() {
	f := p.file
	services := index[*Service]{p: p, what: "services"}
	for _, s := range f.Services {
		services.add(s.Entity, s, s.ID, s.Name)
	}
	routes := index[*Route]{p: p, what: "routes"}
	for _, r := range f.Routes {
		routes.add(r.Entity, r, r.ID, r.Name)
		if r.service.set {
			r.Service = services.find(r.service)
		}
	}
	p.resolveUpstreams()
	p.resolveApplications(&services)
	p.resolveConsumers()
	p.resolveGroups()
	p.resolveAPIKeys()
	p.resolveCertificates()
	cas := index[*CACertificate]{p: p, what: "ca_certificates"}
	for _, c := range f.CAs {
		cas.add(c.Entity, c, c.ID)
	}
	for _, s := range f.Services {
		for _, r := range s.caRefs {
			if ca := cas.find(r); ca != nil {
				s.CAs = append(s.CAs, ca)
			}
		}
	}
	p.resolvePlugins(&services, &routes)
	p.uniqueRegistrations()
	p.dropDisabled()
	p.resolveRegistrations()
	p.shortSecrets()
	p.hiddenHeaders()
	p.resolvePasswords()
	if p.errors == 0 {
		p.lostRedirects()
		p.lostCookies()
		p.loneACLs()
		p.lintRegistrations()
		p.idleContracts(&services)
	}
}

// lostRedirects warns of a redirect_uri by which a login would not find back: to another
// route, where nobody takes the code.
func (p *parser) lostRedirects() {
	f := p.file
	var table *routing.Table
	for _, pl := range f.Plugins {
		if pl.OIDC == nil || pl.OIDC.Login == nil || !pl.OIDC.Login.Begin {
			continue
		}
		for _, uri := range pl.OIDC.Login.RedirectURIs {
			if table == nil {
				table = f.Table()
			}
			if u, err := url.Parse(uri); err == nil && !f.guards(pl, table, u) {
				p.report(redirectURILost, pl.Line, pl.Path, "redirect_uri %s reaches no route of this plugin: logins would not come back to it", uri)
			}
		}
	}
}

// lostCookies warns of sessions that browsers would not send to the pages that they are
// for: who has logged in there is sent to the login again, without end.
func (p *parser) lostCookies() {
	for _, r := range p.file.Routes {
		for _, pl := range p.file.Chain(r) {
			if pl.OIDC == nil || pl.OIDC.Login == nil || !pl.OIDC.Login.Begin {
				continue
			}
			c := pl.OIDC.Login.SessionCookie
			for _, path := range r.Paths {
				if path.Regex == nil && !covers(c.Path, path.Prefix) {
					p.report(cookieNotSent, pl.Line, pl.Path, "session_cookie_path %q does not cover the path %q of %s: "+
						"browsers do not send the session there, and have to log in again each time", c.Path, path.Prefix, r.place())
				}
			}
			domain := strings.TrimPrefix(c.Domain, ".")
			for _, host := range r.Hosts {
				host, _ = strings.CutPrefix(host, "*.")
				if domain != "" && host != domain && !strings.HasSuffix(host, "."+domain) && !strings.HasSuffix(host, ".*") {
					p.report(cookieNotSent, pl.Line, pl.Path, "session_cookie_domain %q does not cover the host %q of %s: "+
						"browsers take no such cookie from there, and have to log in again each time", c.Domain, host, r.place())
				}
			}
		}
	}
}

// covers reports whether a cookie's path matches a request's (RFC 6265 §5.1.4).
func covers(cookie, path string) bool {
	rest, ok := strings.CutPrefix(path, cookie)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(cookie, "/"))
}

// guards reports whether a plugin, or one that shares its sessions, is on the route
// that a URL reaches.
func (f *File) guards(pl *Plugin, table *routing.Table, u *url.URL) bool {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	e := table.Match(&routing.Request{Host: u.Hostname(), Path: path, Method: "GET", TLS: u.Scheme == "https",
		Header: func(string) (string, bool) { return "", false }})
	if e == nil {
		return false
	}
	for _, r := range f.Routes {
		if r.BundleName() != e.Name {
			continue
		}
		for _, c := range f.Chain(r) {
			if c == pl || c.OIDC != nil && c.OIDC.Login != nil && c.OIDC.realm() == pl.OIDC.realm() {
				return true
			}
		}
	}
	return false
}

// index finds entities by name or id and reports those that are there twice.
type index[E comparable] struct {
	p    *parser
	what string
	by   map[string]E
}

// add enters an entity under its names; empty ones are no names. Of several that
// are taken it reports the last: an id may have been made from the name behind it.
func (x *index[E]) add(e Entity, entity E, names ...string) (ok bool) {
	wrong := ""
	if x.by == nil {
		x.by = map[string]E{}
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		if other, taken := x.by[name]; taken && other != entity {
			wrong = name
			continue
		}
		x.by[name] = entity
	}
	if wrong != "" {
		x.p.report(invalid, e.Line, e.Path, "%q is taken by another of the %s", wrong, x.what)
	}
	return wrong == ""
}

// find returns what a reference means, the zero E with an error for nothing.
func (x *index[E]) find(r ref) E {
	e, ok := x.by[r.value]
	if !ok && r.value != "" {
		x.p.fail(r.at, "refers to %q, which is not among the %s", r.value, x.what)
	}
	return e
}

func (p *parser) resolveUpstreams() {
	upstreams := index[*Upstream]{p: p, what: "upstreams"}
	for _, u := range p.file.Upstreams {
		upstreams.add(u.Entity, u, u.ID, u.Name)
	}
	for _, t := range p.targets {
		if u := upstreams.find(t.upstream); u != nil {
			u.Targets = append(u.Targets, t.target)
		}
	}
	byName, byFold := map[string]*Upstream{}, map[string]*Upstream{}
	for _, u := range p.file.Upstreams {
		byName[u.Name] = u
		byFold[foldHost(u.Name)] = u
		if !slices.ContainsFunc(u.Targets, func(t Target) bool { return t.Weight > 0 }) && !p.failedAt(u.Path) {
			p.report(invalid, u.Line, u.Path, "upstream %s has no target with a weight: its requests could only fail", u.Name)
		}
	}
	for _, s := range p.file.Services {
		s.Upstream = byName[s.Host]
		if like := byFold[foldHost(s.Host)]; s.Upstream == nil && like != nil {
			p.report(invalid, s.Line, s.Path, "host %s would be looked up in DNS: expected the upstream's name as it is written, %s", s.Host, like.Name)
		}
	}
}

// foldHost returns a host as DNS compares it.
func foldHost(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

func (p *parser) resolveConsumers() {
	f := p.file
	consumers := index[*Consumer]{p: p, what: "consumers"}
	usernames := index[*Consumer]{p: p, what: "consumers' usernames"}
	customIDs := index[*Consumer]{p: p, what: "consumers' custom_ids"}
	f.consumersByID, f.consumersByUsername = map[string]*Consumer{}, map[string]*Consumer{}
	for _, c := range f.Consumers {
		if usernames.add(c.Entity, c, c.Username) && customIDs.add(c.Entity, c, c.CustomID) {
			consumers.add(c.Entity, c, c.ID)
		}
		f.consumersByID[c.ID] = c
		if c.Username != "" {
			f.consumersByUsername[c.Username] = c
		}
	}
	keys := index[*JWTSecret]{p: p, what: "jwt_secrets' keys"}
	ids := index[*JWTSecret]{p: p, what: "jwt_secrets"}
	unnamed := map[*Consumer]int{}
	for _, s := range f.JWTSecrets {
		if s.consumer.set {
			s.Consumer = p.owner(s.consumer)
		}
		if s.Consumer != nil {
			p.generate(s, unnamed)
		}
		if keys.add(s.Entity, s, s.Key) {
			ids.add(s.Entity, s, s.ID)
		}
	}
}

// generate fills in what a credential leaves to be generated. Key and secret are
// derived from the installation, the consumer and what the credential says, so
// that every reload and every replica arrives at the same.
func (p *parser) generate(s *JWTSecret, unnamed map[*Consumer]int) {
	derive := p.options.Installation
	if s.Secret == "" && s.Algorithm.String() != "" && s.Public == nil && derive != nil {
		nth := s.Key
		if nth == "" {
			nth = "#" + strconv.Itoa(unnamed[s.Consumer])
			unnamed[s.Consumer]++
		}
		s.Secret = derive("jwt-secret", s.Consumer.ID, s.Algorithm.String(), nth)
	}
	if s.Key == "" && derive != nil {
		set := ""
		for _, k := range s.JWKS {
			set += k.ID + "\x00" + string(k.SPKI())
		}
		s.Key = derive("jwt-key", s.Consumer.ID, s.Algorithm.String(), s.Secret, strings.TrimSpace(s.PublicPEM), s.JWKSURI, set)
	}
	if s.ID == "" && s.Key != "" {
		s.ID = kongID("jwt_secrets", s.Key)
	}
}

func (p *parser) resolveCertificates() {
	certificates := index[*Certificate]{p: p, what: "certificates"}
	for _, c := range p.file.Certificates {
		certificates.add(c.Entity, c, c.ID)
	}
	for _, s := range p.snis {
		if c := certificates.find(s.certificate); c != nil {
			c.SNIs = append(c.SNIs, s.name)
		}
	}
	names := index[*Certificate]{p: p, what: "snis"}
	for _, c := range p.file.Certificates {
		c.SNIs = lower(c.SNIs)
		for _, name := range c.SNIs {
			names.add(c.Entity, c, name)
		}
	}
	for i, l := range p.file.Settings.Listen {
		if l.TLS && len(p.file.Certificates) == 0 {
			p.report(invalid, l.line, "_sallyport.listeners["+strconv.Itoa(i)+"]", "is tls, and the file has no certificates")
		}
	}
}

func (p *parser) resolvePlugins(services *index[*Service], routes *index[*Route]) {
	type place struct {
		name    string
		service *Service
		route   *Route
	}
	taken := map[place]*Plugin{}
	instances := index[*Plugin]{p: p, what: "plugins"}
	for _, pl := range p.file.Plugins {
		if pl.service.set {
			pl.Service = services.find(pl.service)
		}
		if pl.route.set {
			pl.Route = routes.find(pl.route)
		}
		if pl.Route != nil && pl.Service != nil && pl.Route.Service != pl.Service && pl.Route.Service != nil {
			p.report(invalid, pl.Line, pl.Path, "is bound to a route and to a service that the route does not belong to: it would never run")
		}
		where := place{pl.Name, pl.Service, pl.Route}
		if other := taken[where]; other != nil {
			p.report(invalid, pl.Line, pl.Path, "%s is bound to the same place %s: expected one", pl.Name, other.where())
		}
		taken[where] = pl
		instances.add(pl.Entity, pl, pl.ID, pl.InstanceName)
		if pl.JWT != nil {
			pl.JWT.Anonymous = p.anonymous(pl.JWT.anonymous)
		}
		if pl.OIDC != nil {
			pl.OIDC.Anonymous = p.anonymous(pl.OIDC.anonymous)
		}
		if pl.KeyAuth != nil {
			pl.KeyAuth.Anonymous = p.anonymous(pl.KeyAuth.anonymous)
		}
		if pl.BasicAuth != nil {
			pl.BasicAuth.Anonymous = p.anonymous(pl.BasicAuth.anonymous)
		}
	}
	p.sharedCookies()
}

// sharedCookies warns of plugins whose sessions take turns in one cookie, and refuses
// names of which one reads as a part of the other.
func (p *parser) sharedCookies() {
	var logins []*Plugin
	for _, pl := range p.file.Plugins {
		if pl.OIDC == nil || pl.OIDC.Login == nil {
			continue
		}
		for _, other := range logins {
			a, b := pl.OIDC.Login, other.OIDC.Login
			x, y := a.SessionCookie, b.SessionCookie
			switch {
			case isPartOf(x.Name, y.Name) || isPartOf(y.Name, x.Name):
				p.report(invalid, pl.Line, pl.Path, "session_cookie_name %q and %q of %s: one reads as a part of the other", x.Name, y.Name, other.place())
			case x.Name == y.Name && x.Path == y.Path && x.Domain == y.Domain && pl.OIDC.realm() != other.OIDC.realm():
				p.report(sharedCookie, pl.Line, pl.Path, "has the session cookie %q, as the plugin of %s has, and not the same issuer, client, "+
					"scopes, session_audience or checks: who logs in to one is logged out of the other", x.Name, other.place())
			}
		}
		logins = append(logins, pl)
	}
}

// isPartOf reports whether a cookie's name is base with a number after it, as the
// further parts of a long session are named.
func isPartOf(name, base string) bool {
	rest, ok := strings.CutPrefix(name, base+"_")
	_, err := strconv.ParseUint(rest, 10, 16)
	return ok && err == nil
}

// anonymous resolves an anonymous consumer, by username or id. Kong answers 500
// at every request where it does not exist.
func (p *parser) anonymous(r ref) *Consumer {
	if !r.set || r.value == "" {
		return nil
	}
	c := p.file.ConsumerBy(r.value)
	if c == nil {
		p.fail(r.at, "is %q: anonymous consumer %s is configured but doesn't exist (expected a username or id)", r.value, r.value)
		return nil
	}
	p.note(anonymousAccess, r.at, "lets in requests without a valid token, as this consumer")
	return c
}

// dropDisabled leaves out disabled services, their routes and the plugins bound
// to either: Kong does not know them at run time.
func (p *parser) dropDisabled() {
	f := p.file
	off := func(s *Service) bool { return s != nil && !s.Enabled }
	for _, s := range f.Services {
		if off(s) {
			p.report(disabled, s.Line, s.Path, "service %s is not enabled: its routes are not there", firstNonEmpty(s.Name, s.ID))
		}
	}
	f.Plugins = slices.DeleteFunc(f.Plugins, func(pl *Plugin) bool {
		return off(pl.Service) || pl.Route != nil && off(pl.Route.Service)
	})
	f.Routes = slices.DeleteFunc(f.Routes, func(r *Route) bool { return off(r.Service) })
	f.Services = slices.DeleteFunc(f.Services, off)
}

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
