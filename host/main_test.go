package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
)

// builder lets TestMain use what needs a test.
type builder struct{ testing.TB }

func (builder) Helper() {}

func TestMain(m *testing.M) {
	data, err := os.ReadFile(testenv.Guest(builder{}, "greeter"))
	if err != nil {
		panic(err)
	}
	module = data
	os.Exit(m.Run())
}

// TestFromAnotherModule: a program with a module of its own needs package host and
// nothing else, and nothing heavy comes along.
func TestFromAnotherModule(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/other\n\ngo 1.26\n\nrequire github.com/sallyport-auth/sallyport v0.0.0\n\nreplace github.com/sallyport-auth/sallyport => "+testenv.Root()+"\n")
	write("main.go", `package main

import (
	"context"
	"net/http"

	"github.com/sallyport-auth/sallyport/host"
)

func main() {
	filter, err := host.New(context.Background(), nil, host.Config{Clusters: map[string]string{"c": "http://127.0.0.1:1"}})
	if err != nil {
		panic(err)
	}
	http.Handle("/", filter.Handler(http.NotFoundHandler()))
}
`)
	run := func(args ...string) string {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("build", "-o", "other", ".")
	allowed := []string{"github.com/sallyport-auth/sallyport/", "github.com/tetratelabs/wazero", "golang.org/x/sys", "example.com/other"}
	for dep := range strings.FieldsSeq(run("list", "-deps", ".")) {
		first, _, _ := strings.Cut(dep, "/")
		if !strings.Contains(first, ".") || strings.HasPrefix(dep, "vendor/") {
			continue // the standard library
		}
		ok := false
		for _, a := range allowed {
			ok = ok || strings.HasPrefix(dep, a)
		}
		if !ok {
			t.Errorf("package host brings %s along", dep)
		}
	}
}
