// Package gateway is an HTTP gateway: listeners, routes and clusters, with a
// filter between the choice of a route and the upstream.
//
//	listener ─► ingress.go   target and forwarded headers made safe, request id
//	         ─► routing      the first entry that matches
//	         ─► filter       (package host) allow, edit, answer
//	         ─► proxy.go     the route again if headers changed; the upstream
//
// Routes, clusters and certificates are replaced as a whole while it runs
// (Update); requests that have begun end by the ones they began with.
//
// What is done to a request before it is routed is what Envoy does with the
// settings that `sallyport envoy` writes, so that both route alike.
package gateway
