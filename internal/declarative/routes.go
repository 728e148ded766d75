package declarative

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/identity"
	"github.com/sallyport-auth/sallyport/internal/routing"
)

// route reads a route; service is the one it is nested in, nil at the top level.
func (p *parser) route(v at, service *Service) {
	r := &Route{Service: service, StripPath: true, HTTPSRedirectStatus: 426, order: len(p.file.Routes)}
	var priority int64
	var status int64 = 426
	var paths []at
	var plugins []at
	var stripSet bool
	known := p.entity(v, &r.Entity, fields{
		"name":      p.text(&r.Name, notEmpty, entityName),
		"protocols": p.texts(&r.Protocols, oneOf("http", "https", "grpc", "grpcs")),
		"methods":   p.texts(&r.Methods, method),
		"hosts":     p.texts(&r.Hosts, routeHost),
		"paths":     p.list(func(v at) { paths = append(paths, v) }),
		"headers":   func(v at) { p.routeHeaders(v, r) },
		"strip_path": func(v at) {
			stripSet = true
			p.bool(&r.StripPath)(v)
		},
		"preserve_host":              p.bool(&r.PreserveHost),
		"regex_priority":             p.int(&priority, 0, 1<<31),
		"https_redirect_status_code": p.int(&status, 300, 426),
		"path_handling":              p.refuseUnless("Kong deprecates v1, and its traditional_compatible router ignores it: leave it out", "v0"),
		"request_buffering":          p.ignore, // bodies always stream
		"response_buffering":         p.ignore,
		"snis":                       p.refuseUnless("route by hosts"),
		"sources":                    p.refuseUnless("is for TCP routes"),
		"destinations":               p.refuseUnless("is for TCP routes"),
		"expression":                 p.refuse("write hosts, paths, methods and headers (the traditional router)"),
		"priority":                   p.refuseUnless("belongs to expression", "0"),
		"plugins":                    p.list(func(v at) { plugins = append(plugins, v) }),
	})
	if p.beside {
		delete(known, "plugins")
	}
	if service == nil {
		known["service"] = p.reference(&r.service)
	}
	if !p.record(v, known) {
		return
	}
	for _, path := range paths {
		p.routePath(path, r)
	}
	r.RegexPriority, r.HTTPSRedirectStatus = int(priority), int(status)
	if !slices.Contains([]int{426, 301, 302, 307, 308}, r.HTTPSRedirectStatus) {
		p.fail(v, "https_redirect_status_code is %d: expected 426, 301, 302, 307 or 308", status)
	}
	p.routeShape(v, r, stripSet)
	if service == nil && !r.service.set {
		p.fail(v, "has no service: there is nothing to proxy to")
	}
	if r.ID == "" {
		r.ID = p.kongID("routes", r.Name, r.describe())
	}
	p.file.Routes = append(p.file.Routes, r)
	for _, pl := range plugins {
		p.plugin(pl, scope{route: r})
	}
}

// routeShape checks what the members say together (routes_subschemas.lua).
func (p *parser) routeShape(v at, r *Route, stripSet bool) {
	if len(r.Protocols) == 0 {
		r.Protocols = []string{"http", "https"}
	}
	grpc := 0
	for _, proto := range r.Protocols {
		if strings.HasPrefix(proto, "grpc") {
			grpc++
		}
	}
	switch {
	case grpc != 0 && grpc != len(r.Protocols):
		p.fail(v, "protocols are %s: expected either http and https, or grpc and grpcs", strings.Join(r.Protocols, ", "))
	case grpc != 0 && stripSet && r.StripPath:
		p.fail(v, "strip_path is true: gRPC routes keep the path")
	case grpc != 0 && len(r.Methods) > 0:
		p.fail(v, "has methods: gRPC has only POST")
	}
	if grpc != 0 {
		r.StripPath = false
	}
	if len(r.Methods)+len(r.Hosts)+len(r.Headers)+len(r.Paths) == 0 && !p.failedAt(r.Path) {
		p.fail(v, "matches nothing: expected methods, hosts, headers or paths")
	}
}

// method is a check (typedefs.http_method).
func method(s string) string {
	for _, c := range []byte(s) {
		if c < 'A' || c > 'Z' {
			return "is " + strconv.Quote(s) + ": expected a method in upper case"
		}
	}
	return notEmpty(s)
}

// routeHost is a check for a host that may have one wildcard at one end
// (typedefs.hosts).
func routeHost(s string) string {
	name := s
	switch n := strings.Count(s, "*"); {
	case n > 1:
		return "is " + strconv.Quote(s) + ": expected at most one wildcard"
	case n == 1 && strings.HasPrefix(s, "*."):
		name = s[2:]
	case n == 1 && strings.HasSuffix(s, ".*"):
		name = s[:len(s)-2]
	case n == 1:
		return "is " + strconv.Quote(s) + ": expected the wildcard as the leftmost or rightmost label"
	}
	if strings.Contains(name, ":") && !strings.Contains(name, "/") && !strings.HasPrefix(name, "[") && strings.Count(name, ":") == 1 {
		return "is " + strconv.Quote(s) + ": a host with a port is not supported, because ports are stripped before a route is chosen"
	}
	return hostName(name)
}

