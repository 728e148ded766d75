package plugin

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// TestResponsesAreBounded: streams that end without a response leave nothing behind
// for good, and the newest are there.
func TestResponsesAreBounded(t *testing.T) {
	var r responses
	header := func(id uint32) []abi.Pair {
		return []abi.Pair{{Key: "set-cookie", Value: strconv.Itoa(int(id))}}
	}
	const all = 3*maxResponses + 17
	for id := uint32(1); id <= all; id++ {
		r.keep(id, header(id))
		if len(r.byStream) > maxResponses || len(r.order) > maxResponses {
			t.Fatalf("%d streams, %d in the ring", len(r.byStream), len(r.order))
		}
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
	if len(r.byStream) != 0 {
		t.Errorf("%d streams are left", len(r.byStream))
	}
	// Those that were taken make no trouble when their places are used again.
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

func TestResponsesAreTakenOnce(t *testing.T) {
	var r responses
	r.keep(1, nil)
	if r.byStream != nil {
		t.Error("nothing takes room")
	}
	if got := r.take(1); got != nil {
		t.Errorf("%q", got)
	}
	r.keep(1, []abi.Pair{{Key: "a", Value: "1"}})
	r.keep(2, []abi.Pair{{Key: "a", Value: "2"}})
	if got := r.take(2); len(got) != 1 || got[0].Value != "2" {
		t.Errorf("%q", got)
	}
	if got := r.take(2); got != nil {
		t.Errorf("again %q", got)
	}
	if got := r.take(1); len(got) != 1 || got[0].Value != "1" {
		t.Errorf("%q", got)
	}
}

// headerCalls is a fake that tells adding from replacing.
type headerCalls struct {
	*fake
	list []string
}

func (h *headerCalls) addHeader(m abi.MapType, key, value string) abi.Status {
	h.list = append(h.list, strings.Clone("add "+key+": "+value))
	return h.fake.addHeader(m, key, value)
}

func (h *headerCalls) replaceHeader(m abi.MapType, key, value string) abi.Status {
	h.list = append(h.list, strings.Clone("replace "+key+": "+value))
	return h.fake.replaceHeader(m, key, value)
}

// TestResponseHeaders: what is kept outlives the memory that the proxy has lent,
// reaches its own stream's response and no other, once, beside the upstream's cookies.
func TestResponseHeaders(t *testing.T) {
	w := newWorld(t).withBundle()
	calls := &headerCalls{fake: w.fake}
	host = calls
	w.begin(7, openRoute)
	w.begin(8, openRoute)
	keep := func(id uint32, key, value string) {
		w.vm.responses.keep(id, []abi.Pair{{Key: w.lend(key), Value: w.lend(value)}, {Key: w.lend("set-cookie"), Value: w.lend("second=2")}})
		w.over()
	}
	keep(7, "set-cookie", "session=7; Path=/")
	keep(8, "x-id-token", "of 8")
	respond := func(id uint32) []string {
		calls.list = nil
		w.current = id
		w.vm.onResponseHeaders(id)
		w.over()
		return calls.list
	}
	if got := respond(9); len(got) > 0 {
		t.Errorf("a stream that nothing was kept for: %q", got)
	}
	if got, want := respond(7), []string{"add set-cookie: session=7; Path=/", "add set-cookie: second=2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := respond(7); len(got) > 0 {
		t.Errorf("again: %q", got)
	}
	if got, want := respond(8), []string{"replace x-id-token: of 8", "add set-cookie: second=2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A proxy that takes no header costs the header, and is said.
func TestResponseHeaderRefused(t *testing.T) {
	for _, status := range abi.Statuses() {
		if status == abi.OK {
			continue
		}
		w := newWorld(t).withBundle()
		w.begin(7, openRoute)
		w.vm.responses.keep(7, []abi.Pair{{Key: "set-cookie", Value: "session=7"}, {Key: "x-id-token", Value: "secret"}})
		w.fail, w.made, w.only, w.status = 1, 0, "edit", status
		w.current = 7
		w.vm.onResponseHeaders(7)
		w.over()
		log := strings.Join(w.logs, "\n")
		if !strings.Contains(log, "takes no header for a response") || strings.Contains(log, "session=7") || len(w.streams[7].edits) > 0 {
			t.Errorf("%v: edits %q, log %q", status, w.streams[7].edits, log)
		}
	}
}
