// Package portal is the developer portal: where developers sign in at an identity
// provider, register applications that they have there, and ask for access to
// services; and where administrators decide about that.
//
//	browser ─► host/gateway   listeners, paths in normal form
//	        ─► canonical.go   one origin for pages, one for the way back from a login
//	        ─► filter.wasm    openid-connect as portal_auth_conf says: login, session, logout
//	        ─► internal/pages the pages, with the claims of the ID token from the filter
//	        ─► internal/registry   developers, applications, contracts
//
// The filter and its sidecar run in this process by a file that generate.go makes of the settings;
// the data plane knows nothing of it and does not need it. Administrators have a
// listener of their own, with tokens instead of logins.
package portal
