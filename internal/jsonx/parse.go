package jsonx

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
	limits = limits.withDefaults()
	if len(src) > limits.Bytes {
		return Doc{}, ErrSize
	}
	p := parser{src: src, limits: limits, nodes: make([]node, 0, min(len(src)/8+4, 64))}
	p.space()
	if err := p.value(0); err != 0 {
		return Doc{}, err
	}
	p.space()
	if p.pos != len(src) {
		return Doc{}, ErrSyntax
	}
	return Doc{src: src, nodes: p.nodes}, nil
}

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

func (p *parser) space() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// open appends a node and returns its index.
func (p *parser) open(kind Kind, start int) (int, Error) {
	if len(p.nodes) >= p.limits.Nodes {
		return 0, ErrSize
	}
	p.nodes = append(p.nodes, node{kind: kind, start: uint32(start)})
	return len(p.nodes) - 1, 0
}

func (p *parser) close(i int) {
	p.nodes[i].end = uint32(p.pos)
	p.nodes[i].next = uint32(len(p.nodes))
}

func (p *parser) value(depth int) Error {
	if p.pos >= len(p.src) {
		return ErrSyntax
	}
	switch c := p.src[p.pos]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.text()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
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
	if len(p.src)-p.pos < len(word) || p.src[p.pos:p.pos+len(word)] != word {
		return ErrSyntax
	}
	i, err := p.open(kind, p.pos)
	if err != 0 {
		return err
	}
	p.pos += len(word)
	p.close(i)
	return 0
}

func (p *parser) array(depth int) Error {
	if depth >= p.limits.Depth {
		return ErrDepth
	}
	self, err := p.open(Array, p.pos)
	if err != 0 {
		return err
	}
	p.pos++
	p.space()
	if p.next(']') {
		p.close(self)
		return 0
	}
	for {
		if err := p.value(depth + 1); err != 0 {
			return err
		}
		p.space()
		if p.next(']') {
			p.close(self)
			return 0
		}
		if !p.next(',') {
			return ErrSyntax
		}
		p.space()
	}
}

func (p *parser) object(depth int) Error {
	if depth >= p.limits.Depth {
		return ErrDepth
	}
	self, err := p.open(Object, p.pos)
	if err != 0 {
		return err
	}
	p.pos++
	p.space()
	if p.next('}') {
		p.close(self)
		return 0
	}
	for {
		if p.pos >= len(p.src) || p.src[p.pos] != '"' {
			return ErrSyntax
		}
		if err := p.text(); err != 0 {
			return err
		}
		p.space()
		if !p.next(':') {
			return ErrSyntax
		}
		p.space()
		if err := p.value(depth + 1); err != 0 {
			return err
		}
		p.space()
		if p.next('}') {
			p.close(self)
			if p.duplicate(self) {
				return ErrDuplicate
			}
			return 0
		}
		if !p.next(',') {
			return ErrSyntax
		}
		p.space()
	}
}

// next steps over c if it comes next.
func (p *parser) next(c byte) bool {
	if p.pos < len(p.src) && p.src[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// few is up to how many members plain names are compared in pairs; for more, and
// for names with escapes, a set is made.
const few = 24

// duplicate reports whether the closed object at index self has a name twice.
func (p *parser) duplicate(self int) bool {
	first, end := self+1, int(p.nodes[self].next)
	count := 0
	for i := first; i < end; i = int(p.nodes[i+1].next) {
		n := &p.nodes[i]
		if count++; count > few || n.escaped {
			return p.duplicateOfMany(first, end)
		}
		name := p.src[n.start:n.end]
		for j := first; j < i; j = int(p.nodes[j+1].next) {
			if m := &p.nodes[j]; p.src[m.start:m.end] == name {
				return true
			}
		}
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
	i, err := p.open(Number, p.pos)
	if err != 0 {
		return err
	}
	p.next('-')
	if !p.next('0') && !p.digits() {
		return ErrSyntax
	}
	if p.next('.') && !p.digits() {
		return ErrSyntax
	}
	if p.next('e') || p.next('E') {
		if !p.next('+') {
			p.next('-')
		}
		if !p.digits() {
			return ErrSyntax
		}
	}
	p.close(i)
	return 0
}

// digits steps over at least one digit.
func (p *parser) digits() bool {
	start := p.pos
	for p.pos < len(p.src) && p.src[p.pos] >= '0' && p.src[p.pos] <= '9' {
		p.pos++
	}
	return p.pos > start
}
