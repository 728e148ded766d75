package routing

import (
	"regexp"
	"slices"
	"strings"
)

// Table is a list of entries in the order in which they are tried.
type Table struct {
	Entries []*Entry
}

// Entry says which requests go where, and in which shape. The zero values of
// its matchers match everything.
type Entry struct {
	// Name is what the proxy reports as xds.route_name.
	Name    string
	Hosts   []Host
	Path    Path
	Methods []string
	Headers []Header
	// PlainOnly entries match only requests that did not come over TLS.
	PlainOnly bool

	Cluster string
	Rewrite Rewrite
	// PreserveHost sends the client's Host on; else HostHeader is sent, or, where
	// that is empty, the name of the target that was chosen.
	PreserveHost bool
	HostHeader   string
	// Prefix is what was stripped, for X-Forwarded-Prefix; "" for nothing.
	Prefix string
	// Time-outs in milliseconds, between two operations of the upstream
	// connection; 0 for none. Retries counts further attempts to connect.
	ReadTimeout, WriteTimeout int
	Retries                   int
	// NoUpstream marks an entry that is answered by the filter. Without one the
	// proxy answers 426.
	NoUpstream bool
}

// Host is a host name in lower case, or one with a wildcard at one end.
type Host struct {
	Exact  string
	Suffix string // ".example.com" for *.example.com
	Prefix string // "example." for example.*
}

// Matches reports whether the host, in lower case and without a port, matches.
func (h Host) Matches(host string) bool {
	switch {
	case h.Suffix != "":
		return strings.HasSuffix(host, h.Suffix)
	case h.Prefix != "":
		return strings.HasPrefix(host, h.Prefix)
	}
	return host == h.Exact
}

// Path matches a normalised path without its query. At most one is set.
type Path struct {
	Exact  string
	Prefix string
	Regex  *regexp.Regexp // matches the whole path
}

// Matches reports whether the path matches.
func (p Path) Matches(path string) bool {
	switch {
	case p.Regex != nil:
		return p.Regex.MatchString(path)
	case p.Exact != "":
		return path == p.Exact
	}
	return strings.HasPrefix(path, p.Prefix)
}

// Header matches a header's values, joined by commas where there are several,
// as Envoy joins them. Letter case does not matter.
type Header struct {
	Name  string // lower case
	Exact []string
	Regex *regexp.Regexp // matches the whole value; nil for none
}

func (h Header) matches(value string) bool {
	if h.Regex != nil && h.Regex.MatchString(value) {
		return true
	}
	return slices.ContainsFunc(h.Exact, func(want string) bool { return strings.EqualFold(want, value) })
}

// Rewrite says how the path changes on the way to the upstream. The zero
// Rewrite leaves it.
type Rewrite struct {
	// Prefix replaces the part of the path that Path.Prefix or Path.Exact matched,
	// when Set.
	Set    bool
	Prefix string
	// Regex and Substitution replace by pattern; \1 is the first group.
	Regex        *regexp.Regexp
	Substitution string
}

// goTemplate turns RE2's notation for a substitution into that of package regexp.
var goTemplate = strings.NewReplacer("$", "$$", `\1`, "${1}")

// Apply returns the path for the upstream.
func (e *Entry) Apply(path string) string {
	r := &e.Rewrite
	switch {
	case r.Regex != nil:
		return r.Regex.ReplaceAllString(path, goTemplate.Replace(r.Substitution))
	case !r.Set:
		return path
	case e.Path.Exact != "":
		return r.Prefix
	}
	return r.Prefix + path[len(e.Path.Prefix):]
}

// Request is what a route is chosen by.
type Request struct {
	Host   string // as in the Host header
	Path   string // normalised, without the query
	Method string
	TLS    bool
	Header func(name string) (joined string, ok bool)
}

// Match returns the first entry that matches, nil for none.
func (t *Table) Match(r *Request) *Entry {
	host := CanonicalHost(r.Host)
	for _, e := range t.Entries {
		if e.matches(r, host) {
			return e
		}
	}
	return nil
}

func (e *Entry) matches(r *Request, host string) bool {
	if !e.Path.Matches(r.Path) || e.PlainOnly && r.TLS {
		return false
	}
	if len(e.Hosts) > 0 && !slices.ContainsFunc(e.Hosts, func(h Host) bool { return h.Matches(host) }) {
		return false
	}
	if len(e.Methods) > 0 && !slices.Contains(e.Methods, r.Method) {
		return false
	}
	for i := range e.Headers {
		value, ok := r.Header(e.Headers[i].Name)
		if !ok || !e.Headers[i].matches(value) {
			return false
		}
	}
	return true
}

// CanonicalHost returns a Host header's host as routes are matched against it:
// in lower case, without a port (Envoy's strip_any_host_port).
func CanonicalHost(host string) string {
	return strings.ToLower(StripPort(host))
}

// StripPort removes a numeric port from a Host header, as Envoy does
// (source/common/http/header_utility.cc, stripPortFromHost).
func StripPort(host string) string {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host
	}
	if strings.IndexByte(host, '[') < 0 && strings.IndexByte(host, ':') != i {
		return host // an IPv6 address without brackets
	}
	for _, c := range []byte(host[i+1:]) {
		if c < '0' || c > '9' {
			return host
		}
	}
	return host[:i]
}
