package testenv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Root returns the folder of the module.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(file))
}

// Strict reports whether a missing part is a failure: STRICT=1.
func Strict() bool { return os.Getenv("STRICT") == "1" }

// Missing skips a test for want of a part, saying which; with STRICT=1 it fails.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	if Strict() {
		t.Fatalf("cannot run, and STRICT=1 asks for it: %s", text)
	}
	fmt.Fprintf(os.Stderr, "SKIP %s: %s\n", t.Name(), text)
	t.Skip(text)
}

// Evidence logs what was really exchanged; the acceptance report counts a pass
// only with such a line.
func Evidence(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Logf("evidence: "+format, args...)
}

// Ports below those that systems give to connections and to who asks for any: a server
// that gets its port from us may come to listen long after others have been given theirs.
const (
	firstPort = 11000 // browsers refuse 10080
	lastPort  = 32000
)

// FreePort returns a port of loopback that nobody listens on. It is the test's until
// the test ends: the UDP port of the same number, which nothing here uses, is held
// for that long, and whoever looks for a port at the same time, in another process
// too, passes over it.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		claim, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			_ = claim.Close()
			continue
		}
		_ = l.Close()
		t.Cleanup(func() { _ = claim.Close() })
		return port
	}
	t.Fatalf("no port between %d and %d is free", firstPort, lastPort)
	return 0
}

// TempDir returns a directory with a path short enough for Unix sockets, which is
// removed when the test ends.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Eventually polls until cond holds, and fails the test when it does not in time.
func Eventually(t testing.TB, within time.Duration, what string, cond func() bool) {
	t.Helper()
	if err := Poll(within, cond); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Poll polls until cond holds.
func Poll(within time.Duration, cond func() bool) error {
	deadline := time.Now().Add(within)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		if cond() {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v", within)
		}
		time.Sleep(wait)
	}
}

// OK reports whether a GET is answered 200.
func OK(url string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

var built struct {
	sync.Mutex
	err  error
	done bool
}

// Build builds the filter and the binary with the filter in it, once, and returns
// their paths. Packages that are tested at the same time wait for each other.
func Build(t testing.TB) (wasm, binary string) {
	t.Helper()
	dir := filepath.Join(Root(), "build", "test")
	wasm, binary = filepath.Join(dir, "filter.wasm"), filepath.Join(dir, "sallyport")
	built.Lock()
	defer built.Unlock()
	if !built.done {
		built.err, built.done = build(dir, wasm, binary), true
	}
	if built.err != nil {
		t.Fatal(built.err)
	}
	return wasm, binary
}

func build(dir, wasm, binary string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	// The make targets are the one place that knows how things are built.
	cmd := exec.Command("make", "--no-print-directory", "-s", "build", "BIN="+dir)
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("make build: %s", out), err)
	}
	for _, path := range []string{wasm, binary} {
		if _, err := os.Stat(path); err != nil {
			return err
		}
	}
	return nil
}
