package hostcall

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-auth/sallyport/host/internal/fault"
	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/host/internal/shared"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Env is what hostcalls need of the host. Every VM has one of its own as its Env.
type Env struct {
	Logger   *slog.Logger
	LogLevel abi.LogLevel
	Data     *shared.Data
	Queues   *shared.Queues
	Metrics  *shared.MetricIDs
	Limits   Limits
	// Call starts an HTTP call and returns its id.
	Call func(root *vm.Root, c Call) (id uint32, status abi.Status)
	// GRPC starts a gRPC call or stream.
	GRPC func(root *vm.Root, c GRPCCall) (id uint32, status abi.Status)
	// Foreign are the foreign functions by name.
	Foreign map[string]Foreign
}

// Call is an HTTP call that a guest wants to make.
type Call struct {
	Cluster  string
	Headers  []abi.Pair
	Body     []byte
	Trailers []abi.Pair
	Timeout  time.Duration // 0 for none
}

// GRPCCall is a gRPC call that a guest wants to make.
type GRPCCall struct {
	Service  string // a cluster, or a GrpcService of Envoy's
	Name     string // of the service
	Method   string
	Metadata []abi.Pair
	Message  []byte        // of a call; good until the call has been started
	Timeout  time.Duration // of a call, 0 for none
	Stream   bool
}

// Foreign is a foreign function. ctx is the effective context. The result is
// given to the guest whatever the status is.
type Foreign func(ctx vm.Context, argument []byte) (result []byte, status abi.Status)

// Stream is a context with an HTTP stream behind it.
type Stream interface {
	vm.Context
	// Headers returns a header map to read or to write, nil when there is none at
	// the moment.
	Headers(t abi.MapType, write bool) *headers.Map
	// Logging reports whether on_log runs.
	Logging() bool
	// Buffer returns a body.
	Buffer(t abi.BufferType) vm.Buffer
	// Property returns an attribute by its path.
	Property(path []string) ([]byte, abi.Status)
	SetProperty(path string, value []byte) abi.Status
	// MostBody is how long a body may become that the guest makes, in bytes.
	MostBody() int
	// LocalResponse answers in the upstream's place once the callback has returned.
	LocalResponse(r LocalResponse)
	// Continue goes on with a paused direction once the callback has returned.
	Continue(response bool)
	// Reset ends the stream once the callback has returned.
	Reset()
}

// LocalResponse is an answer that a guest makes up.
type LocalResponse struct {
	Status  int
	Details string
	Body    []byte
	Headers []abi.Pair
	GRPC    int // status 0…16, -1 for none
}

// function is one import.
type function struct {
	params string // i for i32, I for i64
	call   func(c call) abi.Status
	early  bool   // allowed while the guest starts
	only   string // the version of the ABI that has it, "" for all
}

// call is one hostcall under way.
type call struct {
	vm   *vm.VM
	env  *Env
	args []uint64
}

func (c call) u32(i int) uint32 { return uint32(c.args[i]) }

// bytes reads the i-th and the next argument as address and size. The bytes are
// the guest's memory: good until it runs again.
func (c call) bytes(i int) ([]byte, bool) { return c.vm.View(c.u32(i), c.u32(i+1)) }

// pairs reads a list of pairs. What exceeds Envoy's bounds, or is no encoding of
// a list, is an empty list.
func (c call) pairs(i int) ([]abi.Pair, bool) {
	b, ok := c.bytes(i)
	if !ok {
		return nil, false
	}
	if len(b) > abi.MaxPairBytes {
		return nil, true
	}
	list, ok := abi.DecodePairs(nil, string(b))
	if !ok || len(list) > abi.MaxPairs {
		return nil, true
	}
	return list, true
}

// stream returns the effective context's stream, nil for a root context.
func (c call) stream() Stream {
	s, _ := c.vm.Effective().(Stream)
	return s
}

// root returns the effective context's root, nil while the guest starts.
func (c call) root() *vm.Root {
	if ctx := c.vm.Effective(); ctx != nil {
		return ctx.Root()
	}
	return nil
}

