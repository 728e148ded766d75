package declarative

import "slices"

// priorities are Kong's (PRIORITY in each handler.lua): higher runs first.
var priorities = map[string]int{"jwt": 1450, "key-auth": 1250, "basic-auth": 1100, "openid-connect": 1050, "application-registration": 995, "acl": 950}

// Chain returns the plugins that guard a route, in the order in which they run.
// Of several instances of one plugin, the one with the most specific place runs:
// route and service, route, service, everywhere
// (kong/runloop/plugins_iterator.lua, lookup_cfg).
func (f *File) Chain(r *Route) []*Plugin {
	best := map[string]*Plugin{}
	for _, p := range f.Plugins {
		if p.Route != nil && p.Route != r || p.Service != nil && p.Service != r.Service {
			continue
		}
		if other := best[p.Name]; other == nil || p.specificity() > other.specificity() {
			best[p.Name] = p
		}
	}
	chain := make([]*Plugin, 0, len(best))
	for _, p := range best {
		chain = append(chain, p)
	}
	slices.SortFunc(chain, func(a, b *Plugin) int { return priorities[b.Name] - priorities[a.Name] })
	return chain
}

func (p *Plugin) specificity() int {
	n := 0
	if p.Service != nil {
		n++
	}
	if p.Route != nil {
		n += 2
	}
	return n
}
