package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-auth/sallyport/testenv"
)

// maxSize is the budget of the module, in bytes.
const maxSize = 3_200_000

// exports is everything that a proxy can call. Each callback costs time per
// event only by being there.
var exports = []string{
	"_initialize()",
	"malloc(i32)i32",
	"proxy_abi_version_0_2_1()",
	"proxy_on_configure(i32,i32)i32",
	"proxy_on_http_call_response(i32,i32,i32,i32,i32)",
	"proxy_on_request_headers(i32,i32,i32)i32",
	"proxy_on_response_headers(i32,i32,i32)i32",
	"proxy_on_tick(i32)",
}

// hostcalls is everything that the filter asks of a proxy.
var hostcalls = []string{
	"env.proxy_add_header_map_value(i32,i32,i32,i32,i32)i32",
	"env.proxy_call_foreign_function(i32,i32,i32,i32,i32,i32)i32",
	"env.proxy_continue_stream(i32)i32",
	"env.proxy_define_metric(i32,i32,i32,i32)i32",
	"env.proxy_get_buffer_bytes(i32,i32,i32,i32,i32)i32",
	"env.proxy_get_current_time_nanoseconds(i32)i32",
	"env.proxy_get_header_map_pairs(i32,i32,i32)i32",
	"env.proxy_get_property(i32,i32,i32,i32)i32",
	"env.proxy_http_call(i32,i32,i32,i32,i32,i32,i32,i32,i32,i32)i32",
	"env.proxy_increment_metric(i32,i64)i32",
	"env.proxy_log(i32,i32,i32)i32",
	"env.proxy_record_metric(i32,i64)i32",
	"env.proxy_remove_header_map_value(i32,i32,i32)i32",
	"env.proxy_replace_header_map_value(i32,i32,i32,i32,i32)i32",
	"env.proxy_send_local_response(i32,i32,i32,i32,i32,i32,i32,i32)i32",
	"env.proxy_set_effective_context(i32)i32",
	"env.proxy_set_tick_period_milliseconds(i32)i32",
}

// wasi are the imports of Go's own runtime. Opening files and sockets is not among
// them.
var wasi = []string{
	"wasi_snapshot_preview1.args_get(i32,i32)i32",
	"wasi_snapshot_preview1.args_sizes_get(i32,i32)i32",
	"wasi_snapshot_preview1.clock_time_get(i32,i64,i32)i32",
	"wasi_snapshot_preview1.environ_get(i32,i32)i32",
	"wasi_snapshot_preview1.environ_sizes_get(i32,i32)i32",
	"wasi_snapshot_preview1.fd_write(i32,i32,i32,i32)i32",
	"wasi_snapshot_preview1.poll_oneoff(i32,i32,i32,i32)i32",
	"wasi_snapshot_preview1.proc_exit(i32)",
	"wasi_snapshot_preview1.random_get(i32,i32)i32",
	"wasi_snapshot_preview1.sched_yield()i32",
}

func TestModule(t *testing.T) {
	// The test binary has not been linked with the files for wasip1: looking at them
	// keeps go test from taking an earlier result for good when they have changed.
	only, err := filepath.Glob("internal/plugin/*_wasm.go")
	if err != nil || len(only) == 0 {
		t.Fatalf("files for wasip1: %q, %v", only, err)
	}
	for _, name := range only {
		if _, err := os.Stat(name); err != nil {
			t.Fatal(err)
		}
	}
	path, _ := testenv.Build(t)
	wasm, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the module has %d bytes", len(wasm))
	if len(wasm) > maxSize {
		t.Errorf("the module has %d bytes: at most %d", len(wasm), maxSize)
	}
	ctx := context.Background()
	// The interpreter, because it does not spend a second on code that is not run.
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer runtime.Close(ctx)
	compiled, err := runtime.CompileModule(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for name, f := range compiled.ExportedFunctions() {
		got = append(got, name+signature(f))
	}
	same(t, "exports", got, exports)
	same(t, "exported memories", slices.Collect(maps.Keys(compiled.ExportedMemories())), []string{"memory"})
	var calls, system []string
	for _, f := range compiled.ImportedFunctions() {
		from, name, _ := f.Import()
		text := from + "." + name + signature(f)
		if from == "env" {
			calls = append(calls, text)
		} else {
			system = append(system, text)
		}
	}
	same(t, "hostcalls", calls, hostcalls)
	same(t, "imports of the runtime", system, wasi)
	if n := len(compiled.ImportedMemories()); n != 0 {
		t.Errorf("the module imports %d memories", n)
	}
	for _, section := range compiled.CustomSections() {
		if strings.HasPrefix(section.Name(), ".debug") || section.Name() == "name" {
			t.Errorf("the module has the section %s, which nobody reads", section.Name())
		}
	}
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// signature writes types as (parameters)results.
func signature(f api.FunctionDefinition) string {
	names := func(types []api.ValueType) string {
		var out []string
		for _, v := range types {
			out = append(out, api.ValueTypeName(v))
		}
		return strings.Join(out, ",")
	}
	return fmt.Sprintf("(%s)%s", names(f.ParamTypes()), names(f.ResultTypes()))
}
