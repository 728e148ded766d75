package host

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
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
	for prefix, t := range lookups {
		if header, ok := strings.CutPrefix(name, prefix); ok {
			return joined(s, t, header)
		}
	}
	if get, ok := attributes[name]; ok {
		return get(e, s)
	}
	return nil, abi.NotFound
}

// lookups are the attributes in which headers are looked up.
var lookups = map[string]abi.MapType{
	"request.headers.": abi.HTTPRequestHeaders, "response.headers.": abi.HTTPResponseHeaders,
	"response.trailers.": abi.HTTPResponseTrailers,
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

// query returns a part of the path: before the question mark, or behind it.
func query(behind bool) attribute {
	return func(_ *exchange, s *stream.Stream) ([]byte, abi.Status) {
		path, ok := s.RequestMap().Get(":path")
		before, after, _ := strings.Cut(path, "?")
		if behind {
			return text(after, ok)
		}
		return text(before, ok)
	}
}

// whole are attributes that stand for many, which have no encoding.
func whole(*exchange, *stream.Stream) ([]byte, abi.Status) { return nil, abi.SerializationFailure }

// attributes are those of Envoy's documentation, "Attributes".
var attributes = map[string]attribute{
	"": whole, "request": whole, "response": whole, "connection": whole, "source": whole, "destination": whole,

	"request.path":      header(":path"),
	"request.host":      header(":authority"),
	"request.method":    header(":method"),
	"request.scheme":    header(":scheme"),
	"request.referer":   header("referer"),
	"request.useragent": header("user-agent"),
	"request.id":        header("x-request-id"),
	"request.url_path":  query(false),
	"request.query":     query(true),
	"request.protocol": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) {
		return text(strings.TrimSuffix(e.r.Proto, ".0"), true)
	},
	"request.time": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return number(e.started.UnixNano()) },
	"request.duration": func(e *exchange, s *stream.Stream) ([]byte, abi.Status) {
		if !s.Logging() { // it has not ended
			return nil, abi.NotFound
		}
		return number(int64(time.Since(e.started)))
	},
	"request.size":          func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return number(e.requestSize()) },
	"request.headers_bytes": func(_ *exchange, s *stream.Stream) ([]byte, abi.Status) { return number(int64(s.RequestMap().Size())) },
	"request.total_size": func(e *exchange, s *stream.Stream) ([]byte, abi.Status) {
		return number(e.requestSize() + int64(s.RequestMap().Size()))
	},
	"request.headers": all(abi.HTTPRequestHeaders),

	"response.headers":       all(abi.HTTPResponseHeaders),
	"response.trailers":      all(abi.HTTPResponseTrailers),
	"response.headers_bytes": func(_ *exchange, s *stream.Stream) ([]byte, abi.Status) { return number(int64(s.ResponseMap().Size())) },
	"response.size":          func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return number(e.written.Load()) },
	"response.total_size": func(e *exchange, s *stream.Stream) ([]byte, abi.Status) {
		return number(e.written.Load() + int64(s.ResponseMap().Size()))
	},
	"response.flags": func(*exchange, *stream.Stream) ([]byte, abi.Status) { return number(0) },
	"response.code": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) {
		if e.status.Load() == 0 {
			return nil, abi.NotFound
		}
		return number(int64(e.status.Load()))
	},
	"response.code_details": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) {
		d := e.answer.details.Load()
		if d == nil {
			return nil, abi.NotFound
		}
		return []byte(*d), abi.OK
	},
	"response.grpc_status": grpcStatusOf,

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
			return nil, abi.OK
		}
		return []byte(e.r.TLS.ServerName), abi.OK
	},
	"connection.tls_version": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) {
		if e.r.TLS == nil {
			return nil, abi.NotFound
		}
		return text(strings.Replace(tls.VersionName(e.r.TLS.Version), "TLS ", "TLSv", 1), true)
	},
	"connection.subject_peer_certificate": peer(func(c *x509.Certificate) (string, bool) { return c.Subject.String(), true }),
	"connection.dns_san_peer_certificate": peer(func(c *x509.Certificate) (string, bool) {
		if len(c.DNSNames) == 0 {
			return "", false
		}
		return c.DNSNames[0], true
	}),
	"connection.uri_san_peer_certificate": peer(func(c *x509.Certificate) (string, bool) {
		if len(c.URIs) == 0 {
			return "", false
		}
		return c.URIs[0].String(), true
	}),
	"connection.sha256_peer_certificate_digest": peer(func(c *x509.Certificate) (string, bool) {
		sum := sha256.Sum256(c.Raw)
		return hex.EncodeToString(sum[:]), true
	}),

	"plugin_name":    func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return text(e.filter.config.Name, true) },
	"plugin_root_id": func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return text(e.filter.config.RootID, true) },
	"plugin_vm_id":   func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) { return text(e.filter.config.VMID, true) },
}

// peer returns an attribute of the client's certificate.
func peer(get func(c *x509.Certificate) (string, bool)) attribute {
	return func(e *exchange, _ *stream.Stream) ([]byte, abi.Status) {
		if e.r.TLS == nil || len(e.r.TLS.PeerCertificates) == 0 {
			return nil, abi.NotFound
		}
		return text(get(e.r.TLS.PeerCertificates[0]))
	}
}

// requestSize is the length of the request's body: as it was announced, or what has
// come of it.
func (e *exchange) requestSize() int64 {
	if e.r.ContentLength >= 0 {
		return e.r.ContentLength
	}
	return e.body.count.Load()
}

// grpcStatusOf is the status in trailers or headers, or what stands for the HTTP status
// (Envoy's Grpc::Common::getGrpcStatus).
func grpcStatusOf(e *exchange, s *stream.Stream) ([]byte, abi.Status) {
	for _, t := range []abi.MapType{abi.HTTPResponseTrailers, abi.HTTPResponseHeaders} {
		if m := seen(s, t); m != nil {
			if text, ok := m.Get("grpc-status"); ok {
				n, err := strconv.ParseInt(text, 10, 32)
				if err != nil {
					return nil, abi.NotFound
				}
				return number(n)
			}
		}
	}
	if e.status.Load() == 0 {
		return nil, abi.NotFound
	}
	return number(int64(grpcStatus(int(e.status.Load()))))
}

// seen returns a map whatever the guest may do with it now, nil before it has come.
func seen(s *stream.Stream, t abi.MapType) *headers.Map {
	switch t {
	case abi.HTTPRequestHeaders:
		return s.RequestMap()
	case abi.HTTPResponseHeaders:
		if s.ResponseSeen() {
			return s.ResponseMap()
		}
	case abi.HTTPResponseTrailers:
		return s.ResponseTrailerMap()
	}
	return nil
}

// joined returns all values of a header.
func joined(s *stream.Stream, t abi.MapType, name string) ([]byte, abi.Status) {
	m := seen(s, t)
	if m == nil {
		return nil, abi.NotFound
	}
	return text(m.Joined(name))
}

// all returns a whole header map as pairs; one that has not come is empty.
func all(t abi.MapType) attribute {
	return func(_ *exchange, s *stream.Stream) ([]byte, abi.Status) {
		m := seen(s, t)
		if m == nil {
			m = &headers.Map{}
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
	n, err := strconv.ParseInt(p, 10, 32)
	if err != nil {
		return nil, abi.NotFound
	}
	return number(n)
}
