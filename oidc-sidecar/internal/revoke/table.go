package revoke

import (
	"container/heap"
	"crypto/sha256"
	"math"
	"time"
)

// id stands for a key. Half a SHA-256 is enough: two keys with one id make the
// list refuse more, never less.
type id [16]byte

func idOf(key string) id {
	sum := sha256.Sum256([]byte(key))
	return id(sum[:len(id{})])
}

// entry is what is known of a key, in microseconds since 1970. It counts up to
// and with until. at is when it was revoked, 0 for what counts once.
type entry struct{ at, until int64 }

// covers reports whether o adds nothing to e.
func (e entry) covers(o entry) bool { return e.at >= o.at && e.until >= o.until }

func (e entry) merge(o entry) entry { return entry{max(e.at, o.at), max(e.until, o.until)} }

// table is a set of entries that knows which ends first.
type table struct {
	entries map[id]entry
	queue   queue // one element for each entry, its end or an earlier one
}

func newTable() *table { return &table{entries: map[id]entry{}} }

// alive returns the entry of a key that has not ended.
func (t *table) alive(k id, now int64) (entry, bool) {
	e, ok := t.entries[k]
	return e, ok && e.until >= now
}

func (t *table) add(k id, e entry) {
	old, ok := t.entries[k]
	if !ok {
		heap.Push(&t.queue, end{e.until, k})
	}
	t.entries[k] = old.merge(e)
}

// purge removes entries that have ended, but looks at no more than limit.
func (t *table) purge(now int64, limit int) {
	for ; limit > 0 && len(t.queue) > 0 && t.queue[0].until < now; limit-- {
		first := t.queue[0]
		if e := t.entries[first.id]; e.until > first.until {
			t.queue[0].until = e.until
			heap.Fix(&t.queue, 0)
			continue
		}
		heap.Pop(&t.queue)
		delete(t.entries, first.id)
	}
}

type end struct {
	until int64
	id    id
}

// queue is a heap with the earliest end first.
type queue []end

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].until < q[j].until }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(end)) }

func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// The range that microseconds have room for: 290,000 years each way.
var earliest, latest = time.UnixMicro(math.MinInt64), time.UnixMicro(math.MaxInt64)

// roundDown returns the microsecond that t is in.
func roundDown(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return math.MinInt64
	case t.After(latest):
		return math.MaxInt64
	}
	return t.UnixMicro()
}

// roundUp returns the first microsecond that is not before t.
func roundUp(t time.Time) int64 {
	us := roundDown(t)
	if us < math.MaxInt64 && time.UnixMicro(us).Before(t) {
		us++
	}
	return us
}
