package declarative

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxTimeout is Kong's bound on time-outs, in milliseconds.
const maxTimeout = 1<<31 - 2

// service reads a service with its nested routes and plugins.
func (p *parser) service(v at) {
	s := &Service{Protocol: "http", Retries: 5, ConnectTimeout: 60000, WriteTimeout: 60000, ReadTimeout: 60000, Verify: true, Enabled: true}
	var port, retries, connect, write, read int64 = 0, 5, 60000, 60000, 60000
	var whole *at // url, which wins over its parts as in Kong
	var routes, plugins []at
	collect := func(dst *[]at) reader { return p.list(func(v at) { *dst = append(*dst, v) }) }
	known := p.entity(v, &s.Entity, fields{
		"name":            p.text(&s.Name, notEmpty, entityName),
		"url":             func(v at) { whole = &v },
		"protocol":        p.text(&s.Protocol, oneOf("http", "https", "grpc", "grpcs")),
		"host":            p.text(&s.Host, notEmpty, hostName),
		"port":            p.int(&port, 0, 65535),
		"path":            p.text(&s.PathPrefix, servicePath),
		"retries":         p.int(&retries, 0, 32767),
		"connect_timeout": p.int(&connect, 1, maxTimeout),
		"write_timeout":   p.int(&write, 1, maxTimeout),
		"read_timeout":    p.int(&read, 1, maxTimeout),
		"enabled":         p.bool(&s.Enabled),
		"tls_verify": func(v at) {
			p.bool(&s.Verify)(v)
			if !s.Verify {
				p.note(tlsVerifyOff, v, "is false: anybody between here and the upstream can read and change requests")
			}
		},
		"ca_certificates": p.list(func(v at) {
			var r ref
			p.reference(&r)(v)
			s.caRefs = append(s.caRefs, r)
		}),
		"tls_verify_depth":   p.refuse("chains are verified as far as they go"),
		"client_certificate": p.refuse("client certificates to upstreams are not sent"),
		"routes":             collect(&routes),
		"plugins":            collect(&plugins),
	})
	if p.beside {
		delete(known, "routes")
		delete(known, "plugins")
	}
	if !p.record(v, known) {
		return
	}
	if whole != nil {
		p.serviceURL(*whole, s, &port)
	}
	if s.Host == "" && !p.failedAt(v.path) {
		p.fail(v, "has neither url nor host: expected one of them")
	}
	s.Host = unbracket(s.Host)
	s.Port, s.Retries = int(port), int(retries)
	s.ConnectTimeout, s.WriteTimeout, s.ReadTimeout = int(connect), int(write), int(read)
	if s.Port == 0 {
		s.Port = 80
		if s.TLS() {
			s.Port = 443
		}
	}
	if s.GRPC() && s.PathPrefix != "" {
		p.fail(v, "has a path and protocol %s: gRPC has none", s.Protocol)
	}
	if s.ID == "" {
		s.ID = p.kongID("services", s.Name, s.Protocol+"://"+s.Host+":"+strconv.Itoa(s.Port)+s.PathPrefix)
	}
	p.file.Services = append(p.file.Services, s)
	for _, r := range routes {
		p.route(r, s)
	}
	for _, pl := range plugins {
		p.plugin(pl, scope{service: s})
	}
}

// serviceURL reads the shorthand url.
func (p *parser) serviceURL(v at, s *Service, port *int64) {
	raw, ok := p.string(v)
	if !ok {
		return
	}
	protocol, host, n, path, wrong := SplitURL(raw)
	if wrong != "" {
		p.fail(v, "%s", wrong)
		return
	}
	*port = n
	s.Protocol, s.Host, s.PathPrefix = protocol, host, path
}

// SplitURL parts a service's url into the fields that it is short for; port is 0 where the
// url has none. wrong says what is wrong with it.
func SplitURL(raw string) (protocol, host string, port int64, path, wrong string) {
	fail := func(format string, args ...any) (string, string, int64, string, string) {
		return "", "", 0, "", fmt.Sprintf(format, args...)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return fail("is %q: expected a URL like http://host:port/path", raw)
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return fail("has a query or fragment: expected protocol, host, port and path only")
	case u.User != nil:
		return fail("has a user name: credentials do not belong in a service's url")
	}
	if wrong := oneOf("http", "https", "grpc", "grpcs")(u.Scheme); wrong != "" {
		return fail("has protocol %q: expected http, https, grpc or grpcs", u.Scheme)
	}
	if wrong := hostName(u.Hostname()); wrong != "" {
		return fail("has a host that %s", wrong)
	}
	if path = u.EscapedPath(); path != "" {
		if wrong := servicePath(path); wrong != "" {
			return fail("has a path that %s", wrong)
		}
	}
	if u.Port() != "" {
		n, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil || n == 0 {
			return fail("has port %s: expected 1 to 65535", u.Port())
		}
		port = int64(n)
	}
	return u.Scheme, u.Hostname(), port, path, ""
}

// servicePath is a check for a path that is put before others (typedefs.path).
func servicePath(s string) string {
	switch {
	case !strings.HasPrefix(s, "/"):
		return "is " + strconv.Quote(s) + ": expected a leading slash"
	case strings.Contains(s, "//"):
		return "has an empty segment (//)"
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return "has a % without two hex digits"
			}
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("/-._~:@!$&'()*+,;=", c) >= 0:
		default:
			return "holds " + strconv.QuoteRune(rune(c)) + ", which a URL path has to percent-encode"
		}
	}
	return ""
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// hostName is a check for a host name or address without port (typedefs.host).
func hostName(s string) string {
	if addr, err := netip.ParseAddr(unbracket(s)); err == nil && addr.Zone() == "" {
		return ""
	}
	if strings.Contains(s, "://") {
		return "is " + strconv.Quote(s) + ": expected a host name or an IP address, without a scheme"
	}
	if strings.Contains(s, ":") {
		return "is " + strconv.Quote(s) + ": expected a host without a port"
	}
	if len(s) > 253 || !isHostName(s) {
		return "is " + strconv.Quote(s) + ": expected a host name or an IP address"
	}
	return ""
}

// unbracket returns an IPv6 address without its brackets, anything else as it is.
func unbracket(s string) string {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok && strings.Contains(inner, ":") {
			return inner
		}
	}
	return s
}

// isHostName reports whether s is letters, digits, dots, dashes and underscores
// in non-empty labels.
func isHostName(s string) bool {
	for _, label := range strings.Split(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range []byte(label) {
			if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// entityName is a check for names of services and routes (typedefs.utf8_name).
func entityName(s string) string {
	for _, c := range s {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.ContainsRune(".-_~", c) || c >= 0x80 && c != '�'
		if !ok {
			return "is " + strconv.Quote(s) + ": expected letters, digits, '.', '-', '_' and '~'"
		}
	}
	return ""
}

func firstNonEmpty(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
