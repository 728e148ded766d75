package convert

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// clusterDomain is what names of services in a cluster end in.
const clusterDomain = "svc.cluster.local"

// ingress makes routes of an Ingress, named as Kong's controller names them: one for
// each host and each port of a service.
func (c *cluster) ingress(o *object) {
	var routes []*yaml.Node
	byName := map[string]*yaml.Node{}
	for _, rule := range elements(dig(o.node, "spec", "rules")) {
		host := scalar(get(rule, "host"))
		for _, p := range elements(dig(rule, "http", "paths")) {
			name, service := c.backend(o, get(p, "backend"), p)
			name = o.namespace + "." + o.name + "." + strings.Replace(name, "\x00", "."+strings.ReplaceAll(host, "*", "_")+".", 1)
			r := byName[name]
			if r == nil {
				r = c.route(o, p, name, service)
				if host != "" {
					set(r, "hosts", texts(host))
				}
				byName[name] = r
				routes = append(routes, r)
			}
			for _, path := range paths(scalar(get(p, "path")), scalar(get(p, "pathType")), c.regexPrefix(o)) {
				push(r, "paths", c.d.at(text(path), p))
			}
		}
	}
	if b := dig(o.node, "spec", "defaultBackend"); b != nil {
		_, service := c.backend(o, b, b)
		r := c.route(o, b, o.namespace+"."+o.name, service)
		set(r, "paths", texts("/"))
		routes = append(routes, r)
	}
	if len(routes) == 0 {
		c.d.note(LeftOut, o.node, o.label(), "has no paths")
	}
	for _, r := range routes {
		c.annotate(o, r)
		c.want(o, r)
	}
	c.certificates(o)
}

// route adds a route to a service. What is behind at is where it comes from.
func (c *cluster) route(o *object, at *yaml.Node, name string, service *yaml.Node) *yaml.Node {
	r := c.d.at(mapping(), at)
	set(r, "name", text(name))
	set(r, "strip_path", boolean(false))
	set(r, "preserve_host", boolean(true))
	push(service, "routes", r)
	if c.d.broken[service] {
		c.d.close(r, c.d.from[at], "where %s sends its requests cannot be told", o.label())
	}
	return r
}

// paths are those of a Kong route for a path of an Ingress. A prefix goes by whole
// elements.
func paths(path, pathType, regexPrefix string) []string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	switch pathType {
	case "Prefix":
		if path = strings.Trim(path, "/"); path == "" {
			return []string{"/"}
		}
		return []string{"/" + path + "/", "~/" + regexp.QuoteMeta(path) + "$"}
	case "Exact":
		return []string{"~/" + regexp.QuoteMeta(strings.TrimLeft(path, "/")) + "$"}
	case "", "ImplementationSpecific":
		if path == "" {
			return []string{"/"}
		}
		if expr, ok := strings.CutPrefix(path, regexPrefix); ok && regexPrefix != "" {
			return []string{"~" + expr}
		}
		return []string{path}
	}
	return []string{"pathType " + pathType} // which the parser refuses
}

// regexPrefix is what a path that is a regular expression begins with.
func (c *cluster) regexPrefix(o *object) string {
	if n := dig(o.node, "metadata", "annotations", "konghq.com/regex-prefix"); n != nil {
		return scalar(n)
	}
	return "/~"
}

