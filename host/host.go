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
	env     *hostcall.Env // of a VM, but for the metrics' ids: vmEnv
	metrics *shared.Metrics
	caller  *callout.Caller
	slots   []*slot
	next    atomic.Uint32
	failing atomic.Int64 // requests that no worker could take
	ctx     context.Context
	stop    context.CancelFunc
	work    sync.WaitGroup

	// base is the filter whose VMs this one shares, nil when it has its own.
	base      *Filter
	mu        sync.Mutex // held while workers are made; guards followers
	followers []*Filter
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
	dead  *atomic.Bool // of the VM
	once  sync.Once    // it is replaced once
}

func newWorker(f *Filter, dead *atomic.Bool) *worker {
	w := &worker{dead: dead}
	w.ready.Store(f.config.ReadySignal == "")
	return w
}

// plugin is what the root context runs with.
func (f *Filter) plugin() vm.Plugin {
	p := vm.Plugin{Name: f.config.Name, RootID: f.config.RootID, VMID: f.config.VMID,
		Config: f.config.PluginConfig, VMConfig: f.config.VMConfig}
	if f.base != nil {
		p.Env = f.env
	}
	return p
}

// New compiles a module and starts its workers. The error is of one of the kinds
// ErrConfig, ErrModule, ErrStart and ErrRefused. ctx is for the start only: the filter
// runs until Close.
func New(ctx context.Context, wasm []byte, config Config) (*Filter, error) {
	return newFilter(ctx, wasm, config, newSpace(&shared.Queues{}), &shared.Metrics{}, nil)
}

// space is what the filters of one VMID share, as the VMs of one vm_id do in Envoy. The
// queues are those of the chain: whoever knows the vm_id of another may put in messages.
type space struct {
	data   *shared.Data
	queues *shared.Queues
}

func newSpace(queues *shared.Queues) space { return space{&shared.Data{}, queues} }

// newFilter makes a filter with VMs of its own, or one in the VMs of base.
func newFilter(ctx context.Context, wasm []byte, config Config, s space, metrics *shared.Metrics, base *Filter) (*Filter, error) {
	config = config.withDefaults()
	clusters, err := config.clusters()
	if err != nil {
		return nil, err
	}
	if base != nil {
		metrics = base.metrics // their ids are those of the VM
	}
	f := &Filter{config: config, metrics: metrics, base: base}
	f.caller = &callout.Caller{Clusters: clusters, Limits: config.Limits.hostcall()}
	f.env = &hostcall.Env{
		Logger: config.Logger, LogLevel: config.logLevel(),
		Data: s.data, Queues: s.queues, Limits: f.caller.Limits,
		Call: f.caller.Call, GRPC: f.caller.GRPC,
		Foreign: f.foreign(),
	}
	f.ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	if base != nil {
		f.module = base.module
	} else if err = f.compile(ctx, wasm); err != nil {
		f.stop()
		return nil, err
	}
	if err = f.canary(); err == nil {
		if base != nil {
			err = base.follow(f)
		} else {
			err = f.startAll()
		}
	}
	if err != nil {
		_ = f.Close(ctx)
		if errors.Is(err, ErrRefused) {
			return nil, err
		}
		return nil, ofKind(ErrStart, fmt.Errorf("host: %w", err))
	}
	return f, nil
}

// compile compiles the module.
func (f *Filter) compile(ctx context.Context, wasm []byte) (err error) {
	f.module, err = vm.Compile(ctx, wasm, f.config.limits(), func(ctx context.Context, r wazero.Runtime, version string) error {
		return errors.Join(wasi.Register(ctx, r, f.config.Env, guestOutput), hostcall.Register(ctx, r, version))
	})
	if err == nil {
		return nil
	}
	kind := ErrModule
	if errors.Is(err, vm.ErrCache) {
		kind = ErrConfig
	}
	return ofKind(kind, fmt.Errorf("host: %w", err))
}

// startAll starts the workers.
func (f *Filter) startAll() error {
	for i := range f.config.Workers {
		s := &slot{index: i}
		w, _, err := f.start(s)
		if err != nil {
			return err
		}
		s.current.Store(w)
		f.slots = append(f.slots, s)
		f.gone(s, w)
	}
	return nil
}

// vmEnv returns the Env of a new VM.
func (f *Filter) vmEnv() *hostcall.Env {
	env := *f.env
	env.Metrics = f.metrics.IDs()
	return &env
}

