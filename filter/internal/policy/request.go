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

// wellFormed reports whether the target of the request can be read in one way
// only. The proxy has normalised the path; what is left here is what some proxies
// leave and some upstreams read otherwise: no host or several, dot segments with
// a parameter (/..;x/), a % that begins no escape.
func (f *facts) wellFormed() bool {
	if f.authority == "" || f.path == "" || f.path[0] != '/' {
		return false
	}
	for i := range len(f.authority) {
		if c := f.authority[i]; c <= 0x20 || c >= 0x7f || strings.IndexByte(`,@/\?#"<>`, c) >= 0 {
			return false
		}
	}
	for i := 0; i < len(f.path) && f.path[i] != '?'; i++ {
		switch c := f.path[i]; {
		case c <= 0x20, c >= 0x7f, c == '\\', c == '#':
			return false
		case c == '%' && (i+2 >= len(f.path) || hexValue(f.path[i+1]) > 15 || hexValue(f.path[i+2]) > 15):
			return false
		case c == '/' && dotSegment(f.path[i+1:]):
			return false
		}
	}
	return true
}

// dotSegment reports whether s begins with a segment that some reader takes for
// . or .. , whether or not a parameter follows, plain or escaped.
func dotSegment(s string) bool {
	if s == "" || s[0] != '.' {
		return false
	}
	s = strings.TrimPrefix(s[1:], ".")
	if s == "" {
		return true
	}
	switch s[0] {
	case '/', '?', ';':
		return true
	case '%':
		return len(s) > 2 && s[1] == '3' && (s[2] == 'b' || s[2] == 'B')
	}
	return false
}

// isGRPC reports whether a content type is gRPC's, as Envoy tells it
// (Grpc::Common::isGrpcRequestHeaders).
func isGRPC(contentType string) bool {
	const grpc = "application/grpc"
	return strings.HasPrefix(contentType, grpc) &&
		(len(contentType) == len(grpc) || contentType[len(grpc)] == '+')
}
