package host

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/stream"
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/testenv"
)

// none is the status of what is no hostcall.
const none = abi.Status(0xffffffff)

// step is a record with the status that it has to end with.
type step struct {
	record
	want abi.Status
}

func call(want abi.Status, name string, args ...uint32) step {
	return step{do(op(name), args...), want}
}

func plain(code uint32, args ...uint32) step { return step{do(code, args...), none} }

// lab is a hostile guest at work.
type lab struct {
	*Filter
	log *journal
}

// journal is a slog.Handler that keeps lines and calls a function for each.
type journal struct {
	mu    sync.Mutex // guards lines
	lines []string
	each  func(line string)
}

func (r *journal) Enabled(context.Context, slog.Level) bool { return true }
func (r *journal) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *journal) WithGroup(string) slog.Handler            { return r }
func (r *journal) Handle(_ context.Context, l slog.Record) error {
	text := l.Message
	l.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	r.mu.Lock()
	r.lines = append(r.lines, text)
	r.mu.Unlock()
	if r.each != nil {
		r.each(text)
	}
	return nil
}

func (r *journal) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func newLab(t testing.TB, config Config) *lab {
	t.Helper()
	l := &lab{log: &journal{}}
	config.Logger = slog.New(l.log)
	if config.Workers == 0 {
		config.Workers = 1
	}
	var err error
	if l.Filter, err = New(context.Background(), hostile(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

// send sends a request with a program to a handler behind the guest.
func (l *lab) send(program, body string, next http.HandlerFunc) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	if body == "" {
		r = httptest.NewRequest("GET", "/", nil)
	}
	r.Header["X-Program"] = []string{program}
	w := httptest.NewRecorder()
	if next == nil {
		next = func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }
	}
	l.Handler(next).ServeHTTP(w, r)
	return w
}

// statuses are what the hostcalls of the last program ended with.
func (l *lab) statuses(n int) (list []abi.Status) {
	v := l.slots[0].current.Load().vm
	_ = v.Do(func() {
		b, _ := v.View(hostileStatuses, uint32(4*n))
		for i := range n {
			list = append(list, abi.Status(binary.LittleEndian.Uint32(b[4*i:])))
		}
	})
	return list
}

// run runs steps and holds their statuses against those that are wanted.
func (l *lab) run(t *testing.T, data, body string, steps func(at uint32) []step) *httptest.ResponseRecorder {
	t.Helper()
	var want []step
	p := program(data, func(at uint32) (list []record) {
		want = steps(at)
		for _, s := range want {
			list = append(list, s.record)
		}
		return list
	})
	w := l.send(p, body, nil)
	want = slices.DeleteFunc(want, func(s step) bool { return s.op == opEnd }) // which has no status
	for i, got := range l.statuses(len(want)) {
		if got != want[i].want {
			t.Errorf("step %d (op %d): %v, want %v", i, want[i].op, got, want[i].want)
		}
	}
	return w
}

// big is room in the guest's memory beyond its program.
const big = 1 << 16

// TestBounds hits each bound of hostcalls: the last step that fits, and the first that
// does not.
func TestBounds(t *testing.T) {
	const (
		ok, tooMuch = abi.OK, abi.InternalFailure
		out         = 64 // where results go
	)
	for _, test := range []struct {
		name   string
		limits Limits
		body   string
		data   string
		steps  func(at uint32) []step
		status int
	}{
		{name: "shared data, keys", limits: Limits{SharedKeys: 2}, data: "abc", steps: func(at uint32) []step {
			set := func(want abi.Status, key uint32) step {
				return call(want, "proxy_set_shared_data", key, 1, at, 1, 0)
			}
			return []step{set(ok, at), set(ok, at+1), set(tooMuch, at+2), set(ok, at), call(abi.NotFound, "proxy_get_shared_data", at+2, 1, out, out, out)}
		}},
		{name: "shared data, bytes", limits: Limits{SharedBytes: 100}, data: "abc", steps: func(at uint32) []step {
			set := func(want abi.Status, key, size uint32) step {
				return call(want, "proxy_set_shared_data", key, 1, big, size, 0)
			}
			return []step{set(ok, at, 50), set(ok, at+1, 48), set(tooMuch, at+2, 0), set(tooMuch, at, 51), set(ok, at, 40), set(ok, at+2, 9), set(tooMuch, at+2, 101)}
		}},
		{name: "queues", limits: Limits{Queues: 2}, data: "abc", steps: func(at uint32) []step {
			register := func(want abi.Status, name, size uint32) step {
				return call(want, "proxy_register_shared_queue", name, size, out)
			}
			return []step{register(ok, at, 1), register(ok, at+1, 1), register(tooMuch, at+2, 1), register(ok, at, 1), register(tooMuch, big, 1025),
				call(abi.NotFound, "proxy_resolve_shared_queue", at, 0, big, 1025, out)}
		}},
		{name: "queues, bytes", limits: Limits{QueueBytes: 100}, data: "ab", steps: func(at uint32) []step {
			put := func(want abi.Status, queue, size uint32) step {
				return call(want, "proxy_enqueue_shared_queue", queue, big, size)
			}
			return []step{call(ok, "proxy_register_shared_queue", at, 1, out), call(ok, "proxy_register_shared_queue", at+1, 1, out),
				put(ok, 1, 60), put(tooMuch, 2, 41), put(ok, 2, 40), put(tooMuch, 1, 1), put(tooMuch, 1, 101),
				call(ok, "proxy_dequeue_shared_queue", 1, out, out), put(ok, 2, 60)}
		}},
		{name: "a queue, messages", data: "a", steps: func(at uint32) []step {
			return []step{call(ok, "proxy_register_shared_queue", at, 1, out),
				call(ok, "proxy_enqueue_shared_queue", 1, at, 0), {do(opRepeat, 65535), ok}, call(tooMuch, "proxy_enqueue_shared_queue", 1, at, 0)}
		}},
		{name: "metrics", limits: Limits{Metrics: 2}, data: "abc", steps: func(at uint32) []step {
			define := func(want abi.Status, name, size uint32) step {
				return call(want, "proxy_define_metric", 0, name, size, out)
			}
			return []step{define(tooMuch, big, 1025), define(ok, at, 1), define(ok, at+1, 1), define(tooMuch, at+2, 1), define(tooMuch, at, 1)}
		}},
		{name: "an argument of a foreign function", limits: Limits{ForeignBytes: 10}, data: "compress", steps: func(at uint32) []step {
			return []step{call(ok, "proxy_call_foreign_function", at, 8, big, 10, out, out), call(tooMuch, "proxy_call_foreign_function", at, 8, big, 11, out, out),
				call(abi.NotFound, "proxy_call_foreign_function", big, 1025, big, 1, out, out)}
		}},
		{name: "properties", data: "abc", steps: func(at uint32) []step {
			set := func(want abi.Status, path, value uint32) step {
				return call(want, "proxy_set_property", big, path, big, value)
			}
			return []step{set(ok, 4096, 65536), set(tooMuch, 4097, 1), set(tooMuch, 1, 65537), call(abi.NotFound, "proxy_get_property", big, 4097, out, out)}
		}},
		{name: "headers, bytes", data: "name", steps: func(at uint32) []step {
			add := func(want abi.Status, size uint32) step {
				return call(want, "proxy_add_header_map_value", 0, at, 4, big, size)
			}
			return []step{add(ok, 60000), {do(opRepeat, 15), ok}, add(tooMuch, 90000), add(ok, 4000), add(tooMuch, 85000),
				call(tooMuch, "proxy_replace_header_map_value", 0, big, 120000, at, 0), call(ok, "proxy_remove_header_map_value", 0, at, 4), add(ok, 65536)}
		}},
		{name: "headers, how many", data: "name", steps: func(at uint32) []step {
			return []step{call(ok, "proxy_add_header_map_value", 0, at, 4, at, 4), {do(opRepeat, 1000), ok},
				call(ok, "proxy_add_header_map_value", 0, at, 4, at, 4), {do(opRepeat, 100), tooMuch}}
		}},
		{name: "a local response", data: "x", status: 500, steps: func(at uint32) []step {
			return []step{call(tooMuch, "proxy_send_local_response", 403, at, 1, big, 16*1024+1, 0, 0, 0)}
		}},
		{name: "a local response that fits", data: "x", status: 403, steps: func(at uint32) []step {
			return []step{call(ok, "proxy_send_local_response", 403, at, 1, big, 16*1024, 0, 0, 0)}
		}},
		{name: "a body that is made longer", data: "x", body: "body", steps: func(at uint32) []step {
			return []step{plain(opEnd), call(tooMuch, "proxy_set_buffer_bytes", 0, 4, 0, big, 16*1024-3), call(ok, "proxy_set_buffer_bytes", 0, 4, 0, big, 16*1024-4),
				call(tooMuch, "proxy_set_buffer_bytes", 0, 0, 0, big, 1), call(tooMuch, "proxy_set_buffer_bytes", 0, 0, 9, big, 10), call(ok, "proxy_set_buffer_bytes", 0, 0, 9, big, 9)}
		}},
		{name: "random bytes", steps: func(at uint32) []step {
			return []step{call(ok, "random_get", big, 1<<16), call(28, "random_get", big-1, 1<<16+1)}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Config{MaxBody: 1024, Limits: test.limits, Deadline: 20 * time.Second})
			steps := test.steps
			if w := l.run(t, test.data, test.body, func(at uint32) []step {
				return append([]step{plain(opGrow, 2)}, steps(at)...)
			}); w.Code != max(test.status, 200) {
				t.Errorf("status %d", w.Code)
			}
			if l.Running() != 1 {
				t.Errorf("the guest has ended: %s", l.log)
			}
		})
	}
}

