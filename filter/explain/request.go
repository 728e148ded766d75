package explain

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/routing"
)

// Request is a request as a client sends it.
type Request struct {
	Method  string // "" for GET
	URL     string // absolute, http or https
	Headers []Header
	Now     time.Time // zero for now
}

// arrived is a request as the proxy takes it.
type arrived struct {
	method, scheme, host string
	port                 int64
	path                 string // normalised, without the query
	query                string // with the question mark
	readable             bool   // the path has a normal form
	headers              []Header
	now                  int64
}

// arrive does to a request what both proxies do before they choose a route: the path
// in normal form, no port in the host, no headers that Connection names, and headers
// about the connection that are the proxy's own.
func arrive(r Request) (*arrived, error) {
	a := &arrived{method: r.Method, now: r.Now.Unix()}
	if a.method == "" {
		a.method = "GET"
	}
	if !isToken(a.method) {
		return nil, fmt.Errorf("%q is no method", a.method)
	}
	if r.Now.IsZero() {
		a.now = time.Now().Unix()
	}
	if err := a.url(r.URL); err != nil {
		return nil, err
	}
	dropped := map[string]bool{"host": true, "connection": true, "forwarded": true, "x-request-id": true, "x-real-ip": true}
	for _, h := range r.Headers {
		name := strings.ToLower(h.Name)
		if !isToken(name) || strings.ContainsAny(h.Value, "\r\n\x00") {
			return nil, errors.New("a header's name or value may not stand in one: expected Name: value")
		}
		switch name {
		case "host":
			a.host = routing.StripPort(h.Value)
		case "connection":
			for one := range strings.SplitSeq(strings.ToLower(h.Value), ",") {
				dropped[strings.TrimSpace(one)] = true
			}
		}
	}
	for _, h := range r.Headers {
		name := strings.ToLower(h.Name)
		if !dropped[name] && !strings.HasPrefix(name, "x-forwarded-") {
			a.headers = append(a.headers, Header{name, h.Value})
		}
	}
	return a, nil
}

// url reads the URL as it stands: a parser might tidy it up, which is the proxy's work.
func (a *arrived) url(s string) error {
	scheme, rest, ok := strings.Cut(s, "://")
	a.scheme = strings.ToLower(scheme)
	port, known := map[string]int64{"http": 80, "https": 443}[a.scheme]
	if !ok || !known {
		return fmt.Errorf("%q is no address: expected http://host/path or https://host/path", withoutQuery(s))
	}
	if strings.Contains(rest, "#") {
		return errors.New("the address has a # part, which no client sends: leave it out")
	}
	at := strings.IndexAny(rest, "/?")
	if at < 0 {
		at = len(rest)
	}
	authority, target := rest[:at], rest[at:]
	if !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	if authority == "" || strings.Contains(authority, "@") {
		return errors.New("the address needs a host, and nothing with @ before it")
	}
	a.host, a.port = routing.StripPort(authority), port
	if _, text, err := net.SplitHostPort(authority); err == nil && text != "" {
		if a.port, err = strconv.ParseInt(text, 10, 32); err != nil || a.port < 1 || a.port > 65535 {
			return fmt.Errorf("%q is no port", text)
		}
	}
	path, query, hasQuery := strings.Cut(target, "?")
	if hasQuery {
		a.query = "?" + query
	}
	if a.path, a.readable = routing.NormalizePath(path); !a.readable {
		a.path = path
	}
	return nil
}

// line says which request it was.
func (a *arrived) line() Line {
	host := a.host
	if a.port != 80 && a.port != 443 {
		host += ":" + strconv.FormatInt(a.port, 10)
	}
	l := Line{Method: a.method, URL: a.scheme + "://" + host + a.path + namesOnly(a.query), Headers: []string{}}
	for _, h := range a.headers {
		l.Headers = append(l.Headers, h.Name)
	}
	return l
}

// requestID is the x-request-id of the request.
const requestID = "explain"

// shown is the request as the proxy shows it to the filter.
func (a *arrived) shown(entry *routing.Entry) *policy.Request {
	pairs := []abi.Pair{
		{Key: ":authority", Value: a.host}, {Key: ":path", Value: a.path + a.query}, {Key: ":method", Value: a.method},
		{Key: ":scheme", Value: a.scheme},
	}
	for _, h := range a.headers {
		pairs = append(pairs, abi.Pair{Key: h.Name, Value: h.Value})
	}
	pairs = append(pairs,
		abi.Pair{Key: "x-forwarded-proto", Value: a.scheme}, abi.Pair{Key: "x-forwarded-host", Value: a.host},
		abi.Pair{Key: "x-forwarded-port", Value: strconv.FormatInt(a.port, 10)}, abi.Pair{Key: "x-request-id", Value: requestID})
	req := &policy.Request{Now: a.now, RouteState: policy.RouteNone, Headers: abi.Pairs(abi.AppendPairs(nil, pairs))}
	if entry != nil {
		req.RouteState, req.Route = policy.RouteChosen, entry.Name
	}
	return req
}

// asked is the request as a route is chosen by it.
func (a *arrived) asked() *routing.Request {
	return &routing.Request{Host: a.host, Path: a.path, Method: a.method, TLS: a.scheme == "https",
		Header: func(name string) (string, bool) {
			var values []string
			for _, h := range a.headers {
				if h.Name == name {
					values = append(values, h.Value)
				}
			}
			return strings.Join(values, ","), len(values) > 0
		}}
}

// isToken reports whether s is a token (RFC 9110 §5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
