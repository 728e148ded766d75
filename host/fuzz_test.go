package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/testenv"
)

// hostileData stands behind every program: what hostcalls may want to read.
var hostileData = func() string {
	pairs := abi.AppendPairs(nil, []abi.Pair{{Key: ":method", Value: "POST"}, {Key: ":path", Value: "/"}, {Key: ":authority", Value: "a"}, {Key: ":status", Value: "204"}})
	return "c" + "compress" + "uncompress" + "verify_signature" + "echo" + "request\x00headers\x00x-program" + "x-header" + "content-length" + ":path" + ":status" + string(pairs)
}()

// words are where each of hostileData's parts begins, and how long it is.
var words = func() (list [][2]uint32) {
	at := uint32(0)
	for _, n := range []uint32{1, 8, 10, 16, 4, 25, 8, 14, 5, 7} {
		list = append(list, [2]uint32{at, n})
		at += n
	}
	return append(list, [2]uint32{at, uint32(len(hostileData)) - at})
}()

// edges are numbers at which something changes.
var edges = []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 64, 68, 1023, 1024, 1025, 4096, 4097, 65535, 65536, big, big + 32768,
	hostileMemory - 4, hostileMemory - 1, hostileMemory, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 4, 1<<32 - 1}

// draw reads a program from fuzz input: an op, then what each argument is to be.
func draw(input []byte) string {
	next := func() uint32 {
		if len(input) == 0 {
			return 0
		}
		b := input[0]
		input = input[1:]
		return uint32(b)
	}
	return program(hostileData, func(at uint32) (list []record) {
		rest := input
		for len(input) > 0 && len(list) < 200 {
			var r record
			r.op = next()
			switch {
			case r.op >= 200: // callbacks end often
				r.op = opEnd
			case r.op >= uint32(len(hostileImports)):
				r.op = opEnd + r.op%(opPast-opEnd)
			}
			if r.op == opSpin || r.op == opCount { // TestDeadline's
				r.op = opAction
			}
			word := [2]uint32{}
			for i := 0; i < hostileArgs && len(input) > 0; i++ {
				switch kind := next(); {
				case kind < 64:
					r.args[i] = edges[int(kind)%len(edges)]
				case kind < 128: // a word, and its length as the next argument
					word = words[int(kind)%len(words)]
					r.args[i] = at + word[0]
					if i+1 < hostileArgs {
						i++
						r.args[i] = word[1]
					}
				case kind < 192:
					r.args[i] = kind - 128
				case kind < 200:
					r.args[i] = next() | next()<<8 | next()<<16 | next()<<24
				default:
					i = hostileArgs // no more
				}
			}
			if r.op == opRepeat {
				r.args[0] %= 300
				if len(list) == 0 || list[len(list)-1].op == opRepeat { // it would take for ever
					r.op = opAction
				}
			}
			list = append(list, r)
		}
		if at == 0 {
			input = rest // it is read once more, with the place of the data
		}
		return list
	})
}

// target is a filter that a fuzz target aims at.
type target struct {
	*lab
	runs int
}

var aim = sync.OnceValue(func() *target {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	s.Config.Protocols = new(http.Protocols) // gRPC comes back as it went
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	l := &lab{log: &journal{}}
	var err error
	l.Filter, err = New(context.Background(), hostile(), Config{
		Workers: 1, MaxBody: 4096, Deadline: 5 * time.Second, StopIteration: true, MemoryBytes: 8 << 20, Env: []string{"A=b"},
		Clusters: map[string]string{"c": s.URL}, Logger: slog.New(l.log),
		Limits: Limits{Calls: 8, CallBytes: 4096, AllCallBytes: 8192, CallTimeout: 5 * time.Second, SharedKeys: 8, SharedBytes: 8192, Queues: 4, QueueBytes: 8192,
			Metrics: 64, LogBytes: 64, ForeignBytes: 4096},
		Foreign: map[string]ForeignFunc{"echo": func(c ForeignCall) ([]byte, error) { return c.Argument, nil }},
	})
	if err != nil {
		panic(err)
	}
	return &target{lab: l}
})

