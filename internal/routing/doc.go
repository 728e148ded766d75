// Package routing chooses a route, in the words that the gateway and Envoy have
// in common: a list of entries, tried in order, the first that matches wins.
//
// The declarative file's routes become such a list once (declarative.Table),
// in Kong's order of priorities; the gateway matches with Table.Match, and
// `sallyport envoy` writes the same list out as Envoy's routes. Where a route of
// Kong's needs several entries to come out the same in Envoy, the gateway has
// these entries too, so that both hosts cannot differ in what they were told.
//
// NormalizePath does to a request's path what Envoy does to it before routing.
//
// It knows nothing of authentication and does no I/O.
package routing
