package declarative

import (
	"net"
	"net/netip"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// pendingTarget is a target whose upstream is not known yet.
type pendingTarget struct {
	target   Target
	upstream ref
	at       at
}

// upstream reads an upstream with its nested targets. Balancing by weighted
// round robin and by least connections is what both hosts do alike; the rest is
// refused rather than quietly done another way.
func (p *parser) upstream(v at) {
	u := &Upstream{}
	algorithm := "round-robin"
	var targets []at
	ok := p.record(v, p.entity(v, &u.Entity, fields{
		"name":        p.text(&u.Name, notEmpty, upstreamName),
		"algorithm":   p.text(&algorithm, oneOf("round-robin", "least-connections")),
		"host_header": p.text(&u.HostHeader, notEmpty, hostPort),
		"targets":     p.list(func(v at) { targets = append(targets, v) }),
		"slots":       p.ignore, // the size of Kong's ring

		"hash_on":                   p.refuseUnless("requests are balanced by round robin or least connections", "none"),
		"hash_fallback":             p.refuseUnless("requests are balanced by round robin or least connections", "none"),
		"hash_on_header":            p.refuse("belongs to hash_on"),
		"hash_fallback_header":      p.refuse("belongs to hash_on"),
		"hash_on_cookie":            p.refuse("belongs to hash_on"),
		"hash_on_cookie_path":       p.ignore, // means something only with hash_on
		"hash_on_query_arg":         p.refuse("belongs to hash_on"),
		"hash_fallback_query_arg":   p.refuse("belongs to hash_on"),
		"hash_on_uri_capture":       p.refuse("belongs to hash_on"),
		"hash_fallback_uri_capture": p.refuse("belongs to hash_on"),
		"client_certificate":        p.refuse("client certificates to upstreams are not sent"),
		"use_srv_name":              p.refuseUnless("SRV records are not looked up", "false"),
		"healthchecks":              p.healthchecks,
	}))
	if !ok {
		return
	}
	if u.Name == "" && !p.failedAt(v.path) {
		p.fail(v, "has no name: services refer to an upstream by it")
	}
	u.LeastConn = algorithm == "least-connections"
	if u.ID == "" {
		u.ID = kongID("upstreams", u.Name)
	}
	p.file.Upstreams = append(p.file.Upstreams, u)
	for _, t := range targets {
		p.target(t, u)
	}
}

// healthchecks accepts a configuration in which every check is off, which is
// Kong's default and what decK writes out.
func (p *parser) healthchecks(v at) {
	p.members(v, func(_ string, _, value at) { p.healthcheck(value, 0) })
}

func (p *parser) healthcheck(v at, depth int) {
	v, ok := p.resolve(v)
	if !ok || depth > 4 {
		return
	}
	if v.node.Kind != yaml.MappingNode {
		return
	}
	p.members(v, func(name string, _, value at) {
		switch name {
		case "interval", "successes", "tcp_failures", "timeouts", "http_failures":
			if value.node.Value != "0" {
				p.note(unsupported, value, "is not supported: targets are not health-checked (0 switches the check off)")
			}
		default:
			p.healthcheck(value, depth+1)
		}
	})
}

// target reads a target; upstream is the one it is nested in.
func (p *parser) target(v at, upstream *Upstream) {
	t := pendingTarget{at: v}
	address := ""
	var weight int64 = 100
	var e Entity
	known := p.entity(v, &e, fields{
		"target": p.text(&address, notEmpty),
		"weight": p.int(&weight, 0, 65535),
	})
	if upstream == nil {
		known["upstream"] = p.reference(&t.upstream)
	}
	if !p.record(v, known) {
		return
	}
	host, port, ok := splitTarget(address)
	if !ok {
		p.fail(v, "target is %q: expected host:port or an IP address", address)
		return
	}
	t.target = Target{Host: host, Port: port, Weight: int(weight)}
	if upstream != nil {
		upstream.Targets = append(upstream.Targets, t.target)
		return
	}
	if !t.upstream.set {
		p.fail(v, "has no upstream")
		return
	}
	p.targets = append(p.targets, t)
}

// splitTarget reads host, host:port, v4, [v6] or [v6]:port; without a port it
// is 8000, as in Kong.
func splitTarget(s string) (host string, port int, ok bool) {
	host, port = s, 8000
	if addr, err := netip.ParseAddr(unbracket(s)); err == nil {
		return addr.String(), port, addr.Zone() == ""
	}
	if h, ps, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(ps, 10, 16)
		if err != nil || n == 0 {
			return "", 0, false
		}
		host, port = h, int(n)
	}
	return host, port, hostName(host) == "" && host != ""
}

// upstreamName is a check. Kong refuses addresses, which services name when they
// mean no upstream.
func upstreamName(s string) string {
	if _, err := netip.ParseAddr(unbracket(s)); err == nil {
		return "is " + strconv.Quote(s) + ": expected a name, not an address"
	}
	return hostName(s)
}

// hostPort is a check for a host with an optional port.
func hostPort(s string) string {
	if _, _, ok := splitTarget(s); !ok {
		return "is " + strconv.Quote(s) + ": expected a host, with or without a port"
	}
	return ""
}
