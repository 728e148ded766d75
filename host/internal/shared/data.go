// Package shared holds what the VMs of one host have in common, as the VMs of one
// vm_id have in Envoy: key-value data, queues and metrics.
package shared

import (
	"sync"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// What guests may store has bounds, most of which callers hand in. Envoy has none; a
// host that embeds strangers' filters needs some.

// maxQueued is how many messages may wait in one queue, and how many more times its
// owner is told than it has got round to.
const maxQueued = 1 << 16

// Data is a key-value store with compare-and-swap. It is safe for concurrent use.
type Data struct {
	mu    sync.Mutex // guards what follows
	items map[string]item
	bytes int
	cas   uint32
}

type item struct {
	value string
	cas   uint32
}

// Get returns a value and its version.
func (d *Data) Get(key string) (value string, cas uint32, status abi.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	it, ok := d.items[key]
	if !ok {
		return "", 0, abi.NotFound
	}
	return it.value, it.cas, abi.OK
}

// Set stores a value. A version that is not 0 has to be the stored one; where
// nothing is stored, any is (proxy-wasm-cpp-host, shared_data.cc). mostKeys and
// mostBytes bound what is stored afterwards: INTERNAL_FAILURE.
func (d *Data) Set(key, value string, cas uint32, mostKeys, mostBytes int) abi.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, ok := d.items[key]
	if ok && cas != 0 && cas != old.cas {
		return abi.CASMismatch
	}
	size := d.bytes + len(value) - len(old.value)
	if !ok {
		size += len(key)
		if len(d.items) >= mostKeys {
			return abi.InternalFailure
		}
	}
	if size > mostBytes && size > d.bytes {
		return abi.InternalFailure
	}
	if d.items == nil {
		d.items = map[string]item{}
	}
	d.cas++
	if d.cas == 0 {
		d.cas = 1
	}
	d.items[key] = item{value, d.cas}
	d.bytes = size
	return abi.OK
}

// Queues are queues of messages. They are safe for concurrent use.
type Queues struct {
	mu     sync.Mutex // guards what follows
	byName map[[2]string]uint32
	byID   map[uint32]*queue
	next   uint32
	bytes  int // of all messages
}

type queue struct {
	messages []string
	notify   func()
	untold   int  // messages that the owner has not been told of
	telling  bool // a goroutine tells it
}

// Register makes a queue, of which there are at most most (INTERNAL_FAILURE), or takes
// over one: the last who registers is told of messages, one after the other, on a
// goroutine that holds no lock.
func (q *Queues) Register(vmID, name string, most int, notify func(id uint32)) (id uint32, status abi.Status) {
	q.mu.Lock()
	defer q.mu.Unlock()
	id, ok := q.byName[[2]string{vmID, name}]
	if !ok {
		if len(q.byID) >= most {
			return 0, abi.InternalFailure
		}
		if q.byName == nil {
			q.byName, q.byID = map[[2]string]uint32{}, map[uint32]*queue{}
		}
		q.next++
		id = q.next
		q.byName[[2]string{vmID, name}] = id
		q.byID[id] = &queue{}
	}
	q.byID[id].notify = func() { notify(id) }
	return id, abi.OK
}

// Forget drops the queues of a vm_id, of which no VM is left.
func (q *Queues) Forget(vmID string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for name, id := range q.byName {
		if name[0] != vmID {
			continue
		}
		for _, m := range q.byID[id].messages {
			q.bytes -= len(m)
		}
		delete(q.byID, id)
		delete(q.byName, name)
	}
}

// Resolve finds a queue.
func (q *Queues) Resolve(vmID, name string) (id uint32, status abi.Status) {
	q.mu.Lock()
	defer q.mu.Unlock()
	id, ok := q.byName[[2]string{vmID, name}]
	if !ok {
		return 0, abi.NotFound
	}
	return id, abi.OK
}

// Enqueue appends a message and has the owner told. mostBytes bounds what waits in all
// queues together.
func (q *Queues) Enqueue(id uint32, message string, mostBytes int) abi.Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	qu := q.byID[id]
	if qu == nil {
		return abi.NotFound
	}
	if len(qu.messages) >= maxQueued || q.bytes+len(message) > mostBytes {
		return abi.InternalFailure
	}
	qu.messages = append(qu.messages, message)
	q.bytes += len(message)
	qu.untold = min(qu.untold+1, maxQueued)
	if !qu.telling { // whoever enqueues holds a VM's lock, perhaps the owner's
		qu.telling = true
		go q.tell(qu)
	}
	return abi.OK
}

// tell tells the owner of a queue until it knows of every message.
func (q *Queues) tell(qu *queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ; qu.untold > 0; qu.untold-- {
		notify := qu.notify
		q.mu.Unlock()
		notify()
		q.mu.Lock()
	}
	qu.telling = false
}

// Dequeue takes the first message.
func (q *Queues) Dequeue(id uint32) (message string, status abi.Status) {
	q.mu.Lock()
	defer q.mu.Unlock()
	qu := q.byID[id]
	if qu == nil {
		return "", abi.NotFound
	}
	if len(qu.messages) == 0 {
		return "", abi.Empty
	}
	message = qu.messages[0]
	qu.messages[0] = "" // the array behind the slice stays
	qu.messages = qu.messages[1:]
	q.bytes -= len(message)
	return message, abi.OK
}
