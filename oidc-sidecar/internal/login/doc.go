// Package login is the relying party: it sends browsers to the identity provider,
// takes them back, keeps their sessions and ends them.
//
//	question      file          what happens
//	─────────────────────────────────────────────────────────────────────────
//	begin         begin.go      a flow's cookie, a redirection with PKCE and nonce
//	callback      callback.go   the flow's cookie opened, code exchanged (token.go), session sealed
//	open          open.go       cookies → record (record.go); refresh.go renews its
//	                            tokens, once for everybody who comes with it
//	establish     open.go       a session for a bearer token
//	logout        logout.go     revoked, here and at the provider
//	back-channel  backchannel.go  the provider ends sessions by sid or sub
//
// and beside them origin.go (which host and scheme the browser used), cookies.go,
// answers.go (pages and redirections).
//
// Package endpoint asks the identity provider and judges the tokens it sends.
//
// Sessions are in cookies: what is kept here is what has been revoked, and, in memory,
// the tokens of sessions that were refreshed after their cookies had been sent.
//
// It must never log a token, a code or a cookie, send a browser to an address that a
// request has named, or redeem a code without the cookie of its flow.
package login
