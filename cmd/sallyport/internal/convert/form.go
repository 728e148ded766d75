package convert

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// call is one call of the admin API.
type call struct {
	at     place
	method string
	path   []string
	fields []field
}

// field is a member of a body: of a form, a name like config.scopes[] and its text; of
// JSON a name and a value.
type field struct {
	name string
	text string
	json *yaml.Node // instead of text
}

// jsonFields returns the members of a JSON object.
func jsonFields(src string) ([]field, error) {
	n, err := jsonValue(src)
	if err != nil || n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("has a body that is no JSON object")
	}
	var out []field
	members(n, func(key string, value *yaml.Node) { out = append(out, field{name: key, json: value}) })
	return out, nil
}

func jsonValue(src string) (*yaml.Node, error) {
	docs, err := decode([]byte(src))
	if err != nil || len(docs) != 1 {
		return nil, fmt.Errorf("has a value that is no JSON")
	}
	nodes := 0
	return (&copier{d: newDraft(Options{}), nodes: &nodes}).copy(docs[0], 0)
}

// formFields returns those of a form (application/x-www-form-urlencoded).
func formFields(src string) ([]field, error) {
	var out []field
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
		out = append(out, field{name: n, text: value})
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

// body makes an entity of fields. kind says which fields are booleans, numbers and
// lists; below config it is the plugin's.
func body(kind string, fields []field) (*yaml.Node, error) {
	e := mapping()
	for _, f := range fields {
		path := keys(f.name)
		if len(path) == 0 || len(path) > 8 {
			return nil, fmt.Errorf("has a field whose name cannot be read")
		}
		value := f.json
		if value == nil {
			value = text(f.text)
			value.Line = ofForm
		}
		if !putField(e, path, value) {
			return nil, fmt.Errorf("has the field %q, which contradicts another", f.name)
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
		coerce(config, schemas[scalar(get(e, "name"))], 0)
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