// The 257th property of a request is refused.
func TestPropertiesCount(t *testing.T) {
	l := newLab(t, Config{})
	l.run(t, strings.Repeat("x", 300), "", func(at uint32) (list []step) {
		for i := range uint32(257) {
			want := abi.OK
			if i == 256 {
				want = abi.InternalFailure
			}
			list = append(list, call(want, "proxy_set_property", at, i+1, at, 1))
		}
		return list
	})
}

// Lines are cut, not refused: SDKs end a guest whose log call fails.
func TestLogBytes(t *testing.T) {
	l := newLab(t, Config{Limits: Limits{LogBytes: 8}})
	l.run(t, "123456789\n"+"\x00\x20\x00\x00\x09\x00\x00\x00"+strings.Repeat("\x00\x10\x01\x00\x00\xe0\x00\x00", 3), "", func(at uint32) []step {
		return []step{call(abi.OK, "proxy_log", 2, at, 8), call(abi.OK, "proxy_log", 2, at, 9), plain(opGrow, 1),
			call(abi.OK, "fd_write", 1, at+18, 3, 64), call(28, "fd_write", 1, at+18, 1025, 64)}
	})
	lines := strings.Split(l.log.String(), "\n")
	if lines[0] != "12345678" || lines[1] != "12345678… (cut)" || !strings.HasSuffix(lines[2], "… (cut)") || len(lines) != 3 {
		t.Errorf("%q", lines)
	}
	v := l.slots[0].current.Load().vm
	_ = v.Do(func() {
		if b, _ := v.View(64, 4); binary.LittleEndian.Uint32(b) != 3*0xe000 {
			t.Errorf("fd_write has written %x bytes", b)
		}
	})
}

