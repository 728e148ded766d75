package inquiry

import (
	"container/list"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// key names a question, or a caller, without telling what it is.
type key [sha256.Size]byte

// mac names a list of parts.
func (s *Service) mac(parts ...string) (k key) {
	h := hmac.New(sha256.New, s.salt)
	var n [8]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	h.Sum(k[:0])
	return k
}

// keyOf names a question.
func (s *Service) keyOf(q *question) key {
	parts := []string{"question", q.in.Realm, q.method.String(), q.value, q.beside}
	for _, list := range [][]pair{q.sent.headers, q.sent.args} {
		parts = append(parts, "sent")
		for _, p := range list {
			parts = append(parts, p.name, p.value)
		}
	}
	return s.mac(parts...)
}

// store remembers results, bounded in number, in bytes and for each caller. The least
// recently used go first.
type store struct {
	max, maxBytes int

	bytes   int
	entries map[key]*list.Element // of *entry
	order   *list.List            // the newest first
	callers map[key][]key         // questions of a caller, the oldest first
	names   map[string]map[key]bool
}

type entry struct {
	key  key
	r    result
	size int
}

func newStore(entries, bytes int) *store {
	return &store{max: entries, maxBytes: bytes, entries: map[key]*list.Element{}, order: list.New(),
		callers: map[key][]key{}, names: map[string]map[key]bool{}}
}

// get returns what is remembered and holds.
func (st *store) get(k key, now int64) (result, bool) {
	at := st.entries[k]
	if at == nil {
		return result{}, false
	}
	e := at.Value.(*entry)
	if now >= e.r.until {
		st.remove(e)
		return result{}, false
	}
	st.order.MoveToFront(at)
	return e.r, true
}

// put remembers a result.
func (st *store) put(k key, r result, now int64) {
	st.drop(k)
	e := &entry{key: k, r: r, size: r.size()}
	if r.caller != (key{}) {
		if have := st.callers[r.caller]; len(have) >= maxPerCaller {
			st.remove(st.entries[have[0]].Value.(*entry))
		}
		st.callers[r.caller] = append(st.callers[r.caller], k)
	}
	for _, name := range r.names() {
		if st.names[name] == nil {
			st.names[name] = map[key]bool{}
		}
		st.names[name][k] = true
	}
	st.entries[k] = st.order.PushFront(e)
	st.bytes += e.size
	for st.bytes > st.maxBytes || len(st.entries) > st.max {
		st.remove(st.order.Back().Value.(*entry))
	}
	// Tokens that have ended need not wait until there is no room.
	for range 2 {
		if at := st.order.Back(); at != nil && now >= at.Value.(*entry).r.until {
			st.remove(at.Value.(*entry))
		}
	}
}

func (st *store) remove(e *entry) {
	st.order.Remove(st.entries[e.key])
	delete(st.entries, e.key)
	st.bytes -= e.size
	if list := st.callers[e.r.caller]; len(list) > 0 {
		if at := slices.Index(list, e.key); at >= 0 {
			st.callers[e.r.caller] = slices.Delete(list, at, at+1)
		}
		if len(st.callers[e.r.caller]) == 0 {
			delete(st.callers, e.r.caller)
		}
	}
	for _, name := range e.r.names() {
		delete(st.names[name], e.key)
		if len(st.names[name]) == 0 {
			delete(st.names, name)
		}
	}
}

// drop removes what is remembered of a question.
func (st *store) drop(k key) {
	if at := st.entries[k]; at != nil {
		st.remove(at.Value.(*entry))
	}
}

// forget removes what has a name.
func (st *store) forget(name string) {
	for k := range st.names[name] {
		st.remove(st.entries[k].Value.(*entry))
	}
}
