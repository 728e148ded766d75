//go:build real && rust

package abi

import (
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
)

// TestRustSDK runs the scenarios of testdata/sdk with a guest made with the Rust SDK.
func TestRustSDK(t *testing.T) { sdk(t, testenv.RustGuest(t, "script-rust"), "testdata/sdk/rust.json") }
