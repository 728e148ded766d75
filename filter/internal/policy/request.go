package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/identity"
)

// RouteState is what the proxy said about the route it chose. The zero state
// denies.
type RouteState uint8

// The states.
const (
	RouteUnreadable RouteState = iota // the proxy could not say
	RouteChosen                       // Request.Route is its name
	RouteNone                         // the proxy found no route
)

// Request is a request as the proxy shows it.
type Request struct {
	Now        int64 // Unix seconds
	RouteState RouteState
	Route      string
	Headers    []abi.Pair // in order, pseudo-headers included, names in lower case
}

// facts are what the machine needs of the headers, found in one pass.
type facts struct {
	method    string
	path      string // with the query
	authority string
	id        string // x-request-id
	grpc      bool
	spoofed   []string
}

func readFacts(headers []abi.Pair) facts {
	var f facts
	for i := range headers {
		name := headers[i].Key
		if name == "" {
			continue
		}
		switch name[0] {
		case ':':
			switch name {
			case ":method":
				f.method = headers[i].Value
			case ":path":
				f.path = headers[i].Value
			case ":authority":
				f.authority = headers[i].Value
			}
		case 'c':
			if name == "content-type" {
				f.grpc = isGRPC(headers[i].Value)
			}
		case 'x', 'X':
			if name == "x-request-id" {
				f.id = headers[i].Value
			} else if identity.IsHeader(name) {
				f.spoofed = append(f.spoofed, name)
			}
		}
	}
	return f
}

// isGRPC reports whether a content type is gRPC's, as Envoy tells it
// (Grpc::Common::isGrpcRequestHeaders).
func isGRPC(contentType string) bool {
	const grpc = "application/grpc"
	return strings.HasPrefix(contentType, grpc) &&
		(len(contentType) == len(grpc) || contentType[len(grpc)] == '+')
}
