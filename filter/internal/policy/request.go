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
	// Headers are in order, pseudo-headers included, names in lower case. Like
	// Route they may be memory that is written over when the call returns: what
	// has to last is copied.
	Headers abi.Pairs
}

// facts are what the machine needs of the headers, found in one pass.
type facts struct {
	method    string
	path      string // with the query
	authority string
	id        string // x-request-id
	// authorization is the value of the Authorization header, and copies how many
	// there are: nearly every token comes in one.
	authorization string
	copies        int
	grpc          bool
	cookie        bool // there is a Cookie header
	spoofed       []string
}

// read finds the facts; false when the headers are no list of headers.
func (f *facts) read(headers abi.Pairs) bool {
	c := headers.Cursor()
	for c.Next() {
		if c.Key == "" {
			continue
		}
		switch c.Key[0] {
		case ':':
			switch c.Key {
			case ":method":
				f.method = c.Value
			case ":path":
				f.path = c.Value
			case ":authority":
				f.authority = c.Value
			}
		case 'a':
			if c.Key == "authorization" {
				f.authorization = c.Value
				f.copies++
			}
		case 'c':
			switch c.Key {
			case "content-type":
				f.grpc = isGRPC(c.Value)
			case "cookie":
				f.cookie = true
			}
		case 'x', 'X':
			if c.Key == "x-request-id" {
				f.id = c.Value
			} else if identity.IsHeader(c.Key) {
				f.spoofed = append(f.spoofed, c.Key)
			}
		}
	}
	return c.Whole() && len(headers) > 4
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
		if targetBytes[f.authority[i]]&noHost != 0 {
			return false
		}
	}
	for i := 0; i < len(f.path); i++ {
		c := f.path[i]
		switch class := targetBytes[c]; {
		case class&inPath == 0:
		case c == '?':
			return true
		case class&noPath != 0:
			return false
		case c == '%' && (i+2 >= len(f.path) || hexValue(f.path[i+1]) > 15 || hexValue(f.path[i+2]) > 15):
			return false
		case c == '/' && dotSegment(f.path[i+1:]):
			return false
		}
	}
	return true
}

// Classes of the bytes of a target.
const (
	noHost = 1 << iota // may not stand in a host
	noPath             // may not stand in a path
	inPath             // needs a look in a path
)

var targetBytes = func() (table [256]uint8) {
	for c := range 256 {
		if c <= 0x20 || c >= 0x7f || strings.IndexByte(`,@/\?#"<>`, byte(c)) >= 0 {
			table[c] |= noHost
		}
		if c <= 0x20 || c >= 0x7f || c == '\\' || c == '#' {
			table[c] |= noPath | inPath
		}
		if c == '?' || c == '%' || c == '/' {
			table[c] |= inPath
		}
	}
	return table
}()

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
