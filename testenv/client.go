package testenv

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Response is what a client got.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// RequestID returns the id under which the gateway logged the request.
func (r *Response) RequestID() string { return r.Header.Get("X-Request-Id") }

// Raw sends bytes as they are and reads one HTTP/1.1 response: what no client
// library would send can be sent too.
func Raw(t testing.TB, addr, request string) *Response {
	t.Helper()
	r, err := TryRaw(addr, request)
	if err != nil {
		t.Fatalf("%v\n%s", err, request)
	}
	return r
}

// TryRaw is Raw with an error.
func TryRaw(addr, request string) (*Response, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return &Response{res.StatusCode, res.Header, string(body)}, nil
}

// Request writes an HTTP/1.1 request with the given header lines. Host is
// gateway.example unless a line says otherwise.
func Request(method, target string, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	host := false
	for _, l := range lines {
		host = host || strings.HasPrefix(strings.ToLower(l), "host:")
	}
	if !host {
		b.WriteString("Host: gateway.example\r\n")
	}
	for _, l := range lines {
		b.WriteString(l + "\r\n")
	}
	b.WriteString("Connection: close\r\n\r\n")
	return b.String()
}
