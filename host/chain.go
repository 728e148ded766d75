package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/host/internal/shared"
	"github.com/sallyport-auth/sallyport/host/internal/stream"
)

// Plugin is one filter of a chain: a module, and how it is run.
type Plugin struct {
	Wasm   []byte // not to be changed once the chain has it
	Config Config // how it is run
}

// Chain is a row of filters, each with its module, root id and configuration. A
// request passes them first to last, its response last to first. What a filter
// answers itself passes the response callbacks of that filter and of those before
// it; those after it, which have not seen the request, do not see the response.
//
// The filters of a chain share the properties that they set on a request. Those
// with one VMID share data and queues as well; those that also have one module, one
// VMConfig and the same limits share their VMs, in which each has its root context.
//
// Reload replaces filters while requests run. A Chain is safe for concurrent use.
type Chain struct {
	current atomic.Pointer[generation]

	mu     sync.Mutex // orders reloads, and guards what follows
	spaces map[string]space
	queues shared.Queues
	closed bool

	members sync.Map // *member → struct{}: the filters that are not closed yet
}

// generation is what a chain consists of between two reloads.
type generation struct {
	members []*member
	users   atomic.Int64 // requests in it, and one for being current
}

// member is a filter in one or more generations.
type member struct {
	name   string
	plugin Plugin
	filter *Filter
	users  atomic.Int64 // generations that have it
	close  func(context.Context) error
}

var errNoPlugin = ofKind(ErrConfig, errors.New("host: a chain needs a filter"))

// NewChain starts a chain. It fails when New would fail for one of the filters.
func NewChain(ctx context.Context, plugins ...Plugin) (*Chain, error) {
	c := &Chain{spaces: map[string]space{}}
	if err := c.Reload(ctx, plugins...); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload puts other filters in the place of those that run. It returns when they
// have started: requests that come from then on pass the new ones, requests that
// have begun end on the ones they began with, which are closed after the last.
// With an error nothing has changed.
//
// A plugin that was there before, under the same name and unchanged, runs on with
// what it remembers. The others of that name take over its metrics, and those of
// the same VMID its shared data. Logger, Foreign and Properties are not compared:
// to change them, change something else as well.
func (c *Chain) Reload(ctx context.Context, plugins ...Plugin) error {
	if len(plugins) == 0 {
		return errNoPlugin
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	old := c.current.Load()
	next := &generation{}
	next.users.Store(1)
	spaces := map[string]space{}
	for i, p := range plugins {
		s, ok := c.spaces[p.Config.VMID]
		if !ok {
			if s, ok = spaces[p.Config.VMID]; !ok {
				s = newSpace(&c.queues)
			}
		}
		spaces[p.Config.VMID] = s
		var base *Filter
		for _, m := range next.members {
			if m.filter.base == nil && m.plugin.sharesVM(p) {
				base = m.filter
				break
			}
		}
		m, err := c.member(ctx, memberName(plugins, i), p, s, old, base)
		if err != nil {
			c.release(next)
			return err
		}
		m.users.Add(1)
		next.members = append(next.members, m)
	}
	for vmID := range c.spaces {
		if _, stays := spaces[vmID]; !stays {
			c.queues.Forget(vmID)
		}
	}
	c.spaces = spaces
	c.current.Store(next)
	if old != nil {
		c.release(old)
	}
	return nil
}

// memberName returns the name of a plugin, with a number behind it when an earlier
// one has the same.
func memberName(plugins []Plugin, i int) string {
	name := plugins[i].Config.withDefaults().Name
	n := 1
	for _, p := range plugins[:i] {
		if p.Config.withDefaults().Name == name {
			n++
		}
	}
	if n == 1 {
		return name
	}
	return fmt.Sprintf("%s#%d", name, n)
}

// sharesVM reports whether two plugins run in one VM, as in Envoy: with the same
// vm_id, module and VM configuration.
func (p Plugin) sharesVM(o Plugin) bool {
	a, b := p.Config.withDefaults(), o.Config.withDefaults()
	return a.VMID == b.VMID && bytes.Equal(a.VMConfig, b.VMConfig) && slices.Equal(a.Env, b.Env) && a.Workers == b.Workers &&
		a.MemoryBytes == b.MemoryBytes && a.Deadline == b.Deadline && a.Limits == b.Limits && a.CacheDir == b.CacheDir && bytes.Equal(p.Wasm, o.Wasm)
}

// member returns the filter that runs a plugin: one of the old generation, or a
// new one.
func (c *Chain) member(ctx context.Context, name string, p Plugin, s space, old *generation, base *Filter) (*member, error) {
	metrics := &shared.Metrics{}
	if old != nil {
		for _, m := range old.members {
			if m.name != name {
				continue
			}
			if m.plugin.same(p) && m.filter.base == base {
				return m, nil
			}
			metrics = m.filter.metrics.Successor()
		}
	}
	f, err := newFilter(ctx, p.Wasm, p.Config, s, metrics, base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m := &member{name: name, plugin: p, filter: f}
	var once sync.Once
	m.close = func(ctx context.Context) (err error) {
		once.Do(func() {
			err = f.Close(ctx)
			c.members.Delete(m)
		})
		return err
	}
	c.members.Store(m, struct{}{})
	return m, nil
}

// same reports whether nothing has changed that can be compared.
func (p Plugin) same(o Plugin) bool {
	a, b := p.Config, o.Config
	for _, c := range []*Config{&a, &b} {
		c.Logger, c.Foreign, c.Properties = nil, nil, nil
	}
	return bytes.Equal(p.Wasm, o.Wasm) && reflect.DeepEqual(a, b)
}

// acquire enters the current generation.
func (c *Chain) acquire() *generation {
	for {
		g := c.current.Load()
		if n := g.users.Load(); n > 0 && g.users.CompareAndSwap(n, n+1) {
			return g
		}
	}
}

// release leaves a generation; the last who does closes what no other has.
func (c *Chain) release(g *generation) {
	if g.users.Add(-1) > 0 {
		return
	}
	for _, m := range g.members {
		if m.users.Add(-1) == 0 {
			go func() { _ = m.close(context.Background()) }() // nobody is there to be told
		}
	}
}

// passage is one request on its way through a chain.
type passage struct {
	state   stream.State
	answer  answer
	streams []*stream.Stream
	unseen  []*member // filters that have not seen the request
}

// end ends the streams as Envoy does: every filter logs before the first is done,
// also those that the request has not come to.
func (p *passage) end(w http.ResponseWriter, r *http.Request) {
	var unseen []*stream.Stream
	if len(p.streams) > 0 {
		for _, m := range p.unseen {
			if wk := m.filter.pick(); wk != nil {
				e := &exchange{filter: m.filter, worker: wk, w: w, r: r, started: time.Now(), answer: &p.answer}
				e.stream = stream.New(wk.root, m.filter.config.stream(), e, &p.state)
				e.stream.Begin()
				unseen = append(unseen, e.stream)
			}
		}
	}
	all := append(p.streams[:len(p.streams):len(p.streams)], unseen...)
	for _, s := range all {
		p.final(s)
		s.Log()
	}
	for _, s := range all {
		s.Done()
	}
}

// final makes the maps of a stream, for on_log, what the filters together have made
// of the request and the response.
func (p *passage) final(s *stream.Stream) {
	first, last := p.streams[0], p.streams[len(p.streams)-1]
	if !s.Logs() {
		return
	}
	var request, response headers.Map
	last.Sync(func() { request.Copy(last.RequestMap()) })
	first.Sync(func() { response.Copy(first.ResponseMap()) })
	s.Sync(func() {
		if s != last {
			s.RequestMap().Copy(&request)
		}
		if s != first {
			s.ResponseMap().Copy(&response)
		}
	})
}

// Handler returns a handler that shows every request to the filters before next
// gets it, as Filter.Handler does for one.
func (c *Chain) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := c.acquire()
		defer c.release(g)
		p := &passage{streams: make([]*stream.Stream, 0, len(g.members))}
		defer p.end(w, r)
		link{g.members, next, p}.ServeHTTP(w, r)
	})
}

