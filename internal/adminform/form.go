// Package adminform reads forms as Kong's admin API reads them: names like
// config.scopes[] and headers[x] become lists and mappings, and texts get the types of
// the field that they are for (kong/api/arguments_decoder.lua, kong/api/arguments.lua).
//
// Whether a field exists, and takes what it is given, is for package declarative to say.
package adminform

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Bounds on a form. Names say how deep something stands.
const (
	MaxFields = 1000
	maxKeys   = 8
)

// Field is a member of a body: of a form, a name like config.scopes[] and its text; of
// JSON a name and a value.
type Field struct {
	Name string
	Text string
	JSON *yaml.Node // instead of Text
}

// Parse returns the fields of a form (application/x-www-form-urlencoded).
func Parse(src string) ([]Field, error) {
	var out []Field
	for pair := range strings.SplitSeq(src, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return nil, fmt.Errorf("has a form that cannot be decoded")
		}
		if len(out) == MaxFields {
			return nil, fmt.Errorf("has a form with more than %d fields", MaxFields)
		}
		out = append(out, Field{Name: n, Text: value})
	}
	return out, nil
}

// keys splits the name of a field: config.headers[x].y, config.scopes[], config.scopes[1]
// (kong/api/arguments_decoder.lua). "" adds to a list.
func keys(name string) []string {
	var out []string
	for name != "" {
		if inner, ok := strings.CutPrefix(name, "["); ok && len(out) > 0 {
			key, rest, closed := strings.Cut(inner, "]")
			if !closed {
				return append(out, name)
			}
			out = append(out, key)
			name = strings.TrimPrefix(rest, ".")
			continue
		}
		n := strings.IndexAny(name[1:], ".[") + 1
		if n == 0 {
			return append(out, name)
		}
		out = append(out, name[:n])
		name = strings.TrimPrefix(name[n:], ".")
	}
	return out
}

// ofForm marks a text of a form: its type is the schema's.
const ofForm = -1

// Entity makes an entity of fields. kind (service, route, plugin, consumer, credential …)
// says which fields are booleans, numbers and lists; below config it is that of the plugin
// which the fields name or, where they name none, of the one that is given.
func Entity(kind, plugin string, fields []Field) (*yaml.Node, error) {
	e := mapping()
	for _, f := range fields {
		path := keys(f.Name)
		if len(path) == 0 || len(path) > maxKeys {
			return nil, fmt.Errorf("has a field whose name cannot be read")
		}
		value := f.JSON
		if value == nil {
			value = text(f.Text)
			value.Line = ofForm
		}
		if !putField(e, path, value) {
			return nil, fmt.Errorf("has the field %q, which contradicts another", f.Name)
		}
	}
	coerce(e, schemas[kind], 0)
	if kind == "route" {
		members(get(e, "headers"), func(_ string, v *yaml.Node) {
			if s := scalar(v); s != "" {
				*v = *texts(s)
			}
		})
	}
	if config := get(e, "config"); kind == "plugin" && config != nil {
		if name := scalar(get(e, "name")); name != "" {
			plugin = name
		}
		coerce(config, schemas[plugin], 0)
	}
	return e, nil
}

// putField puts a value at a path. A name that comes again makes a list.
func putField(at *yaml.Node, path []string, value *yaml.Node) bool {
	key, rest := path[0], path[1:]
	if at.Kind != yaml.MappingNode {
		return false
	}
	there := get(at, key)
	if len(rest) == 0 {
		switch {
		case there == nil:
			set(at, key, value)
		case there.Kind == yaml.SequenceNode && value.Kind != yaml.SequenceNode:
			there.Content = append(there.Content, value)
		case there.Kind == yaml.ScalarNode && value.Kind == yaml.ScalarNode:
			set(at, key, &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: []*yaml.Node{there, value}})
		default:
			return false
		}
		return true
	}
	index, err := strconv.Atoi(rest[0])
	if rest[0] != "" && err != nil {
		if there == nil {
			there = mapping()
			set(at, key, there)
		}
		return putField(there, rest, value)
	}
	if there == nil {
		there = texts()
		set(at, key, there)
	}
	if there.Kind != yaml.SequenceNode {
		return false
	}
	if len(rest) == 1 {
		if err == nil && index >= 1 && index <= len(there.Content) { // lists of Lua begin at 1
			there.Content = append(there.Content[:index-1:index-1], append([]*yaml.Node{value}, there.Content[index-1:]...)...)
			return true
		}
		there.Content = append(there.Content, value)
		return true
	}
	if err != nil {
		index = 1
	}
	switch {
	case index == len(there.Content)+1:
		there.Content = append(there.Content, mapping())
	case index < 1 || index > len(there.Content):
		return false
	}
	return putField(there.Content[index-1], rest[1:], value)
}

// coerce gives the texts of a form the types of a schema, as Kong does
// (kong/api/arguments.lua, infer_value).
func coerce(e *yaml.Node, s schema, depth int) {
	members(e, func(key string, value *yaml.Node) {
		switch {
		case value.Kind == yaml.ScalarNode && value.Line == ofForm && value.Value == "":
			*value = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
		case value.Kind == yaml.ScalarNode && value.Line == ofForm && s.bools[key] && (value.Value == "true" || value.Value == "false"):
			value.Tag = "!!bool"
		case value.Kind == yaml.ScalarNode && value.Line == ofForm && s.ints[key]:
			*value = *integer(value.Value)
		case s.lists[key] && value.Kind == yaml.ScalarNode && value.Tag != "!!null":
			var list []string
			if s.commas[key] {
				list = commas(value.Value)
			} else {
				list = []string{value.Value}
			}
			*value = *texts(list...)
		case value.Kind == yaml.MappingNode && key != "config" && depth < 4:
			coerce(value, schema{lists: map[string]bool{}}, depth+1)
		}
	})
}

// get returns a member of a mapping, nil for none.
func get(m *yaml.Node, key string) *yaml.Node {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

// set puts a member at the end of a mapping, or in the place of the one that is there.
func set(m *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = value
			return
		}
	}
	m.Content = append(m.Content, text(key), value)
}

// members calls yield for each member of a mapping.
func members(m *yaml.Node, yield func(key string, value *yaml.Node)) {
	if m == nil || m.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		yield(m.Content[i].Value, m.Content[i+1])
	}
}

// scalar returns the text of a scalar, "" for anything else.
func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

func text(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if strings.Contains(s, "\n") {
		n.Style = yaml.LiteralStyle
	}
	return n
}

func texts(list ...string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, s := range list {
		n.Content = append(n.Content, text(s))
	}
	return n
}

// integer is the number that s writes, or s as a text where it writes none.
func integer(s string) *yaml.Node {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(n, 10)}
	}
	return text(s)
}

func commas(s string) (out []string) {
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
