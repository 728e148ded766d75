package vm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Bounds on a module. Those on locals are V8's, and so Envoy's; V8 allows tables ten
// times as large.
const (
	maxModule       = 64 << 20 // bytes
	maxLocals       = 50_000   // of one function
	maxTables       = 16
	maxTableEntries = 1 << 20 // of one table, eight bytes each
)

// Sections of a module.
const (
	customSection  = 0
	typeSection    = 1
	importSection  = 2
	tableSection   = 4
	exportSection  = 7
	startSection   = 8
	elementSection = 9
	codeSection    = 10
	dataSection    = 11
	lastWithCount  = 11
)

var (
	errModuleSize = fmt.Errorf("the module is larger than %d MiB", maxModule>>20)
	errTables     = fmt.Errorf("the module has a table with more than %d entries, or more than %d tables", maxTableEntries, maxTables)
	errLocals     = fmt.Errorf("a function of the module has more than %d local variables", maxLocals)
	errMalformed  = errors.New("the module is malformed")
)

// admit looks through a module before wazero does, which trusts the numbers that it
// reads: five bytes that announce four billion elements or local variables would
// have it allocate them. It returns the module in which every table has a maximum,
// so that table.grow cannot do the same later, and without a section of names that
// is malformed, which is no reason to refuse a module.
//
// What is no module at all is left to wazero, which says so.
func admit(wasm []byte) ([]byte, error) {
	if len(wasm) > maxModule {
		return nil, errModuleSize
	}
	const header = "\x00asm\x01\x00\x00\x00"
	if len(wasm) < len(header) || string(wasm[:len(header)]) != header {
		return wasm, nil
	}
	out := append(make([]byte, 0, len(wasm)), header...)
	changed := false
	for r := (scan{rest: wasm[len(header):]}); len(r.rest) > 0; {
		before := r.rest
		id := r.byte()
		content := r.bytes(r.u32())
		if r.err != nil {
			return nil, r.err
		}
		replacement, drop, err := admitSection(id, content)
		if err != nil {
			return nil, fmt.Errorf("section %d: %w", id, err)
		}
		switch {
		case drop:
			changed = true
		case replacement != nil:
			out = binary.AppendUvarint(append(out, id), uint64(len(replacement)))
			out = append(out, replacement...)
			changed = true
		default:
			out = append(out, before[:len(before)-len(r.rest)]...)
		}
	}
	if !changed {
		return wasm, nil
	}
	return out, nil
}

// admitSection says what is to be made of a section: nothing, another content, or that
// it is left out.
func admitSection(id byte, content []byte) (replacement []byte, drop bool, err error) {
	r := &scan{rest: content}
	switch id {
	case customSection:
		if string(r.bytes(r.u32())) == "name" && r.err == nil && !wellNamed(r.rest) {
			return nil, true, nil
		}
	case tableSection:
		replacement, err = admitTables(r)
		return replacement, false, err
	case typeSection:
		for range r.count() {
			if r.byte() != 0x60 { // a function
				r.fail(errMalformed)
			}
			for range 2 { // parameters, results
				for range r.count() {
					r.valueType()
				}
			}
		}
	case importSection:
		for range r.count() {
			r.imported()
		}
	case exportSection:
		for range r.count() {
			r.bytes(r.u32()) // the name
			r.byte()         // what kind of thing it is
			r.u32()
		}
	case elementSection:
		for range r.count() {
			r.element()
		}
	case codeSection:
		for range r.count() {
			body := scan{rest: r.bytes(r.u32())}
			locals := uint64(0)
			for range body.count() {
				locals += uint64(body.u32())
				body.valueType()
			}
			if locals > maxLocals {
				r.fail(errLocals)
			}
			r.fail(body.err)
		}
	case dataSection:
		for range r.count() {
			kind := r.u32()
			if kind == 2 {
				r.u32() // the memory
			}
			if kind != 1 {
				r.expression()
			}
			r.bytes(r.u32())
		}
	default:
		if id <= lastWithCount && id != startSection {
			r.count()
		}
	}
	return nil, false, r.err
}

// admitTables returns a section of tables that all have a maximum, nil when they have
// one already.
func admitTables(r *scan) ([]byte, error) {
	same := true
	n := r.count()
	if n > maxTables {
		return nil, errTables
	}
	out := binary.AppendUvarint(nil, uint64(n))
	for range n {
		kind, flags := r.reference(), r.byte()
		if flags > 1 { // with a maximum, or without
			r.fail(errMalformed)
		}
		least, most := r.u32(), uint32(math.MaxUint32)
		if flags == 1 {
			most = r.u32()
		}
		if least > maxTableEntries {
			return nil, errTables
		}
		if most > maxTableEntries {
			most, same = maxTableEntries, false
		}
		out = append(out, kind, 1)
		out = binary.AppendUvarint(out, uint64(least))
		out = binary.AppendUvarint(out, uint64(most))
	}
	if same {
		return nil, r.err
	}
	return out, r.err
}

