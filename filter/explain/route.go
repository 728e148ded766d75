package explain

import (
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/routing"
)

// choose finds the route of a request in the table that both proxies have, and says
// which it is, or which all but match.
func choose(f *declarative.File, a *arrived) (*routing.Entry, Route) {
	if !a.readable {
		return nil, Route{Why: "the path has no normal form; the proxy answers 400 before it looks for a route"}
	}
	table, asked := f.Table(), a.asked()
	entry := table.Match(asked)
	if entry == nil {
		return nil, Route{Why: "no route matches", Near: near(f, table, asked)}
	}
	for _, r := range f.Routes {
		if entry.Name == r.BundleName() || entry.Name == r.HTTPSName() {
			return entry, Route{Name: nameOf(r), Bundle: entry.Name, Line: r.Line, Service: entry.Cluster, Match: match(r)}
		}
	}
	return entry, Route{Name: entry.Name, Bundle: entry.Name, Service: entry.Cluster, Match: "path prefix " + entry.Path.Prefix}
}

// lines enters where the plugins of a chain stand in the file that the bundle is made of.
func lines(f *declarative.File, route string, chain []Plugin) {
	for _, r := range f.Routes {
		if r.BundleName() != route {
			continue
		}
		if declared := f.Chain(r); len(declared) == len(chain) {
			for i, p := range declared {
				chain[i].Line = p.Line
			}
		}
	}
}

func nameOf(r *declarative.Route) string {
	if r.Name != "" {
		return r.Name
	}
	return r.ID
}

// match says which requests a route takes, as the file does.
func match(r *declarative.Route) string {
	parts := []string{wanted("path", pathsOf(r)), wanted("host", r.Hosts), wanted("method", r.Methods)}
	for _, h := range r.Headers {
		parts = append(parts, "header "+h.Name)
	}
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
	if len(parts) == 0 {
		return "whatever comes"
	}
	return strings.Join(parts, ", ")
}

// wanted names alternatives, "" where there are none.
func wanted(what string, list []string) string {
	if len(list) == 0 {
		return ""
	}
	return what + " " + strings.Join(list, " or ")
}

func pathsOf(r *declarative.Route) (list []string) {
	for _, p := range r.Paths {
		if p.Regex != nil {
			list = append(list, "~"+p.Expr)
		} else {
			list = append(list, p.Prefix)
		}
	}
	return list
}

// maxNear is how many routes are named that do not match.
const maxNear = 5

// near returns the routes that match but for one thing, those first whose path does.
func near(f *declarative.File, t *routing.Table, asked *routing.Request) (list []Near) {
	fits := func(e routing.Entry) bool {
		return (&routing.Table{Entries: []*routing.Entry{&e}}).Match(asked) != nil
	}
	var far []Near
	for _, r := range f.Routes {
		var misses []string
		path := false
		for _, e := range t.Entries {
			if e.Name != r.BundleName() {
				continue
			}
			path = path || fits(routing.Entry{Path: e.Path})
			misses = misses[:0] // but for the path, a route's entries are alike
			if !fits(routing.Entry{Hosts: e.Hosts}) {
				misses = append(misses, wanted("host", r.Hosts))
			}
			if !fits(routing.Entry{Methods: e.Methods}) {
				misses = append(misses, wanted("method", r.Methods))
			}
			for _, h := range e.Headers {
				if !fits(routing.Entry{Headers: []routing.Header{h}}) {
					misses = append(misses, "header "+h.Name)
				}
			}
		}
		switch {
		case path && len(misses) == 1:
			list = append(list, Near{nameOf(r), misses[0]})
		case !path && len(misses) == 0:
			far = append(far, Near{nameOf(r), wanted("path", pathsOf(r))})
		}
	}
	list = append(list, far...)
	return list[:min(len(list), maxNear)]
}
