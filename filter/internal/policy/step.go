package policy

import (
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// Kind is the kind of a Step. The zero Kind is Deny.
type Kind uint8

// The kinds.
const (
	Deny Kind = iota
	Allow
	Ask
)

// Step is what happens next to a request. The zero Step denies with 503. One that
// an engine returned is valid until the engine is called again.
type Step struct {
	Kind     Kind
	Reason   reason.Code // the outcome of Allow and Deny
	Edits    Edits       // Allow
	Response Response    // Deny
	Question *Question   // Ask
	Pending  *Pending    // Ask: hand it to Resume with the answer
	Note     string      // for the log, beside the reason; never a credential
	Plugin   string      // the plugin that refused, "" for none
	// RequestID is the request's x-request-id, for the log.
	RequestID string
}

// Edits are changes to the request headers, removals first, and to the response
// that is to come.
type Edits struct {
	Remove   []string
	Set      []abi.Pair // replaces what is there
	New      int        // how many of Set, from the first, the request has not got
	Response []abi.Pair // added to the response
}

// Response is an answer in the upstream's place.
type Response struct {
	Status  int
	Headers []abi.Pair
	Body    string
}

// Question is a question for the sidecar. Two questions with one Identity have
// the same answer, so one call is enough for both.
type Question struct {
	wire.Question
	// Identity is never logged: it may hold a secret.
	Identity string
	// presented is the secret that the question is about, as the request has it.
	presented string
}

// Pending is a request that waits for an answer. It is used once.
type Pending struct {
	run      run
	question *Question
}
