package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/keys"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// Times, in which an issuer is asked. An issuer's own max-age moves the refresh
// between the two bounds.
const (
	MaxStale    = 24 * time.Hour // without a successful refresh
	defaultLife = 15 * time.Minute
	minLife     = time.Minute
	maxLife     = time.Hour
	firstRetry  = time.Second
	lastRetry   = time.Minute

	bucketSize   = 3
	bucketRefill = 20 * time.Second
	unknownLife  = 20 * time.Second
	maxUnknown   = 1024
)

// Config says whose keys.
type Config struct {
	ID      string // of the trust record
	Issuer  string // asked by discovery; or
	JWKSURI string // asked directly; with an Issuer, instead of the address that discovery names
	Allowed []string
	Verify  bool // the issuer's certificate
	Timeout time.Duration
	Headers []Header // of requests for the discovery document
}

// Header is a header with what may be a key.
type Header struct {
	Name  string
	Value redact.Secret
}

// Name says which issuer it is, in logs and metrics.
func (c Config) Name() string {
	if c.Issuer != "" {
		return display(c.Issuer)
	}
	return display(c.JWKSURI)
}

// Set is what is known of an issuer at a moment. It is immutable.
type Set struct {
	Issuers []string
	Keys    []keys.Key
	Fetched time.Time
	Hash    string
	// Metadata is what the issuer says of itself; of a JWKSURI there is none.
	Metadata Metadata
	// Err is why there are no keys.
	Err error
}

// Has reports whether the set has a key with that id.
func (s *Set) Has(kid string) bool {
	for _, k := range s.Keys {
		if k.ID == kid {
			return true
		}
	}
	return false
}

// Trust returns the trust record of a set.
func (s *Set) Trust(id string) *bundle.Trust {
	t := &bundle.Trust{ID: id, Hash: s.Hash, Issuers: s.Issuers}
	if s.Err != nil {
		t.Unavailable = "the issuer's keys are not available"
		return t
	}
	for _, k := range s.Keys {
		t.Keys = append(t.Keys, k.Bundle())
	}
	return t
}

// Outcome of a look-up.
type Outcome int

// The outcomes.
const (
	Unavailable Outcome = iota // no keys at all
	Found
	Unknown   // the issuer does not have that key
	Throttled // it may not be asked now
)

// Provider keeps the keys of one issuer.
type Provider struct {
	config  Config
	client  *http.Client
	logger  *slog.Logger
	now     func() time.Time
	changed func() // called when the set is another one

	mu        sync.Mutex // guards what follows
	set       *Set
	flight    *flight
	strangers bucket               // for kids that anybody may have made up
	own       bucket               // for kids of the issuer's own answers
	unknown   map[string]time.Time // kid → until
	next      time.Time            // of the background refresh
	failures  int
	asked     int64 // requests for keys that reached the issuer
	expired   bool  // the keys became too old, and changed was not called since

	wake  chan struct{}
	once  sync.Once
	tried chan struct{} // closed when the issuer has been asked once
}

// bucket bounds how often an issuer is asked for an unknown key.
type bucket struct {
	tokens   int
	refilled time.Time
}

// flight is a refresh that is under way.
type flight struct{ done chan struct{} }

// New returns a provider without keys. changed is called, without a lock held,
// whenever Current returns another set.
func New(config Config, client *http.Client, logger *slog.Logger, now func() time.Time, changed func()) *Provider {
	return &Provider{
		config: config, client: client, logger: logger, now: now, changed: changed,
		set:       &Set{Err: errors.New("not asked yet"), Hash: "none-" + config.ID},
		strangers: bucket{bucketSize, now()},
		own:       bucket{bucketSize, now()},
		unknown:   map[string]time.Time{},
		next:      now(),
		wake:      make(chan struct{}, 1),
		tried:     make(chan struct{}),
	}
}

// Tried is closed when the issuer has been asked for the first time, with or
// without success.
func (p *Provider) Tried() <-chan struct{} { return p.tried }

// Config returns what the provider was made with.
func (p *Provider) Config() Config { return p.config }

// Client returns the HTTP client that the issuer is asked with.
func (p *Provider) Client() *http.Client { return p.client }

// Asked returns how often the issuer was asked for keys.
func (p *Provider) Asked() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Run refreshes in the background until ctx ends.
func (p *Provider) Run(ctx context.Context) {
	for {
		p.mu.Lock()
		wait := p.next.Sub(p.now())
		p.mu.Unlock()
		if wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-p.wake:
				timer.Stop()
			case <-timer.C:
			}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		p.refresh(ctx)
	}
}

// Current returns the set in use.
func (p *Provider) Current() *Set {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current()
}

// current is Current with mu held: keys that are too old are none.
func (p *Provider) current() *Set {
	if p.set.Err == nil && p.now().Sub(p.set.Fetched) > MaxStale {
		p.set = &Set{Err: errors.New("keys are older than 24 hours"), Hash: "stale-" + p.config.ID, Issuers: p.set.Issuers}
		p.expired = true
	}
	return p.set
}

// Lookup returns the set that has kid, asking the issuer if it may be asked.
func (p *Provider) Lookup(ctx context.Context, kid string) (*Set, Outcome) {
	return p.lookup(ctx, kid, &p.strangers)
}

