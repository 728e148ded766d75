package host

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/callout"
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/testenv"
)

// stuck is a transport that reads nothing and hears of no cancellation until it is closed.
type stuck chan struct{}

func (s stuck) RoundTrip(*http.Request) (*http.Response, error) {
	<-s
	return nil, errors.New("stuck")
}

// stuckLab is a lab with a cluster c that is stuck until the test lets it go.
func stuckLab(t *testing.T, limits Limits) (l *lab, let func()) {
	t.Helper()
	l = newLab(t, Config{Limits: limits})
	s := make(stuck)
	l.caller.Clusters["c"] = callout.Cluster{Transport: s, GRPC: s, Scheme: "http", Host: "c"}
	open := false
	let = func() {
		if !open {
			open = true
			close(s)
		}
	}
	t.Cleanup(let) // before the filter waits for its calls
	return l, let
}

// The ids of the first call and the first stream; each later one is four more.
const (
	firstCall   = 4 | 1
	firstStream = 4 | 2
)

// grpcStart is proxy_grpc_call or, with a negative length of the message, proxy_grpc_stream of method m of
// service s, with data that begins with "csm".
func grpcStart(want abi.Status, at uint32, message int) step {
	if message < 0 {
		return call(want, "proxy_grpc_stream", at, 1, at+1, 1, at+2, 1, 0, 0, 64)
	}
	return call(want, "proxy_grpc_call", at, 1, at+1, 1, at+2, 1, 0, 0, big, uint32(message), 0, 64)
}

// Messages count with the five bytes before them until they are sent.
func TestGRPCBounds(t *testing.T) {
	const ok, tooMuch = abi.OK, abi.InternalFailure
	for _, test := range []struct {
		name   string
		limits Limits
		steps  func(at uint32) []step
	}{
		{"calls", Limits{Calls: 2}, func(at uint32) []step {
			return []step{grpcStart(ok, at, 0), grpcStart(ok, at, -1), grpcStart(tooMuch, at, 0), grpcStart(tooMuch, at, -1)}
		}},
		{"bytes of a message", Limits{CallBytes: 10}, func(at uint32) []step {
			return []step{grpcStart(tooMuch, at, 11), grpcStart(ok, at, 10), grpcStart(ok, at, -1),
				call(tooMuch, "proxy_grpc_send", firstStream, big, 11, 0), call(ok, "proxy_grpc_send", firstStream, big, 10, 0)}
		}},
		{"bytes of all", Limits{AllCallBytes: 40}, func(at uint32) []step {
			return []step{grpcStart(ok, at, 10), grpcStart(ok, at, -1), grpcStart(ok, at, -1),
				call(ok, "proxy_grpc_send", firstStream, big, 10, 0), call(tooMuch, "proxy_grpc_send", firstStream+4, big, 6, 0),
				grpcStart(tooMuch, at, 6), call(ok, "proxy_grpc_send", firstStream+4, big, 5, 0), grpcStart(tooMuch, at, 0),
				call(ok, "proxy_grpc_cancel", firstCall), grpcStart(ok, at, 10), grpcStart(tooMuch, at, 0)}
		}},
		{"bytes of a stream", Limits{}, func(at uint32) []step {
			return []step{grpcStart(ok, at, -1), call(ok, "proxy_grpc_send", firstStream, big, 60000, 0), {do(opRepeat, 16), ok},
				call(tooMuch, "proxy_grpc_send", firstStream, big, 60000, 0), call(ok, "proxy_grpc_send", firstStream, big, 100, 0)}
		}},
		{"names", Limits{}, func(at uint32) []step {
			return []step{call(tooMuch, "proxy_grpc_stream", at, 1, big, 1025, at+2, 1, 0, 0, 64), call(tooMuch, "proxy_grpc_stream", at, 1, at+1, 1, big, 1025, 0, 0, 64),
				call(ok, "proxy_grpc_stream", at, 1, big, 1024, big, 1024, 0, 0, 64), call(abi.ParseFailure, "proxy_grpc_stream", big, 65537, at+1, 1, at+2, 1, 0, 0, 64)}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, _ := stuckLab(t, test.limits)
			l.run(t, "csm", "", func(at uint32) []step { return append([]step{plain(opGrow, 2)}, test.steps(at)...) })
			if l.Running() != 1 {
				t.Errorf("the guest has ended: %s", l.log)
			}
		})
	}
}

