// Package stack puts a declarative file to work in one of the two hosts: with the
// product's own programs, its own generated files and a real Envoy.
package stack

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
)

// Options say how a stack is set up. The zero Options are the usual way.
type Options struct {
	// EnvoyVersion is envoy.Newest unless it is said.
	EnvoyVersion string
	// Workers of the host, threads of Envoy; 0 is two.
	Workers int
	// Apart runs the host with a sidecar in a process of its own.
	Apart bool
	// TLS leaves the listeners to the file, in which ${LISTEN} and ${LISTEN_TLS}
	// stand for the addresses. ${PORT} is the port of the first in any file.
	TLS bool
	// Args are added to the command line of serve.
	Args []string
	// Edit changes the bootstrap of Envoy.
	Edit func(bootstrap []byte) []byte
}

// Stack is a file at work.
type Stack struct {
	Host string // host or envoy
	URL  string // http://host:port of the traffic
	Addr string // host:port
	TLS  string // host:port of the TLS listener
	// Path is the declarative file, for changing it.
	Path     string
	StateDir string

	AdminURL string // of the admin API
	Status   string // URL of the status listener of the sidecar or the host

	Gateway *testenv.Process // serve, or Envoy
	Sidecar *testenv.Process // nil where serve runs it
	Envoy   *envoy.Envoy

	t       testing.TB
	options Options
	binary  string
	args    []string // of the sidecar
}

// Hosts are the names of the two hosts.
var Hosts = []string{"host", "envoy"}

// Start starts a stack in the named host and waits until it takes requests.
func Start(t testing.TB, host, file string, o Options) *Stack {
	t.Helper()
	_, binary := testenv.Build(t)
	dir := testenv.TempDir(t)
	s := &Stack{Host: host, Path: filepath.Join(dir, "kong.yml"), StateDir: filepath.Join(dir, "state"), t: t, options: o, binary: binary}
	if o.Workers == 0 {
		s.options.Workers = 2
	}
	s.Addr = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	if o.TLS {
		s.TLS = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	}
	s.Write(file)
	s.URL = "http://" + s.Addr
	admin := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	status := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	s.AdminURL, s.Status = "http://"+admin, "http://"+status
	s.args = []string{"-c", s.Path, "--state-dir", s.StateDir, "--admin-listen", admin, "--status-listen", status}
	switch host {
	case "host":
		s.startHost()
	case "envoy":
		s.startEnvoy()
	default:
		t.Fatalf("no host %q", host)
	}
	return s
}

