// Package echo is an upstream that answers with what it received and remembers
// it, so that a test can say what reached it and what did not.
package echo

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestID is the header by which a test finds its requests again.
const TestID = "X-Test-Id"

// Request is what arrived.
type Request struct {
	Method  string              `json:"method"`
	Target  string              `json:"target"` // path with query, as it was on the wire
	Host    string              `json:"host"`
	Proto   string              `json:"proto"`
	Headers map[string][]string `json:"headers"`
	Body    string              `json:"body"`
	Trailer map[string][]string `json:"trailer,omitempty"`
}

// Header returns the values of a header, joined as they came.
func (r *Request) Header(name string) string { return http.Header(r.Headers).Get(name) }

// Server is a running upstream.
type Server struct {
	Addr string // host:port
	URL  string

	mu    sync.Mutex // guards what follows
	seen  map[string][]Request
	last  []Request // the newest of all, recent at most
	total int
	srv   *http.Server
}

// Start starts an upstream for HTTP/1.1 and HTTP/2 without TLS. Its answers:
//
//	/            200, "Hello world!"
//	/stream      a line for every line of the request, as it comes
//	/ws          a WebSocket that echoes
//	/grpc/…      application/grpc with the body and trailers grpc-status: 0
//	/status/NNN  NNN
//	/cookies     the Request as JSON, and two cookies: upstream and second
//	else         200, the Request as JSON
func Start(t testing.TB) *Server {
	t.Helper()
	return StartAt(t, "127.0.0.1:0")
}

// StartAt is Start on an address.
func StartAt(t testing.TB, addr string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := New()
	s.Addr = l.Addr().String()
	s.URL = "http://" + s.Addr
	go func() { _ = s.srv.Serve(l) }()
	t.Cleanup(s.Close)
	return s
}

// New returns an upstream that is not listening.
func New() *Server {
	s := &Server{seen: map[string][]Request{}}
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	s.srv = &http.Server{Handler: s, Protocols: p, ReadHeaderTimeout: 10 * time.Second}
	return s
}

// Close ends it.
func (s *Server) Close() { _ = s.srv.Close() }

// Seen returns what arrived with a test id.
func (s *Server) Seen(id string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.seen[id]...)
}

// Total returns how many requests have arrived.
func (s *Server) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// recent bounds what Since has.
const recent = 256

// Since returns what has arrived since Total was a number: of a browser, which adds
// no test id. It is for fewer requests than recent.
func (s *Server) Since(total int) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(s.total-total, len(s.last))
	return append([]Request(nil), s.last[len(s.last)-n:]...)
}

func (s *Server) note(r Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total++
	if s.last = append(s.last, r); len(s.last) >= 2*recent {
		s.last = append([]Request(nil), s.last[recent:]...)
	}
	if id := r.Header(TestID); id != "" {
		s.seen[id] = append(s.seen[id], r)
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := Request{Method: r.Method, Target: r.RequestURI, Host: r.Host, Proto: r.Proto, Headers: r.Header}
	switch {
	case r.URL.Path == "/stream":
		s.note(got)
		stream(w, r)
		return
	case r.URL.Path == "/ws":
		s.note(got)
		websocketEcho(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body) // what came is what is told
	got.Body, got.Trailer = string(body), r.Trailer
	s.note(got)
	switch {
	case len(r.URL.Path) > 6 && r.URL.Path[:6] == "/grpc/":
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		_, _ = w.Write(body)
		w.Header().Set("Grpc-Status", "0")
		w.Header().Set("Grpc-Message", "echoed")
	case len(r.URL.Path) == 11 && r.URL.Path[:8] == "/status/":
		code := 0
		for _, c := range r.URL.Path[8:] {
			code = code*10 + int(c-'0')
		}
		w.WriteHeader(code)
	case r.URL.Path == "/":
		_, _ = io.WriteString(w, "Hello world!")
	default:
		if r.URL.Path == "/cookies" {
			w.Header().Add("Set-Cookie", "upstream=1; Path=/")
			w.Header().Add("Set-Cookie", "second=2; Path=/")
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(got)
	}
}

// stream answers each line as it comes, so that both directions are open at once.
func stream(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex()
	w.WriteHeader(http.StatusOK)
	_ = rc.Flush()
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		if _, err := w.Write([]byte("echo: " + lines.Text() + "\n")); err != nil {
			return
		}
		if rc.Flush() != nil {
			return
		}
	}
}

// Run serves on an address until ctx ends, for programs.
func (s *Server) Run(ctx context.Context, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		s.Close()
	}()
	return s.srv.Serve(l)
}
