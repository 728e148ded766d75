// Package adminapi is the admin API: Kong's paths, shapes and status codes over what the
// declarative file has, which is read-only here, and what the registry has, which is
// written here.
//
//	request ─► guard.go     host name, rate, token
//	        ─► table.go     path × method → roles and handler; openapi.go is made of it
//	        ─► body.go      JSON or a form, bounded
//	        ─► consumers.go, credentials.go, developers.go, services.go, routes.go, plugins.go, audit.go, tokens.go
//	        ─► problem.go   what went wrong, as Kong says it
//
// Services, routes and plugins are judged by package declarative before they are
// committed: the file, and what the registry would have beside it, are read as they will
// be when they are put in force.
//
// Without a registry everything that writes answers 405, and the rest shows the file.
//
// It never shows the secret of a jwt credential, or of a plugin, to a token without the
// role for it, never answers a page in a browser (no CORS, no names but this machine's),
// and writes nothing into a log that would let anybody in.
package adminapi
