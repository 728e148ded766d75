package policy

// cache maps keys to values that live until a time, bounded in bytes. The
// least recently used go first. It is not safe for concurrent use: a VM has one
// thread.
type cache[K comparable, V any] struct {
	limit   int
	used    int
	entries map[K]*entry[K, V]
	newest  *entry[K, V]
	oldest  *entry[K, V]
}

type entry[K comparable, V any] struct {
	key          K
	value        V
	until        int64 // Unix seconds; dead from then on
	used         int64 // Unix seconds, when it was looked for last
	size         int
	newer, older *entry[K, V]
}

// entryOverhead is roughly what an entry costs beside key and value.
const entryOverhead = 128

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{limit: limit, entries: make(map[K]*entry[K, V])}
}

// get returns the entry of a key if it is alive at the time now.
func (c *cache[K, V]) get(key K, now int64) *entry[K, V] {
	e := c.entries[key]
	if e == nil {
		return nil
	}
	if e.until <= now {
		c.remove(e)
		return nil
	}
	e.used = now
	if c.newest != e {
		c.unlink(e)
		c.link(e)
	}
	return e
}

// room reports whether there is room for a value of about size bytes that drives nothing
// out which has been used since a time. Where more is in use than fits, the part that is
// remembered then stays, and what comes round finds it; otherwise everything would drive
// out everything, and nothing would be found.
func (c *cache[K, V]) room(size int, since int64) bool {
	return c.used+size+entryOverhead <= c.limit || c.oldest != nil && c.oldest.used < since
}

// put stores a value of about size bytes, those of the key included. Key must not
// share memory with a request. What does not fit at all is not stored.
func (c *cache[K, V]) put(key K, value V, until int64, size int) {
	if old := c.entries[key]; old != nil {
		c.remove(old)
	}
	size += entryOverhead
	if size > c.limit {
		return
	}
	for c.used+size > c.limit {
		c.remove(c.oldest)
	}
	e := &entry[K, V]{key: key, value: value, until: until, size: size}
	c.entries[key] = e
	c.used += size
	c.link(e)
}

func (c *cache[K, V]) drop(key K) {
	if e := c.entries[key]; e != nil {
		c.remove(e)
	}
}

func (c *cache[K, V]) clear() {
	*c = *newCache[K, V](c.limit)
}

func (c *cache[K, V]) remove(e *entry[K, V]) {
	c.unlink(e)
	delete(c.entries, e.key)
	c.used -= e.size
}

func (c *cache[K, V]) link(e *entry[K, V]) {
	e.older, e.newer = c.newest, nil
	if c.newest != nil {
		c.newest.newer = e
	}
	c.newest = e
	if c.oldest == nil {
		c.oldest = e
	}
}

func (c *cache[K, V]) unlink(e *entry[K, V]) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		c.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		c.oldest = e.newer
	}
	e.newer, e.older = nil, nil
}
