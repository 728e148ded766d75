package policy

// cache maps strings to values that live until a time, bounded in bytes. The
// least recently used go first. It is not safe for concurrent use: a VM has one
// thread.
type cache[V any] struct {
	limit   int
	used    int
	entries map[string]*entry[V]
	newest  *entry[V]
	oldest  *entry[V]
}

type entry[V any] struct {
	key          string
	value        V
	until        int64 // Unix seconds; dead from then on
	size         int
	newer, older *entry[V]
}

// entryOverhead is roughly what an entry costs beside key and value.
const entryOverhead = 128

func newCache[V any](limit int) *cache[V] {
	return &cache[V]{limit: limit, entries: make(map[string]*entry[V])}
}

// get returns the entry of a key if it is alive at the time now.
func (c *cache[V]) get(key string, now int64) *entry[V] {
	e := c.entries[key]
	if e == nil {
		return nil
	}
	if e.until <= now {
		c.remove(e)
		return nil
	}
	if c.newest != e {
		c.unlink(e)
		c.link(e)
	}
	return e
}

// put stores a value of about size bytes. Key must not share memory with a
// request. What does not fit at all is not stored.
func (c *cache[V]) put(key string, value V, until int64, size int) {
	if old := c.entries[key]; old != nil {
		c.remove(old)
	}
	size += len(key) + entryOverhead
	if size > c.limit {
		return
	}
	for c.used+size > c.limit {
		c.remove(c.oldest)
	}
	e := &entry[V]{key: key, value: value, until: until, size: size}
	c.entries[key] = e
	c.used += size
	c.link(e)
}

func (c *cache[V]) drop(key string) {
	if e := c.entries[key]; e != nil {
		c.remove(e)
	}
}

func (c *cache[V]) clear() {
	*c = *newCache[V](c.limit)
}

func (c *cache[V]) remove(e *entry[V]) {
	c.unlink(e)
	delete(c.entries, e.key)
	c.used -= e.size
}

func (c *cache[V]) link(e *entry[V]) {
	e.older, e.newer = c.newest, nil
	if c.newest != nil {
		c.newest.newer = e
	}
	c.newest = e
	if c.oldest == nil {
		c.oldest = e
	}
}

func (c *cache[V]) unlink(e *entry[V]) {
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
