package provider

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// clock is a clock that a test turns.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func newProvider(t testing.TB, c Config, now func() time.Time) *Provider {
	t.Helper()
	client := NewClient(c)
	t.Cleanup(client.CloseIdleConnections)
	return New(c, client, slog.New(slog.DiscardHandler), now, func() {})
}

// counted returns a provider of s on a clock, and how often it announced a
// change.
func counted(t testing.TB, s *idp.Server) (*Provider, *clock, *atomic.Int64) {
	t.Helper()
	c, n := newClock(), &atomic.Int64{}
	p := newProvider(t, Config{ID: "t1", Issuer: s.Issuer(), Timeout: 5 * time.Second}, c.now)
	p.changed = func() { n.Add(1) }
	return p, c, n
}

func TestUnknownKidsDoNotFloodTheIssuer(t *testing.T) {
	s := idp.Start(t)
	p, clock, _ := counted(t, s)
	p.refresh(t.Context())
	outcomes := func(prefix string, n int) map[Outcome]int {
		got := map[Outcome]int{}
		for i := range n {
			_, o := p.Lookup(t.Context(), fmt.Sprint(prefix, i))
			got[o]++
		}
		return got
	}
	for i, step := range []struct {
		wait     time.Duration
		requests int // to the issuer for a hundred unknown kids
	}{
		{0, 3},
		{0, 0},
		{19 * time.Second, 0},
		{time.Second, 1},
		{40 * time.Second, 2},
		{time.Hour, 3}, // no more than the bucket holds
		{20 * time.Second, 1},
	} {
		clock.advance(step.wait)
		before := s.Asked()
		got := outcomes(fmt.Sprint("step-", i, "-"), 100)
		if n := s.Asked() - before; n != step.requests {
			t.Errorf("step %d: the issuer was asked %d times, want %d", i, n, step.requests)
		}
		if got[Unknown] != step.requests || got[Throttled] != 100-step.requests {
			t.Errorf("step %d: outcomes %v: expected unknown only for those that were asked for", i, got)
		}
		if _, o := p.Lookup(t.Context(), "k1"); o != Found {
			t.Errorf("step %d: a known kid is %v", i, o)
		}
	}
	if p.Asked() != int64(s.Asked()) {
		t.Errorf("the metric says %d, the issuer %d", p.Asked(), s.Asked())
	}
}

// TestStrangersDoNotHinderLogins: the keys have been rotated, and a flood of made-up
// kids has used up what strangers may ask; the issuer's own answer is still verified.
func TestStrangersDoNotHinderLogins(t *testing.T) {
	s := idp.Start(t)
	p, _, _ := counted(t, s)
	p.refresh(t.Context())
	for i := range 10 {
		_, _ = p.Lookup(t.Context(), fmt.Sprint("made-up-", i))
	}
	s.Add("k2", "ES256", "ec256")
	if _, o := p.Lookup(t.Context(), "k2"); o != Throttled {
		t.Fatalf("a stranger's token is %v", o)
	}
	if _, o := p.LookupOwn(t.Context(), "k2"); o != Found {
		t.Errorf("the issuer's own token is %v", o)
	}
	// It has a bound, too.
	before := s.Asked()
	for i := range 10 {
		_, _ = p.LookupOwn(t.Context(), fmt.Sprint("own-", i))
	}
	if n := s.Asked() - before; n != bucketSize-1 {
		t.Errorf("the issuer was asked %d times more, want %d", n, bucketSize-1)
	}
}

func TestAnUnknownKidIsRemembered(t *testing.T) {
	s := idp.Start(t)
	p, clock, changed := counted(t, s)
	p.refresh(t.Context())
	ask := func(kid string, want Outcome, requests int) {
		t.Helper()
		before := s.Asked()
		if _, o := p.Lookup(t.Context(), kid); o != want || s.Asked()-before != requests {
			t.Errorf("%s: outcome %v after %d requests, want %v after %d", kid, o, s.Asked()-before, want, requests)
		}
	}
	ask("k2", Unknown, 1)
	ask("k2", Unknown, 0)
	clock.advance(unknownLife)
	ask("k2", Unknown, 1)
	ask("k2", Unknown, 0)

	// A new key is found at once, and what was unknown before it is asked again.
	s.Add("k3", "ES256", "ec256")
	s.Add("k2", "EdDSA", "ed25519")
	ask("k3", Found, 1)
	ask("k2", Found, 0)
	if changed.Load() != 2 {
		t.Errorf("%d changes were announced, want 2", changed.Load())
	}
	// A key that the issuer takes back goes with the next refresh.
	s.Remove("k1")
	ask("k1", Found, 0)
	clock.advance(20 * time.Second)
	p.refresh(t.Context())
	ask("k1", Unknown, 1)
}

