package envoyconf

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// obj is a mapping whose members keep their order, as pairs of name and value.
// Members with a nil value are left out.
type obj []any

// list is a sequence.
type list []any

// node turns a value into YAML. Strings are quoted where YAML would read them as
// something else.
func node(v any) *yaml.Node {
	switch v := v.(type) {
	case obj:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		seen := map[any]bool{}
		for i := 0; i+1 < len(v); i += 2 {
			if seen[v[i]] {
				panic(fmt.Sprintf("envoyconf: %v is there twice", v[i]))
			}
			seen[v[i]] = true
			if v[i+1] != nil {
				n.Content = append(n.Content, node(v[i]), node(v[i+1]))
			}
		}
		return n
	case list:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, x := range v {
			n.Content = append(n.Content, node(x))
		}
		return n
	case string:
		n := &yaml.Node{}
		n.SetString(v)
		return n
	case int:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(v)}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
	}
	panic(fmt.Sprintf("envoyconf: no YAML for %T", v))
}

// typed is a message in an Any.
func typed(name string, members ...any) obj {
	return append(obj{"@type", "type.googleapis.com/" + name}, members...)
}

// ms writes a duration in milliseconds as protobuf's JSON does.
func ms(n int) string { return fmt.Sprintf("%d.%03ds", n/1000, n%1000) }
