package jsonx

import "slices"

// Kind is the type of a JSON value. The zero Kind is that of an absent value.
type Kind uint8

// The kinds.
const (
	Absent Kind = iota
	Null
	False
	True
	Number
	String
	Array
	Object
)

// Error is why a document was refused. It is comparable and free of allocation.
type Error uint8

// The errors.
const (
	// ErrSyntax: not JSON by RFC 8259, or something follows the value.
	ErrSyntax Error = iota + 1
	// ErrText: a string is not UTF-8, or escapes half a surrogate pair.
	ErrText
	// ErrDuplicate: an object has two members with one name.
	ErrDuplicate
	// ErrDepth: nested deeper than the bound.
	ErrDepth
	// ErrSize: more values, or more bytes, than the bound.
	ErrSize
)

var errorText = [...]string{
	ErrSyntax:    "jsonx: not JSON",
	ErrText:      "jsonx: a string is not UTF-8",
	ErrDuplicate: "jsonx: an object has a member twice",
	ErrDepth:     "jsonx: nested too deep",
	ErrSize:      "jsonx: too large",
}

func (e Error) Error() string { return errorText[e] }

// Limits bound a document. Zero fields take the value of Default.
type Limits struct {
	Bytes int // length of the source
	Depth int // arrays and objects within each other
	Nodes int // values and member names
}

// Default is meant for one token or one answer.
var Default = Limits{Bytes: 1 << 20, Depth: 16, Nodes: 1 << 13}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = Default.Bytes
	}
	if l.Depth == 0 {
		l.Depth = Default.Depth
	}
	if l.Nodes == 0 {
		l.Nodes = Default.Nodes
	}
	return l
}

// node is one value or member name. start and end delimit a scalar in the
// source (a string without its quotes); next is the index of the node that
// follows the whole value.
type node struct {
	start, end uint32
	next       uint32
	kind       Kind
	escaped    bool
}

// Doc is a parsed document. The zero Doc has an absent root.
type Doc struct {
	src   string
	nodes []node
}

// Parse reads one JSON value that fills src but for white space around it.
// The error is an Error.
func Parse(src string, limits Limits) (Doc, error) {
	return new(Parser).Parse(src, limits)
}

// Parser parses one document after the other into the same memory. The zero Parser
// is ready; it is not safe for concurrent use.
type Parser struct{ nodes []node }

// Parse is the function Parse, but the document is good until the next one only:
// Clone keeps it.
func (m *Parser) Parse(src string, limits Limits) (Doc, error) {
	limits = limits.withDefaults()
	if len(src) > limits.Bytes {
		return Doc{}, ErrSize
	}
	if m.nodes == nil {
		m.nodes = make([]node, 0, min(len(src)/8+4, 64))
	}
	p := parser{src: src, limits: limits, nodes: m.nodes[:0]}
	err := p.value(p.peek(), 0)
	m.nodes = p.nodes
	if err != 0 {
		return Doc{}, err
	}
	p.space()
	if p.pos != len(src) {
		return Doc{}, ErrSyntax
	}
	return Doc{src: src, nodes: p.nodes}, nil
}

// Clone returns a copy that shares no memory with d but for src, which has to read
// as Source does.
func (d *Doc) Clone(src string) Doc { return Doc{src: src, nodes: slices.Clone(d.nodes)} }

// Source returns the text that was parsed.
func (d *Doc) Source() string { return d.src }

// Size returns roughly how many bytes the document keeps alive.
func (d *Doc) Size() int { return len(d.src) + 16*cap(d.nodes) }

type parser struct {
	src    string
	pos    int
	nodes  []node
	limits Limits
}

// peek steps over white space and returns the byte that comes next, 0 when none does.
func (p *parser) peek() byte {
	if p.pos < len(p.src) && p.src[p.pos] > ' ' {
		return p.src[p.pos]
	}
	return p.space()
}

