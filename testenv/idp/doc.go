// Package idp is an OpenID provider for tests, on the standard library alone. It
// behaves well until it is told not to, and remembers what it is asked.
//
// Bearer tokens need discovery and keys of it; a login needs the rest: it checks
// a relying party as strictly as the RFCs allow, so that a mistake shows here and
// not first at a vendor's. Without a client registered every client is accepted;
// without a fault, an option or a shape set it is plain OpenID Connect.
//
// The routes of shape Plain, each under the name that Calls, Count, Hold and
// Endpoint take:
//
//	name         route                                      by
//	discovery    GET      /.well-known/openid-configuration OpenID Connect Discovery §4
//	jwks         GET      /jwks                             RFC 7517
//	authorize    GET POST /authorize                        RFC 6749 §4.1.1, RFC 7636, RFC 9207, OIDC Core §3.1.2
//	token        POST     /token                            RFC 6749 §4 to §6, RFC 7523 §3, OIDC Core §3.1.3 and §12
//	userinfo     GET POST /userinfo                         OIDC Core §5.3
//	revoke       POST     /revoke                           RFC 7009
//	introspect   POST     /introspect                       RFC 7662
//	end_session  GET POST /end_session                      OIDC RP-Initiated Logout §2
//	elsewhere    any      /elsewhere, and all of Trap       where nobody should be led to
//
// The login form of /authorize is POSTed to /authorize with what the relying
// party sent in the query. Other shapes have the same endpoints at the paths of
// the vendor that they are named after, without those that the vendor lacks.
//
// Misbehave spoils discovery and keys, FlowFault the login. Nothing here waits on
// its own account: Hold stops an endpoint until a test lets it go on.
package idp
