package declarative

import "slices"

// ACLConfig is the configuration of the acl plugin (kong/plugins/acl/schema.lua).
// Exactly one of Allow and Deny is set.
type ACLConfig struct {
	Allow, Deny         []string
	HideGroupsHeader    bool
	AuthenticatedGroups bool // always_use_authenticated_groups
}

func (p *parser) aclConfig(v, config, shared at) *ACLConfig {
	c := &ACLConfig{}
	p.config(v, config, shared, p.known("acl", fields{
		"allow":                           p.texts(&c.Allow, groupName...),
		"deny":                            p.texts(&c.Deny, groupName...),
		"hide_groups_header":              p.bool(&c.HideGroupsHeader),
		"always_use_authenticated_groups": p.bool(&c.AuthenticatedGroups),
	}))
	if (len(c.Allow) > 0) == (len(c.Deny) > 0) && !p.failedAt(v.path) {
		has := "neither allow nor deny"
		if len(c.Allow) > 0 {
			has = "allow and deny"
		}
		p.fail(v, "has %s: expected either config.allow or config.deny with at least one group", has)
	}
	return c
}

// groupName are the checks for the name of a group. A comma would make one group read
// as two in the headers that tell them.
var groupName = []check{notEmpty, printable, func(s string) string {
	if slices.Contains([]byte(s), ',') {
		return "has a comma: upstreams read the groups of X-Consumer-Groups as a list"
	}
	return ""
}}

// acl reads a group of a consumer; consumer is the one it is nested in.
func (p *parser) acl(v at, consumer *Consumer) {
	a := &groupOf{consumer: consumer}
	var e Entity
	known := p.entity(v, &e, fields{"group": p.text(&a.group, groupName...)})
	if consumer == nil {
		known["consumer"] = p.reference(&a.ref)
	}
	if !p.record(v, known) {
		return
	}
	if a.group == "" && !p.failedAt(v.path) {
		p.fail(v, "has no group")
	}
	if consumer == nil && !a.ref.set {
		p.fail(v, "has no consumer")
	}
	p.groups = append(p.groups, a)
}

// groupOf is a group and whose it is.
type groupOf struct {
	group    string
	consumer *Consumer
	ref      ref
}

// resolveGroups gives consumers their groups.
func (p *parser) resolveGroups() {
	for _, a := range p.groups {
		if a.ref.set {
			if a.consumer = p.file.ConsumerBy(a.ref.value); a.consumer == nil && a.ref.value != "" {
				p.fail(a.ref.at, "refers to %q, which is not among the consumers", a.ref.value)
			}
		}
		if c := a.consumer; c != nil && a.group != "" && !slices.Contains(c.Groups, a.group) {
			c.Groups = append(c.Groups, a.group)
		}
	}
}

// loneACLs warns of acl plugins without an authentication plugin before them: there is
// nobody whose groups they could look at.
func (p *parser) loneACLs() {
	warned := map[*Plugin]bool{}
	for _, r := range p.file.Routes {
		chain := p.file.Chain(r)
		for _, pl := range chain {
			if pl.ACL != nil && len(chain) == 1 && !warned[pl] {
				warned[pl] = true
				p.report(aclAlone, pl.Line, pl.Path, "acl has no authentication plugin before it on the route of %s: every request there is answered 401", r.place())
			}
		}
	}
}
