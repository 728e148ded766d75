package vm

import (
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
}

// Root is the root context of a plugin in one VM.
type Root struct {
	vm     *VM
	id     uint32
	Plugin Plugin
	Tag    any // the host's

	configuring bool // the plugin configuration can be read now
	tick        ticker
	nextCall    uint32
	calls       map[uint32]func() // under way; ends one

	// Response is the answer of a call while its callback runs.
	Response *CallResponse
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
	r := &Root{vm: v, id: v.NewID(), Plugin: p, Tag: tag, calls: map[uint32]func(){}}
	r.tick.root = r
	v.Add(r)
	r.configuring = true
	defer func() { r.configuring = false }()
	if _, err := v.Call(r, OnContextCreate, 0, r.id, 0); err != nil {
		return nil, false
	}
	for _, step := range []struct {
		callback Callback
		size     int
	}{{OnVMStart, len(p.VMConfig)}, {OnConfigure, len(p.Config)}} {
		if accepted, err := v.Call(r, step.callback, 1, r.id, uint32(step.size)); err != nil || accepted == 0 {
			return nil, false
		}
	}
	return r, true
}

// Stop ends ticks and calls. The lock is held.
func (r *Root) Stop() {
	r.tick.set(0)
	for _, cancel := range r.calls {
		cancel()
	}
	clear(r.calls)
}

// Killed is called, with the lock held, when the VM ends: nobody waits for its calls.
func (r *Root) Killed() { r.Stop() }

// Call ids count in steps of four from four: the two low bits tell the kind of a
// call (proxy-wasm-cpp-host, wasm.h, kCalloutIncrement).
const callStep = 4

// NewCall enters a call that is under way and returns its id. cancel ends it.
func (r *Root) NewCall(cancel func()) uint32 {
	r.nextCall += callStep
	r.calls[r.nextCall] = cancel
	return r.nextCall
}

// Calls returns how many calls are under way.
func (r *Root) Calls() int { return len(r.calls) }

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
