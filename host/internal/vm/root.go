package vm

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Plugin is what a root context runs with.
type Plugin struct {
	Name     string
	RootID   string
	VMID     string
	Config   []byte // of the plugin
	VMConfig []byte
	// Env takes the place of the VM's for the calls of this plugin; nil for the VM's.
	Env any
}

// Root is the root context of a plugin in one VM.
type Root struct {
	vm     *VM
	id     uint32
	Plugin Plugin
	Tag    any // the host's

	ended       bool
	pending     bool // it has put off its end
	message     *message
	declared    map[string]bool // properties, and whether they are set once
	configuring bool            // the plugin configuration can be read now
	tick        ticker
	nextCall    [3]uint32
	calls       map[uint32]UnderWay

	// GivenUp counts calls that the guest has cancelled and that have not ended yet. Who
	// makes calls keeps it, without the lock.
	GivenUp atomic.Int64

	// Response is the answer of a call while its callback runs.
	Response *CallResponse
	// GRPC is what has come for a gRPC call while the callback for it runs.
	GRPC GRPCEvent
	// Status is what proxy_get_status answers.
	Status struct {
		Code    uint32
		Message string
	}
}

// CallResponse is the answer to an HTTP call.
type CallResponse struct {
	Headers  headers.Map
	Body     []byte
	Trailers headers.Map
}

// ID implements Context.
func (r *Root) ID() uint32 { return r.id }

// Root implements Context.
func (r *Root) Root() *Root { return r }

// VM returns the VM that the context belongs to.
func (r *Root) VM() *VM { return r.vm }

// Configuring reports whether the guest may read the plugin configuration: only
// while its context is created and configured.
func (r *Root) Configuring() bool { return r.configuring }

// NewRoot creates a root context and starts the plugin: on_context_create,
// on_vm_start, on_configure, as Envoy does for each plugin. ok is false when the
// guest refuses its configuration or traps.
func (v *VM) NewRoot(p Plugin, tag any) (root *Root, ok bool) {
	r := &Root{vm: v, id: v.NewID(), Plugin: p, Tag: tag, calls: map[uint32]UnderWay{}}
	r.tick.root = r
	v.Add(r)
	r.configuring = true
	_, err := v.Call(r, OnContextCreate, 0, r.id, 0)
	r.configuring = false
	if err != nil {
		return nil, false
	}
	if accepted, err := v.Call(r, OnVMStart, 1, r.id, uint32(len(p.VMConfig))); err != nil || accepted == 0 {
		return nil, false
	}
	r.configuring = true
	accepted, err := v.Call(r, OnConfigure, 1, r.id, uint32(len(p.Config)))
	r.configuring = false
	return r, err == nil && accepted != 0
}

// Bounds on the properties that a plugin declares: how many, and the length of a name,
// in bytes, which is that of a path to set one.
const (
	maxDeclared     = 1 << 10
	maxDeclaredName = 4 << 10
)

// Declare declares a property; once.
func (r *Root) Declare(name string, readonly bool) abi.Status {
	if _, ok := r.declared[name]; ok {
		return abi.BadArgument
	}
	if len(r.declared) >= maxDeclared || len(name) > maxDeclaredName {
		return abi.InternalFailure
	}
	if r.declared == nil {
		r.declared = map[string]bool{}
	}
	r.declared[strings.Clone(name)] = readonly // of an argument that may be much longer
	return abi.OK
}

// ReadOnly reports whether a property is set once.
func (r *Root) ReadOnly(name string) bool { return r.declared[name] }

// End ends the plugin: on_done, then on_delete unless the guest puts it off until it
// calls proxy_done, for which it returns false. That is waited for only as long as the
// VM lives for others. The lock is held.
func (r *Root) End() (ended bool) {
	if r.ended {
		return !r.pending
	}
	r.ended = true
	done, err := r.vm.Call(r, OnDone, 1, r.id)
	switch {
	case err != nil:
	case done == 0:
		r.pending = true
	default:
		r.delete()
	}
	return !r.pending
}

