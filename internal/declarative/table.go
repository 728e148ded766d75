package declarative

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/routing"
)

// Table returns the routes as the list that both hosts try in order. The order
// is that of Kong's traditional_compatible router (kong/router/transform.lua,
// get_priority); between equals, which Kong leaves undefined, the file's.
func (f *File) Table() *routing.Table {
	var groups []group
	for _, r := range f.Routes {
		groups = append(groups, r.groups()...)
	}
	slices.SortStableFunc(groups, func(a, b group) int { return b.compare(a) })
	t := &routing.Table{}
	if f.Called() {
		t.Entries = append(t.Entries, f.reserved())
	}
	for _, g := range groups {
		t.Entries = append(t.Entries, g.entries()...)
	}
	return t
}

// BundleName is what the proxy reports of a route: its name or id, and a hash of
// its match and its service, so that a proxy with an older file never puts
// another chain on the route than the one it was written with (D2).
func (r *Route) BundleName() string {
	h := sha256.New()
	write := func(parts ...string) {
		for _, s := range parts {
			h.Write([]byte(strconv.Itoa(len(s)) + ":" + s))
		}
	}
	write(r.describe(), strconv.FormatBool(r.StripPath), strconv.FormatBool(r.PreserveHost), strconv.Itoa(r.RegexPriority))
	s := r.Service
	write(s.Protocol, s.Host, strconv.Itoa(s.Port), s.PathPrefix)
	return firstNonEmpty(r.Name, r.ID) + "." + hex.EncodeToString(h.Sum(nil))[:12]
}

// HTTPSName is BundleName for requests that came without TLS on a route that
// takes only TLS.
func (r *Route) HTTPSName() string { return r.BundleName() + ".https" }

// group is the part of a route with paths of one priority: Kong splits a route
// by the lengths of its prefixes, with all its regular expressions together.
type group struct {
	route *Route
	paths []Path
}

// groups splits a route's paths.
func (r *Route) groups() []group {
	if len(r.Paths) == 0 {
		return []group{{route: r}}
	}
	var out []group
	for _, p := range r.Paths {
		same := func(g group) bool {
			q := g.paths[0]
			return (q.Regex != nil) == (p.Regex != nil) && len(q.Prefix) == len(p.Prefix)
		}
		if i := slices.IndexFunc(out, same); i >= 0 {
			out[i].paths = append(out[i].paths, p)
		} else {
			out = append(out, group{r, []Path{p}})
		}
	}
	return out
}

// compare orders groups by Kong's priority, the more important last: the number
// of attributes that are matched on; only plain hosts before hosts with
// wildcards; the number of headers; regular expressions before prefixes; among
// the former regex_priority, among the latter length.
func (g group) compare(o group) int {
	for _, pair := range [][2]int{
		{g.attributes(), o.attributes()},
		{g.plainHosts(), o.plainHosts()},
		{min(len(g.route.Headers), 255), min(len(o.route.Headers), 255)},
		{g.isRegex(), o.isRegex()},
		{g.regexPriority(), o.regexPriority()},
		{g.length(), o.length()},
	} {
		if pair[0] != pair[1] {
			return pair[0] - pair[1]
		}
	}
	return 0
}

func (g group) attributes() int {
	r, n := g.route, 0
	for _, there := range []bool{len(r.Methods) > 0, len(r.Hosts) > 0, len(r.Headers) > 0, len(r.Paths) > 0} {
		if there {
			n++
		}
	}
	return n
}

func (g group) plainHosts() int {
	hosts := g.route.Hosts
	if len(hosts) == 0 || slices.ContainsFunc(hosts, func(h string) bool { return strings.Contains(h, "*") }) {
		return 0
	}
	return 1
}

func (g group) isRegex() int {
	if len(g.paths) > 0 && g.paths[0].Regex != nil {
		return 1
	}
	return 0
}

func (g group) regexPriority() int { return g.isRegex() * g.route.RegexPriority }

func (g group) length() int {
	if len(g.paths) == 0 {
		return 0
	}
	return len(g.paths[0].Prefix)
}

