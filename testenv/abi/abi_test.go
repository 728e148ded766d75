package abi

import (
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
)

var update = flag.Bool("update", false, "write what Envoy says, and the page, anew")

var only = flag.String("only", "", "run the scenarios whose names match this expression, and with -update show what Envoy says of them")

// What Envoy said, and what the host says where it differs.
const (
	golden = "testdata/envoy.json"
	ours   = "testdata/host.json"
)

func load(t *testing.T) []*Scenario {
	t.Helper()
	list, err := Load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(s *Scenario) bool { return !wanted.MatchString(s.Name) })
}

// recorded returns the records in a file.
func recorded(t *testing.T, path string) map[string]*Record {
	t.Helper()
	out, err := Records(path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func write(t *testing.T, path string, records map[string]*Record) {
	t.Helper()
	b, err := json.MarshalIndent(records, "", " ")
	if err == nil {
		err = os.WriteFile(path, append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEnvoy runs every scenario in Envoy: it still says what is recorded.
func TestEnvoy(t *testing.T) {
	envoy.Path(t, envoy.Newest)
	list := load(t)
	got := RunEnvoy(t, envoy.Newest, list)
	if *update {
		if *only != "" {
			b, _ := json.MarshalIndent(got, "", " ") // of strings: cannot fail
			t.Logf("%s", b)
			return
		}
		write(t, golden, got)
		return
	}
	want := recorded(t, golden)
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

// TestHost runs every scenario in the host, which says what Envoy says, but where a
// difference is known.
func TestHost(t *testing.T) {
	want, kept := recorded(t, golden), map[string]*Record{}
	if !*update {
		kept = recorded(t, ours)
	}
	list := load(t)
	for _, s := range list {
		t.Run(s.Name, func(t *testing.T) {
			if want[s.Name] == nil {
				t.Fatal("nothing is recorded of Envoy: run TestEnvoy with -update")
			}
			got, err := RunHost(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			d := Diff(got, want[s.Name])
			known := s.Differs()
			switch {
			case known == nil:
				if d != "" {
					t.Error(d)
				}
			case d == "":
				t.Errorf("the difference is gone: %s", known.What)
			case *update:
				kept[s.Name] = got
			case kept[s.Name] == nil:
				t.Error("nothing is recorded: run TestHost with -update")
			default:
				if d := Diff(got, kept[s.Name]); d != "" {
					t.Error(d)
				}
			}
			testenv.Evidence(t, "%d lines of the guest, %d responses", len(got.Log), len(got.Responses))
		})
	}
	if *update && *only == "" {
		write(t, ours, kept)
	}
}

// At most 15 differences, each with its reason, shown by scenarios that there are.
func TestDifferences(t *testing.T) {
	if len(Differences) > 15 {
		t.Errorf("%d differences", len(Differences))
	}
	names := map[string]bool{}
	for _, s := range load(t) {
		names[s.Name] = true
	}
	for _, d := range Differences {
		if d.What == "" || d.Ours == "" || d.Why == "" {
			t.Errorf("%q lacks something", d.What)
		}
		for _, s := range d.Scenarios {
			if !names[s] {
				t.Errorf("there is no scenario %q", s)
			}
		}
		for _, o := range d.Of {
			if _, call := calls[o]; !call && callbacks[o].params == 0 {
				t.Errorf("%q is neither a hostcall nor a callback", o)
			}
		}
	}
}
