package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// RustGuest builds a guest of testenv/guests with the Rust SDK and returns the path of
// its module. It skips the test where Rust has no WebAssembly target
// (testenv/rust/install.sh).
func RustGuest(t testing.TB, name string) string {
	t.Helper()
	if _, err := exec.LookPath("cargo"); err != nil {
		Missing(t, "cargo is not installed: run testenv/rust/install.sh")
	}
	rust := func(dir, name string, args ...string) *exec.Cmd {
		cmd := exec.Command("sh", append([]string{"-c", `. ` + filepath.Join(Root(), "testenv", "rust", "env.sh") + ` && exec "$@"`, "sh", name}, args...)...)
		cmd.Dir = dir
		return cmd
	}
	libs, err := rust(Root(), "rustc", "--print", "target-libdir", "--target", rustTarget).Output()
	if err == nil {
		_, err = os.Stat(strings.TrimSpace(string(libs)))
	}
	if err != nil {
		Missing(t, "Rust has no target %s: run testenv/rust/install.sh", rustTarget)
	}
	dir := filepath.Join(Root(), "build", "test", "rust")
	cmd := rust(filepath.Join(Root(), "testenv", "guests", name), "cargo", "build", "--quiet", "--release", "--target", rustTarget, "--target-dir", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the guest %s: %v: %s", name, err, out)
	}
	return filepath.Join(dir, rustTarget, "release", "script.wasm")
}

const rustTarget = "wasm32-wasip1"
