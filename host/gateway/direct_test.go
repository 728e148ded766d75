package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// scripted is an upstream that answers the requests of its connections with what the
// script says: one text for each request of a connection, and the connection's end
// when there is no more.
type scripted struct {
	addr string
	mu   sync.Mutex
	seen [][]string // request lines, by connection
	gone chan int   // connections that the client has closed
}

func script(t *testing.T, conns ...[]string) *scripted {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{addr: l.Addr().String(), gone: make(chan int, 64)}
	var work sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); work.Wait() })
	work.Go(func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answers := conns[min(i, len(conns)-1)]
			s.mu.Lock()
			s.seen = append(s.seen, nil)
			s.mu.Unlock()
			work.Go(func() { s.serve(i, conn, answers) })
		}
	})
	return s
}

func (s *scripted) serve(i int, conn net.Conn, answers []string) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, answer := range answers {
		r, err := http.ReadRequest(in)
		if err != nil {
			s.gone <- i
			return
		}
		s.mu.Lock()
		s.seen[i] = append(s.seen[i], r.Method+" "+r.RequestURI)
		s.mu.Unlock()
		if _, err := io.WriteString(conn, answer); err != nil {
			s.gone <- i
			return
		}
	}
	if len(answers) > 0 && strings.Contains(answers[len(answers)-1], "wait for me") {
		_, _ = in.ReadByte()
		s.gone <- i
	}
}

func (s *scripted) requests() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func newDirect(t *testing.T) *direct {
	d := &direct{idle: time.Minute, dial: new(net.Dialer).DialContext}
	t.Cleanup(d.CloseIdleConnections)
	return d
}

// get sends a request and reads the answer to its end.
func get(ctx context.Context, d *direct, method, addr string) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+addr+"/x", nil)
	if err != nil {
		return 0, "", err
	}
	res, err := d.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// TestDirectConnections: when a connection is used again, and when it is not.
func TestDirectConnections(t *testing.T) {
	for name, tt := range map[string]struct {
		first string
		reuse bool
	}{
		"a body of a known length": {ok, true},
		"a chunked body":           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true},
		"no body":                  {"HTTP/1.1 204 No Content\r\n\r\n", true},
		"connection: close":        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false},
		"HTTP/1.0":                 {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", false},
		"a body until the end":     {"HTTP/1.1 200 OK\r\n\r\nok", false},
		// What follows must never be taken for the answer to the next request.
		"more than was announced": {ok + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", false},
		"more after no body":      {"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", false},
	} {
		t.Run(name, func(t *testing.T) {
			first := []string{tt.first, ok}
			if strings.HasSuffix(name, "until the end") {
				first = first[:1]
			}
			s := script(t, first, []string{ok})
			d := newDirect(t)
			for i := range 2 {
				status, body, err := get(t.Context(), d, "GET", s.addr)
				if err != nil || status/100 != 2 || body != "ok" && (i > 0 || status != 204) {
					t.Fatalf("request %d: %d %q %v", i, status, body, err)
				}
			}
			if n := len(s.requests()); n == 1 != tt.reuse {
				t.Errorf("%d connections: %q", n, s.requests())
			}
		})
	}
}

// TestDirectStale: an upstream that has closed a connection in between costs nothing
// but another one.
func TestDirectStale(t *testing.T) {
	s := script(t, []string{ok})
	d := newDirect(t)
	for range 3 {
		if status, body, err := get(t.Context(), d, "GET", s.addr); err != nil || status != 200 || body != "ok" {
			t.Fatalf("%d %q %v", status, body, err)
		}
	}
	if n := len(s.requests()); n != 3 {
		t.Errorf("%d connections", n)
	}
	// One that falls silent or talks nonsense has had the request: it is not sent twice.
	for _, answer := range []string{"", "H", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Le"} {
		s := script(t, []string{answer})
		if status, _, err := get(t.Context(), newDirect(t), "GET", s.addr); err == nil {
			t.Errorf("%q: %d", answer, status)
		}
		if n := len(s.requests()); n != 1 {
			t.Errorf("%q: %d connections", answer, n)
		}
		s = script(t, []string{ok, answer + "x"}, []string{ok})
		d := newDirect(t)
		if _, _, err := get(t.Context(), d, "GET", s.addr); err != nil {
			t.Fatal(err)
		}
		if status, _, err := get(t.Context(), d, "GET", s.addr); err == nil {
			t.Errorf("%q on a connection in use: %d", answer, status)
		}
	}
}

