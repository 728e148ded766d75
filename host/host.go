package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/sallyport-auth/sallyport/host/internal/callout"
	"github.com/sallyport-auth/sallyport/host/internal/foreign"
	"github.com/sallyport-auth/sallyport/host/internal/hostcall"
	"github.com/sallyport-auth/sallyport/host/internal/shared"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/host/internal/wasi"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Filter is a module with its workers. It is safe for concurrent use.
type Filter struct {
	config  Config
	module  *vm.Module
	env     *hostcall.Env // of a VM, but for the metrics' ids
	metrics *shared.Metrics
	caller  *callout.Caller
	slots   []*slot
	next    atomic.Uint32
	failing atomic.Int64 // requests that no worker could take
	ctx     context.Context
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// slot is the place of a worker: the VM in it is replaced when it ends.
type slot struct {
	current atomic.Pointer[worker]
	index   int
}

// worker is a VM that has been configured.
type worker struct {
	vm    *vm.VM
	root  *vm.Root
	ready atomic.Bool
	dead  atomic.Bool
	once  sync.Once // it is replaced once
}

// New compiles a module and starts its workers. The error is of one of the kinds
// ErrConfig, ErrModule, ErrStart and ErrRefused. ctx is for the start only: the filter
// runs until Close.
func New(ctx context.Context, wasm []byte, config Config) (*Filter, error) {
	return newFilter(ctx, wasm, config, newSpace(&shared.Queues{}), &shared.Metrics{})
}

// space is what the filters of one VMID share, as the VMs of one vm_id do in Envoy. The
// queues are those of the chain: whoever knows the vm_id of another may put in messages.
type space struct {
	data   *shared.Data
	queues *shared.Queues
}

func newSpace(queues *shared.Queues) space { return space{&shared.Data{}, queues} }

func newFilter(ctx context.Context, wasm []byte, config Config, s space, metrics *shared.Metrics) (*Filter, error) {
	config = config.withDefaults()
	clusters, err := config.clusters()
	if err != nil {
		return nil, err
	}
	f := &Filter{config: config, metrics: metrics}
	f.caller = &callout.Caller{Clusters: clusters, Limits: config.Limits.hostcall()}
	f.env = &hostcall.Env{
		Logger: config.Logger, LogLevel: config.logLevel(),
		Data: s.data, Queues: s.queues, Limits: f.caller.Limits,
		Call:    f.caller.Call,
		Foreign: f.foreign(),
	}
	f.ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.module, err = vm.Compile(ctx, wasm, config.limits(), func(ctx context.Context, r wazero.Runtime, version string) error {
		return errors.Join(wasi.Register(ctx, r, f.config.Env, f.guestOutput), hostcall.Register(ctx, r, version))
	})
	if err != nil {
		f.stop()
		kind := ErrModule
		if errors.Is(err, vm.ErrCache) {
			kind = ErrConfig
		}
		return nil, ofKind(kind, fmt.Errorf("host: %w", err))
	}
	for i := range config.Workers {
		s := &slot{index: i}
		w, err := f.start(s)
		if err != nil {
			_ = f.Close(ctx)
			if errors.Is(err, ErrRefused) {
				return nil, err
			}
			return nil, ofKind(ErrStart, fmt.Errorf("host: %w", err))
		}
		s.current.Store(w)
		f.slots = append(f.slots, s)
		f.gone(s, w)
	}
	return f, nil
}

// guestOutput writes what guests print.
func (f *Filter) guestOutput(_ context.Context, isError bool, text []byte) {
	level := abi.Info
	if isError {
		level = abi.Error
	}
	f.env.Log(level, text)
}

// foreign returns the functions that guests call by name.
func (f *Filter) foreign() map[string]hostcall.Foreign {
	out := map[string]hostcall.Foreign{
		abi.VerifySignatureFunction: func(_ vm.Context, a []byte) ([]byte, abi.Status) { return foreign.VerifySignature(a) },
		"compress":                  func(_ vm.Context, a []byte) ([]byte, abi.Status) { return foreign.Compress(a) },
		"uncompress":                func(_ vm.Context, a []byte) ([]byte, abi.Status) { return foreign.Uncompress(a) },
		// The route is chosen anew whenever headers have changed, so there is
		// nothing to clear.
		"clear_route_cache": func(vm.Context, []byte) ([]byte, abi.Status) { return nil, abi.OK },
	}
	for name, call := range f.config.Foreign {
		out[name] = func(c vm.Context, a []byte) ([]byte, abi.Status) {
			result, err := call(ForeignCall{Worker: workerOf(c), Argument: a})
			if err != nil {
				return result, abi.BadArgument
			}
			return result, abi.OK
		}
	}
	if name := f.config.ReadySignal; name != "" {
		call := out[name]
		out[name] = func(c vm.Context, a []byte) ([]byte, abi.Status) {
			f.markReady(c)
			if call != nil {
				return call(c, a)
			}
			return nil, abi.OK
		}
	}
	return out
}

func workerOf(c vm.Context) int {
	if c == nil {
		return 0
	}
	return c.Root().VM().Worker
}

// markReady notes that a worker takes requests.
func (f *Filter) markReady(c vm.Context) {
	if c == nil {
		return
	}
	if w, ok := c.Root().Tag.(*worker); ok {
		w.ready.Store(true)
	}
}

// start makes a worker for a slot.
func (f *Filter) start(s *slot) (*worker, error) {
	w := &worker{}
	w.ready.Store(f.config.ReadySignal == "")
	env := *f.env
	env.Metrics = f.metrics.IDs()
	var err error
	w.vm, err = f.module.NewVM(f.ctx, s.index, &env, func(why error) {
		w.dead.Store(true)
		f.config.Logger.Error("a worker of the filter has ended", "filter", f.config.Name, "worker", s.index, "error", why)
		f.gone(s, w)
	})
	if err != nil {
		return nil, err
	}
	ok := false
	err = w.vm.Do(func() {
		w.root, ok = w.vm.NewRoot(vm.Plugin{
			Name: f.config.Name, RootID: f.config.RootID, VMID: f.config.VMID,
			Config: f.config.PluginConfig, VMConfig: f.config.VMConfig,
		}, w)
	})
	if dead := w.vm.Dead(); dead != nil {
		return nil, dead
	}
	if err != nil || !ok {
		w.vm.Close()
		return nil, ErrRefused
	}
	return w, nil
}

// gone replaces a worker that has ended, once it has been in its slot.
func (f *Filter) gone(s *slot, w *worker) {
	if w.dead.Load() && s.current.Load() == w && f.ctx.Err() == nil {
		w.once.Do(func() { f.work.Go(func() { f.replace(s, w) }) })
	}
}

// Back-off of a worker that cannot be replaced, as FAIL_RELOAD's in Envoy with
// the base that generated files set.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// replace puts a new worker into a slot. The first try is at once: a request
// that traps the guest costs its worker milliseconds, not the back-off.
func (f *Filter) replace(s *slot, old *worker) {
	for wait := firstBackoff; ; wait = min(2*wait, lastBackoff) {
		w, err := f.start(s)
		if err == nil {
			s.current.Store(w)
			if f.ctx.Err() != nil {
				f.shut(w)
			}
			f.gone(s, w)
			return
		}
		f.config.Logger.Error("a worker of the filter cannot be replaced", "filter", f.config.Name, "worker", s.index, "error", err)
		select {
		case <-f.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// shut ends a worker's ticks, calls and VM.
func (f *Filter) shut(w *worker) {
	w.dead.Store(true)
	_ = w.vm.Do(func() { w.root.Stop() })
	w.vm.Close()
}

// pick returns a worker that is not busy, preferring those that are ready; nil
// when every one has ended.
func (f *Filter) pick() *worker {
	n := uint32(len(f.slots))
	first := f.next.Add(1)
	var fallback *worker
	for i := range n {
		w := f.slots[(first+i)%n].current.Load()
		if w.dead.Load() {
			continue
		}
		if w.ready.Load() {
			return w
		}
		if fallback == nil {
			fallback = w
		}
	}
	return fallback
}

// Close ends the workers. Requests that still need them are answered 503, so
// stop the server first.
func (f *Filter) Close(ctx context.Context) error {
	f.stop()
	for _, s := range f.slots {
		if w := s.current.Load(); w != nil {
			f.shut(w)
		}
	}
	f.work.Wait()
	f.caller.Close()
	return f.module.Close(ctx)
}

// Workers returns how many workers there are.
func (f *Filter) Workers() int { return f.config.Workers }

// Running returns how many workers can take requests: those that have ended and
// are not replaced yet, and those that have not given the ReadySignal, are left
// out.
func (f *Filter) Running() int {
	n := 0
	for _, s := range f.slots {
		if w := s.current.Load(); w != nil && w.ready.Load() && !w.dead.Load() {
			n++
		}
	}
	return n
}

// Metric is a metric that guests have defined.
type Metric struct {
	Kind  string // counter, gauge, histogram
	Name  string // as the guest has given it
	Value int64  // the sum of a histogram
	Count uint64 // of a histogram
}

// Metrics returns the guests' metrics, in no order. All workers share them.
func (f *Filter) Metrics() []Metric {
	var out []Metric
	for _, m := range f.metrics.All() {
		kind := [...]string{"counter", "gauge", "histogram"}[m.Kind]
		out = append(out, Metric{Kind: kind, Name: m.Name, Value: m.Value(), Count: m.Count()})
	}
	return out
}

// MemoryBytes returns the linear memory of all workers.
func (f *Filter) MemoryBytes() uint64 {
	var n uint64
	for _, s := range f.slots {
		w := s.current.Load()
		_ = w.vm.Do(func() { n += w.vm.MemorySize() })
	}
	return n
}