// routeHeaders reads the headers that a route matches on.
func (p *parser) routeHeaders(v at, r *Route) {
	p.members(v, func(name string, key, value at) {
		lower := strings.ToLower(name)
		switch {
		case !isToken(name):
			p.fail(key, "is no header name")
			return
		case lower == "host":
			p.fail(key, "hosts belong in the field hosts")
			return
		case strings.HasPrefix(lower, "x-forwarded-"):
			p.fail(key, "is set by the proxy itself: a route must not depend on it")
			return
		case identity.IsHeader(lower):
			p.fail(key, "is set or removed by authentication: the proxy would choose the route again, and perhaps another one")
			return
		}
		value, ok := p.resolve(value)
		if !ok {
			return
		}
		var values []string
		before := p.errors
		p.texts(&values, notEmpty, printable)(value)
		if len(values) == 0 && p.errors == before {
			p.fail(value, "has no values: the route would match without the header")
		}
		h := HeaderMatch{Name: lower}
		for _, s := range values {
			expr, isRegex := strings.CutPrefix(s, "~*")
			if !isRegex {
				h.Values = append(h.Values, s)
				continue
			}
			if err := compiles(expr); err != nil {
				p.fail(value, "%s", badRegex(expr, err))
				continue
			}
			h.Regex = append(h.Regex, expr)
		}
		if err := compiles(strings.Join(h.Regex, "|")); err != nil {
			p.fail(value, "%s", badRegex(h.Name, err))
			return
		}
		if len(h.Values)+len(h.Regex) > 0 {
			r.Headers = append(r.Headers, h)
		}
	})
	slices.SortFunc(r.Headers, func(a, b HeaderMatch) int { return strings.Compare(a.Name, b.Name) })
}

// isToken reports whether s is a token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= 0x20 || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// routePath reads one path (typedefs.router_path).
func (p *parser) routePath(v at, r *Route) {
	s, ok := p.string(v)
	if !ok {
		return
	}
	if p.oldPaths {
		s = MigratePath(s)
	}
	if expr, isRegex := strings.CutPrefix(s, "~"); isRegex {
		p.regexPath(v, r, expr)
		return
	}
	if !strings.HasPrefix(s, "/") {
		p.fail(v, "is %q: expected a leading slash, or ~/ for a regular expression", s)
		return
	}
	for _, c := range s {
		if c <= 0x20 || c >= 0x7f || strings.ContainsRune("\"<>^`{|}\\#?", c) || c == '%' {
			p.fail(v, "holds %q: clients may write it in several ways; expected letters, digits and /-._~:@!$&'()*+,;=[], or a regular expression that lists the ways", string(c))
			return
		}
	}
	if normal, ok := routing.NormalizePath(s); !ok || normal != s {
		p.fail(v, "is not in normal form, so no request would match it: expected %q", normal)
		return
	}
	r.Paths = append(r.Paths, Path{Prefix: s})
}

// regexPath reads a path behind ~: anchored at the start, not at the end.
func (p *parser) regexPath(v at, r *Route, expr string) {
	if !strings.HasPrefix(expr, "/") {
		p.fail(v, "is %q: expected ~/ at the beginning of a regular expression", "~"+expr)
		return
	}
	for _, c := range []byte(expr) {
		if c <= 0x20 || c >= 0x7f {
			p.fail(v, "holds a space or a character beyond ASCII, which never stands in a request's path: write its percent-encoding")
			return
		}
	}
	if err := compiles(expr); err != nil {
		p.fail(v, "%s", badRegex(expr, err))
		return
	}
	r.Paths = append(r.Paths, Path{Regex: regexp.MustCompile("^(?:" + expr + ")"), Expr: expr})
}

// compiles returns what is wrong with a regular expression: on its own, lest a)(b
// breaks out of the groups that it is put into, and within as many groups as it
// will be.
func compiles(expr string) error {
	if _, err := regexp.Compile(expr); err != nil {
		return err
	}
	if _, err := regexp.Compile("^(?:" + expr + ")"); err != nil {
		return err
	}
	_, err := regexp.Compile("^(?:(?is:.*(?:(?:" + nonCapturing(expr) + ")).*)" + newDots + "(.*))$")
	return err
}

// badRegex explains what package regexp says.
func badRegex(expr string, err error) string {
	text := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	if strings.Contains(expr, "(?=") || strings.Contains(expr, "(?!") || strings.Contains(expr, "(?<=") || strings.Contains(expr, "(?<!") {
		text += " (look-around does not exist in RE2, which Envoy and Kong's own traditional_compatible router use in kind)"
	}
	return fmt.Sprintf("is not a regular expression of RE2: %s", text)
}

// describe returns what the route matches, as a stable name for one without.
func (r *Route) describe() string {
	var b strings.Builder
	service := r.service.value
	if r.Service != nil {
		service = firstNonEmpty(r.Service.Name, r.Service.ID)
	}
	b.WriteString(service)
	for _, list := range [][]string{r.Methods, r.Hosts, r.Protocols} {
		b.WriteString("|" + strings.Join(list, ","))
	}
	for _, p := range r.Paths {
		b.WriteString("|" + p.String())
	}
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "|%s=%q%q", h.Name, h.Values, h.Regex)
	}
	return b.String()
}

// String returns the path as it is written in a file.
func (p Path) String() string {
	if p.Regex != nil {
		return "~" + p.Expr
	}
	return p.Prefix
}

// plainPath are the characters that Kong before 3.0 took for a plain path
// (kong/db/migrations/migrate_path_280_300.lua).
var plainPath = regexp.MustCompile(`^[a-zA-Z0-9.\-_~/%]*$`)

// MigratePath turns a path from before Kong 3.0, which could be a regular
// expression without saying so, into today's notation.
func MigratePath(s string) string {
	if plainPath.MatchString(s) {
		if normal, ok := routing.NormalizePath(s); ok {
			return normal
		}
		return s
	}
	return "~" + s
}
