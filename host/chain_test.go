package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/host"
	"github.com/sallyport-auth/sallyport/testenv"
)

var cache = filepath.Join(testenv.Root(), "build", "test", "cache")

// probe returns the module of testenv/guests/probe.
var probe = sync.OnceValue(func() []byte {
	data, err := os.ReadFile(testenv.Guest(builder{}, "probe"))
	if err != nil {
		panic(err)
	}
	return data
})

// probes returns plugins that run the probe under some names.
func probes(names ...string) (list []host.Plugin) {
	for _, n := range names {
		list = append(list, host.Plugin{Wasm: probe(), Config: host.Config{
			Name: n, VMID: n, PluginConfig: []byte(n), Workers: 1, CacheDir: cache, Deadline: 20 * time.Second,
		}})
	}
	return list
}

// echo answers with what it received.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "trace %s, state %q, body %q, %v", strings.Join(r.Header["X-Trace"], ","), r.Header.Get("X-State"), body, err)
})

// ask sends a request with header lines.
func ask(t testing.TB, url, body string, lines ...string) (status int, header http.Header, text string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(data)
}

func serveChain(t testing.TB, plugins ...host.Plugin) (*host.Chain, string) {
	t.Helper()
	c, err := host.NewChain(context.Background(), plugins...)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(c.Handler(echo))
	t.Cleanup(func() {
		srv.Close()
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c, srv.URL
}

// A trap in one filter is the client's 503 and no other filter's matter.
func TestChainTrap(t *testing.T) {
	_, url := serveChain(t, probes("a", "b")...)
	for range 3 {
		status, header, _ := ask(t, url, "", "x-do-b: trap")
		if trace := header["X-Trace"]; status != 503 || len(trace) != 1 || trace[0] != "a" {
			t.Errorf("status %d, trace %v; want 503 past a", status, trace)
		}
		testenv.Eventually(t, 10*time.Second, "a new worker", func() bool {
			status, _, _ = ask(t, url, "")
			return status == 200
		})
	}
}

// Filters with one module and one VMID share a VM: each has its own configuration, a
// trap ends both, and one of them can be replaced alone.
func TestChainSharesVM(t *testing.T) {
	list := probes("a", "b")
	list[0].Config.VMID, list[1].Config.VMID = "one", "one"
	c, url := serveChain(t, list...)
	if _, _, text := ask(t, url, ""); !strings.HasPrefix(text, "trace a,b,") {
		t.Errorf("the upstream got %s", text)
	}
	if n := value(c, "a", "probe.requests"); n != 2 {
		t.Errorf("the VM has counted %d requests, want those of both: 2", n)
	}
	if s := c.Stats(); s[0].MemoryBytes == 0 || s[1].MemoryBytes != 0 {
		t.Errorf("memory: %d and %d bytes, want that of one VM", s[0].MemoryBytes, s[1].MemoryBytes)
	}
	passes := func(want string) {
		t.Helper()
		testenv.Eventually(t, 10*time.Second, "a new worker", func() bool {
			status, _, text := ask(t, url, "")
			return status == 200 && strings.HasPrefix(text, want)
		})
	}
	if status, _, _ := ask(t, url, "", "x-do-b: trap"); status != 503 {
		t.Errorf("a trap: status %d", status)
	}
	passes("trace a,b,")
	next := probes("a", "b")
	next[0].Config.VMID, next[1].Config.VMID = "one", "one"
	next[1].Config.PluginConfig = []byte("changed")
	if err := c.Reload(t.Context(), next...); err != nil {
		t.Fatal(err)
	}
	passes("trace a,changed,")
	if status, _, _ := ask(t, url, "", "x-do-a: trap"); status != 503 {
		t.Errorf("a trap after the reload: status %d", status)
	}
	passes("trace a,changed,")
	next[1].Config.PluginConfig = []byte("refuse")
	if err := c.Reload(t.Context(), next...); err == nil {
		t.Error("a plugin that refuses its configuration was taken")
	}
	passes("trace a,changed,")
	if err := c.Reload(t.Context(), next[0]); err != nil {
		t.Fatal(err)
	}
	passes("trace a,")
}

func TestChainRefuses(t *testing.T) {
	c, url := serveChain(t, probes("a")...)
	bad := probes("a", "refuse")
	for _, test := range []struct {
		name    string
		plugins []host.Plugin
		says    string
	}{
		{"nothing", nil, "a chain needs a filter"},
		{"no module", []host.Plugin{{}}, "filter: host: the module cannot be compiled"},
		{"a module that refuses its configuration", bad, "refuse: host: the module refuses its configuration"},
		{"a cluster", []host.Plugin{{Wasm: probe(), Config: host.Config{Name: "x", Clusters: map[string]string{"c": "ftp://x"}}}}, `x: host: cluster "c"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := host.NewChain(t.Context(), test.plugins...); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("a new chain: %v, want %q", err, test.says)
			}
			if err := c.Reload(t.Context(), test.plugins...); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("a reload: %v, want %q", err, test.says)
			}
			if status, _, text := ask(t, url, ""); status != 200 || !strings.HasPrefix(text, "trace a,") {
				t.Errorf("afterwards: %d %s", status, text)
			}
		})
	}
}

func TestChainClosed(t *testing.T) {
	c, url := serveChain(t, probes("a")...)
	for range 2 {
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := c.Reload(t.Context(), probes("b")...); !errors.Is(err, host.ErrClosed) {
		t.Errorf("a reload: %v", err)
	}
	if status, _, _ := ask(t, url, ""); status != 503 {
		t.Errorf("status %d", status)
	}
	if s := c.Stats(); s[0].Running != 0 || s[0].Unavailable != 1 {
		t.Errorf("%+v", s)
	}
}

// value returns a counter of a filter.
func value(c *host.Chain, filter, metric string) int64 {
	for _, s := range c.Stats() {
		for _, m := range s.Metrics {
			if s.Name == filter && m.Name == metric {
				return m.Value
			}
		}
	}
	return -1
}

// A reload keeps what has not changed, and the metrics of what has.
func TestReloadKeeps(t *testing.T) {
	c, url := serveChain(t, probes("a", "b")...)
	ask(t, url, "")
	next := probes("a", "b", "a")
	next[1].Config.PluginConfig = []byte("changed")
	next[2].Config.VMID = "another" // else the two would share a VM
	if err := c.Reload(t.Context(), next...); err != nil {
		t.Fatal(err)
	}
	_, _, text := ask(t, url, "")
	if !strings.HasPrefix(text, "trace a,changed,a,") {
		t.Errorf("the upstream got %s", text)
	}
	for name, want := range map[string]int64{"a": 2, "b": 2, "a#2": 1} {
		if got := value(c, name, "probe.requests"); got != want {
			t.Errorf("%s has counted %d requests, want %d", name, got, want)
		}
	}
}

// A stream ends on the module it began with, also when that is long gone.
func TestReloadLetsStreamsEnd(t *testing.T) {
	entered, open := make(chan struct{}), make(chan struct{})
	c, err := host.NewChain(t.Context(), probes("old")...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	srv := httptest.NewServer(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Wait") != "" {
			entered <- struct{}{}
			<-open
		}
	})))
	defer srv.Close()
	trace := make(chan []string)
	go func() {
		_, header, _ := ask(t, srv.URL, "", "x-wait: yes")
		trace <- header["X-Trace"]
	}()
	<-entered
	for _, name := range []string{"new", "newer"} {
		if err := c.Reload(t.Context(), probes(name)...); err != nil {
			t.Fatal(err)
		}
		if _, header, _ := ask(t, srv.URL, ""); header.Get("X-Trace") != name {
			t.Errorf("a new request met %q, want %s", header.Get("X-Trace"), name)
		}
	}
	close(open)
	if got := <-trace; len(got) != 1 || got[0] != "old" {
		t.Errorf("the old request met %q", got)
	}
}

// heap returns the bytes in use, after those that are not have been freed.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what had a finalizer
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Twenty reloads under load: no request fails, and nothing of the old filters stays.
func TestReloadUnderLoad(t *testing.T) {
	c, url := serveChain(t, probes("a", "b")...)
	var sent, failed atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				status, header, text := ask(t, url, "x", "x-do-a: hold", "x-do-b: pause")
				if trace := header["X-Trace"]; status != 200 || !strings.Contains(text, `body "xa"`) || len(trace) != 2 || trace[1] != "a" {
					failed.Add(1)
					t.Errorf("status %d, trace %v: %s", status, trace, text)
				}
				sent.Add(1)
			}
		})
	}
	modules := [][]byte{probe(), append(bytes.Clone(probe()), 0, 3, 1, 'x', 0)} // with a section of its own
	var sizes []int64
	for i := range 20 {
		before := sent.Load()
		plugins := probes("a", "b")
		plugins[1].Wasm = modules[i%2]
		plugins[1].Config.PluginConfig = fmt.Appendf(nil, "b%d", i/2)
		if err := c.Reload(t.Context(), plugins...); err != nil {
			t.Error(err)
		}
		testenv.Eventually(t, 20*time.Second, "requests between two reloads", func() bool { return sent.Load() > before })
		testenv.Eventually(t, 20*time.Second, "the end of the old filters", func() bool { return host.Open(c) == 2 })
		sizes = append(sizes, heap())
	}
	close(stop)
	clients.Wait()
	if first, last := slices.Max(sizes[:5]), slices.Min(sizes[15:]); last > first+first/4 {
		t.Errorf("memory grows: %d", sizes)
	}
	if sent.Load() < 20 || failed.Load() > 0 {
		t.Errorf("%d requests, %d failed", sent.Load(), failed.Load())
	}
	testenv.Evidence(t, "20 reloads, %d requests, %d failed, heap %d", sent.Load(), failed.Load(), sizes)
}

// A connection that is taken over passes the chain.
func TestChainUpgrade(t *testing.T) {
	c, err := host.NewChain(t.Context(), probes("a", "b")...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	srv := httptest.NewServer(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n")
		_ = w.Header().Write(rw)
		line, _ := rw.ReadString('\n')
		fmt.Fprintf(rw, "\r\n%s", line)
		_ = rw.Flush()
	})))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
	text, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 101") || strings.Count(string(text), "X-Trace") != 2 || !strings.HasSuffix(string(text), "\r\n\r\nhello\n") {
		t.Errorf("%v: %s", err, text)
	}
}

// Guests' lines say whose they are.
func TestChainLog(t *testing.T) {
	var log lines
	plugins := probes("a", "b")
	for i := range plugins {
		plugins[i].Config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}
	_, url := serveChain(t, plugins...)
	ask(t, url, "")
	testenv.Eventually(t, 10*time.Second, "the end of the stream", func() bool { return strings.Count(log.String(), ": log\"") == 2 })
	text := log.String()
	if strings.Index(text, "probe a: log") > strings.Index(text, "probe b: log") {
		t.Errorf("b has logged first:\n%s", text)
	}
}

// lines collects what is logged.
type lines struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String returns everything so far.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
