package vm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-auth/sallyport/host/internal/fault"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Context is what hostcalls act on: a root context or a stream.
type Context interface {
	// ID is the number by which the guest knows the context.
	ID() uint32
	// Root is the root context that a stream belongs to; itself for a root.
	Root() *Root
}

// ErrClosed is what calls into a VM return that has ended.
var ErrClosed = errors.New("the VM has ended")

// VM is one instance of a module. Its methods are called with the lock held,
// unless they say otherwise.
type VM struct {
	module *Module
	// Env is what hostcalls find the rest of the host by. It does not change.
	// Those of a plugin that shares the VM have the plugin's.
	Env any
	// Worker is the index of the slot that the VM was made for.
	Worker int

	mu      sync.Mutex // guards what follows, and that one callback runs at a time
	inst    api.Module
	memory  api.Memory
	malloc  api.Function
	funcs   [callbackCount]api.Function
	ctx     *callContext
	stack   [8]uint64
	spare   [2]uint64
	nextID  uint32
	streams map[uint32]Context

	current      Context // the context of the running callback
	effective    Context // what it was changed to, nil for no change
	depth        int     // callbacks within each other
	deferred     []func()
	phase        phase
	unrestricted bool  // a fault of tests
	failed       error // of the allocator: the VM ends when the callback returns
	dead         error // why the VM has ended

	onDead func(error) // called once, without the lock
}

// phase restricts what a guest may call (proxy-wasm-cpp-host, wasm.cc, startVm
// and allocMemory).
type phase uint8

const (
	running   phase = iota
	starting        // _initialize, _start, main
	allocates       // malloc
)

// callContext carries the VM to host functions. It is a context.Context whose
// Value finds the VM without a search.
type callContext struct {
	context.Context
	vm *VM
}

// detached is a context with the values of another that does not end with it.
// context.WithoutCancel is one too, but allocates each time a value is asked for,
// as wazero does several times a call.
type detached struct{ context.Context }

// Deadline implements context.Context.
func (*detached) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (*detached) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (*detached) Err() error { return nil }

type vmKey struct{}

// Value implements context.Context.
func (c *callContext) Value(key any) any {
	if _, ok := key.(vmKey); ok {
		return c.vm
	}
	return c.Context.Value(key)
}

// From returns the VM whose guest is calling.
func From(ctx context.Context) *VM {
	vm, _ := ctx.Value(vmKey{}).(*VM)
	return vm
}

// NewVM makes an instance and runs its start functions. onDead is called once,
// without the lock, when the VM traps or exceeds its deadline.
func (m *Module) NewVM(ctx context.Context, worker int, env any, onDead func(error)) (*VM, error) {
	v := &VM{module: m, Env: env, Worker: worker, nextID: 1, streams: map[uint32]Context{}, onDead: onDead, phase: starting}
	v.ctx = &callContext{Context: &detached{ctx}, vm: v}
	faults := fault.From(ctx)
	v.unrestricted = faults.Unrestricted
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions().
		WithSysWalltime().WithSysNanotime().WithRandSource(rand.Reader)
	var err error
	start, cancel := v.deadline() // a start section is the guest's code
	v.inst, err = m.runtime.InstantiateModule(start, m.compiled, config)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("the module cannot be instantiated: %w", err)
	}
	v.memory = v.inst.Memory()
	v.malloc = v.inst.ExportedFunction(m.malloc)
	for c, sig := range callbacks {
		if m.exports[c] {
			v.funcs[c] = faults.Exported(sig.name, v.inst.ExportedFunction(sig.name))
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, name := range []string{m.start, m.main} {
		if err := v.startFunction(faults.Exported(name, v.inst.ExportedFunction(name))); err != nil {
			_ = v.inst.Close(ctx)
			return nil, fmt.Errorf("the module does not start: %s: %w", name, err)
		}
	}
	v.phase = running
	return v, nil
}

// startFunction runs one of the functions that a module starts with.
func (v *VM) startFunction(f api.Function) error {
	if f == nil {
		return nil
	}
	ctx, cancel := v.deadline()
	defer cancel()
	_, err := f.Call(ctx, make([]uint64, len(f.Definition().ParamTypes()))...)
	return err
}

// deadline returns the context of a call. Without a deadline it costs nothing.
func (v *VM) deadline() (context.Context, context.CancelFunc) {
	if v.module.limits.Deadline == 0 {
		return v.ctx, func() {}
	}
	ctx, cancel := context.WithTimeout(v.ctx.Context, v.module.limits.Deadline)
	return &callContext{Context: ctx, vm: v}, cancel
}

// Do runs f with the lock held and then what f and the guest have deferred. It
// returns ErrClosed without running f when the VM has ended.
func (v *VM) Do(f func()) error {
	v.mu.Lock()
	if v.dead != nil {
		v.mu.Unlock()
		return ErrClosed
	}
	f()
	dead := v.dead
	v.mu.Unlock()
	if dead != nil && v.onDead != nil {
		v.onDead(dead)
	}
	return nil
}

// TryDo is Do when the VM is idle; ok is false, and nothing has happened, when
// it is not.
func (v *VM) TryDo(f func()) (ok bool, err error) {
	if !v.mu.TryLock() {
		return false, nil
	}
	if v.dead != nil {
		v.mu.Unlock()
		return true, ErrClosed
	}
	f()
	dead := v.dead
	v.mu.Unlock()
	if dead != nil && v.onDead != nil {
		v.onDead(dead)
	}
	return true, nil
}

// Dead returns why the VM has ended, nil while it has not. It takes the lock.
func (v *VM) Dead() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.dead
}

