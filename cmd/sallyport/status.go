package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// service is something that runs until its context ends.
type service func(ctx context.Context) error

// together runs services until ctx ends or one of them does, and then ends the
// others. The first error is the result.
func together(ctx context.Context, services ...service) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	errs := make(chan error, len(services))
	for _, s := range services {
		if s == nil {
			continue
		}
		work.Go(func() {
			err := s(ctx)
			if err != nil {
				errs <- err
			}
			cancel()
		})
	}
	work.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// statusServer serves health and metrics; nil when there is no address. What note returns
// is said beside being ready, and changes nothing about it: whoever is there to be asked
// is ready, though a part may be away.
func statusServer(addr string, logger *slog.Logger, ready func() error, note func() string, gatherers ...prometheus.Gatherer) service {
	if addr == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ready\n"))
		if note == nil {
			return
		}
		if text := note(); text != "" {
			_, _ = w.Write([]byte(text + "\n"))
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers(gatherers), promhttp.HandlerOpts{}))
	return func(ctx context.Context) error {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("--status-listen: %w", err)
		}
		logger.Info("health and metrics", "address", l.Addr().String())
		srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
			WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
		go func() {
			<-ctx.Done()
			_ = srv.Close()
		}()
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}
