package adminapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// endpoint is a row of the table: what may be asked, by whom, and what answers. The
// OpenAPI document and the tests of permissions are made of it.
type endpoint struct {
	method  string
	path    string // parts in braces stand for one part of a request's path
	roles   roles  // any of these
	writes  bool   // answers 405 without a registry
	local   bool   // answers without one that is away
	summary string
	in      string // the schema of the body; "" for none
	out     string // the schema of the answer; "" for none
	list    bool   // answers a page of out
	filters []string
	status  int   // of success
	also    []int // other statuses that it has of its own
	handle  func(*call) (status int, body any, err error)
}

// router finds endpoints by paths. Paths are compared as they were sent, part by part, each
// decoded once: a part that holds a slash is one part, and .. has no meaning.
type router struct{ byLength map[int][]endpoint }

func newRouter(list []endpoint) *router {
	r := &router{byLength: map[int][]endpoint{}}
	for _, e := range list {
		n := len(split(e.path))
		r.byLength[n] = append(r.byLength[n], e)
	}
	return r
}

// split returns the parts of a path. One slash at the end is none.
func split(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// maxParts is more than any endpoint's path has.
const maxParts = 8

// match returns the endpoint for a request and what stands for the parts in braces, or,
// without an endpoint, the methods that the path has.
func (r *router) match(method, escaped string) (e *endpoint, path map[string]string, allowed []string) {
	if strings.Count(escaped, "/") > maxParts || !strings.HasPrefix(escaped, "/") {
		return nil, nil, nil
	}
	parts := split(escaped)
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil || parts[i] == "" {
			return nil, nil, nil
		}
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range r.byLength[len(parts)] {
		e := &r.byLength[len(parts)][i]
		path, ok := fits(split(e.path), parts)
		if !ok {
			continue
		}
		if e.method == method {
			return e, path, nil
		}
		allowed = append(allowed, e.method)
	}
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	return nil, nil, allowed
}

func fits(pattern, parts []string) (map[string]string, bool) {
	path := map[string]string{}
	for i, p := range pattern {
		if name, ok := strings.CutPrefix(p, "{"); ok {
			path[strings.TrimSuffix(name, "}")] = parts[i]
		} else if p != parts[i] {
			return nil, false
		}
	}
	return path, true
}
