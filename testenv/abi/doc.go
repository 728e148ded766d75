// Package abi holds the Go host against Envoy, call by call. A scenario
// (testdata/*.txt) says what a guest does in which callback, what a client sends
// and how the upstream answers; it is run in the host and in a real Envoy, over
// sockets, and everything that can be observed has to be the same: responses,
// what reached the upstream, the order of callbacks with their arguments, every
// hostcall with its status and what it gave, log lines, metrics.
//
//	script.go    the language of scenarios
//	calls.go     hostcalls and callbacks with their types
//	emit.go      a scenario as a WebAssembly module, without any SDK (emit_ops.go)
//	record.go    what was observed, in a form that two runs have in common
//	run.go       client and upstream
//	hostrun.go   a scenario in the host
//	envoyrun.go  all scenarios in one Envoy
//	page.go      docs/abi.md
//
// What Envoy said is kept in testdata/envoy.json: TestHost compares the host with
// it, host/internal/fault breaks the host on purpose and wants every scenario to notice, and
// TestEnvoy, which needs an Envoy, checks that it still says the same
// (-update writes what it says now). testdata/sdk has scenarios for guests made with the
// Go and the Rust SDK (testenv/guests/script and script-rust).
package abi
