package host

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/callout"
	"github.com/sallyport-auth/sallyport/host/internal/stream"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// FailurePolicy says what becomes of requests while a filter cannot run.
type FailurePolicy int

// The policies. The zero value denies.
const (
	FailClosed FailurePolicy = iota // 503
	// FailOpen lets requests pass by the filter when no worker can take them. A
	// request in which the guest traps is answered 503 all the same. It is not for
	// filters that guard anything.
	FailOpen
)

// Config says how a filter is run. The zero Config runs a filter that needs no
// configuration and makes no calls.
type Config struct {
	// Name, RootID and VMID are what the guest can read as plugin_name,
	// plugin_root_id and plugin_vm_id. VMID also names the space of shared data and
	// queues, and filters of a chain with one VMID and one module share their VMs.
	Name, RootID, VMID string

	// PluginConfig is what on_configure reads, VMConfig what on_vm_start reads.
	PluginConfig, VMConfig []byte

	// Env are environment variables that the guest sees, each NAME=value. A module
	// that was built with Go reads GOGC.
	Env []string

	// Workers is how many instances there are. The default is GOMAXPROCS.
	Workers int

	// Clusters are where guests may call (proxy_http_call, proxy_grpc_call): name →
	// URL, which is http://host:port, https://host:port, h2c://host:port (HTTP/2
	// without TLS) or unix:/path/of/socket. A guest cannot call anywhere else.
	Clusters map[string]string

	// StopIteration delivers bodies while a guest holds the headers, as Envoy's
	// allow_on_headers_stop_iteration does. Guests that read a body before they
	// decide need it; without it they would wait for ever.
	StopIteration bool

	// MaxBody bounds what a guest may hold of a body, in bytes: beyond it a
	// request is answered 413 and a response 500. The default is 1 MiB, Envoy's.
	MaxBody int

	// MemoryBytes bounds the memory of one instance. The default is 1 GiB, Envoy's.
	MemoryBytes uint64

	// Deadline bounds a callback. The default is one second; a guest that takes
	// longer is ended as if it had trapped, at its next loop or call; a hostcall under
	// way is not interrupted. It costs a microsecond a callback and a check in every
	// loop: a filter written in Go takes about three times as long. A negative
	// Deadline is none, and lets a guest that spins freeze the whole process at the
	// next garbage collection: only for modules that are known not to.
	Deadline time.Duration

	// Limits bound what a guest can make the host hold. The zero Limits are the
	// defaults.
	Limits Limits

	// CacheDir keeps compiled code, so that the next start takes milliseconds
	// instead of seconds. What is in it is executed: it must be nobody else's to
	// write (0700). The default is no cache.
	CacheDir string

	// Failure says what happens to requests while the filter cannot run.
	Failure FailurePolicy

	// Logger takes what guests log and what befalls them. The default discards it.
	Logger *slog.Logger
	// LogLevel is the lowest level of guests' lines that is written; the guest can
	// ask for it.
	LogLevel slog.Level

	// Foreign are foreign functions beside verify_signature, sign, compress, uncompress,
	// clear_route_cache, declare_property and set_envoy_filter_state, which are always
	// there.
	Foreign map[string]ForeignFunc

	// Properties answers attributes that net/http does not know, such as
	// xds.route_name; path is joined by dots. It is asked before anything else and
	// may be called at any time during the request.
	Properties func(r *http.Request, path string) (value []byte, ok bool)

	// ReadySignal, when set, is the name of a foreign function by which a new
	// worker says that it can take requests. Until it does, others are preferred.
	ReadySignal string
}

// ForeignFunc is a function that guests call by name. It runs while the worker is
// busy and must not block. The error is reported to the guest as a status:
// BAD_ARGUMENT.
type ForeignFunc func(call ForeignCall) (result []byte, err error)

// ForeignCall is one call of a foreign function.
type ForeignCall struct {
	Worker   int    // from 0
	Argument []byte // good until the function returns
}

const (
	defaultDeadline = time.Second
	defaultMaxBody  = 1 << 20
)

func (c Config) withDefaults() Config {
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.MaxBody <= 0 {
		c.MaxBody = defaultMaxBody
	}
	switch {
	case c.Deadline == 0:
		c.Deadline = defaultDeadline
	case c.Deadline < 0:
		c.Deadline = 0
	}
	c.Limits = c.Limits.withDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Name == "" {
		c.Name = "filter"
	}
	return c
}

// clusters makes the clusters that guests may call.
func (c Config) clusters() (callout.Clusters, error) {
	out := callout.Clusters{}
	for name, target := range c.Clusters {
		cluster, err := callout.New(target)
		if err != nil {
			return nil, ofKind(ErrConfig, fmt.Errorf("host: cluster %q: %w", name, err))
		}
		out[name] = cluster
	}
	return out, nil
}

func (c Config) limits() vm.Limits {
	return vm.Limits{MemoryBytes: c.MemoryBytes, Deadline: c.Deadline, CacheDir: c.CacheDir}
}

func (c Config) stream() stream.Options {
	return stream.Options{StopIteration: c.StopIteration, MaxBody: c.MaxBody}
}

// logLevel returns the guests' level that slog's corresponds to.
func (c Config) logLevel() abi.LogLevel {
	switch {
	case c.LogLevel < slog.LevelDebug:
		return abi.Trace
	case c.LogLevel < slog.LevelInfo:
		return abi.Debug
	case c.LogLevel < slog.LevelWarn:
		return abi.Info
	case c.LogLevel < slog.LevelError:
		return abi.Warn
	}
	return abi.Error
}
