package convert

import (
	"encoding/base64"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// binding is a plugin that an Ingress or a Service names.
type binding struct {
	of   *object
	name string
	to   *yaml.Node // the route or service of the file
}

// pluginNames lists what konghq.com/plugins names.
func pluginNames(o *object) []string { return commas(o.annotation("konghq.com/plugins")) }

// want remembers the plugins of a route.
func (c *cluster) want(o *object, route *yaml.Node) {
	for _, name := range pluginNames(o) {
		c.bindings = append(c.bindings, &binding{o, name, route})
	}
}

// wantService remembers those of a Kubernetes Service, for the service of the file.
func (c *cluster) wantService(k *object, service *yaml.Node) {
	c.want(k, service)
	if unknown := c.others(k, "protocol", "path", "connect-timeout", "write-timeout", "read-timeout", "retries", "tls-verify", "plugins", "tags"); unknown != "" {
		c.bindings = append(c.bindings, &binding{k, "", service})
	}
}

// plugin returns the KongPlugin of a namespace or, failing that, the KongClusterPlugin
// of a name; namespace:name is one of another namespace.
func (c *cluster) plugin(namespace, name string) *object {
	if other, rest, ok := strings.Cut(name, ":"); ok {
		return c.find("KongPlugin", other, rest)
	}
	if p := c.find("KongPlugin", namespace, name); p != nil {
		return p
	}
	return c.find("KongClusterPlugin", "", name)
}

func guardObject(p *object) bool {
	return !declarative.GuardsNothing(scalar(get(p.node, "plugin"))) && scalar(get(p.node, "disabled")) != "true"
}

// bind puts plugins where they are named. What is bound once keeps its instance's name:
// of several, each would have sessions of its own.
func (c *cluster) bind() {
	for _, b := range c.bindings {
		if p := c.plugin(b.of.namespace, b.name); p != nil {
			p.used++
		}
	}
	for _, b := range c.bindings {
		p := c.plugin(b.of.namespace, b.name)
		why := ""
		var made *yaml.Node
		switch {
		case b.name == "":
			why = "it has an annotation that is not known, and may be meant to guard it"
		case p == nil:
			why = "the plugin " + b.name + " is not among the inputs" + c.elsewhere(b.name)
		default:
			made, why = c.entity(p)
		}
		if why == "" {
			c.d.at(made, p.node)
			push(b.to, "plugins", made)
			continue
		}
		routes := []*yaml.Node{b.to}
		if b.of.kind == "Service" {
			routes = elements(get(b.to, "routes"))
		}
		for _, r := range routes {
			if c.d.closed[r] != nil && b.name != "" {
				c.d.noteAt(LeftOut, c.d.from[b.of.node], "plugin "+b.name+" of "+label("route", r), "%s: %s", b.of.label(), why)
			}
			c.d.close(r, c.d.from[b.of.node], "%s: %s", b.of.label(), why)
		}
	}
}

// elsewhere hints at a plugin of that name in another namespace.
func (c *cluster) elsewhere(name string) string {
	for _, o := range c.objects {
		if o.kind == "KongPlugin" && o.name == name {
			return ": there is one in the namespace " + o.namespace + ", and an Ingress or Service has only those of its own (--namespace says where objects are that name none)"
		}
	}
	return ""
}

// global makes a plugin of the whole file, of a KongClusterPlugin with the label global.
func (c *cluster) global(o *object) {
	if scalar(dig(o.node, "metadata", "labels", "global")) != "true" {
		return
	}
	o.used++
	p, why := c.entity(o)
	switch {
	case why == "":
		push(c.d.root, "plugins", c.d.at(p, o.node))
	case guardObject(o):
		c.d.note(Refused, o.node, o.label(), "guards everything, and cannot be converted: %s", why)
	default:
		c.d.note(LeftOut, o.node, o.label(), "%s", why)
	}
}

// entity makes a plugin of the file of a KongPlugin or a KongClusterPlugin.
func (c *cluster) entity(o *object) (p *yaml.Node, why string) {
	p = mapping()
	set(p, "name", c.d.at(text(scalar(get(o.node, "plugin"))), get(o.node, "plugin")))
	if name := scalar(get(o.node, "instanceName")); name != "" && o.used == 1 {
		set(p, "instance_name", text(name))
	} else if name != "" {
		c.d.note(Changed, o.node, o.label(), "has no instance_name, because it is bound to several places: so they share their sessions")
	}
	if scalar(get(o.node, "disabled")) == "true" {
		set(p, "enabled", boolean(false))
	}
	for _, f := range []string{"protocols", "ordering"} {
		if v := get(o.node, f); v != nil {
			set(p, f, c.copyOf(v))
		}
	}
	config := mapping()
	if v := get(o.node, "config"); v != nil {
		config = c.copyOf(v)
	}
	if from := get(o.node, "configFrom"); from != nil {
		if len(config.Content) > 0 {
			return nil, "it has config and configFrom: expected one of them"
		}
		if config, why = c.secretYAML(o, from); why != "" {
			return nil, why
		}
	}
	for _, patch := range elements(get(o.node, "configPatches")) {
		value, why := c.secretYAML(o, get(patch, "valueFrom"))
		if why != "" {
			return nil, why
		}
		path := scalar(get(patch, "path"))
		if path == "" {
			config = value
		} else if !put(config, strings.Split(path, "/"), value) {
			return nil, "the path " + path + " of configPatches leads nowhere"
		}
	}
	if len(config.Content) > 0 || config.Kind != yaml.MappingNode {
		set(p, "config", config)
	}
	known := []string{"apiVersion", "kind", "metadata", "plugin", "config", "configFrom", "configPatches", "disabled", "protocols", "ordering",
		"instanceName", "status", "consumerRef", "run_on"}
	members(o.node, func(key string, value *yaml.Node) {
		if !slices.Contains(known, key) {
			why = "it has the field " + key + ", which is not known"
		}
	})
	return p, why
}

// copyOf copies a value of an object, with where it stands.
func (c *cluster) copyOf(n *yaml.Node) *yaml.Node {
	out := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Style: n.Style, HeadComment: n.HeadComment, LineComment: n.LineComment}
	for _, e := range n.Content {
		out.Content = append(out.Content, c.copyOf(e))
	}
	return c.d.at(out, n)
}

