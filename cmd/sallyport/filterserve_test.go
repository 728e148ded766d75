package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
)

// guest is the content of a guest's module.
func guest(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(testenv.Guest(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// beginFilters starts serve with filters and no declarative file, without waiting.
func beginFilters(t *testing.T, upstream string, more ...string) *program {
	t.Helper()
	return beginFiltersIn(t, nil, upstream, more...)
}

// beginFiltersIn is beginFilters with environment variables.
func beginFiltersIn(t *testing.T, env []string, upstream string, more ...string) *program {
	t.Helper()
	_, binary := testenv.Build(t)
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)) }
	p := &program{traffic: address(), status: address(), state: filepath.Join(testenv.TempDir(t), "state")}
	p.Process = testenv.Start(t, "serve", binary, append([]string{"serve", "--upstream", upstream, "--listen", p.traffic,
		"--status-listen", p.status, "--workers", "2", "--state-dir", p.state,
		"--cache-dir", filepath.Join(testenv.Root(), "build", "test", "cache")}, more...), env...)
	return p
}

// counting is an upstream that says what it received, and counts.
func counting(t *testing.T) (url string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		fmt.Fprintf(w, "%s %s trace %s greeter %s", r.Host, r.RequestURI, strings.Join(r.Header["X-Trace"], ","), r.Header.Get("X-Greeter"))
	}))
	t.Cleanup(s.Close)
	return s.URL, requests
}

func TestServeAnyFilter(t *testing.T) {
	url, requests := counting(t)
	p := beginFilters(t, url, "--filter", testenv.Guest(t, "greeter"), "--filter-config", put(t, "name", "Jane"),
		"--filter", testenv.Guest(t, "probe"), "--filter-config", put(t, "name", "p"), "--filter-vm-id", "v1", "--filter-vm-config", put(t, "vm", "settings")).ready(t)
	if !strings.Contains(p.Log(), "probe p: VM v1 has settings") {
		t.Errorf("the second filter has another VM: %s", p.Tail())
	}
	r := testenv.Raw(t, p.traffic, testenv.Request("GET", "/x%20y?q"))
	if r.Status != 200 || r.Body != "gateway.example /x%20y?q trace p greeter Jane" || r.Header.Get("X-Greeting") != "hello from Jane" || r.Header.Get("X-Trace") != "p" {
		t.Errorf("status %d %v: %s", r.Status, r.Header, r.Body)
	}
	// The first filter refuses: the second has not seen it, nor has the upstream.
	r = testenv.Raw(t, p.traffic, testenv.Request("GET", "/secret"))
	if r.Status != 403 || r.Body != "not for you\n" || r.Header.Get("X-Trace") != "" || requests.Load() != 1 {
		t.Errorf("status %d %v: %s; %d requests", r.Status, r.Header, r.Body, requests.Load())
	}
	for _, test := range []struct{ path, body string }{
		{"/healthz", "ok\n"},
		{"/readyz", "ready\n"},
		{"/metrics", `probe_requests{filter="probe"} 1`},
		{"/metrics", `probe_sizes_count{filter="probe"}`},
		{"/metrics", `sallyport_filter_info{filter="greeter",sha256=`},
		{"/metrics", `sallyport_filter_workers_running{filter="greeter"} 2`},
		{"/metrics", `sallyport_filter_memory_bytes{filter="probe"}`},
	} {
		if r := testenv.Raw(t, p.status, testenv.Request("GET", test.path)); r.Status != 200 || !strings.Contains(r.Body, test.body) {
			t.Errorf("%s: status %d, want %q in %s", test.path, r.Status, test.body, r.Body)
		}
	}
}

// What a filter cannot judge is not let through: it traps, or it does not end.
func TestAnyFilterFailsClosed(t *testing.T) {
	url, requests := counting(t)
	p := beginFilters(t, url, "--filter", testenv.Guest(t, "probe"), "--filter-config", put(t, "name", "p")).ready(t)
	for _, do := range []string{"trap", "spin", "trap"} {
		before := requests.Load()
		if r := testenv.Raw(t, p.traffic, testenv.Request("GET", "/", "x-do-p: "+do)); r.Status != 503 || requests.Load() != before {
			t.Errorf("%s: status %d, %d requests", do, r.Status, requests.Load()-before)
		}
		testenv.Eventually(t, 20*time.Second, "a new worker", func() bool {
			r, err := testenv.TryRaw(p.traffic, testenv.Request("GET", "/"))
			return err == nil && r.Status == 200
		})
	}
	if !strings.Contains(p.Log(), "a worker of the filter has ended") {
		t.Error("nothing says so")
	}
}

