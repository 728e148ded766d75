package convert

import (
	"fmt"
	"strings"
)

// Kind says what became of something.
type Kind string

// The kinds.
const (
	Changed Kind = "changed"  // it says the same, otherwise, or what it said means nothing here
	LeftOut Kind = "left out" // it is not in the file
	Closed  Kind = "closed"   // a route that refuses everything, for want of its guard
	Refused Kind = "refused"  // why there is no file
)

// Note is one thing that is not in the file as it was in the input.
type Note struct {
	File string
	Line int // from 1; 0 for the whole input
	Kind Kind
	What string // route orders, plugin cors of service shop
	Why  string
}

// String returns file:line: kind: what: why.
func (n Note) String() string {
	var b strings.Builder
	b.WriteString(n.File)
	if n.Line > 0 {
		fmt.Fprintf(&b, ":%d", n.Line)
	}
	b.WriteString(": " + string(n.Kind) + ": ")
	if n.What != "" {
		b.WriteString(n.What + ": ")
	}
	b.WriteString(n.Why)
	return b.String()
}

// place is where a value stands in the input.
type place struct {
	file string
	line int
}