// Has reports whether the guest has a callback.
func (v *VM) Has(c Callback) bool { return v.module.exports[c] }

// Call calls a callback of the guest with ctx as the context, and then, when it
// is the outermost, what was deferred. Without the callback it returns missing.
func (v *VM) Call(ctx Context, c Callback, missing uint32, args ...uint32) (uint32, error) {
	if v.dead != nil {
		return 0, ErrClosed
	}
	f := v.funcs[c]
	if f == nil {
		return missing, nil
	}
	current, effective := v.current, v.effective
	v.current, v.effective = ctx, nil
	v.depth++
	stack := v.stack[:max(len(args), 1)]
	if v.depth > 1 {
		stack = make([]uint64, len(stack))
	}
	for i, a := range args {
		stack[i] = uint64(a)
	}
	call, cancel := v.deadline()
	err := f.CallWithStack(call, stack)
	cancel()
	if v.failed != nil { // what comes after it is of no interest
		err = v.failed
	}
	v.depth--
	v.current, v.effective = current, effective
	if err != nil {
		v.kill(fmt.Errorf("%s: %w", callbacks[c].name, err))
		return 0, v.dead
	}
	result := uint32(stack[0])
	if v.depth == 0 {
		v.runDeferred()
	}
	return result, nil
}

// Defer runs f when the outermost callback has returned, at once when none runs.
func (v *VM) Defer(f func()) {
	if v.depth == 0 {
		f()
		return
	}
	v.deferred = append(v.deferred, f)
}

func (v *VM) runDeferred() {
	for len(v.deferred) > 0 && v.dead == nil {
		f := v.deferred[0]
		v.deferred = v.deferred[1:]
		f()
	}
	v.deferred = nil
}

// kill ends the VM.
func (v *VM) kill(err error) {
	if v.dead != nil {
		return
	}
	v.dead = err
	v.deferred = nil
	for _, c := range v.streams {
		if k, ok := c.(interface{ Killed() }); ok {
			k.Killed()
		}
	}
	_ = v.inst.Close(v.ctx) // the error is of an exit code
	if v.depth == 0 {
		// Whoever still knows the VM, such as a queue that it has registered, does not
		// hold its memory.
		v.memory, v.malloc, v.funcs = nil, nil, [callbackCount]api.Function{}
	}
}

// Close ends the VM. It takes the lock.
func (v *VM) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.onDead = nil
	v.kill(ErrClosed)
}

// Stop ends ticks and calls of all root contexts, also of those that have put off
// their end. The lock is held.
func (v *VM) Stop() {
	for _, c := range v.streams {
		if r, ok := c.(*Root); ok {
			r.Stop()
		}
	}
}

// NewID returns the number of a new context; roots and streams share them.
func (v *VM) NewID() uint32 {
	id := v.nextID
	v.nextID++
	if v.nextID == 0 { // after four billion
		v.nextID = 1
	}
	return id
}

// Add makes a context known by its number.
func (v *VM) Add(c Context) { v.streams[c.ID()] = c }

// Remove forgets a context. A callback in which it is the effective context goes
// on with the true one.
func (v *VM) Remove(c Context) {
	delete(v.streams, c.ID())
	if v.effective == c {
		v.effective = nil
	}
}

// Effective returns the context that hostcalls act on, nil during the start.
func (v *VM) Effective() Context {
	if v.effective != nil {
		return v.effective
	}
	return v.current
}

