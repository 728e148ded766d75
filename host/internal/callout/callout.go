// Package callout makes the calls of guests (proxy_http_call, proxy_grpc_call): to
// clusters that the configuration names, bounded in number, time and size. A guest
// never chooses an address.
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
	"strconv"
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
	// Transport does HTTP calls, GRPC those that need HTTP/2.
	Transport, GRPC http.RoundTripper
	// Scheme and Host complete the request's URL; the guest's :authority is sent
	// as the Host header.
	Scheme, Host string
}

// New returns a cluster for a URL: http://host:port, https://host:port,
// h2c://host:port (HTTP/2 without TLS), or unix:/path/of/socket. gRPC calls speak
// HTTP/2 with all of them.
func New(target string) (Cluster, error) {
	dial := (&net.Dialer{}).DialContext
	if path, ok := strings.CutPrefix(target, "unix:"); ok && path != "" {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
		}
		return Cluster{transport(dial, false), transport(dial, true), "http", "socket"}, nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return Cluster{}, err
	}
	c := Cluster{transport(dial, u.Scheme == "h2c"), transport(dial, true), u.Scheme, u.Host}
	if u.Scheme == "h2c" {
		c.Scheme = "http"
	}
	if (c.Scheme != "http" && c.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return Cluster{}, &url.Error{Op: "cluster", URL: target, Err: errTarget}
	}
	return c, nil
}

// transport makes a transport for HTTP/1.1, or for HTTP/2 alone.
func transport(dial func(context.Context, string, string) (net.Conn, error), http2 bool) *http.Transport {
	t := &http.Transport{
		DialContext:         dial,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,

		MaxResponseHeaderBytes: maxAnswerHeader,
	}
	if http2 {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP2(true)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return t
}

type targetError string

func (e targetError) Error() string { return string(e) }

const errTarget = targetError("expected http://host:port, https://host:port, h2c://host:port or unix:/path")

// Clusters are the clusters by name.
type Clusters map[string]Cluster

// Caller makes the calls of a filter within limits.
type Caller struct {
	Clusters Clusters
	Limits   hostcall.Limits
	held     atomic.Int64 // bytes of bodies and messages of calls under way
	calls    sync.WaitGroup
}

// Close waits for the calls under way, whose root contexts have been stopped, and closes
// all connections. A transport that still works on a request keeps its connection for
// the next one, whatever it has been told before.
func (cr *Caller) Close() {
	cr.calls.Wait()
	for _, c := range cr.Clusters {
		for _, t := range []http.RoundTripper{c.Transport, c.GRPC} {
			if t, ok := t.(interface{ CloseIdleConnections() }); ok {
				t.CloseIdleConnections()
			}
		}
	}
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
	timeout := cr.timeout(c.Timeout)
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
	id = root.NewCall(vm.HTTPCall, httpCall(cancel))
	cr.calls.Go(func() {
		defer share.giveBack()
		defer cancel()
		root.CallDone(id, do(cluster, req, share))
	})
	return id, abi.OK
}

// timeout returns the time-out of a call for which the guest wants one, 0 for none.
func (cr *Caller) timeout(wanted time.Duration) time.Duration {
	if wanted == 0 {
		return cr.Limits.CallTimeout // nothing waits for ever here
	}
	return min(wanted, cr.Limits.CallTimeout)
}

// httpCall is an HTTP call under way.
type httpCall context.CancelFunc

// Cancel implements vm.UnderWay.
func (c httpCall) Cancel() { c() }

// Send implements vm.UnderWay.
func (httpCall) Send([]byte, bool) abi.Status { return abi.BadArgument }

// share is what one side of a call takes of the bytes that all may hold.
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

// give gives n bytes back.
func (s *share) give(n int) {
	s.of.held.Add(int64(-n))
	s.held -= n
}

func (s *share) giveBack() { s.give(s.held) }

var errAnswer = errors.New("the answer is larger than it may be")

// read reads an answer's body, or a message of it.
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
	if _, ok := req.Header["User-Agent"]; !ok {
		req.Header["User-Agent"] = nil // net/http would add its own
	}
	req.Host = authority
	// Trailers are announced, when the guest does, but not sent: Envoy's client does not
	// either (source/common/http/async_client_impl.cc, "Support request trailers").
	if names, ok := req.Header["Trailer"]; ok {
		req.Header.Del("Trailer")
		req.Trailer = http.Header{}
		for _, n := range names {
			req.Trailer[http.CanonicalHeaderKey(n)] = nil
		}
	}
	return req, nil
}

// do makes the call; nil for a failure. What fails before there is a response has the
// answer of Envoy's router, which stands between a guest and the network there.
func do(cluster Cluster, req *http.Request, share *share) *vm.CallResponse {
	res, err := cluster.Transport.RoundTrip(req)
	switch {
	case err == nil:
	case errors.Is(req.Context().Err(), context.DeadlineExceeded):
		return routers(http.StatusGatewayTimeout, timedOut)
	case req.Context().Err() != nil: // cancelled
		return nil
	default:
		return routers(http.StatusServiceUnavailable, unreachable(err))
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

const timedOut = "upstream request timeout"

// unreachable is what Envoy's router says of a connection that fails.
func unreachable(err error) string {
	reason := "connection termination"
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		reason = "remote connection failure"
	}
	return "upstream connect error or disconnect/reset before headers. reset reason: " + reason
}

// routers is an answer of the router.
func routers(status int, text string) *vm.CallResponse {
	out := &vm.CallResponse{Body: []byte(text)}
	out.Headers.Append(":status", statusText(status))
	out.Headers.Append("content-length", strconv.Itoa(len(text)))
	out.Headers.Append("content-type", "text/plain")
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