// echoing answers with the request's body, and has a trailer.
func echoing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Trailer")
	_, _ = w.Write([]byte("answer "))
	_, _ = io.Copy(w, r.Body)
	w.Header().Set("X-Trailer", "end")
}

// exchange sends a request with a program; a stream that waits is given up.
func (a *target) exchange(t *testing.T, program string) (status int, body string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if program == "" {
		ctx = context.Background()
	}
	r := httptest.NewRequestWithContext(ctx, "POST", "/path?query", strings.NewReader("body"))
	r.Header["X-Program"] = []string{program}
	r.Trailer = http.Header{"X-Request-Trailer": {"end"}}
	w := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			status = 0
		}
	}()
	a.Handler(http.HandlerFunc(echoing)).ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// bugs are words in the end of a guest that say that it was the host's fault.
var bugs = []string{"runtime error", "interface conversion", "nil pointer", "BUG", "reflect:"}

// FuzzHostcalls has a guest make hostcalls with whatever arguments, in every callback and
// in its allocator, which lies. Whatever it does, the host does not break, and the next
// request is served as if nothing had been.
func FuzzHostcalls(f *testing.F) {
	for i := range hostileImports { // each once with words, and once with edges
		f.Add([]byte{byte(i), 64, 64, 64, 64, 10, 10, 10, 200, 220, byte(i), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		f.Add([]byte{101, 131, 200, 100, byte(i), 28, 28, 28, 28, 28, 28, 28, 28, 28, 28})
	}
	f.Add([]byte{18, 128 + 60, 64, 64, 74, 10, 10, 0, 200})               // a local response
	f.Add([]byte{105 - 100 + 101, 200, 102, 19, 200, 200})                // a lie, and an end
	f.Add([]byte{21, 64, 74, 10, 10, 10, 10, 10, 10, 200, 220, 220, 220}) // a call
	f.Fuzz(func(t *testing.T, input []byte) {
		a := aim()
		a.runs++
		a.exchange(t, draw(input))
		for _, bug := range bugs {
			if log := a.log.String(); strings.Contains(log, bug) {
				t.Errorf("the host has broken: %s", log)
			}
		}
		a.log.mu.Lock()
		a.log.lines = nil
		a.log.mu.Unlock()
		if err := testenv.Poll(20*time.Second, func() bool {
			status, body := a.exchange(t, "")
			return status == 200 && body == "answer body"
		}); err != nil {
			t.Errorf("the next request is not served: %v: %s", err, a.log)
		}
		if a.runs%1000 == 0 {
			if err := testenv.Poll(20*time.Second, func() bool {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc < 256<<20 && runtime.NumGoroutine() < 200
			}); err != nil {
				t.Errorf("after %d runs the host holds too much, with %d goroutines", a.runs, runtime.NumGoroutine())
			}
		}
	})
}

// FuzzModule loads what may be a module, and sends it a request when it starts.
func FuzzModule(f *testing.F) {
	f.Add(onlyResponseHeaders())
	f.Add(startModule(0x00))
	f.Add(startModule(0x03, 0x40, 0x0c, 0, 0x0b))
	f.Add(startModule(0x01))
	f.Add(hostile())
	f.Add([]byte("\x00asm\x01\x00\x00\x00\x04\x0a\x01\x70\x00\xff\xff\xff\x3f"))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		log := &journal{}
		l, err := New(context.Background(), wasm, Config{Workers: 1, Deadline: 50 * time.Millisecond, MemoryBytes: 8 << 20, Logger: slog.New(log)})
		if err == nil {
			a := &target{lab: &lab{Filter: l, log: log}}
			a.exchange(t, "x")
			err = l.Close(context.Background())
		}
		for _, bug := range bugs {
			if text := fmt.Sprint(err, log); strings.Contains(text, bug) {
				t.Errorf("the host has broken: %s", text)
			}
		}
	})
}
