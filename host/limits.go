package host

import (
	"cmp"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/hostcall"
)

// Limits bound what a guest can make the host hold, beside Config.MemoryBytes,
// Config.Deadline and Config.MaxBody. Sizes are in bytes. A field that is 0 takes its
// default; there is no way to have none.
//
// A hostcall that would go beyond answers INTERNAL_FAILURE (10) and changes nothing.
// Two bounds cut instead: LogBytes and CallTimeout. docs/host.md lists every bound,
// also those without a field.
type Limits struct {
	// Calls is how many HTTP and gRPC calls a worker may have under way (1024).
	Calls int
	// CallBytes is how long the body of a call may be, and that of its answer, which
	// fails as if the connection had broken when it is longer (8 MiB). So for each
	// message of gRPC.
	CallBytes int
	// AllCallBytes bounds the bodies and messages of all calls under way and of their
	// answers, of all workers (128 MiB). An answer that finds no room fails.
	AllCallBytes int
	// CallTimeout is the longest time-out of a call, and how long a gRPC stream may
	// last; a longer one, and none, is cut to it (one hour).
	CallTimeout time.Duration

	// SharedKeys and SharedBytes bound the shared data of a VMID: how many keys there
	// are, and keys and values in bytes (65,536; 64 MiB).
	SharedKeys, SharedBytes int
	// Queues is how many queues a VMID may have, QueueBytes what may wait in all of
	// them (1024; 64 MiB). A queue has 65,536 messages at most.
	Queues, QueueBytes int

	// Metrics is how many metrics a filter may define (16,384).
	Metrics int
	// LogBytes is how long a line of a guest's in the log may be; the rest is cut off
	// (16 KiB).
	LogBytes int
	// ForeignBytes is how long the argument of a foreign function may be (16 MiB).
	ForeignBytes int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Calls:        cmp.Or(max(l.Calls, 0), 1<<10),
		CallBytes:    cmp.Or(max(l.CallBytes, 0), 8<<20),
		AllCallBytes: cmp.Or(max(l.AllCallBytes, 0), 128<<20),
		CallTimeout:  cmp.Or(max(l.CallTimeout, 0), time.Hour),
		SharedKeys:   cmp.Or(max(l.SharedKeys, 0), 1<<16),
		SharedBytes:  cmp.Or(max(l.SharedBytes, 0), 64<<20),
		Queues:       cmp.Or(max(l.Queues, 0), 1<<10),
		QueueBytes:   cmp.Or(max(l.QueueBytes, 0), 64<<20),
		Metrics:      cmp.Or(max(l.Metrics, 0), 1<<14),
		LogBytes:     cmp.Or(max(l.LogBytes, 0), 16<<10),
		ForeignBytes: cmp.Or(max(l.ForeignBytes, 0), 16<<20),
	}
}

// hostcall returns the limits as hostcalls know them.
func (l Limits) hostcall() hostcall.Limits { return hostcall.Limits(l) }
