//go:build unix

package gateway

import "syscall"

// peeks says that silence can be told on this system, which is what connections are
// used again by.
const peeks = true

// silent reports whether a connection is open and nothing has come on it that nobody has
// asked for. It looks, and takes nothing.
func silent(c syscall.RawConn) bool {
	quiet := false
	err := c.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		quiet = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true // whatever it is, nobody waits for it
	})
	return err == nil && quiet
}
