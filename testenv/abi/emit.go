package abi

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	encoder "github.com/tetratelabs/wabin/binary"
	"github.com/tetratelabs/wabin/leb128"
	"github.com/tetratelabs/wabin/wasm"
)

// A module is straight-line code made of a scenario: no SDK stands between the
// scenario and the host. It writes a record of each callback and each call into the
// log, in hexadecimal digits, which record.go reads back:
//
//	ID c NUMBER-OF-CALLBACK ARGUMENTS…
//	ID o NUMBER-OF-OP STATUS OUTPUTS…
//
// Memory: texts and places for outputs, then the buffer of the record, then a heap
// from which malloc cuts and to which nothing returns.

const (
	firstConst = 0x1000
	recordSize = 0x10000
	untouched  = 0xeeeeeeee // in a place for an output before the call
	maxShown   = 4096       // bytes of an output that a record has
)

// callbackNames number the callbacks in records.
var callbackNames = slices.Sorted(maps.Keys(callbacks))

// emitter makes one module.
type emitter struct {
	s       *Scenario
	m       *wasm.Module
	imports map[string]wasm.Index
	data    []byte
	texts   map[string]int64
	vars    map[string]variable
	outs    [][]variable // of each op
	helper  struct{ char, hex, bytes, flush, malloc wasm.Index }
}

// variable is where a value stands.
type variable struct {
	kind byte // letter of an output
	at   int64
}

const (
	globalCursor = 0 // the end of the record
	globalHeap   = 1
)

// Emit returns the module of a scenario. Names of the scenario's clusters are put in
// the place of %UP% and %GRPC%, and its id in that of %ID%.
func Emit(s *Scenario) (module []byte, err error) {
	defer func() {
		if e, ok := recover().(emitError); ok {
			err = fmt.Errorf("%s: %s", s.Name, string(e))
		} else if e := recover(); e != nil {
			panic(e)
		}
	}()
	e := &emitter{s: s, m: &wasm.Module{}, imports: map[string]wasm.Index{}, texts: map[string]int64{},
		vars: map[string]variable{}}
	return e.module(), nil
}

type emitError string

func fail(format string, args ...any) { panic(emitError(fmt.Sprintf(format, args...))) }

// code is the body of a function.
type code struct{ b []byte }

func (c *code) op(b ...byte) *code { c.b = append(c.b, b...); return c }
func (c *code) i32(n int64) *code {
	return c.op(wasm.OpcodeI32Const).op(leb128.EncodeInt32(int32(n))...)
}
func (c *code) i64(n int64) *code       { return c.op(wasm.OpcodeI64Const).op(leb128.EncodeInt64(n)...) }
func (c *code) get(n int) *code         { return c.op(wasm.OpcodeLocalGet, byte(n)) }
func (c *code) set(n int) *code         { return c.op(wasm.OpcodeLocalSet, byte(n)) }
func (c *code) gget(n int) *code        { return c.op(wasm.OpcodeGlobalGet, byte(n)) }
func (c *code) gset(n int) *code        { return c.op(wasm.OpcodeGlobalSet, byte(n)) }
func (c *code) call(f wasm.Index) *code { return c.op(wasm.OpcodeCall).op(leb128.EncodeUint32(f)...) }
func (c *code) load() *code             { return c.op(wasm.OpcodeI32Load, 2, 0) }
func (c *code) store() *code            { return c.op(wasm.OpcodeI32Store, 2, 0) }

func (e *emitter) module() []byte {
	e.places()
	for _, name := range e.importNames() {
		e.importFunc(name)
	}
	e.addHelpers()
	e.exports()
	heap := (firstConst + int64(len(e.data)) + recordSize + 0xffff) &^ 0xffff
	e.m.MemorySection = &wasm.Memory{Min: uint32(heap>>16) + 8}
	e.global(heap - recordSize)
	e.global(heap)
	if len(e.data) > 0 {
		e.m.DataSection = []*wasm.DataSegment{{
			OffsetExpression: &wasm.ConstantExpression{Opcode: wasm.OpcodeI32Const, Data: leb128.EncodeInt32(firstConst)}, Init: e.data}}
	}
	if e.s.Options["module"] != "no-memory" {
		e.m.ExportSection = append(e.m.ExportSection, &wasm.Export{Name: "memory", Type: wasm.ExternTypeMemory})
	}
	return encoder.EncodeModule(e.m)
}

