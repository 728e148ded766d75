package gateway

import (
	"net"
	"sync"
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
}

// Write implements net.Conn: each write has its own time.
func (c *clientConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(idleTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
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
	read, write time.Duration
}

// Read implements net.Conn.
func (c *upstreamConn) Read(p []byte) (int, error) {
	if c.read > 0 {
		if err := c.SetReadDeadline(time.Now().Add(c.read)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// Write implements net.Conn. Whoever waits for an answer waits from the last
// piece of the question on.
func (c *upstreamConn) Write(p []byte) (int, error) {
	now := time.Now()
	if c.write > 0 {
		if err := c.SetWriteDeadline(now.Add(c.write)); err != nil {
			return 0, err
		}
	}
	if c.read > 0 {
		if err := c.SetReadDeadline(now.Add(c.read)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(p)
}