// link is the rest of a chain for one request.
type link struct {
	members []*member
	next    http.Handler
	passage *passage
}

// ServeHTTP implements http.Handler.
func (l link) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(l.members) == 0 {
		l.next.ServeHTTP(w, r)
		return
	}
	l.passage.unseen = l.members[1:]
	l.members[0].filter.serve(w, r, link{l.members[1:], l.next, l.passage}, l.passage)
}

// Close ends the filters, also those that requests are still in, which are
// answered 503: stop the server first. Requests that come later are answered 503.
func (c *Chain) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	var errs []error
	c.members.Range(func(m, _ any) bool {
		errs = append(errs, m.(*member).close(ctx))
		return true
	})
	return errors.Join(errs...)
}

// FilterStats says how a filter of a chain is doing.
type FilterStats struct {
	// Name is Config.Name; the second of a name has #2 behind it.
	Name string
	// Workers is how many there are, Running how many can take requests.
	Workers, Running int
	MemoryBytes      uint64 // linear memory of all workers
	// Unavailable counts requests that no worker could take.
	Unavailable uint64
	// Metrics are what the guest has defined, in no order.
	Metrics []Metric
}

// Stats returns how the filters are doing, first to last.
func (c *Chain) Stats() []FilterStats {
	g := c.acquire()
	defer c.release(g)
	var out []FilterStats
	for _, m := range g.members {
		f := m.filter
		out = append(out, FilterStats{
			Name: m.name, Workers: f.Workers(), Running: f.Running(), MemoryBytes: f.MemoryBytes(),
			Unavailable: uint64(f.failing.Load()), Metrics: f.Metrics(),
		})
	}
	return out
}
