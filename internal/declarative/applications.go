package declarative

import "slices"

// MaxContracts bounds the services that one application has contracts with: they travel
// with its consumer, and every filter remembers them.
const MaxContracts = 1000

// application is an application of the file (_sallyport.applications), for people who
// have no database for them: a consumer, made here unless the consumers have it, with
// its contracts.
type application struct {
	at             at
	customID, name string
	services       []ref
}

func (p *parser) application(v at) {
	a := &application{at: v}
	known := fields{
		"custom_id": p.text(&a.customID, notEmpty, printable),
		"name":      p.text(&a.name, notEmpty, printable),
		"services": p.list(func(v at) {
			var r ref
			p.reference(&r)(v)
			a.services = append(a.services, r)
		}),
	}
	if !p.record(v, known) {
		return
	}
	switch {
	case p.failedAt(v.path):
		return
	case a.customID == "":
		p.fail(v, "has no custom_id: expected what the token's claim says, such as the client id")
		return
	case len(a.services) > MaxContracts:
		p.fail(v, "has %d services: expected at most %d", len(a.services), MaxContracts)
		return
	}
	p.applications = append(p.applications, a)
}

// resolveApplications makes consumers of applications, and gives them their contracts.
func (p *parser) resolveApplications(services *index[*Service]) {
	byCustomID := map[string]*Consumer{}
	for _, c := range p.file.Consumers {
		if c.CustomID != "" && byCustomID[c.CustomID] == nil {
			byCustomID[c.CustomID] = c
		}
	}
	for _, a := range p.applications {
		c := byCustomID[a.customID]
		switch {
		case c == nil:
			c = &Consumer{Entity: Entity{ID: kongID("consumers", firstNonEmpty(a.name, a.customID)), Line: a.at.line(), Path: a.at.path},
				Username: a.name, CustomID: a.customID}
			byCustomID[a.customID] = c
			p.file.Consumers = append(p.file.Consumers, c)
		case c.Application:
			p.fail(a.at, "%q is taken by another of the applications", a.customID)
			continue
		case a.name != "" && a.name != c.Username:
			p.fail(a.at, "has the name %q, and the consumer of line %d with its custom_id has another username: leave name out", a.name, c.Line)
			continue
		}
		c.Application = true
		for _, r := range a.services {
			if s := services.find(r); s != nil && !slices.Contains(c.Contracts, s.Key()) {
				c.Contracts = append(c.Contracts, s.Key())
			}
		}
		slices.Sort(c.Contracts)
	}
}

// idleContracts says which contracts change nothing.
func (p *parser) idleContracts(services *index[*Service]) {
	for _, a := range p.applications {
		for _, r := range a.services {
			if s := services.by[r.value]; s != nil && s.Enabled && p.file.Registration(s) == nil {
				p.note(noEffect, r.at, "has no effect: service %s has no application-registration", s.Key())
			}
		}
	}
}
