package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
)

// program is one of the commands that run, with its addresses.
type program struct {
	*testenv.Process
	traffic, admin, status, state string
}

// begin starts serve or sidecar on a file, without waiting.
func begin(t *testing.T, name, file string, more ...string) *program {
	t.Helper()
	_, binary := testenv.Build(t)
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t)) }
	p := &program{traffic: address(), admin: address(), status: address(), state: filepath.Join(testenv.TempDir(t), "state")}
	args := []string{name, "-c", file, "--state-dir", p.state, "--admin-listen", p.admin, "--status-listen", p.status, "--log-level", "debug"}
	if name == "serve" {
		args = append(args, "--listen", p.traffic, "--workers", "2", "--cache-dir", filepath.Join(testenv.Root(), "build", "test", "cache"))
	}
	p.Process = testenv.Start(t, name, binary, append(args, more...))
	return p
}

func (p *program) ready(t *testing.T) *program {
	t.Helper()
	p.WaitReady(t, 60*time.Second, func() bool { return testenv.OK("http://" + p.status + "/readyz") })
	return p
}

// ended waits for the end, and fails the test when there is none.
func (p *program) ended(t *testing.T) int {
	t.Helper()
	if err := testenv.Poll(30*time.Second, p.Ended); err != nil {
		t.Fatalf("it does not end: %v\n%s", err, p.Tail())
	}
	return p.ExitCode()
}

// upstream is a service that answers when it is let.
func upstream(t *testing.T) (url string, asked chan struct{}, open chan struct{}) {
	t.Helper()
	asked, open = make(chan struct{}, 8), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			asked <- struct{}{}
			<-open
		}
		_, _ = w.Write([]byte("upstream\n"))
	}))
	t.Cleanup(s.Close)
	return s.URL, asked, open
}

func openFile(url string) string {
	return fmt.Sprintf("_format_version: \"3.0\"\nservices: [{name: s, url: %q, routes: [{name: r, paths: [/], strip_path: false}]}]\n", url)
}

func TestStatusListeners(t *testing.T) {
	for _, name := range []string{"sidecar", "serve"} {
		t.Run(name, func(t *testing.T) {
			url, _, _ := upstream(t)
			p := begin(t, name, put(t, "kong.yml", openFile(url))).ready(t)
			for _, test := range []struct {
				method, path string
				status       int
				body         string
			}{
				{"GET", "/healthz", 200, "ok\n"},
				{"GET", "/readyz", 200, "ready\n"},
				{"GET", "/metrics", 200, "sallyport_sidecar_bundle_generation 1"},
				{"POST", "/healthz", 405, ""},
				{"GET", "/", 404, ""},
				{"GET", "/jwts", 404, ""},
				{"GET", "/v1/bundle", 404, ""},
				{"GET", "/debug/pprof/", 404, ""},
			} {
				r := testenv.Raw(t, p.status, testenv.Request(test.method, test.path))
				if r.Status != test.status || !strings.Contains(r.Body, test.body) {
					t.Errorf("%s %s: status %d, want %d with %q: %s", test.method, test.path, r.Status, test.status, test.body, r.Body)
				}
			}
			if name == "serve" {
				if r := testenv.Raw(t, p.traffic, testenv.Request("GET", "/")); r.Status != 200 || r.Body != "upstream\n" {
					t.Errorf("status %d: %s", r.Status, r.Body)
				}
				testenv.Eventually(t, 10*time.Second, "the filter's metrics", func() bool {
					r := testenv.Raw(t, p.status, testenv.Request("GET", "/metrics"))
					return strings.Contains(r.Body, "sallyport_filter_info{sha256=") &&
						strings.Contains(r.Body, `sallyport_filter_requests_total{reason="unprotected"} 1`)
				})
			}
		})
	}
}

func TestAnAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	file := put(t, "kong.yml", goodFile)
	for _, test := range []struct {
		name, flag, says string
	}{
		{"serve", "--listen", taken},
		{"serve", "--admin-listen", "--admin-listen: listen tcp " + taken},
		{"serve", "--status-listen", "--status-listen: listen tcp " + taken},
		{"sidecar", "--admin-listen", "--admin-listen: listen tcp " + taken},
		{"sidecar", "--status-listen", "--status-listen: listen tcp " + taken},
	} {
		t.Run(test.name+test.flag, func(t *testing.T) {
			p := begin(t, test.name, file, test.flag+"="+taken)
			code := p.ended(t)
			last := strings.TrimSpace(p.Log())
			last = last[strings.LastIndexByte(last, '\n')+1:]
			if code != 1 || !strings.HasPrefix(last, "sallyport: ") || !strings.Contains(last, test.says) || !strings.Contains(last, "address already in use") {
				t.Errorf("exit code %d, last line %q", code, last)
			}
			for _, stack := range []string{"panic", "goroutine "} {
				if strings.Contains(p.Log(), stack) {
					t.Errorf("%s", p.Tail())
				}
			}
		})
	}
}