// A guest that spins is ended, and holds nobody up meanwhile: not other requests, and not
// the process, although there is one processor for both and memory is collected all the
// time.
func TestSpinningFilter(t *testing.T) {
	url, requests := counting(t)
	p := beginFiltersIn(t, []string{"GOMAXPROCS=1", "GOGC=1"}, url, "--filter", testenv.Guest(t, "probe"), "--filter-config", put(t, "name", "p"), "--filter-deadline", "3s").ready(t)
	spinning := make(chan int, 1)
	go func() {
		r, err := testenv.TryRaw(p.traffic, testenv.Request("GET", "/", "x-do-p: spin"))
		if err != nil {
			r = &testenv.Response{}
		}
		spinning <- r.Status
	}()
	testenv.Eventually(t, 20*time.Second, "the guest that spins", func() bool {
		return strings.Count(p.Log(), "probe p: request headers") == 1
	})
	// There are two workers: a request that comes to the one that spins waits with it, and
	// is 503 in the end. The others pass, and some do before the end.
	before := 0
	for done := false; !done; {
		answers := make(chan int, 2)
		for range 2 {
			go func() {
				r, err := testenv.TryRaw(p.traffic, testenv.Request("GET", "/"))
				if err != nil {
					r = &testenv.Response{}
				}
				answers <- r.Status
			}()
		}
		first := <-answers
		select {
		case status := <-spinning:
			if done = true; status != 503 {
				t.Errorf("the request that spins was answered %d", status)
			}
		default:
			if first == 200 {
				before++
			}
		}
		if second := <-answers; first != 200 && second != 200 {
			t.Errorf("two requests were answered %d and %d", first, second)
		}
	}
	if before == 0 || requests.Load() < int64(before) {
		t.Errorf("%d requests were served while the guest was spinning", before)
	}
	testenv.Eventually(t, 20*time.Second, "a new worker", func() bool {
		return strings.Contains(testenv.Raw(t, p.status, testenv.Request("GET", "/metrics")).Body, `sallyport_filter_workers_running{filter="probe"} 2`)
	})
	if !strings.Contains(p.Log(), "module closed with context deadline exceeded") {
		t.Errorf("nothing says so: %s", p.Tail())
	}
	testenv.Evidence(t, "%d requests were served while another worker was spinning", before)
}

func TestAnyFilterThatCannotStart(t *testing.T) {
	probe := testenv.Guest(t, "probe")
	for _, test := range []struct {
		name, module, config, says string
		flags                      []string
	}{
		{"a header alone", put(t, "f.wasm", "\x00asm\x01\x00\x00\x00"), "", "f: host: the module exports no proxy_abi_version_", nil},
		{"a refused configuration", probe, "refuse", "probe: host: the module refuses its configuration", nil},
		{"a start that takes too long", probe, "p", "probe: host: the module does not start: _initialize: ", []string{"--filter-deadline", "1ns"}},
		{"more memory than it may have", probe, "p", "probe: host: the module cannot be compiled: section memory: min ", []string{"--filter-memory", "1"}},
		{"a page more than 1 GiB", put(t, "f.wasm", "\x00asm\x01\x00\x00\x00\x05\x05\x01\x00\x81\x80\x01"), "", "f: host: the module cannot be compiled: section memory: min 16385 pages (1 Gi) over limit of 16384 pages (1 Gi)", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := beginFilters(t, "http://127.0.0.1:1", append(test.flags, "--filter", test.module, "--filter-config", put(t, "c", test.config))...)
			if code := p.ended(t); code != 1 || !strings.Contains(p.Log(), "sallyport: "+test.says) {
				t.Errorf("exit code %d: %s", code, p.Tail())
			}
		})
	}
}

