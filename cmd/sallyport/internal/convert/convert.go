package convert

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Input is one file, or standard input.
type Input struct {
	Name string
	Text []byte
}

// Options say how inputs are read.
type Options struct {
	From      string // auto, kong, deck, kubernetes, admin
	Namespace string // of Kubernetes objects that name none
	// IngressClass is whose Ingresses are converted; those of no class are too.
	IngressClass string
}

// Formats are the values of Options.From.
var Formats = []string{"auto", "deck", "kong", "kubernetes", "admin"}

// Result is what came of it.
type Result struct {
	File  []byte // nil where the conversion is refused
	Notes []Note
}

// Complete reports whether everything is in the file.
func (r *Result) Complete() bool {
	for _, n := range r.Notes {
		if n.Kind != Changed {
			return false
		}
	}
	return r.File != nil
}

// Convert makes one file of the inputs.
func Convert(inputs []Input, o Options) *Result {
	d := newDraft(o)
	set(d.root, "_format_version", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "3.0", Style: yaml.DoubleQuotedStyle})
	objects := &cluster{d: d, by: map[[3]string]*object{}}
	var calls []call
	size, nodes := 0, 0
	for _, in := range inputs {
		if size += len(in.Text); size > MaxInput {
			d.noteAt(Refused, place{file: in.Name}, "", "the inputs are larger than %d MiB", MaxInput>>20)
			break
		}
		docs, kind, err := d.read(in, &nodes)
		switch {
		case err != nil:
			d.noteAt(Refused, place{file: in.Name}, "", "%s", err)
		case kind == "admin":
			calls = append(calls, d.commands(in)...)
		}
		for _, doc := range docs {
			if isObject(doc) {
				objects.add(doc, 0)
			} else {
				d.declarative(doc)
			}
		}
	}
	objects.convert()
	d.replay(calls)
	d.collectSecrets(d.root, 0)
	r := &Result{}
	if !d.refused {
		r.File = d.judge()
	}
	if d.refused {
		r.File = nil
	}
	r.Notes = d.redacted()
	return r
}

// read tells what an input is, and returns its documents unless it is a script.
func (d *draft) read(in Input, nodes *int) (docs []*yaml.Node, kind string, err error) {
	from := d.options.From
	if from == "deck" {
		from = "kong"
	}
	if from == "admin" {
		return nil, from, nil
	}
	raw, err := decode(in.Text)
	kinds := map[string]bool{}
	for _, doc := range raw {
		kinds[kindOf(doc)] = true
	}
	switch {
	case err == nil && len(raw) == 0:
		return nil, "", fmt.Errorf("is empty")
	case err == nil && from == "auto" && !kinds[""], err == nil && from == "kong" && len(kinds) == 1 && kinds["kong"],
		err == nil && from == "kubernetes" && len(kinds) == 1 && kinds["kubernetes"]:
	case from == "auto" && hasCommands(in.Text):
		return nil, "admin", nil
	case err != nil:
		return nil, "", fmt.Errorf("is not YAML: %s", yamlError(err))
	case from == "auto":
		return nil, "", fmt.Errorf("is none of the formats that are read: a declarative file, Kubernetes objects, calls of the admin API by curl or http")
	default:
		return nil, "", fmt.Errorf("is not what --from says: expected every document to be %s", map[string]string{
			"kong": "a declarative file", "kubernetes": "a Kubernetes object"}[from])
	}
	for _, r := range raw {
		doc, err := (&copier{d: d, file: in.Name, nodes: nodes}).copy(r, 0)
		if err != nil {
			return nil, "", err
		}
		docs = append(docs, doc)
	}
	return docs, "", nil
}

func kindOf(doc *yaml.Node) string {
	switch {
	case isObject(doc):
		return "kubernetes"
	case isDeclarative(doc):
		return "kong"
	}
	return ""
}

// isObject reports whether a document is a Kubernetes object.
func isObject(doc *yaml.Node) bool {
	return get(doc, "apiVersion") != nil && get(doc, "kind") != nil
}

// isDeclarative reports whether a document has what a declarative file has at its top.
func isDeclarative(doc *yaml.Node) (is bool) {
	members(doc, func(key string, _ *yaml.Node) {
		switch key {
		case "_format_version", "services", "routes", "plugins", "consumers", "upstreams":
			is = true
		}
	})
	return is
}

// hasCommands reports whether a text has a line that calls an HTTP client.
func hasCommands(src []byte) bool {
	for line := range bytes.Lines(src) {
		words := strings.Fields(strings.Trim(string(line), " \t\r\n`$>"))
		if len(words) > 0 && isClient(words[0]) {
			return true
		}
	}
	return false
}
