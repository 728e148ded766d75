// Package callout makes the HTTP calls of guests (proxy_http_call): to clusters
// that the configuration names, bounded in number, time and size. A guest never
// chooses an address.
package callout

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/host/internal/hostcall"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// maxAnswerHeader bounds the headers of an answer, in bytes, near to Envoy's 60 KiB. The
// other bounds are hostcall.Limits. Envoy buffers up to 32 MiB of an answer by default,
// which a few calls to somebody hostile would make a few hundred.
const maxAnswerHeader = 64 << 10

// Cluster is where a name leads.
type Cluster struct {
	// Transport does the calls.
	Transport http.RoundTripper
	// Scheme and Host complete the request's URL; the guest's :authority is sent
	// as the Host header.
	Scheme, Host string
}

// New returns a cluster for a URL: http://host:port, https://host:port, or
// unix:/path/of/socket.
func New(target string) (Cluster, error) {
	t := &http.Transport{
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,

		MaxResponseHeaderBytes: maxAnswerHeader,
	}
	if path, ok := strings.CutPrefix(target, "unix:"); ok && path != "" {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
		}
		return Cluster{Transport: t, Scheme: "http", Host: "socket"}, nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return Cluster{}, err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return Cluster{}, &url.Error{Op: "cluster", URL: target, Err: errTarget}
	}
	return Cluster{Transport: t, Scheme: u.Scheme, Host: u.Host}, nil
}

type targetError string

func (e targetError) Error() string { return string(e) }

const errTarget = targetError("expected http://host:port, https://host:port or unix:/path")

// Clusters are the clusters by name.
type Clusters map[string]Cluster

// Close waits for the calls under way, whose root contexts have been stopped, and closes
// all connections. A transport that still works on a request keeps its connection for
// the next one, whatever it has been told before.
func (cr *Caller) Close() {
	cr.calls.Wait()
	for _, c := range cr.Clusters {
		if t, ok := c.Transport.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

// Caller makes the calls of a filter within limits.
type Caller struct {
	Clusters Clusters
	Limits   hostcall.Limits
	held     atomic.Int64 // bytes of bodies of calls under way
	calls    sync.WaitGroup
}

// Call starts a call for a root context; its answer comes with CallDone, never
// before Call has returned.
func (cr *Caller) Call(root *vm.Root, c hostcall.Call) (id uint32, status abi.Status) {
	cluster, ok := cr.Clusters[c.Cluster]
	if !ok {
		return 0, abi.BadArgument
	}
	if root.Calls() >= cr.Limits.Calls {
		return 0, abi.InternalFailure
	}
	timeout := min(c.Timeout, cr.Limits.CallTimeout)
	if timeout == 0 {
		timeout = cr.Limits.CallTimeout // nothing waits for ever here
	}
	share := &share{of: cr}
	if !share.take(len(c.Body)) {
		return 0, abi.InternalFailure
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	req, err := request(ctx, cluster, c)
	if err != nil {
		cancel()
		share.giveBack()
		return 0, abi.BadArgument
	}
	id = root.NewCall(cancel)
	cr.calls.Go(func() {
		defer share.giveBack()
		defer cancel()
		root.CallDone(id, do(cluster, req, share))
	})
	return id, abi.OK
}

// share is what one call takes of the bytes that all may hold.
type share struct {
	of   *Caller
	held int
}

// take asks for n more bytes.
func (s *share) take(n int) bool {
	if s.of.held.Add(int64(n)) > int64(s.of.Limits.AllCallBytes) {
		s.of.held.Add(int64(-n))
		return false
	}
	s.held += n
	return true
}

func (s *share) giveBack() { s.of.held.Add(int64(-s.held)) }

var errAnswer = errors.New("the answer is larger than it may be")

// read reads an answer's body.
func (s *share) read(r io.Reader) ([]byte, error) {
	body := make([]byte, 0, 512)
	for {
		body = slices.Grow(body, 1)
		n, err := r.Read(body[len(body):cap(body)])
		if len(body)+n > s.of.Limits.CallBytes || !s.take(n) {
			return nil, errAnswer
		}
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// request builds the request from the guest's pairs.
func request(ctx context.Context, cluster Cluster, c hostcall.Call) (*http.Request, error) {
	var m headers.Map
	for _, p := range c.Headers {
		m.Append(headers.Lower(p.Key), p.Value)
	}
	method, _ := m.Get(":method")
	path, _ := m.Get(":path")
	authority, _ := m.Get(":authority")
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, err
	}
	u.Scheme, u.Host = cluster.Scheme, cluster.Host
	var body io.Reader
	if len(c.Body) > 0 {
		body = bytes.NewReader(c.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	m.Export(req.Header)
	req.Header.Del("Content-Length") // set from the body
	req.Host = authority
	if len(c.Trailers) > 0 {
		req.Trailer = http.Header{}
		for _, p := range c.Trailers {
			req.Trailer.Add(p.Key, p.Value)
		}
	}
	return req, nil
}

// do makes the call; nil for a failure.
func do(cluster Cluster, req *http.Request, share *share) *vm.CallResponse {
	res, err := cluster.Transport.RoundTrip(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	body, err := share.read(res.Body)
	if err != nil {
		return nil
	}
	out := &vm.CallResponse{Body: body}
	out.Headers.Append(":status", statusText(res.StatusCode))
	out.Headers.Fill(res.Header)
	fillTrailers(&out.Trailers, res.Trailer)
	return out
}

func fillTrailers(m *headers.Map, h http.Header) {
	if len(h) > 0 {
		m.Fill(h)
	}
}

func statusText(code int) string {
	digits := [3]byte{byte('0' + code/100%10), byte('0' + code/10%10), byte('0' + code%10)}
	return string(digits[:])
}