func TestAnyFilterDrains(t *testing.T) {
	url, asked, open := upstream(t)
	p := beginFilters(t, url, "--filter", testenv.Guest(t, "greeter")).ready(t)
	answer := make(chan *testenv.Response, 1)
	go func() {
		r, err := testenv.TryRaw(p.traffic, testenv.Request("GET", "/slow"))
		if err != nil {
			r = &testenv.Response{Body: err.Error()}
		}
		answer <- r
	}()
	<-asked
	p.Signal(syscall.SIGTERM)
	testenv.Eventually(t, 10*time.Second, "no new connections", func() bool {
		conn, err := net.Dial("tcp", p.traffic)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	close(open)
	if r := <-answer; r.Status != 200 || r.Body != "upstream\n" || r.Header.Get("X-Greeting") == "" {
		t.Errorf("status %d %v: %s", r.Status, r.Header, r.Body)
	}
	if code := p.ended(t); code != 0 {
		t.Errorf("exit code %d: %s", code, p.Tail())
	}
}

// rss returns a process's resident memory in pages.
func rss(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(bytes.Fields(data)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Twenty changes of the module's file or its configuration under load: each takes
// effect, no request fails, memory stays; one that cannot run changes nothing.
func TestAnyFilterReloads(t *testing.T) {
	url, _ := counting(t)
	module, config := put(t, "f.wasm", guest(t, "probe")), put(t, "name", "0")
	p := beginFilters(t, url, "--filter", module, "--filter-config", config).ready(t)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var sent, failed atomic.Int64
	for range 2 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := testenv.TryRaw(p.traffic, testenv.Request("GET", "/"))
				switch {
				case err != nil:
					t.Error(err)
				case r.Status != 200 || !strings.Contains(r.Body, " trace "+r.Header.Get("X-Trace")+" "):
					t.Errorf("status %d, %v: %s", r.Status, r.Header, r.Body)
				default:
					sent.Add(1)
					continue
				}
				failed.Add(1)
			}
		})
	}
	defer clients.Wait()
	defer close(stop)
	metrics := func() string { return testenv.Raw(t, p.status, testenv.Request("GET", "/metrics")).Body }
	var sizes []int
	for i := range 20 {
		if i%2 == 0 {
			replace(t, config, strconv.Itoa(i+1))
		} else {
			replace(t, module, guest(t, "probe")+strings.Repeat("\x00\x03\x01x\x00", 1+i%4/3))
		}
		testenv.Eventually(t, 20*time.Second, "the reload", func() bool {
			return strings.Contains(metrics(), fmt.Sprintf("sallyport_filter_reloads_total{result=\"ok\"} %d\n", i+1))
		})
		name := strconv.Itoa(i + 1 - i%2)
		if r := testenv.Raw(t, p.traffic, testenv.Request("GET", "/")); r.Header.Get("X-Trace") != name {
			t.Errorf("after reload %d: %v, want the trace of %s", i, r.Header, name)
		}
		sizes = append(sizes, rss(t, p.PID()))
	}
	for i, bad := range []struct{ file, content, good string }{
		{config, "refuse", "19"}, {module, "#!/bin/sh\n", guest(t, "probe")},
	} {
		replace(t, bad.file, bad.content)
		testenv.Eventually(t, 20*time.Second, "a report", func() bool {
			return strings.Contains(metrics(), fmt.Sprintf("sallyport_filter_reloads_total{result=\"refused\"} %d\n", i+1))
		})
		if r := testenv.Raw(t, p.traffic, testenv.Request("GET", "/")); r.Status != 200 || r.Header.Get("X-Trace") != "19" || !testenv.OK("http://"+p.status+"/readyz") {
			t.Errorf("after a bad file: status %d %v", r.Status, r.Header)
		}
		replace(t, bad.file, bad.good)
		testenv.Eventually(t, 20*time.Second, "the good file", func() bool {
			return strings.Contains(metrics(), fmt.Sprintf("sallyport_filter_reloads_total{result=\"ok\"} %d\n", 21+i))
		})
	}
	if n := strings.Count(p.Log(), "the changed filter is refused, the old one stays in force"); n != 2 {
		t.Errorf("bad files were reported %d times", n)
	}
	if first, last := slices.Max(sizes[:5]), slices.Min(sizes[15:]); last > first+first/4 {
		t.Errorf("memory grows: %d pages", sizes)
	}
	if failed.Load() > 0 || sent.Load() == 0 {
		t.Errorf("%d requests failed, %d did not", failed.Load(), sent.Load())
	}
	testenv.Evidence(t, "22 reloads, %d requests, %d failed, resident pages %d", sent.Load(), failed.Load(), sizes)
}