// entries writes the group out.
func (g group) entries() []*routing.Entry {
	base := g.route.entry()
	paths := g.paths
	if len(paths) == 0 {
		paths = []Path{{Prefix: "/"}}
	}
	var out []*routing.Entry
	for _, p := range paths {
		out = append(out, g.route.pathEntries(base, p, len(g.paths) > 0)...)
	}
	if g.route.Takes(false) {
		return out
	}
	// A route for TLS only has a twin for requests without, which the filter
	// answers. It comes first: the route itself matches these requests too.
	var twins []*routing.Entry
	for _, e := range out {
		twin := *e
		twin.Name, twin.PlainOnly, twin.NoUpstream = g.route.HTTPSName(), true, true
		twins = append(twins, &twin)
	}
	return append(twins, out...)
}

// entry returns what all entries of a route have in common.
func (r *Route) entry() routing.Entry {
	s := r.Service
	e := routing.Entry{
		Name:         r.BundleName(),
		Methods:      r.Methods,
		Cluster:      s.Cluster(),
		PreserveHost: r.PreserveHost,
		HostHeader:   s.hostHeader(),
		ReadTimeout:  s.ReadTimeout,
		WriteTimeout: s.WriteTimeout,
		Retries:      s.Retries,
	}
	for _, h := range r.Hosts {
		e.Hosts = append(e.Hosts, routingHost(h))
	}
	for _, h := range r.Headers {
		m := routing.Header{Name: h.Name, Exact: h.Values}
		if len(h.Regex) > 0 {
			// Kong searches, the table matches the whole value.
			m.Regex = anchored("(?is:.*(?:" + strings.Join(h.Regex, "|") + ").*)")
		}
		e.Headers = append(e.Headers, m)
	}
	return e
}

func routingHost(h string) routing.Host {
	h = strings.ToLower(h)
	switch {
	case strings.HasPrefix(h, "*"):
		return routing.Host{Suffix: h[1:]}
	case strings.HasSuffix(h, "*"):
		return routing.Host{Prefix: h[:len(h)-1]}
	}
	return routing.Host{Exact: h}
}

func anchored(expr string) *regexp.Regexp { return regexp.MustCompile("^(?:" + expr + ")$") }

// Cluster names the upstream connection pool of a service.
func (s *Service) Cluster() string { return firstNonEmpty(s.Name, s.ID) }

// hostHeader returns the Host header that the upstream gets where the client's
// is not preserved; "" where it is the name of the target that is chosen
// (kong/runloop/balancer/init.lua, set_host_header).
func (s *Service) hostHeader() string {
	switch {
	case s.Upstream == nil:
		return s.HostHeader(s.Host, s.Port)
	case s.Upstream.HostHeader != "":
		return s.Upstream.HostHeader
	}
	return ""
}

// HostHeader returns a Host header: the port is left out where it is the
// protocol's own.
func (s *Service) HostHeader(host string, port int) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	if port == 80 && !s.TLS() || port == 443 && s.TLS() {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port))
}

// pathEntries returns the entries of one path: what it matches, and what becomes
// of it on the way to the service (kong/router/utils.lua, get_upstream_uri_v0).
// Several are needed where the outcome depends on what follows the match, because
// neither an Envoy route nor ours has conditions within.
func (r *Route) pathEntries(base routing.Entry, p Path, hasPath bool) []*routing.Entry {
	prefix := strings.TrimSuffix(r.Service.PathPrefix, "/")
	if p.Regex != nil {
		return r.regexEntries(base, p, prefix)
	}
	strip := r.StripPath && hasPath && p.Prefix != "/" // of which nothing can be stripped
	entry := func(path routing.Path, rewrite string) *routing.Entry {
		e := base
		e.Path, e.Rewrite = path, routing.Rewrite{Set: true, Prefix: rewrite}
		if strip {
			e.Prefix = p.Prefix
		}
		return &e
	}
	if !strip {
		if prefix == "" {
			e := entry(routing.Path{Prefix: p.Prefix}, "")
			e.Rewrite = routing.Rewrite{}
			return []*routing.Entry{e}
		}
		out := []*routing.Entry{entry(routing.Path{Prefix: p.Prefix}, prefix+p.Prefix)}
		if p.Prefix == "/" && !strings.HasSuffix(r.Service.PathPrefix, "/") {
			out = append([]*routing.Entry{entry(routing.Path{Exact: "/"}, prefix)}, out...)
		}
		return out
	}
	if strings.HasSuffix(p.Prefix, "/") {
		return []*routing.Entry{entry(routing.Path{Prefix: p.Prefix}, prefix+"/")}
	}
	out := []*routing.Entry{entry(routing.Path{Prefix: p.Prefix + "/"}, prefix+"/")}
	if prefix != "" {
		out = append(out, entry(routing.Path{Exact: p.Prefix}, prefix))
	}
	dots := entry(routing.Path{Prefix: p.Prefix + "."}, "")
	dots.Rewrite = routing.Rewrite{
		Regex:        regexp.MustCompile("^" + regexp.QuoteMeta(p.Prefix) + newDots + "(.*)$"),
		Substitution: prefix + `/\1`,
	}
	return append(out, dots, entry(routing.Path{Prefix: p.Prefix}, prefix+"/"))
}

