// Package inquiry asks an identity provider about the credentials that callers bring,
// and remembers what it says.
//
//	method              file           what is asked
//	──────────────────────────────────────────────────────────────────────────────
//	introspection       introspect.go  whether a token is active (RFC 7662)
//	userinfo            userinfo.go    who it is of (OIDC Core §5.3)
//	refresh_token       grants.go      tokens for a refresh token (RFC 6749 §6)
//	password            grants.go      tokens for a user's password (§4.3)
//	client_credentials  grants.go      tokens for the caller's own secret (§4.4)
//	id_token            idtoken.go     nobody: it is judged here, by the issuer's keys
//
// One question on its way through:
//
//	Ask ─► sent.go (what the caller may add) ─► store.go (remembered?)
//	    ─► flight.go (already being asked?)  ─► gate.go (may the issuer be asked?)
//	    ─► the method ─► lifetime.go (how long it may be remembered)
//
// What is remembered is found by a keyed hash of the question: a credential is in memory
// no longer than it is being judged. Refusals have a store of their own, so that
// whoever makes tokens up drives out nobody's good ones.
//
// It must never log a credential or what an issuer has answered, send a credential
// twice, follow a redirection with one, or take our trouble for the caller's fault.
package inquiry
