package plugin

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// What is kept for a response is added to that response, once, beside what the
// upstream has set, and outlives the memory that it came from.
func TestResponses(t *testing.T) {
	f := newFake(t)
	v := newVM()
	f.streams[7], f.streams[8] = &stream{}, &stream{}
	lent := []byte("session=secret")
	v.responses.keep(7, []abi.Pair{{Key: "set-cookie", Value: string(lent)}, {Key: "set-cookie", Value: "b=2"}, {Key: "x-name", Value: "Alice"}})
	v.responses.keep(9, nil)
	for i := range lent {
		lent[i] = '#'
	}
	respond := func(id uint32) []string {
		f.current = id
		f.streams[id].edits = nil
		v.onResponseHeaders(id)
		return f.streams[id].edits
	}
	if got := respond(8); len(got) != 0 {
		t.Errorf("another stream's response gets %q", got)
	}
	want := []string{"response + set-cookie: session=secret", "response + set-cookie: b=2", "response = x-name: Alice"}
	if got := respond(7); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := respond(7); len(got) != 0 {
		t.Errorf("a second time: %q", got)
	}
	if len(v.responses.byStream) != 0 {
		t.Errorf("%d entries are left", len(v.responses.byStream))
	}
}

// Streams that end without a response leave room to newer ones.
func TestResponsesAreBounded(t *testing.T) {
	newFake(t)
	r := &responses{}
	for id := range uint32(3 * maxResponses) {
		r.keep(id, []abi.Pair{{Key: "set-cookie", Value: strings.Repeat("x", 8)}})
		if len(r.byStream) > maxResponses || len(r.order) > maxResponses {
			t.Fatalf("%d entries, %d in order", len(r.byStream), len(r.order))
		}
	}
	if r.take(0) != nil || r.take(3*maxResponses-1) == nil {
		t.Error("the newest are not those that are kept")
	}
	// One stream that is kept for again and again does not drive out itself.
	for range 3 * maxResponses {
		r.keep(5, []abi.Pair{{Key: "a", Value: "b"}})
	}
	if r.take(5) == nil {
		t.Error("a stream has lost its own")
	}
}

// A proxy that takes no header for a response costs the cookie, not the response.
func TestResponseRefused(t *testing.T) {
	f := newFake(t)
	v := newVM()
	f.streams[1], f.current = &stream{}, 1
	v.responses.keep(1, []abi.Pair{{Key: "set-cookie", Value: "a=1"}})
	f.only, f.fail, f.status = "edit", 1, abi.BadArgument
	v.onResponseHeaders(1)
	if len(f.logs) == 0 || strings.Contains(strings.Join(f.logs, " "), "a=1") {
		t.Errorf("the log says %q", f.logs)
	}
}
