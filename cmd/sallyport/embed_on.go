//go:build embedfilter

package main

import _ "embed"

// embedded is the filter, put beside this file by `make build`.
//
//go:embed filter.wasm
var embedded []byte
