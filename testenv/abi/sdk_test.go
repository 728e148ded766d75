package abi

import (
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
)

// TestGoSDK runs the scenarios of testdata/sdk with a guest made with the Go SDK.
func TestGoSDK(t *testing.T) { sdk(t, testenv.Guest(t, "script"), "testdata/sdk/go.json") }

// sdk runs the scenarios with a guest, in Envoy where there is one, and in the host.
func sdk(t *testing.T, module, golden string) {
	t.Helper()
	list, err := Load("testdata/sdk")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		s.Guest = module
	}
	t.Run("envoy", func(t *testing.T) {
		envoy.Path(t, envoy.Newest)
		got := RunEnvoy(t, envoy.Newest, list)
		if *update {
			write(t, golden, got)
			return
		}
		compare(t, list, recorded(t, golden), func(s *Scenario) *Record { return got[s.Name] })
	})
	t.Run("host", func(t *testing.T) {
		compare(t, list, recorded(t, golden), func(s *Scenario) *Record {
			got, err := RunHost(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			return got
		})
	})
}

func compare(t *testing.T, list []*Scenario, want map[string]*Record, run func(*Scenario) *Record) {
	t.Helper()
	for _, s := range list {
		t.Run(s.Name, func(t *testing.T) {
			w := want[s.Name]
			if w == nil {
				t.Fatal("nothing is recorded of Envoy: run with -update")
			}
			got := run(s)
			if d := Diff(got, w); d != "" {
				t.Error(d)
			}
			testenv.Evidence(t, "%d lines of the guest, %d responses", len(got.Log), len(got.Responses))
		})
	}
}
