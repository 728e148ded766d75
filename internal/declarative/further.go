package declarative

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// Further is an entity beside those of the file: one of the registry. It is read by the
// same rules as one at the top level of a file of _format_version 3.0, but for two: nothing
// is nested in it, and {vault://…} is refused. Who may write to the registry need not see
// the environment and the files of this machine.
type Further struct {
	Kind string // services, routes or plugins
	ID   string // a UUID, which the object has too
	JSON []byte // one object, as the admin API takes it
}

// furtherPath begins the path of whatever is wrong with a further entity.
const furtherPath = "registry."

// Path returns where the findings about an entity stand: at it, or below it behind a dot.
func (e Further) Path() string { return furtherPath + e.Kind + "[" + e.ID + "]" }

// FurtherField returns what a finding is about: the path of the further entity, and the
// field in it, "" for the whole. ok is false for what is about the file.
func (p Problem) FurtherField() (entity, field string, ok bool) {
	if !strings.HasPrefix(p.Path, furtherPath) {
		return "", "", false
	}
	entity, field, _ = strings.Cut(p.Path, "].")
	return strings.TrimSuffix(entity, "]") + "]", field, true
}

// furtherLimits bound one entity.
var furtherLimits = jsonx.Limits{Bytes: 1 << 20, Depth: 16, Nodes: 1 << 16}

// source returns what tells two configurations apart: the hash of the file, or of the file
// and what is beside it.
func source(src []byte, further []Further) string {
	h := sha256.New()
	h.Write(src)
	for _, e := range further {
		fmt.Fprintf(h, "\x00%s\x00%s\x00%d\x00%s", e.Kind, e.ID, len(e.JSON), e.JSON)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// readFurther reads the entities beside the file, services first: what comes later may
// refer to them by nothing but names, which are resolved at the end.
func (p *parser) readFurther() {
	p.beside, p.oldPaths = true, false
	readers := map[string]reader{
		"services": p.service,
		"routes":   func(v at) { p.route(v, nil) },
		"plugins":  func(v at) { p.plugin(v, scope{}) },
	}
	for _, e := range p.options.Further {
		v := at{nil, e.Path()}
		read, ok := readers[e.Kind]
		if !ok {
			p.report(invalid, 0, v.path, "is one of the %q: expected services, routes or plugins", e.Kind)
			continue
		}
		doc, err := jsonx.Parse(string(e.JSON), furtherLimits)
		root := doc.Root()
		if err != nil || root.Kind() != jsonx.Object {
			p.report(invalid, 0, v.path, "cannot be read: expected a JSON object")
			continue
		}
		v.node = nodeOf(root)
		if id, _ := root.Get("id").Text(); id != e.ID {
			p.report(invalid, 0, v.path, "has another id in it")
			continue
		}
		read(v)
	}
}

// nodeOf returns a JSON value as the parser reads values. Its depth is bounded where it
// was parsed.
func nodeOf(v jsonx.Value) *yaml.Node {
	scalar := func(tag, value string) *yaml.Node {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
	}
	switch v.Kind() {
	case jsonx.Object:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for c := v.Cursor(); c.Next(); {
			n.Content = append(n.Content, scalar("!!str", c.Name()), nodeOf(c.Value()))
		}
		return n
	case jsonx.Array:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for c := v.Cursor(); c.Next(); {
			n.Content = append(n.Content, nodeOf(c.Value()))
		}
		return n
	case jsonx.String:
		s, _ := v.Text()
		return scalar("!!str", s)
	case jsonx.True, jsonx.False:
		b, _ := v.Bool()
		return scalar("!!bool", strconv.FormatBool(b))
	case jsonx.Number:
		if _, whole := v.Int(); whole {
			return scalar("!!int", v.Raw())
		}
		return scalar("!!float", v.Raw())
	}
	return scalar("!!null", "null")
}

// where and place say where an entity stands, for a finding about another.
func (e Entity) where() string {
	if e.Beside {
		return "in the registry"
	}
	return "at " + e.place()
}

func (e Entity) place() string {
	if e.Beside {
		return "the registry"
	}
	return "line " + strconv.Itoa(e.Line)
}

// secretFields are the fields of plugins that are not shown to everybody who may see the
// rest of their configuration.
var secretFields = map[string][]string{
	"openid-connect": {
		"client_secret", "session_secret", "discovery_headers_values",
		"introspection_headers_values", "introspection_post_args_values",
		"userinfo_headers_values", "userinfo_query_args_values",
		"token_headers_values", "token_post_args_values",
	},
}

// SecretField reports whether a field of a plugin's configuration holds secrets.
func SecretField(plugin, field string) bool { return slices.Contains(secretFields[plugin], field) }

// Bounds on a configuration that is shown.
const (
	maxShownDepth = 16
	maxShownNodes = 1 << 14
)

// Config returns the plugin's configuration as it was written, that of _config with what
// stands in its place: values as package json decodes them, numbers as strings of digits
// become int64. ok is false for one that is too large to be shown.
func (pl *Plugin) Config() (config map[string]any, ok bool) {
	left := maxShownNodes
	config = map[string]any{}
	for _, v := range []at{pl.shared, pl.config} {
		if v.node == nil {
			continue
		}
		part, ok := shown(v.node, 0, &left)
		if !ok {
			return nil, false
		}
		if m, isMap := part.(map[string]any); isMap {
			for name, value := range m {
				config[name] = value
			}
		}
	}
	return config, true
}

// shown returns a value of the file with its aliases and merges followed.
func shown(n *yaml.Node, depth int, left *int) (any, bool) {
	if *left--; *left < 0 || depth > maxShownDepth {
		return nil, false
	}
	switch n.Kind {
	case yaml.AliasNode:
		return shown(n.Alias, depth+1, left)
	case yaml.SequenceNode:
		list := []any{}
		for _, e := range n.Content {
			value, ok := shown(e, depth+1, left)
			if !ok {
				return nil, false
			}
			list = append(list, value)
		}
		return list, true
	case yaml.MappingNode:
		own, merged := map[string]any{}, map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			value, ok := shown(n.Content[i+1], depth+1, left)
			if !ok {
				return nil, false
			}
			if key.Tag != "!!merge" {
				own[key.Value] = value
				continue
			}
			parts, isList := value.([]any)
			if !isList {
				parts = []any{value}
			}
			for _, part := range parts {
				m, _ := part.(map[string]any)
				for name, v := range m {
					if _, there := merged[name]; !there {
						merged[name] = v
					}
				}
			}
		}
		for name, v := range merged {
			if _, there := own[name]; !there {
				own[name] = v
			}
		}
		return own, true
	}
	switch n.Tag {
	case "!!null":
		return nil, true
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), true
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			return i, true
		}
	}
	return n.Value, true
}
