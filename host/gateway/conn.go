package gateway

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// listener wraps connections from clients so that a client who does not read
// cannot hold a response for ever, and so that all can be closed at the end.
type listener struct {
	net.Listener
	conns *connections
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	out := &clientConn{Conn: c, conns: l.conns}
	l.conns.add(out)
	return out, nil
}

// clientConn is a connection from a client.
type clientConn struct {
	net.Conn
	conns *connections
	once  sync.Once
	write deadline
}

// Write implements net.Conn: each write has its own time.
func (c *clientConn) Write(p []byte) (int, error) {
	if err := c.write.move(time.Now(), idleTimeout, c.SetWriteDeadline); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// deadline is a deadline that is moved on by every read or write. Moving it costs
// more than most writes, so it is moved when a sixteenth of its time has gone by:
// what waits is ended up to so much too early.
type deadline struct {
	mu    sync.Mutex
	moved time.Time
}

func (d *deadline) move(now time.Time, timeout time.Duration, set func(time.Time) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.moved) < timeout/16 {
		return nil
	}
	d.moved = now
	return set(now.Add(timeout))
}

// Close implements net.Conn.
func (c *clientConn) Close() error {
	c.once.Do(func() { c.conns.remove(c) })
	return c.Conn.Close()
}

// connections are the open connections from clients.
type connections struct {
	mu   sync.Mutex // guards open
	open map[*clientConn]struct{}
}

func (s *connections) add(c *clientConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*clientConn]struct{}{}
	}
	s.open[c] = struct{}{}
}

func (s *connections) remove(c *clientConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *connections) closeAll() {
	s.mu.Lock()
	list := make([]*clientConn, 0, len(s.open))
	for c := range s.open {
		list = append(list, c)
	}
	s.mu.Unlock()
	for _, c := range list {
		_ = c.Close()
	}
}

// upstreamConn is a connection to an upstream on which silence is bounded:
// between two reads, and between two writes, as Kong's read_timeout and
// write_timeout.
type upstreamConn struct {
	net.Conn
	readTimeout, writeTimeout time.Duration // 0 for none
	read, write               deadline
}

// SyscallConn implements syscall.Conn, for looking whether anything has come.
func (c *upstreamConn) SyscallConn() (syscall.RawConn, error) {
	if s, ok := c.Conn.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Read implements net.Conn.
func (c *upstreamConn) Read(p []byte) (int, error) {
	if c.readTimeout > 0 {
		if err := c.read.move(time.Now(), c.readTimeout, c.SetReadDeadline); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// Write implements net.Conn. Whoever waits for an answer waits from the last
// piece of the question on.
func (c *upstreamConn) Write(p []byte) (int, error) {
	now := time.Now()
	if c.writeTimeout > 0 {
		if err := c.write.move(now, c.writeTimeout, c.SetWriteDeadline); err != nil {
			return 0, err
		}
	}
	if c.readTimeout > 0 {
		if err := c.read.move(now, c.readTimeout, c.SetReadDeadline); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}