func TestWithoutKeysNothingIsVerified(t *testing.T) {
	s := idp.Start(t)
	s.Misbehave(idp.Error500)
	p, clock, changed := counted(t, s)
	for i := range 5 {
		set, o := p.Lookup(t.Context(), "k1")
		if o != Unavailable || set.Err == nil || len(set.Keys) != 0 {
			t.Errorf("%d: outcome %v with %d keys", i, o, len(set.Keys))
		}
	}
	if p.Asked() != bucketSize {
		t.Errorf("the issuer was asked %d times, want %d", p.Asked(), bucketSize)
	}
	if trust := p.Current().Trust("t1"); trust.Unavailable == "" || len(trust.Keys) != 0 || trust.ID != "t1" || trust.Hash == "" {
		t.Errorf("trust record %+v", trust)
	}
	s.Misbehave("")
	clock.advance(bucketRefill)
	if _, o := p.Lookup(t.Context(), "k1"); o != Found {
		t.Errorf("outcome %v after the issuer has come back", o)
	}
	if trust := p.Current().Trust("t1"); trust.Unavailable != "" || len(trust.Keys) != 1 || trust.Issuers[0] != s.Issuer() {
		t.Errorf("trust record %+v", trust)
	}
	if changed.Load() != 1 {
		t.Errorf("%d changes were announced, want 1", changed.Load())
	}
}

// A failed refresh takes no keys away, for a day. Then they go, and those who
// hold them are told.
func TestStaleKeysAreKeptForADay(t *testing.T) {
	for _, fault := range []idp.Fault{idp.Error500, idp.NotJSON, idp.NoKeys, idp.OtherIssuer} {
		t.Run(string(fault), func(t *testing.T) {
			s := idp.Start(t)
			p, clock, changed := counted(t, s)
			p.refresh(t.Context())
			s.Misbehave(fault)
			for range 24 {
				clock.advance(time.Hour)
				p.refresh(t.Context())
				if set := p.Current(); set.Err != nil || !set.Has("k1") {
					t.Fatalf("the keys are gone: %v", set.Err)
				}
				if _, o := p.Lookup(t.Context(), "k1"); o != Found {
					t.Fatalf("outcome %v", o)
				}
				if _, o := p.Lookup(t.Context(), "k2"); o != Throttled {
					t.Fatalf("outcome %v for another kid: nobody can say that it is unknown", o)
				}
			}
			clock.advance(time.Second)
			if changed.Load() != 1 {
				t.Fatalf("%d changes were announced before the end, want 1", changed.Load())
			}
			if set := p.Current(); set.Err == nil || len(set.Keys) != 0 || set.Trust("t1").Unavailable == "" {
				t.Errorf("keys older than a day are in use: %+v", set)
			}
			p.refresh(t.Context())
			if changed.Load() != 2 {
				t.Errorf("%d changes were announced after the end, want 2: the bundle keeps the keys", changed.Load())
			}
			p.refresh(t.Context())
			if changed.Load() != 2 {
				t.Errorf("%d changes were announced, want no third", changed.Load())
			}
			s.Misbehave("")
			p.refresh(t.Context())
			if changed.Load() != 3 || !p.Current().Has("k1") {
				t.Errorf("%d changes, want a third when the keys are back", changed.Load())
			}
		})
	}
}

func TestEqualKeysAreNoChange(t *testing.T) {
	s := idp.Start(t)
	p, _, changed := counted(t, s)
	p.refresh(t.Context())
	hash := p.Current().Hash
	p.refresh(t.Context())
	if changed.Load() != 1 || p.Current().Hash != hash {
		t.Errorf("%d changes, hash %s and %s", changed.Load(), hash, p.Current().Hash)
	}
	s.Add("k2", "ES256", "ec256")
	p.refresh(t.Context())
	if changed.Load() != 2 || p.Current().Hash == hash {
		t.Errorf("%d changes, want 2 and another hash", changed.Load())
	}
}

// gate is an issuer that answers when it is let.
func gate(t *testing.T) (url string, asked *atomic.Int64, open func()) {
	t.Helper()
	asked, held := &atomic.Int64{}, make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-held:
		case <-r.Context().Done():
		}
		_, _ = w.Write([]byte(keySet(tokens.JWK("ec256", "k1", nil))))
	}))
	open = sync.OnceFunc(func() { close(held) })
	t.Cleanup(s.Close)
	t.Cleanup(open)
	return s.URL, asked, open
}

