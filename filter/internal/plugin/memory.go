package plugin

// The proxy asks for memory with malloc and writes into it what a hostcall
// returns. The filter hands out parts of chunks that belong to the garbage
// collector and are never written to again: a string over such a part stays
// valid for as long as anybody holds it, and nobody has to copy or free.
const (
	chunkSize = 32 << 10
	// maxAlloc bounds one request. Beyond it the host gets 0, which makes its
	// call fail with INVALID_MEMORY_ACCESS.
	maxAlloc = 16 << 20
)

type arena struct {
	free []byte // what is left of the current chunk
	// live keeps the chunks of the current callback reachable while only the
	// proxy knows the address.
	live [][]byte
	none [1]byte
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
	if n > chunkSize/4 {
		b := make([]byte, n)
		a.live = append(a.live, b)
		return b
	}
	if n > len(a.free) {
		a.free = make([]byte, chunkSize)
		a.live = append(a.live, a.free)
	}
	b := a.free[:n:n]
	a.free = a.free[n:]
	return b
}

// begin is called when a callback begins: what earlier ones were given is
// reachable through the strings they made of it, or not needed.
func (a *arena) begin() {
	clear(a.live)
	a.live = a.live[:0]
}
