package inquiry

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

func number(n int) (k key) {
	binary.LittleEndian.PutUint64(k[:], uint64(n)+1)
	return k
}

// sum is what a store holds, counted anew.
func (st *store) sum() (bytes, callers, names int) {
	for at := st.order.Front(); at != nil; at = at.Next() {
		bytes += at.Value.(*entry).size
	}
	for _, list := range st.callers {
		callers += len(list)
	}
	for _, of := range st.names {
		names += len(of)
	}
	return bytes, callers, names
}

func TestStoreBounds(t *testing.T) {
	st := newStore(100, 64<<10)
	for i := range 5000 {
		r := result{until: 100, caller: number(i % 7), session: &wire.Session{Access: strings.Repeat("x", i%3000), Keys: []string{fmt.Sprint("u", i%5)}}}
		st.put(number(i), r, 0)
		bytes, callers, names := st.sum()
		if st.bytes != bytes || bytes > st.maxBytes || len(st.entries) > st.max || callers != len(st.entries) || names != len(st.entries) || st.order.Len() != len(st.entries) {
			t.Fatalf("after %d: %d bytes (%d), %d entries, %d of callers, %d named", i, st.bytes, bytes, len(st.entries), callers, names)
		}
		for _, list := range st.callers {
			if len(list) > maxPerCaller {
				t.Fatalf("%d of one caller", len(list))
			}
		}
	}
	// What has a name can be forgotten by it.
	st.forget("u0")
	st.forget("nobody")
	for at := st.order.Front(); at != nil; at = at.Next() {
		if at.Value.(*entry).r.session.Keys[0] == "u0" {
			t.Error("not forgotten")
		}
	}
	// What has ended is not there any more, and goes first.
	st = newStore(10, 1<<20)
	for i := range 4 {
		st.put(number(i), result{until: 10, code: reason.TokenInactive}, 0)
	}
	if _, ok := st.get(number(0), 9); !ok {
		t.Error("not there")
	}
	if _, ok := st.get(number(0), 10); ok {
		t.Error("still there")
	}
	st.put(number(9), result{until: 100, code: reason.TokenInactive}, 50)
	st.put(number(10), result{until: 100, code: reason.TokenInactive}, 50)
	if len(st.entries) != 2 {
		t.Errorf("%d entries, of which 2 hold", len(st.entries))
	}
	// One that is larger than everything is not kept.
	st.put(number(11), result{until: 100, session: &wire.Session{Access: strings.Repeat("x", 2<<20)}}, 50)
	if bytes, _, _ := st.sum(); bytes > st.maxBytes || bytes != st.bytes {
		t.Errorf("%d bytes", bytes)
	}
	// The least recently used goes, and of one caller the oldest.
	st = newStore(1000, 1<<20)
	for i := range maxPerCaller + 1 {
		st.put(number(i), result{until: 100, caller: number(0), session: &wire.Session{}}, 0)
	}
	if _, ok := st.get(number(0), 0); ok || len(st.entries) != maxPerCaller {
		t.Errorf("%d entries", len(st.entries))
	}
}
