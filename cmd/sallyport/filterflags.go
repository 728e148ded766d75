package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// filterFlag is one --filter, with the flags that follow it.
type filterFlag struct {
	module   string
	config   string // a file; "" for none
	vmConfig string // a file; "" for none
	rootID   string
	vmID     string
}

// filterFlags are the flags that say which filters run.
type filterFlags struct {
	list          []filterFlag
	upstream      string
	clusters      map[string]string
	stopIteration bool
	deadline      time.Duration
	memory        int // MiB
}

// Bounds on filters of others; the most is what wasm can address.
const (
	defaultFilterDeadline = time.Second
	defaultFilterMemory   = 1 << 10
	maxFilterMemory       = 4 << 10
)

func (f *filterFlags) register(flags *pflag.FlagSet) {
	flags.Var(filterValue{f}, "filter", "the filter's module (default: the one that is built in); without -c any proxy-wasm module, several for a chain")
	flags.Var(ofFilter{f, "FILE", func(l *filterFlag) *string { return &l.config }}, "filter-config", "file with the configuration of the --filter before it")
	flags.Var(ofFilter{f, "ID", func(l *filterFlag) *string { return &l.rootID }}, "filter-root-id", "root id of the --filter before it")
	flags.Var(ofFilter{f, "FILE", func(l *filterFlag) *string { return &l.vmConfig }}, "filter-vm-config", "file with the VM configuration of the --filter before it")
	flags.Var(ofFilter{f, "ID", func(l *filterFlag) *string { return &l.vmID }}, "filter-vm-id", "vm_id of the --filter before it: filters with the same share data")
	flags.Var(clusterValue{f}, "filter-cluster", "where filters may call: http://HOST:PORT, https://HOST:PORT, h2c://HOST:PORT or unix:PATH, under a name; several, or a list with commas")
	flags.BoolVar(&f.stopIteration, "filter-stop-iteration", false, "give filters the body while they hold the headers (Envoy's allow_on_headers_stop_iteration)")
	flags.DurationVar(&f.deadline, "filter-deadline", defaultFilterDeadline, "how long a callback of a filter may take, its start and configuration included")
	flags.IntVar(&f.memory, "filter-memory", defaultFilterMemory, "memory that an instance of a filter may have, in MiB")
	flags.StringVar(&f.upstream, "upstream", "", "where requests go that filters let through, without -c: http://HOST[:PORT] or https://HOST[:PORT]")
}

// filterValue is --filter.
type filterValue struct{ flags *filterFlags }

// Set implements pflag.Value. An empty one is none, as for other flags.
func (v filterValue) Set(module string) error {
	if module != "" {
		v.flags.list = append(v.flags.list, filterFlag{module: module})
	}
	return nil
}

// String implements pflag.Value.
func (v filterValue) String() string {
	if v.flags == nil {
		return ""
	}
	var out []string
	for _, f := range v.flags.list {
		out = append(out, f.module)
	}
	return strings.Join(out, ",")
}

// Type implements pflag.Value.
func (filterValue) Type() string { return "FILE" }

// ofFilter is a flag that belongs to the --filter before it.
type ofFilter struct {
	flags *filterFlags
	kind  string
	field func(*filterFlag) *string
}

// Set implements pflag.Value.
func (v ofFilter) Set(value string) error {
	if len(v.flags.list) == 0 {
		return errors.New("expected a --filter before it")
	}
	field := v.field(&v.flags.list[len(v.flags.list)-1])
	if *field != "" {
		return errors.New("the --filter before it has one already")
	}
	*field = value
	return nil
}

// String implements pflag.Value: nothing, so that no default is shown.
func (ofFilter) String() string { return "" }

// Type implements pflag.Value.
func (v ofFilter) Type() string { return v.kind }

// clusterValue is --filter-cluster.
type clusterValue struct{ flags *filterFlags }

// Set implements pflag.Value.
func (v clusterValue) Set(list string) error {
	for one := range strings.SplitSeq(list, ",") {
		name, target, _ := strings.Cut(one, "=")
		scheme, rest, _ := strings.Cut(target, ":")
		if name == "" || strings.Trim(rest, "/") == "" || scheme != "http" && scheme != "https" && scheme != "unix" {
			return errors.New("expected NAME=http://HOST:PORT, NAME=https://HOST:PORT or NAME=unix:PATH")
		}
		if v.flags.clusters == nil {
			v.flags.clusters = map[string]string{}
		}
		v.flags.clusters[name] = target
	}
	return nil
}

// String implements pflag.Value: nothing, so that no default is shown.
func (clusterValue) String() string { return "" }

// Type implements pflag.Value.
func (clusterValue) Type() string { return "NAME=URL" }

// Flags that have no meaning with a declarative file, and those that have none
// without.
var (
	onlyWithoutFile = []string{"upstream", "filter-config", "filter-root-id", "filter-vm-config", "filter-vm-id", "filter-cluster", "filter-stop-iteration", "filter-deadline", "filter-memory"}
	onlyWithFile    = []string{"sidecar", "admin-listen", "admin-token", "socket-group", "public-listen", "ignore-unsupported"}
)

// checkMode refuses flags that contradict each other. given reports whether a flag
// was.
func (o *serveOptions) checkMode(given func(flag string) bool) error {
	refuse := func(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
	if o.file != "" {
		for _, name := range onlyWithoutFile {
			if given(name) {
				return refuse("--%s does not go with -c: the file says which filter runs and where requests go", name)
			}
		}
		if len(o.filters.list) > 1 {
			return refuse("%d times --filter: with -c there is one, which enforces the file", len(o.filters.list))
		}
		return nil
	}
	switch {
	case len(o.filters.list) == 0 && o.filters.upstream == "":
		return refuse("no declarative file: give one with -c kong.yml, or a module of your own with --filter and --upstream")
	case len(o.filters.list) == 0:
		return refuse("--upstream without --filter: give a module, or a declarative file with -c kong.yml")
	case o.filters.upstream == "":
		return refuse("--filter without -c: say with --upstream where requests go")
	}
	for _, name := range onlyWithFile {
		if given(name) {
			return refuse("--%s needs a declarative file: without -c no sidecar runs", name)
		}
	}
	if o.filters.deadline <= 0 {
		return refuse("--filter-deadline is %v: expected more than 0: a filter that never returns would stop the whole process", o.filters.deadline)
	}
	if o.filters.memory < 1 || o.filters.memory > maxFilterMemory {
		return refuse("--filter-memory is %d: expected 1 to %d MiB", o.filters.memory, maxFilterMemory)
	}
	return nil
}

// one returns the module of the only --filter, "" for the built-in one.
func (f *filterFlags) one() string {
	if len(f.list) == 0 {
		return ""
	}
	return f.list[0].module
}