// Register adds the functions to a runtime for guests of a version of the ABI.
func Register(ctx context.Context, r wazero.Runtime, version string) error {
	b := r.NewHostModuleBuilder("env")
	faults := fault.From(ctx)
	for name, f := range functions {
		if f.only != "" && f.only != version && !faults.AllVersions {
			continue
		}
		h := handler(name, f)
		if faults.Hostcall != nil {
			right := h
			h = func(ctx context.Context, m api.Module, stack []uint64) {
				stack[0] = uint64(faults.Run(name, func() uint32 { right(ctx, m, stack); return uint32(stack[0]) }))
			}
		}
		b.NewFunctionBuilder().WithGoModuleFunction(h, faults.Imported(name, types(f.params)), []api.ValueType{api.ValueTypeI32}).Export(name)
	}
	// Emscripten's runtime imports these two.
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(context.Context, api.Module, []uint64) {}),
		types("i"), nil).Export("emscripten_notify_memory_growth")
	b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(_ context.Context, _ api.Module, s []uint64) {
		if uint32(s[0]) == uint32(s[1]) {
			s[0] = 1
		} else {
			s[0] = 0
		}
	}), types("ii"), []api.ValueType{api.ValueTypeI32}).Export("pthread_equal")
	other := map[string]wazero.HostModuleBuilder{"env": b}
	for _, extra := range faults.Extra {
		module, name, _ := strings.Cut(extra, ".")
		if strings.HasPrefix(module, "wasi_") {
			continue // wasi.Register has it
		}
		if other[module] == nil {
			other[module] = r.NewHostModuleBuilder(module)
		}
		other[module].NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(context.Context, api.Module, []uint64) {}),
			nil, []api.ValueType{api.ValueTypeI32}).Export(name)
	}
	for _, b := range other {
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

func handler(name string, f function) api.GoModuleFunc {
	early := f.early
	run := f.call
	return func(ctx context.Context, m api.Module, stack []uint64) {
		v := vm.From(ctx)
		if v.Restricted() {
			v.Allow(name, early, early)
			v.Started(m)
		}
		c := call{vm: v, env: EnvOf(v), args: stack}
		stack[0] = uint64(run(c))
	}
}

// EnvOf returns the Env of the plugin whose callback runs.
func EnvOf(v *vm.VM) *Env {
	if c := v.Effective(); c != nil {
		if e := c.Root().Plugin.Env; e != nil {
			return e.(*Env)
		}
	}
	return v.Env.(*Env)
}

func types(s string) []api.ValueType {
	out := make([]api.ValueType, len(s))
	for i, c := range s {
		out[i] = api.ValueTypeI32
		if c == 'I' {
			out[i] = api.ValueTypeI64
		}
	}
	return out
}

// functions are all imports.
var functions map[string]function

func init() {
	functions = map[string]function{
		"proxy_log":                          {params: "iii", call: proxyLog, early: true},
		"proxy_get_log_level":                {params: "i", call: getLogLevel, only: vm.ABI021},
		"proxy_get_current_time_nanoseconds": {params: "i", call: getCurrentTime},
		"proxy_set_tick_period_milliseconds": {params: "i", call: setTickPeriod},
		"proxy_set_effective_context":        {params: "i", call: setEffectiveContext},
		"proxy_done":                         {params: "", call: done},

		"proxy_get_buffer_bytes":  {params: "iiiii", call: getBufferBytes},
		"proxy_get_buffer_status": {params: "iii", call: getBufferStatus},
		"proxy_set_buffer_bytes":  {params: "iiiii", call: setBufferBytes},

		"proxy_get_header_map_size":      {params: "ii", call: getHeaderMapSize},
		"proxy_get_header_map_pairs":     {params: "iii", call: getHeaderMapPairs},
		"proxy_set_header_map_pairs":     {params: "iii", call: setHeaderMapPairs},
		"proxy_get_header_map_value":     {params: "iiiii", call: getHeaderMapValue},
		"proxy_add_header_map_value":     {params: "iiiii", call: addHeaderMapValue},
		"proxy_replace_header_map_value": {params: "iiiii", call: replaceHeaderMapValue},
		"proxy_remove_header_map_value":  {params: "iii", call: removeHeaderMapValue},

		"proxy_get_property": {params: "iiii", call: getProperty},
		"proxy_set_property": {params: "iiii", call: setProperty},

		"proxy_send_local_response": {params: "iiiiiiii", call: sendLocalResponse},
		"proxy_continue_stream":     {params: "i", call: continueStream},
		"proxy_close_stream":        {params: "i", call: closeStream},

		"proxy_http_call":  {params: "iiiiiiiiii", call: httpCall},
		"proxy_get_status": {params: "iii", call: getStatus},

		"proxy_get_shared_data":       {params: "iiiii", call: getSharedData},
		"proxy_set_shared_data":       {params: "iiiii", call: setSharedData},
		"proxy_register_shared_queue": {params: "iii", call: registerSharedQueue},
		"proxy_resolve_shared_queue":  {params: "iiiii", call: resolveSharedQueue},
		"proxy_enqueue_shared_queue":  {params: "iii", call: enqueueSharedQueue},
		"proxy_dequeue_shared_queue":  {params: "iii", call: dequeueSharedQueue},
		"proxy_define_metric":         {params: "iiii", call: defineMetric},
		"proxy_increment_metric":      {params: "iI", call: incrementMetric},
		"proxy_record_metric":         {params: "iI", call: recordMetric},
		"proxy_get_metric":            {params: "ii", call: getMetric},
		"proxy_call_foreign_function": {params: "iiiiii", call: callForeignFunction},

		"proxy_grpc_call":   {params: "iiiiiiiiiiii", call: grpcCall},
		"proxy_grpc_stream": {params: "iiiiiiiii", call: grpcStream},
		"proxy_grpc_send":   {params: "iiii", call: grpcSend},
		"proxy_grpc_cancel": {params: "i", call: grpcCancel},
		"proxy_grpc_close":  {params: "i", call: grpcClose},
	}
}