// Done ends a plugin that has put off its end, when the callback returns; false when
// it has not.
func (r *Root) Done() bool {
	if !r.pending {
		return false
	}
	r.pending = false
	r.vm.Defer(r.delete)
	return true
}

func (r *Root) delete() {
	r.Stop()
	_, _ = r.vm.Call(r, OnDelete, 0, r.id) // it ends either way
	r.vm.Remove(r)
}

// Stop ends ticks and calls. The lock is held.
func (r *Root) Stop() {
	r.tick.set(0)
	for _, c := range r.calls {
		c.Cancel()
	}
	clear(r.calls)
}

// Killed is called, with the lock held, when the VM ends: nobody waits for its calls.
func (r *Root) Killed() { r.Stop() }

// Kind is what an id of a call stands for.
type Kind uint32

// The kinds. Ids count in steps of four, the two low bits telling the kind
// (proxy-wasm-cpp-host, wasm.h, CalloutType).
const (
	HTTPCall Kind = iota
	GRPCCall
	GRPCStream
)

// KindOf returns the kind of an id.
func KindOf(id uint32) Kind { return Kind(id & 3) }

// UnderWay is a call that has not been answered.
type UnderWay interface {
	// Cancel ends it.
	Cancel()
	// Send sends a message on a gRPC stream; nil with end sends only the end.
	Send(message []byte, end bool) abi.Status
}

// NewCall enters a call that is under way and returns its id.
func (r *Root) NewCall(kind Kind, c UnderWay) uint32 {
	r.nextCall[kind] += 4
	id := r.nextCall[kind] | uint32(kind)
	r.calls[id] = c
	return id
}

// Call returns a call that is under way, nil when there is none with that id.
func (r *Root) Call(id uint32) UnderWay { return r.calls[id] }

// Cancel ends a call, of which the guest will hear nothing more.
func (r *Root) Cancel(id uint32) {
	if c := r.calls[id]; c != nil {
		delete(r.calls, id)
		c.Cancel()
	}
}

// Calls returns how many calls are under way, those that are being given up among them.
func (r *Root) Calls() int { return len(r.calls) + int(r.GivenUp.Load()) }

// GRPCEvent is what comes for a gRPC call.
type GRPCEvent struct {
	Initial, Trailing *headers.Map
	Message           []byte
	Most              int // bytes that the guest may make of the message
}

// GRPC callbacks that the guest is told of.
type grpcCallback struct {
	callback Callback
	size     uint32
}

// GRPCEvent tells the guest of what has come for a gRPC call or stream: one of
// metadata, a message, or trailing metadata. It reports whether the guest still wants
// to hear more, and takes the lock.
func (r *Root) GRPCEvent(id uint32, e GRPCEvent, last bool) (more bool) {
	var c grpcCallback
	switch {
	case e.Initial != nil:
		c = grpcCallback{OnGRPCInitialMetadata, uint32(len(e.Initial.Pairs()))}
	case e.Trailing != nil:
		c = grpcCallback{OnGRPCTrailingMetadata, uint32(len(e.Trailing.Pairs()))}
	default:
		c = grpcCallback{OnGRPCReceive, uint32(len(e.Message))}
	}
	_ = r.vm.Do(func() {
		if r.calls[id] == nil {
			return
		}
		if last {
			delete(r.calls, id)
			r.Status.Code, r.Status.Message = 0, ""
		}
		r.GRPC = e
		if c.callback == OnGRPCReceive {
			r.message = &message{ReadOnly(e.Message), e.Most}
		}
		_, _ = r.vm.Call(r, c.callback, 0, r.id, id, c.size)
		r.GRPC, r.message = GRPCEvent{}, nil
		more = r.calls[id] != nil
	})
	return more
}

// GRPCClosed tells the guest that a gRPC call has failed, or that a stream has ended.
func (r *Root) GRPCClosed(id, code uint32, message string) {
	_ = r.vm.Do(func() {
		if r.calls[id] == nil {
			return
		}
		delete(r.calls, id)
		r.Status.Code, r.Status.Message = code, message
		_, _ = r.vm.Call(r, OnGRPCClose, 0, r.id, id, code)
	})
}

