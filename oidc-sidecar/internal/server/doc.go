// Package server answers the filters. Its routes are the resources of package
// wire and nothing else:
//
//	GET  /v1/bundle    200 with ETag, 304, or 503 before the first bundle
//	GET  /v1/changes   200, or 204 when nothing has happened
//	POST /v1/ask       200 with an answer; a refusal is an answer too
//	another method     405
//	anything else      404
//
// A request without our version of the contract gets 400 and ours in the header.
// What the answer to a question says is decided in ask.go and nowhere else.
//
// Nothing here logs a token, a signature or a secret.
package server