func TestAModuleThatCannotBeLoaded(t *testing.T) {
	file := put(t, "kong.yml", goodFile)
	for name, wasm := range map[string]string{
		"a header alone": "\x00asm\x01\x00\x00\x00", "half a module": "\x00asm\x01\x00\x00\x00\x01\xff", "another version": "\x00asm\x02\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, "serve", file, "--filter", put(t, "f.wasm", wasm))
			if code := p.ended(t); code != 1 || !strings.Contains(p.Log(), "sallyport: ") || strings.Contains(p.Log(), "panic") {
				t.Errorf("exit code %d: %s", code, p.Tail())
			}
		})
	}
}

// Two sidecars in one directory: the second says so, and the first goes on.
func TestAStateDirectoryInUse(t *testing.T) {
	file := put(t, "kong.yml", goodFile)
	first := begin(t, "sidecar", file).ready(t)
	second := begin(t, "sidecar", file, "--state-dir", first.state)
	if code := second.ended(t); code != 1 || !strings.Contains(second.Log(), "sallyport: "+first.state+": the state directory is in use by another sidecar") {
		t.Errorf("exit code %d: %s", code, second.Log())
	}
	if !testenv.OK("http://" + first.status + "/readyz") {
		t.Errorf("the first has ended: %s", first.Tail())
	}
}

// TestSignalsDrain ends a program: what is under way is answered, the exit code
// is 0, and the socket is gone.
func TestSignalsDrain(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run("sidecar/"+signal.String(), func(t *testing.T) {
			p := begin(t, "sidecar", put(t, "kong.yml", goodFile)).ready(t)
			p.Signal(signal)
			if code := p.ended(t); code != 0 {
				t.Errorf("exit code %d: %s", code, p.Tail())
			}
			if _, err := net.Dial("unix", filepath.Join(p.state, "sidecar.sock")); err == nil {
				t.Error("somebody answers on the socket")
			}
		})
		t.Run("serve/"+signal.String(), func(t *testing.T) {
			url, asked, open := upstream(t)
			p := begin(t, "serve", put(t, "kong.yml", openFile(url))).ready(t)
			answer := make(chan *testenv.Response, 1)
			go func() {
				r, err := testenv.TryRaw(p.traffic, testenv.Request("GET", "/slow"))
				if err != nil {
					r = &testenv.Response{Body: err.Error()}
				}
				answer <- r
			}()
			<-asked
			p.Signal(signal)
			testenv.Eventually(t, 10*time.Second, "no new connections", func() bool {
				conn, err := net.Dial("tcp", p.traffic)
				if err == nil {
					_ = conn.Close()
				}
				return err != nil
			})
			if p.Ended() {
				t.Errorf("it ended with a request under way: %s", p.Tail())
			}
			close(open)
			if r := <-answer; r.Status != 200 || r.Body != "upstream\n" {
				t.Errorf("status %d: %s", r.Status, r.Body)
			}
			if code := p.ended(t); code != 0 {
				t.Errorf("exit code %d: %s", code, p.Tail())
			}
		})
	}
}

// TestReloadOfServe changes the file under serve: new routes come, a bad file is
// reported and changes nothing.
func TestReloadOfServe(t *testing.T) {
	url, _, _ := upstream(t)
	file := put(t, "kong.yml", openFile(url))
	p := begin(t, "serve", file).ready(t)
	write := func(content string) {
		t.Helper()
		replace(t, file, content)
	}
	write(strings.Replace(openFile(url), "paths: [/]", "paths: [/new]", 1))
	testenv.Eventually(t, 10*time.Second, "the new route", func() bool {
		r, err := testenv.TryRaw(p.traffic, testenv.Request("GET", "/old"))
		return err == nil && r.Status == 404
	})
	write("services: [\n")
	testenv.Eventually(t, 10*time.Second, "a report", func() bool {
		return strings.Contains(p.Log(), file+":2: is not YAML") && strings.Contains(p.Log(), "the old one stays in force")
	})
	if r := testenv.Raw(t, p.traffic, testenv.Request("GET", "/new")); r.Status != 200 {
		t.Errorf("status %d after a bad file", r.Status)
	}
	if !testenv.OK("http://" + p.status + "/readyz") {
		t.Error("not ready after a bad file")
	}
}

// fetch reads a URL with header lines.
func fetch(t *testing.T, url string, lines ...string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
