// Package plugin is the glue between the proxy-wasm ABI and package policy: it
// turns what the proxy shows into policy.Request, and policy.Step into header
// edits, local responses and questions to the sidecar.
//
//	proxy ── on_request_headers ─► vm.go ─────► policy.Start
//	proxy ◄─ header edits, reply ─ effects.go ◄─ Step
//	sidecar ◄── http_call ──────── callout.go ◄─ Ask
//	sidecar ─── answer ──────────► callout.go ─► policy.Resume ─► effects.go
//	tick ────────────────────────► sync.go (bundle, changes), metrics.go
//
// It decides nothing about authentication. What it decides is what happens when
// the proxy refuses a call: the request is then denied, never let through.
//
// One VM has one thread and no goroutines. Memory that the proxy writes comes
// from memory.go and is good until the callback ends: what lasts longer is cloned
// where it is kept.
package plugin
