package host

import (
	"bytes"
	"encoding/binary"
	"math"
)

// The hostile guest is a module that does what a program tells it, hostcalls with any
// arguments above all. A program is a list of records; it comes in the header x-program
// of a request. Each callback runs records up to one that ends it. The statuses are
// written into the guest's memory, one after the other, from hostileStatuses.

const (
	hostileArgs     = 12
	hostileRecord   = 4 * (1 + hostileArgs)
	hostileStatuses = 1 << 10
	hostileProgram  = 1 << 12 // where a program comes to lie
	hostileMemory   = 2 << 16
)

// hostileImports are the hostcalls by the op that makes them: their module, name,
// parameters (i for i32, I for i64) and result.
var hostileImports = []struct{ module, name, params, result string }{
	{"env", "proxy_log", "iii", "i"},
	{"env", "proxy_get_log_level", "i", "i"},
	{"env", "proxy_get_current_time_nanoseconds", "i", "i"},
	{"env", "proxy_set_tick_period_milliseconds", "i", "i"},
	{"env", "proxy_set_effective_context", "i", "i"},
	{"env", "proxy_done", "", "i"},
	{"env", "proxy_get_buffer_bytes", "iiiii", "i"},
	{"env", "proxy_get_buffer_status", "iii", "i"},
	{"env", "proxy_set_buffer_bytes", "iiiii", "i"},
	{"env", "proxy_get_header_map_size", "ii", "i"},
	{"env", "proxy_get_header_map_pairs", "iii", "i"},
	{"env", "proxy_set_header_map_pairs", "iii", "i"},
	{"env", "proxy_get_header_map_value", "iiiii", "i"},
	{"env", "proxy_add_header_map_value", "iiiii", "i"},
	{"env", "proxy_replace_header_map_value", "iiiii", "i"},
	{"env", "proxy_remove_header_map_value", "iii", "i"},
	{"env", "proxy_get_property", "iiii", "i"},
	{"env", "proxy_set_property", "iiii", "i"},
	{"env", "proxy_send_local_response", "iiiiiiii", "i"},
	{"env", "proxy_continue_stream", "i", "i"},
	{"env", "proxy_close_stream", "i", "i"},
	{"env", "proxy_http_call", "iiiiiiiiii", "i"},
	{"env", "proxy_get_status", "iii", "i"},
	{"env", "proxy_get_shared_data", "iiiii", "i"},
	{"env", "proxy_set_shared_data", "iiiii", "i"},
	{"env", "proxy_register_shared_queue", "iii", "i"},
	{"env", "proxy_resolve_shared_queue", "iiiii", "i"},
	{"env", "proxy_enqueue_shared_queue", "iii", "i"},
	{"env", "proxy_dequeue_shared_queue", "iii", "i"},
	{"env", "proxy_define_metric", "iiii", "i"},
	{"env", "proxy_increment_metric", "iI", "i"},
	{"env", "proxy_record_metric", "iI", "i"},
	{"env", "proxy_get_metric", "ii", "i"},
	{"env", "proxy_call_foreign_function", "iiiiii", "i"},
	{"env", "proxy_grpc_call", "iiiiiiiiiiii", "i"},
	{"env", "proxy_grpc_stream", "iiiiiiiii", "i"},
	{"env", "proxy_grpc_send", "iiii", "i"},
	{"env", "proxy_grpc_cancel", "i", "i"},
	{"env", "proxy_grpc_close", "i", "i"},
	{"wasi_snapshot_preview1", "fd_write", "iiii", "i"},
	{"wasi_snapshot_preview1", "random_get", "ii", "i"},
	{"wasi_snapshot_preview1", "clock_time_get", "iIi", "i"},
	{"wasi_snapshot_preview1", "environ_get", "ii", "i"},
	{"wasi_snapshot_preview1", "environ_sizes_get", "ii", "i"},
	{"wasi_snapshot_preview1", "poll_oneoff", "iiii", "i"},
	{"wasi_snapshot_preview1", "fd_fdstat_get", "ii", "i"},
	{"wasi_snapshot_preview1", "proc_exit", "i", ""},
}