// What a guest asks for a million times within a callback is kept once.
func TestDeferredOnce(t *testing.T) {
	for _, test := range []struct {
		name string
		ask  record
		most uint64 // bytes
	}{
		{"continue", do(op("proxy_continue_stream"), 0), 8 << 20},
		{"close", do(op("proxy_close_stream"), 0), 8 << 20},
		{"local response", do(op("proxy_send_local_response"), 403, 0, 0, big, 8, 0, 0, 0), 8 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Config{Deadline: 60 * time.Second})
			var sizes []uint64
			l.log.each = func(string) {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				sizes = append(sizes, m.HeapAlloc)
			}
			func() {
				defer func() { _ = recover() }() // a stream that is closed has no answer
				l.send(program("", func(at uint32) []record {
					line := do(op("proxy_log"), 2, 0, 1)
					return []record{line, test.ask, do(opRepeat, 1_000_000), line}
				}), "", nil)
			}()
			if len(sizes) < 2 || sizes[1] > sizes[0]+test.most {
				t.Errorf("heap within the callback: %d", sizes)
			}
		})
	}
}

// Messages that nobody takes cost no goroutine each.
func TestQueueNotificationsWait(t *testing.T) {
	l := newLab(t, Config{Deadline: 60 * time.Second})
	var counts []int
	l.log.each = func(string) { counts = append(counts, runtime.NumGoroutine()) }
	l.send(program("a", func(at uint32) []record {
		line := do(op("proxy_log"), 2, 0, 1)
		return []record{do(op("proxy_register_shared_queue"), at, 1, 64), line, do(op("proxy_enqueue_shared_queue"), 1, 0, 1), do(opRepeat, 50_000), line}
	}), "", nil)
	if len(counts) < 2 || counts[1] > counts[0]+10 {
		t.Errorf("goroutines within the callback: %d", counts)
	}
}

