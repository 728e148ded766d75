package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/internal/routing"
)

// Config is what does not change while a gateway runs.
type Config struct {
	Listeners []Listener
	// TrustedIPs are the addresses whose X-Forwarded-* headers are believed.
	TrustedIPs []netip.Prefix
	// Filter wraps the proxy; nil for none.
	Filter func(next http.Handler) http.Handler
	Logger *slog.Logger
	// Drain bounds how long requests may go on once the gateway is told to end.
	// The default is 30 seconds.
	Drain time.Duration
}

// Listener is an address that clients connect to.
type Listener struct {
	Address string // host:port
	TLS     bool   // with the certificates of the State
}

// State is what may change: routes, where they lead, and certificates.
type State struct {
	Table        *routing.Table
	Clusters     map[string]ClusterConfig
	Certificates []Certificate
}

// Certificate is a server certificate and the names it is for; a name may begin
// with *. for all names one label longer. The first certificate also serves
// clients that name nobody, or somebody else.
type Certificate struct {
	Names []string
	Cert  tls.Certificate
}

// Time-outs towards clients, those of the generated Envoy files.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 300 * time.Second
	defaultDrain  = 30 * time.Second
	maxHeader     = 60 << 10 // Envoy's max_request_headers_kb
)

// Gateway is a running gateway.
type Gateway struct {
	config   Config
	state    atomic.Pointer[state]
	update   sync.Mutex // orders updates
	handler  http.Handler
	hijacked sync.WaitGroup
	conns    connections
}

// state is a State with its clusters at work.
type state struct {
	table        *routing.Table
	byHeader     bool // some entry matches on headers
	clusters     map[string]*cluster
	certificates []Certificate
}

// New returns a gateway without routes: it answers 404 to everything.
func New(config Config) *Gateway {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Drain == 0 {
		config.Drain = defaultDrain
	}
	g := &Gateway{config: config}
	g.state.Store(&state{table: &routing.Table{}})
	proxy := &httputil.ReverseProxy{
		Rewrite:      g.rewrite,
		Transport:    roundTripper{},
		BufferPool:   &buffers{},
		ErrorHandler: g.upstreamError,
		ErrorLog:     slog.NewLogLogger(config.Logger.Handler(), slog.LevelDebug),
	}
	g.handler = g.upstream(proxy)
	if config.Filter != nil {
		g.handler = config.Filter(g.handler)
	}
	return g
}

// Update replaces routes, clusters and certificates. Connections to upstreams
// that stay as they are stay open.
func (g *Gateway) Update(s State) {
	g.update.Lock()
	defer g.update.Unlock()
	old := g.state.Load()
	next := &state{table: s.Table, clusters: map[string]*cluster{}, certificates: s.Certificates}
	for _, e := range s.Table.Entries {
		next.byHeader = next.byHeader || len(e.Headers) > 0
	}
	for name, c := range s.Clusters {
		if have := old.clusters[name]; have != nil && have.same(c) {
			next.clusters[name] = have
			continue
		}
		next.clusters[name] = newCluster(c)
	}
	g.state.Store(next)
	for name, c := range old.clusters {
		if next.clusters[name] != c {
			c.close()
		}
	}
}

// Run listens and serves until ctx ends, then lets requests end. ready, when not
// nil, is called with the addresses that are listened on.
func (g *Gateway) Run(ctx context.Context, ready func([]net.Addr)) error {
	var listeners []net.Listener
	var addrs []net.Addr
	for _, l := range g.config.Listeners {
		ln, err := net.Listen("tcp", l.Address)
		if err != nil {
			for _, other := range listeners {
				_ = other.Close()
			}
			return err
		}
		addrs = append(addrs, ln.Addr())
		ln = &listener{Listener: ln, conns: &g.conns}
		if l.TLS {
			ln = tls.NewListener(ln, g.tlsConfig())
		}
		listeners = append(listeners, ln)
	}
	if ready != nil {
		ready(addrs)
	}
	return g.serve(ctx, listeners)
}

func (g *Gateway) serve(ctx context.Context, listeners []net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	srv := &http.Server{
		Handler:           g,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(g.config.Logger.Handler(), slog.LevelDebug),
		// OPTIONS * is refused with the other targets that are no path, instead of
		// answered 200 by net/http.
		DisableGeneralOptionsHandler: true,
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	for _, ln := range listeners {
		work.Go(func() {
			if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	drain, done := context.WithTimeout(context.WithoutCancel(ctx), g.config.Drain)
	defer done()
	err := srv.Shutdown(drain)
	g.waitHijacked(drain)
	if err != nil {
		_ = srv.Close()
	}
	g.conns.closeAll()
	work.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// waitHijacked waits for connections that were taken over, such as WebSockets.
func (g *Gateway) waitHijacked(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		g.hijacked.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// tlsConfig returns the configuration of TLS listeners. Certificates are those
// of the State at each handshake.
func (g *Gateway) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := g.state.Load().certificate(strings.ToLower(hello.ServerName))
			if c == nil {
				return nil, errors.New("gateway: no certificate")
			}
			return c, nil
		},
	}
}

// certificate returns the certificate for a name: an exact one, else one with a
// wildcard, else the first.
func (s *state) certificate(name string) *tls.Certificate {
	_, parent, _ := strings.Cut(name, ".")
	var wildcard *tls.Certificate
	for i := range s.certificates {
		c := &s.certificates[i]
		for _, n := range c.Names {
			if n = strings.ToLower(n); n == name && name != "" {
				return &c.Cert
			}
			if strings.HasPrefix(n, "*.") && n[2:] == parent && wildcard == nil {
				wildcard = &c.Cert
			}
		}
	}
	if wildcard == nil && len(s.certificates) > 0 {
		return &s.certificates[0].Cert
	}
	return wildcard
}

// buffers are the buffers for copying bodies.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return new([bufferSize]byte)[:]
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) {
	if len(p) == bufferSize {
		b.pool.Put((*[bufferSize]byte)(p))
	}
}
