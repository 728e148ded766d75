package revoke

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestBounds(t *testing.T) {
	c := newClock()
	l := openList(t, t.TempDir(), c.now)
	l.max = 3
	for i := range 3 {
		once(t, l, fmt.Sprint(i), at(10+float64(i)), true)
		revoke(t, l, fmt.Sprint(i), at(0), at(10+float64(i)))
	}
	full := func(what string) {
		t.Helper()
		if fresh, err := l.Once("new", at(100)); fresh || err != ErrFull {
			t.Errorf("%s: once %t, %v, want ErrFull", what, fresh, err)
		}
		if err := l.Revoke("new", at(0), at(100)); err != ErrFull || l.Revoked("new", at(0)) {
			t.Errorf("%s: revoke %v, want ErrFull", what, err)
		}
		// What is there still counts, and can be made to count longer.
		once(t, l, "2", at(100), false)
		revoke(t, l, "2", at(1), at(12))
		if !l.Revoked("2", at(1)) {
			t.Errorf("%s: a revocation was not made later", what)
		}
	}
	full("full")
	l = reopen(t, l)
	l.max = 3
	full("full after a restart")
	l.max = 2
	full("more than full")
	l.max = 3
	c.advance(10*time.Second + 1*time.Microsecond)
	once(t, l, "new", at(100), true)
	revoke(t, l, "new", at(0), at(100))
	if fresh, err := l.Once("newer", at(100)); fresh || err != ErrFull {
		t.Errorf("once %t, %v when it is full again, want ErrFull", fresh, err)
	}
}

// What is on its way to the disk takes room too.
func TestBoundCountsWhatIsBeingWritten(t *testing.T) {
	l := openList(t, t.TempDir(), newClock().now)
	const room, callers = 5, 20
	l.max = room
	slow := &brokenFile{file: l.file, entered: make(chan struct{}), leave: make(chan struct{})}
	l.file = slow
	var wg sync.WaitGroup
	var fresh, full atomic.Int64
	for i := range callers {
		wg.Go(func() {
			switch ok, err := l.Once(fmt.Sprint(i), at(100)); {
			case ok && err == nil:
				fresh.Add(1)
			case !ok && err == ErrFull:
				full.Add(1)
			default:
				t.Errorf("%t, %v", ok, err)
			}
		})
		if i == 0 {
			<-slow.entered
		}
	}
	for gathered := 0; gathered < room-1; runtime.Gosched() {
		l.mu.Lock()
		if l.open != nil {
			gathered = len(l.open.records)
		}
		l.mu.Unlock()
	}
	slow.leave <- struct{}{}
	<-slow.entered
	slow.leave <- struct{}{}
	wg.Wait()
	if fresh.Load() != room || full.Load() != callers-room {
		t.Errorf("%d were fresh and %d found it full, want %d and %d", fresh.Load(), full.Load(), room, callers-room)
	}
}

func TestPurge(t *testing.T) {
	table := newTable()
	for i := range int64(6) {
		table.add(id{byte(i)}, entry{until: 10 + i})
	}
	table.add(id{0}, entry{until: 100}) // lives longer than the queue knows
	for _, step := range []struct {
		now   int64
		limit int
		left  int
	}{{10, 9, 6}, {15, 0, 6}, {15, 3, 4}, {15, 9, 2}, {15, 9, 2}, {16, 9, 1}, {100, 9, 1}, {101, 9, 0}} {
		table.purge(step.now, step.limit)
		if len(table.entries) != step.left || len(table.queue) != step.left {
			t.Errorf("at %d: %d entries and %d in the queue, want %d", step.now, len(table.entries), len(table.queue), step.left)
		}
		for k, e := range table.entries {
			if _, ok := table.alive(k, step.now); ok != (e.until >= step.now) {
				t.Errorf("at %d: the entry that ends at %d is alive: %t", step.now, e.until, ok)
			}
		}
	}
}

// A revocation that is known already costs no line.
func TestKnownRevocationIsNotWrittenAgain(t *testing.T) {
	l := openList(t, t.TempDir(), newClock().now)
	for _, step := range []struct {
		at, until float64
		lines     int
	}{{10, 100, 1}, {10, 100, 1}, {9, 100, 1}, {10, 99, 1}, {11, 100, 2}, {11, 101, 3}, {-1, 101, 3}, {0, 0, 3}, {0, -1, 3}} {
		revoke(t, l, "key", at(step.at), at(step.until))
		if l.lines != step.lines {
			t.Errorf("%d lines after %+v, want %d", l.lines, step, step.lines)
		}
	}
	revoke(t, l, "now", at(0), at(0))
	if !l.Revoked("now", at(0)) {
		t.Error("a revocation does not count at its end")
	}
}

func TestJournalShrinks(t *testing.T) {
	c := newClock()
	l := openList(t, t.TempDir(), c.now)
	l.slack = 10
	lines := func() int { return strings.Count(journal(t, l.dir), "\n") - 1 }
	for i := range 200 {
		revoke(t, l, "sub", at(float64(i)), at(1000))
		if n := lines(); n > 13 || n != l.lines {
			t.Fatalf("%d lines after %d revocations of one key, counted %d", n, i+1, l.lines)
		}
	}
	for range 200 {
		c.advance(time.Second)
		once(t, l, "id", c.now(), true)
	}
	if n := lines(); n > 2*2+11 {
		t.Errorf("%d lines", n)
	}
	for i := range 50 {
		once(t, l, fmt.Sprint(i), at(1000), true)
	}
	l = reopen(t, l)
	if n := lines(); n != 52 {
		t.Errorf("%d lines after a restart, want those of 52 entries", n)
	}
	if !l.Revoked("sub", at(199)) || l.Revoked("sub", at(200)) {
		t.Error("the last revocation is not what it was")
	}
	c.advance(time.Hour)
	l = reopen(t, l)
	if got := journal(t, l.dir); got != header {
		t.Errorf("journal %q after all has ended", got)
	}
	if len(l.revoked.entries)+len(l.revoked.queue)+len(l.once.entries)+len(l.once.queue) != 0 {
		t.Error("something is left of what has ended")
	}
}

func TestModeOfTheJournal(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	l := openList(t, t.TempDir(), newClock().now)
	if err := os.Chmod(l.path(), 0o666); err != nil {
		t.Fatal(err)
	}
	l = reopen(t, l)
	entries, err := os.ReadDir(l.dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the directory has %v, %v, want the journal", entries, err)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
}

func TestClose(t *testing.T) {
	l := openList(t, t.TempDir(), newClock().now)
	once(t, l, "a", at(100), true)
	revoke(t, l, "a", at(0), at(100))
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if fresh, err := l.Once("b", at(100)); fresh || err != ErrClosed {
		t.Errorf("once %t, %v, want ErrClosed", fresh, err)
	}
	if err := l.Revoke("b", at(0), at(100)); err != ErrClosed || l.Revoked("b", at(0)) {
		t.Errorf("revoke %v, want ErrClosed", err)
	}
	if !l.Revoked("a", at(0)) {
		t.Error("a closed list forgets")
	}
	if _, err := Open(filepath.Join(l.dir, "absent"), l.now); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}
