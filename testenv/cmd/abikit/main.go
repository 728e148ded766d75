// Command abikit runs scenarios of hostcalls in the Go host and in a real Envoy, and says
// where the two differ.
//
//	go run ./testenv/cmd/abikit                      the scenarios of testenv/abi/testdata
//	go run ./testenv/cmd/abikit -run 'trailers' -v   some of them, with what was observed
//	go run ./testenv/cmd/abikit my.txt               yours
//	go run ./testenv/cmd/abikit -module my.wasm my.txt
//
// With -module the guest is a module of yours: of a scenario counts what plugins,
// requests, upstreams, options and until say. The language is described in testenv/abi
// (Scenario). The exit code is 1 when something differs that is not known to.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/abi"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
)

func main() {
	run := flag.String("run", "", "only scenarios whose names match this expression")
	module := flag.String("module", "", "a module that takes the place of the scenarios' guests")
	version := flag.String("envoy", envoy.Newest, "the version of Envoy (make tools); none for the host alone")
	verbose := flag.Bool("v", false, "show what was observed")
	flag.Parse()
	list, err := load(flag.Args(), *run, *module)
	if err != nil {
		fmt.Fprintln(os.Stderr, "abikit:", err)
		os.Exit(2)
	}
	c := &console{}
	code := 0
	func() {
		defer c.end()
		code = compare(c, list, *version, *verbose)
	}()
	os.Exit(code)
}

// load reads the scenarios of files, or those of testenv/abi.
func load(files []string, expression, module string) ([]*abi.Scenario, error) {
	wanted, err := regexp.Compile(expression)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		if files, err = filepath.Glob(filepath.Join(testenv.Root(), "testenv", "abi", "testdata", "*.txt")); err != nil {
			return nil, err
		}
	}
	list, err := abi.LoadFiles(files...)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(s *abi.Scenario) bool { return !wanted.MatchString(s.Name) })
	for _, s := range list {
		s.Module = module
	}
	return list, nil
}

// compare runs the scenarios in both and returns the exit code.
func compare(c *console, list []*abi.Scenario, version string, verbose bool) int {
	var inEnvoy map[string]*abi.Record
	if version != "none" {
		inEnvoy = abi.RunEnvoy(c, version, list)
	}
	differ, known := 0, 0
	for _, s := range list {
		rec, err := abi.RunHost(context.Background(), s)
		if err != nil {
			fmt.Fprintf(os.Stderr, "abikit: %s: %v\n", s.Name, err)
			return 2
		}
		if verbose {
			fmt.Printf("=== %s\n%s", s.Name, rec)
		}
		if inEnvoy == nil {
			continue
		}
		d := abi.Diff(rec, inEnvoy[s.Name])
		switch {
		case d == "":
		case s.Differs() != nil:
			known++
			fmt.Printf("--- %s: known to differ: %s\n", s.Name, s.Differs().What)
		default:
			differ++
			fmt.Printf("--- %s: the host (got) and Envoy (want)\n%s", s.Name, d)
		}
	}
	fmt.Printf("%d scenarios, %d differ, %d more are known to\n", len(list), differ, known)
	if differ > 0 {
		return 1
	}
	return 0
}

// console is the testing.TB of a program: what would end a test ends the program.
type console struct {
	testing.TB
	cleanups []func()
}

func (c *console) end() {
	for _, f := range slices.Backward(c.cleanups) {
		f()
	}
	c.cleanups = nil
}

// Name implements testing.TB.
func (c *console) Name() string { return "abikit" }

// Helper implements testing.TB.
func (c *console) Helper() {}

// Cleanup implements testing.TB.
func (c *console) Cleanup(f func()) { c.cleanups = append(c.cleanups, f) }

// Logf implements testing.TB.
func (c *console) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Errorf implements testing.TB.
func (c *console) Errorf(format string, args ...any) { c.Logf("abikit: "+format, args...) }

// Fatal implements testing.TB.
func (c *console) Fatal(args ...any) { c.Fatalf("%s", fmt.Sprint(args...)) }

// Fatalf implements testing.TB.
func (c *console) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	c.end()
	os.Exit(2)
}

// Skip implements testing.TB: there is nothing to do without a part.
func (c *console) Skip(args ...any) { c.Fatal(args...) }
