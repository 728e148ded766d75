package hostcall

import (
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Limits bound what a guest can make the host hold. What goes beyond is answered
// with INTERNAL_FAILURE and has no effect; sizes are in bytes.
type Limits struct {
	Calls        int           // HTTP and gRPC calls under way, of one worker
	CallBytes    int           // body of one call, and of its answer; a message of gRPC
	AllCallBytes int           // bodies and messages of all calls under way and their answers, of one filter
	CallTimeout  time.Duration // of one call; a longer one, and none, is cut to it
	SharedKeys   int           // of one VMID
	SharedBytes  int           // keys and values of one VMID
	Queues       int           // of one VMID
	QueueBytes   int           // messages in all queues of one VMID
	Metrics      int           // that a filter has defined
	LogBytes     int           // of a line; the rest is cut off
	ForeignBytes int           // argument of a foreign function
}

// Bounds without a knob: nobody who means well comes near.
const (
	maxName    = 1 << 10  // of a queue, metric, cluster, foreign function or gRPC method, in bytes
	maxService = 64 << 10 // of a message that names a cluster
	maxPath    = 4 << 10  // of a property
	maxDetails = 1 << 10  // of a local response
	smallPair  = 4 << 10  // a header that need not be counted…
	fewEdits   = 1 << 7   // …among so few
	maxHeaders = 1 << 20  // of a header map that guests write to: names and values
	maxPairs   = 1 << 10  // in it
	maxValue   = 64 << 10 // of a property
)

// name reads the i-th and the next argument as a name; short is false for one that is
// too long.
func (c call) name(i int) (name string, short, ok bool) {
	b, ok := c.bytes(i)
	if !ok || len(b) > maxName {
		return "", false, ok
	}
	return string(b), true, true
}

// room reports whether a pair can be written into a map. It is cheap for maps that
// are as small as most are.
func room(m *headers.Map, key, value int) bool {
	pairs := m.Pairs()
	if key+value < smallPair && m.Edits < fewEdits && len(pairs) < fewEdits {
		return true
	}
	return len(pairs) < maxPairs && m.Size()+key+value <= maxHeaders
}

// tooMuch is the status of what goes beyond a bound.
const tooMuch = abi.InternalFailure
