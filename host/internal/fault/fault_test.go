package fault_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/sallyport-auth/sallyport/host/internal/fault"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/abi"
)

var update = flag.Bool("update", false, "look for a fault for every scenario anew")

// patience is what a broken host has to answer in.
const patience = 1500 * time.Millisecond

// faults by their names. Each is about one hostcall or callback, whose name follows.
var faults = map[string]func(name string) *fault.Set{
	"errors are OK": func(name string) *fault.Set {
		return hostcall(name, func(run func() uint32) uint32 { run(); return 0 })
	},
	"does nothing": func(name string) *fault.Set {
		return hostcall(name, func(func() uint32) uint32 { return 0 })
	},
	"fails": func(name string) *fault.Set {
		return hostcall(name, func(run func() uint32) uint32 { run(); return 10 })
	},
	"is not called": func(name string) *fault.Set {
		return function(name, func(api.Function) api.Function { return nil })
	},
	"its result does not count": func(name string) *fault.Set {
		return function(name, func(f api.Function) api.Function { return tampered{f, nil, other} })
	},
	"is told other numbers": func(name string) *fault.Set {
		return function(name, func(f api.Function) api.Function { return tampered{f, more, nil} })
	},
	"takes one more number": func(name string) *fault.Set {
		return &fault.Set{Params: func(called string, params []api.ValueType) []api.ValueType {
			if called == name {
				params = append(slices.Clip(params), api.ValueTypeI32)
			}
			return params
		}}
	},
	"every call may be made early":  func(string) *fault.Set { return &fault.Set{Unrestricted: true} },
	"modules are not checked":       func(string) *fault.Set { return &fault.Set{Unchecked: true} },
	"versions do not matter":        func(string) *fault.Set { return &fault.Set{AllVersions: true} },
	"there are functions like this": func(name string) *fault.Set { return &fault.Set{Extra: []string{name}} },
}

func hostcall(broken string, f func(run func() uint32) uint32) *fault.Set {
	return &fault.Set{Hostcall: func(name string, run func() uint32) uint32 {
		if name != broken {
			return run()
		}
		return f(run)
	}}
}

func function(broken string, f func(api.Function) api.Function) *fault.Set {
	return &fault.Set{Function: func(name string, g api.Function) api.Function {
		if name != broken {
			return g
		}
		return f(g)
	}}
}

// tampered is a function that is called otherwise.
type tampered struct {
	api.Function
	before, after func(name string, stack []uint64)
}

// CallWithStack implements api.Function.
func (f tampered) CallWithStack(ctx context.Context, stack []uint64) error {
	name := f.Definition().ExportNames()[0]
	if f.before != nil {
		f.before(name, stack)
	}
	err := f.Function.CallWithStack(ctx, stack)
	if f.after != nil {
		f.after(name, stack)
	}
	return err
}

// other turns results round: what would hold goes on, what is refused is taken.
func other(name string, stack []uint64) {
	if stack[0] = 0; name == "proxy_on_vm_start" || name == "proxy_on_configure" || name == "proxy_on_done" {
		stack[0] = 1
	}
}

func more(_ string, stack []uint64) { stack[len(stack)-1]++ }

// injected is a fault with what it is about, in the notation of testdata/faults.txt.
type injected struct{ fault, name string }

func (i injected) String() string {
	if i.name == "" {
		return i.fault
	}
	return i.name + ": " + i.fault
}