func TestDirectInterim(t *testing.T) {
	hints := "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
	s := script(t, []string{hints + hints + ok})
	var got []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		got = append(got, fmt.Sprint(code, h.Get("Link")))
		return nil
	}})
	if status, body, err := get(ctx, newDirect(t), "GET", s.addr); err != nil || status != 200 || body != "ok" {
		t.Errorf("%d %q %v", status, body, err)
	}
	if want := []string{"103</a.css>", "103</a.css>"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	s = script(t, []string{strings.Repeat(hints, maxInterim) + ok})
	if _, _, err := get(t.Context(), newDirect(t), "GET", s.addr); !errors.Is(err, errInterim) {
		t.Errorf("%v", err)
	}
	s = script(t, []string{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"})
	if _, _, err := get(t.Context(), newDirect(t), "GET", s.addr); !errors.Is(err, errSwitched) {
		t.Errorf("%v", err)
	}
}

func TestDirectLargeHead(t *testing.T) {
	head := func(n int) string {
		return "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", n) + "\r\nContent-Length: 2\r\n\r\nok"
	}
	s := script(t, []string{head(maxHeader - 100)})
	if status, _, err := get(t.Context(), newDirect(t), "GET", s.addr); err != nil || status != 200 {
		t.Errorf("%d %v", status, err)
	}
	s = script(t, []string{head(maxHeader)})
	if status, _, err := get(t.Context(), newDirect(t), "GET", s.addr); !errors.Is(err, errHeadTooLarge) {
		t.Errorf("%d %v", status, err)
	}
	// A body is not counted.
	s = script(t, []string{"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("y", 1_000_000)})
	if _, body, err := get(t.Context(), newDirect(t), "GET", s.addr); err != nil || len(body) != 1_000_000 {
		t.Errorf("%d %v", len(body), err)
	}
}

// TestDirectClientGone: whoever goes away takes the connection to the upstream along,
// be it before the head or in the middle of the body; the connection serves nobody else.
func TestDirectClientGone(t *testing.T) {
	for _, answer := range []string{"X-Unfinished: wait for me", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nwait for me"} {
		s := script(t, []string{answer})
		d := newDirect(t)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, _, err := get(ctx, d, "GET", s.addr)
			failed <- err
		}()
		for len(s.requests()) == 0 || len(s.requests()[0]) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := <-failed; err == nil {
			t.Errorf("%q: an answer", answer)
		}
		<-s.gone
		if d.count != 0 {
			t.Errorf("%q: the connection is kept", answer)
		}
	}
	// Closing a body before its end.
	s := script(t, []string{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nwait for me"})
	d := newDirect(t)
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.addr, nil)
	res, err := d.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	<-s.gone
	if d.count != 0 {
		t.Error("a connection with half a body on it is kept")
	}
}

func TestDirectIdle(t *testing.T) {
	s := script(t, []string{ok, ok, "wait for me"})
	d := newDirect(t)
	d.idle = 20 * time.Millisecond
	if _, _, err := get(t.Context(), d, "GET", s.addr); err != nil {
		t.Fatal(err)
	}
	<-s.gone // closed by the sweep
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count != 0 || len(d.unused) != 0 {
		t.Errorf("%d are kept", d.count)
	}
}

// TestDirectEnded: a cluster that is replaced keeps nothing that comes back later.
func TestDirectEnded(t *testing.T) {
	s := script(t, []string{ok, "wait for me"})
	d := newDirect(t)
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.addr, nil)
	res, err := d.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	d.CloseIdleConnections()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "ok" {
		t.Errorf("%q %v", body, err)
	}
	<-s.gone
	if d.count != 0 {
		t.Error("a connection is kept")
	}
}

func TestDirectTakes(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    *http.Request
		want bool
	}{
		{"a GET", &http.Request{Method: "GET"}, true},
		{"a HEAD with no body to speak of", &http.Request{Method: "HEAD", Body: http.NoBody}, true},
		{"a POST", &http.Request{Method: "POST"}, false},
		{"a DELETE", &http.Request{Method: "DELETE"}, false},
		{"a GET with a body", &http.Request{Method: "GET", Body: io.NopCloser(strings.NewReader("x")), ContentLength: 1}, false},
		{"a GET with a body of unknown length", &http.Request{Method: "GET", Body: io.NopCloser(strings.NewReader("x")), ContentLength: -1}, false},
		{"a GET with trailers", &http.Request{Method: "GET", Trailer: http.Header{"X": nil}}, false},
		{"an upgrade", &http.Request{Method: "GET", Header: http.Header{"Upgrade": {"websocket"}}}, false},
		{"an expectation", &http.Request{Method: "GET", Header: http.Header{"Expect": {"100-continue"}}}, false},
	} {
		if got := (*direct)(nil).takes(tt.r); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// TestDirectUnasked: what an upstream sends on a connection that nobody uses is the answer
// to nothing. Servers do: a 408 before they close an idle connection.
func TestDirectUnasked(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	speak := make(chan struct{})
	go func() {
		for first := true; ; first = false {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					_, _ = io.WriteString(conn, ok)
					if first {
						<-speak
						_, _ = io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 6\r\n\r\nstolen")
					}
				}
			}()
		}
	}()
	c := newCluster(ClusterConfig{Targets: []Target{{Address: l.Addr().String(), Weight: 1}}, ConnectTimeout: time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute})
	t.Cleanup(c.close)
	d := c.direct
	addr := l.Addr().String()
	if status, body, err := get(t.Context(), d, "GET", addr); err != nil || status != 200 || body != "ok" {
		t.Fatalf("%d %q %v", status, body, err)
	}
	idle := d.unused[addr]
	if len(idle) != 1 || !silent(idle[0].raw) {
		t.Fatalf("%d connections are kept, or it is not silent", len(idle))
	}
	close(speak)
	for silent(idle[0].raw) {
		time.Sleep(time.Millisecond)
	}
	for range 2 {
		if status, body, err := get(t.Context(), d, "GET", addr); err != nil || status != 200 || body != "ok" {
			t.Errorf("%d %q %v", status, body, err)
		}
	}
	if d.count != 1 {
		t.Errorf("%d connections are kept", d.count)
	}
}
