// Package identity lists the headers that tell an upstream who the caller is.
// The filter removes them from every request before it sets its own; the
// declarative file must not route by them, because a header edit makes the proxy
// choose the route again.
//
// It is linked into the wasm module and must never import anything.
package identity

// The headers that the filter sets (kong.constants.HEADERS).
const (
	ConsumerID       = "x-consumer-id"
	ConsumerCustomID = "x-consumer-custom-id"
	ConsumerUsername = "x-consumer-username"
	Credential       = "x-credential-identifier"
	Anonymous        = "x-anonymous-consumer"

	ConsumerGroups      = "x-consumer-groups"
	AuthenticatedGroups = "x-authenticated-groups"
)

// reserved are the headers above and those that Kong's plugins set beside them,
// which an upstream may trust from its days behind Kong.
var reserved = map[string]bool{
	ConsumerID: true, ConsumerCustomID: true, ConsumerUsername: true, Credential: true, Anonymous: true,
	"x-credential-username": true,                            // older Kongs
	ConsumerGroups:          true, AuthenticatedGroups: true, // acl
	"x-authenticated-userid": true, "x-authenticated-scope": true, // oauth2
	"x-userinfo": true, // openid-connect
}

// Names lists the reserved headers.
func Names() []string {
	names := make([]string, 0, len(reserved))
	for name := range reserved {
		names = append(names, name)
	}
	return names
}

// IsHeader reports whether an upstream would take the header for our word on who
// the caller is. A server that hands headers on as environment variables (CGI,
// WSGI, Rack) cannot tell X-Consumer-ID from X_Consumer_ID or X.Consumer.ID, so
// letter case and every character that is neither letter nor digit is levelled
// before the comparison.
func IsHeader(name string) bool {
	var buf [24]byte
	if len(name) < 3 || len(name) > len(buf) {
		return false
	}
	switch name[2] | 0x20 { // consumer and credential, authenticated and anonymous, userinfo
	case 'c', 'a', 'u':
	default:
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		default:
			c = '-'
		}
		buf[i] = c
	}
	return reserved[string(buf[:len(name)])]
}
