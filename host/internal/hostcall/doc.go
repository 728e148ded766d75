// Package hostcall implements the functions that guests import from "env": one
// file for each concern, named as in the specification.
//
// Every function follows one shape: arguments are read from guest memory
// (INVALID_MEMORY_ACCESS when they cannot be), values are checked
// (BAD_ARGUMENT), the effective context is asked, results are written back. What
// Envoy does differently from the specification, we do as Envoy
// (proxy-wasm-cpp-host, src/exports.cc and src/context.cc; docs/abi.md).
//
// Functions run on the guest's stack, under the lock of its VM. None of them
// does I/O.
package hostcall
