// Command empty is the least that a proxy takes for a filter: what a module in Go
// costs before it does anything.
package main

//lint:file-ignore U1000 the proxy calls what is exported, and staticcheck does not see it

import "unsafe"

func main() {}

var memory [1 << 10]byte

//go:wasmexport proxy_abi_version_0_2_1
func abiVersion() {}

//go:wasmexport malloc
func malloc(uint32) uint32 { return uint32(uintptr(unsafe.Pointer(&memory))) }

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(_, _, _ uint32) uint32 { return 0 }
