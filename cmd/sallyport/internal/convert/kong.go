package convert

import (
	"regexp"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// declarative takes over a declarative file, of decK's or of DB-less Kong's shape.
func (d *draft) declarative(doc *yaml.Node) {
	version := scalar(get(doc, "_format_version"))
	switch version {
	case "3.0":
	case "1.1", "2.1":
		d.migratePaths(doc)
	case "":
		d.note(Changed, doc, "_format_version", "is missing: taken for 3.0")
	default:
		d.note(Refused, doc, "_format_version", `is neither "1.1", "2.1" nor "3.0"`)
	}
	d.defaults(doc)
	d.oldGroups(doc)
	d.variables(doc, 0)
	head := &d.root.Content[0].HeadComment
	*head = join(*head, doc.HeadComment)
	for i := 0; i+1 < len(doc.Content); i += 2 {
		key, value := doc.Content[i], doc.Content[i+1]
		there := get(d.root, key.Value)
		switch {
		case key.Value == "_format_version", key.Value == "_info", key.Value == "_workspace", value.Tag == "!!null":
			*head = join(*head, key.HeadComment)
		case there == nil:
			d.root.Content = append(d.root.Content, key, value)
		case value.Kind == yaml.SequenceNode && there.Kind == yaml.SequenceNode:
			there.Content = append(there.Content, value.Content...)
		case value.Kind == yaml.ScalarNode && value.Value == there.Value:
		default:
			d.note(Refused, value, key.Value, "is in another input too, and the two cannot be one")
		}
	}
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "\n" + b
}

// migratePaths writes paths from before Kong 3.0 as they are written since.
func (d *draft) migratePaths(doc *yaml.Node) {
	migrate := func(route *yaml.Node) {
		for _, p := range elements(get(route, "paths")) {
			if now := declarative.MigratePath(p.Value); p.Kind == yaml.ScalarNode && now != p.Value {
				d.note(Changed, p, label("route", route), "the path %q is written as %q since Kong 3.0", p.Value, now)
				p.Value = now
			}
		}
	}
	for _, s := range elements(get(doc, "services")) {
		for _, r := range elements(get(s, "routes")) {
			migrate(r)
		}
	}
	for _, r := range elements(get(doc, "routes")) {
		migrate(r)
	}
}

// defaults fills in decK's _info.defaults, which stand for what entities leave out.
func (d *draft) defaults(doc *yaml.Node) {
	fill := func(kind string, list []*yaml.Node) {
		for _, e := range list {
			members(dig(doc, "_info", "defaults", kind), func(key string, value *yaml.Node) {
				if e.Kind == yaml.MappingNode && get(e, key) == nil && (key != "host" && key != "protocol" || get(e, "url") == nil) {
					set(e, key, d.at(clone(value), value))
				}
			})
		}
	}
	services := elements(get(doc, "services"))
	fill("service", services)
	fill("route", elements(get(doc, "routes")))
	for _, s := range services {
		fill("route", elements(get(s, "routes")))
	}
	upstreams := elements(get(doc, "upstreams"))
	fill("upstream", upstreams)
	for _, u := range upstreams {
		fill("target", elements(get(u, "targets")))
	}
}

// oldGroups gives the lists of the acl plugin the names that they have since Kong 2.1.
func (d *draft) oldGroups(doc *yaml.Node) {
	d.plugins(doc, 0, func(p *yaml.Node) {
		config := get(p, "config")
		if scalar(get(p, "name")) != "acl" || config == nil {
			return
		}
		for i := 0; i+1 < len(config.Content); i += 2 {
			key := config.Content[i]
			if now := map[string]string{"whitelist": "allow", "blacklist": "deny"}[key.Value]; now != "" && get(config, now) == nil {
				d.note(Changed, key, "plugin acl", "%s is called %s since Kong 2.1", key.Value, now)
				key.Value = now
			}
		}
	})
}

// deckVariable is a text that decK fills in from the environment.
var deckVariable = regexp.MustCompile(`^\$\{\{\s*env\s+"([A-Za-z_][A-Za-z0-9_]*)"\s*\}\}$`)

// variables makes references of what decK fills in. What is a variable and more is left
// as it is, and the parser refuses it.
func (d *draft) variables(n *yaml.Node, depth int) {
	if depth > maxDepth {
		return
	}
	if n.Kind == yaml.ScalarNode {
		if m := deckVariable.FindStringSubmatch(n.Value); m != nil {
			n.Value, n.Style = "{vault://env/"+m[1]+"}", yaml.SingleQuotedStyle
			d.note(Changed, n, m[1], "decK's variable is read from the environment by sallyport: %s", n.Value)
		}
	}
	for _, e := range n.Content {
		d.variables(e, depth+1)
	}
}

// plugins calls yield for each plugin below a value.
func (d *draft) plugins(n *yaml.Node, depth int, yield func(*yaml.Node)) {
	if depth > 6 {
		return
	}
	members(n, func(key string, value *yaml.Node) {
		for _, e := range elements(value) {
			if key == "plugins" {
				yield(e)
			} else {
				d.plugins(e, depth+1, yield)
			}
		}
	})
}
