package convert

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

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

// dig follows members.
func dig(m *yaml.Node, keys ...string) *yaml.Node {
	for _, k := range keys {
		m = get(m, k)
	}
	return m
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

// unset removes a member.
func unset(m *yaml.Node, key string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content = append(m.Content[:i:i], m.Content[i+2:]...)
			return
		}
	}
}

// remove takes an element out of a list.
func remove(list, element *yaml.Node) {
	for i, n := range list.Content {
		if n == element {
			list.Content = append(list.Content[:i:i], list.Content[i+1:]...)
			return
		}
	}
}

// elements returns those of a list, nil for anything else.
func elements(list *yaml.Node) []*yaml.Node {
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	return list.Content
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

// push adds to the list of a mapping's member, which it makes if it is not there.
func push(m *yaml.Node, key string, element *yaml.Node) {
	list := get(m, key)
	if list == nil || list.Kind != yaml.SequenceNode {
		list = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		set(m, key, list)
	}
	list.Content = append(list.Content, element)
}

// scalar returns the text of a scalar, "" for anything else.
func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	return n.Value
}

// words returns the scalars of a list, or the one that stands in its place.
func words(n *yaml.Node) (out []string) {
	if s := scalar(n); s != "" {
		return []string{s}
	}
	for _, e := range elements(n) {
		out = append(out, scalar(e))
	}
	return out
}

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

func boolean(b bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(b)}
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }

// integer is the number that s writes, or s as a text where it writes none.
func integer(s string) *yaml.Node {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(n, 10)}
	}
	return text(s)
}

// clone copies a value without its comments.
func clone(n *yaml.Node) *yaml.Node {
	c := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Style: n.Style, Line: n.Line}
	for _, e := range n.Content {
		c.Content = append(c.Content, clone(e))
	}
	return c
}