// What a guest has let go on counts until it has gone: it may hold what follows as well.
func TestContinueAndHold(t *testing.T) {
	l := newLab(t, Config{})
	const piece = 32 << 10
	root := l.slots[0].current.Load().root
	s := stream.New(root, stream.Options{StopIteration: true, MaxBody: 2 * piece}, nil, &stream.State{})
	defer s.Done()
	s.RequestMap().Append("x-program", program("", func(uint32) []record {
		return []record{do(opAction, 1), do(opEnd), do(opEnd), do(opEnd), do(opEnd)}
	}))
	if o := s.RequestHeaders(t.Context(), false); o != stream.NeedBody {
		t.Fatalf("headers: %v", o)
	}
	for i, want := range []stream.Outcome{stream.NeedBody, stream.NeedBody, stream.TooLarge} {
		if _, o := s.RequestBody(t.Context(), make([]byte, piece), false); o != want {
			t.Errorf("piece %d: %v, want %v", i, o, want)
		}
		_ = root.VM().Do(func() { s.Continue(false) }) // as a tick or the answer of a call does
	}
}

// Memory grows to its bound and no further.
func TestMemoryBytes(t *testing.T) {
	l := newLab(t, Config{MemoryBytes: 5 << 16})
	l.run(t, "", "", func(uint32) []step {
		return []step{plain(opGrow, 2), plain(opGrow, 2), plain(opGrow, 1), plain(opGrow, 1)}
	})
	if n := l.MemoryBytes(); n != 5<<16 {
		t.Errorf("%d bytes", n)
	}
}

// A guest that does not end a callback ends itself: by its deadline, whatever it does
// not end in, or by the end of its stack.
func TestDeadline(t *testing.T) {
	for _, test := range []struct {
		name    string
		program []record
		says    string
	}{
		{"spins", []record{do(opSpin)}, "proxy_on_request_headers: module closed with context deadline exceeded"},
		{"spins in the allocator", []record{do(opReenter), do(op("proxy_get_header_map_pairs"), 0, 64, 68), do(opSpin)}, "deadline exceeded"},
		{"recurses", []record{do(opRecurse)}, "proxy_on_request_headers: stack overflow"},
		{"recurses in the allocator", []record{do(opReenter), do(op("proxy_get_header_map_pairs"), 0, 64, 68), do(opRecurse)}, "stack overflow"},
		{"calls the host from the allocator", []record{do(opReenter), do(op("proxy_get_header_map_pairs"), 0, 64, 68), do(op("proxy_get_header_map_pairs"), 0, 64, 68)}, "restricted_callback: proxy_get_header_map_pairs"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Config{Deadline: 200 * time.Millisecond})
			if w := l.send(program("", func(uint32) []record { return test.program }), "", nil); w.Code != 503 {
				t.Errorf("status %d", w.Code)
			}
			testenv.Eventually(t, 10*time.Second, "a new guest", func() bool { return l.send("", "", nil).Code == 200 })
			if !strings.Contains(l.log.String(), test.says) {
				t.Errorf("the log says %s", l.log)
			}
		})
	}
}

