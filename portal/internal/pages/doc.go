// Package pages has the portal's pages: for developers, behind the filter, and for
// administrators, behind admin tokens. They are made on the server, need no script, and
// load nothing but the one style sheet.
//
// For developers, under /WORKSPACE, with who has to be there:
//
//	GET       (root)                                 anybody; a developer sees applications and services
//	GET       /login, /auth                          somebody signed in; leads to the root
//	GET POST  /register                              somebody signed in whose address is verified
//	GET       /register/sent                         somebody signed in
//	GET       /unauthorized, and without WORKSPACE   anybody: why somebody may not go on
//	GET       /services, /services/{key}             a developer who is approved, as for what follows
//	POST      /services/{key}/contracts              asks for access, with one's own application
//	GET       /applications
//	GET POST  /applications/new
//	GET       /applications/{id}                     one's own; another's is as good as none: 404
//	GET POST  /applications/{id}/edit, …/delete
//	POST      /applications/{id}/contracts, …/contracts/{contract}/delete
//	GET POST  /account
//	GET       /assets/{hash}.css, /kong              anybody
//
// For administrators, under /portal-admin, with an admin token's session; what writes
// needs the role admin or portal:approve, what reads one of those or read:
//
//	GET POST  /login          POST /logout
//	GET       (root)          what waits
//	GET       /developers, /applications, /audit     lists, to search
//	GET POST  /developers/{id}
//	GET       /applications/{id}
//	POST      /contracts/{id}
//
// Every POST has a token that is bound to the session, and comes from a page of this
// origin; it ends in a redirection, or in the same page with what is wrong.
package pages
