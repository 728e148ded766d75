package revoke

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var errDisk = errors.New("the disk is broken")

// brokenFile is a file whose calls fail, or wait.
type brokenFile struct {
	file
	write, sync    error
	keep           int // how many bytes a failing write still writes
	syncs          int
	entered, leave chan struct{} // when set: Sync tells the one and waits for the other
}

func (f *brokenFile) Write(p []byte) (int, error) {
	if f.write != nil {
		n, err := f.file.Write(p[:min(f.keep, len(p))])
		return n, errors.Join(f.write, err)
	}
	return f.file.Write(p)
}

func (f *brokenFile) Sync() error {
	f.syncs++
	if f.entered != nil {
		f.entered <- struct{}{}
		<-f.leave
	}
	return errors.Join(f.sync, f.file.Sync())
}

// crash returns what is left of a list when its process ends now.
func crash(t *testing.T, l *List) *List {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, journalName), []byte(journal(t, l.dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return openList(t, dir, l.now)
}

func TestBrokenDisk(t *testing.T) {
	// Each breaks the disk of a list and returns what mends it.
	breakFile := func(f brokenFile) func(l *List) func() {
		return func(l *List) func() {
			f.file = l.file
			l.file = &f
			return func() {}
		}
	}
	breakDisk := func(change func(d *disk)) func(l *List) func() {
		return func(l *List) func() {
			change(&l.disk)
			return func() { l.disk = realDisk }
		}
	}
	noCreate := breakDisk(func(d *disk) { d.create = func(string) (file, error) { return nil, errDisk } })
	noNew := breakDisk(func(d *disk) {
		d.create = func(path string) (file, error) {
			f, err := realDisk.create(path)
			return &brokenFile{file: f, sync: errDisk}, err
		}
	})
	noRename := breakDisk(func(d *disk) { d.rename = func(_, _ string) error { return errDisk } })
	noDir := breakDisk(func(d *disk) { d.syncDir = func(string) error { return errDisk } })
	fsync := breakFile(brokenFile{sync: errDisk})
	both := func(a, b func(l *List) func()) func(l *List) func() {
		return func(l *List) func() { a(l); return b(l) }
	}
	grown := func(l *List) func() { l.slack = -1000; return func() {} }

	for _, test := range []struct {
		name   string
		breaks func(l *List) func()
		stays  bool // until it is mended
	}{
		{"nothing is written", breakFile(brokenFile{write: errDisk}), false},
		{"half a line is written", breakFile(brokenFile{write: errDisk, keep: 20}), false},
		{"all is written, and an error", breakFile(brokenFile{write: errDisk, keep: 1 << 20}), false},
		{"fsync", fsync, false},
		{"fsync, and no new file can be made", both(fsync, noCreate), true},
		{"fsync, and that of new files", both(fsync, noNew), true},
		{"fsync, and renaming", both(fsync, noRename), true},
		{"fsync, and that of the directory", both(fsync, noDir), true},
		{"renaming, when the file has grown", both(grown, noRename), true},
		{"fsync of the directory, when the file has grown", both(grown, noDir), true},
	} {
		for _, call := range []string{"once", "revoke"} {
			t.Run(test.name+" "+call, func(t *testing.T) {
				l := openList(t, t.TempDir(), newClock().now)
				put := func(key string) error {
					if call == "revoke" {
						return l.Revoke(key, at(0), at(100))
					}
					fresh, err := l.Once(key, at(100))
					if fresh != (err == nil) {
						t.Errorf("%q: %t and %v", key, fresh, err)
					}
					return err
				}
				has := func(l *List, key string) bool {
					if call == "revoke" {
						return l.Revoked(key, at(0))
					}
					_, known := l.once.alive(idOf(key), roundDown(l.now()))
					return known
				}
				if err := put("before"); err != nil {
					t.Fatal(err)
				}
				mend := test.breaks(l)
				for i := 0; i == 0 || i < 3 && test.stays; i++ {
					if err := put("a"); !errors.Is(err, errDisk) {
						t.Fatalf("%v, want the disk's error", err)
					}
					if has(l, "a") {
						t.Error("it counts without being durable")
					}
					if !has(l, "before") || !has(crash(t, l), "before") {
						t.Error("what was durable is lost")
					}
				}
				mend()
				for _, key := range []string{"b", "a", "c"} {
					if err := put(key); err != nil {
						t.Fatalf("%q, once the disk is mended: %v", key, err)
					}
				}
				for _, key := range []string{"before", "a", "b", "c"} {
					if !has(l, key) || !has(crash(t, l), key) {
						t.Errorf("%q was durable and is lost", key)
					}
				}
			})
		}
	}
}

// A file that is too long is no reason to refuse anything.
func TestReplacementThatCannotBegin(t *testing.T) {
	l := openList(t, t.TempDir(), newClock().now)
	l.slack = 0
	tried := 0
	l.disk.create = func(string) (file, error) { tried++; return nil, errDisk }
	for i := range 100 {
		revoke(t, l, "sub", at(float64(i)), at(1000))
	}
	if tried < 2 || tried > 6 {
		t.Errorf("tried %d times within 100 lines", tried)
	}
	if after := crash(t, l); !after.Revoked("sub", at(99)) {
		t.Error("what was durable is lost")
	}
	l.disk = realDisk
	for i := range 100 {
		revoke(t, l, "sub", at(100+float64(i)), at(1000))
	}
	if n := strings.Count(journal(t, l.dir), "\n"); n > 50 || l.retry != 0 {
		t.Errorf("%d lines, once there is room", n)
	}
}

// Whoever comes while another caller's write of the same key is under way shares
// its fate, and the key is not used up.
func TestWaitingForAWriteThatFails(t *testing.T) {
	l := openList(t, t.TempDir(), newClock().now)
	slow := &brokenFile{file: l.file, sync: errDisk, entered: make(chan struct{}), leave: make(chan struct{})}
	l.file = slow
	l.disk.create = func(string) (file, error) { return nil, errDisk } // for those who come later
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if fresh, err := l.Once("key", at(100)); fresh || !errors.Is(err, errDisk) {
				t.Errorf("%t, %v, want the disk's error", fresh, err)
			}
		})
		if i == 0 {
			<-slow.entered
		}
	}
	slow.leave <- struct{}{}
	wg.Wait()
	l.disk = realDisk
	once(t, l, "key", at(100), true)
}

