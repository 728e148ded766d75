// Package endpoint asks the endpoints of an identity provider and judges what they
// answer, for logins and for inquiries alike:
//
//	client.go    who asks: client authentication (RFC 6749 §2.3, RFC 7523 §2.2)
//	keys.go      the keys of private_key_jwt
//	call.go      a request, sent once; bounded JSON in return
//	token.go     the token endpoint (RFC 6749 §5)
//	access.go    what can be said of an access token that has come
//	userinfo.go  userinfo (OIDC Core §5.3)
//	idtoken.go   an ID token, step by step (OIDC Core §3.1.3.7)
//	names.go     the names by which a revocation ends things
//
// What an outcome means, for whom, is its callers' to say. It must never log or quote
// what the other side has sent, or follow it anywhere.
package endpoint