// LookupOwn is Lookup for a token that came from the issuer itself, in an answer to a
// request of ours: strangers, who make kids up, do not use up what it may ask.
func (p *Provider) LookupOwn(ctx context.Context, kid string) (*Set, Outcome) {
	return p.lookup(ctx, kid, &p.own)
}

func (p *Provider) lookup(ctx context.Context, kid string, budget *bucket) (*Set, Outcome) {
	p.mu.Lock()
	set := p.current()
	if set.Err == nil && set.Has(kid) {
		p.mu.Unlock()
		return set, Found
	}
	now := p.now()
	if until, ok := p.unknown[kid]; ok && now.Before(until) && set.Err == nil {
		p.mu.Unlock()
		return set, Unknown
	}
	f := p.flight
	if f == nil && !budget.take(now) {
		p.mu.Unlock()
		if set.Err != nil {
			return set, Unavailable
		}
		return set, Throttled
	}
	p.mu.Unlock()
	if f != nil {
		select {
		case <-f.done:
		case <-ctx.Done():
			return set, Throttled
		}
	} else {
		p.refresh(context.WithoutCancel(ctx)) // others wait for it too
	}
	return p.settle(kid, now)
}

// settle says what a refresh has brought for kid.
func (p *Provider) settle(kid string, asked time.Time) (*Set, Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	set := p.current()
	switch {
	case set.Err != nil:
		return set, Unavailable
	case set.Has(kid):
		return set, Found
	case set.Fetched.Before(asked):
		return set, Throttled // the refresh failed: we do not know
	}
	if len(p.unknown) >= maxUnknown {
		clear(p.unknown)
	}
	p.unknown[kid] = p.now().Add(unknownLife)
	return set, Unknown
}

// take takes a token from the bucket.
func (b *bucket) take(now time.Time) bool {
	for b.tokens < bucketSize && now.Sub(b.refilled) >= bucketRefill {
		b.tokens++
		b.refilled = b.refilled.Add(bucketRefill)
	}
	if b.tokens == bucketSize {
		b.refilled = now
	}
	if b.tokens == 0 {
		return false
	}
	b.tokens--
	return true
}

// refresh asks the issuer, or waits for a refresh that is under way.
func (p *Provider) refresh(ctx context.Context) {
	p.mu.Lock()
	if f := p.flight; f != nil {
		p.mu.Unlock()
		<-f.done
		return
	}
	f := &flight{done: make(chan struct{})}
	p.flight = f
	p.asked++
	p.mu.Unlock()

	started := p.now()
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	set, life, err := p.fetch(ctx)
	cancel()

	p.mu.Lock()
	p.flight = nil
	changed := p.store(set, life, started, err)
	p.mu.Unlock()
	close(f.done)
	p.once.Do(func() { close(p.tried) })
	select {
	case p.wake <- struct{}{}:
	default:
	}
	if changed {
		p.changed()
	}
}

// fetch asks for discovery, where there is any, and for the keys.
func (p *Provider) fetch(ctx context.Context) (*Set, time.Duration, error) {
	uri, issuers := p.config.JWKSURI, []string(nil)
	var m Metadata
	if p.config.Issuer != "" {
		var err error
		if m, err = discover(ctx, p.client, &p.config); err != nil {
			return nil, 0, err
		}
		issuers = []string{m.Issuer}
		if uri == "" {
			uri = m.JWKSURI
		}
	}
	list, life, err := fetchKeys(ctx, p.client, uri)
	if err != nil {
		return nil, 0, err
	}
	set := &Set{Issuers: issuers, Keys: list, Metadata: m}
	set.Hash = set.hash()
	return set, life, nil
}

// hash names the content, so that a verdict can say what it rests on.
func (s *Set) hash() string {
	h := sha256.New()
	for _, iss := range s.Issuers {
		fmt.Fprintf(h, "%q\n", iss)
	}
	for _, k := range s.Keys {
		fmt.Fprintf(h, "%q %v %q %x\n", k.ID, k.Alg, k.Unusable, k.SPKI())
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// store takes over the outcome of a refresh and plans the next; mu is held.
func (p *Provider) store(set *Set, life time.Duration, started time.Time, err error) (changed bool) {
	now := p.now()
	before := p.current()
	if err != nil {
		p.failures++
		wait := min(firstRetry<<min(p.failures-1, 10), lastRetry)
		p.next = now.Add(wait/2 + rand.N(wait))
		p.logger.Warn("the issuer's keys cannot be refreshed", "issuer", p.name(), "error", err,
			"failures", p.failures, "have_keys", before.Err == nil)
		if before.Err != nil {
			p.set = &Set{Err: err, Hash: before.Hash, Issuers: before.Issuers}
		}
		// Keys that became too old have to leave the bundle too.
		changed, p.expired = p.expired, false
		return changed
	}
	p.failures, p.expired = 0, false
	if life == 0 {
		life = defaultLife
	}
	life = min(max(life, minLife), maxLife)
	// At four fifths of the lifetime, so that it is over before the keys expire.
	p.next = now.Add(life*4/5 - rand.N(life/10))
	set.Fetched = started
	p.set = set
	if before.Err == nil && before.Hash == set.Hash {
		return false
	}
	clear(p.unknown)
	p.logger.Info("the issuer's keys are in use", "issuer", p.name(), "keys", len(set.Keys))
	return true
}

func (p *Provider) name() string { return p.config.Name() }