// op returns the op of a hostcall.
func op(name string) uint32 {
	for i, f := range hostileImports {
		if f.name == name {
			return uint32(i)
		}
	}
	panic(name)
}

// Ops that are no hostcalls. Their argument is the record's first.
const (
	opEnd     = 100 + iota // the callback ends
	opAction               // what callbacks return from now on
	opLie                  // what the allocator returns from now on; 0 for memory
	opReenter              // the allocator runs the next record, from now on
	opGrow                 // memory, by pages
	opTrap                 //
	opSpin                 // for ever
	opRecurse              // for ever
	opRepeat               // the record before, as many times; statuses but the last are lost
	opCount                // down from a number
	opPast                 // one beyond the last
)

// record is one step of a program.
type record struct {
	op   uint32
	args [hostileArgs]uint32
}

func do(op uint32, args ...uint32) (r record) {
	r.op = op
	copy(r.args[:], args)
	return r
}

// program encodes records. Behind them is data; at returns where it is in memory.
func program(data string, list func(at uint32) []record) string {
	records := list(0)
	records = list(hostileProgram + uint32(len(records))*hostileRecord)
	var out []byte
	for _, r := range records {
		out = binary.LittleEndian.AppendUint32(out, r.op)
		for _, a := range r.args {
			out = binary.LittleEndian.AppendUint32(out, a)
		}
	}
	return string(out) + data
}

// code is a function's instructions.
type code struct{ bytes.Buffer }

func (c *code) op(b ...byte) *code { c.Write(b); return c }

func (c *code) num(n uint32) *code {
	c.Write(binary.AppendUvarint(nil, uint64(n)))
	return c
}

// i32 pushes a constant.
func (c *code) i32(n uint32) *code {
	v := int64(int32(n))
	c.WriteByte(0x41)
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			c.WriteByte(b)
			return c
		}
		c.WriteByte(b | 0x80)
	}
}

func (c *code) get(local uint32) *code  { return c.op(0x20).num(local) }
func (c *code) set(local uint32) *code  { return c.op(0x21).num(local) }
func (c *code) gget(g uint32) *code     { return c.op(0x23).num(g) }
func (c *code) gset(g uint32) *code     { return c.op(0x24).num(g) }
func (c *code) call(f uint32) *code     { return c.op(0x10).num(f) }
func (c *code) load(off uint32) *code   { return c.op(0x28, 2).num(off) }
func (c *code) load64(off uint32) *code { return c.op(0x29, 3).num(off) }
func (c *code) store() *code            { return c.op(0x36, 2, 0) }
func (c *code) when() *code             { return c.op(0x04, 0x40) } // if
func (c *code) end() *code              { return c.op(0x0b) }
func (c *code) add() *code              { return c.op(0x6a) }
func (c *code) ret() *code              { return c.op(0x0f) }

// Globals of the hostile guest.
const (
	gPC, gEnd, gHeap, gLie, gReenter, gAction, gStatuses = 0, 1, 2, 3, 4, 5, 6
	hostileGlobals                                       = 7
)

