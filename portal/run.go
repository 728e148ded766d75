package portal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/portal/internal/adminapi"
)

// Run serves until ctx ends, and then lets requests end.
func (p *Portal) Run(ctx context.Context) error {
	defer func() { _ = p.filter.Close(context.WithoutCancel(ctx)) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	for _, service := range []func(context.Context) error{p.sidecar.Run, p.serveGateway, p.serveAdmin, p.follow} {
		work.Go(func() {
			if err := service(ctx); err != nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	work.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// followInterval is how often the registry is asked whether services have changed.
const followInterval = 250 * time.Millisecond

// follow takes over services, routes and plugins of the registry that have changed. A
// change that could not be read is not told of again: it is read as soon as it can be.
func (p *Portal) follow(ctx context.Context) error {
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	since, unread := p.since, false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		list, last, gap, err := p.config.Registry.Changes(ctx, since, 0)
		if err != nil {
			continue // Ready says so
		}
		since = last
		if !gap && !unread && !slices.ContainsFunc(list, func(c registry.Change) bool { return c.Kind == registry.ConfigChange }) {
			continue
		}
		err, said := p.Reload(ctx), unread
		if unread = errors.Is(err, errUnread); err != nil && ctx.Err() == nil && !(unread && said) {
			p.config.Logger.Error("what the registry has is refused, what the portal shows stays", "error", err)
		}
	}
}

func (p *Portal) serveGateway(ctx context.Context) error {
	return p.gateway.Run(ctx, func([]net.Addr) {
		p.config.Logger.Info("the portal takes requests", "url", p.URL(), "login returns to", p.where.callback())
	})
}

// serveAdmin serves administrators, on loopback unless the file or a flag says so.
func (p *Portal) serveAdmin(ctx context.Context) error {
	srv := &http.Server{Handler: p.admin, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(p.config.Logger.Handler(), slog.LevelDebug)}
	listeners := make([]net.Listener, 0, len(p.portal.Admin))
	for _, l := range p.portal.Admin {
		ln, err := net.Listen("tcp", l.Address)
		if err != nil {
			for _, other := range listeners {
				_ = other.Close()
			}
			return fmt.Errorf("admin listener: %w", err)
		}
		given := redact.Secret{}
		if p.config.TokenGiven {
			given = p.config.Token
		}
		if err := adminapi.CheckListen(ln.Addr(), given); err != nil {
			_ = ln.Close()
			for _, other := range listeners {
				_ = other.Close()
			}
			return fmt.Errorf("admin listener %s: %w", l.Address, err)
		}
		if l.TLS {
			ln = tls.NewListener(ln, p.adminTLS())
		}
		listeners = append(listeners, ln)
	}
	p.config.Logger.Info("administrators find the portal", "url", p.AdminURL())
	done := make(chan struct{})
	var work sync.WaitGroup
	failed := make(chan error, len(listeners))
	for _, ln := range listeners {
		work.Go(func() {
			if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	go func() { work.Wait(); close(done) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if srv.Shutdown(drain) != nil {
		_ = srv.Close()
	}
	<-done
	return err
}

// adminTLS are the file's first certificate, as at the start.
func (p *Portal) adminTLS() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, one := range p.file.Load().Certificates {
		if pair, err := tls.X509KeyPair([]byte(one.Cert), []byte(one.Key)); err == nil {
			c.Certificates = append(c.Certificates, pair)
		}
	}
	return c
}
