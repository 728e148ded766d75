package jsonx

// Value is one value of a document. The zero Value is absent: it has no
// members, no elements and no scalar, so that a chain of Get never fails.
type Value struct {
	doc *Doc
	at  uint32
}

// Root returns the document's value.
func (d *Doc) Root() Value {
	if len(d.nodes) == 0 {
		return Value{}
	}
	return Value{doc: d}
}

// Kind returns the value's kind, Absent for the zero Value.
func (v Value) Kind() Kind {
	if v.doc == nil {
		return Absent
	}
	return v.doc.nodes[v.at].kind
}

// Exists reports whether there is a value; null is one.
func (v Value) Exists() bool { return v.doc != nil }

// Get returns the member of an object with exactly that name.
func (v Value) Get(name string) Value {
	if v.Kind() != Object {
		return Value{}
	}
	nodes := v.doc.nodes
	end := nodes[v.at].next
	for i := v.at + 1; i < end; i = nodes[i+1].next {
		n := nodes[i]
		if !n.escaped && v.doc.src[n.start:n.end] == name || n.escaped && text(v.doc.src, n) == name {
			return Value{v.doc, i + 1}
		}
	}
	return Value{}
}

// Cursor walks the members of an object or the elements of an array:
//
//	for c := v.Cursor(); c.Next(); { use(c.Name(), c.Value()) }
type Cursor struct {
	doc       *Doc
	name, val uint32
	after     uint32 // index behind the current value
	end       uint32
	object    bool
}

// Cursor returns a cursor before the first member or element; for a scalar, an
// empty one.
func (v Value) Cursor() Cursor {
	if k := v.Kind(); k != Object && k != Array {
		return Cursor{}
	}
	return Cursor{doc: v.doc, after: v.at + 1, end: v.doc.nodes[v.at].next, object: v.Kind() == Object}
}

// Next steps on and reports whether there is a further member or element.
func (c *Cursor) Next() bool {
	if c.after >= c.end {
		return false
	}
	c.val = c.after
	if c.object {
		c.name = c.after
		c.val++
	}
	c.after = c.doc.nodes[c.val].next
	return true
}

// Name returns the name of the current member, "" for an element.
func (c *Cursor) Name() string {
	if !c.object {
		return ""
	}
	return text(c.doc.src, c.doc.nodes[c.name])
}

// Value returns the current value.
func (c *Cursor) Value() Value { return Value{c.doc, c.val} }

// Len returns the number of members or elements, 0 for a scalar.
func (v Value) Len() int {
	n := 0
	for c := v.Cursor(); c.Next(); {
		n++
	}
	return n
}

// Text returns a string's value; ok is false for every other kind.
func (v Value) Text() (s string, ok bool) {
	if v.Kind() != String {
		return "", false
	}
	return text(v.doc.src, v.doc.nodes[v.at]), true
}

// Bool returns true or false; ok is false for every other kind.
func (v Value) Bool() (b, ok bool) {
	k := v.Kind()
	return k == True, k == True || k == False
}

// Raw returns the value as it stands in the source, strings without their quotes.
func (v Value) Raw() string {
	if v.doc == nil {
		return ""
	}
	n := v.doc.nodes[v.at]
	return v.doc.src[n.start:n.end]
}

// Int returns a number written without fraction and exponent that fits; ok is
// false for everything else.
func (v Value) Int() (i int64, ok bool) {
	if v.Kind() != Number {
		return 0, false
	}
	raw := v.Raw()
	negative := raw[0] == '-'
	if negative {
		raw = raw[1:]
	}
	if len(raw) > 18 {
		return 0, false
	}
	for at := range len(raw) {
		c := raw[at] - '0'
		if c > 9 {
			return 0, false
		}
		i = i*10 + int64(c)
	}
	if negative {
		i = -i
	}
	return i, true
}
