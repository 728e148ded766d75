package convert

import (
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/adminform"
)

// collections of the admin API by the name in a path: where they stand in a file, and
// the kind of their fields.
var collections = map[string]struct{ in, kind string }{
	"services": {"services", "service"}, "routes": {"routes", "route"}, "plugins": {"plugins", "plugin"},
	"consumers": {"consumers", "consumer"}, "upstreams": {"upstreams", "upstream"}, "targets": {"targets", "target"},
	"certificates": {"certificates", "certificate"}, "snis": {"snis", "sni"}, "ca_certificates": {"ca_certificates", "certificate"},
	"acls": {"acls", "credential"}, "jwts": {"jwt_secrets", "credential"}, "jwt": {"jwt_secrets", "credential"},
	"key-auths": {"keyauth_credentials", "credential"}, "key-auth": {"keyauth_credentials", "credential"},
	"basic-auths": {"basicauth_credentials", "credential"}, "basic-auth": {"basicauth_credentials", "credential"},
	"hmac-auths": {"hmacauth_credentials", "credential"}, "hmac-auth": {"hmacauth_credentials", "credential"},
	"oauth2": {"oauth2_credentials", "credential"}, "mtls-auths": {"mtls_auth_credentials", "credential"}, "mtls-auth": {"mtls_auth_credentials", "credential"},
}

// kongsOwn are paths of the admin API that say nothing of requests.
var kongsOwn = []string{"licenses", "workspaces", "rbac", "admins", "groups", "vaults", "keys", "key-sets", "cache", "schemas", "tags", "status",
	"event-hooks", "audit", "endpoints", "userinfo", "clustering"}

// replay makes of calls what they would have made in Kong.
func (d *draft) replay(calls []call) {
	for _, c := range calls {
		if c.method == "GET" || c.method == "HEAD" || c.method == "OPTIONS" {
			continue
		}
		what := c.method + " /" + joined(c.path)
		if len(c.path) > 1 && collections[c.path[0]].in == "" && collections[c.path[1]].in != "" && !slices.Contains(kongsOwn, c.path[0]) {
			d.noteAt(Changed, c.at, what, "the workspace %q is left away: there is one file for all", c.path[0])
			c.path = c.path[1:]
		}
		if len(c.path) > 0 && slices.Contains(kongsOwn, c.path[0]) {
			d.noteAt(LeftOut, c.at, what, "belongs to Kong's own administration")
			continue
		}
		if why := d.run(c); why != "" {
			d.noteAt(Refused, c.at, what, "%s", why)
		}
	}
}

func joined(path []string) (s string) {
	for i, p := range path {
		if i > 0 {
			s += "/"
		}
		s += p
	}
	return s
}

// run does one call. why says what stands against it.
func (d *draft) run(c call) (why string) {
	var parent *yaml.Node
	path := c.path
	if len(path) > 4 || len(path) == 0 || collections[path[0]].in == "" {
		return "is not known, and may set a guard"
	}
	if len(path) > 2 {
		if parent = d.entity(path[0], path[1]); parent == nil {
			return label(collections[path[0]].kind, nil) + " " + path[1] + " is not among the inputs"
		}
		if collections[path[2]].in == "" {
			return "is not known, and may set a guard"
		}
		path = path[2:]
	}
	to := collections[path[0]]
	e, err := adminform.Entity(to.kind, "", c.fields)
	if err != nil {
		return err.Error()
	}
	d.settle(e, c.at)
	if len(path) == 1 {
		if c.method != "POST" {
			return "is not known, and may set a guard"
		}
		d.create(to.in, e, parent, c)
		return ""
	}
	there := d.entity(path[0], path[1])
	switch {
	case c.method == "DELETE" && there == nil && to.kind == "plugin":
		d.noteAt(LeftOut, c.at, "DELETE", "there is no plugin with that id among the inputs: whichever it is stays")
	case there == nil && c.method == "PUT":
		key := "name"
		switch {
		case to.kind == "plugin" || to.kind == "credential" || to.kind == "certificate" || isUUID(path[1]):
			key = "id"
		case to.kind == "consumer":
			key = "username"
		}
		if get(e, key) == nil {
			set(e, key, text(path[1]))
		}
		d.create(to.in, e, parent, c)
	case there == nil:
		return path[1] + " is not among the inputs"
	case c.method == "DELETE":
		d.delete(there, to.in)
	case c.method == "PUT" || c.method == "PATCH":
		keep := []string{"name", "id", "username"}
		if c.method == "PUT" {
			nested := []string{"routes", "plugins", "targets", "acls", "jwt_secrets", "keyauth_credentials", "basicauth_credentials"}
			members(clone(there), func(key string, _ *yaml.Node) {
				if !slices.Contains(keep, key) && !slices.Contains(nested, key) {
					unset(there, key)
				}
			})
		}
		merge(there, e, 0)
	default:
		return "is not known, and may set a guard"
	}
	return ""
}