// hostile returns the module.
func hostile() []byte {
	n := uint32(len(hostileImports))
	exec, run, malloc, recurse, begin := n, n+1, n+2, n+3, n+4
	functions := []*code{}

	// exec(record) → status
	c := &code{}
	for i, f := range hostileImports {
		c.get(0).load(0).i32(uint32(i)).op(0x46).when()
		off := uint32(4)
		for _, p := range f.params {
			if p == 'I' {
				c.get(0).load64(off)
				off += 8
			} else {
				c.get(0).load(off)
				off += 4
			}
		}
		c.call(uint32(i))
		if f.result == "" {
			c.i32(0)
		}
		c.ret().end()
	}
	special := func(op uint32, body func()) {
		c.get(0).load(0).i32(op).op(0x46).when()
		body()
		c.end()
	}
	special(opAction, func() { c.get(0).load(4).gset(gAction) })
	special(opLie, func() { c.get(0).load(4).gset(gLie) })
	special(opReenter, func() { c.i32(1).gset(gReenter) })
	special(opGrow, func() { c.get(0).load(4).op(0x40, 0, 0x1a) })
	special(opTrap, func() { c.op(0x00) })
	special(opSpin, func() { c.op(0x03, 0x40, 0x0c, 0).end() })
	special(opRecurse, func() { c.get(0).call(recurse).op(0x1a) })
	special(opRepeat, func() {
		c.get(0).load(4).set(1) // how many times
		c.op(0x02, 0x40, 0x03, 0x40).get(1).op(0x45, 0x0d, 1)
		c.get(0).i32(hostileRecord).op(0x6b).call(exec).set(2)
		c.get(1).i32(1).op(0x6b).set(1).op(0x0c, 0).end().end()
		c.get(2).ret()
	})
	special(opCount, func() {
		c.get(0).load(4).set(1)
		c.op(0x03, 0x40).get(1).i32(1).op(0x6b, 0x22, 1, 0x0d, 0).end() // tee, and again unless 0
	})
	functions = append(functions, c.i32(math.MaxUint32).end())

	// run() → action
	c = &code{}
	c.op(0x03, 0x40) // loop
	c.gget(gPC).i32(hostileRecord).add().gget(gEnd).op(0x4b).when().gget(gAction).ret().end()
	c.gget(gPC).set(0).gget(gPC).i32(hostileRecord).add().gset(gPC)
	c.get(0).load(0).i32(opEnd).op(0x46).when().gget(gAction).ret().end()
	c.get(0).call(exec).set(1)
	c.gget(gStatuses).i32(hostileProgram).op(0x49).when()
	c.gget(gStatuses).get(1).store().gget(gStatuses).i32(4).add().gset(gStatuses).end()
	c.op(0x0c, 0).end() // again
	functions = append(functions, c.op(0x00).end())

	// malloc(size) → address
	c = &code{}
	c.gget(gReenter).when().i32(0).gset(gReenter)
	c.gget(gPC).i32(hostileRecord).add().gget(gEnd).op(0x4d).when()
	c.gget(gPC).set(1).gget(gPC).i32(hostileRecord).add().gset(gPC).get(1).call(exec).op(0x1a).end().end()
	c.gget(gLie).when().gget(gLie).ret().end()
	c.gget(gHeap).set(1)
	c.get(0).i32(hostileMemory).op(0x4b).when().i32(0).ret().end()
	c.gget(gHeap).get(0).add().i32(hostileMemory).op(0x4b).when().i32(0).ret().end()
	c.gget(gHeap).get(0).add().gset(gHeap)
	functions = append(functions, c.get(1).end())

	// recurse(x) → x+1
	functions = append(functions, (&code{}).get(0).call(recurse).i32(1).add().end())

	// begin(): takes the program of a request
	c = &code{}
	for g, v := range map[uint32]uint32{gPC: 0, gEnd: 0, gHeap: hostileProgram, gLie: 0, gReenter: 0, gAction: 0, gStatuses: hostileStatuses} {
		c.i32(v).gset(g)
	}
	c.i32(0).i32(16).i32(9).i32(32).i32(36).call(op("proxy_get_header_map_value")).op(0x45).when()
	c.i32(32).load(0).gset(gPC).i32(32).load(0).i32(36).load(0).add().gset(gEnd).end()
	functions = append(functions, c.end())

	// The callbacks: what they get is of no interest.
	callbacks := []struct {
		name   string
		params int
		kind   string
	}{
		{"proxy_on_context_create", 2, "nothing"}, {"proxy_on_vm_start", 2, "true"}, {"proxy_on_configure", 2, "true"},
		{"proxy_on_request_headers", 3, "begin"},
		{"proxy_on_request_body", 3, "run"}, {"proxy_on_request_trailers", 2, "run"},
		{"proxy_on_response_headers", 3, "run"}, {"proxy_on_response_body", 3, "run"}, {"proxy_on_response_trailers", 2, "run"},
		{"proxy_on_tick", 1, "drop"}, {"proxy_on_http_call_response", 5, "drop"}, {"proxy_on_queue_ready", 2, "drop"},
		{"proxy_on_grpc_receive_initial_metadata", 3, "drop"}, {"proxy_on_grpc_receive", 3, "drop"},
		{"proxy_on_grpc_receive_trailing_metadata", 3, "drop"}, {"proxy_on_grpc_close", 3, "drop"},
		{"proxy_on_done", 1, "run"}, {"proxy_on_log", 1, "drop"}, {"proxy_on_delete", 1, "drop"},
	}
	types := [][2]string{}
	typeOf := func(params, result string) uint32 {
		for i, t := range types {
			if t == [2]string{params, result} {
				return uint32(i)
			}
		}
		types = append(types, [2]string{params, result})
		return uint32(len(types) - 1)
	}
	var imports, funcs, exports code
	imports.num(n)
	name := func(c *code, s string) { c.num(uint32(len(s))); c.WriteString(s) }
	for _, f := range hostileImports {
		name(&imports, f.module)
		name(&imports, f.name)
		imports.op(0).num(typeOf(f.params, f.result))
	}
	signatures := [][2]string{{"i", "i"}, {"", "i"}, {"i", "i"}, {"i", "i"}, {"", ""}, {"", ""}}
	functions = append(functions, (&code{}).end()) // the marker of the version
	for _, cb := range callbacks {
		c := &code{}
		result := "i"
		switch cb.kind {
		case "nothing":
			result = ""
		case "true":
			c.i32(1)
		case "begin":
			c.call(begin).call(run)
		case "run":
			c.call(run)
		case "drop":
			c.call(run).op(0x1a)
			result = ""
		}
		functions = append(functions, c.end())
		signatures = append(signatures, [2]string{"iiiiiiii"[:cb.params], result})
	}
	funcs.num(uint32(len(functions)))
	for _, s := range signatures {
		funcs.num(typeOf(s[0], s[1]))
	}
	exports.num(uint32(3 + len(callbacks)))
	export := func(s string, kind byte, index uint32) { name(&exports, s); exports.op(kind).num(index) }
	export("memory", 2, 0)
	export("malloc", 0, malloc)
	export("proxy_abi_version_0_2_1", 0, n+5)
	for i, cb := range callbacks {
		export(cb.name, 0, n+6+uint32(i))
	}

	var wasm, section code
	wasm.WriteString("\x00asm\x01\x00\x00\x00")
	add := func(id byte, content []byte) { wasm.op(id).num(uint32(len(content))); wasm.Write(content) }
	section.num(uint32(len(types)))
	valtypes := func(s string) {
		section.num(uint32(len(s)))
		for _, t := range s {
			section.op(map[rune]byte{'i': 0x7f, 'I': 0x7e}[t])
		}
	}
	for _, t := range types {
		section.op(0x60)
		valtypes(t[0])
		valtypes(t[1])
	}
	add(1, section.Bytes())
	add(2, imports.Bytes())
	add(3, funcs.Bytes())
	add(5, []byte{1, 1, 2, 64}) // 2 to 64 pages
	section.Reset()
	section.num(hostileGlobals)
	for range hostileGlobals {
		section.op(0x7f, 1).i32(0).end()
	}
	add(6, section.Bytes())
	add(7, exports.Bytes())
	section.Reset()
	section.num(uint32(len(functions)))
	for _, f := range functions {
		section.num(uint32(f.Len()+3)).op(1, 4, 0x7f) // four local variables
		section.Write(f.Bytes())
	}
	add(10, section.Bytes())
	section.Reset()
	section.num(1).num(0).i32(16).end()
	name(&section, "x-program")
	add(11, section.Bytes())
	return wasm.Bytes()
}
