package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// linked is what the module is made of, apart from the standard library. A new
// package here is a decision: it costs size, and it sees every request.
var linked = []string{
	"github.com/sallyport-auth/sallyport/filter",
	"github.com/sallyport-auth/sallyport/filter/internal/plugin",
	"github.com/sallyport-auth/sallyport/filter/internal/policy",
	"github.com/sallyport-auth/sallyport/internal/abi",
	"github.com/sallyport-auth/sallyport/internal/bundle",
	"github.com/sallyport-auth/sallyport/internal/claims",
	"github.com/sallyport-auth/sallyport/internal/identity",
	"github.com/sallyport-auth/sallyport/internal/jose",
	"github.com/sallyport-auth/sallyport/internal/jsonx",
	"github.com/sallyport-auth/sallyport/internal/match",
	"github.com/sallyport-auth/sallyport/internal/page",
	"github.com/sallyport-auth/sallyport/internal/reason",
	"github.com/sallyport-auth/sallyport/internal/wire",
}

// forbidden are packages of the standard library that must not be linked.
// net/http would bring a megabyte, fmt and encoding/json bring reflection to every
// request, time and os are clocks and I/O that the machine gets as arguments, and
// cryptography is the proxy's and the sidecar's (D4).
var forbidden = []string{"bufio", "context", "crypto", "database", "encoding/asn1", "encoding/gob", "encoding/hex",
	"encoding/json", "encoding/pem", "encoding/xml", "expvar", "fmt", "html", "log", "math/big", "math/rand", "net", "os",
	"path", "plugin", "regexp", "runtime/debug", "syscall", "testing", "text", "time", "internal/poll"}

func TestLinkedPackages(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{.Standard}}", ".")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var own []string
	for line := range strings.Lines(string(out)) {
		path, standard, _ := strings.Cut(strings.TrimSpace(line), " ")
		if standard != "true" {
			own = append(own, path)
			continue
		}
		for _, f := range forbidden {
			if path == f || strings.HasPrefix(path, f+"/") {
				t.Errorf("the module links %s", path)
			}
		}
	}
	slices.Sort(own)
	if !slices.Equal(own, linked) {
		t.Errorf("the module links\n  %s\nwant\n  %s", strings.Join(own, "\n  "), strings.Join(linked, "\n  "))
	}
}