// A crash at any step of a replacement leaves a journal with all that was durable.
func TestCrashWhileTheFileIsReplaced(t *testing.T) {
	l := openList(t, t.TempDir(), newClock().now)
	l.slack = -1000 // each entry replaces the file
	durable, steps := 0, 0
	check := func() {
		steps++
		after := crash(t, l)
		for i := range durable {
			once(t, after, fmt.Sprint(i), at(100), false)
		}
	}
	l.disk = disk{
		create: func(path string) (file, error) {
			check()
			f, err := realDisk.create(path)
			check()
			return &watchedFile{f, check}, err
		},
		rename: func(from, to string) error {
			check()
			err := realDisk.rename(from, to)
			check()
			return err
		},
		syncDir: func(dir string) error {
			check()
			return realDisk.syncDir(dir)
		},
	}
	for i := range 5 {
		once(t, l, fmt.Sprint(i), at(100), true)
		durable++
	}
	check()
	if steps < 5*7 {
		t.Errorf("looked at %d steps", steps)
	}
}

// watchedFile calls a function before each write and fsync.
type watchedFile struct {
	file
	before func()
}

func (f *watchedFile) Write(p []byte) (int, error) { f.before(); return f.file.Write(p) }
func (f *watchedFile) Sync() error                 { f.before(); return f.file.Sync() }
