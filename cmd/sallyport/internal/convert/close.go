package convert

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// guardsNothing is why a plugin is left out, and nothing else.
const guardsNothing = "it is not supported, and guards nothing"

// dropHarmless leaves out the plugins of the closed list that guard nothing.
func (d *draft) dropHarmless() {
	drop := func(e *yaml.Node, of string) {
		list := get(e, "plugins")
		for _, p := range slices.Clone(elements(list)) {
			if declarative.GuardsNothing(scalar(get(p, "name"))) {
				d.note(LeftOut, p, label("plugin", p)+of, guardsNothing)
				remove(list, p)
			}
		}
	}
	drop(d.root, "")
	for _, s := range d.list("services") {
		drop(s, " of "+label("service", s))
	}
	d.routes(func(r, _ *yaml.Node) { drop(r, " of "+label("route", r)) })
	for _, c := range d.list("consumers") {
		drop(c, " of "+label("consumer", c))
	}
}

// dropKongTokens takes a method out of openid-connect that Kong has on unless it is told
// otherwise, so that every dump names it. Without it fewer are let in.
func (d *draft) dropKongTokens() {
	d.plugins(d.root, 0, func(p *yaml.Node) {
		list := dig(p, "config", "auth_methods")
		if scalar(get(p, "name")) != "openid-connect" {
			return
		}
		for _, e := range slices.Clone(elements(list)) {
			if scalar(e) == "kong_oauth2" && len(list.Content) > 1 {
				d.note(LeftOut, e, "kong_oauth2 of "+label("plugin", p), "those tokens are in Kong's database: whoever has nothing else gets 401")
				remove(list, e)
			}
		}
	})
}

// nobody is a group that no consumer has: acl refuses whoever comes, also to somebody
// whom nothing has authenticated, and has no exception for anonymous consumers and
// preflights.
const nobody = "nobody-may-pass"

// close keeps a route and has it refuse everything. If it were left out, its requests
// would go to the next best route, which may be open.
func (d *draft) close(r *yaml.Node, at place, why string, args ...any) {
	if r.Kind != yaml.MappingNode || d.closed[r] != nil {
		return
	}
	d.noteAt(Closed, at, label("route", r), why, args...)
	acl, config := mapping(), mapping()
	set(config, "allow", texts(nobody))
	set(acl, "name", text("acl"))
	set(acl, "config", config)
	acl.HeadComment = "# sallyport convert: this route refuses everything, because a guard of it could not be converted"
	r.Style = 0 // or the comment would not stand well
	push(r, "plugins", acl)
	d.from[acl] = at
	d.closed[r] = acl
}

// keepClosed takes out every other acl that might be nearer to a closed route: its own,
// and those that name it, wherever they stand.
func (d *draft) keepClosed() {
	if len(d.closed) == 0 {
		return
	}
	closed, own := map[string]bool{}, map[*yaml.Node]bool{}
	for r, acl := range d.closed {
		own[acl] = true
		for _, key := range []string{"name", "id"} {
			closed[scalar(get(r, key))] = true
		}
	}
	delete(closed, "")
	purge := func(list *yaml.Node, all bool, of string) {
		for _, p := range slices.Clone(elements(list)) {
			if scalar(get(p, "name")) == "acl" && !own[p] && (all || closed[reference(get(p, "route"))]) {
				d.note(LeftOut, p, label("plugin", p)+of, "the one that refuses everything is in its place")
				remove(list, p)
			}
		}
	}
	purge(get(d.root, "plugins"), false, "")
	for _, s := range d.list("services") {
		purge(get(s, "plugins"), false, " of "+label("service", s))
	}
	d.routes(func(r, _ *yaml.Node) { purge(get(r, "plugins"), d.closed[r] != nil, " of "+label("route", r)) })
}

// areClosed refuses the conversion where the product would not refuse everything on a
// closed route: somebody has the group, or another acl is nearer.
func (d *draft) areClosed(f *declarative.File) {
	for _, c := range f.Consumers {
		if slices.Contains(c.Groups, nobody) {
			d.noteAt(Refused, place{file: outputName}, "consumer "+c.Label(), "has the group %s, which nobody may have", nobody)
		}
	}
	for _, r := range f.Routes {
		nodes, _ := d.resolve(r.Path)
		route := nodes[len(nodes)-1]
		chain := f.Chain(r)
		last := len(chain) - 1
		if d.closed[route] != nil && (last < 0 || chain[last].ACL == nil || !slices.Equal(chain[last].ACL.Allow, []string{nobody})) {
			d.note(Refused, route, label("route", route), "would not refuse everything")
		}
	}
}