// startModule is a module with a start section, which runs code while the module is
// instantiated.
func startModule(code ...byte) []byte {
	wasm := []byte("\x00asm\x01\x00\x00\x00" +
		"\x01\x09\x02\x60\x00\x00\x60\x01\x7f\x01\x7f" + // () → (), (i32) → i32
		"\x03\x04\x03\x00\x00\x01" + // start, marker, malloc
		"\x05\x03\x01\x00\x01" +
		"\x07\x2d\x03\x06memory\x02\x00\x17proxy_abi_version_0_2_1\x00\x01\x06malloc\x00\x02" +
		"\x08\x01\x00")
	body := append([]byte{byte(len(code) + 2), 0}, append(code, 0x0b)...)
	section := append([]byte{3}, append(body, "\x02\x00\x0b\x04\x00\x41\x00\x0b"...)...)
	return append(append(wasm, 10, byte(len(section))), section...)
}

// The start section is the guest's code too.
func TestStartSection(t *testing.T) {
	for _, test := range []struct {
		name string
		code []byte
		says string
	}{
		{"traps", []byte{0x00}, "host: the module cannot be instantiated: start function[0] failed: wasm error: unreachable"},
		{"spins", []byte{0x03, 0x40, 0x0c, 0, 0x0b}, "host: the module cannot be instantiated: module closed with context deadline exceeded"},
		{"ends", []byte{0x01}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := New(t.Context(), startModule(test.code...), Config{Workers: 1, Deadline: 100 * time.Millisecond})
			if err == nil {
				_ = f.Close(t.Context())
			}
			if fmt.Sprint(err) != test.says && (test.says != "" || err != nil) && !strings.HasPrefix(fmt.Sprint(err), test.says+"\n") {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

// A trap is one worker's matter: a stream on another goes on, and the slot is filled
// again by the first try. Metrics' numbers do not run out by it.
func TestTrapIsOneWorkers(t *testing.T) {
	l := newLab(t, Config{Workers: 2, Limits: Limits{Metrics: 3}})
	entered, open, done := make(chan struct{}), make(chan struct{}), make(chan int)
	go func() {
		w := l.send("", "", func(http.ResponseWriter, *http.Request) { close(entered); <-open })
		done <- w.Code
	}()
	<-entered
	busy := l.slots[0].current.Load()
	if l.next.Load()%2 == 1 {
		busy = l.slots[1].current.Load()
	}
	trap := program("abc", func(at uint32) (list []record) {
		for i := range uint32(3) {
			list = append(list, do(op("proxy_define_metric"), 0, at+i, 1, 64), do(op("proxy_increment_metric"), 4*(i+1), 1))
		}
		return append(list, do(opTrap))
	})
	const traps = 20
	var slowest time.Duration
	for sent := 0; sent < traps; {
		before := l.next.Load()
		if l.slots[(before+1)%2].current.Load() == busy { // the trap is for the other
			_ = l.pick()
			continue
		}
		if w := l.send(trap, "", nil); w.Code != 503 {
			t.Fatalf("status %d: %s", w.Code, l.log)
		}
		sent++
		began := time.Now()
		testenv.Eventually(t, 10*time.Second, "both workers", func() bool { return l.Running() == 2 })
		slowest = max(slowest, time.Since(began))
	}
	close(open)
	if code := <-done; code != 200 {
		t.Errorf("the other stream ended with %d", code)
	}
	if text := l.log.String(); strings.Contains(text, "cannot be replaced") || strings.Count(text, "a worker of the filter has ended") != traps {
		t.Errorf("the log says %s", text)
	}
	total := int64(0)
	for _, m := range l.Metrics() {
		total += m.Value
	}
	if total != 3*traps || len(l.Metrics()) != 3 {
		t.Errorf("metrics %v, want 3 with %d each", l.Metrics(), traps)
	}
	testenv.Evidence(t, "%d traps, the slot served again after %v at most", traps, slowest)
}

// What next does not want guessed is not guessed because a guest has changed a header.
func TestContentTypeIsNotGuessed(t *testing.T) {
	l := newLab(t, Config{})
	p := program("x-a", func(at uint32) []record {
		return []record{do(opEnd), do(op("proxy_add_header_map_value"), 2, at, 3, at, 3)}
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header["X-Program"] = []string{p}
		l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = w.Write([]byte("<html>"))
		})).ServeHTTP(w, r)
	}))
	defer srv.Close()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("X-A") != "x-a" || res.Header["Content-Type"] != nil {
		t.Errorf("%v", res.Header)
	}
}