// backend returns the service of the file for a backend, and its name and port for the
// name of a route. One that cannot be told is a service that answers nothing.
func (c *cluster) backend(o *object, b, at *yaml.Node) (name string, service *yaml.Node) {
	svc, port := scalar(dig(b, "service", "name")), scalar(dig(b, "service", "port", "number"))
	named := scalar(dig(b, "service", "port", "name"))
	if svc == "" { // extensions/v1beta1
		svc, port = scalar(get(b, "serviceName")), scalar(get(b, "servicePort"))
	}
	k := c.find("Service", o.namespace, svc)
	canonical := port
	if port == "" {
		canonical = named
	}
	for _, p := range elements(dig(k.get(), "spec", "ports")) {
		if n := scalar(get(p, "name")); n != "" && n == canonical {
			port = scalar(get(p, "port"))
		}
	}
	key := o.namespace + "." + svc + "." + canonical
	name = svc + "\x00" + canonical
	if s := c.upstreams[key]; s != nil {
		return name, s
	}
	s := c.d.at(mapping(), at)
	set(s, "name", text(key))
	c.upstreams[key] = s
	push(c.d.root, "services", s)
	if svc == "" || integer(port).Tag != "!!int" {
		why := "its backend is no Service"
		if svc != "" {
			why = "the number of port " + canonical + " of Service " + svc + " is not among the inputs: add the Service"
		}
		c.d.note(LeftOut, at, "a backend of "+o.label(), "%s", why)
		if svc == "" {
			set(s, "name", text(key+"left-out"))
		}
		set(s, "host", text("left-out.invalid"))
		c.d.broken[s] = true
		return name, s
	}
	c.upstream(s, k, svc+"."+o.namespace+"."+clusterDomain, port)
	if k == nil {
		if c.absent == nil {
			c.absent = map[string][]*yaml.Node{}
		}
		c.absent[o.namespace] = append(c.absent[o.namespace], s)
	}
	return name, s
}

func (o *object) get() *yaml.Node {
	if o == nil {
		return nil
	}
	return o.node
}

// upstream fills in where a service of the file goes, by the annotations of the
// Kubernetes Service k, if that is among the inputs.
func (c *cluster) upstream(s *yaml.Node, k *object, host, port string) {
	protocol, path := "http", ""
	if k != nil {
		k.used++
		if external := scalar(dig(k.node, "spec", "externalName")); external != "" {
			host = external
		}
		if p := k.annotation("konghq.com/protocol"); p != "" {
			protocol = p
		}
		path = k.annotation("konghq.com/path")
		if strings.HasPrefix(protocol, "grpc") {
			path = ""
		}
	}
	set(s, "url", text(protocol+"://"+host+":"+port+path))
	if k == nil {
		c.d.note(LeftOut, s, label("service", s), "the Service is not among the inputs: what its annotations say, plugins among it, is not in the file")
		return
	}
	for _, f := range []struct{ annotation, field string }{{"connect-timeout", "connect_timeout"}, {"write-timeout", "write_timeout"},
		{"read-timeout", "read_timeout"}, {"retries", "retries"}} {
		if v := k.annotation("konghq.com/" + f.annotation); v != "" {
			set(s, f.field, c.d.at(integer(v), dig(k.node, "metadata", "annotations", "konghq.com/"+f.annotation)))
		}
	}
	if v := k.annotation("konghq.com/tls-verify"); v == "true" || v == "false" {
		set(s, "tls_verify", boolean(v == "true"))
	}
	c.wantService(k, s)
}

// certificates makes those of an Ingress' tls.
func (c *cluster) certificates(o *object) {
	for _, t := range elements(dig(o.node, "spec", "tls")) {
		name := scalar(get(t, "secretName"))
		secret := c.find("Secret", o.namespace, name)
		if secret == nil {
			c.d.note(LeftOut, t, "tls of "+o.label(), "the Secret %q is not among the inputs", name)
			continue
		}
		var snis []string
		for _, h := range words(get(t, "hosts")) {
			if !c.hasSNI(h) {
				snis = append(snis, h)
			}
		}
		cert, key := c.value(secret, "tls.crt"), c.value(secret, "tls.key")
		if len(snis) == 0 || cert == "" || key == "" {
			c.d.note(LeftOut, t, "tls of "+o.label(), "there is no certificate with a key in Secret %q, or no host for it that has none yet", name)
			continue
		}
		e := c.d.at(mapping(), t)
		set(e, "cert", text(cert))
		set(e, "key", text(key))
		for _, s := range snis {
			n := mapping()
			set(n, "name", text(s))
			push(e, "snis", n)
		}
		push(c.d.root, "certificates", e)
	}
}

func (c *cluster) hasSNI(host string) bool {
	for _, e := range c.d.list("certificates") {
		for _, n := range elements(get(e, "snis")) {
			if strings.EqualFold(scalar(get(n, "name")), host) {
				return true
			}
		}
	}
	return false
}
