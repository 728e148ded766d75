package abi

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
)

// cluster is the name of the cluster of the scenario's upstream, grpcCluster that of
// the same upstream for HTTP/2.
func (s *Scenario) cluster() string     { return "up." + s.ID }
func (s *Scenario) grpcCluster() string { return "grpc." + s.ID }

// pluginName returns the name that a plugin of the scenario has in a host.
func (s *Scenario) pluginName(p plugin) string { return s.ID + p.name }

// vmID returns a plugin's vm_id: one of the scenario's own unless it says otherwise,
// as data and queues are shared by it.
func (s *Scenario) vmID(p plugin) string {
	if s.Guest != "" { // one for all, as it takes seconds to compile
		return "sdk"
	}
	if p.hasVM {
		return p.vm + s.ID
	}
	return "vm" + s.ID + p.name
}

// upstream answers a scenario's requests and remembers them.
type upstream struct {
	s    *Scenario
	srv  *httptest.Server
	late chan struct{} // closed when late answers may come
	mu   sync.Mutex    // guards seen
	seen []string
}

// release lets late answers come once the streams have ended.
func (u *upstream) release(log func() []string) {
	if slices.ContainsFunc(u.s.Answers, func(a answer) bool { return a.late }) {
		_ = testenv.Poll(5*time.Second, func() bool { return u.s.deletes(log()) >= len(u.s.Requests) })
	}
	close(u.late)
}

// startUpstream starts the upstream of a scenario, for HTTP/1.1 and HTTP/2.
func startUpstream(s *Scenario) *upstream {
	u := &upstream{s: s, late: make(chan struct{})}
	u.srv = httptest.NewUnstartedServer(u)
	u.srv.Config.Protocols = new(http.Protocols)
	u.srv.Config.Protocols.SetHTTP1(true)
	u.srv.Config.Protocols.SetUnencryptedHTTP2(true)
	u.srv.Start()
	return u
}

func (u *upstream) close() {
	u.srv.CloseClientConnections()
	u.srv.Close()
}

// port is what it listens on, at 127.0.0.1.
func (u *upstream) port() int { return u.srv.Listener.Addr().(*net.TCPAddr).Port }

func (u *upstream) requests() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

// ServeHTTP implements http.Handler.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	text := fmt.Sprintf("%s %s %s %s", r.Proto, r.Method, r.RequestURI, strings.ReplaceAll(r.Host, u.s.ID, "ID"))
	text += showHeader(r.Header) + showTransfer(r.TransferEncoding) + showBody(body)
	if len(r.Trailer) > 0 {
		text += " trailers" + showHeader(r.Trailer)
	}
	if err == nil { // how much of one that is broken off gets here is a matter of time
		u.mu.Lock()
		u.seen = append(u.seen, text)
		u.mu.Unlock()
	}
	a := answer{status: 200}
	for _, c := range u.s.Answers {
		if c.path == "" || c.path == r.URL.Path {
			a = c
			if c.path != "" {
				break
			}
		}
	}
	switch {
	case a.reset:
		panic(http.ErrAbortHandler)
	case a.hang:
		<-r.Context().Done()
		return
	case a.late:
		<-u.late
	}
	for _, h := range a.headers {
		w.Header().Add(h[0], h[1])
	}
	for _, t := range a.trailers {
		w.Header().Add("Trailer", t[0])
	}
	if len(a.trailers) == 0 && len(a.chunks) <= 1 && w.Header().Get("Content-Length") == "" && a.status != 204 {
		w.Header().Set("Content-Length", fmt.Sprint(len(strings.Join(a.chunks, ""))))
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header()["Content-Type"] = nil
	}
	w.Header()["Date"] = nil
	w.WriteHeader(a.status)
	for i, c := range a.chunks {
		if i > 0 || len(a.trailers) > 0 {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, c) // the proxy may have gone
	}
	for _, t := range a.trailers {
		w.Header().Add(t[0], t[1])
	}
}

// showHeader writes headers, the values of one joined as RFC 9110, section 5.3, has
// it: a proxy may do so.
func showHeader(h http.Header) string {
	var out []string
	for name, values := range h {
		if strings.HasPrefix(name, "X-Envoy-") { // of Envoy's router
			continue
		}
		switch name {
		case "Date":
			values = []string{"…"}
		case "Cookie":
			values = []string{strings.Join(values, "; ")}
		case "Set-Cookie":
		default:
			values = []string{strings.Join(values, ",")}
		}
		for _, v := range values {
			out = append(out, strings.ToLower(name)+": "+v)
		}
	}
	slices.Sort(out)
	return " [" + strings.Join(out, "; ") + "]"
}

