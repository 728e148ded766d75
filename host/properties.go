package host

import (
	"encoding/binary"
	"net"
	"net/http"
	"strings"

	"github.com/sallyport-auth/sallyport/host/internal/stream"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Property implements stream.Properties: Envoy's attributes as far as net/http
// knows them. Numbers are eight bytes little-endian, booleans one byte.
func (e *exchange) Property(s *stream.Stream, path []string) ([]byte, abi.Status) {
	name := strings.Join(path, ".")
	if f := e.filter.config.Properties; f != nil {
		if v, ok := f(e.r, name); ok {
			return v, abi.OK
		}
	}
	if header, ok := strings.CutPrefix(name, "request.headers."); ok {
		return joined(s, abi.HTTPRequestHeaders, header)
	}
	if header, ok := strings.CutPrefix(name, "response.headers."); ok {
		return joined(s, abi.HTTPResponseHeaders, header)
	}
	if get, ok := attributes[name]; ok {
		return get(e, s)
	}
	return nil, abi.NotFound
}

type attribute func(e *exchange, s *stream.Stream) ([]byte, abi.Status)

func text(s string, ok bool) ([]byte, abi.Status) {
	if !ok {
		return nil, abi.NotFound
	}
	return []byte(s), abi.OK
}

func number(n int64) ([]byte, abi.Status) {
	return binary.LittleEndian.AppendUint64(nil, uint64(n)), abi.OK
}

func boolean(b bool) ([]byte, abi.Status) {
	if b {
		return []byte{1}, abi.OK
	}
	return []byte{0}, abi.OK
}

// header returns an attribute that is a request header.
func header(name string) attribute {
	return func(_ *exchange, s *stream.Stream) ([]byte, abi.Status) { return text(s.RequestMap().Get(name)) }
}

// attributes are those of Envoy's documentation, "Attributes".
var attributes = map[string]attribute{
	"request.path":      header(":path"),
	"request.host":      header(":authority"),
	"request.method":    header(":method"),
	"request.scheme":    header(":scheme"),
	"request.referer":   header("referer"),
	"request.useragent": header("user-agent"),
	"request.id":        header("x-request-id"),
	"request.url_path": func(_ *exchange, s *stream.Stream) ([]byte, abi.Status) {
		path, ok := s.RequestMap().Get(":path")
		path, _, _ = strings.Cut(path, "?")
		return text(path, ok)
	},
	"request.query": func(_ *exchange, s *stream.Stream) ([]byte, abi.Status) {
		path, ok := s.RequestMap().Get(":path")
		_, query, _ := strings.Cut(path, "?")
		return text(query, ok)
	},
	"request.protocol": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) {
		return text(strings.TrimSuffix(e.r.Proto, ".0"), true)
	},
	"request.time":     func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return number(e.started.UnixNano()) },
	"request.headers":  all(abi.HTTPRequestHeaders),
	"response.headers": all(abi.HTTPResponseHeaders),
	"response.code": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) {
		if e.status.Load() == 0 {
			return nil, abi.NotFound
		}
		return number(int64(e.status.Load()))
	},
	"source.address": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) {
		return text(e.r.RemoteAddr, e.r.RemoteAddr != "")
	},
	"source.port":         func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return port(e.r.RemoteAddr) },
	"destination.address": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return text(localAddress(e.r)) },
	"destination.port": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) {
		addr, _ := localAddress(e.r)
		return port(addr)
	},
	"connection.mtls": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) {
		return boolean(e.r.TLS != nil && len(e.r.TLS.PeerCertificates) > 0)
	},
	"connection.requested_server_name": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) {
		if e.r.TLS == nil {
			return nil, abi.NotFound
		}
		return text(e.r.TLS.ServerName, true)
	},
	"plugin_name":    func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return text(e.filter.config.Name, true) },
	"plugin_root_id": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return text(e.filter.config.RootID, true) },
	"plugin_vm_id":   func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return text(e.filter.config.VMID, true) },
}

// joined returns all values of a header.
func joined(s *stream.Stream, t abi.MapType, name string) ([]byte, abi.Status) {
	m := s.Headers(t)
	if m == nil {
		return nil, abi.NotFound
	}
	return text(m.Joined(name))
}

// all returns a whole header map as pairs.
func all(t abi.MapType) attribute {
	return func(_ *exchange, s *stream.Stream) ([]byte, abi.Status) {
		m := s.Headers(t)
		if m == nil {
			return nil, abi.NotFound
		}
		return abi.AppendPairs(nil, m.Pairs()), abi.OK
	}
}

func localAddress(r *http.Request) (string, bool) {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return "", false
	}
	return addr.String(), true
}

func port(addr string) ([]byte, abi.Status) {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, abi.NotFound
	}
	n := int64(0)
	for _, c := range []byte(p) {
		n = n*10 + int64(c-'0')
	}
	return number(n)
}
