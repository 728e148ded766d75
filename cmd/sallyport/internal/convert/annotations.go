package convert

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// annotate takes over what the annotations of an Ingress say of its routes.
func (c *cluster) annotate(o *object, r *yaml.Node) {
	value := func(name string) (string, *yaml.Node) {
		n := dig(o.node, "metadata", "annotations", "konghq.com/"+name)
		return scalar(n), n
	}
	put := func(field string, v, from *yaml.Node) { set(r, field, c.d.at(v, from)) }
	for _, f := range []struct{ annotation, field string }{{"strip-path", "strip_path"}, {"preserve-host", "preserve_host"}} {
		if v, n := value(f.annotation); strings.EqualFold(v, "true") || strings.EqualFold(v, "false") {
			put(f.field, boolean(strings.EqualFold(v, "true")), n)
		}
	}
	if o.annotation("ingress.kubernetes.io/force-ssl-redirect") == "true" {
		set(r, "protocols", texts("https"))
		set(r, "https_redirect_status_code", integer("302"))
	}
	for _, f := range []struct{ annotation, field string }{{"https-redirect-status-code", "https_redirect_status_code"},
		{"regex-priority", "regex_priority"}} {
		if v, n := value(f.annotation); v != "" {
			put(f.field, integer(v), n)
		}
	}
	if v, n := value("protocols"); v != "" {
		put("protocols", texts(commas(v)...), n)
	}
	if v, n := value("methods"); v != "" {
		put("methods", texts(commas(strings.ToUpper(v))...), n)
	}
	if v, n := value("snis"); v != "" {
		put("snis", texts(commas(v)...), n)
	}
	if v, n := value("path-handling"); v != "" {
		put("path_handling", text(v), n)
	}
	if v, n := value("host-aliases"); v != "" {
		hosts := words(get(r, "hosts"))
		for _, h := range commas(v) {
			if !slices.Contains(hosts, h) {
				hosts = append(hosts, h)
			}
		}
		if len(words(get(r, "hosts"))) > 0 { // without a host the route takes all of them already
			put("hosts", texts(hosts...), n)
		}
	}
	c.headers(o, r)
	if slices.ContainsFunc(words(get(r, "protocols")), func(p string) bool { return strings.HasPrefix(p, "grpc") }) {
		set(r, "strip_path", boolean(false))
	}
	if unknown := c.others(o, "plugins", "strip-path", "preserve-host", "https-redirect-status-code", "regex-priority", "protocols", "methods", "snis",
		"path-handling", "host-aliases", "headers-separator", "regex-prefix", "request-buffering", "response-buffering", "tags"); unknown != "" {
		c.d.close(r, c.d.from[o.node], "%s has the annotation %s, which may be meant to guard it", o.label(), unknown)
	}
}

// headers takes over konghq.com/headers.NAME.
func (c *cluster) headers(o *object, r *yaml.Node) {
	separator := o.annotation("konghq.com/headers-separator")
	if separator == "" {
		separator = ","
	}
	members(dig(o.node, "metadata", "annotations"), func(key string, value *yaml.Node) {
		name, ok := strings.CutPrefix(key, "konghq.com/headers.")
		if !ok || name == "" || scalar(value) == "" {
			return
		}
		var list []string
		for _, v := range strings.Split(scalar(value), separator) {
			list = append(list, strings.TrimSpace(v))
		}
		all := get(r, "headers")
		if all == nil {
			all = mapping()
			set(r, "headers", all)
		}
		set(all, name, c.d.at(texts(list...), value))
	})
}

// harmlessAnnotations say how something is done, not what may be done.
var harmlessAnnotations = []string{"rewrite", "host-header", "upstream-policy", "override", "client-cert", "ca-certificates-secrets",
	"ca-certificates-configmaps", "tls-verify-depth"}

// others notes annotations of Kong's that are not converted. It returns one that may be
// meant to guard: a name that is not known, and KongIngress, which says what a route
// matches.
func (c *cluster) others(o *object, known ...string) (unknown string) {
	members(dig(o.node, "metadata", "annotations"), func(key string, value *yaml.Node) {
		name, kongs := strings.CutPrefix(key, "konghq.com/")
		switch {
		case key == "plugins.konghq.com", key == "configuration.konghq.com":
			unknown = key
			return
		case !kongs, slices.Contains(known, name), strings.HasPrefix(name, "headers."):
			return
		case slices.Contains(harmlessAnnotations, name) && (name != "override" || o.kind == "Service"):
			c.d.note(LeftOut, value, o.label(), "the annotation %s is not converted", key)
			return
		}
		unknown = key
	})
	return unknown
}

// commas returns the parts of a list with commas.
func commas(s string) (out []string) {
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
