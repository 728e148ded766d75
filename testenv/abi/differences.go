package abi

// Difference is something in which the host is not as Envoy, and why it stays so.
type Difference struct {
	What string // what a guest or a client can see
	Ours string
	Why  string // a place in Envoy's source, or a limit of net/http
	// Of are the hostcalls and callbacks that it is about, by their names in
	// scenarios; none for one that is about none of them.
	Of []string
	// Scenarios show it: the host's records of them are kept in testdata/host.json.
	// What has none is left out of all records by record.go.
	Scenarios []string
}

// Differences are all that are known. None is about credentials, header values or
// routing.
var Differences = []Difference{{
	What: "the order of headers with different names, their letter case on the wire, and whether a name that comes twice has one line or two",
	Ours: "sorted by name; Canonical-Case; as they came unless the guest has edited them",
	Why:  "net/http keeps headers in a map by their canonical names",
	Of:   []string{"get_header_map_pairs"},
}, {
	What: "whether the last piece of a body comes together with the end of the stream, and into which pieces it is cut",
	Ours: "the end always comes alone, with an empty piece",
	Why:  "net/http's Body.Read tells of the end with the next read",
	Of:   []string{"request_body", "response_body"},
}, {
	What: "a VM on the main thread that sees no stream, with ticks and calls of its own",
	Ours: "none; a plugin is tried in a VM that is thrown away, as in Envoy, and then started in each worker",
	Why:  "source/extensions/common/wasm/wasm.cc, createWasm: the thread-local slot has the main thread too",
	Of:   []string{"tick", "http_call"}, Scenarios: []string{"an HTTP call of a tick"},
}, {
	What: "a root context that traps in on_context_create",
	Ours: "the filter is refused",
	Why:  "proxy-wasm-cpp-host, src/context.cc, ContextBase::onStart: the result is true although the VM has failed; each request is then answered 503",
	Of:   []string{"context_create"}, Scenarios: []string{"a guest that traps in on_context_create"},
}, {
	What: "a request that is paused while its VM ends by a trap elsewhere",
	Ours: "it is answered 503 at once",
	Why:  "source/extensions/common/wasm/wasm.cc: nobody fails the streams of a VM that has failed; they wait for a time-out",
	Of:   []string{"tick"}, Scenarios: []string{"a trap in a tick"},
}, {
	What:      "when a guest that has trapped is started again",
	Ours:      "at once, whatever the policy is; Config.Failure says what happens to requests until then",
	Why:       "source/extensions/common/wasm/wasm.cc, maybeReloadHandleIfNeeded: with FAIL_RELOAD at the next request after a back-off, else never",
	Scenarios: []string{"a trap with a filter that fails open"},
}, {
	What: "the headers that Envoy's router adds to calls and their answers (x-envoy-…)",
	Ours: "not added, nor counted",
	Why:  "source/common/router/router.cc; no guest depends on them",
	Of:   []string{"http_call", "http_call_response", "grpc_call", "grpc_stream", "grpc_receive_initial_metadata", "grpc_receive_trailing_metadata"},
}, {
	What: "connection.id, and what the server's own certificate says",
	Ours: "NOT_FOUND; Config.Properties may answer",
	Why:  "net/http numbers no connections, and tls.ConnectionState has no local certificate",
	Of:   []string{"get_property"}, Scenarios: []string{"properties of the connection", "properties of a TLS connection"},
}, {
	What: "upstream.…",
	Ours: "NOT_FOUND; Config.Properties may answer",
	Why:  "behind an http.Handler there need not be an upstream",
	Of:   []string{"get_property"}, Scenarios: []string{"properties of the upstream"},
}, {
	What: "bounds on shared data, queues, metrics, filter state, calls under way and what uncompress gives",
	Ours: "there are some; beyond them INTERNAL_FAILURE, or SERIALIZATION_FAILURE of uncompress",
	Why:  "proxy-wasm-cpp-host, src/shared_data.cc and shared_queue.cc have none: a guest can fill the memory of the proxy",
	Of: []string{"set_shared_data", "register_shared_queue", "enqueue_shared_queue", "define_metric", "set_property", "http_call",
		"grpc_call", "grpc_stream", "grpc_send", "call_foreign_function"},
}, {
	What: "foreign functions: the CEL expressions expr_create, expr_evaluate and expr_delete, and names with an object factory in set_envoy_filter_state",
	Ours: "NOT_FOUND",
	Why:  "they are Envoy's own languages and filters (source/extensions/common/wasm/foreign.cc)",
	Of:   []string{"call_foreign_function"},
}, {
	What: "ABI 0.1.0, network filters, HTTP/2 METADATA, envoy_resolve_dns and on_stats_update",
	Ours: "a module of 0.1.0, or one that imports what is not here, is refused; the callbacks are not called",
	Why:  "net/http shows no METADATA and no connections; the rest is not for HTTP filters",
}, {
	What: "more than 1,024 buffers in one fd_write or fd_pwrite, and what is beyond 1 MiB of them",
	Ours: "errno 28; what is beyond is not logged",
	Why:  "proxy-wasm-cpp-host, src/exports.cc, writevImpl has no bound: buffers may overlap, so that a guest fills the memory of the proxy",
	Of:   []string{"wasi.fd_write", "wasi.fd_pwrite"}, Scenarios: []string{"more buffers than the host takes"},
}}
