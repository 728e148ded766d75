package seal

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math"
	"sync"
)

// The first byte of what Pack returns.
const (
	stored   = 0
	deflated = 1
)

// ErrPacked is why Unpack refuses.
var ErrPacked = errors.New("seal: not packed, or larger than the bound")

// deflaters are reused, since each has several hundred kilobytes of tables.
var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.DefaultCompression)
	if err != nil {
		panic(err) // the level is a constant within bounds
	}
	return w
}}

// Pack compresses (RFC 1951) where that makes plain shorter. What is packed is
// one byte longer than plain at most.
func Pack(plain []byte) []byte {
	var b bytes.Buffer
	b.Grow(1 + len(plain))
	b.WriteByte(deflated)
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	_, err := w.Write(plain)
	if err = errors.Join(err, w.Close()); err != nil || b.Len() > len(plain) {
		return append([]byte{stored}, plain...)
	}
	return b.Bytes()
}

// Unpack returns what was packed, if that is no longer than limit bytes. It never
// inflates more than that. The error is ErrPacked.
func Unpack(packed []byte, limit int) ([]byte, error) {
	if len(packed) == 0 {
		return nil, ErrPacked
	}
	data := packed[1:]
	switch packed[0] {
	case stored:
		if len(data) > limit {
			return nil, ErrPacked
		}
		return bytes.Clone(data), nil
	case deflated:
		src := bytes.NewReader(data)
		plain, err := io.ReadAll(io.LimitReader(flate.NewReader(src), int64(min(limit, math.MaxInt-1))+1))
		if err != nil || len(plain) > limit || src.Len() > 0 {
			return nil, ErrPacked
		}
		return plain, nil
	}
	return nil, ErrPacked
}
