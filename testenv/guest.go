package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Guest builds a guest of examples/guests or testenv/guests and returns the path of
// its module.
func Guest(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(), "build", "test", "guests", name+".wasm")
	source := "./examples/guests/" + name
	if _, err := os.Stat(filepath.Join(Root(), source)); err != nil {
		source = "./testenv/guests/" + name
	}
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", path, source)
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the guest %s: %v: %s", name, err, out)
	}
	return path
}