func showTransfer(te []string) string {
	if len(te) == 0 {
		return ""
	}
	return " " + strings.Join(te, ",")
}

func showBody(b []byte) string {
	if len(b) > 200 {
		return fmt.Sprintf(" %d bytes %x", len(b), sha256.Sum256(b))
	}
	return fmt.Sprintf(" %q", b)
}

// client sends the requests of a scenario to a host.
type client struct {
	http1, http2 *http.Transport
	scheme, addr string
	wait         time.Duration // for a response
}

func newClient(addr string, secure bool) *client {
	c := &client{scheme: "http", addr: addr, wait: 10 * time.Second}
	var config *tls.Config
	if secure {
		c.scheme, config = "https", clientTLS()
	}
	for i, t := range []**http.Transport{&c.http1, &c.http2} {
		p := new(http.Protocols)
		p.SetHTTP1(i == 0)
		p.SetHTTP2(i == 1 && secure)
		p.SetUnencryptedHTTP2(i == 1 && !secure)
		*t = &http.Transport{Protocols: p, DisableCompression: true, TLSClientConfig: config, ForceAttemptHTTP2: i == 1}
	}
	return c
}

func (c *client) close() {
	c.http1.CloseIdleConnections()
	c.http2.CloseIdleConnections()
}

// patience bounds a request that no host answers.
const patience = 500 * time.Millisecond

// chunked is a body that comes in pieces, with trailers behind it.
type chunked struct {
	pieces []string
	end    func()
}

// Read implements io.Reader.
func (c *chunked) Read(p []byte) (int, error) {
	if len(c.pieces) == 0 {
		c.end()
		return 0, io.EOF
	}
	n := copy(p, c.pieces[0])
	if c.pieces[0] = c.pieces[0][n:]; c.pieces[0] == "" {
		c.pieces = c.pieces[1:]
	}
	return n, nil
}

// send sends a request and says what came of it.
func (c *client) send(s *Scenario, r request) string {
	ctx, cancel := context.WithTimeout(context.Background(), c.wait)
	defer cancel()
	if r.givesUp {
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.scheme+"://"+c.addr+r.path, nil)
	if err != nil {
		return "bad request: " + err.Error()
	}
	req.Host = "abi.example"
	req.Header.Set("User-Agent", "abi")
	// What Envoy would add by itself.
	req.Header.Set("X-Forwarded-Proto", c.scheme)
	req.Header.Set("X-Request-Id", "abi")
	for _, h := range r.headers {
		if strings.EqualFold(h[0], "host") {
			req.Host = h[1]
			continue
		}
		req.Header.Add(h[0], h[1])
	}
	if len(r.trailers) > 0 {
		req.Trailer = http.Header{}
		for _, t := range r.trailers {
			req.Trailer.Add(t[0], "")
		}
	}
	if len(r.chunks) > 0 || len(r.trailers) > 0 {
		req.Body = io.NopCloser(&chunked{slices.Clone(r.chunks), func() {
			for _, t := range r.trailers {
				req.Trailer.Set(t[0], t[1])
			}
		}})
		req.ContentLength = -1
		if len(r.chunks) == 1 && len(r.trailers) == 0 {
			req.ContentLength = int64(len(r.chunks[0]))
		}
	}
	t := c.http1
	if r.h2 {
		t = c.http2
	}
	res, err := t.RoundTrip(req)
	if err != nil {
		if ctx.Err() != nil {
			return "no answer"
		}
		return "closed without an answer"
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	text := fmt.Sprintf("%d%s%s%s", res.StatusCode, showHeader(res.Header), showTransfer(res.TransferEncoding), showBody(body))
	if err != nil {
		text += " broken off"
	}
	if len(res.Trailer) > 0 {
		text += " trailers" + showHeader(res.Trailer)
	}
	return text
}

// finished reports whether a run is over: as many streams have ended as requests
// were sent, and what the scenario waits for has come.
func (s *Scenario) finished(log []string) bool {
	want := len(s.Requests) * len(s.Plugins)
	if s.Module != "" { // which tells of no end
		want = 0
	}
	if d, ok := s.Options["deletes"]; ok {
		_, _ = fmt.Sscan(d, &want)
	}
	for _, u := range s.Until {
		if !slices.ContainsFunc(log, func(l string) bool { return strings.Contains(l, u) }) {
			return false
		}
	}
	return s.deletes(log) >= want
}

// deletes counts the contexts that have been deleted.
func (s *Scenario) deletes(log []string) (n int) {
	for _, l := range log {
		if strings.Contains(l, "delete(") && !strings.Contains(l, "  ") {
			n++
		}
	}
	return n
}