func (p *parser) space() byte {
	for ; p.pos < len(p.src); p.pos++ {
		switch c := p.src[p.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// open appends the node of an array or object and returns its index.
func (p *parser) open(kind Kind, depth int) (int, Error) {
	if depth >= p.limits.Depth {
		return 0, ErrDepth
	}
	if len(p.nodes) >= p.limits.Nodes {
		return 0, ErrSize
	}
	p.nodes = append(p.nodes, node{kind: kind, start: uint32(p.pos)})
	p.pos++
	return len(p.nodes) - 1, 0
}

// close steps over the last byte of an array or object.
func (p *parser) close(i int) {
	p.pos++
	p.nodes[i].end = uint32(p.pos)
	p.nodes[i].next = uint32(len(p.nodes))
}

// scalar appends the node of a scalar or member name.
func (p *parser) scalar(kind Kind, start, end int, escaped bool) {
	p.nodes = append(p.nodes, node{uint32(start), uint32(end), uint32(len(p.nodes) + 1), kind, escaped})
}

// value reads a value that begins with c, which comes next.
func (p *parser) value(c byte, depth int) Error {
	switch {
	case c == '"':
		return p.text()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == 't':
		return p.word(True, "true")
	case c == 'f':
		return p.word(False, "false")
	case c == 'n':
		return p.word(Null, "null")
	}
	return ErrSyntax
}

func (p *parser) word(kind Kind, word string) Error {
	end := p.pos + len(word)
	if end > len(p.src) || p.src[p.pos:end] != word {
		return ErrSyntax
	}
	if len(p.nodes) >= p.limits.Nodes {
		return ErrSize
	}
	p.scalar(kind, p.pos, end, false)
	p.pos = end
	return 0
}

func (p *parser) array(depth int) Error {
	self, err := p.open(Array, depth)
	if err != 0 {
		return err
	}
	c := p.peek()
	if c == ']' {
		p.close(self)
		return 0
	}
	for {
		if err := p.value(c, depth+1); err != 0 {
			return err
		}
		switch p.peek() {
		case ',':
			p.pos++
			c = p.peek()
		case ']':
			p.close(self)
			return 0
		default:
			return ErrSyntax
		}
	}
}

func (p *parser) object(depth int) Error {
	self, err := p.open(Object, depth)
	if err != 0 {
		return err
	}
	c := p.peek()
	if c == '}' {
		p.close(self)
		return 0
	}
	for {
		if c != '"' {
			return ErrSyntax
		}
		if err := p.text(); err != 0 {
			return err
		}
		if p.peek() != ':' {
			return ErrSyntax
		}
		p.pos++
		if err := p.value(p.peek(), depth+1); err != 0 {
			return err
		}
		switch p.peek() {
		case ',':
			p.pos++
			c = p.peek()
		case '}':
			p.close(self)
			if p.duplicate(self) {
				return ErrDuplicate
			}
			return 0
		default:
			return ErrSyntax
		}
	}
}

// few is up to how many members plain names are compared in pairs; for more, and
// for names with escapes, a set is made.
const few = 24

// duplicate reports whether the closed object at index self has a name twice.
func (p *parser) duplicate(self int) bool {
	src, nodes := p.src, p.nodes
	first, end := self+1, int(nodes[self].next)
	count := 0
	var marks uint64 // of the names so far; two names with one mark need a look
	for i := first; i < end; i = int(nodes[i+1].next) {
		n := nodes[i]
		if count++; count > few || n.escaped {
			return p.duplicateOfMany(first, end)
		}
		name := src[n.start:n.end]
		mark := uint64(1) << (len(name) & 63)
		if name != "" {
			mark = uint64(1) << ((len(name) + 5*int(name[0]) + 11*int(name[len(name)-1])) & 63)
		}
		if marks&mark != 0 {
			for j := first; j < i; j = int(nodes[j+1].next) {
				if m := nodes[j]; src[m.start:m.end] == name {
					return true
				}
			}
		}
		marks |= mark
	}
	return false
}

func (p *parser) duplicateOfMany(first, end int) bool {
	set := make(map[string]struct{}, 2*few)
	for i := first; i < end; i = int(p.nodes[i+1].next) {
		name := text(p.src, p.nodes[i])
		if _, ok := set[name]; ok {
			return true
		}
		set[name] = struct{}{}
	}
	return false
}

// number reads by the grammar of RFC 8259 §6.
func (p *parser) number() Error {
	if len(p.nodes) >= p.limits.Nodes {
		return ErrSize
	}
	src, i, ok := p.src, p.pos, true
	if src[i] == '-' {
		i++
	}
	if i < len(src) && src[i] == '0' {
		i++
	} else if i, ok = digits(src, i); !ok {
		return ErrSyntax
	}
	if i < len(src) && src[i] == '.' {
		if i, ok = digits(src, i+1); !ok {
			return ErrSyntax
		}
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		if i++; i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		if i, ok = digits(src, i); !ok {
			return ErrSyntax
		}
	}
	p.scalar(Number, p.pos, i, false)
	p.pos = i
	return 0
}

// digits steps over at least one digit.
func digits(src string, i int) (end int, ok bool) {
	for end = i; end < len(src) && src[end]-'0' <= 9; end++ {
	}
	return end, end > i
}
