// Package reason is the closed list of outcomes of a request.
//
// One word is at once the Go error, the log field, the metric label, the
// expectation of a test vector and the key to the sentence a client may see.
// Lower packages return a Code when the caller's credential is at fault and an
// ordinary wrapped error when we are; a status of 401 or 403 as against 503
// follows from that and from nothing else.
//
// The zero Code is Unspecified: a denial with 503. A verdict that somebody
// forgot to set is therefore never a pass.
//
// The package is linked into the wasm module. It must never import anything.
package reason