func TestOneRequestForManyQuestions(t *testing.T) {
	url, asked, open := gate(t)
	p := newProvider(t, Config{JWKSURI: url, Timeout: 20 * time.Second}, time.Now)
	const n = 50
	outcomes := make(chan Outcome, n)
	for range n {
		go func() {
			_, o := p.Lookup(t.Context(), "k1")
			outcomes <- o
		}()
	}
	testenv.Eventually(t, 10*time.Second, "the issuer is asked", func() bool { return asked.Load() == 1 })
	// One that does not want to wait any more goes, and the others do not.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, o := p.Lookup(ctx, "k1"); o != Throttled {
		t.Errorf("outcome %v for a question that was taken back", o)
	}
	open()
	for range n {
		if o := <-outcomes; o != Found {
			t.Errorf("outcome %v", o)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("the issuer was asked %d times", asked.Load())
	}
}

// The question that makes the request may be taken back: others wait for it.
func TestTheFirstQuestionIsTakenBack(t *testing.T) {
	url, asked, open := gate(t)
	p := newProvider(t, Config{JWKSURI: url, Timeout: 20 * time.Second}, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Outcome, 1)
	go func() {
		_, o := p.Lookup(ctx, "k1")
		done <- o
	}()
	testenv.Eventually(t, 10*time.Second, "the issuer is asked", func() bool { return asked.Load() == 1 })
	cancel()
	open()
	if o := <-done; o != Found {
		t.Errorf("outcome %v", o)
	}
	if !p.Current().Has("k1") {
		t.Error("the keys are lost")
	}
}

func TestWhenTheIssuerIsAskedAgain(t *testing.T) {
	for _, test := range []struct {
		maxAge          time.Duration
		least, greatest time.Duration
	}{
		{0, 10 * time.Minute, 12 * time.Minute},              // a quarter of an hour
		{time.Second, 42 * time.Second, 48 * time.Second},    // a minute at least
		{10 * time.Minute, 7 * time.Minute, 8 * time.Minute}, // what it says
		{48 * time.Hour, 42 * time.Minute, 48 * time.Minute}, // an hour at most
	} {
		s := idp.Start(t)
		if test.maxAge > 0 {
			s.CacheFor(test.maxAge)
		}
		p, clock, _ := counted(t, s)
		p.refresh(t.Context())
		if wait := p.next.Sub(clock.now()); wait < test.least || wait > test.greatest {
			t.Errorf("max-age %v: asked again after %v, want %v to %v", test.maxAge, wait, test.least, test.greatest)
		}
	}
	s := idp.Start(t)
	s.Misbehave(idp.Error500)
	p, clock, _ := counted(t, s)
	for i := range 40 {
		p.refresh(t.Context())
		want := min(firstRetry<<min(i, 10), lastRetry)
		if wait := p.next.Sub(clock.now()); wait < want/2 || wait > want*3/2 {
			t.Errorf("failure %d: asked again after %v, want about %v", i, wait, want)
		}
	}
	s.Misbehave("")
	p.refresh(t.Context())
	if wait := p.next.Sub(clock.now()); wait < 10*time.Minute {
		t.Errorf("asked again after %v once it answers", wait)
	}
}

func TestRunKeepsTheKeysCurrent(t *testing.T) {
	s := idp.Start(t)
	s.Misbehave(idp.Error500)
	var log bytes.Buffer
	c := newClock()
	client := NewClient(Config{Issuer: "https://127.0.0.1", Verify: true, Timeout: time.Second})
	defer client.CloseIdleConnections()
	changed := make(chan struct{}, 16)
	p := New(Config{Issuer: s.Issuer(), Timeout: time.Second}, client, slog.New(slog.NewTextHandler(&log, nil)), c.now, func() { changed <- struct{}{} })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { p.Run(ctx); close(done) }()
	testenv.Eventually(t, 10*time.Second, "a first request", func() bool { return p.Asked() >= 1 })
	s.Misbehave("")
	// The clock stands still: only a wake-up lets Run look at it again. A question
	// is one, and afterwards the next refresh is planned anew.
	if _, o := p.Lookup(ctx, "k1"); o != Found {
		t.Errorf("outcome %v", o)
	}
	<-changed
	cancel()
	<-done
	if text := log.String(); !strings.Contains(text, "keys cannot be refreshed") || !strings.Contains(text, "keys are in use") {
		t.Errorf("log: %s", text)
	}
}