// plugin decides about a plugin of the top level.
func (f *finding) plugin(p *yaml.Node) func() {
	d := f.d
	route, service := reference(get(p, "route")), reference(get(p, "service"))
	r, s := d.route(route), d.named("services", service)
	switch {
	case !guard(p):
	case route != "" && r == nil, service != "" && s == nil:
		return func() {
			d.noteAt(Refused, f.where(), label("plugin", p), "guards a route or a service that is not among the inputs: %s", f.why(2))
		}
	case r == nil && s == nil && get(p, "consumer") == nil && get(p, "consumer_group") == nil:
		return func() {
			d.noteAt(Refused, f.where(), label("plugin", p), "guards everything, and cannot be converted: %s", f.why(2))
		}
	}
	if r != nil {
		s = nil
	}
	return f.bound(f.nodes[1], p, 2, s, r)
}

// bound decides about a plugin that is bound to a service or a route; nodes[depth] is
// it, and stands in list.
func (f *finding) bound(list, p *yaml.Node, depth int, service, route *yaml.Node) func() {
	d, what := f.d, label("plugin", p)
	switch {
	case route != nil:
		what += " of " + label("route", route)
	case service != nil:
		what += " of " + label("service", service)
	}
	if !guard(p) {
		return func() {
			d.noteAt(LeftOut, f.where(), what, "%s", f.why(depth))
			remove(list, p)
		}
	}
	if get(p, "consumer") != nil || get(p, "consumer_group") != nil {
		return func() {
			d.noteAt(Refused, f.where(), what, "guards a consumer or a group of them, which is not supported: they would pass without; "+
				"take the plugin out, or bind it to routes")
		}
	}
	return func() {
		d.noteAt(LeftOut, f.where(), what, "%s", f.why(depth))
		remove(list, p)
		routes := []*yaml.Node{route}
		if route == nil {
			routes = d.routesOf(service)
		}
		for _, r := range routes {
			d.close(r, f.where(), "its guard %s is left out: %s", scalar(get(p, "name")), f.why(depth))
		}
	}
}

// consumer decides about what stands in a consumer.
func (f *finding) consumer(c *yaml.Node) func() {
	d := f.d
	field := ""
	if len(f.steps) > 2 {
		field = f.steps[2].key
	}
	switch {
	case field == "plugins" && len(f.steps) > 3:
		p := f.nodes[4]
		if guard(p) {
			return func() {
				d.noteAt(Refused, f.where(), label("plugin", p)+" of "+label("consumer", c),
					"guards a consumer, who would pass without it: take it out, or bind it to routes")
			}
		}
		return f.drop(f.nodes[3], p, "plugin")
	case field == "groups" || slices.Contains(unguarded, field) && len(f.steps) == 3:
		return func() {
			d.noteAt(LeftOut, f.where(), field+" of "+label("consumer", c), "%s", f.why(3))
			unset(c, field)
		}
	case (field == "jwt_secrets" || slices.Contains(unguarded, field)) && len(f.steps) > 3:
		return func() {
			d.noteAt(LeftOut, f.where(), entityKind(field)+" of "+label("consumer", c), "%s", f.why(4))
			remove(f.nodes[3], f.nodes[4])
		}
	}
	// Without one of its groups a consumer might pass where that is denied.
	return f.dropConsumer(c)
}

func (f *finding) dropConsumer(c *yaml.Node) func() {
	d := f.d
	return func() {
		d.noteAt(LeftOut, f.where(), label("consumer", c), "%s", f.why(2))
		d.forget(c)
	}
}

// forget takes out a consumer with its credentials and groups.
func (d *draft) forget(c *yaml.Node) {
	if list := get(d.root, "consumers"); list != nil {
		remove(list, c)
	}
	for _, name := range []string{"acls", "jwt_secrets", "keyauth_credentials", "basicauth_credentials"} {
		for _, e := range slices.Clone(d.list(name)) {
			if to := reference(get(e, "consumer")); to != "" && is(c, to) {
				remove(get(d.root, name), e)
			}
		}
	}
}

// group decides about a group of the top level: its consumer goes with it.
func (f *finding) group(a *yaml.Node) func() {
	c := f.d.named("consumers", reference(get(a, "consumer")))
	if c == nil {
		return f.drop(f.nodes[1], a, "acl")
	}
	return f.dropConsumer(c)
}
