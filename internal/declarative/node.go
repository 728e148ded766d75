package declarative

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Bounds on a file. Aliases can make a small file huge, so what is visited is
// counted, not what is written.
const (
	maxFile   = 64 << 20
	maxVisits = 8 << 20
	// maxProblems bounds a report, each severity apart, so that no number of warnings
	// hides an error, and no number of infos a warning. Nobody reads more.
	maxProblems = 1000
	// maxMerges bounds how deep << stands within <<. A mapping may hold itself.
	maxMerges = 8
)

// at is a value of the file and where it stands.
type at struct {
	node *yaml.Node
	path string
}

func (v at) line() int { return v.node.Line }

func (v at) key(name string) string {
	if v.path == "" {
		return name
	}
	return v.path + "." + name
}

// reader takes over a value.
type reader func(v at)

// fields maps the members of a record to what reads them.
type fields map[string]reader

// parser reads one file. Findings are collected; reading goes on.
type parser struct {
	options  Options
	file     *File
	name     string
	problems Problems
	errors   int    // how many were found, those beyond maxProblems too
	others   [2]int // infos and warnings, likewise
	said     map[Problem]bool
	visits   int
	merging  int      // merges that are being followed
	odd      []string // fields of which the table and the readers disagree
	// secretsRead counts what was read as a secret.
	secretsRead int

	unnamed       map[string]int // entities without a name by what they are
	oldPaths      bool           // written for Kong before 3.0
	beside        bool           // what is read now is not of the file
	hashed        bool           // _transform is false: passwords are hashes
	pluginConfigs map[string]at  // _plugin_configs by name
	targets       []pendingTarget
	snis          []pendingSNI
	groups        []*groupOf
	applications  []*application
}

func (p *parser) report(r Rule, line int, path, format string, args ...any) {
	n := &p.errors
	if s := rules[r].severity; s != Error {
		n = &p.others[s]
	}
	if *n++; *n > maxProblems {
		return
	}
	problem := NewProblem(r, p.name, line, path, fmt.Sprintf(format, args...))
	if p.said[problem] && problem.Severity != Error { // a shared configuration is read once for each plugin
		*n--
		return
	}
	p.said[problem] = true
	p.problems = append(p.problems, problem)
}

// note reports a finding at a value.
func (p *parser) note(r Rule, v at, format string, args ...any) {
	p.report(r, v.line(), v.path, format, args...)
}

// fail reports an error at a value.
func (p *parser) fail(v at, format string, args ...any) {
	p.note(invalid, v, format, args...)
}

// resolve steps through aliases and reports whether there is a value that is
// not null; Kong reads null as absent everywhere.
func (p *parser) resolve(v at) (at, bool) {
	p.visits++
	if p.visits > maxVisits {
		if p.visits == maxVisits+1 {
			p.fail(v, "the file is too large once its aliases are followed")
		}
		return v, false
	}
	for depth := 0; v.node.Kind == yaml.AliasNode && depth < 16; depth++ {
		v.node = v.node.Alias
	}
	return v, v.node.Kind != yaml.AliasNode && v.node.Tag != "!!null"
}

// kindName names a value for people.
func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!bool", "!!int", "!!float":
		return n.Value
	}
	if len(n.Value) > 40 {
		return "a string"
	}
	return strconv.Quote(n.Value)
}

// members calls yield for each member of a mapping, those merged by << last.
// It reports duplicates and, with false, anything that is no mapping.
func (p *parser) members(v at, yield func(name string, key, value at)) bool {
	v, ok := p.resolve(v)
	if !ok {
		return false
	}
	if v.node.Kind != yaml.MappingNode {
		p.fail(v, "is %s: expected a mapping", kindName(v.node))
		return false
	}
	seen := map[string]bool{}
	var merges []at
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, value := v.node.Content[i], v.node.Content[i+1]
		if key.Tag == "!!merge" {
			merges = append(merges, at{value, v.path})
			continue
		}
		name := key.Value
		if key.Kind != yaml.ScalarNode {
			p.fail(at{key, v.path}, "a key is %s: expected a name", kindName(key))
			continue
		}
		if seen[name] {
			p.fail(at{key, v.key(name)}, "appears twice in one mapping")
			continue
		}
		seen[name] = true
		yield(name, at{key, v.key(name)}, at{value, v.key(name)})
	}
	for _, m := range merges {
		p.merge(m, seen, yield)
	}
	return true
}

// merge yields the members of the mapping, or list of mappings, behind <<.
func (p *parser) merge(m at, seen map[string]bool, yield func(string, at, at)) {
	m, ok := p.resolve(m)
	if !ok {
		return
	}
	if p.merging >= maxMerges {
		p.fail(m, "is merged (<<) within %d others, or within itself", maxMerges)
		return
	}
	p.merging++
	defer func() { p.merging-- }()
	if m.node.Kind == yaml.SequenceNode {
		for _, n := range m.node.Content {
			p.merge(at{n, m.path}, seen, yield)
		}
		return
	}
	p.members(m, func(name string, key, value at) {
		if !seen[name] {
			seen[name] = true
			yield(name, key, value)
		}
	})
}

// record reads a mapping with known members. Comments of Kong's own format are
// known everywhere.
func (p *parser) record(v at, known fields) bool {
	return p.members(v, func(name string, key, value at) {
		read, ok := known[name]
		if !ok {
			if (name == "_comment" || name == "_ignore") && !p.beside {
				return
			}
			p.note(unknownField, key, "unknown field%s", suggest(name, known))
			return
		}
		if value, ok := p.resolve(value); ok {
			read(value)
		}
	})
}

