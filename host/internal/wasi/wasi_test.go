package wasi_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/sallyport-auth/sallyport/host/internal/wasi"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/abi"
)

// TestCoverage wants every function that guests are given to be in two scenarios at
// least, which testenv/abi runs in Envoy too, and under both names of the module.
func TestCoverage(t *testing.T) {
	expected, err := abi.Expected(filepath.Join(testenv.Root(), "testenv", "abi", "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	scenarios := map[string]int{}
	for _, r := range expected {
		once := map[string]bool{}
		for _, s := range r.Seen() {
			if name := s.Export(); s.Call && !once[name] {
				once[name] = true
				scenarios[name]++
			}
		}
	}
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer r.Close(context.Background())
	if err := wasi.Register(t.Context(), r, nil, func(context.Context, bool, []byte) {}); err != nil {
		t.Fatal(err)
	}
	functions, older := r.Module("wasi_snapshot_preview1").ExportedFunctionDefinitions(), r.Module("wasi_unstable").ExportedFunctionDefinitions()
	// 45 of proxy-wasm-cpp-host, include/proxy-wasm/exports.h, FOR_ALL_WASI_FUNCTIONS.
	if len(functions) != 45 || len(older) != 45 {
		t.Errorf("%d functions, and %d under the older name", len(functions), len(older))
	}
	for name := range functions {
		if older[name] == nil {
			t.Errorf("%s has no older name", name)
		}
		if scenarios[name] < 2 {
			t.Errorf("%s is in %d scenarios", name, scenarios[name])
		}
	}
	testenv.Evidence(t, "%d functions, each in two scenarios at least", len(functions))
}
