// Package demo holds what the demo needs around the gateway: an upstream that
// says what it received, an OpenID provider with two users, and the declarative
// file. Nothing in it may be used by the other commands.
//
// The provider (on a port of its own):
//
//	GET  /.well-known/openid-configuration   and what it names: the library's
//	GET  /login?id=…                         the page that asks for a password
//	POST /login
//	GET  /token/{user or client}             an access token for whoever asks
//
// The upstream (behind the gateway):
//
//	GET /           what this is
//	GET /account    the identity that the gateway passed on
//	*               the request as it arrived, JSON
package demo
