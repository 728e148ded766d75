package explain

// Trace is what became of a request, and why.
type Trace struct {
	Request  Line      `json:"request"`
	Route    Route     `json:"route"`
	Chain    []Plugin  `json:"chain"`
	Decision Decision  `json:"decision"`
	Response *Response `json:"response,omitempty"` // in the upstream's place
	Upstream *Edits    `json:"upstream,omitempty"` // nil unless the request is allowed
}

// Line says which request it was. Values of headers and of the query are left out.
type Line struct {
	Method  string   `json:"method"`
	URL     string   `json:"url"`
	Headers []string `json:"headers"` // names, in order
}

// Route is the route that was chosen, or why there is none.
type Route struct {
	Name    string `json:"name,omitempty"`
	Bundle  string `json:"bundle_name,omitempty"` // as the proxy reports it
	Line    int    `json:"line,omitempty"`        // of the file
	Service string `json:"service,omitempty"`
	Match   string `json:"match,omitempty"` // by what it was chosen
	Why     string `json:"why,omitempty"`   // there is none, or its chain did not run
	Near    []Near `json:"near,omitempty"`  // routes that all but match
}

// Near is a route that does not match.
type Near struct {
	Name  string `json:"name"`
	Wants string `json:"wants"`
}

// Outcomes of a plugin.
const (
	Accepted   = "accepted"
	Refused    = "refused"
	Answered   = "answered"    // by a step of a login
	Anonymous  = "anonymous"   // refused, and the request goes on as the anonymous consumer
	Skipped    = "skipped"     // by its configuration
	NotReached = "not reached" // somebody before it has decided
)

// Plugin is one plugin of the chain.
type Plugin struct {
	Name        string       `json:"name"`
	Line        int          `json:"line,omitempty"` // of the file; 0 where the sidecar reads another one
	Outcome     string       `json:"outcome"`
	Reason      string       `json:"reason,omitempty"` // a reason code, where it has judged
	Why         string       `json:"why,omitempty"`
	Credentials []Credential `json:"credentials,omitempty"`
	Checks      []Check      `json:"checks,omitempty"` // in the order in which they are made
	Questions   []Question   `json:"questions,omitempty"`
}

// Credential is a token or a session's cookie, without what makes it one.
type Credential struct {
	Place       string `json:"place"`
	Fingerprint string `json:"fingerprint,omitempty"` // the first 12 hex digits of its SHA-256; of a password none
	Alg         string `json:"alg,omitempty"`
	KeyID       string `json:"kid,omitempty"`
	Issuer      string `json:"iss,omitempty"`
	Expires     *int64 `json:"exp,omitempty"` // Unix seconds
}

// Results of a check.
const (
	Passed  = "ok"
	Failed  = "failed"
	NotMade = "not made" // an earlier one has failed
)

// Check is one thing that a plugin looks at.
type Check struct {
	Name   string `json:"name"`
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"` // a reason code, where it has failed
	Detail string `json:"detail,omitempty"`
}

// Question is a question for the sidecar and its answer.
type Question struct {
	Kind   string `json:"kind"`
	For    string `json:"for"`
	Answer string `json:"answer"`
}

// Decision is how it ended.
type Decision struct {
	Outcome string `json:"outcome"`          // allowed, refused or answered
	Status  int    `json:"status,omitempty"` // of the answer; 0 where the upstream answers
	Reason  string `json:"reason"`
	Means   string `json:"means,omitempty"`  // what a step of a login is
	Plugin  string `json:"plugin,omitempty"` // that refused
	Note    string `json:"note,omitempty"`   // what the log has beside the reason
}

// Allowed is the outcome of a request that goes on to the upstream.
const Allowed = "allowed"

// Header is a header.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Response is an answer in the upstream's place.
type Response struct {
	Status  int      `json:"status"`
	Headers []Header `json:"headers"`
	Body    string   `json:"body"`
}

// Edits are what the upstream, and then the client, gets otherwise than it was sent.
type Edits struct {
	Path     string   `json:"path"` // without the query
	Remove   []string `json:"remove,omitempty"`
	Set      []Header `json:"set,omitempty"`
	Response []Header `json:"response,omitempty"` // added to the upstream's answer
}
