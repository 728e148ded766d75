// Package publish holds what the sidecar offers at this moment: the snapshot in
// force, the bundle made of it and of the issuers' keys, and the feed of changes.
//
//	Use(snapshot) ──────────────┐
//	                            ├─► bundle, generation, ETag, feed
//	keys of an issuer changed ──┘
//
// The plugin instances of older bundles stay known for a while: filters that have
// not taken over the new bundle yet go on asking in their name.
package publish

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/login"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/snapshot"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/state"
)

// How much of the past is known.
const (
	maxGenerations = 256 // whose filters may still ask
	maxChanges     = 4096
	maxAnswered    = 1024 // changes in one answer; beyond it everything is forgotten
)

// Publisher is safe for concurrent use.
type Publisher struct {
	state  *state.Dir
	logger *slog.Logger
	now    func() time.Time
	client func(provider.Config) *http.Client
	ctx    context.Context // of the background work; ends it
	stop   context.CancelFunc
	work   sync.WaitGroup

	mu         sync.RWMutex // guards what follows
	current    *snapshot.Snapshot
	kept       *snapshot.Snapshot // the one before, whose routes stay
	offer      Offer
	generation map[uint64]map[string]*bundle.Plugin // instances, by generation and id
	providers  map[string]*running
	feed       feed
}

// Offer is a bundle on offer.
type Offer struct {
	Body       []byte
	ETag       string // without quotes
	Generation uint64
}

// running is a provider and how to end it.
type running struct {
	*provider.Provider
	cancel context.CancelFunc
}

// New returns a publisher that offers nothing yet.
func New(dir *state.Dir, logger *slog.Logger, now func() time.Time, client func(provider.Config) *http.Client) *Publisher {
	ctx, stop := context.WithCancel(context.Background())
	return &Publisher{
		state: dir, logger: logger, now: now, client: client, ctx: ctx, stop: stop,
		generation: map[uint64]map[string]*bundle.Plugin{},
		providers:  map[string]*running{},
		feed:       newFeed(),
	}
}

// Close ends the background work.
func (p *Publisher) Close() {
	p.stop()
	p.work.Wait()
}

// firstKeys is how long a snapshot waits for the keys of issuers that are new in
// it. An issuer that takes longer is not there yet: its routes answer 503.
const firstKeys = 3 * time.Second

// Use puts a snapshot in force, once its issuers have been asked for their keys.
// It is not called twice at a time.
func (p *Publisher) Use(s *snapshot.Snapshot) error {
	p.mu.Lock()
	p.runProviders(s)
	var tried []<-chan struct{}
	for _, r := range p.providers {
		tried = append(tried, r.Tried())
	}
	p.mu.Unlock()
	limit := time.NewTimer(firstKeys)
	defer limit.Stop()
	for _, one := range tried {
		select {
		case <-one:
			continue
		case <-limit.C:
		case <-p.ctx.Done():
		}
		break
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old, kept := p.current, p.kept
	p.current, p.kept = s, old
	p.runProviders()
	if err := p.publish(s.Changed(old), s.ChangedConsumers(old)); err != nil {
		p.current, p.kept = old, kept
		p.runProviders()
		return err
	}
	return nil
}

// runProviders starts the providers that the snapshots in force need, and those
// that are coming, and ends the others; mu is held. A provider that is needed
// already goes on with the keys it has.
func (p *Publisher) runProviders(coming ...*snapshot.Snapshot) {
	needed := map[string]provider.Config{}
	for _, s := range append(coming, p.kept, p.current) {
		if s == nil {
			continue
		}
		for id, c := range s.Providers {
			needed[id] = c
		}
	}
	for id, r := range p.providers {
		if _, ok := needed[id]; !ok {
			r.cancel()
			delete(p.providers, id)
		}
	}
	for id, c := range needed {
		if p.providers[id] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(p.ctx)
		r := &running{provider.New(c, p.client(c), p.logger, p.now, func() { p.keysChanged(id) }), cancel}
		p.providers[id] = r
		p.work.Add(1)
		go func() {
			defer p.work.Done()
			r.Run(ctx)
		}()
	}
}

// keysChanged publishes an issuer's new keys.
func (p *Publisher) keysChanged(trust string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return
	}
	if err := p.publish(p.current.Using(trust), nil); err != nil {
		p.logger.Error("an issuer's new keys cannot be published", "error", err)
	}
}