// A queue is found by the vm_id of its owner, in a chain and while the owner is there.
func TestQueueOfAnother(t *testing.T) {
	plugin := func(id string) Plugin {
		return Plugin{Wasm: hostile(), Config: Config{Name: id, VMID: id, Workers: 1}}
	}
	c, err := NewChain(t.Context(), plugin("r"), plugin("s"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	ask := func(want ...abi.Status) {
		t.Helper()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["X-Program"] = []string{program("ra", func(at uint32) []record {
			return []record{do(op("proxy_register_shared_queue"), at+1, 1, 64), do(op("proxy_resolve_shared_queue"), at, 1, at+1, 1, 64)}
		})}
		c.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		last := c.current.Load().members
		l := &lab{Filter: last[len(last)-1].filter}
		if got := l.statuses(2); !slices.Equal(got, want) {
			t.Errorf("register and resolve: %v, want %v", got, want)
		}
	}
	ask(abi.OK, abi.OK)
	if err := c.Reload(t.Context(), plugin("s")); err != nil {
		t.Fatal(err)
	}
	ask(abi.OK, abi.NotFound)
}

// A request does not go to its old path because its new one cannot be read.
func TestPathThatIsNone(t *testing.T) {
	for path, want := range map[string]string{
		"/new?q": "/new?q", "/%20": "/%20", "//host/x": "//host/x", "*": "*",
		"": "", "x": "", "/%2": "", "/\x01": "", "http://elsewhere/": "",
	} {
		l := newLab(t, Config{})
		got := ""
		w := l.send(program(":path"+path, func(at uint32) []record {
			return []record{do(op("proxy_replace_header_map_value"), 0, at, 5, at+5, uint32(len(path)))}
		}), "", func(_ http.ResponseWriter, r *http.Request) { got = r.RequestURI })
		if got != want || (w.Code == 200) != (want != "") {
			t.Errorf("%q: next got %q, status %d", path, got, w.Code)
		}
	}
}

// What a guest prints is looked at for a MiB, however much it says it is: a thousand
// buffers may all be the same memory.
func TestPrintedBytes(t *testing.T) {
	const buffers, size = 1024, 0xe000
	l := newLab(t, Config{Limits: Limits{LogBytes: 8 << 20}})
	l.run(t, strings.Repeat("\x00\x10\x01\x00\x00\xe0\x00\x00", buffers), "", func(at uint32) []step {
		return []step{plain(opGrow, 1), call(abi.OK, "fd_write", 1, at, buffers, 64)}
	})
	if n := len(l.log.String()); n != 1<<20 {
		t.Errorf("%d bytes were logged", n)
	}
	v := l.slots[0].current.Load().vm
	_ = v.Do(func() {
		if b, _ := v.View(64, 4); binary.LittleEndian.Uint32(b) != buffers*size {
			t.Errorf("fd_write has written %x bytes", b)
		}
	})
}
