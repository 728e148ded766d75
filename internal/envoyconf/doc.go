// Package envoyconf writes an Envoy bootstrap that enforces a declarative file:
// the same routes as the gateway's, with the filter in front of them.
//
//	declarative.File ─► Bootstrap(options) ─► YAML for envoy -c
//
// Whatever decides about safety is written out rather than left to Envoy's
// default: paths normalised and merged, escaped slashes refused, ports stripped,
// one virtual host, the filter failing closed and coming back after 100 ms, the
// admin interface on loopback, upstream certificates verified.
package envoyconf
