// Package abi holds the numbers and encodings of proxy-wasm 0.2.1 that both
// sides of the boundary need: the filter reads what the host writes and the
// other way round. It knows no memory, no VM and no proxy.
//
// Header maps and string lists cross the boundary as pairs, little-endian:
//
//	u32 n │ n × (u32 key size, u32 value size) │ n × (key 0x00 value 0x00)
//
// Source: github.com/proxy-wasm/spec, abi-versions/v0.2.1, and where it and
// Envoy differ, Envoy (proxy-wasm-cpp-host, src/pairs_util.cc).
//
// It is linked into the wasm module and must never import fmt or reflection.
package abi
