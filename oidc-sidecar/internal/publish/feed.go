package publish

import (
	"crypto/rand"

	"github.com/sallyport-auth/sallyport/internal/wire"
)

// feed numbers what happens. Its id changes with every start, so that numbers of
// different lives are never compared.
type feed struct {
	id      string
	seq     uint64
	entries []change // ascending, at most maxChanges
	dropped uint64   // the number of the last entry that is no longer kept
}

// change is one thing that filters have to forget.
type change struct {
	seq  uint64
	kind kind
	key  string
}

// kind is what a change is about.
type kind uint8

const (
	credentials kind = iota // that were added, changed or removed, by key
	consumers               // likewise, by id, user name and custom id
	revoked                 // sessions that have ended
)

func newFeed() feed { return feed{id: rand.Text(), seq: 1, dropped: 1} }

// move steps on where only the bundle has changed.
func (f *feed) move() { f.seq++ }

// add enters changes of a kind.
func (f *feed) add(k kind, keys []string) {
	for _, key := range keys {
		f.seq++
		f.entries = append(f.entries, change{f.seq, k, key})
	}
	if n := len(f.entries) - maxChanges; n > 0 {
		f.dropped = f.entries[n-1].seq
		f.entries = append([]change(nil), f.entries[n:]...)
	}
}

// since fills in what has changed after a number, or that the reader has to forget
// everything because some of it is not known any more.
func (f *feed) since(id string, seq uint64, c *wire.Changes) {
	c.Reset = id != f.id || seq < f.dropped || seq > f.seq
	if c.Reset {
		return
	}
	n := 0
	for _, e := range f.entries {
		if e.seq <= seq {
			continue
		}
		if n++; n > maxAnswered {
			c.Credentials, c.Consumers, c.Revoked, c.Reset = nil, nil, nil, true
			return
		}
		switch e.kind {
		case consumers:
			c.Consumers = append(c.Consumers, e.key)
		case revoked:
			c.Revoked = append(c.Revoked, e.key)
		default:
			c.Credentials = append(c.Credentials, e.key)
		}
	}
}
