// Package host runs proxy-wasm HTTP filters in Go: any module that speaks ABI
// 0.2.0 or 0.2.1, as Envoy would run it, around any http.Handler.
//
//	wasm, err := os.ReadFile("filter.wasm")
//	…
//	filter, err := host.New(ctx, wasm, host.Config{})
//	…
//	http.ListenAndServe(":8080", filter.Handler(next))
//
// A Filter has a fixed set of workers, as Envoy has: each is an instance of the
// module with its own memory, root context and ticks. A request is pinned to one
// worker; the worker is busy only while one of its callbacks runs, never while a
// request waits for the network. A module that traps takes its own worker down
// and with it the requests that still need it, which are answered 503; the worker
// is replaced at once.
//
// Several filters make a Chain: a request passes them first to last, its response
// last to first. Chain.Reload replaces modules and configurations while requests
// run: those that have begun end on the filters they began with.
//
//	chain, err := host.NewChain(ctx,
//		host.Plugin{Wasm: wasm, Config: host.Config{Name: "auth", PluginConfig: config}},
//		host.Plugin{Wasm: other, Config: host.Config{Name: "limit"}})
//	…
//	http.ListenAndServe(":8080", chain.Handler(next))
//
// # Defaults
//
// A module is not trusted: a callback has a second, an instance 1 GiB of memory,
// and a guest can call only the clusters of its Config. While a filter cannot run,
// its requests are answered 503 and do not reach next; FailOpen has to be asked for.
//
// # What a guest does not see
//
// What net/http does not show, a guest does not see: the order of headers with
// different names, their letter case, and whether the last piece of a body was
// sent together with its end. docs/abi.md lists it all.
//
// The package knows nothing of authentication and must never learn of it.
package host
