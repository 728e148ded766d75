// Package policy decides. It is the machine between the request that the proxy
// shows and the answer it gets:
//
//	Start(request) ─► Step ─┬─ Allow  header edits, the request goes on
//	                        ├─ Deny   a response
//	                        └─ Ask    a question for the sidecar
//	                                    │ answer, or none in time
//	              Step ◄─ Resume(pending, answer)
//
// It calls nobody but the Verifier it is given, a pure function of its
// arguments: asking is a value that it returns, the time is a value that it
// gets. Time-outs, retries and interleavings are therefore rows of a table, and
// the same machine runs natively in tests.
//
// The zero Step denies. A question of one kind is asked at most once for one
// plugin of one request, so a request ends after at most three answers for each
// plugin of its chain.
//
// One request reads through the files in this order:
//
//	request.go     what of the request matters; which headers are spoofed
//	engine.go      the route and its chain
//	chain.go       plugin after plugin: AND, OR with anonymous
//	token.go       where the credential is; one only
//	jwt.go         the jwt plugin, in Kong's order
//	keyauth.go     the key-auth plugin, and which headers hold keys
//	basic.go       the basic-auth plugin, and how RFC 7617 is read
//	presented.go   API keys and passwords: remembered, or asked for
//	oidc.go        the openid-connect plugin: issuer, times, audience, scopes
//	inquire.go     credentials that only the issuer can judge
//	verify.go      the signature: remembered, by the proxy, or asked for
//	response.go    what the client is told
//
// and beside them cache.go, and update.go for bundles and changes.
//
// It must never do I/O, cryptography, read a clock, start a goroutine, or import
// fmt, encoding/json or anything of net.
package policy
