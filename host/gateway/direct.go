package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"syscall"
	"time"
)

// direct sends requests that have no body to upstreams that speak HTTP/1.1 in the
// clear, on the goroutine that they came in on. An http.Transport gives each
// connection two goroutines of its own, which it needs for bodies and for upgrades;
// handing a request over to them and its answer back took a tenth of the gateway's
// time. Messages are written and read by net/http here as there.
//
// Nobody watches a connection that is not in use. Before it is used again it is looked
// at: one that has been closed, or on which something has come that nobody has asked for
// (a 408 for being idle, a second answer), must not answer the next request. What comes to
// an end in the very moment shows when the request fails before a byte of an answer. Only
// methods that may be sent again come here (RFC 9110 §9.2.2), and those are.
type direct struct {
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	idle   time.Duration // how long a connection is kept for the next request
	mu     sync.Mutex    // guards what follows
	unused map[string][]*directConn
	count  int // of unused
	sweep  *time.Timer
	closed bool
}

const (
	maxIdle      = 256 // connections kept for one address
	maxInterim   = 8   // responses 1xx before the answer
	directBuffer = 4 << 10
)

// directConn is a connection with the buffers of its messages.
type directConn struct {
	net.Conn
	raw   syscall.RawConn // nil where there is none: it is used once
	in    *bufio.Reader
	out   *bufio.Writer
	read  int64 // bytes that may still be read of a head; below 0 for any number
	since time.Time
}

// Read implements io.Reader for in.
func (c *directConn) Read(p []byte) (int, error) {
	if c.read == 0 {
		return 0, errHeadTooLarge
	}
	if c.read > 0 && int64(len(p)) > c.read {
		p = p[:c.read]
	}
	n, err := c.Conn.Read(p)
	if c.read > 0 {
		c.read -= int64(n)
	}
	return n, err
}

var (
	errHeadTooLarge = errors.New("gateway: the head of the upstream's response is too large")
	errInterim      = errors.New("gateway: the upstream sends one interim response after the other")
	errSwitched     = errors.New("gateway: the upstream changes the protocol unasked")
)

// takes reports whether a request can be sent this way.
func (*direct) takes(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return false
	}
	if r.Body != nil && r.Body != http.NoBody || r.ContentLength != 0 || len(r.TransferEncoding) > 0 || len(r.Trailer) > 0 {
		return false
	}
	_, upgrade := r.Header["Upgrade"]
	_, expect := r.Header["Expect"]
	return !upgrade && !expect
}

// RoundTrip implements http.RoundTripper for requests that it takes.
func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c, used, err := d.conn(ctx, r.URL.Host)
		if err != nil {
			return nil, err
		}
		res, began, err := d.exchange(c, r)
		if err == nil {
			return res, nil
		}
		_ = c.Close()
		if e := ctx.Err(); e != nil {
			return nil, e
		}
		var timeout net.Error
		if !used || began || errors.As(err, &timeout) && timeout.Timeout() {
			return nil, err
		}
	}
}

// conn returns a connection, and whether it was used before.
func (d *direct) conn(ctx context.Context, addr string) (c *directConn, used bool, err error) {
	for {
		if c = d.take(addr); c == nil {
			break
		}
		if silent(c.raw) {
			return c, true, nil
		}
		_ = c.Close()
	}
	raw, err := d.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, false, err
	}
	c = &directConn{Conn: raw, read: -1}
	if s, ok := raw.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn() // without it, it is used once
	}
	c.in, c.out = bufio.NewReaderSize(c, directBuffer), bufio.NewWriterSize(c, directBuffer)
	return c, false, nil
}

// take takes the connection that was used last, nil when there is none.
func (d *direct) take(addr string) *directConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.unused[addr]
	if len(list) == 0 {
		return nil
	}
	c := list[len(list)-1]
	list[len(list)-1] = nil
	d.unused[addr] = list[:len(list)-1]
	d.count--
	return c
}

