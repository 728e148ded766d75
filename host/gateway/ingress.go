package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/internal/routing"
)

// selection is the route that was chosen for a request.
type selection struct {
	state *state
	entry *routing.Entry // nil for none
	path  string         // normalised, without the query
	tls   bool           // the client's connection, or what a trusted proxy says of it
}

type selectionKey struct{}

func selected(r *http.Request) *selection {
	s, _ := r.Context().Value(selectionKey{}).(*selection)
	return s
}

// Property answers the attributes that a gateway knows of a request:
// xds.route_name. It is meant for host.Config.Properties.
func Property(r *http.Request, path string) (value []byte, ok bool) {
	if path != "xds.route_name" {
		return nil, false
	}
	s := selected(r)
	if s == nil || s.entry == nil {
		return nil, false
	}
	return []byte(s.entry.Name), true
}

// ServeHTTP takes a request from a client.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := requestPath(r)
	if !ok {
		badRequest(w)
		return
	}
	trusted := g.trusts(r.RemoteAddr)
	s := &selection{state: g.state.Load(), path: path}
	s.tls = forwarded(r, trusted, path) == "https"
	r.Host = routing.StripPort(r.Host)
	s.entry = s.match(r)

	ctx := context.WithValue(r.Context(), selectionKey{}, s)
	out := r.WithContext(ctx)
	out.URL = &url.URL{Path: path, RawPath: path, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	if decoded, err := url.PathUnescape(path); err == nil {
		out.URL.Path = decoded
	}
	out.RequestURI = path
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		out.RequestURI += "?" + r.URL.RawQuery
	}
	if r.Body != nil && r.Body != http.NoBody {
		rc := http.NewResponseController(w)
		if r.ProtoMajor == 1 {
			_ = rc.EnableFullDuplex() // not there for HTTP/2, which needs none
		}
		out.Body = &clientBody{ReadCloser: r.Body, rc: rc}
	}
	w.Header()["X-Request-Id"] = r.Header["X-Request-Id"]
	g.handler.ServeHTTP(w, out)
}

// badRequest answers a request whose target cannot be read.
func badRequest(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusBadRequest)
}

// requestPath returns the normalised path of a request target in origin or
// absolute form (RFC 9112 §3.2).
func requestPath(r *http.Request) (string, bool) {
	target := r.RequestURI
	if r.ProtoMajor == 1 && r.Method == http.MethodConnect {
		return "", false // a tunnel, which a path cannot be asked for
	}
	if r.ProtoMajor == 1 && !strings.HasPrefix(target, "/") {
		scheme, rest, ok := strings.Cut(target, "://")
		if !ok {
			return "", false // "*" and authority form
		}
		// The URL names another server than this one when it is not of the
		// connection's kind (RFC 9110 §7.4), and none without a host (§4.2.1).
		https := strings.EqualFold(scheme, "https")
		if !https && !strings.EqualFold(scheme, "http") || https && r.TLS == nil || r.URL.Host == "" {
			return "", false
		}
		i := strings.IndexAny(rest, "/?#")
		switch {
		case i < 0:
			target = "/"
		case rest[i] != '/':
			return "", false
		default:
			target = rest[i:]
		}
	}
	path, _, _ := strings.Cut(target, "?")
	if strings.Contains(target, "#") || r.Host == "" {
		return "", false
	}
	return routing.NormalizePath(path)
}

// trusts reports whether forwarded headers of an address are believed.
func (g *Gateway) trusts(remote string) bool {
	if len(g.config.TrustedIPs) == 0 {
		return false
	}
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	ip := addr.Addr().Unmap()
	for _, p := range g.config.TrustedIPs {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// forwarded makes the headers of the request safe that speak about connections:
// those that Connection names are removed before the filter sees the request, so
// that nobody can have the filter's own removed behind it; those that tell where
// a request came from are ours unless a trusted proxy sent them. It returns the
// scheme that the client used.
func forwarded(r *http.Request, trusted bool, path string) (scheme string) {
	h := r.Header
	hopByHop(h)
	scheme, port := "http", "80"
	if r.TLS != nil {
		scheme = "https"
	}
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		_, port, _ = net.SplitHostPort(addr.String())
	}
	if !trusted {
		for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Path",
			"X-Forwarded-Prefix", "X-Real-Ip", "Forwarded", "X-Request-Id"} {
			delete(h, name)
		}
	}
	if p := strings.ToLower(h.Get("X-Forwarded-Proto")); trusted && (p == "http" || p == "https") {
		scheme = p
	}
	h["X-Forwarded-Proto"] = []string{scheme}
	setDefault(h, "X-Forwarded-Host", routing.StripPort(r.Host))
	setDefault(h, "X-Forwarded-Port", port)
	h["X-Forwarded-Path"] = []string{path}
	if h.Get("X-Request-Id") == "" {
		h["X-Request-Id"] = []string{requestID()}
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	setDefault(h, "X-Real-Ip", client)
	if prior := h["X-Forwarded-For"]; len(prior) > 0 {
		client = strings.Join(prior, ",") + "," + client
	}
	h["X-Forwarded-For"] = []string{client}
	return scheme
}

func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" {
		h[name] = []string{value}
	}
}

// hopByHop removes what Connection names (RFC 9110 §7.6.1). Upgrade stays for
// the proxy to see.
func hopByHop(h http.Header) {
	lines, ok := h["Connection"]
	if !ok {
		return
	}
	upgrade := false
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			switch name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name {
			case "", "Close", "Keep-Alive", "Te":
			case "Upgrade":
				upgrade = true
			default:
				delete(h, name)
			}
		}
	}
	delete(h, "Connection")
	if upgrade {
		h["Connection"] = []string{"Upgrade"}
	}
}

// requestID returns a random UUID (RFC 9562 §5.4).
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var out [36]byte
	hex.Encode(out[:], b[:4])
	hex.Encode(out[9:], b[4:6])
	hex.Encode(out[14:], b[6:8])
	hex.Encode(out[19:], b[8:10])
	hex.Encode(out[24:], b[10:])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// match chooses the route of a request.
func (s *selection) match(r *http.Request) *routing.Entry {
	return s.state.table.Match(&routing.Request{
		Host: r.Host, Path: s.path, Method: r.Method, TLS: s.tls,
		Header: func(name string) (string, bool) {
			var m headers.Map
			values, ok := r.Header[http.CanonicalHeaderKey(name)]
			if !ok {
				return "", false
			}
			for _, v := range values {
				m.Append(name, v)
			}
			return m.Joined(name)
		},
	})
}

// clientBody is a request body whose sender may not fall silent for ever.
type clientBody struct {
	io.ReadCloser
	rc *http.ResponseController
}

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	_ = b.rc.SetReadDeadline(time.Now().Add(idleTimeout)) // the connection may be gone: Read says so
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}