// candidates are the faults that are tried on a scenario.
func candidates(s *abi.Scenario, want *abi.Record) (list []injected) {
	if want.Refused {
		list = append(list, injected{"modules are not checked", ""}, injected{"versions do not matter", ""},
			injected{"there are functions like this", "env.proxy_none"}, injected{"there are functions like this", "other.proxy_log"},
			injected{"there are functions like this", "wasi_snapshot_preview1.proc_raise:i"})
		list = append(list, injected{"every call may be made early", ""},
			injected{"takes one more number", "path_link"}, injected{"takes one more number", "path_symlink"})
		for _, name := range []string{"vm_start", "configure", "context_create"} {
			list = append(list, injected{"its result does not count", "proxy_on_" + name}, injected{"is not called", "proxy_on_" + name})
		}
		return append(list, injected{"is not called", "_initialize"})
	}
	var errors, effects, results, missing, numbers []injected
	for _, seen := range want.Seen() {
		switch {
		case seen.Call && seen.Status != "OK" && seen.Status != "errno 0":
			errors = append(errors, injected{"errors are OK", seen.Export()})
		case seen.Call:
			effects = append(effects, injected{"does nothing", seen.Export()}, injected{"fails", seen.Export()})
		case s.Returns(seen.Name):
			results = append(results, injected{"its result does not count", seen.Export()})
			missing = append(missing, injected{"is not called", seen.Export()})
		default:
			missing = append(missing, injected{"is not called", seen.Export()})
			numbers = append(numbers, injected{"is told other numbers", seen.Export()})
		}
	}
	list = slices.Concat(errors, results, effects, missing, numbers)
	if s.Has("malloc") {
		list = append(list, injected{"every call may be made early", ""})
	}
	for _, name := range []string{"_initialize", "_start", "main"} {
		if s.Has(name) {
			list = append([]injected{{"is not called", name}}, list...)
		}
	}
	seen := map[injected]bool{}
	return slices.DeleteFunc(list, func(i injected) bool { was := seen[i]; seen[i] = true; return was })
}

// notices says why a scenario does not fail in a host with a fault, "" when it does.
func notices(s *abi.Scenario, want *abi.Record, i injected) string {
	make, ok := faults[i.fault]
	if !ok {
		return "it has no fault: run with -update"
	}
	got, err := abi.RunHostWithin(fault.With(context.Background(), make(i.name)), s, patience)
	switch {
	case err != nil:
		return err.Error()
	case want == nil:
		return "nothing is recorded of Envoy"
	case abi.Diff(got, want) == "":
		return "it does not notice: " + i.String()
	}
	return ""
}

const list = "testdata/faults.txt"

// TestFaults breaks the host once for every scenario: the scenario notices. A scenario
// that no fault makes fail shows nothing.
func TestFaults(t *testing.T) {
	dir := filepath.Join(testenv.Root(), "testenv", "abi", "testdata")
	scenarios, err := abi.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	expected, err := abi.Expected(dir)
	if err != nil {
		t.Fatal(err)
	}
	chosen := map[string]injected{}
	if !*update {
		chosen = read(t)
	}
	// What few scenarios have is what they are for, so it is tried first.
	common := map[injected]int{}
	for _, s := range scenarios {
		r := expected[s.Name]
		if r == nil {
			t.Fatalf("nothing is recorded of %q", s.Name)
		}
		for _, i := range candidates(s, r) {
			common[i]++
		}
	}
	type result struct {
		fault injected
		says  string // "" when the scenario notices
	}
	results := make([]result, len(scenarios))
	var work sync.WaitGroup
	turns := make(chan struct{}, 8) // most of them wait, for what a broken host does not do
	for n, s := range scenarios {
		work.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			want, r := expected[s.Name], &results[n]
			if !*update {
				r.fault = chosen[s.Name]
				r.says = notices(s, want, r.fault)
				return
			}
			list := candidates(s, want)
			slices.SortStableFunc(list, func(a, b injected) int { return common[a] - common[b] })
			for _, i := range list {
				often := 0
				for often < 3 && notices(s, want, i) == "" { // not by chance
					often++
				}
				if often == 3 {
					r.fault = i
					return
				}
			}
			r.says = "no fault makes it fail"
		})
	}
	work.Wait()
	for n, s := range scenarios {
		t.Run(s.Name, func(t *testing.T) {
			if r := results[n]; r.says != "" {
				t.Error(r.says)
			} else {
				chosen[s.Name] = r.fault
			}
		})
	}
	if *update {
		keep(t, chosen)
	}
	distinct := map[injected]bool{}
	for _, i := range chosen {
		distinct[i] = true
	}
	testenv.Evidence(t, "%d scenarios, each failed by one of %d faults", len(chosen), len(distinct))
}

// read reads SCENARIO <tab> WHAT: FAULT.
func read(t *testing.T) map[string]injected {
	t.Helper()
	f, err := os.Open(list)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]injected{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), "\t")
		about, what, ok := strings.Cut(text, ": ")
		if !ok {
			about, what = "", text
		}
		out[name] = injected{what, about}
	}
	return out
}

func keep(t *testing.T, chosen map[string]injected) {
	t.Helper()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		fmt.Fprintf(&b, "%s\t%s\n", name, chosen[name])
	}
	if err := os.WriteFile(list, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
