package abi

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
)

// TestPage wants docs/abi.md to be what the records say.
func TestPage(t *testing.T) {
	frame, err := os.ReadFile("testdata/page.md")
	if err != nil {
		t.Fatal(err)
	}
	host, err := Expected("testdata")
	if err != nil {
		t.Fatal(err)
	}
	want := Page(string(frame), recorded(t, golden), host)
	path := filepath.Join(testenv.Root(), "docs", "abi.md")
	if *update && *only == "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/abi.md is not what the records say: go test ./testenv/abi -run TestPage -update")
	}
}

// infallible are hostcalls that have one status only in Envoy: proxy_done finds a
// plugin whose end is put off only where other plugins keep the VM.
var infallible = map[string]bool{"set_tick_period_milliseconds": true, "done": true}

// Every hostcall and callback is in two scenarios at least, and every hostcall that can
// refuse refuses in one.
func TestCoverage(t *testing.T) {
	seen := uses(recorded(t, golden), nil)
	for name, c := range calls {
		u := seen[c.name]
		switch {
		case u == nil || u.scenarios < 2:
			t.Errorf("%s is in too few scenarios", name)
		case len(u.envoy) < 2 && c.module == "env" && !infallible[name]:
			t.Errorf("%s has one status only", name)
		}
	}
	for name := range callbacks {
		switch name {
		case "_initialize", "_start", "main", "malloc", "foreign_function":
			// The first four are no callbacks; the last nobody in Envoy calls.
			continue
		}
		if u := seen[exportName(name)]; u == nil || u.scenarios < 2 {
			t.Errorf("the callback %s is in too few scenarios", name)
		}
	}
}
