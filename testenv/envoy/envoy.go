// Package envoy runs a real Envoy for tests.
package envoy

import (
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
)

// Versions that are supported: the newest, and the oldest.
const (
	Newest = "1.40.0"
	Oldest = "1.36.2"
)

// Path returns the binary of a version, skipping the test where it is not
// installed (make tools).
func Path(t testing.TB, version string) string {
	t.Helper()
	matches, _ := filepath.Glob(filepath.Join(testenv.Root(), ".tools", "envoy-"+version, "lib", "python*", "site-packages", "envoy", "_bin", "envoy"))
	if len(matches) == 0 {
		testenv.Missing(t, "Envoy %s is not installed: run make tools", version)
	}
	return matches[0]
}

// Envoy is a running Envoy.
type Envoy struct {
	*testenv.Process
	Admin string // URL of the admin interface
}

// Validate runs Envoy's own check of a bootstrap.
func Validate(t testing.TB, version string, bootstrap []byte) error {
	t.Helper()
	cmd := exec.Command(Path(t, version), "--mode", "validate", "-l", "error", "-c", write(t, bootstrap))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func write(t testing.TB, bootstrap []byte) string {
	t.Helper()
	path := filepath.Join(testenv.TempDir(t), "envoy.yaml")
	if err := os.WriteFile(path, bootstrap, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Start starts Envoy and waits until it is ready. admin is the address of the
// admin interface in the bootstrap.
func Start(t testing.TB, version string, bootstrap []byte, admin string, args ...string) *Envoy {
	t.Helper()
	e := &Envoy{Admin: "http://" + admin}
	e.Process = testenv.Start(t, "Envoy "+version, Path(t, version), append([]string{"-c", write(t, bootstrap),
		"-l", "warn", "--component-log-level", "wasm:info", "--use-dynamic-base-id"}, args...))
	e.WaitReady(t, 60*time.Second, func() bool { return testenv.OK(e.Admin + "/ready") })
	return e
}

// Stat returns a counter or gauge by its name; 0 when there is none.
func (e *Envoy) Stat(name string) int64 {
	res, err := http.Get(e.Admin + "/stats?filter=^" + strings.ReplaceAll(name, ".", `\.`) + "$")
	if err != nil {
		return -1
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	var n int64
	if _, err := fmt.Sscanf(strings.TrimPrefix(string(body), name+": "), "%d", &n); err != nil {
		return 0
	}
	return n
}
