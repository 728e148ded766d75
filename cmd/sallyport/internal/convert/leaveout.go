package convert

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// unguarded are collections of Kong's that guard no route: people, settings of plugins
// that are judged where they stand, and what belongs to Kong's own administration.
// consumer_groups do not stand here: their plugins may guard.
var unguarded = []string{"vaults", "keys", "key_sets", "rbac_roles", "rbac_endpoint_permissions", "custom_plugins", "cloned_plugins",
	"custom_entities", "licenses", "service_packages", "_konnect", "partials", "plugins_partials", "consumer_group_consumers",
	"keyauth_credentials", "basicauth_credentials", "hmacauth_credentials", "oauth2_credentials", "oauth2_tokens", "mtls_auth_credentials"}

// collection decides about a whole top-level collection that the parser does not know.
func (f *finding) collection(name string) func() {
	d, node := f.d, f.nodes[1]
	guards := !slices.Contains(unguarded, name)
	if name == "consumer_groups" || name == "consumer_group_plugins" {
		guards = false
		for _, e := range elements(node) {
			plugins := elements(get(e, "plugins"))
			if name == "consumer_group_plugins" {
				plugins = []*yaml.Node{e}
			}
			for _, p := range plugins {
				if guard(p) {
					return func() {
						d.note(Refused, p, label("plugin", p), "guards a consumer group, which is not supported: "+
							"whoever is in it would pass without; take the plugin out, or bind it to routes")
					}
				}
			}
		}
	}
	if guards {
		return f.refuse(name)
	}
	return func() {
		d.noteAt(LeftOut, f.where(), name, "%s", f.problem.Text)
		unset(d.root, name)
	}
}

// guard reports whether a plugin may keep a request from a service. One without a name
// may.
func guard(plugin *yaml.Node) bool {
	return !declarative.GuardsNothing(scalar(get(plugin, "name"))) && scalar(get(plugin, "enabled")) != "false"
}

// Fields that have no part in what a request may do here: without them something is
// done another way.
var (
	serviceExtras  = []string{"tls_verify_depth", "client_certificate"}
	routeExtras    = []string{"path_handling"}
	upstreamExtras = []string{"healthchecks", "hash_on", "hash_fallback", "hash_on_header", "hash_fallback_header", "hash_on_cookie",
		"hash_on_cookie_path", "hash_on_query_arg", "hash_fallback_query_arg", "hash_on_uri_capture", "hash_fallback_uri_capture",
		"client_certificate", "use_srv_name", "algorithm"}
)

// extra leaves a field out if it is one of a list; nil if it is not.
func (f *finding) extra(kind string, depth int, list []string) func() {
	if len(f.steps) <= depth || !slices.Contains(list, f.steps[depth].key) {
		return nil
	}
	entity, key := f.nodes[depth], f.steps[depth].key
	return func() {
		f.d.noteAt(LeftOut, f.where(), key+" of "+label(kind, entity), "%s", f.why(depth+1))
		unset(entity, key)
	}
}

// service decides about what stands in a service.
func (f *finding) service(s *yaml.Node) func() {
	if len(f.steps) > 3 && f.steps[2].key == "routes" {
		return f.route(f.nodes[4], s, 4)
	}
	if len(f.steps) > 3 && f.steps[2].key == "plugins" {
		return f.bound(f.nodes[3], f.nodes[4], 4, s, nil)
	}
	if do := f.extra("service", 2, serviceExtras); do != nil {
		return do
	}
	return func() { f.d.breakService(s, f.where(), f.why(2)) }
}