// SetEffective makes hostcalls act on another context until the callback returns;
// false when there is none with that number. 0 goes back to the callback's own.
func (v *VM) SetEffective(id uint32) bool {
	if id == 0 {
		v.effective = nil
		return true
	}
	c := v.streams[id]
	if c != nil {
		v.effective = c
	}
	return c != nil
}

// Restricted reports whether the guest may make only the calls that are allowed
// while it starts or allocates.
func (v *VM) Restricted() bool { return v.phase != running }

// Allow traps a guest that makes a call that it may not make now: starts says whether
// it may while it starts, mallocs whether it may in its allocator.
func (v *VM) Allow(name string, starts, mallocs bool) {
	if !v.unrestricted && (v.phase == starting && !starts || v.phase == allocates && !mallocs) {
		panic(errRestricted(name))
	}
}

// errRestricted is the trap of Allow, called as Envoy calls it.
type errRestricted string

func (e errRestricted) Error() string { return "restricted_callback: " + string(e) }

// Started notes the memory of a guest whose start section calls the host: the
// instance is not known yet.
func (v *VM) Started(m api.Module) {
	if v.memory == nil {
		v.memory = m.Memory()
	}
}

// Now returns the wall clock.
func (v *VM) Now() time.Time { return time.Now() }

// MemorySize returns the bytes of linear memory.
func (v *VM) MemorySize() uint64 { return uint64(v.memory.Size()) }

// ABI returns the marker of the version that the guest speaks.
func (v *VM) ABI() string { return v.module.abi }

// Read returns a copy of guest memory; ok is false when it is out of bounds.
func (v *VM) Read(ptr, size uint32) ([]byte, bool) {
	b, ok := v.memory.Read(ptr, size)
	if !ok {
		return nil, false
	}
	return append(make([]byte, 0, len(b)), b...), true
}

// View returns guest memory itself. It is good until the guest runs again.
func (v *VM) View(ptr, size uint32) ([]byte, bool) { return v.memory.Read(ptr, size) }

// ReadString returns guest memory as a string.
func (v *VM) ReadString(ptr, size uint32) (string, bool) {
	b, ok := v.memory.Read(ptr, size)
	return string(b), ok
}

// WriteUint32 writes a little-endian number.
func (v *VM) WriteUint32(ptr, value uint32) bool { return v.memory.WriteUint32Le(ptr, value) }

// WriteUint64 writes a little-endian number.
func (v *VM) WriteUint64(ptr uint32, value uint64) bool { return v.memory.WriteUint64Le(ptr, value) }

// Write copies into guest memory.
func (v *VM) Write(ptr uint32, data []byte) bool { return v.memory.Write(ptr, data) }

// Give hands data to the guest: memory of its own allocator, whose address and
// size are written where the guest wants them. Nothing is allocated for nothing
// (proxy-wasm-cpp-host, wasm.h, copyToPointerSize).
func (v *VM) Give(size int, dataPtr, sizePtr uint32, fill func(dst []byte)) abi.Status {
	address := uint32(0)
	if size > 0 {
		var ok bool
		if address, ok = v.alloc(uint32(size)); !ok {
			return abi.InvalidMemoryAccess
		}
		dst, ok := v.memory.Read(address, uint32(size))
		if !ok {
			return abi.InvalidMemoryAccess
		}
		fill(dst)
	}
	if !v.memory.WriteUint32Le(dataPtr, address) || !v.memory.WriteUint32Le(sizePtr, uint32(size)) {
		return abi.InvalidMemoryAccess
	}
	return abi.OK
}

// GiveBytes hands bytes to the guest.
func (v *VM) GiveBytes(data []byte, dataPtr, sizePtr uint32) abi.Status {
	return v.Give(len(data), dataPtr, sizePtr, func(dst []byte) { copy(dst, data) })
}

// GiveString hands a string to the guest.
func (v *VM) GiveString(data string, dataPtr, sizePtr uint32) abi.Status {
	return v.Give(len(data), dataPtr, sizePtr, func(dst []byte) { copy(dst, data) })
}

// alloc calls the guest's allocator. When it traps, the hostcall that needs memory
// fails, and the VM ends when the callback returns, as in Envoy.
func (v *VM) alloc(size uint32) (uint32, bool) {
	if v.failed != nil {
		return 0, false
	}
	was := v.phase
	v.phase = allocates
	stack := v.spare[:1]
	stack[0] = uint64(size)
	err := v.malloc.CallWithStack(v.ctx, stack)
	v.phase = was
	if err != nil {
		v.failed = fmt.Errorf("%s: %w", v.module.malloc, err)
		return 0, false
	}
	return uint32(stack[0]), stack[0] != 0
}
