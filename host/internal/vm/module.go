package vm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sallyport-auth/sallyport/host/internal/fault"
)

// Limits of a module. Zero fields take the defaults of the comments.
type Limits struct {
	MemoryBytes uint64 // linear memory of an instance (1 GiB, Envoy's)
	// Deadline bounds one callback; 0 for none. Without one a guest that spins
	// freezes the whole process at the next garbage collection, so it is left out
	// only for modules that are known not to.
	Deadline time.Duration
	// CacheDir keeps compiled code between starts; "" for none. Its content is
	// executed: nobody else may write there.
	CacheDir string
}

const (
	pageSize           = 64 << 10
	maxPages           = 1 << 16 // what wasm can address
	defaultMemoryBytes = 1 << 30
)

// Callback is a function that a module may export.
type Callback int

// The callbacks of HTTP filters.
const (
	OnContextCreate Callback = iota
	OnVMStart
	OnConfigure
	OnTick
	OnRequestHeaders
	OnRequestBody
	OnRequestTrailers
	OnResponseHeaders
	OnResponseBody
	OnResponseTrailers
	OnHTTPCallResponse
	OnGRPCInitialMetadata
	OnGRPCReceive
	OnGRPCTrailingMetadata
	OnGRPCClose
	OnQueueReady
	OnForeignFunction
	OnDone
	OnLog
	OnDelete
	callbackCount
)

type signature struct {
	name    string
	params  int
	results int
}

// callbacks are the names and types that Envoy checks when it loads a module.
var callbacks = [callbackCount]signature{
	OnContextCreate:        {"proxy_on_context_create", 2, 0},
	OnVMStart:              {"proxy_on_vm_start", 2, 1},
	OnConfigure:            {"proxy_on_configure", 2, 1},
	OnTick:                 {"proxy_on_tick", 1, 0},
	OnRequestHeaders:       {"proxy_on_request_headers", 3, 1},
	OnRequestBody:          {"proxy_on_request_body", 3, 1},
	OnRequestTrailers:      {"proxy_on_request_trailers", 2, 1},
	OnResponseHeaders:      {"proxy_on_response_headers", 3, 1},
	OnResponseBody:         {"proxy_on_response_body", 3, 1},
	OnResponseTrailers:     {"proxy_on_response_trailers", 2, 1},
	OnHTTPCallResponse:     {"proxy_on_http_call_response", 5, 0},
	OnGRPCInitialMetadata:  {"proxy_on_grpc_receive_initial_metadata", 3, 0},
	OnGRPCReceive:          {"proxy_on_grpc_receive", 3, 0},
	OnGRPCTrailingMetadata: {"proxy_on_grpc_receive_trailing_metadata", 3, 0},
	OnGRPCClose:            {"proxy_on_grpc_close", 3, 0},
	OnQueueReady:           {"proxy_on_queue_ready", 2, 0},
	OnForeignFunction:      {"proxy_on_foreign_function", 3, 0},
	OnDone:                 {"proxy_on_done", 1, 1},
	OnLog:                  {"proxy_on_log", 1, 0},
	OnDelete:               {"proxy_on_delete", 1, 0},
}

// Versions of the ABI, by the marker that a module exports.
const (
	ABI020 = "proxy_abi_version_0_2_0"
	ABI021 = "proxy_abi_version_0_2_1"
)

// Module is a compiled module. It is safe for concurrent use.
type Module struct {
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	cache    wazero.CompilationCache
	limits   Limits
	exports  [callbackCount]bool
	malloc   string
	start    string // _initialize or _start
	main     string // main or __main_void, after _initialize
	abi      string
}

// Exports reports whether the module has a callback.
func (m *Module) Exports(c Callback) bool { return m.exports[c] }

// ABI returns the marker of the version that the module speaks.
func (m *Module) ABI() string { return m.abi }

// Registrar adds the functions that guests import to a runtime.
type Registrar func(ctx context.Context, r wazero.Runtime, abi string) error