// exchange sends a request and reads the head of its response. began says that the
// upstream has answered with anything at all.
func (d *direct) exchange(c *directConn, r *http.Request) (res *http.Response, began bool, err error) {
	ctx := r.Context()
	// A client that goes away ends what waits for the upstream.
	stop := context.AfterFunc(ctx, func() { _ = c.Conn.Close() })
	if err = r.Write(c.out); err == nil {
		err = c.out.Flush()
	}
	if err == nil {
		res, began, err = c.head(r)
	}
	if err != nil {
		stop()
		return nil, began, err
	}
	keep := !res.Close && res.ProtoAtLeast(1, 1)
	done := func(ended bool) {
		if stop() && ended && keep && c.raw != nil && c.in.Buffered() == 0 {
			d.keep(r.URL.Host, c)
			return
		}
		_ = c.Close()
	}
	if res.Body == http.NoBody {
		done(true)
		return res, true, nil
	}
	res.Body = &directBody{src: res.Body, done: done}
	return res, true, nil
}

// head reads the head of the response, and interim ones before it.
func (c *directConn) head(r *http.Request) (res *http.Response, began bool, err error) {
	defer func() { c.read = -1 }()
	trace := httptrace.ContextClientTrace(r.Context())
	for range maxInterim {
		c.read = maxHeader
		if _, err := c.in.Peek(1); err != nil {
			return nil, began, err
		}
		began = true
		if res, err = http.ReadResponse(c.in, r); err != nil {
			return nil, true, err
		}
		switch {
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, true, errSwitched
		case res.StatusCode >= 200:
			return res, true, nil
		case trace != nil && trace.Got1xxResponse != nil:
			if err := trace.Got1xxResponse(res.StatusCode, textproto.MIMEHeader(res.Header)); err != nil {
				return nil, true, err
			}
		}
	}
	return nil, true, errInterim
}

// keep takes a connection back.
func (d *direct) keep(addr string, c *directConn) {
	c.since = time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.unused[addr]) >= maxIdle {
		_ = c.Close()
		return
	}
	if d.unused == nil {
		d.unused = map[string][]*directConn{}
	}
	d.unused[addr] = append(d.unused[addr], c)
	d.count++
	if d.sweep == nil {
		d.sweep = time.AfterFunc(d.idle, d.expire)
	}
}

// expire closes connections that have not been used for long.
func (d *direct) expire() {
	limit := time.Now().Add(-d.idle)
	d.mu.Lock()
	defer d.mu.Unlock()
	for addr, list := range d.unused {
		// The one that was used last is at the end, and is taken first.
		n := 0
		for n < len(list) && !list[n].since.After(limit) {
			_ = list[n].Close()
			n++
		}
		d.count -= n
		if n == len(list) {
			delete(d.unused, addr)
		} else {
			d.unused[addr] = append([]*directConn(nil), list[n:]...)
		}
	}
	d.sweep = nil
	if d.count > 0 {
		d.sweep = time.AfterFunc(d.idle, d.expire)
	}
}

// CloseIdleConnections closes what is not in use, now and from now on.
func (d *direct) CloseIdleConnections() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.sweep != nil {
		d.sweep.Stop()
	}
	for _, list := range d.unused {
		for _, c := range list {
			_ = c.Close()
		}
	}
	d.unused, d.count = nil, 0
}

// directBody is the body of a response, at whose end the connection is free.
type directBody struct {
	src  io.ReadCloser
	done func(ended bool)
	err  error // that reading has ended with
}

// Read implements io.Reader.
func (b *directBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	if err != nil {
		b.end(err)
	}
	return n, err
}

func (b *directBody) end(err error) {
	b.err = err
	b.done(err == io.EOF)
}

// Close implements io.Closer.
func (b *directBody) Close() error {
	if b.err == nil { // what is still to come is nobody's
		b.end(http.ErrBodyReadAfterClose)
	}
	return nil
}
