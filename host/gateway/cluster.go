package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// ClusterConfig says where requests of some routes go.
type ClusterConfig struct {
	Targets   []Target
	Socket    string // a Unix socket that takes the place of the targets' addresses; "" for none
	LeastConn bool   // the target with the fewest requests under way; else weighted round robin
	Retries   int    // further attempts to connect, each to the next target

	ConnectTimeout, ReadTimeout, WriteTimeout time.Duration

	TLS        bool
	ServerName string // that the certificate has to be for
	Verify     bool   // the certificate
	CAs        string // PEM of the authorities to verify against; "" for the system's
	HTTP2      bool   // HTTP/2 only, as for gRPC
}

// Target is one address.
type Target struct {
	Address string // host:port
	Host    string // Host header for it
	Weight  int
}

// cluster is a ClusterConfig at work.
type cluster struct {
	config    ClusterConfig
	transport *http.Transport
	direct    *direct    // nil where requests have to go through the transport
	mu        sync.Mutex // guards turn
	turn      []int      // of smooth weighted round robin
	busy      []atomic.Int64
}

func newCluster(c ClusterConfig) *cluster {
	dialer := &net.Dialer{Timeout: c.ConnectTimeout}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!c.HTTP2)
	protocols.SetHTTP2(c.HTTP2 && c.TLS)
	protocols.SetUnencryptedHTTP2(c.HTTP2 && !c.TLS)
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if c.Socket != "" {
			network, addr = "unix", c.Socket
		}
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if c.HTTP2 { // many requests share it: their silence is not the connection's
			return conn, nil
		}
		return &upstreamConn{Conn: conn, readTimeout: c.ReadTimeout, writeTimeout: c.WriteTimeout}, nil
	}
	idle := 60 * time.Second // for the next request, unless silence is bounded more narrowly
	if c.ReadTimeout > 0 {
		idle = min(c.ReadTimeout/2, idle)
	}
	t := &http.Transport{
		DialContext:         dial,
		Protocols:           protocols,
		DisableCompression:  true,
		MaxIdleConnsPerHost: maxIdle,
		IdleConnTimeout:     idle,
		TLSHandshakeTimeout: c.ConnectTimeout,
		// Headers of an upstream are bounded as those of a client.
		MaxResponseHeaderBytes: maxHeader,
	}
	if c.HTTP2 {
		t.ResponseHeaderTimeout = c.ReadTimeout
	}
	if c.TLS {
		t.TLSClientConfig = &tls.Config{
			MinVersion: tls.VersionTLS12, ServerName: c.ServerName,
			InsecureSkipVerify: !c.Verify, //nolint:gosec // tls_verify: false, warned about
		}
		if c.CAs != "" {
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM([]byte(c.CAs))
			t.TLSClientConfig.RootCAs = pool
		}
	}
	out := &cluster{config: c, transport: t, turn: make([]int, len(c.Targets)), busy: make([]atomic.Int64, len(c.Targets))}
	if peeks && !c.TLS && !c.HTTP2 {
		out.direct = &direct{dial: dial, idle: idle}
	}
	return out
}

// close closes the connections that are not in use.
func (c *cluster) close() {
	c.transport.CloseIdleConnections()
	if c.direct != nil {
		c.direct.CloseIdleConnections()
	}
}

// same reports whether a configuration changes nothing.
func (c *cluster) same(o ClusterConfig) bool {
	return fmt.Sprintf("%+v", c.config) == fmt.Sprintf("%+v", o)
}

// pick chooses a target that is not among tried; -1 when there is none left.
func (c *cluster) pick(tried []bool) int {
	if len(c.config.Targets) == 1 {
		if tried[0] {
			return -1
		}
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	best, total := -1, 0
	for i, t := range c.config.Targets {
		if tried[i] || t.Weight <= 0 {
			continue
		}
		total += t.Weight
		c.turn[i] += t.Weight
		if best < 0 || c.better(i, best) {
			best = i
		}
	}
	if best >= 0 {
		c.turn[best] -= total
	}
	return best
}

// better compares two targets; mu is held. By least connections, requests under
// way count in relation to weights.
func (c *cluster) better(i, j int) bool {
	if c.config.LeastConn {
		a := c.busy[i].Load() * int64(c.config.Targets[j].Weight)
		b := c.busy[j].Load() * int64(c.config.Targets[i].Weight)
		if a != b {
			return a < b
		}
	}
	return c.turn[i] > c.turn[j]
}

// roundTrip sends a request to a target, and to another while none can be
// connected to. A request of which anything may have been sent is not repeated.
func (c *cluster) roundTrip(r *http.Request, targetHost bool) (*http.Response, error) {
	var few [8]bool
	tried := few[:min(len(c.config.Targets), len(few))]
	if len(c.config.Targets) > len(few) {
		tried = make([]bool, len(c.config.Targets))
	}
	for attempt := 0; ; attempt++ {
		i := c.pick(tried)
		if i < 0 { // each was tried once: begin again, as Envoy does
			clear(tried)
			if i = c.pick(tried); i < 0 {
				return nil, errNoCluster
			}
		}
		tried[i] = true
		t := c.config.Targets[i]
		out := &struct {
			http.Request
			url url.URL
		}{*r, *r.URL}
		out.url.Host, out.url.Scheme = t.Address, "http"
		if c.config.TLS {
			out.url.Scheme = "https"
		}
		out.URL = &out.url
		if targetHost {
			out.Host = t.Host
		}
		c.busy[i].Add(1)
		var res *http.Response
		var err error
		if c.direct != nil && c.direct.takes(&out.Request) {
			res, err = c.direct.RoundTrip(&out.Request)
		} else {
			res, err = c.transport.RoundTrip(&out.Request)
		}
		if err == nil && c.config.LeastConn {
			res.Body = c.counted(res.Body, i)
			return res, nil
		}
		c.busy[i].Add(-1)
		if err == nil || attempt >= c.config.Retries || !isDial(err) || r.Context().Err() != nil {
			return res, err
		}
	}
}

// counted counts a request as under way until its body is closed.
func (c *cluster) counted(body io.ReadCloser, target int) io.ReadCloser {
	done := sync.OnceFunc(func() { c.busy[target].Add(-1) })
	if rw, ok := body.(io.ReadWriteCloser); ok { // a connection that was taken over
		return struct {
			io.ReadWriter
			io.Closer
		}{rw, closer{rw, done}}
	}
	return struct {
		io.Reader
		io.Closer
	}{body, closer{body, done}}
}

// closer runs done when it is closed.
type closer struct {
	io.Closer
	done func()
}

// Close implements io.Closer.
func (c closer) Close() error {
	c.done()
	return c.Closer.Close()
}

// isDial reports whether no connection came about, so that nothing was sent.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
