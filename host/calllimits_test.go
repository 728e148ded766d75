package host

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/testenv"
)

// callouts is a server for calls: /hang never answers, /large with much. Its canceled
// counts calls that were given up.
func callouts(t testing.TB) (url string, hung, canceled *atomic.Int64) {
	t.Helper()
	hung, canceled = new(atomic.Int64), new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			_, _ = io.Copy(io.Discard, r.Body)
			hung.Add(1)
			<-r.Context().Done()
			canceled.Add(1)
		case "/large":
			_, _ = w.Write(make([]byte, 100))
		case "/header":
			w.Header().Set("X", strings.Repeat("x", 100<<10))
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, hung, canceled
}

// callProgram is data for proxy_http_call: the cluster's name, and headers for a path.
func callProgram(path string) (data string, headers uint32) {
	pairs := abi.AppendPairs(nil, []abi.Pair{{Key: ":method", Value: "POST"}, {Key: ":path", Value: path}, {Key: ":authority", Value: "a"}})
	return "c" + string(pairs), uint32(len(pairs))
}

func TestCallBounds(t *testing.T) {
	url, hung, _ := callouts(t)
	config := Config{Clusters: map[string]string{"c": url}, Limits: Limits{Calls: 3, CallBytes: 10, AllCallBytes: 20}}
	l := newLab(t, config)
	data, size := callProgram("/hang")
	l.run(t, data, "", func(at uint32) []step {
		send := func(want abi.Status, body uint32) step {
			return call(want, "proxy_http_call", at, 1, at+1, size, big, body, 0, 0, 60000, 64)
		}
		return []step{
			send(abi.InternalFailure, 11),                                                    // one call
			send(abi.OK, 10), send(abi.OK, 6), send(abi.InternalFailure, 5), send(abi.OK, 4), // all of them
			send(abi.InternalFailure, 0), // how many
			call(abi.BadArgument, "proxy_http_call", big, 1025, at+1, size, 0, 0, 0, 0, 0, 64),
		}
	})
	testenv.Eventually(t, 10*time.Second, "three calls", func() bool { return hung.Load() == 3 })
}

// A call fails whose answer is too large. One that has no answer, or no headers that fit,
// has that of Envoy's router.
func TestCallAnswerBounds(t *testing.T) {
	url, _, _ := callouts(t)
	for _, test := range []struct {
		path    string
		timeout uint32 // ms
		limits  Limits
		want    string // :status, "" for a failure
	}{
		{"/large", 0, Limits{CallBytes: 99}, ""},
		{"/large", 0, Limits{AllCallBytes: 99}, ""},
		{"/large", 0, Limits{CallBytes: 100, AllCallBytes: 100}, "200"},
		{"/header", 0, Limits{}, "503"},
		{"/hang", 0, Limits{CallTimeout: 10 * time.Millisecond}, "504"},
		{"/hang", 3_600_000, Limits{CallTimeout: 10 * time.Millisecond}, "504"},
	} {
		l := newLab(t, Config{Clusters: map[string]string{"c": url}, Limits: test.limits})
		data, size := callProgram(test.path)
		l.send(program(data+":status", func(at uint32) []record {
			list := []record{do(op("proxy_http_call"), at, 1, at+1, size, 0, 0, 0, 0, test.timeout, 60), do(opEnd)}
			for range 8 { // more callbacks than there are
				list = append(list, do(op("proxy_get_status"), 64, 68, 72),
					do(op("proxy_get_header_map_value"), uint32(abi.HTTPCallResponseHeaders), at+1+size, 7, 76, 80), do(opEnd))
			}
			return list
		}), "", nil)
		v := l.slots[0].current.Load().vm
		testenv.Eventually(t, 10*time.Second, "the end of the call", func() bool {
			var code uint32
			var status string
			_ = v.Do(func() {
				b, _ := v.View(64, 20)
				code = binary.LittleEndian.Uint32(b)
				status, _ = v.ReadString(binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint32(b[16:]))
			})
			if test.want == "" {
				return code == 11
			}
			return code == 0 && status == test.want
		})
	}
}

// The calls of a guest end with it: who traps again and again does not pile them up.
func TestCallsEndWithTheirGuest(t *testing.T) {
	url, hung, canceled := callouts(t)
	l := newLab(t, Config{Clusters: map[string]string{"c": url}})
	data, size := callProgram("/hang")
	l.send(program(data, func(at uint32) []record {
		return []record{do(op("proxy_http_call"), at, 1, at+1, size, 0, 0, 0, 0, 0, 64)}
	}), "", nil)
	testenv.Eventually(t, 10*time.Second, "the call", func() bool { return hung.Load() == 1 })
	if w := l.send(program("", func(uint32) []record { return []record{do(opTrap)} }), "", nil); w.Code != 503 {
		t.Errorf("status %d", w.Code)
	}
	testenv.Eventually(t, 10*time.Second, "the end of the call", func() bool { return canceled.Load() == 1 })
}

// A plugin that puts off its end lives on in a VM that it shares, with its calls. Nobody
// waits for it, and it ends with the VM.
func TestCallsOfOneThatPutsOffItsEnd(t *testing.T) {
	url, hung, canceled := callouts(t)
	wasm := hostile()
	plugin := func(name string) Plugin {
		return Plugin{Wasm: wasm, Config: Config{Name: name, VMID: "v", Workers: 1, Clusters: map[string]string{"c": url}}}
	}
	c, err := NewChain(t.Context(), plugin("a"), plugin("b"))
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			_ = c.Close(context.Background())
		}
	}()
	r := httptest.NewRequest("GET", "/", nil)
	data, size := callProgram("/hang")
	r.Header["X-Program"] = []string{program(data, func(at uint32) []record {
		return []record{do(op("proxy_http_call"), at, 1, at+1, size, 0, 0, 0, 0, 0, 64)}
	})}
	c.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	testenv.Eventually(t, 10*time.Second, "a call of each", func() bool { return hung.Load() == 2 })
	if err := c.Reload(t.Context(), plugin("a")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the end of a filter", func() bool { return Open(c) == 1 })
	if n := canceled.Load(); n != 0 {
		t.Errorf("%d calls have ended", n)
	}
	closed = true
	if err := c.Close(context.Background()); err != nil {
		t.Error(err)
	}
	testenv.Eventually(t, 10*time.Second, "the end of both calls", func() bool { return canceled.Load() == 2 })
}
