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
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/internal/routing"
)

// selection is the route that was chosen for a request.
type selection struct {
	state  *state
	entry  *routing.Entry // nil for none
	path   string         // normalised, without the query; or as the filter has made it
	host   string         // by which the entry was chosen
	method string         // by which the entry was chosen
	tls    bool           // the client's connection, or what a trusted proxy says of it
}

type selectionKey struct{}

// visit is a request on its way in: its context, and what is made for it once.
type visit struct {
	context.Context
	selection selection
	url       url.URL
	request   routing.Request
}

// Value implements context.Context.
func (v *visit) Value(key any) any {
	if key == (selectionKey{}) {
		return &v.selection
	}
	return v.Context.Value(key)
}

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
	v := &visit{Context: r.Context(), selection: selection{state: g.state.Load(), path: path}}
	s := &v.selection
	r.Host = routing.StripPort(r.Host)
	s.tls = forwarded(r, trusted, path) == "https"
	s.host, s.method = r.Host, r.Method
	s.entry = s.match(r, &v.request)

	out := r.WithContext(v)
	v.url = url.URL{Path: path, RawPath: path, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	out.URL = &v.url
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
	values := make([]string, 0, 7) // of the headers that are set
	set := func(name, value string) {
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
	// given reports whether a header stays as a trusted proxy has sent it.
	given := func(name string) bool {
		v := h[name]
		return trusted && len(v) > 0 && v[0] != ""
	}
	scheme = "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if given("X-Forwarded-Proto") {
		if p := strings.ToLower(h["X-Forwarded-Proto"][0]); p == "http" || p == "https" {
			scheme = p
		}
	}
	if !trusted {
		delete(h, "X-Forwarded-Prefix")
		delete(h, "Forwarded")
	}
	set("X-Forwarded-Proto", scheme)
	set("X-Forwarded-Path", path)
	if !given("X-Forwarded-Host") {
		set("X-Forwarded-Host", r.Host)
	}
	if !given("X-Forwarded-Port") {
		set("X-Forwarded-Port", localPort(r))
	}
	if !given("X-Request-Id") {
		set("X-Request-Id", requestID())
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	if !given("X-Real-Ip") {
		set("X-Real-Ip", client)
	}
	if prior := h["X-Forwarded-For"]; len(prior) > 0 {
		client = strings.Join(prior, ",") + "," + client
	}
	set("X-Forwarded-For", client)
	return scheme
}

// localPort returns the port that the client has connected to.
func localPort(r *http.Request) string {
	switch addr := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		return strconv.Itoa(addr.Port)
	case net.Addr:
		_, port, _ := net.SplitHostPort(addr.String())
		return port
	}
	return "80"
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

// edited reports whether a filter has changed the path, host or method of the
// request, and takes over the path.
func (s *selection) edited(r *http.Request) bool {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	changed := path != s.path || r.Host != s.host || r.Method != s.method
	s.path = path
	return changed
}

// match chooses the route of a request. What the table is asked with is put into
// asked.
func (s *selection) match(r *http.Request, asked *routing.Request) *routing.Entry {
	*asked = routing.Request{Host: r.Host, Path: s.path, Method: r.Method, TLS: s.tls}
	if s.state.byHeader {
		asked.Header = func(name string) (string, bool) {
			var m headers.Map
			values, ok := r.Header[http.CanonicalHeaderKey(name)]
			if !ok {
				return "", false
			}
			for _, v := range values {
				m.Append(name, v)
			}
			return m.Joined(name)
		}
	}
	return s.state.table.Match(asked)
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
