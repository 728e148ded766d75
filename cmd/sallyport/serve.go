package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/host"
	"github.com/sallyport-auth/sallyport/host/gateway"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/envoyconf"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	common
	sidecarFlags
	listen   []string
	socket   string
	filters  filterFlags
	status   string
	cacheDir string
	workers  int
}

func serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve -c FILE | --filter FILE --upstream URL",
		Short: "Run the gateway, with the sidecar unless one is given",
		Long: "With -c, serve enforces a declarative file. Without, it runs other proxy-wasm modules before one upstream:\n" +
			"each --filter in the order in which they stand, with the --filter-config and other flags of its own behind it.\n" +
			"A module or configuration that changes takes effect at once, without a failed request.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.checkMode(cmd.Flags().Changed); err != nil {
				return err
			}
			logger, err := o.logger()
			if err != nil {
				return err
			}
			run := serve
			if o.file == "" {
				run = serveFilters
			}
			return run(cmd.Context(), o, logger, func(addrs []net.Addr) {
				for _, a := range addrs {
					logger.Info("the gateway takes requests", "address", a.String())
				}
			})
		},
	}
	o.common.register(cmd)
	o.sidecarFlags.register(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&o.listen, "listen", nil, "address to take traffic on, plain HTTP (default: the file's listeners, else "+defaultListen+")")
	f.StringVar(&o.socket, "sidecar", "", "socket of a sidecar that runs elsewhere, unix:PATH (default: run one)")
	o.filters.register(f)
	f.StringVar(&o.status, "status-listen", "", "address of /healthz, /readyz and /metrics; empty for none")
	f.StringVar(&o.cacheDir, "cache-dir", "", "where compiled code is kept (default: cache in the state directory)")
	f.IntVar(&o.workers, "workers", 0, "instances of the filter (default GOMAXPROCS)")
	return cmd
}

// server is a gateway with what belongs to it.
type server struct {
	logger  *slog.Logger
	filter  *host.Filter
	gateway *gateway.Gateway
	workers int
	public  string // where the sidecar serves identity providers

	mu      sync.Mutex     // guards what follows
	sources map[int]string // the file behind each worker's bundle
	changed chan struct{}  // closed when sources change
	ready   error
	inForce string
	wanted  string             // the file that the workers are waited for with, or that is in force
	publish context.CancelFunc // ends the wait of an older file
}

// errStarting is why a gateway is not ready at first.
var errStarting = errors.New("the workers do not have the configuration yet")

// gcPercent is how much a gateway's heap grows between two collections. Nearly all of
// what a request allocates dies with it, so what is kept is small, and collecting at
// twice of it, as Go does unless told otherwise, takes a twentieth of the time.
const gcPercent = 400

