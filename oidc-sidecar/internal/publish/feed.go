package publish

import "crypto/rand"

// feed numbers what happens. Its id changes with every start, so that numbers of
// different lives are never compared.
type feed struct {
	id      string
	seq     uint64
	entries []change // ascending, at most maxChanges
	dropped uint64   // the number of the last entry that is no longer kept
}

// change is one credential that was added, changed or removed.
type change struct {
	seq uint64
	key string
}

func newFeed() feed { return feed{id: rand.Text(), seq: 1, dropped: 1} }

// add enters changed credentials, and moves on when only the bundle did.
func (f *feed) add(keys []string, moved bool) {
	for _, key := range keys {
		f.seq++
		f.entries = append(f.entries, change{f.seq, key})
	}
	if len(keys) == 0 && moved {
		f.seq++
	}
	if n := len(f.entries) - maxChanges; n > 0 {
		f.dropped = f.entries[n-1].seq
		f.entries = append([]change(nil), f.entries[n:]...)
	}
}

// since returns the credentials that changed after a number, or that the reader
// has to forget everything because some of it is not known any more.
func (f *feed) since(id string, seq uint64) (keys []string, reset bool) {
	if id != f.id || seq < f.dropped || seq > f.seq {
		return nil, true
	}
	for _, e := range f.entries {
		if e.seq <= seq {
			continue
		}
		if len(keys) == maxAnswered {
			return nil, true
		}
		keys = append(keys, e.key)
	}
	return keys, false
}