// Compile compiles a module and checks it. register is called once, before the
// imports are checked against what it has registered.
func Compile(ctx context.Context, wasm []byte, limits Limits, register Registrar) (m *Module, err error) {
	if limits.MemoryBytes == 0 {
		limits.MemoryBytes = defaultMemoryBytes
	}
	if wasm, err = admit(wasm); err != nil {
		return nil, fmt.Errorf("the module cannot be compiled: %w", err)
	}
	config := wazero.NewRuntimeConfig().
		WithMemoryLimitPages(uint32(min(limits.MemoryBytes/pageSize, maxPages))).
		WithCloseOnContextDone(limits.Deadline > 0)
	m = &Module{limits: limits}
	built := m // what a return of nil below does not take away
	if limits.CacheDir != "" {
		if m.cache, err = openCache(limits.CacheDir); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCache, err)
		}
		config = config.WithCompilationCache(m.cache)
	}
	m.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	defer func() {
		if err != nil {
			_ = built.Close(ctx)
		}
	}()
	if m.compiled, err = m.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, compileWorkers()), wasm); err != nil {
		return nil, fmt.Errorf("the module cannot be compiled: %w", err)
	}
	if err := m.inspect(); err != nil {
		if !fault.From(ctx).Unchecked {
			return nil, err
		}
		m.abi = ABI021
	}
	if err := register(ctx, m.runtime, m.abi); err != nil {
		return nil, err
	}
	return m, m.checkImports()
}

// inspect looks at the exports: the marker of the ABI, an allocator, memory, and
// the types of callbacks, which Envoy refuses a module for.
func (m *Module) inspect() error {
	functions := m.compiled.ExportedFunctions()
	for name := range functions {
		if strings.HasPrefix(name, "proxy_abi_version_") {
			if m.abi != "" {
				return fmt.Errorf("the module exports two versions of the ABI: %s and %s", m.abi, name)
			}
			m.abi = name
		}
	}
	switch m.abi {
	case ABI020, ABI021:
	case "":
		return errors.New("the module exports no proxy_abi_version_…: it is no proxy-wasm module")
	default:
		return fmt.Errorf("the module speaks %s: expected %s or %s", m.abi, ABI020, ABI021)
	}
	if len(m.compiled.ExportedMemories()) == 0 {
		return errors.New("the module exports no memory")
	}
	for _, name := range []string{"malloc", "proxy_on_memory_allocate"} { // Envoy's order
		if f := functions[name]; f != nil && m.malloc == "" {
			if err := checkType(f, signature{name, 1, 1}); err != nil {
				return err
			}
			m.malloc = name
		}
	}
	if m.malloc == "" {
		return errors.New("the module exports neither malloc nor proxy_on_memory_allocate")
	}
	for c, sig := range callbacks {
		f := functions[sig.name]
		if f == nil {
			continue
		}
		if err := checkType(f, sig); err != nil {
			return err
		}
		m.exports[c] = true
	}
	switch {
	case functions["_initialize"] != nil:
		m.start = "_initialize"
		for _, name := range []string{"main", "__main_void"} {
			if functions[name] != nil && m.main == "" {
				m.main = name
			}
		}
	case functions["_start"] != nil:
		m.start = "_start"
	}
	return nil
}

func checkType(f api.FunctionDefinition, want signature) error {
	i32 := func(list []api.ValueType, n int) bool {
		return len(list) == n && !slices.ContainsFunc(list, func(t api.ValueType) bool { return t != api.ValueTypeI32 })
	}
	if !i32(f.ParamTypes(), want.params) || !i32(f.ResultTypes(), want.results) {
		return fmt.Errorf("%s has the wrong type: expected %d parameters and %d results of type i32", want.name, want.params, want.results)
	}
	return nil
}

// checkImports reports what the module imports and nobody provides, all of it.
func (m *Module) checkImports() error {
	var missing []string
	for _, f := range m.compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		provider := m.runtime.Module(module)
		if provider == nil || provider.ExportedFunctionDefinitions()[name] == nil {
			missing = append(missing, module+"."+name)
		}
	}
	if len(m.compiled.ImportedMemories()) > 0 {
		missing = append(missing, "a memory")
	}
	if missing != nil {
		return fmt.Errorf("the module imports what no proxy-wasm host provides: %s", strings.Join(missing, ", "))
	}
	return nil
}

// Close ends all instances and frees the code.
func (m *Module) Close(ctx context.Context) error {
	err := m.runtime.Close(ctx)
	if m.cache != nil {
		err = errors.Join(err, m.cache.Close(ctx))
	}
	return err
}
