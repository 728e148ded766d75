package revoke

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
