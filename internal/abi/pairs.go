package abi

import "encoding/binary"

// Pair is a header or another key with its value.
type Pair struct{ Key, Value string }

// Bounds that Envoy puts on pairs coming from a guest: what exceeds them counts
// as an empty list, not as an error.
const (
	MaxPairs     = 1024
	MaxPairBytes = 1 << 20
)

// PairsSize returns the length of the encoding of pairs.
func PairsSize(pairs []Pair) int {
	size := 4
	for _, p := range pairs {
		size += 8 + len(p.Key) + 1 + len(p.Value) + 1
	}
	return size
}

// AppendPairs appends the encoding of pairs.
func AppendPairs(dst []byte, pairs []Pair) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(pairs)))
	for _, p := range pairs {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(p.Key)))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(p.Value)))
	}
	for _, p := range pairs {
		dst = append(dst, p.Key...)
		dst = append(dst, 0)
		dst = append(dst, p.Value...)
		dst = append(dst, 0)
	}
	return dst
}

// Pairs is an encoded list of pairs, as a host hands it out. The empty string and
// a single zero byte encode the empty list.
type Pairs string

// Cursor walks an encoding without building the list:
//
//	c := p.Cursor()
//	for c.Next() { use(c.Key, c.Value) }
//	ok := c.Whole()
type Cursor struct {
	Key, Value string // parts of the encoding

	src  string
	size int // where the next pair's two sizes stand
	end  int // where the sizes end
	at   int // where the next key begins
}

// Cursor returns a cursor before the first pair.
func (p Pairs) Cursor() Cursor {
	if p == "" || p == "\x00" {
		return Cursor{}
	}
	if len(p) < 4 || u32(string(p), 0) > uint32(len(p)-4)/8 {
		return Cursor{src: string(p)}
	}
	end := 4 + 8*int(u32(string(p), 0)) // fits: it was checked against the length
	return Cursor{src: string(p), size: 4, end: end, at: end}
}

// Next steps on and reports whether there is a further pair that can be read.
func (c *Cursor) Next() bool {
	if c.size >= c.end {
		return false
	}
	key, value := uint64(u32(c.src, c.size)), uint64(u32(c.src, c.size+4))
	rest := c.src[c.at:]
	// Each string has a zero byte behind it. The sum cannot overflow.
	if key+value+2 > uint64(len(rest)) || rest[key] != 0 || rest[key+1+value] != 0 {
		c.end, c.at = 0, 0
		return false
	}
	c.Key, c.Value = rest[:key], rest[key+1:key+1+value]
	c.size += 8
	c.at += int(key+value) + 2
	return true
}

// Whole reports, after Next was false, whether all that was walked over is exactly
// one encoding.
func (c *Cursor) Whole() bool { return c.size == c.end && c.at == len(c.src) }

// DecodePairs appends the pairs of an encoding to dst. Their strings are parts
// of src. ok is false, and dst unchanged, unless src is exactly one encoding.
func DecodePairs(dst []Pair, src string) (pairs []Pair, ok bool) {
	pairs = dst
	c := Pairs(src).Cursor()
	for c.Next() {
		pairs = append(pairs, Pair{c.Key, c.Value})
	}
	if !c.Whole() {
		return dst, false
	}
	return pairs, true
}

func u32(s string, at int) uint32 {
	return uint32(s[at]) | uint32(s[at+1])<<8 | uint32(s[at+2])<<16 | uint32(s[at+3])<<24
}