// merge puts the members of a mapping into another.
func merge(to, from *yaml.Node, depth int) {
	members(from, func(key string, value *yaml.Node) {
		if there := get(to, key); there != nil && there.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode && depth < 8 {
			merge(there, value, depth+1)
			return
		}
		set(to, key, value)
	})
}

// settle says that an entity, and what is in it, comes from a call.
func (d *draft) settle(n *yaml.Node, at place) {
	d.from[n] = at
	for _, e := range n.Content {
		d.settle(e, at)
	}
}

// entity returns what a path of the admin API means, nil for nothing.
func (d *draft) entity(collection, name string) *yaml.Node {
	in := collections[collection].in
	if in == "routes" {
		return d.route(name)
	}
	called := func(e *yaml.Node) bool {
		if in == "plugins" { // their names are those of kinds
			return scalar(get(e, "id")) == name || scalar(get(e, "instance_name")) == name
		}
		return is(e, name) || scalar(get(e, "key")) == name
	}
	for _, e := range d.list(in) {
		if called(e) {
			return e
		}
	}
	for _, parents := range []string{"services", "routes", "consumers", "upstreams"} {
		for _, p := range d.list(parents) {
			lists := []*yaml.Node{get(p, in)}
			for _, r := range elements(get(p, "routes")) {
				lists = append(lists, get(r, in))
			}
			for _, list := range lists {
				for _, e := range elements(list) {
					if called(e) {
						return e
					}
				}
			}
		}
	}
	return nil
}

// create adds an entity where it belongs: in the one that the path, or its own reference,
// names, else at the top level.
func (d *draft) create(in string, e, parent *yaml.Node, c call) {
	if parent == nil {
		for _, key := range []string{"route", "service", "consumer", "upstream"} {
			to := reference(get(e, key))
			if to == "" || in == "plugins" && (key == "route" && get(e, "service") != nil || key == "consumer" || get(e, "consumer") != nil) {
				continue
			}
			if key == "route" && in != "plugins" || key == "service" && in != "plugins" && in != "routes" {
				continue
			}
			if parent = d.entity(key+"s", to); parent != nil {
				unset(e, key)
				break
			}
		}
	}
	if parent == nil {
		parent = d.root
	}
	push(parent, in, e)
	d.from[e] = c.at
}

// delete takes out an entity with what hangs on it.
func (d *draft) delete(e *yaml.Node, in string) {
	d.removeFrom(d.root, e, 0)
	for _, p := range slices.Clone(d.list("plugins")) {
		for _, key := range []string{"route", "service", "consumer"} {
			if to := reference(get(p, key)); to != "" && is(e, to) && in == key+"s" {
				remove(get(d.root, "plugins"), p)
			}
		}
	}
	switch in {
	case "services":
		for _, r := range slices.Clone(d.list("routes")) {
			if to := reference(get(r, "service")); to != "" && is(e, to) {
				d.delete(r, "routes")
			}
		}
	case "consumers":
		d.forget(e)
	}
}

func (d *draft) removeFrom(m, e *yaml.Node, depth int) {
	members(m, func(_ string, list *yaml.Node) {
		if list.Kind != yaml.SequenceNode || depth > 3 {
			return
		}
		remove(list, e)
		for _, other := range list.Content {
			d.removeFrom(other, e, depth+1)
		}
	})
}

func isUUID(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'
}
