package abi

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/tetratelabs/wabin/wasm"
)

// op adds one operation: its record, and the call.
func (e *emitter) op(c *code, n, status, start int) {
	o := e.s.ops[n]
	switch o.call {
	case "trap":
		c.op(wasm.OpcodeUnreachable)
		return
	case "spin":
		c.op(wasm.OpcodeLoop, void, wasm.OpcodeBr, 0, wasm.OpcodeEnd)
		return
	case "grow":
		c.i32(o.args[0].n).op(wasm.OpcodeMemoryGrow, 0).set(status)
		c.gget(globalCursor).set(start)
		e.put(c, 'o', int64(n))
		c.get(status).i32(8).call(e.helper.hex).get(start).call(e.helper.flush)
		return
	case "set":
		v := e.outs[n][0]
		c.i32(v.at)
		e.number(c, o.args[0])
		c.store()
		return
	case "peek":
		c.gget(globalCursor).set(start)
		e.put(c, 'o', int64(n))
		c.i32(0).i32(8).call(e.helper.hex)
		e.number(c, o.args[0])
		e.number(c, o.args[1])
		c.call(e.helper.bytes).get(start).call(e.helper.flush)
		return
	}
	cl := calls[o.call]
	outs := e.outs[n]
	for _, v := range outs {
		if v.kind != '-' {
			c.i32(v.at).i32(untouched).store().i32(v.at + 4).i32(untouched).store()
		}
	}
	e.arguments(c, o, cl, outs)
	c.call(e.imports[o.call])
	if cl.void {
		c.i32(0)
	}
	c.set(status).gget(globalCursor).set(start)
	e.put(c, 'o', int64(n))
	c.get(status).i32(8).call(e.helper.hex)
	for _, v := range outs {
		e.show(c, v)
	}
	c.get(start).call(e.helper.flush)
}

// show writes an output to the record.
func (e *emitter) show(c *code, v variable) {
	switch v.kind {
	case 'h', 'w': // of h the upper half is untouched
		c.i32(v.at).load().i32(8).call(e.helper.hex)
	case 'W':
		c.i32(v.at + 4).load().i32(8).call(e.helper.hex)
		c.i32(v.at).load().i32(8).call(e.helper.hex)
	case 'B', 'P':
		c.i32(v.at).load().i32(8).call(e.helper.hex)
		c.i32(v.at + 4).load().i32(8).call(e.helper.hex)
		c.op(wasm.OpcodeBlock, void)
		c.i32(v.at+4).load().i32(maxShown).op(wasm.OpcodeI32GtU, wasm.OpcodeBrIf, 0)
		c.i32(v.at).load().i32(v.at + 4).load().call(e.helper.bytes)
		c.op(wasm.OpcodeEnd)
	}
}

// arguments puts the arguments of a call on the stack.
func (e *emitter) arguments(c *code, o op, cl call, outs []variable) {
	in, out := 0, 0
	for _, letter := range cl.params {
		switch letter {
		case 'i':
			e.number(c, o.args[in])
			in++
		case 'I':
			if a := o.args[in]; a.kind == 'v' {
				e.number(c, a)
				c.op(wasm.OpcodeI64ExtendI32U)
			} else {
				c.i64(a.n)
			}
			in++
		case 's', 'p', 't', 'v':
			a := o.args[in]
			in++
			switch {
			case a.kind == 'm':
				c.i32(a.n).i32(a.size)
			case a.kind == 'v':
				v, ok := e.vars[a.text]
				if !ok {
					fail("$%s is not set", a.text)
				}
				if letter == 'v' { // address and size, or an address with the size 0
					c.i32(v.at).i32(1)
				} else if v.kind == 'B' || v.kind == 'P' {
					c.i32(v.at).load().i32(v.at + 4).load()
				} else {
					c.i32(v.at).i32(map[byte]int64{'w': 4, 'W': 8}[v.kind])
				}
			default:
				t := e.s.names(a.text)
				if letter == 't' {
					t = strings.ReplaceAll(t, ".", "\x00")
				}
				at := e.text(t)
				if letter == 'v' {
					iovec := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(at)), uint32(len(t)))
					c.i32(e.text(string(iovec))).i32(1)
				} else {
					c.i32(at).i32(int64(len(t)))
				}
			}
		case 'h', 'w', 'W':
			c.i32(outs[out].at)
			out++
		case 'B', 'P':
			c.i32(outs[out].at)
			if outs[out].kind == '-' {
				c.i32(outs[out].at)
			} else {
				c.i32(outs[out].at + 4)
			}
			out++
		}
	}
}

// number puts a number on the stack.
func (e *emitter) number(c *code, a arg) {
	switch {
	case a.kind == 'n':
		c.i32(a.n)
	case a.kind == 'v' && a.text == "ctx":
		c.get(0)
	case a.kind == 'v' && strings.HasPrefix(a.text, "arg"):
		n, err := strconv.Atoi(a.text[3:])
		if err != nil {
			fail("$%s is no argument", a.text)
		}
		c.get(n)
	case a.kind == 'v':
		v, ok := e.vars[a.text]
		if !ok {
			fail("$%s is not set", a.text)
		}
		c.i32(v.at).load()
	default:
		fail("a number is wanted")
	}
}