// newDots matches a dot segment, with or without a parameter, that begins where
// something is stripped: of /api../x nothing but /x may be left, lest a request
// climbs out of the service's path (kong/router/utils.lua, sanitize_uri_postfix).
const newDots = `(?:\.\.?(?:;[^/]*)?(?:/|$))?`

// regexEntries is pathEntries for a regular expression.
func (r *Route) regexEntries(base routing.Entry, p Path, prefix string) []*routing.Entry {
	expr := "(?:" + nonCapturing(p.Expr) + ")" // whose groups must not count beside ours
	entry := func(match, rewrite, substitution string) *routing.Entry {
		e := base
		e.Path = routing.Path{Regex: anchored(match)}
		if rewrite != "" {
			e.Rewrite = routing.Rewrite{Regex: regexp.MustCompile(rewrite), Substitution: substitution}
		}
		return &e
	}
	switch {
	case !r.StripPath && prefix == "":
		return []*routing.Entry{entry(expr+".*", "", "")}
	case !r.StripPath:
		out := []*routing.Entry{entry(expr+".*", "^(.*)$", prefix+`\1`)}
		if p.Regex.MatchString("/") && !strings.HasSuffix(r.Service.PathPrefix, "/") {
			e := base
			e.Path, e.Rewrite = routing.Path{Exact: "/"}, routing.Rewrite{Set: true, Prefix: prefix}
			out = append([]*routing.Entry{&e}, out...)
		}
		return out
	case prefix == "":
		return []*routing.Entry{entry(expr+".*", "^"+expr+"(?:/|"+newDots+")(.*)$", `/\1`)}
	}
	return []*routing.Entry{
		entry(expr+"(?:/.*)?", "^"+expr+"((?:/.*)?)$", prefix+`\1`),
		entry(expr+".*", "^"+expr+newDots+"(.*)$", prefix+`/\1`),
	}
}

// nonCapturing returns the expression, which has been compiled before, without
// groups that capture. It changes the text and nothing else: what package syntax
// prints of a parsed expression names characters beyond Latin-1, which Envoy 1.40
// refuses.
func nonCapturing(expr string) string {
	var b strings.Builder
	for rest := expr; rest != ""; {
		n := 1
		switch {
		case strings.HasPrefix(rest, `\Q`):
			if n = strings.Index(rest, `\E`) + 2; n < 2 {
				n = len(rest)
			}
		case rest[0] == '\\':
			n = min(2, len(rest))
		case rest[0] == '[':
			n = classLength(rest)
		case strings.HasPrefix(rest, "(?P<"), strings.HasPrefix(rest, "(?<"):
			b.WriteString("(?:")
			rest = rest[strings.IndexByte(rest, '>')+1:]
			continue
		case rest[0] == '(' && !strings.HasPrefix(rest, "(?"):
			b.WriteString("(?:")
			rest = rest[1:]
			continue
		}
		b.WriteString(rest[:n])
		rest = rest[n:]
	}
	return b.String()
}

// classLength returns the length of the character class that s begins with.
func classLength(s string) int {
	i := 1
	if i < len(s) && s[i] == '^' {
		i++
	}
	for first := true; i < len(s); first = false {
		switch {
		case s[i] == ']' && !first: // the first one is a member
			return i + 1
		case s[i] == '\\':
			i += 2
		case strings.HasPrefix(s[i:], "[:") && strings.Contains(s[i+2:], ":]"):
			i += 2 + strings.Index(s[i+2:], ":]") + 2
		default:
			i++
		}
	}
	return len(s)
}
