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

// DecodePairs appends the pairs of an encoding to dst. Their strings are parts
// of src. ok is false, and dst unchanged, unless src is exactly one encoding;
// the empty string and a single zero byte encode the empty list.
func DecodePairs(dst []Pair, src string) (pairs []Pair, ok bool) {
	if src == "" || src == "\x00" {
		return dst, true
	}
	if len(src) < 4 {
		return dst, false
	}
	n := u32(src, 0)
	if n > uint32(len(src)-4)/8 {
		return dst, false
	}
	pairs = dst
	at := 4 + 8*int(n) // fits: n was checked against the length
	for i := range int(n) {
		key, next, ok := item(src, at, u32(src, 4+8*i))
		if !ok {
			return dst, false
		}
		value, next, ok := item(src, next, u32(src, 8+8*i))
		if !ok {
			return dst, false
		}
		pairs = append(pairs, Pair{key, value})
		at = next
	}
	if at != len(src) {
		return dst, false
	}
	return pairs, true
}

// item cuts size bytes and the zero byte behind them.
func item(src string, at int, size uint32) (s string, next int, ok bool) {
	if uint64(size) >= uint64(len(src)-at) {
		return "", 0, false
	}
	end := at + int(size)
	if src[end] != 0 {
		return "", 0, false
	}
	return src[at:end], end + 1, true
}

func u32(s string, at int) uint32 {
	return uint32(s[at]) | uint32(s[at+1])<<8 | uint32(s[at+2])<<16 | uint32(s[at+3])<<24
}