// Write replaces the declarative file by renaming, as a careful editor does.
func (s *Stack) Write(file string) {
	s.t.Helper()
	file = strings.NewReplacer("${LISTEN}", s.Addr, "${LISTEN_TLS}", s.TLS, "${PORT}", s.Port()).Replace(file)
	tmp := s.Path + ".new"
	if err := os.WriteFile(tmp, []byte(file), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(tmp, s.Path); err != nil {
		s.t.Fatal(err)
	}
}

// Port returns the port of the traffic, which any name of this machine has.
func (s *Stack) Port() string { return s.Addr[strings.LastIndexByte(s.Addr, ':')+1:] }

// Check returns what `sallyport check` says of the file.
func (s *Stack) Check() string {
	s.t.Helper()
	out, err := exec.Command(s.binary, "check", s.Path).CombinedOutput()
	if err != nil {
		s.t.Fatalf("sallyport check: %v: %s", err, out)
	}
	return string(out)
}

// Socket returns the path of the sidecar's socket.
func (s *Stack) Socket() string { return filepath.Join(s.StateDir, "sidecar.sock") }

// StartSidecar starts a sidecar in a process of its own. env is added to the test's
// environment.
func (s *Stack) StartSidecar(env ...string) {
	s.t.Helper()
	s.Sidecar = testenv.Start(s.t, "sidecar", s.binary, append([]string{"sidecar"}, s.args...), env...)
	s.Sidecar.WaitReady(s.t, 20*time.Second, func() bool { return testenv.OK(s.Status + "/readyz") })
}

// listen returns the flags that say where to listen.
func (s *Stack) listen() []string {
	if s.options.TLS {
		return nil
	}
	return []string{"--listen", s.Addr}
}

func (s *Stack) startHost() {
	s.t.Helper()
	args := append([]string{"serve", "--workers", fmt.Sprint(s.options.Workers)}, s.listen()...)
	ready := s.Status
	if s.options.Apart {
		s.StartSidecar()
		ready = fmt.Sprintf("http://127.0.0.1:%d", testenv.FreePort(s.t))
		args = append(args, "-c", s.Path, "--state-dir", s.StateDir, "--admin-listen", "",
			"--sidecar", "unix:"+s.Socket(), "--status-listen", strings.TrimPrefix(ready, "http://"))
	} else {
		args = append(args, s.args...)
	}
	args = append(args, "--cache-dir", filepath.Join(testenv.Root(), "build", "test", "cache"))
	s.Gateway = testenv.Start(s.t, "serve", s.binary, append(args, s.options.Args...))
	s.Gateway.WaitReady(s.t, 60*time.Second, func() bool { return testenv.OK(ready + "/readyz") })
}

func (s *Stack) startEnvoy() {
	s.t.Helper()
	version := s.options.EnvoyVersion
	if version == "" {
		version = envoy.Newest
	}
	envoy.Path(s.t, version) // skips before anything is started
	s.StartSidecar()
	admin := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(s.t))
	bootstrap := s.Bootstrap(append(s.listen(), "--envoy-admin", admin)...)
	if s.options.Edit != nil {
		bootstrap = s.options.Edit(bootstrap)
	}
	s.Envoy = envoy.Start(s.t, version, bootstrap, admin, "--concurrency", fmt.Sprint(s.options.Workers))
	s.Gateway = s.Envoy.Process
	// Envoy is ready before its VMs have a bundle, which they deny without. A
	// request for nothing tells: 404 once its worker knows the routes; every worker
	// says in the log when it does, and so does the one that sees no requests.
	s.Gateway.WaitReady(s.t, 20*time.Second, func() bool {
		return strings.Count(s.Gateway.Log(), "routes is in use") >= s.options.Workers+1
	})
}

// Bootstrap runs `sallyport envoy` on the file.
func (s *Stack) Bootstrap(args ...string) []byte {
	s.t.Helper()
	cmd := exec.Command(s.binary, append([]string{"envoy", "-c", s.Path, "--state-dir", s.StateDir}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("sallyport envoy: %v: %s", err, stderr.String())
	}
	return out
}

// Reason returns why a request was refused, by its id: from the log of whatever
// runs the filter.
func (s *Stack) Reason(requestID string) string {
	reason := ""
	_ = testenv.Poll(3*time.Second, func() bool {
		for line := range strings.SplitSeq(s.Gateway.Log(), "\n") {
			if !strings.Contains(line, "request_id="+requestID) {
				continue
			}
			if _, rest, ok := strings.Cut(line, " reason="); ok {
				reason, _, _ = strings.Cut(rest, " ")
				return true
			}
		}
		return false
	})
	return reason
}

// LogLine returns the first line of the gateway's log with all of the parts.
func (s *Stack) LogLine(parts ...string) string {
	found := ""
	_ = testenv.Poll(3*time.Second, func() bool {
		for line := range strings.SplitSeq(s.Gateway.Log(), "\n") {
			ok := true
			for _, p := range parts {
				ok = ok && strings.Contains(line, p)
			}
			if ok {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// Admin gets a resource of the admin API.
func (s *Stack) Admin(path string, out any) int {
	s.t.Helper()
	token, err := os.ReadFile(filepath.Join(s.StateDir, "admin-token"))
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, s.AdminURL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if out != nil {
		if err := json.Unmarshal(body, out); err != nil {
			s.t.Fatalf("%s: %v: %s", path, err, body)
		}
	}
	return res.StatusCode
}

// Requests returns how many requests the filter has decided, by reason code.
func (s *Stack) Requests(reason string) int64 {
	if s.Envoy != nil {
		return s.Envoy.Stat("wasmcustom.sallyport.requests." + reason)
	}
	res, err := http.Get(s.Status + "/metrics")
	if err != nil {
		return -1
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	for line := range strings.SplitSeq(string(body), "\n") {
		var n float64
		if rest, ok := strings.CutPrefix(line, `sallyport_filter_requests_total{reason="`+reason+`"} `); ok {
			if _, err := fmt.Sscan(rest, &n); err == nil {
				return int64(n)
			}
		}
	}
	return 0
}