// CallDone tells the guest of the answer to a call; nil means that it failed. It
// takes the lock, and does nothing when the VM has ended.
func (r *Root) CallDone(id uint32, response *CallResponse) {
	_ = r.vm.Do(func() {
		if r.calls[id] == nil {
			return
		}
		delete(r.calls, id)
		var n, body, trailers int
		if response != nil {
			n, body, trailers = len(response.Headers.Pairs()), len(response.Body), len(response.Trailers.Pairs())
			r.Status.Code, r.Status.Message = 0, ""
		} else {
			r.Status.Code, r.Status.Message = brokenConnection, "reset"
		}
		r.Response = response
		_, _ = r.vm.Call(r, OnHTTPCallResponse, 0, r.id, id, uint32(n), uint32(body), uint32(trailers))
		r.Response = nil
	})
}

// brokenConnection is Envoy's status of a call that failed.
const brokenConnection = 11

// ticker calls on_tick. It is armed anew after each call, so that ticks never
// overlap or pile up.
type ticker struct {
	root   *Root
	period time.Duration
	timer  *time.Timer
}

// SetTick sets the period of on_tick; 0 ends it. The lock is held.
func (r *Root) SetTick(period time.Duration) { r.tick.set(period) }

func (t *ticker) set(period time.Duration) {
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	t.period = period
	if period > 0 {
		t.arm()
	}
}

func (t *ticker) arm() {
	var timer *time.Timer
	timer = time.AfterFunc(t.period, func() {
		_ = t.root.vm.Do(func() {
			if t.timer != timer { // it was set anew while this one was due
				return
			}
			_, err := t.root.vm.Call(t.root, OnTick, 0, t.root.id)
			if err == nil && t.timer == timer {
				t.arm()
			}
		})
	})
	t.timer = timer
}

// Buffer is a body or another run of bytes that guests read and, some, write.
type Buffer interface {
	Len() int
	// Bytes returns a part, which has to be within the buffer.
	Bytes(start, end int) []byte
	// Replace is proxy_set_buffer_bytes.
	Replace(start, size int, data []byte) abi.Status
}

// ReadOnly is a buffer that guests cannot change.
type ReadOnly []byte

// Len implements Buffer.
func (b ReadOnly) Len() int { return len(b) }

// Bytes implements Buffer.
func (b ReadOnly) Bytes(start, end int) []byte { return b[start:end] }

// Replace implements Buffer.
func (ReadOnly) Replace(int, int, []byte) abi.Status { return abi.BadArgument }

// ReplaceBytes is proxy_set_buffer_bytes on bytes that can be changed: from the start,
// size bytes give way to data; from the end on, data is appended; in between there is
// no place. More than most bytes are INTERNAL_FAILURE.
func ReplaceBytes(b []byte, start, size int, data []byte, most int) ([]byte, abi.Status) {
	kept := len(b)
	if start == 0 {
		kept -= min(size, kept)
	}
	switch {
	case start > 0 && start < len(b):
		return b, abi.BadArgument
	case kept+len(data) > most:
		return b, abi.InternalFailure
	case start == 0:
		rest := b[len(b)-kept:]
		return append(append(make([]byte, 0, len(data)+len(rest)), data...), rest...), abi.OK
	}
	return append(b, data...), abi.OK
}

// message is the message of a gRPC call.
type message struct {
	ReadOnly
	most int // bytes that the guest may make of it
}

// Replace implements Buffer.
func (m *message) Replace(start, size int, data []byte) (status abi.Status) {
	m.ReadOnly, status = ReplaceBytes(m.ReadOnly, start, size, data, m.most)
	return status
}

// Message returns the message of the gRPC call whose callback runs, nil for none.
func (r *Root) Message() Buffer {
	if r.message == nil {
		return nil
	}
	return r.message
}
