package revoke

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct{ us atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.us.Store(start.UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.us.Load()) }
func (c *clock) advance(d time.Duration) { c.us.Add(d.Microseconds()) }

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at returns a time that many seconds after start.
func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

func openList(t testing.TB, dir string, now func() time.Time) *List {
	t.Helper()
	l, err := Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// reopen is a restart.
func reopen(t testing.TB, l *List) *List {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return openList(t, l.dir, l.now)
}

func revoke(t testing.TB, l *List, key string, at, until time.Time) {
	t.Helper()
	if err := l.Revoke(key, at, until); err != nil {
		t.Fatal(err)
	}
}

// once fails unless Once says fresh.
func once(t testing.TB, l *List, key string, until time.Time, fresh bool) {
	t.Helper()
	if got, err := l.Once(key, until); err != nil || got != fresh {
		t.Errorf("once %q: %t, %v, want %t", key, got, err, fresh)
	}
}

func journal(t testing.TB, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRevoked(t *testing.T) {
	forever := time.Unix(1<<60, 0)
	type revocation struct{ at, until time.Time }
	for _, test := range []struct {
		name        string
		revocations []revocation
		issued      time.Time
		now         float64 // seconds after start
		want        bool
	}{
		{"never", nil, at(0), 0, false},
		{"issued before", []revocation{{at(10), at(100)}}, at(9), 10, true},
		{"issued at the time", []revocation{{at(10), at(100)}}, at(10), 10, true},
		{"issued after", []revocation{{at(10), at(100)}}, at(11), 10, false},
		{"issued a microsecond after", []revocation{{at(10), at(100)}}, at(10).Add(time.Microsecond), 10, false},
		{"a nanosecond is rounded to the safe side", []revocation{{at(10).Add(1), at(100)}}, at(10).Add(999), 10, true},
		{"at the end", []revocation{{at(10), at(100)}}, at(9), 100, true},
		{"past the end", []revocation{{at(10), at(100)}}, at(9), 100.000001, false},
		{"the later time counts", []revocation{{at(10), at(100)}, {at(20), at(50)}}, at(15), 60, true},
		{"in any order", []revocation{{at(20), at(50)}, {at(10), at(100)}}, at(15), 60, true},
		{"the later end counts", []revocation{{at(10), at(50)}, {at(10), at(100)}}, at(9), 60, true},
		{"a shorter one takes nothing away", []revocation{{at(10), at(100)}, {at(9), at(50)}}, at(10), 60, true},
		{"an unknown time of issue", []revocation{{at(10), at(100)}}, time.Time{}, 10, true},
		{"no end", []revocation{{at(10), forever}}, at(9), 1e9, true},
		{"always", []revocation{{forever, forever}}, forever, 0, true},
		{"ended before it began", []revocation{{at(-20), at(-10)}}, at(-30), 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClock()
			l := openList(t, t.TempDir(), c.now)
			for _, r := range test.revocations {
				revoke(t, l, "key", r.at, r.until)
			}
			c.us.Store(at(test.now).UnixMicro())
			for _, when := range []string{"at once", "after a restart"} {
				if got := l.Revoked("key", test.issued); got != test.want {
					t.Errorf("%s: %t, want %t", when, got, test.want)
				}
				if l.Revoked("other", test.issued) || l.Revoked("", test.issued) {
					t.Errorf("%s: another key is revoked", when)
				}
				l = reopen(t, l)
			}
		})
	}
}

func TestOnce(t *testing.T) {
	c := newClock()
	l := openList(t, t.TempDir(), c.now)
	once(t, l, "a", at(100), true)
	once(t, l, "a", at(100), false)
	once(t, l, "a", at(200), false) // a later end does not make it another one
	once(t, l, "b", at(100), true)
	once(t, l, "", at(100), true)
	once(t, l, "past", at(-1), false)
	revoke(t, l, "c", at(0), at(100))
	once(t, l, "c", at(100), true) // revocations are not in the way
	if l.Revoked("a", at(0)) {
		t.Error("what was used is revoked")
	}
	l = reopen(t, l)
	once(t, l, "a", at(100), false)
	c.advance(100 * time.Second)
	once(t, l, "a", at(200), false) // the end itself still counts
	c.advance(time.Microsecond)
	once(t, l, "a", at(200), true)
	once(t, l, "a", at(200), false)
	l = reopen(t, l)
	once(t, l, "a", at(200), false)
}

// Every test of a key sees one that is fresh, whoever else asks at the time.
func TestHammer(t *testing.T) {
	c := newClock()
	l := openList(t, t.TempDir(), c.now)
	l.slack = 50 // so that the file is replaced now and then
	const keys, callers = 100, 8
	var fresh [keys]atomic.Int64
	var wg sync.WaitGroup
	for g := range callers {
		wg.Go(func() {
			for i := range keys {
				key := fmt.Sprint("key", i)
				ok, err := l.Once(key, at(1e6))
				if err != nil {
					t.Error(err)
				}
				if ok {
					fresh[i].Add(1)
				}
				mine := fmt.Sprint("sub", g)
				if err := l.Revoke(mine, at(float64(i)), at(1e6)); err != nil {
					t.Error(err)
				}
				if !l.Revoked(mine, at(float64(i))) || l.Revoked(mine, at(float64(i)+1)) {
					t.Errorf("%s: not revoked up to %d", mine, i)
				}
				// What ends at once, so that there is something to purge.
				c.advance(time.Microsecond)
				if _, err := l.Once(fmt.Sprint("short", g, i), c.now().Add(10*time.Microsecond)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	check := func(when string) {
		for i := range keys {
			if n := fresh[i].Load(); n != 1 {
				t.Errorf("key %d was fresh %d times", i, n)
			}
			once(t, l, fmt.Sprint("key", i), at(1e6), false)
		}
		for g := range callers {
			if mine := fmt.Sprint("sub", g); !l.Revoked(mine, at(keys-1)) || l.Revoked(mine, at(keys)) {
				t.Errorf("%s: %s is not revoked up to the last time", when, mine)
			}
		}
	}
	check("at once")
	l = reopen(t, l)
	check("after a restart")
}

// While the disk is busy with one entry, all others gather for the next fsync.
func TestGroupCommit(t *testing.T) {
	c := newClock()
	l := openList(t, t.TempDir(), c.now)
	slow := &brokenFile{file: l.file, entered: make(chan struct{}), leave: make(chan struct{})}
	l.file = slow
	var wg sync.WaitGroup
	wg.Go(func() { once(t, l, "first", at(100), true) })
	<-slow.entered
	const others = 20
	for i := range others {
		wg.Go(func() { revoke(t, l, fmt.Sprint(i), at(0), at(100)) })
		wg.Go(func() { once(t, l, "first", at(100), false) }) // waits for the first
	}
	for gathered := 0; gathered < others; runtime.Gosched() {
		l.mu.Lock()
		if l.open != nil {
			gathered = len(l.open.records)
		}
		l.mu.Unlock()
		if l.Revoked("0", at(0)) {
			t.Fatal("revoked before it is durable")
		}
	}
	slow.leave <- struct{}{}
	<-slow.entered
	slow.leave <- struct{}{}
	wg.Wait()
	if slow.syncs != 2 {
		t.Errorf("%d fsyncs for %d entries, want 2", slow.syncs, others+1)
	}
}