// breakService puts something that answers nothing in the place of a service, and
// closes its routes: without them their requests would go to others.
func (d *draft) breakService(s *yaml.Node, at place, why string) {
	if d.broken[s] || s.Kind != yaml.MappingNode {
		d.noteAt(Refused, at, label("service", s), "%s", why)
		return
	}
	d.broken[s] = true
	routes, plugins := get(s, "routes"), get(s, "plugins")
	name, id := get(s, "name"), get(s, "id")
	s.Content = nil
	for _, m := range []struct {
		key   string
		value *yaml.Node
	}{{"name", name}, {"id", id}, {"host", text("left-out.invalid")}, {"routes", routes}, {"plugins", plugins}} {
		if m.value != nil {
			set(s, m.key, m.value)
		}
	}
	d.noteAt(LeftOut, at, label("service", s), "%s", why)
	for _, r := range d.routesOf(s) {
		d.close(r, d.from[r], "its service is left out")
	}
}

// route decides about what stands in a route, which nodes[depth] is.
func (f *finding) route(r, service *yaml.Node, depth int) func() {
	if len(f.steps) > depth+1 && f.steps[depth].key == "plugins" {
		return f.bound(f.nodes[depth+1], f.nodes[depth+2], depth+2, nil, r)
	}
	if do := f.extra("route", depth, routeExtras); do != nil {
		return do
	}
	return func() {
		d := f.d
		d.noteAt(LeftOut, f.where(), label("route", r), "%s", f.why(depth))
		d.dropRoute(r, service, f.nodes[depth-1])
	}
}

// dropRoute takes a route out of its list, and the plugins that are bound to it.
// Where it was guarded its requests must not reach another.
func (d *draft) dropRoute(r, service, list *yaml.Node) {
	if d.closed[r] != nil || d.guarded(r, service) {
		d.ghosts = append(d.ghosts, ghost{route: r, at: d.from[r]})
	}
	remove(list, r)
	for _, p := range slices.Clone(d.list("plugins")) {
		if to := reference(get(p, "route")); to != "" && is(r, to) {
			remove(get(d.root, "plugins"), p)
		}
	}
}

// guarded reports whether a plugin of the route or its service may refuse a request.
// Those that are bound to everything guard other routes too, unless there is a nearer one
// of their kind somewhere.
func (d *draft) guarded(r, service *yaml.Node) bool {
	own := slices.Concat(elements(get(r, "plugins")), elements(get(service, "plugins")))
	for _, p := range d.list("plugins") {
		route, to := reference(get(p, "route")), reference(get(p, "service"))
		if route != "" && is(r, route) || to != "" && service != nil && is(service, to) {
			own = append(own, p)
		}
	}
	bound := map[string]bool{}
	d.bound(func(p *yaml.Node) { bound[scalar(get(p, "name"))] = true })
	for _, p := range d.list("plugins") {
		if reference(get(p, "route")) == "" && reference(get(p, "service")) == "" && bound[scalar(get(p, "name"))] {
			own = append(own, p)
		}
	}
	return slices.ContainsFunc(own, guard)
}

// bound calls yield for each plugin that is bound to a route or a service.
func (d *draft) bound(yield func(*yaml.Node)) {
	for _, p := range d.list("plugins") {
		if reference(get(p, "route")) != "" || reference(get(p, "service")) != "" {
			yield(p)
		}
	}
	for _, s := range d.list("services") {
		for _, p := range elements(get(s, "plugins")) {
			yield(p)
		}
	}
	d.routes(func(r, _ *yaml.Node) {
		for _, p := range elements(get(r, "plugins")) {
			yield(p)
		}
	})
}

// upstream decides about an upstream or a target.
func (f *finding) upstream(e *yaml.Node) func() {
	if do := f.extra("upstream", 2, upstreamExtras); do != nil {
		return do
	}
	kind := entityKind(f.steps[0].key)
	if len(f.steps) > 3 && f.steps[2].key == "targets" {
		return f.drop(f.nodes[3], f.nodes[4], "target")
	}
	return func() {
		f.d.noteAt(LeftOut, f.where(), label(kind, e), "%s", f.why(2))
		remove(f.nodes[1], e)
		if name := scalar(get(e, "name")); kind == "upstream" {
			for _, s := range f.d.list("services") {
				if !f.d.broken[s] && scalar(get(s, "host")) == name {
					f.d.breakService(s, f.d.from[s], "its upstream is left out")
				}
			}
		}
	}
}
