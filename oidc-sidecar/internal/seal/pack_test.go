package seal

import (
	"bytes"
	"compress/flate"
	"math"
	"runtime"
	"strings"
	"testing"
)

func TestPack(t *testing.T) {
	for _, test := range []struct {
		name, plain string
		kind        byte
	}{
		{"nothing", "", stored},
		{"short", "ab", stored},
		{"random", ring(t, secretA).Seal("", nil, nil), stored},
		{"repetitive", strings.Repeat("claims ", 1000), deflated},
	} {
		t.Run(test.name, func(t *testing.T) {
			packed := Pack([]byte(test.plain))
			if packed[0] != test.kind || len(packed) > len(test.plain)+1 {
				t.Errorf("kind %d, %d bytes of %d", packed[0], len(packed), len(test.plain))
			}
			for _, limit := range []int{len(test.plain), len(test.plain) + 1, math.MaxInt} {
				if plain, err := Unpack(packed, limit); err != nil || string(plain) != test.plain {
					t.Errorf("within %d: %d bytes, %v", limit, len(plain), err)
				}
			}
			for _, limit := range []int{len(test.plain) - 1, -1, math.MinInt} {
				if plain, err := Unpack(packed, limit); err != ErrPacked || plain != nil {
					t.Errorf("within %d: %d bytes, %v, want ErrPacked", limit, len(plain), err)
				}
			}
		})
	}
}

func TestUnpackRefuses(t *testing.T) {
	whole := Pack([]byte(strings.Repeat("claims ", 100)))
	for name, packed := range map[string][]byte{
		"nothing":               nil,
		"only a kind":           {deflated},
		"another kind":          {2, 0},
		"a kind of text":        []byte("abc"),
		"no deflate":            {deflated, 0xff, 0xff},
		"cut off":               whole[:len(whole)-1],
		"something behind":      append(bytes.Clone(whole), 0),
		"a second one behind":   append(bytes.Clone(whole), whole[1:]...),
		"a deflated one within": append([]byte{deflated}, whole...),
	} {
		if plain, err := Unpack(packed, 1<<20); err != ErrPacked || plain != nil {
			t.Errorf("%s: %d bytes, %v, want ErrPacked", name, len(plain), err)
		}
	}
}

// A bomb costs what the bound says and not what it would inflate to.
func TestUnpackStopsAtTheBound(t *testing.T) {
	var bomb bytes.Buffer
	bomb.WriteByte(deflated)
	w, err := flate.NewWriter(&bomb, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	for range 64 {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = Unpack(bomb.Bytes(), 1<<16)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; err != ErrPacked || got > 1<<20 {
		t.Errorf("%v, and %d bytes were allocated for a bound of %d", err, got, 1<<16)
	}
}