// put sets a value at a JSON pointer; mappings on the way are made.
func put(at *yaml.Node, path []string, value *yaml.Node) bool {
	if len(path) < 2 || path[0] != "" || len(path) > maxDepth {
		return false
	}
	for i, key := range path[1:] {
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		last := i == len(path)-2
		if at.Kind == yaml.SequenceNode && last && key == "-" {
			at.Content = append(at.Content, value)
			return true
		}
		if at.Kind != yaml.MappingNode {
			return false
		}
		next := get(at, key)
		if last {
			set(at, key, value)
			return true
		}
		if next == nil {
			next = mapping()
			set(at, key, next)
		}
		at = next
	}
	return false
}

// secretYAML returns the value that a secretKeyRef names, which is JSON or YAML.
func (c *cluster) secretYAML(o *object, from *yaml.Node) (value *yaml.Node, why string) {
	ref := get(from, "secretKeyRef")
	namespace, name, key := o.namespace, scalar(get(ref, "name")), scalar(get(ref, "key"))
	if o.kind == "KongClusterPlugin" {
		namespace = scalar(get(ref, "namespace"))
	}
	secret := c.find("Secret", namespace, name)
	if secret == nil {
		return nil, "the Secret " + namespace + "/" + name + " is not among the inputs"
	}
	docs, err := decode([]byte(c.value(secret, key)))
	if err != nil || len(docs) != 1 {
		return nil, "there is no JSON or YAML at " + key + " of the Secret " + namespace + "/" + name
	}
	nodes := 0
	value, err = (&copier{d: c.d, file: c.d.from[secret.node].file, nodes: &nodes}).copy(docs[0], 0)
	if err != nil {
		return nil, "what is at " + key + " of the Secret " + namespace + "/" + name + " cannot be read"
	}
	c.place(value, c.d.from[secret.node])
	return value, ""
}

// place says that a value and what is in it come from one place, and is secret.
func (c *cluster) place(n *yaml.Node, p place) {
	c.d.from[n] = p
	if s := scalar(n); s != "" {
		c.d.secrets = append(c.d.secrets, s)
	}
	for _, e := range n.Content {
		c.place(e, p)
	}
}

// value returns the text at a key of a Secret, "" for none.
func (c *cluster) value(secret *object, key string) string {
	s := scalar(dig(secret.node, "stringData", key))
	if s == "" {
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(scalar(dig(secret.node, "data", key))), ""))
		if err != nil {
			return ""
		}
		s = string(raw)
	}
	c.d.secrets = append(c.d.secrets, s)
	return s
}
