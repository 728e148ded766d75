package convert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// MaxInput bounds all inputs together, in bytes.
const MaxInput = 4 << 20

// Aliases can make a small file huge, so what they are followed to is counted, not what
// is written.
const (
	maxNodes = 1 << 20 // values of all inputs, aliases followed
	maxDepth = 64
)

// decode parses the documents of a text. The library is kept from taking the process
// with it.
func decode(src []byte) (docs []*yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			docs, err = nil, fmt.Errorf("yaml: %v", r)
		}
	}()
	for dec := yaml.NewDecoder(bytes.NewReader(src)); ; {
		doc := &yaml.Node{}
		switch err := dec.Decode(doc); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return nil, err
		case len(doc.Content) == 1 && doc.Content[0].Tag != "!!null":
			root := doc.Content[0]
			if root.HeadComment == "" {
				root.HeadComment = doc.HeadComment
			}
			docs = append(docs, root)
		}
	}
}

// yamlError shortens a message of the library. It quotes an unquoted value that begins
// with *, which may be a secret.
func yamlError(err error) string {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	if before, _, found := strings.Cut(s, "unknown anchor '"); found {
		s = before + "a value that begins with * names an anchor that is not there"
	}
	return s
}

// copier copies values with aliases and merges followed, and notes where they stood.
type copier struct {
	d     *draft
	file  string
	nodes *int
}

func (c *copier) copy(n *yaml.Node, depth int) (*yaml.Node, error) {
	for n.Kind == yaml.AliasNode && depth <= maxDepth {
		n = n.Alias
		depth++
	}
	if *c.nodes++; *c.nodes > maxNodes {
		return nil, fmt.Errorf("line %d: more than %d values once aliases are followed", n.Line, maxNodes)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("line %d: nested more than %d deep", n.Line, maxDepth)
	}
	out := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Style: n.Style, Line: n.Line,
		HeadComment: n.HeadComment, LineComment: n.LineComment, FootComment: n.FootComment}
	c.d.from[out] = place{c.file, n.Line}
	if n.Kind != yaml.MappingNode {
		for _, e := range n.Content {
			e, err := c.copy(e, depth+1)
			if err != nil {
				return nil, err
			}
			out.Content = append(out.Content, e)
		}
		return out, nil
	}
	return out, c.members(out, n, depth, map[string]bool{}, true)
}

// members copies those of a mapping, its own before those that it merges.
func (c *copier) members(out, n *yaml.Node, depth int, seen map[string]bool, own bool) error {
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			merged = append(merged, value)
			continue
		case key.Kind != yaml.ScalarNode:
			return fmt.Errorf("line %d: a key is no name", key.Line)
		case seen[key.Value] && own:
			return fmt.Errorf("line %d: %q appears twice in one mapping", key.Line, key.Value)
		case seen[key.Value]:
			continue
		}
		seen[key.Value] = true
		for _, part := range []*yaml.Node{key, value} {
			part, err := c.copy(part, depth+1)
			if err != nil {
				return err
			}
			out.Content = append(out.Content, part)
		}
	}
	for _, m := range merged {
		if err := c.merge(out, m, depth+1, seen); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) merge(out, m *yaml.Node, depth int, seen map[string]bool) error {
	for m.Kind == yaml.AliasNode && depth <= maxDepth {
		m = m.Alias
		depth++
	}
	if *c.nodes++; *c.nodes > maxNodes || depth > maxDepth {
		return fmt.Errorf("line %d: merged (<<) too often, or within itself", m.Line)
	}
	switch m.Kind {
	case yaml.MappingNode:
		return c.members(out, m, depth, seen, false)
	case yaml.SequenceNode:
		for _, e := range m.Content {
			if err := c.merge(out, e, depth+1, seen); err != nil {
				return err
			}
		}
	}
	return nil
}
