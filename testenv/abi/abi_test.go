package abi

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
)

var update = flag.Bool("update", false, "write what Envoy says, and the page, anew")

const golden = "testdata/envoy.json"

func load(t *testing.T) []*Scenario {
	t.Helper()
	list, err := Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// recorded returns what Envoy said when it was asked last.
func recorded(t *testing.T) map[string]*Record {
	t.Helper()
	out := map[string]*Record{}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEnvoy runs every scenario in Envoy: it still says what is recorded.
func TestEnvoy(t *testing.T) {
	envoy.Path(t, envoy.Newest)
	list := load(t)
	got := RunEnvoy(t, envoy.Newest, list)
	if *update {
		b, err := json.MarshalIndent(got, "", " ")
		if err == nil {
			err = os.WriteFile(filepath.FromSlash(golden), append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	want := recorded(t)
	for _, s := range list {
		t.Run(s.Name, func(t *testing.T) {
			if want[s.Name] == nil {
				t.Fatal("nothing is recorded: run with -update")
			}
			if d := Diff(got[s.Name], want[s.Name]); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestHost runs every scenario in the host, which says what Envoy says.
func TestHost(t *testing.T) {
	want := recorded(t)
	for _, s := range load(t) {
		t.Run(s.Name, func(t *testing.T) {
			if want[s.Name] == nil {
				t.Fatal("nothing is recorded of Envoy: run TestEnvoy with -update")
			}
			got, err := RunHost(s)
			if err != nil {
				t.Fatal(err)
			}
			if d := Diff(got, want[s.Name]); d != "" {
				t.Error(d)
			}
			testenv.Evidence(t, "%d lines of the guest, %d responses", len(got.Log), len(got.Responses))
		})
	}
}
