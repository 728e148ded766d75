// Package vm runs one proxy-wasm module on wazero: it compiles it once, checks
// what it exports, and makes instances, each with its own memory and its own
// contexts.
//
//	Module   compiled code; what it exports; which version of the ABI it speaks
//	  └─ VM  one instance: one callback at a time, under its lock
//	       ├─ Root     a plugin's root context: ticks, calls, configuration
//	       └─ Context  a stream; its meaning is the stream package's
//
// Calls in both directions follow Envoy (proxy-wasm-cpp-host, src/wasm.cc and
// context.cc): hostcalls act on the effective context, which is forgotten with
// the outermost callback; what a guest asks for that would re-enter it (local
// replies, continuing a stream) is deferred until that callback has returned.
//
// A trap ends a VM for good. Who owns it makes a new one.
//
// The lock of a VM is held during a callback and never across network I/O.
package vm
