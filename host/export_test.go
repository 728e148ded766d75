package host

// Open returns how many filters of a chain are not closed.
func Open(c *Chain) (n int) {
	c.members.Range(func(any, any) bool { n++; return true })
	return n
}
