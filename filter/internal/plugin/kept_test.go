package plugin

import (
	"slices"
	"strconv"
	"strings"
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

// What is kept is bounded in bytes too: who asks for large headers again and again,
// and leaves before the response, fills no memory.
func TestResponsesAreBoundedInBytes(t *testing.T) {
	var r responses
	large := strings.Repeat("x", 60<<10)
	for id := uint32(1); id <= 4*maxResponses; id++ {
		r.keep(id, []abi.Pair{{Key: "set-cookie", Value: large[:1+id%uint32(len(large))]}})
		sum := 0
		if id%997 == 0 {
			for _, k := range r.byStream {
				sum += k.size
			}
			if sum != r.bytes || sum > maxResponseBytes {
				t.Fatalf("after %d streams: %d bytes, said to be %d", id, sum, r.bytes)
			}
		}
		if id%3 == 0 && r.take(id) == nil {
			t.Fatalf("stream %d has lost its own", id)
		}
	}
	if n := len(r.byStream); n < maxResponseBytes/(64<<10)/2 || n > maxResponses {
		t.Errorf("%d streams are left", n)
	}
	for id := range uint32(4*maxResponses + 1) {
		r.take(id)
	}
	if r.bytes != 0 {
		t.Errorf("%d bytes of nothing", r.bytes)
	}
	// What is larger than everything is kept for the stream that it is for.
	r.keep(1, []abi.Pair{{Key: "a", Value: strings.Repeat("x", maxResponseBytes)}})
	if len(r.take(1)) != 1 {
		t.Error("a single large one is not kept")
	}
}