// end ends the plugin of a worker, unless it puts that off. The VM's lock is held.
func (w *worker) end() (ended bool) { return w.root == nil || w.root.End() }

// guestOutput writes what guests print.
func guestOutput(ctx context.Context, isError bool, text []byte) {
	level := abi.Info
	if isError {
		level = abi.Error
	}
	hostcall.EnvOf(vm.From(ctx)).Log(level, text)
}

// foreign returns the functions that guests call by name.
func (f *Filter) foreign() map[string]hostcall.Foreign {
	out := map[string]hostcall.Foreign{
		abi.VerifySignatureFunction: func(_ vm.Context, a []byte) ([]byte, abi.Status) { return foreign.VerifySignature(a) },
		"sign":                      func(_ vm.Context, a []byte) ([]byte, abi.Status) { return foreign.Sign(a) },
		"set_envoy_filter_state":    func(_ vm.Context, a []byte) ([]byte, abi.Status) { return nil, foreign.SetFilterState(a) },
		"declare_property":          declareProperty,
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

// declareProperty is Envoy's declare_property: a name that a plugin declares twice is
// BAD_ARGUMENT. Of the declaration, readonly counts: such a property is set once.
func declareProperty(c vm.Context, a []byte) ([]byte, abi.Status) {
	var name string
	readonly := false
	if c == nil || !abi.Fields(string(a), func(field, number uint64, s string) {
		switch field {
		case 1:
			name = s
		case 2:
			readonly = number != 0
		}
	}) {
		return nil, abi.BadArgument
	}
	return nil, c.Root().Declare(name, readonly)
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

// start makes a worker for a slot, and those of the filters that share its VM.
func (f *Filter) start(s *slot) (w *worker, followers []*worker, err error) {
	w = newWorker(f, new(atomic.Bool))
	w.vm, err = f.module.NewVM(f.ctx, s.index, f.vmEnv(), func(why error) {
		w.dead.Store(true)
		f.config.Logger.Error("a worker of the filter has ended", "filter", f.config.Name, "worker", s.index, "error", why)
		f.gone(s, w)
	})
	if err != nil {
		return nil, nil, err
	}
	ok := false
	err = w.vm.Do(func() {
		w.root, ok = w.vm.NewRoot(f.plugin(), w)
		for _, o := range f.followers {
			if ok {
				fw := newWorker(o, w.dead)
				fw.vm = w.vm
				fw.root, ok = w.vm.NewRoot(o.plugin(), fw)
				followers = append(followers, fw)
			}
		}
	})
	if dead := w.vm.Dead(); dead != nil {
		return nil, nil, dead
	}
	if err != nil || !ok {
		w.vm.Close()
		return nil, nil, ErrRefused
	}
	return w, followers, nil
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
		f.mu.Lock()
		w, followers, err := f.start(s)
		if err == nil {
			s.current.Store(w)
			for i, fw := range followers {
				f.followers[i].slots[s.index].current.Store(fw)
			}
		}
		f.mu.Unlock()
		if err == nil {
			if f.ctx.Err() != nil {
				f.shut(s, w)
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

// shut ends a worker's plugins and its VM.
func (f *Filter) shut(s *slot, w *worker) {
	w.dead.Store(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = w.vm.Do(func() {
		w.end()
		for _, o := range f.followers {
			if fw := o.slots[s.index].current.Load(); fw.vm == w.vm {
				fw.end()
			}
		}
		w.vm.Stop()
	})
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
	if f.base != nil {
		if f.base.unfollow(f) {
			f.caller.Close()
		} else {
			go f.caller.Close() // what it still calls ends with it, or with the VM
		}
		return nil
	}
	for _, s := range f.slots {
		f.shut(s, s.current.Load())
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

// Metrics returns the guests' metrics, in no order. All workers share them. Those of
// filters with one VM are the first one's.
func (f *Filter) Metrics() []Metric {
	var out []Metric
	for _, m := range f.metrics.All() {
		kind := [...]string{"counter", "gauge", "histogram"}[m.Kind]
		out = append(out, Metric{Kind: kind, Name: m.Name, Value: m.Value(), Count: m.Count()})
	}
	return out
}

// MemoryBytes returns the linear memory of all workers. That of a VM which filters
// share is the first one's.
func (f *Filter) MemoryBytes() uint64 {
	var n uint64
	if f.base != nil {
		return 0
	}
	for _, s := range f.slots {
		w := s.current.Load()
		_ = w.vm.Do(func() { n += w.vm.MemorySize() })
	}
	return n
}
