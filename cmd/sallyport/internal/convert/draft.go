package convert

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// draft is the document that is being made.
type draft struct {
	options Options
	root    *yaml.Node
	from    map[*yaml.Node]place
	notes   []Note
	said    map[Note]bool
	refused bool
	secrets []string
	ghosts  []ghost
	closed  map[*yaml.Node]*yaml.Node // routes that refuse everything, and the acl that does it
	broken  map[*yaml.Node]bool       // services that stand for one that could not be converted
}

func newDraft(o Options) *draft {
	return &draft{options: o, root: mapping(), from: map[*yaml.Node]place{}, said: map[Note]bool{}, closed: map[*yaml.Node]*yaml.Node{}, broken: map[*yaml.Node]bool{}}
}

// note reports at a value of the input.
func (d *draft) note(kind Kind, at *yaml.Node, what, why string, args ...any) {
	d.noteAt(kind, d.from[at], what, why, args...)
}

func (d *draft) noteAt(kind Kind, p place, what, why string, args ...any) {
	n := Note{p.file, p.line, kind, oneLine(what), oneLine(fmt.Sprintf(why, args...))}
	d.refused = d.refused || kind == Refused
	if !d.said[n] {
		d.said[n] = true
		d.notes = append(d.notes, n)
	}
}

// oneLine keeps what an input calls things from looking like notes of ours.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// at says where a value that is made comes from.
func (d *draft) at(n, source *yaml.Node) *yaml.Node {
	if p, ok := d.from[source]; ok {
		d.from[n] = p
	}
	return n
}

// list returns a top-level collection.
func (d *draft) list(collection string) []*yaml.Node { return elements(get(d.root, collection)) }

// routes calls yield for each route with the service that it is nested in, or that it
// names; nil where that is not there.
func (d *draft) routes(yield func(route, service *yaml.Node)) {
	for _, s := range d.list("services") {
		for _, r := range slices.Clone(elements(get(s, "routes"))) {
			yield(r, s)
		}
	}
	for _, r := range slices.Clone(d.list("routes")) {
		yield(r, d.named("services", reference(get(r, "service"))))
	}
}

// routesOf returns those of a service.
func (d *draft) routesOf(service *yaml.Node) []*yaml.Node {
	list := slices.Clone(elements(get(service, "routes")))
	for _, r := range d.list("routes") {
		if to := reference(get(r, "service")); to != "" && is(service, to) {
			list = append(list, r)
		}
	}
	return list
}

// named returns the entity of a collection with a name or an id.
func (d *draft) named(collection, name string) *yaml.Node {
	if name == "" {
		return nil
	}
	for _, e := range d.list(collection) {
		if is(e, name) {
			return e
		}
	}
	return nil
}

// route returns the route with a name or an id, wherever it stands.
func (d *draft) route(name string) (found *yaml.Node) {
	d.routes(func(r, _ *yaml.Node) {
		if found == nil && name != "" && is(r, name) {
			found = r
		}
	})
	return found
}

// is reports whether an entity has that name or id.
func is(e *yaml.Node, name string) bool {
	for _, key := range []string{"name", "id", "username"} {
		if scalar(get(e, key)) == name {
			return true
		}
	}
	return false
}

// reference returns the name in a reference: a text, or a mapping with name or id.
func reference(n *yaml.Node) string {
	if s := scalar(n); s != "" {
		return s
	}
	for _, key := range []string{"name", "id", "username"} {
		if s := scalar(get(n, key)); s != "" {
			return s
		}
	}
	return ""
}

// label names an entity for people: its kind, and what it is called.
func label(kind string, e *yaml.Node) string {
	for _, key := range []string{"name", "username", "custom_id", "id", "target", "group"} {
		if s := scalar(get(e, key)); s != "" && len(s) < 200 {
			return kind + " " + s
		}
	}
	return kind
}

// order is that of the top level of the file; what is not named comes last.
var order = []string{"_format_version", "_transform", "_sallyport", "_plugin_configs", "services", "routes", "upstreams", "targets",
	"plugins", "consumers", "acls", "jwt_secrets", "keyauth_credentials", "basicauth_credentials", "certificates", "snis", "ca_certificates"}

// tidy takes out lists of entities that have become empty.
func tidy(n *yaml.Node, depth int) {
	for _, key := range []string{"routes", "plugins", "targets", "acls", "jwt_secrets", "keyauth_credentials", "basicauth_credentials"} {
		if list := get(n, key); list != nil && list.Kind == yaml.SequenceNode && len(list.Content) == 0 {
			unset(n, key)
		}
	}
	members(n, func(_ string, value *yaml.Node) {
		for _, e := range elements(value) {
			if depth < 3 {
				tidy(e, depth+1)
			}
		}
	})
}

// encode writes the document.
func (d *draft) encode() ([]byte, error) {
	tidy(d.root, 0)
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", HeadComment: d.root.HeadComment, FootComment: d.root.FootComment}
	take := func(key string) {
		for i := 0; i+1 < len(d.root.Content); i += 2 {
			value := d.root.Content[i+1]
			empty := value.Kind == yaml.SequenceNode && len(value.Content) == 0
			if d.root.Content[i].Value == key && !empty {
				out.Content = append(out.Content, d.root.Content[i], value)
			}
		}
	}
	for _, key := range order {
		take(key)
	}
	members(d.root, func(key string, _ *yaml.Node) {
		if !slices.Contains(order, key) {
			take(key)
		}
	})
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	enc.CompactSeqIndent()
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// secretNames are fields whose values no note may hold.
var secretNames = []string{"secret", "client_secret", "session_secret", "password", "key", "client_jwk", "cert"}

// collectSecrets remembers what no note may hold.
func (d *draft) collectSecrets(n *yaml.Node, depth int) {
	if depth > maxDepth {
		return
	}
	members(n, func(key string, value *yaml.Node) {
		if slices.Contains(secretNames, key) {
			d.secrets = append(d.secrets, words(value)...)
		}
	})
	for _, e := range n.Content {
		d.collectSecrets(e, depth+1)
	}
}

// redacted returns the notes, by file and line, without secrets.
func (d *draft) redacted() []Note {
	var pairs []string
	slices.SortFunc(d.secrets, func(a, b string) int { return len(b) - len(a) })
	for _, s := range slices.Compact(d.secrets) {
		if len(s) >= 4 && !strings.HasPrefix(s, "{vault://") {
			pairs = append(pairs, s, "[redacted]")
			if q := strconv.Quote(s); q[1:len(q)-1] != s {
				pairs = append(pairs, q[1:len(q)-1], "[redacted]")
			}
		}
	}
	r := strings.NewReplacer(pairs...)
	for i := range d.notes {
		d.notes[i].Why = r.Replace(d.notes[i].Why)
	}
	slices.SortStableFunc(d.notes, func(a, b Note) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return d.notes
}