func (e *emitter) global(n int64) {
	e.m.GlobalSection = append(e.m.GlobalSection, &wasm.Global{Type: &wasm.GlobalType{ValType: wasm.ValueTypeI32, Mutable: true},
		Init: &wasm.ConstantExpression{Opcode: wasm.OpcodeI32Const, Data: leb128.EncodeInt32(int32(n))}})
}

// importNames are the calls that the scenario makes, and log.
func (e *emitter) importNames() []string {
	names := map[string]bool{"log": true}
	for _, o := range e.s.ops {
		if _, ok := calls[o.call]; ok {
			names[o.call] = true
		}
	}
	if name, ok := strings.CutPrefix(e.s.Options["module"], "import-"); ok { // MODULE.NAME, or MODULE.NAME:TYPES, which nobody may provide
		names["?"+name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func (e *emitter) importFunc(name string) {
	c, ok := calls[name]
	if !ok {
		c.module, c.name, _ = strings.Cut(name[1:], ".")
		c.name, c.params, _ = strings.Cut(c.name, ":")
	}
	results := []wasm.ValueType{wasm.ValueTypeI32}
	if c.void {
		results = nil
	}
	e.imports[name] = wasm.Index(len(e.m.ImportSection))
	e.m.ImportSection = append(e.m.ImportSection, &wasm.Import{
		Type: wasm.ExternTypeFunc, Module: c.module, Name: c.name, DescFunc: e.typeOf(c.types(), results)})
}

// typeOf returns the index of a type: i for 32 bits, I for 64.
func (e *emitter) typeOf(params string, results []wasm.ValueType) wasm.Index {
	var types []wasm.ValueType
	for _, p := range params {
		if p == 'I' {
			types = append(types, wasm.ValueTypeI64)
		} else {
			types = append(types, wasm.ValueTypeI32)
		}
	}
	for i, t := range e.m.TypeSection {
		if t.EqualsSignature(types, results) {
			return wasm.Index(i)
		}
	}
	e.m.TypeSection = append(e.m.TypeSection, &wasm.FunctionType{Params: types, Results: results})
	return wasm.Index(len(e.m.TypeSection) - 1)
}

// function adds a function with a number of parameters and locals of 32 bits.
func (e *emitter) function(params, locals int, result bool, c *code) wasm.Index {
	var results []wasm.ValueType
	if result {
		results = []wasm.ValueType{wasm.ValueTypeI32}
	}
	e.m.FunctionSection = append(e.m.FunctionSection, e.typeOf(strings.Repeat("i", params), results))
	types := make([]wasm.ValueType, locals)
	for i := range types {
		types[i] = wasm.ValueTypeI32
	}
	e.m.CodeSection = append(e.m.CodeSection, &wasm.Code{LocalTypes: types, Body: append(c.b, wasm.OpcodeEnd)})
	return wasm.Index(len(e.m.ImportSection) + len(e.m.FunctionSection) - 1)
}

func (e *emitter) export(name string, f wasm.Index) {
	e.m.ExportSection = append(e.m.ExportSection, &wasm.Export{Name: name, Type: wasm.ExternTypeFunc, Index: f})
}

const void = 0x40 // the type of a block without a result

// addHelpers adds the functions that write records, and malloc.
func (e *emitter) addHelpers() {
	// char(c): one byte to the record.
	c := new(code)
	c.gget(globalCursor).get(0).op(wasm.OpcodeI32Store8, 0, 0)
	c.gget(globalCursor).i32(1).op(wasm.OpcodeI32Add).gset(globalCursor)
	e.helper.char = e.function(1, 0, false, c)
	// hex(v, digits)
	c = new(code)
	c.op(wasm.OpcodeBlock, void, wasm.OpcodeLoop, void)
	c.get(1).op(wasm.OpcodeI32Eqz, wasm.OpcodeBrIf, 1)
	c.get(1).i32(1).op(wasm.OpcodeI32Sub).set(1)
	c.get(0).get(1).i32(2).op(wasm.OpcodeI32Shl, wasm.OpcodeI32ShrU).i32(15).op(wasm.OpcodeI32And).set(2)
	c.get(2).i32('0').op(wasm.OpcodeI32Add).get(2).i32('a' - 10).op(wasm.OpcodeI32Add)
	c.get(2).i32(10).op(wasm.OpcodeI32LtU, wasm.OpcodeSelect).call(e.helper.char)
	c.op(wasm.OpcodeBr, 0, wasm.OpcodeEnd, wasm.OpcodeEnd)
	e.helper.hex = e.function(2, 1, false, c)
	// bytes(address, size)
	c = new(code)
	c.op(wasm.OpcodeBlock, void, wasm.OpcodeLoop, void)
	c.get(1).op(wasm.OpcodeI32Eqz, wasm.OpcodeBrIf, 1)
	c.get(0).op(wasm.OpcodeI32Load8U, 0, 0).i32(2).call(e.helper.hex)
	c.get(0).i32(1).op(wasm.OpcodeI32Add).set(0)
	c.get(1).i32(1).op(wasm.OpcodeI32Sub).set(1)
	c.op(wasm.OpcodeBr, 0, wasm.OpcodeEnd, wasm.OpcodeEnd)
	e.helper.bytes = e.function(2, 0, false, c)
	// flush(start): the record from start on goes into the log.
	c = new(code)
	c.i32(2).get(0).gget(globalCursor).get(0).op(wasm.OpcodeI32Sub).call(e.imports["log"]).op(wasm.OpcodeDrop)
	c.get(0).gset(globalCursor)
	e.helper.flush = e.function(1, 0, false, c)
	e.addMalloc()
}

// addMalloc adds malloc, which may lie: option module=malloc-….
func (e *emitter) addMalloc() {
	c := new(code)
	switch e.s.Options["module"] {
	case "no-malloc":
		return
	case "malloc-zero":
		c.i32(0)
	case "malloc-beyond":
		c.i32(0x7fffff00)
	case "malloc-traps":
		c.op(wasm.OpcodeUnreachable)
	default:
		e.body(c, "malloc", 1)
		c.gget(globalHeap).set(1)
		c.gget(globalHeap).get(0).op(wasm.OpcodeI32Add).i32(7).op(wasm.OpcodeI32Add).i32(-8).op(wasm.OpcodeI32And).gset(globalHeap)
		c.op(wasm.OpcodeBlock, void)
		c.gget(globalHeap).op(wasm.OpcodeMemorySize, 0).i32(16).op(wasm.OpcodeI32Shl, wasm.OpcodeI32LtU, wasm.OpcodeBrIf, 0)
		c.get(0).i32(16).op(wasm.OpcodeI32ShrU).i32(4).op(wasm.OpcodeI32Add, wasm.OpcodeMemoryGrow, 0, wasm.OpcodeDrop, wasm.OpcodeEnd)
		c.get(1)
	}
	e.helper.malloc = e.function(1, localsOfBody, true, c)
	name := "malloc"
	if e.s.Options["module"] == "memory-allocate" {
		name = "proxy_on_memory_allocate"
	}
	e.export(name, e.helper.malloc)
	if e.s.Options["module"] == "both-allocators" { // the one that is not to be called
		e.export("proxy_on_memory_allocate", e.function(1, 0, true, new(code).op(wasm.OpcodeUnreachable)))
	}
}

// localsOfBody are the locals that body uses: status, and the start of the record.
const localsOfBody = 3

// exports adds the callbacks that the scenario has, and those that every one has:
// contexts that are created and deleted.
func (e *emitter) exports() {
	names := map[string]bool{"context_create": true, "delete": true}
	for _, b := range e.s.Blocks {
		names[b.callback] = true
	}
	delete(names, "malloc")
	switch e.s.Options["abi"] {
	case "none":
	case "":
		e.export("proxy_abi_version_0_2_1", e.function(0, 0, false, new(code)))
	default:
		for v := range strings.SplitSeq(e.s.Options["abi"], "+") {
			e.export("proxy_abi_version_"+v, e.function(0, 0, false, new(code)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		cb := callbacks[name]
		c := new(code)
		if name[0] != '_' && name != "main" {
			c.gget(globalCursor).set(cb.params + 1)
			e.put(c, 'c', int64(slices.Index(callbackNames, name)))
			for i := range cb.params {
				c.get(i).i32(8).call(e.helper.hex)
			}
			c.get(cb.params + 1).call(e.helper.flush)
		}
		result := e.body(c, name, cb.params)
		if cb.result >= 0 {
			c.get(result)
		}
		f := e.function(cb.params, localsOfBody, cb.result >= 0, c)
		if e.s.Options["module"] == "signature-"+name {
			f = e.function(cb.params+1, 0, cb.result >= 0, new(code).i32(0))
		}
		e.export(exportName(name), f)
	}
}

// put starts a record: the scenario's id, which is all that tells whose it is where no
// context runs, a letter and a number.
func (e *emitter) put(c *code, letter byte, n int64) {
	for _, b := range []byte(e.s.ID) {
		c.i32(int64(b)).call(e.helper.char)
	}
	c.i32(int64(letter)).call(e.helper.char).i32(n).i32(4).call(e.helper.hex)
}

// body adds what the scenario has for a callback and returns the local with the
// result. Of its locals the first is status, the second the record's start, the
// third the result.
func (e *emitter) body(c *code, name string, params int) (result int) {
	status, start, result := params, params+1, params+2
	c.i32(int64(callbacks[name].result)).set(result)
	var list []block
	for _, b := range e.s.Blocks {
		if b.callback == name {
			list = append(list, b)
		}
	}
	if len(list) == 0 {
		return result
	}
	count := e.place(4)
	c.i32(count).i32(count).load().i32(1).op(wasm.OpcodeI32Add).store()
	for _, b := range list {
		c.op(wasm.OpcodeBlock, void)
		if b.nth > 0 {
			c.i32(count).load().i32(int64(b.nth)).op(wasm.OpcodeI32Ne, wasm.OpcodeBrIf, 0)
		}
		if b.end {
			c.get(2).op(wasm.OpcodeI32Eqz, wasm.OpcodeBrIf, 0)
		}
		if b.given != "" {
			v, ok := e.vars[b.given]
			if !ok {
				fail("$%s is not set", b.given)
			}
			if v.kind == 'B' || v.kind == 'P' {
				v.at += 4 // its size
			}
			c.i32(v.at).load().op(wasm.OpcodeI32Eqz, wasm.OpcodeBrIf, 0)
			c.i32(v.at).load().i32(untouched).op(wasm.OpcodeI32Eq, wasm.OpcodeBrIf, 0)
		}
		for _, n := range b.ops {
			e.op(c, n, status, start)
		}
		if b.returns {
			c.i32(int64(b.result)).set(result)
		}
		c.op(wasm.OpcodeEnd)
	}
	return result
}

// places reserves memory for what ops give, so that a callback can use what another
// has got.
func (e *emitter) places() {
	for _, o := range e.s.ops {
		var outs []variable
		if o.call == "set" {
			v, ok := e.vars[o.outs[0]]
			if !ok {
				v = variable{'w', e.place(8)}
			}
			outs = append(outs, v)
		}
		for i, letter := range calls[o.call].outputs() {
			v := variable{byte(letter), e.place(8)}
			if i < len(o.moved) && o.moved[i] != "_" {
				at, err := strconv.ParseInt(o.moved[i], 0, 64)
				if err != nil {
					fail("%q is no address", o.moved[i])
				}
				v = variable{'-', at}
			}
			outs = append(outs, v)
		}
		for i, name := range o.outs {
			e.vars[name] = outs[i]
		}
		e.outs = append(e.outs, outs)
	}
}

// place reserves memory.
func (e *emitter) place(size int) int64 {
	for len(e.data)%8 != 0 {
		e.data = append(e.data, 0)
	}
	at := firstConst + int64(len(e.data))
	e.data = append(e.data, make([]byte, size)...)
	return at
}

// text places bytes and returns their address.
func (e *emitter) text(s string) int64 {
	if at, ok := e.texts[s]; ok {
		return at
	}
	at := e.place(len(s))
	copy(e.data[at-firstConst:], s)
	e.texts[s] = at
	return at
}

// encodePairs encodes keys and values in turn.
func encodePairs(list []string) string {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(list)/2))
	for _, t := range list {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(t)))
	}
	for _, t := range list {
		b = append(append(b, t...), 0)
	}
	return string(b)
}