// collectLess sets gcPercent, unless GOGC says something.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// serve runs a gateway until ctx ends.
func serve(ctx context.Context, o serveOptions, logger *slog.Logger, listening func([]net.Addr)) error {
	collectLess()
	if err := o.checkAddresses(); err != nil {
		return err
	}
	f, _, err := readDeclarative(o.file, o.ignoreUnsupported)
	if err != nil {
		return err
	}
	wasm, err := module(o.filters.one())
	if err != nil {
		return err
	}
	s := &server{logger: logger, sources: map[int]string{}, changed: make(chan struct{}), ready: errStarting}
	stateDir := sidecar.StateDirOf(o.stateDir, f)
	if o.public, err = publicAddress(o.public); err != nil {
		return err
	}
	var services []service
	note := func() string { return "" }
	gatherers := prometheus.Gatherers{}
	socket, err := unixPath("sidecar", o.socket)
	if err != nil {
		return err
	}
	if socket == "" {
		sc, err := openSidecar(o.sidecarConfig(logger, func(f *declarative.File) { s.take(ctx, f) }))
		if err != nil {
			return err
		}
		defer sc.Close() // for the errors below; once it has run, it is closed
		socket, stateDir, f = sc.Socket(), sc.StateDir(), sc.File()
		o.public, note = sc.Public(), sc.Note
		services = append(services, sc.Run)
		gatherers = append(gatherers, sc.Registry())
	} else {
		db, err := sidecar.OpenRegistry(ctx, redact.New(o.registry), f, stateDir)
		if err != nil {
			return err
		}
		if db != nil {
			defer db.Close()
			if f, err = readWith(ctx, o.file, o.ignoreUnsupported, db); err != nil {
				return err
			}
			services = append(services, func(ctx context.Context) error {
				sidecar.FollowRegistry(ctx, db, func() bool { return s.reread(ctx, o, db) })
				return nil
			})
		}
		services = append(services, func(ctx context.Context) error {
			sidecar.Watch(ctx, o.file, func() { _ = s.reread(ctx, o, db) }) // it reports itself
			return nil
		})
	}
	if o.public == "" {
		o.public = filepath.Join(filepath.Dir(socket), sidecar.PublicName)
	}
	s.public = o.public
	s.filter, err = host.New(ctx, wasm, host.Config{
		Name: "sallyport", RootID: "sallyport", VMID: "sallyport",
		Workers:      o.workers,
		Env:          []string{"GOGC=" + envoyconf.GOGC},
		PluginConfig: []byte(f.Settings.FilterConfig(sidecarCluster)),
		Clusters:     map[string]string{sidecarCluster: "unix:" + socket},
		Deadline:     deadline(o.filters.one()),
		CacheDir:     cacheDir(o.cacheDir, stateDir),
		Logger:       logger.With("component", "filter"),
		Properties:   gateway.Property,
		ReadySignal:  readySignal,
		Foreign:      map[string]host.ForeignFunc{readySignal: s.bundleTaken},
	})
	if err != nil {
		return err
	}
	defer s.filter.Close(context.WithoutCancel(ctx))
	s.workers = s.filter.Workers()
	s.gateway = gateway.New(gateway.Config{
		Listeners: gatewayListeners(o.listen, f), TrustedIPs: f.Settings.TrustedIPs,
		Filter: s.filter.Handler, Logger: logger.With("component", "gateway"),
	})
	s.take(ctx, f)
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(filterCollector{s.filter}, moduleInfo(wasm))
	gatherers = append(gatherers, metrics)
	services = append(services,
		func(ctx context.Context) error { return s.gateway.Run(ctx, listening) },
		statusServer(o.status, logger, s.readiness, note, gatherers))
	return together(ctx, services...)
}

// checkAddresses checks the flags that are addresses.
func (o serveOptions) checkAddresses() error {
	for _, a := range o.listen {
		if err := checkAddress("listen", a); err != nil {
			return err
		}
	}
	if o.status == "" {
		return nil
	}
	return checkAddress("status-listen", o.status)
}

func (o serveOptions) sidecarConfig(logger *slog.Logger, onReload func(*declarative.File)) sidecar.Config {
	return o.sidecarFlags.config(o.common, "", logger.With("component", "sidecar"), onReload)
}

// cacheDir is where compiled code is kept, so that only the first start compiles.
func cacheDir(flag, stateDir string) string {
	if flag != "" {
		return flag
	}
	return filepath.Join(stateDir, "cache")
}

// deadline is on for every module but the embedded one.
func deadline(filter string) time.Duration {
	if filter == "" {
		return -1
	}
	return 0
}

// sidecarCluster is the name under which the filter finds the sidecar.
const sidecarCluster = "sidecar"

// readySignal is the foreign function by which a filter says which file its
// bundle was made from (plugin.ReadyFunction).
const readySignal = "sallyport_bundle"

// bundleTaken notes that a worker has taken over a bundle.
func (s *server) bundleTaken(call host.ForeignCall) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources[call.Worker] = string(call.Argument)
	close(s.changed)
	s.changed = make(chan struct{})
	return nil, nil
}