// A call that a guest has cancelled counts until it has ended: it holds a goroutine.
func TestCancelledCallsCount(t *testing.T) {
	l, let := stuckLab(t, Limits{Calls: 2})
	l.run(t, "csm", "", func(at uint32) []step {
		return []step{grpcStart(abi.OK, at, 0), call(abi.OK, "proxy_grpc_cancel", firstCall),
			grpcStart(abi.OK, at, -1), call(abi.OK, "proxy_grpc_cancel", firstStream),
			grpcStart(abi.InternalFailure, at, 0), call(abi.NotFound, "proxy_grpc_cancel", firstStream)}
	})
	let()
	root := l.slots[0].current.Load().root
	testenv.Eventually(t, 10*time.Second, "the end of the calls", func() (none bool) {
		_ = root.VM().Do(func() { none = root.Calls() == 0 })
		return none
	})
	l.run(t, "csm", "", func(at uint32) []step { return []step{grpcStart(abi.OK, at, 0)} })
}

// grpcServer is a server of /s/ followed by m, which answers with a message of 100
// bytes, t, with two, or h, with headers that are too long.
func grpcServer(t *testing.T) (target string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		message := append([]byte{0, 0, 0, 0, 100}, make([]byte, 100)...)
		switch r.URL.Path {
		case "/s/t":
			_, _ = w.Write(message)
		case "/s/h":
			w.Header().Set("X", strings.Repeat("x", 100<<10))
		}
		_, _ = w.Write(message)
		w.Header().Set("Grpc-Status", "0")
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return "h2c" + strings.TrimPrefix(s.URL, "http")
}

// A call fails with INTERNAL whose answer is too large, and a stream; what a stream has
// shown to the guest counts no more.
func TestGRPCAnswerBounds(t *testing.T) {
	target := grpcServer(t)
	const unavailable, internal, ended = 14, 13, 0
	for _, test := range []struct {
		method string
		stream bool
		limits Limits
		want   uint32 // the status
	}{
		{"m", false, Limits{CallBytes: 99}, internal},
		{"m", false, Limits{AllCallBytes: 99}, internal},
		{"t", false, Limits{}, internal}, // a call has one message
		{"h", false, Limits{}, unavailable},
		{"t", true, Limits{CallBytes: 99}, internal},
		{"t", true, Limits{AllCallBytes: 99}, internal},
		{"t", true, Limits{CallBytes: 100, AllCallBytes: 100}, ended},
	} {
		l := newLab(t, Config{Clusters: map[string]string{"c": target}, Limits: test.limits})
		l.send(program("cs"+test.method, func(at uint32) []record {
			start := grpcStart(abi.OK, at, 0).record
			if test.stream {
				start = grpcStart(abi.OK, at, -1).record
			}
			list := []record{start}
			if test.stream {
				list = append(list, do(op("proxy_grpc_close"), firstStream))
			}
			for range 12 { // more callbacks than there are
				list = append(list, do(opEnd), do(op("proxy_get_status"), 68, 72, 76))
			}
			return list
		}), "", nil)
		root := l.slots[0].current.Load().root
		testenv.Eventually(t, 10*time.Second, "the end of the call", func() (none bool) {
			_ = root.VM().Do(func() { none = root.Calls() == 0 })
			return none
		})
		if got := root.Status.Code; got != test.want {
			t.Errorf("%+v: status %d", test, got)
		}
	}
}

// What a guest makes of a message is bounded too.
func TestGRPCMessageGrowth(t *testing.T) {
	l := newLab(t, Config{Clusters: map[string]string{"c": grpcServer(t)}, Limits: Limits{CallBytes: 100}})
	const buffer = uint32(abi.GRPCCallMessage)
	// The response passes no callback between the request's and the message.
	entered := make(chan struct{})
	l.log.each = func(line string) {
		if strings.HasPrefix(line, "m") {
			close(entered)
		}
	}
	p := program("csm", func(at uint32) []record {
		return []record{
			do(opGrow, 2), grpcStart(abi.OK, at, 0).record, do(opEnd),
			do(op("proxy_set_buffer_bytes"), buffer, 100, 0, big, 1), do(op("proxy_set_buffer_bytes"), buffer, 0, 10, big, 11),
			do(op("proxy_set_buffer_bytes"), buffer, 50, 0, big, 0), do(op("proxy_set_buffer_bytes"), buffer, 0, 10, big, 10),
			do(op("proxy_log"), 2, at+2, 1), do(opEnd),
		}
	})
	l.send(p, "", func(http.ResponseWriter, *http.Request) {
		select {
		case <-entered:
		case <-time.After(10 * time.Second):
			t.Error("the message has not come")
		}
	})
	want := []abi.Status{none, abi.OK, abi.InternalFailure, abi.InternalFailure, abi.BadArgument, abi.OK, abi.OK}
	got := l.statuses(len(want))
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("step %d: %v, want %v", i, got[i], want[i])
		}
	}
}
