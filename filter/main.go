// Command filter is the proxy-wasm module: built with GOOS=wasip1 GOARCH=wasm
// -buildmode=c-shared and loaded by Envoy or by package host. ARCHITECTURE.md follows
// a request through it.
package main

import _ "github.com/sallyport-auth/sallyport/filter/internal/plugin" // its exports are the module

func main() {}
