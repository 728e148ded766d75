// Package callout makes the HTTP calls of guests (proxy_http_call): to clusters
// that the configuration names, bounded in number, time and size. A guest never
// chooses an address.
package callout

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/host/internal/hostcall"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Bounds. Envoy buffers up to 32 MiB of an answer by default, which a few calls to
// somebody hostile would make a few hundred.
const (
	maxCalls  = 1024 // of one root context at a time
	maxAnswer = 8 << 20
	// maxTimeout is what "no time-out" becomes: nothing waits for ever here.
	maxTimeout = time.Hour
)

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

// Close closes the connections that nobody uses.
func (cs Clusters) Close() {
	for _, c := range cs {
		if t, ok := c.Transport.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

// Call starts a call for a root context; its answer comes with CallDone, never
// before Call has returned.
func (cs Clusters) Call(root *vm.Root, c hostcall.Call) (id uint32, status abi.Status) {
	cluster, ok := cs[c.Cluster]
	if !ok {
		return 0, abi.BadArgument
	}
	if root.Calls() >= maxCalls {
		return 0, abi.InternalFailure
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = maxTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	req, err := request(ctx, cluster, c)
	if err != nil {
		cancel()
		return 0, abi.BadArgument
	}
	id = root.NewCall(cancel)
	go func() {
		defer cancel()
		root.CallDone(id, do(cluster, req))
	}()
	return id, abi.OK
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
func do(cluster Cluster, req *http.Request) *vm.CallResponse {
	res, err := cluster.Transport.RoundTrip(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
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
