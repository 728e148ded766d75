package plugin

import (
	"slices"
	"strconv"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Of more streams than there is room for just the newest are kept, each with its own,
// and those that were taken make no trouble when their places are used again.
func TestResponsesOfTheNewest(t *testing.T) {
	var r responses
	header := func(id uint32) []abi.Pair {
		return []abi.Pair{{Key: "set-cookie", Value: strconv.Itoa(int(id))}}
	}
	const all = 3*maxResponses + 17
	for id := uint32(1); id <= all; id++ {
		r.keep(id, header(id))
	}
	for id := uint32(1); id <= all; id++ {
		want := header(id)
		if id <= all-maxResponses {
			want = nil
		}
		if got := r.take(id); !slices.Equal(got, want) {
			t.Fatalf("stream %d: %q, want %q", id, got, want)
		}
	}
	for id := uint32(all + 1); id <= 2*all; id++ {
		r.keep(id, header(id))
		if got := r.take(id); !slices.Equal(got, header(id)) {
			t.Fatalf("stream %d: %q", id, got)
		}
	}
	if len(r.byStream) != 0 || len(r.order) != maxResponses {
		t.Errorf("%d streams, %d in the ring", len(r.byStream), len(r.order))
	}
}

// What is kept outlives the memory that the proxy has lent.
func TestResponsesOutliveLentMemory(t *testing.T) {
	w := newWorld(t).withBundle()
	w.begin(8, openRoute)
	w.begin(7, openRoute)
	for _, id := range []uint32{7, 8} {
		w.vm.responses.keep(id, []abi.Pair{{Key: w.lend("set-cookie"), Value: w.lend("session=" + strconv.Itoa(int(id)))},
			{Key: w.lend("x-id-token"), Value: w.lend("a token")}})
		w.over()
	}
	for _, id := range []uint32{8, 7} {
		w.current = id
		w.vm.onResponseHeaders(id)
		w.over()
		want := []string{"response + set-cookie: session=" + strconv.Itoa(int(id)), "response = x-id-token: a token"}
		if got := w.streams[id].edits; !slices.Equal(got, want) {
			t.Errorf("stream %d: %q, want %q", id, got, want)
		}
	}
}
