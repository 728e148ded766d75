package convert

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ghost is a route that was guarded and is not in the file.
type ghost struct {
	route *yaml.Node
	at    place
}

// fallThrough refuses the conversion where requests of a route that is left out might
// reach a route that is open to them.
func (d *draft) fallThrough() {
	for _, g := range d.ghosts {
		if !speaksHTTP(g.route) {
			continue
		}
		d.routes(func(r, _ *yaml.Node) {
			if d.closed[r] == nil && mayShare(g.route, r) {
				d.noteAt(Refused, g.at, label("route", g.route), "is guarded and cannot be converted, and its requests might reach %s: "+
					"write the route another way, or take it out of the input", label("route", r))
			}
		})
	}
}

func speaksHTTP(r *yaml.Node) bool {
	protocols := words(get(r, "protocols"))
	return len(protocols) == 0 || slices.ContainsFunc(protocols, func(p string) bool {
		return strings.HasPrefix(p, "http") || strings.HasPrefix(p, "grpc") || strings.HasPrefix(p, "ws")
	})
}

// mayShare reports whether there may be a request that both routes match. It looks at
// what is plain: in doubt there is one.
func mayShare(a, b *yaml.Node) bool {
	apart := func(key string, share func(x, y string) bool) bool {
		x, y := words(get(a, key)), words(get(b, key))
		if len(x) == 0 || len(y) == 0 {
			return false
		}
		return !slices.ContainsFunc(x, func(s string) bool {
			return slices.ContainsFunc(y, func(t string) bool { return share(s, t) })
		})
	}
	return !apart("methods", func(s, t string) bool { return s == "" || t == "" || strings.EqualFold(s, t) }) && !apart("hosts", hostsShare) && !apart("paths", pathsShare)
}

func hostsShare(a, b string) bool {
	plain := func(s string) bool { return s != "" && !strings.ContainsAny(s, "*:[") }
	return !plain(a) || !plain(b) || strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

func pathsShare(a, b string) bool {
	plain := func(s string) bool {
		return strings.HasPrefix(s, "/") && !strings.ContainsAny(s, "%\\([{+*?^$|;") && !strings.Contains(s, "//") && !strings.Contains(s, "/.")
	}
	if !plain(a) || !plain(b) {
		return true
	}
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}