// wellNamed reports whether a section of names can be read.
func wellNamed(content []byte) bool {
	for r := (scan{rest: content}); len(r.rest) > 0; {
		id := r.byte()
		sub := scan{rest: r.bytes(r.u32())}
		names := func() {
			for range sub.count() {
				sub.u32()
				sub.bytes(sub.u32())
			}
		}
		switch id {
		case 0: // of the module
			sub.bytes(sub.u32())
		case 1: // of functions
			names()
		case 2: // of local variables
			for range sub.count() {
				sub.u32()
				names()
			}
		default:
			sub.rest = nil
		}
		if r.err != nil || sub.err != nil || len(sub.rest) > 0 {
			return false
		}
	}
	return true
}

// scan reads the binary format. After an error it reads zeros.
type scan struct {
	rest []byte
	err  error
}

func (r *scan) fail(err error) {
	if r.err == nil && err != nil {
		r.err, r.rest = err, nil
	}
}

func (r *scan) byte() byte {
	b := r.bytes(1)
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (r *scan) bytes(n uint32) []byte {
	if r.err != nil || uint64(n) > uint64(len(r.rest)) {
		r.fail(errMalformed)
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// u32 reads a LEB128 number.
func (r *scan) u32() uint32 {
	n, size := binary.Uvarint(r.rest[:min(len(r.rest), 5)])
	if r.err != nil || size <= 0 || n > math.MaxUint32 {
		r.fail(errMalformed)
		return 0
	}
	r.rest = r.rest[size:]
	return uint32(n)
}

// count reads how many elements follow, of at least a byte each.
func (r *scan) count() uint32 {
	n := r.u32()
	if uint64(n) > uint64(len(r.rest)) {
		r.fail(errMalformed)
		return 0
	}
	return n
}

// reference reads funcref or externref. What else later versions of WebAssembly have
// for references is longer than a byte, and no guest of ours.
func (r *scan) reference() byte {
	b := r.byte()
	if b != 0x70 && b != 0x6f {
		r.fail(errMalformed)
	}
	return b
}

// valueType passes over a type: a number, a vector or a reference.
func (r *scan) valueType() {
	if b := r.byte(); b < 0x7b || b > 0x7f {
		if b != 0x70 && b != 0x6f {
			r.fail(errMalformed)
		}
	}
}

// signed passes over a signed LEB128 number.
func (r *scan) signed() {
	end := slices.IndexFunc(r.rest, func(b byte) bool { return b < 0x80 })
	r.bytes(uint32(end + 1)) // none is an error too: the expression has no end then
	if end < 0 {
		r.fail(errMalformed)
	}
}

// expression passes over a constant expression.
func (r *scan) expression() {
	for r.err == nil {
		switch r.byte() {
		case 0x0b: // end
			return
		case 0x41, 0x42: // i32.const, i64.const
			r.signed()
		case 0x43: // f32.const
			r.bytes(4)
		case 0x44: // f64.const
			r.bytes(8)
		case 0x23, 0xd2: // global.get, ref.func
			r.u32()
		case 0xd0: // ref.null
			r.reference()
		case 0xfd: // v128.const
			r.bytes(1 + 16)
		default:
			r.fail(errMalformed)
		}
	}
}

// imported passes over an import.
func (r *scan) imported() {
	r.bytes(r.u32()) // the module
	r.bytes(r.u32()) // the name
	switch kind := r.byte(); kind {
	case 0: // a function
		r.u32()
	case 1, 2: // a table, a memory
		if kind == 1 {
			r.reference()
		}
		flags := r.byte()
		r.u32()
		if flags&1 != 0 {
			r.u32()
		}
	case 3: // a global
		r.valueType()
		r.byte() // whether it can be changed
	default:
		r.fail(errMalformed)
	}
}

// element passes over a segment of elements.
func (r *scan) element() {
	kind := r.u32()
	passive, indexed, expressions := kind&1 != 0, kind&2 != 0, kind&4 != 0
	if kind > 7 {
		r.fail(errMalformed)
	}
	if !passive {
		if indexed {
			r.u32() // the table
		}
		r.expression()
	}
	switch {
	case !passive && !indexed:
	case expressions:
		r.reference()
	case r.byte() != 0: // functions, by their index
		r.fail(errMalformed)
	}
	for range r.count() {
		if expressions {
			r.expression()
		} else {
			r.u32()
		}
	}
}
