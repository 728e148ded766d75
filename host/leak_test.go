package host

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
)

// idle is how many goroutines there may be when nothing runs: three for each connection
// of a cluster that is kept for the next call, and the tests' own.
const idle = 3*64 + 40

// held returns what a process holds after a collection: bytes of the heap, and
// goroutines. What closes in the background gets the time to.
func held(t *testing.T, c *Chain) (heap uint64, goroutines int) {
	t.Helper()
	if err := testenv.Poll(30*time.Second, func() bool { return Open(c) == 1 && runtime.NumGoroutine() <= idle }); err != nil {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Fatalf("%d filters are open, with %d goroutines: %s", Open(c), runtime.NumGoroutine(), stacks.String())
	}
	runtime.GC()
	runtime.GC() // what had a finalizer
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}

// resident returns the memory of the process in bytes, compiled code and all, where the
// system says it.
func resident() (n uint64) {
	debug.FreeOSMemory()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var total uint64
	_, _ = fmt.Sscan(string(data), &total, &n)
	return n * uint64(os.Getpagesize())
}

// noise is what may be in the way of a collection, in bytes.
const noise = 4 << 20

// TestLeaks reloads a chain again and again while streams run, each of which uses what
// can be left behind: properties, metrics, shared data, queues, calls, held bodies, and
// now and then a trap. LEAKS=1 makes it 2,000 reloads and 500,000 streams.
func TestLeaks(t *testing.T) {
	reloads, streams := 60, 3_000
	if os.Getenv("LEAKS") != "" {
		reloads, streams = 2_000, 500_000
	}
	url, _, _ := callouts(t)
	data, size := callProgram("/large")
	use := program(data, func(at uint32) []record {
		return []record{
			do(op("proxy_set_property"), at+1, 9, at, 9), do(op("proxy_define_metric"), 0, at+1, 8, 64), do(op("proxy_increment_metric"), 4, 1),
			do(op("proxy_set_shared_data"), at, 4, big, 1000, 0), do(op("proxy_register_shared_queue"), at, 1, 64),
			do(op("proxy_enqueue_shared_queue"), 1, big, 100), do(op("proxy_dequeue_shared_queue"), 1, 68, 72),
			do(op("proxy_http_call"), at, 1, at+1, size, big, 100, 0, 0, 0, 64), do(op("proxy_add_header_map_value"), 0, at, 1, big, 1000),
			do(opEnd), do(op("proxy_set_buffer_bytes"), 0, 0, 0, big, 1000),
		}
	})
	trap := program("", func(uint32) []record { return []record{do(opTrap)} })

	plugin := func(i int) Plugin {
		return Plugin{Wasm: hostile(), Config: Config{
			Workers: 2, VMID: fmt.Sprint("vm", i%3), PluginConfig: fmt.Append(nil, i), Clusters: map[string]string{"c": url},
		}}
	}
	c, err := NewChain(context.Background(), plugin(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	handler := c.Handler(http.HandlerFunc(echoing))
	send := func(i int) int {
		r := httptest.NewRequest("POST", "/", http.NoBody)
		r.Header["X-Program"] = []string{use}
		if i%1000 == 999 {
			r.Header["X-Program"] = []string{trap}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	began := time.Now()
	var heaps, residents []uint64
	var goroutines []int
	var unserved, sent int
	var mu sync.Mutex // guards unserved and sent
	for i := range reloads {
		var clients sync.WaitGroup
		for k := range 2 {
			clients.Go(func() {
				bad, n := 0, 0
				for j := k; j < streams/reloads; j += 2 {
					if send(i*streams/reloads+j) != 200 {
						bad++
					}
					n++
				}
				mu.Lock()
				defer mu.Unlock()
				unserved += bad
				sent += n
			})
		}
		if err := c.Reload(t.Context(), plugin(i+1)); err != nil {
			t.Fatal(err)
		}
		clients.Wait()
		if i%(reloads/20) == 0 {
			heap, n := held(t, c)
			heaps, residents, goroutines = append(heaps, heap), append(residents, resident()), append(goroutines, n)
		}
	}
	// The traps, and those that came to a guest while it was replaced.
	if traps := streams / 1000; unserved > 20*traps || sent != streams/reloads*reloads {
		t.Errorf("%d of %d streams were not served, with %d traps", unserved, sent, traps)
	}
	for _, sizes := range [][]uint64{heaps, residents} {
		if first, last := slices.Max(sizes[:5]), slices.Min(sizes[len(sizes)-5:]); last > first+first/4+noise {
			t.Errorf("memory grows: %d", sizes)
		}
	}
	testenv.Evidence(t, "%d reloads and %d streams in %v, %d not served: heap %d, resident %d, goroutines %d", reloads, sent, time.Since(began).Round(time.Second), unserved, heaps, residents, goroutines)
}
