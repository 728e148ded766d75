// Package stream is one HTTP request and its response on their way through a
// filter, whatever carries them. An adapter (package host, for net/http) hands
// in headers, bodies and trailers as they come and gets back what goes on:
//
//	RequestHeaders ─► RequestBody* ─► RequestTrailers ─► … upstream …
//	ResponseHeaders ─► ResponseBody* ─► ResponseTrailers ─► Done
//
// Each returns an Outcome: go on, answer locally, reset. When the guest pauses,
// the method waits until the guest continues the stream from another callback.
//
// What the guest sees and may do in each phase follows Envoy's filter
// (source/extensions/common/wasm/context.cc).
package stream
