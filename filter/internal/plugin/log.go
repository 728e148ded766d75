package plugin

import (
	"strconv"

	"github.com/sallyport-auth/sallyport/filter/internal/policy"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// logger writes through the proxy's log, with a bound on the lines between two
// ticks: refused requests cost the sender nothing and must not fill our disk.
type logger struct {
	limit             int
	lines, suppressed int
	buf               []byte
}

func (l *logger) write(level abi.LogLevel, text string) {
	if l.lines++; l.limit > 0 && l.lines > l.limit {
		l.suppressed++
		return
	}
	hostLog(level, text)
}

// tick begins a new interval.
func (l *logger) tick() {
	if l.suppressed > 0 {
		hostLog(abi.Warn, "sallyport: "+strconv.Itoa(l.suppressed)+" log lines were suppressed")
	}
	l.lines, l.suppressed = 0, 0
}

// denied writes why a request was refused, at warning where we are at fault.
func (l *logger) denied(s *policy.Step, route string) {
	level := abi.Info
	if s.Reason.Ours() {
		level = abi.Warn
	}
	b := l.buf[:0]
	if s.Plugin != "" {
		b = append(append(append(b, '['), s.Plugin...), "] "...)
	}
	if s.Note != "" {
		b = append(printable(b, s.Note, 512), ' ')
	}
	word := "denied"
	if s.Reason.Step() {
		word = "answered"
	}
	b = append(append(append(b, word...), " reason="...), s.Reason.Error()...)
	b = printable(append(b, " route="...), route, 128)
	b = printable(append(b, " request_id="...), s.RequestID, 64)
	l.buf = b
	l.write(level, string(b))
}

// printable appends s without what could forge or garble a log line, at most
// max bytes of it.
func printable(dst []byte, s string, max int) []byte {
	if len(s) > max {
		s = s[:max]
	}
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c >= 0x7f {
			c = '?'
		}
		dst = append(dst, c)
	}
	return dst
}