// publish makes the bundle anew and enters the changed credentials and consumers
// into the feed; mu is held.
func (p *Publisher) publish(changed, changedConsumers []string) error {
	b := p.current.Bundle(p.kept, func(id string) *bundle.Trust { return p.providers[id].Current().Trust(id) })
	g, err := p.state.Generation(b.Encode())
	if err != nil {
		return err
	}
	b.Epoch, b.Generation = g.Epoch, g.Number
	body := b.Encode()
	if len(body) > bundle.MaxBytes {
		return errTooLarge(len(body))
	}
	etag := g.Epoch + "-" + strconv.FormatUint(g.Number, 10)
	moved := etag != p.offer.ETag
	p.offer = Offer{Body: body, ETag: etag, Generation: g.Number}
	p.generation[g.Number] = p.current.Instances()
	delete(p.generation, g.Number-maxGenerations)
	p.feed.add(credentials, changed)
	p.feed.add(consumers, changedConsumers)
	if moved && len(changed)+len(changedConsumers) == 0 {
		p.feed.move()
	}
	return nil
}

type errTooLarge int

func (e errTooLarge) Error() string {
	return "the compiled configuration has " + strconv.Itoa(int(e)) + " bytes, more than the filters take (" +
		strconv.Itoa(bundle.MaxBytes) + ")"
}

// Offer returns the bundle on offer; ok is false before the first.
func (p *Publisher) Offer() (o Offer, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.offer, p.offer.Body != nil
}

// Current returns the snapshot in force, nil before the first.
func (p *Publisher) Current() *snapshot.Snapshot {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.current
}

// Instance returns the plugin instance that asks, by the generation of the
// bundle it is from; nil for an unknown one.
func (p *Publisher) Instance(generation uint64, id string) *bundle.Plugin {
	p.mu.RLock()
	defer p.mu.RUnlock()
	instances, ok := p.generation[generation]
	if !ok {
		return nil
	}
	if inst := instances[id]; inst != nil {
		return inst
	}
	if p.kept != nil { // a route that stays for one generation
		return p.kept.Instance(id)
	}
	return nil
}

// Provider returns the provider behind a trust record, nil for none.
func (p *Publisher) Provider(trust string) *provider.Provider {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if r := p.providers[trust]; r != nil {
		return r.Provider
	}
	return nil
}

// Place returns how far the feed goes.
func (p *Publisher) Place() (feed string, seq uint64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.feed.id, p.feed.seq
}

// Changes returns what happened since; ok is false when nothing did.
func (p *Publisher) Changes(feed string, since uint64, etag string) (c wire.Changes, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	c = wire.Changes{Feed: p.feed.id, Seq: p.feed.seq, Bundle: p.offer.ETag}
	if feed == c.Feed && since == c.Seq && etag == c.Bundle {
		return c, false
	}
	p.feed.since(feed, since, &c)
	return c, true
}

// Changed tells the filters that credentials and consumers have changed which are not
// the snapshot's, by the names of wire.Changes.
func (p *Publisher) Changed(changed, changedConsumers []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.feed.add(credentials, changed)
	p.feed.add(consumers, changedConsumers)
}

// Forget tells the filters to forget all credentials, consumers and sessions: nobody
// knows which have changed.
func (p *Publisher) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.feed = newFeed()
}

// Revoked tells the filters that sessions have ended, by their keys.
func (p *Publisher) Revoked(keys []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.feed.add(revoked, keys)
}

// Login returns an instance with sessions by the id of its plugin, nil for none. One
// that is of the file before is known as long as its routes are, with the secrets of
// the file in force: some workers learn of a new secret before others, and people go
// to and fro between them.
func (p *Publisher) Login(id string) *login.Instance {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.current == nil {
		return nil
	}
	if in := p.current.Logins[id]; in != nil || p.kept == nil {
		return in
	}
	in := p.kept.Logins[id]
	if in == nil {
		return nil
	}
	now := p.byPath(in.Public)
	if now == nil {
		return in
	}
	turned := *in
	turned.Ring = now.Ring
	return &turned
}

// LoginByPath returns an instance with sessions by the name that paths for identity
// providers have, nil for none.
func (p *Publisher) LoginByPath(public string) *login.Instance {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byPath(public)
}

// byPath is LoginByPath with mu held.
func (p *Publisher) byPath(public string) *login.Instance {
	if p.current == nil {
		return nil
	}
	for _, in := range p.current.Logins {
		if in.Public == public {
			return in
		}
	}
	return nil
}

// Issuers returns the providers that run, for health and metrics.
func (p *Publisher) Issuers() []*provider.Provider {
	p.mu.RLock()
	defer p.mu.RUnlock()
	list := make([]*provider.Provider, 0, len(p.providers))
	for _, r := range p.providers {
		list = append(list, r.Provider)
	}
	return list
}
