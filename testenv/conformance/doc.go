// Package conformance holds what every host has to do, as tests over real
// sockets that know no host:
//
//	vectors_test.go     the vectors, as requests
//	acceptance_test.go  the article on the jwt plugin, id by id
//	convert_test.go     manifests and calls of the other articles, converted
//	kubernetes_test.go  the filter as Envoy Gateway and Istio configure it
//	paths_test.go       targets and hosts that are written to be read in two ways
//	bodies_test.go      bodies that arrive while the sidecar is being asked
//	reroute_test.go     what could make the proxy choose another route
//	headers_test.go     what callers say of themselves and of the way they came
//	routing_test.go     generated routes and requests, both hosts held together
//	protocols_test.go   HTTP/2, gRPC, WebSocket, streams, TLS
//	reload_test.go      a file that changes under load
//	sidecar_test.go     a sidecar that is killed, hung, or answers garbage
//	keys_test.go        an issuer that rotates keys, or is asked for unknown ones
//
// Each runs in both hosts; where only both together show anything, it compares.
package conformance