// take publishes a file's routes once every worker holds the bundle that was made
// from it: a route must not be there before its chain is. A newer file ends the
// wait of an older one.
func (s *server) take(ctx context.Context, f *declarative.File) {
	state, err := gatewayState(f, s.public)
	if err != nil {
		s.logger.Error("the routes cannot be put in force", "error", err)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	if s.publish != nil {
		s.publish()
	}
	s.publish, s.wanted = cancel, f.Source
	s.mu.Unlock()
	go s.await(ctx, f.Source, state)
}

// slowWorkers is how long workers may take before it is said that they do.
const slowWorkers = 10 * time.Second

func (s *server) await(ctx context.Context, source string, state gateway.State) {
	slow := time.NewTimer(slowWorkers)
	defer slow.Stop()
	for {
		s.mu.Lock()
		have, changed := 0, s.changed
		for _, src := range s.sources {
			if src == source {
				have++
			}
		}
		if have == s.workers && ctx.Err() == nil {
			s.gateway.Update(state)
			s.ready, s.inForce = nil, source
			s.mu.Unlock()
			s.logger.Info("the routes are in force", "matches", len(state.Table.Entries), "source", source[:12])
			return
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-slow.C:
			s.logger.Warn("the workers do not get the bundle of this file: does the sidecar read another one?",
				"source", source[:12], "workers", s.workers, "have", have)
		}
	}
}

// reread takes over a file that a sidecar elsewhere reads too, with what the registry has
// beside it; db is nil for none. It returns false where the registry could not be read.
func (s *server) reread(ctx context.Context, o serveOptions, db *registry.Registry) bool {
	f, err := readWith(ctx, o.file, o.ignoreUnsupported, db)
	if err != nil {
		s.logger.Error("the declarative file is refused, the old routes stay", "error", err)
		return !errors.Is(err, errUnread)
	}
	s.mu.Lock()
	known := s.wanted == f.Source
	s.mu.Unlock()
	if !known {
		s.take(ctx, f)
	}
	return true
}

// errUnread is why a file is not read: what the registry has beside it is not known.
var errUnread = errors.New("the registry cannot be read")

// readWith reads a file with what a registry has beside it; db is nil for none.
func readWith(ctx context.Context, path string, ignoreUnsupported bool, db *registry.Registry) (*declarative.File, error) {
	var further []declarative.Further
	if db != nil {
		var err error
		if further, err = sidecar.Beside(ctx, db); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnread, err)
		}
	}
	f, _, err := readBeside(path, ignoreUnsupported, further)
	return f, err
}

func (s *server) readiness() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// moduleInfo is a metric that says which module runs.
func moduleInfo(wasm []byte) prometheus.Collector {
	sum := sha256.Sum256(wasm)
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sallyport_filter_info", Help: "The filter's module, by its SHA-256.",
		ConstLabels: prometheus.Labels{"sha256": hex.EncodeToString(sum[:])},
	})
	g.Set(1)
	return g
}

// filterCollector hands the filter's metrics to Prometheus.
type filterCollector struct{ filter *host.Filter }

// Describe implements prometheus.Collector: the filter's metrics are not known
// beforehand.
func (filterCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c filterCollector) Collect(ch chan<- prometheus.Metric) {
	for _, m := range c.filter.Metrics() {
		name, labels, values := metricName(m.Name)
		if metric, err := guestMetric(m, name, labels, values); err == nil {
			ch <- metric
		}
	}
	ch <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(c.filter.MemoryBytes()))
}

var memoryDesc = prometheus.NewDesc("sallyport_filter_memory_bytes", "Linear memory of all workers of the filter.", nil, nil)

// requestsPrefix is followed by a reason code (plugin.MetricPrefix).
const requestsPrefix = "sallyport.requests."

// metricName turns a guest's name into Prometheus's: the filter's counters of
// requests are one metric with the reason as its label, as they are in Envoy with
// the tags of the generated file.
func metricName(name string) (metric string, labels, values []string) {
	if reason, ok := strings.CutPrefix(name, requestsPrefix); ok {
		return "sallyport_filter_requests_total", []string{"reason"}, []string{reason}
	}
	return prometheusName(name), nil, nil
}