// suggest returns a hint at the known name nearest to a wrong one.
func suggest(name string, known fields) string {
	best, distance := "", 3
	for k := range known {
		if len(name) > len(k)+distance {
			continue // a name may be as long as the file
		}
		if d := editDistance(name, k); d < distance || d == distance && k < best {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + best + "?"
}

// editDistance counts the insertions, deletions and replacements between two names.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// list reads the elements of a list.
func (p *parser) list(each reader) reader {
	return func(v at) {
		if v.node.Kind != yaml.SequenceNode {
			p.fail(v, "is %s: expected a list", kindName(v.node))
			return
		}
		for i, n := range v.node.Content {
			element, ok := p.resolve(at{n, fmt.Sprintf("%s[%d]", v.path, i)})
			if ok {
				each(element)
			}
		}
	}
}

// check returns what is wrong with a string, "" for nothing.
type check func(s string) string

// text reads a string, through {vault://…}.
func (p *parser) text(dst *string, checks ...check) reader {
	return func(v at) {
		s, ok := p.string(v)
		if !ok {
			return
		}
		for _, c := range checks {
			if wrong := c(s); wrong != "" {
				p.fail(v, "%s", wrong)
				return
			}
		}
		*dst = s
	}
}

// secret is text for what must not be shown: a number that was to be a string is not
// said either.
func (p *parser) secret(dst *string, checks ...check) reader {
	return func(v at) {
		p.secretsRead++
		if v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!str" {
			p.fail(v, "is no string: expected one%s", quoteHint(v.node))
			return
		}
		p.text(dst, checks...)(v)
	}
}

// string returns a scalar that is a string. Numbers and booleans are not taken
// for one: a key 0123 or a secret no would change on the way.
func (p *parser) string(v at) (string, bool) {
	if v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!str" {
		p.fail(v, "is %s: expected a string%s", kindName(v.node), quoteHint(v.node))
		return "", false
	}
	return p.vault(v, v.node.Value)
}

func quoteHint(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		return " (put it in quotes)"
	}
	return ""
}

// texts reads a list of strings, or one string where Kong's shorthand allows it.
func (p *parser) texts(dst *[]string, checks ...check) reader {
	return func(v at) {
		*dst = []string{}
		p.list(func(v at) {
			var s string
			before := p.errors
			p.text(&s, checks...)(v)
			if p.errors == before {
				*dst = append(*dst, s)
			}
		})(v)
	}
}

// bool reads true or false. YAML 1.1's yes and on are strings to us, and the
// error says so: a guard that is silently off is the worst reading of them.
func (p *parser) bool(dst *bool) reader {
	return func(v at) {
		if v.node.Kind != yaml.ScalarNode || v.node.Tag != "!!bool" {
			p.fail(v, "is %s: expected true or false", kindName(v.node))
			return
		}
		*dst = strings.EqualFold(v.node.Value, "true")
	}
}

// int reads an integer from low to high.
func (p *parser) int(dst *int64, low, high int64) reader {
	return func(v at) {
		n, err := strconv.ParseInt(v.node.Value, 10, 64)
		if v.node.Kind != yaml.ScalarNode || v.node.Tag == "!!str" || err != nil {
			p.fail(v, "is %s: expected an integer", kindName(v.node))
			return
		}
		if digits := strings.TrimLeft(v.node.Value, "+-"); len(digits) > 1 && digits[0] == '0' {
			p.fail(v, "is %s: expected an integer without a leading zero, which YAML 1.1 reads as octal", kindName(v.node))
			return
		}
		if n < low || n > high {
			p.fail(v, "is %d: expected %d to %d", n, low, high)
			return
		}
		*dst = n
	}
}

// ignore steps over a member that has no meaning here, as it has none to the
// traffic in Kong.
func (p *parser) ignore(at) {}

// refuse reports a member that Kong knows and we do not do.
func (p *parser) refuse(why string) reader {
	return func(v at) { p.note(unsupported, v, "is not supported: %s", why) }
}

// refuseUnless reports a member unless it has one of the values that change
// nothing, written as YAML writes them, or is a list of nothing else. name=value is a
// member of a mapping that changes nothing.
func (p *parser) refuseUnless(why string, harmless ...string) reader {
	return func(v at) {
		if !changesNothing(v.node, harmless, 0) {
			p.note(unsupported, v, "is not supported: %s", why)
		}
	}
}

func changesNothing(n *yaml.Node, harmless []string, depth int) bool {
	if depth > 4 {
		return false
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return slices.Contains(harmless, n.Value)
	case yaml.SequenceNode:
		for _, e := range n.Content {
			empty := e.Kind == yaml.MappingNode && len(e.Content) == 0
			if len(harmless) == 0 || empty || !changesNothing(e, harmless, depth+1) {
				return false
			}
		}
		return true
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i].Value, n.Content[i+1]
			switch {
			case value.Kind != yaml.ScalarNode:
				if !changesNothing(value, harmless, depth+1) {
					return false
				}
			case value.Tag != "!!null" && !slices.Contains(harmless, name+"="+value.Value):
				return false
			}
		}
		return true
	}
	return false // an alias
}

// oneOf is a check for one of a few words.
func oneOf(words ...string) check {
	return func(s string) string {
		for _, w := range words {
			if s == w {
				return ""
			}
		}
		return fmt.Sprintf("is %q: expected %s", s, orList(words))
	}
}

func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// notEmpty and printable are checks of names that end up in headers and logs.
func notEmpty(s string) string {
	if s == "" {
		return "is empty"
	}
	return ""
}

func printable(s string) string {
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r == '�' {
			return "holds a control character or broken UTF-8"
		}
	}
	return ""
}
