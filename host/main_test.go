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

// TestFromAnotherModule: a program with a module of its own needs package host, and
// perhaps host/gateway, and nothing heavy comes along: nothing of the sidecar's.
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
	"github.com/sallyport-auth/sallyport/host/gateway"
)

func main() {
	chain, err := host.NewChain(context.Background(), host.Plugin{Config: host.Config{Clusters: map[string]string{"c": "http://127.0.0.1:1"}}})
	if err != nil {
		panic(err)
	}
	filter, err := host.New(context.Background(), nil, host.Config{})
	if err != nil {
		panic(err)
	}
	state, err := gateway.Single("http://127.0.0.1:1")
	if err != nil {
		panic(err)
	}
	g := gateway.New(gateway.Config{Filter: chain.Handler})
	g.Update(state)
	http.Handle("/", filter.Handler(g))
}
`)
	run := func(args ...string) string {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("build", "-o", "other", ".")
	// Nothing else comes into the go.mod of the other module, and is looked for there.
	data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	required := 0
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		path, version, ok := strings.Cut(line, " ")
		if !ok || !strings.HasPrefix(version, "v") {
			continue
		}
		required++
		if path != "github.com/sallyport-auth/sallyport" && path != "github.com/tetratelabs/wazero" && path != "golang.org/x/sys" {
			t.Errorf("the other module has to require %s", line)
		}
	}
	if required != 3 {
		t.Errorf("the other module requires %d modules: %s", required, data)
	}
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
		for _, own := range []string{"filter", "oidc-sidecar", "cmd", "testenv", "internal/declarative", "internal/jose", "internal/wire"} {
			ok = ok && !strings.HasPrefix(dep, "github.com/sallyport-auth/sallyport/"+own)
		}
		if !ok {
			t.Errorf("package host brings %s along", dep)
		}
	}
}
