package plugin

import "runtime"

// The proxy asks for memory with malloc and writes into it what a hostcall
// returns. The filter hands out parts of one chunk, and begins it anew with each
// callback: a request that is let through at once leaves nothing for the garbage
// collector. A string over such a part is valid until the callback ends; what
// lasts longer is copied by whoever keeps it.
const (
	chunkSize = 64 << 10
	// maxAlloc bounds one request. Beyond it the host gets 0, which makes its
	// call fail with INVALID_MEMORY_ACCESS.
	maxAlloc = 16 << 20
)

type arena struct {
	chunk []byte
	used  int
	depth int // callbacks under way, one within the other
	ended uint32
	// large keeps what did not fit reachable while only the proxy knows where it is.
	large [][]byte
	none  [1]byte
}

// alloc returns size bytes, or nil when that is too much. A size of 0 gets an
// address too: hosts are not supposed to ask, but some do.
func (a *arena) alloc(size uint32) []byte {
	if size == 0 {
		return a.none[:]
	}
	if size > maxAlloc {
		return nil
	}
	n := int(size)
	if a.chunk == nil {
		a.chunk = make([]byte, chunkSize)
	}
	if n > len(a.chunk)-a.used {
		b := make([]byte, n)
		a.large = append(a.large, b)
		return b
	}
	b := a.chunk[a.used : a.used+n : a.used+n]
	a.used += n
	return b
}

// begin is called when a callback begins. A callback within a callback, as when
// continuing one stream makes the proxy start another, leaves the outer one's
// memory alone.
func (a *arena) begin() {
	if a.depth++; a.depth > 1 {
		return
	}
	a.used = 0
	if len(a.large) > 0 {
		clear(a.large)
		a.large = a.large[:0]
	}
}

// breather is how many callbacks go by between two chances for the collector.
const breather = 256

// end is called when a callback ends. The collector's own goroutine runs only when
// a callback gives way, and without it a collection that has begun is not brought
// to its end: the heap grows to ten times what is in use.
func (a *arena) end() {
	a.depth--
	if a.ended++; a.ended%breather == 0 && a.depth == 0 {
		runtime.Gosched()
	}
}
