package revoke

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// MaxEntries is how many revocations, and how many ids that count once, a list
// holds that have not ended.
const MaxEntries = 1 << 20

var (
	// ErrFull: there is no room for another entry until one ends.
	ErrFull = errors.New("revoke: the list is full")
	// ErrClosed: the list was closed.
	ErrClosed = errors.New("revoke: the list is closed")
)

const (
	// defaultSlack is how many lines a journal may have beyond twice of what is
	// alive.
	defaultSlack = 4096
	// purgeLimit is how many ended entries are removed at a time, while readers
	// wait.
	purgeLimit = 4096
)

// List is what must not be accepted any more. It is safe for concurrent use.
type List struct {
	dir   string
	now   func() time.Time
	disk  disk
	max   int
	slack int

	// commit is held while a batch is written. It comes before mu. The tables
	// change only with both held, so that either is enough to read them.
	commit  sync.Mutex
	file    file
	lines   int  // of the file, but for the header
	damaged bool // the file is not to be trusted: it has to be written anew
	retry   int  // how many lines the file may have before it is tried again to shorten it

	mu            sync.RWMutex
	revoked, once *table
	closed        bool
	open          *batch        // takes new records; nil when there are none
	claimed       map[id]*batch // ids of Once on their way to the disk
}

// batch is what one fsync makes durable. done and err are guarded by List.commit;
// the rest by List.mu until it is no longer the open one.
type batch struct {
	text    []byte
	records []record
	done    bool
	err     error
}

// Open reads the journal in dir, which must exist, and writes it anew without what
// has ended. A line that is not right is an error that says its number. now is
// called by several goroutines.
func Open(dir string, now func() time.Time) (*List, error) {
	l := &List{dir: dir, now: now, disk: realDisk, max: MaxEntries, slack: defaultSlack,
		revoked: newTable(), once: newTable(), claimed: map[id]*batch{}}
	if err := l.load(); err != nil {
		return nil, err
	}
	if err := l.rewrite(); err != nil {
		if l.file != nil {
			_ = l.file.Close()
		}
		return nil, err
	}
	return l, nil
}

func (l *List) path() string { return filepath.Join(l.dir, journalName) }

func (l *List) load() error {
	f, err := os.Open(l.path())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	// Lines that have ended count too: the entry of a later line may have its time
	// from an earlier one.
	if err := read(f, func(r record) { l.table(r.once).add(r.id, r.entry) }); err != nil {
		return fmt.Errorf("revoke: %s: %w", l.path(), err)
	}
	now := roundDown(l.now())
	l.revoked.purge(now, math.MaxInt)
	l.once.purge(now, math.MaxInt)
	return nil
}

func (l *List) table(once bool) *table {
	if once {
		return l.once
	}
	return l.revoked
}

// Revoke makes Revoked true for what was issued under a key up to at, until the
// time until. It returns nil once that survives a crash. Of two entries for a key
// the later times count. With an error it is not known whether the entry survives.
func (l *List) Revoke(key string, at, until time.Time) error {
	r := record{id: idOf(key), entry: entry{roundUp(at), roundUp(until)}}
	now := roundDown(l.now())
	if r.until < now {
		return nil // it would have no effect
	}
	for purged := false; ; purged = true {
		l.mu.Lock()
		old, known := l.revoked.alive(r.id, now)
		switch {
		case known && old.covers(r.entry):
			l.mu.Unlock()
			return nil
		case known || len(l.revoked.entries) < l.max:
			b := l.join(r)
			l.mu.Unlock()
			return l.wait(b)
		}
		l.mu.Unlock()
		if purged {
			return ErrFull
		}
		l.purge(now)
	}
}

// Revoked reports whether a key was revoked at the time issued or later, and the
// end of that has not passed.
func (l *List) Revoked(key string, issued time.Time) bool {
	k, now := idOf(key), roundDown(l.now())
	l.mu.RLock()
	defer l.mu.RUnlock()
	e, ok := l.revoked.alive(k, now)
	return ok && e.at >= roundDown(issued)
}

// Once reports whether a key is used for the first time, and remembers it until
// the time until. fresh is true for one caller only, once that survives a crash;
// it is false, without an error, for every other, and when until has passed. With
// an error nothing is known, and the key must not be accepted.
func (l *List) Once(key string, until time.Time) (fresh bool, err error) {
	r := record{once: true, id: idOf(key), entry: entry{until: roundUp(until)}}
	now := roundDown(l.now())
	if r.until < now {
		return false, nil
	}
	for purged := false; ; purged = true {
		l.mu.Lock()
		if _, known := l.once.alive(r.id, now); known {
			l.mu.Unlock()
			return false, nil
		}
		if b := l.claimed[r.id]; b != nil {
			// The other caller was first, unless its write fails.
			l.mu.Unlock()
			return false, l.wait(b)
		}
		if len(l.once.entries)+len(l.claimed) < l.max {
			b := l.join(r)
			l.claimed[r.id] = b
			l.mu.Unlock()
			err := l.wait(b)
			return err == nil, err
		}
		l.mu.Unlock()
		if purged {
			return false, ErrFull
		}
		l.purge(now)
	}
}

// Close waits for the batch that is being written and closes the journal. Revoked
// keeps answering.
func (l *List) Close() error {
	l.commit.Lock()
	defer l.commit.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	return l.file.Close()
}

// join puts a record into the open batch. l.mu is held.
func (l *List) join(r record) *batch {
	if l.open == nil {
		l.open = &batch{}
	}
	l.open.records = append(l.open.records, r)
	l.open.text = r.appendTo(l.open.text)
	return l.open
}

func (l *List) purge(now int64) {
	l.commit.Lock()
	defer l.commit.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revoked.purge(now, purgeLimit)
	l.once.purge(now, purgeLimit)
}
