package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/host"
	"github.com/sallyport-auth/sallyport/host/gateway"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
)

// filterServer is a gateway that runs filters of others before one upstream.
type filterServer struct {
	options serveOptions
	logger  *slog.Logger
	chain   *host.Chain
	reloads *prometheus.CounterVec

	last []byte // what was read last, by a hash; of the one that reads

	mu        sync.Mutex // guards what follows
	sums      []string   // of the modules that run
	listening bool
}

// serveFilters runs filters without a declarative file until ctx ends.
func serveFilters(ctx context.Context, o serveOptions, logger *slog.Logger, listening func([]net.Addr)) error {
	if err := o.checkAddresses(); err != nil {
		return err
	}
	state, err := gateway.Single(o.filters.upstream)
	if err != nil {
		return usageError{fmt.Errorf("--upstream is %q: %w", o.filters.upstream, err)}
	}
	s := &filterServer{options: o, logger: logger, reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sallyport_filter_reloads_total", Help: "Times that a changed module or configuration was read, by result.",
	}, []string{"result"})}
	plugins, sums, err := s.plugins()
	if err != nil {
		return err
	}
	if s.chain, err = host.NewChain(ctx, plugins...); err != nil {
		return err
	}
	defer s.chain.Close(context.WithoutCancel(ctx))
	s.running(sums)
	g := gateway.New(gateway.Config{
		Listeners: gatewayListeners(o.listen, &declarative.File{}),
		Filter:    s.chain.Handler, Logger: logger.With("component", "gateway"),
	})
	g.Update(state)
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.reloads, chainCollector{s})
	return together(ctx,
		func(ctx context.Context) error {
			return g.Run(ctx, func(addrs []net.Addr) {
				s.mu.Lock()
				s.listening = true
				s.mu.Unlock()
				listening(addrs)
			})
		},
		s.watch,
		statusServer(o.status, logger, s.readiness, nil, registry))
}

// plugins reads the modules and configurations, and returns the SHA-256 of the
// modules with them.
func (s *filterServer) plugins() (plugins []host.Plugin, sums []string, err error) {
	all := sha256.New()
	level := slog.LevelInfo
	_ = level.UnmarshalText([]byte(s.options.logLevel)) // checked when the logger was made
	for _, f := range s.options.filters.list {
		wasm, err := module(f.module)
		if err != nil {
			return nil, nil, err
		}
		config, err := fileIfAny(f.config)
		if err != nil {
			return nil, nil, err
		}
		vmConfig, err := fileIfAny(f.vmConfig)
		if err != nil {
			return nil, nil, err
		}
		fmt.Fprintf(all, "%d %d %d ", len(wasm), len(config), len(vmConfig))
		all.Write(wasm)
		all.Write(config)
		all.Write(vmConfig)
		name := strings.TrimSuffix(filepath.Base(f.module), ".wasm")
		sum := sha256.Sum256(wasm)
		sums = append(sums, hex.EncodeToString(sum[:]))
		plugins = append(plugins, host.Plugin{Wasm: wasm, Config: host.Config{
			Name: name, RootID: f.rootID, VMID: f.vmID, PluginConfig: config, VMConfig: vmConfig,
			Workers:       s.options.workers,
			Clusters:      s.options.filters.clusters,
			StopIteration: s.options.filters.stopIteration,
			Deadline:      s.options.filters.deadline,
			MemoryBytes:   uint64(s.options.filters.memory) << 20,
			CacheDir:      cacheDir(s.options.cacheDir, sidecar.StateDirOf(s.options.stateDir, &declarative.File{})),
			Logger:        s.logger.With("component", "filter", "plugin", name),
			LogLevel:      level,
			Properties:    gateway.Property,
		}})
	}
	s.last = all.Sum(nil)
	return plugins, sums, nil
}

// fileIfAny reads a file, nothing when there is no name.
func fileIfAny(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usageError{err}
	}
	return data, nil
}

// running notes which modules run.
func (s *filterServer) running(sums []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sums = sums
	s.logger.Info("the filters are in force", "filters", filterValue{&s.options.filters}.String(), "sha256", strings.Join(sums, ","))
}

// watch takes over modules and configurations that have changed.
func (s *filterServer) watch(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // it will be read anyway
		}
	}
	var work sync.WaitGroup
	for _, f := range s.options.filters.list {
		for _, path := range []string{f.module, f.config, f.vmConfig} {
			if path != "" {
				work.Go(func() { sidecar.Watch(ctx, path, notify) })
			}
		}
	}
	defer work.Wait()
	notify() // of what changed before anybody watched
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			s.reload(ctx)
		}
	}
}

// reload takes over what the files say now. What cannot run changes nothing.
func (s *filterServer) reload(ctx context.Context) {
	before := s.last
	plugins, sums, err := s.plugins()
	if err == nil {
		if bytes.Equal(before, s.last) {
			return
		}
		err = s.chain.Reload(ctx, plugins...)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.reloads.WithLabelValues("refused").Inc()
		s.logger.Error("the changed filter is refused, the old one stays in force", "error", err)
		return
	}
	s.reloads.WithLabelValues("ok").Inc()
	s.running(sums)
}

var (
	errNotListening = errors.New("the gateway does not listen yet")
	errNoWorker     = errors.New("a filter has no worker that runs")
)

// readiness says why requests cannot be taken, if they cannot.
func (s *filterServer) readiness() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.listening {
		return errNotListening
	}
	for _, f := range s.chain.Stats() {
		if f.Running == 0 {
			return errNoWorker
		}
	}
	return nil
}
