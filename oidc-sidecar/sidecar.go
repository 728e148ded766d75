package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/consumers"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/inquiry"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/login"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/password"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/publish"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/revoke"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/server"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/snapshot"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/state"
)

// Config says what a sidecar reads and where it listens.
type Config struct {
	File              string // the declarative file
	IgnoreUnsupported bool   // see declarative.Options
	StateDir          string // "" for the file's state_dir, else state.DefaultDir
	Socket            string // path of the Unix socket; "" for sidecar.sock in the state directory
	SocketGroup       string // group that may use the socket; "" for the process's own
	Public            string // where identity providers reach us through the proxy: a socket's path, or host:port; "" for public.sock in the state directory
	AdminListen       string // host:port; "" for none
	AdminToken        redact.Secret
	// Admin makes the admin API, or says why there can be none where it is to listen.
	Admin    func(Admin) (http.Handler, error)
	Registry redact.Secret // data source name of a registry; empty for the file's
	Logger   *slog.Logger
	// OnReload, when set, is called with every file that is put in force after the
	// first.
	OnReload func(*declarative.File)
	// Now is the clock; nil for time.Now.
	Now func() time.Time
}

// Sidecar is a running sidecar.
type Sidecar struct {
	config    Config
	logger    *slog.Logger
	state     *state.Dir
	publisher *publish.Publisher
	registry  *prometheus.Registry
	reloads   *prometheus.CounterVec
	handler   http.Handler
	public    http.Handler
	revoked   *revoke.List
	session   redact.Secret // what cookies are sealed with unless the file says
	passwords *password.Store
	people    *consumers.Finder

	file    atomic.Pointer[declarative.File]
	changed chan struct{} // has one when the registry's services, routes or plugins may have changed

	unread atomic.Bool // the registry could not be read when it was last tried

	loading sync.Mutex            // reloads do not overtake each other; guards what follows
	named   string                // the registry of the file
	beside  []declarative.Further // what the registry had when it was put in force
	read    bool                  // something was

	mu   sync.Mutex // guards data
	data []byte     // of the file in force

	seen fileState // the file that was opened
}

// Problems is an error that a declarative file was refused for.
type Problems struct{ declarative.Problems }

// Open reads the file and opens the state directory. A file with an error is an
// error here; later ones change nothing.
func Open(config Config) (*Sidecar, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	seen, data, err := readFile(config.File)
	if err != nil {
		return nil, err
	}
	// Settings that decide where the state is come from a first reading, which
	// derives nothing.
	first, problems := declarative.Parse(config.File, data, options(config, nil))
	if first == nil {
		return nil, Problems{problems.Errors()}
	}
	path, err := filepath.Abs(StateDirOf(config.StateDir, first))
	if err != nil {
		return nil, err
	}
	dir, err := state.Open(path, redact.New(first.Settings.InstallationSecret))
	if err != nil {
		return nil, err
	}
	if config.Socket == "" {
		config.Socket = filepath.Join(path, SocketName)
	}
	s := &Sidecar{config: config, logger: config.Logger, state: dir, registry: prometheus.NewRegistry(), seen: seen, passwords: password.New(),
		changed: make(chan struct{}, 1)}
	s.publisher = publish.New(dir, config.Logger, config.Now, func(c provider.Config) *http.Client {
		return provider.NewClient(c)
	})
	s.metrics()
	if s.config.Registry.Empty() {
		s.config.Registry = redact.New(first.Settings.Registry)
	}
	s.named = first.Settings.Registry
	if err = s.openRegistry(); err == nil {
		err = s.openLogins()
	}
	if err == nil {
		s.file.Store(first)
		s.keep(data)
		s.loading.Lock()
		err = s.use(data)
		s.loading.Unlock()
	}
	if errors.Is(err, errNotRead) { // there is no bundle until it is
		s.logger.Error("nothing is in force", "error", err)
		err = nil
	}
	if err != nil {
		s.publisher.Close()
		if s.people != nil {
			err = errors.Join(err, s.people.Close())
		}
		if s.revoked != nil {
			err = errors.Join(err, s.revoked.Close())
		}
		return nil, errors.Join(err, dir.Close())
	}
	return s, nil
}

// credentialVersion is a keyed hash: versions travel to the filters.
func (s *Sidecar) credentialVersion(parts ...string) string {
	return s.state.Derive("credential-version", parts...)
}

// openLogins opens what sessions and logins need of the state directory.
func (s *Sidecar) openLogins() (err error) {
	if s.session, err = s.state.SessionSecret(); err != nil {
		return err
	}
	keys, err := endpoint.OpenClientKeys(s.state.Path())
	if err != nil {
		return err
	}
	if s.revoked, err = revoke.Open(s.state.Path(), s.config.Now); err != nil {
		return err
	}
	if s.config.Public == "" {
		s.config.Public = filepath.Join(s.state.Path(), PublicName)
	}
	inquiries := inquiry.New(keys, s.logger, s.config.Now)
	logins := login.New(s.revoked, keys, s.logger, s.config.Now, func(ended []string) {
		inquiries.Forget(ended) // first, so that no filter that has forgotten is told anew
		s.publisher.Revoked(ended)
	})
	logins.Fault(faults())
	s.handler = server.New(s.publisher, s.people, logins, inquiries, s.passwords, s.registry)
	s.public = server.NewPublic(s.publisher, logins, keys, s.registry)
	return nil
}

// SocketName is the name of the filters' socket in the state directory.
const SocketName = "sidecar.sock"

// PublicName is the name of the socket that identity providers reach through the
// proxy.
const PublicName = "public.sock"

// StateDirOf returns the state directory: what a flag says, else the file, else
// the default.
func StateDirOf(flag string, f *declarative.File) string {
	switch {
	case flag != "":
		return flag
	case f.Settings.StateDir != "":
		return f.Settings.StateDir
	}
	return state.DefaultDir()
}

func options(c Config, dir *state.Dir) declarative.Options {
	o := declarative.Options{IgnoreUnsupported: c.IgnoreUnsupported, Dir: filepath.Dir(c.File)}
	if dir != nil {
		o.Installation = dir.Derive
	}
	return o
}

// keep notes the bytes of the file in force.
func (s *Sidecar) keep(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = data
}

// use puts the content of a file in force, with what the registry has beside it, or says
// why it cannot; loading is held.
func (s *Sidecar) use(data []byte) error {
	beside, err := s.readBeside()
	if err != nil {
		return err
	}
	o := options(s.config, s.state)
	o.Hash, o.Further = s.passwords.Hash, beside
	file, problems := declarative.Parse(s.config.File, data, o)
	if file == nil {
		return Problems{problems.Errors()}
	}
	for _, p := range problems {
		level := slog.LevelInfo
		if p.Severity == declarative.Warning {
			level = slog.LevelWarn
		}
		s.logger.Log(context.Background(), level, p.String())
	}
	secrets := snapshot.Secrets{
		MAC:     s.credentialVersion,
		Session: s.session,
	}
	if err := s.publisher.Use(snapshot.Compile(file, secrets)); err != nil {
		return err
	}
	if file.Settings.Registry != s.named {
		s.logger.Warn("the file names another registry: it is opened at the next start")
		s.named = file.Settings.Registry
	}
	s.beside, s.read = beside, true
	s.file.Store(file)
	s.keep(data)
	return nil
}

// File returns the file in force, with what the registry has beside it. Until the registry
// has been read it is the file alone, which is in force nowhere.
func (s *Sidecar) File() *declarative.File { return s.file.Load() }

// Socket returns the path of the filters' socket.
func (s *Sidecar) Socket() string { return s.config.Socket }

// Public returns where identity providers reach us: a socket's path, or host:port.
func (s *Sidecar) Public() string { return s.config.Public }

// StateDir returns the state directory.
func (s *Sidecar) StateDir() string { return s.state.Path() }

// Registry returns the sidecar's metrics.
func (s *Sidecar) Registry() *prometheus.Registry { return s.registry }

// Handler answers filters, as the socket does.
func (s *Sidecar) Handler() http.Handler { return s.handler }

// Ready returns nil when a filter that asks now gets a bundle.
func (s *Sidecar) Ready() error {
	if _, ok := s.publisher.Offer(); !ok {
		return errors.New("there is no bundle")
	}
	return nil
}

// Note returns what is not as it should be though filters are answered: "" for nothing.
func (s *Sidecar) Note() string {
	if err := s.people.Away(); err != nil {
		return err.Error()
	}
	return ""
}

// Run serves until ctx ends, then answers what is under way and returns.
func (s *Sidecar) Run(ctx context.Context) error {
	defer s.Close()
	socket, err := listenUnix(s.config.Socket, s.config.SocketGroup)
	if err != nil {
		return err
	}
	public, err := s.listenPublic()
	if err != nil {
		_ = socket.Close()
		return err
	}
	servers := []*http.Server{newServer(s.handler, s.logger), newServer(s.public, s.logger)}
	listeners := []net.Listener{socket, public}
	if s.config.AdminListen != "" {
		l, handler, err := s.admin()
		if err != nil {
			_ = socket.Close()
			_ = public.Close()
			return err
		}
		servers, listeners = append(servers, newServer(handler, s.logger)), append(listeners, l)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	for i, srv := range servers {
		work.Go(func() {
			if err := srv.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		})
	}
	work.Go(func() { watch(ctx, s.config.File, s.seen, func() { _ = s.Reload() }, s.gone) }) // it reports itself
	work.Go(func() { s.people.Run(ctx) })
	work.Go(func() { s.follow(ctx) })
	s.logger.Info("the sidecar answers filters", "socket", s.config.Socket)
	<-ctx.Done()
	drain, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	for _, srv := range servers {
		_ = srv.Shutdown(drain)
	}
	work.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Close releases what Open has taken, for a sidecar that is not Run.
func (s *Sidecar) Close() {
	s.publisher.Close()
	_ = s.people.Close()
	_ = s.revoked.Close()
	_ = s.state.Close()
}

// listenPublic listens for what the proxy hands on from identity providers.
func (s *Sidecar) listenPublic() (net.Listener, error) {
	if filepath.IsAbs(s.config.Public) {
		return listenUnix(s.config.Public, s.config.SocketGroup)
	}
	l, err := net.Listen("tcp", s.config.Public)
	if err != nil {
		return nil, fmt.Errorf("--public-listen: %w", err)
	}
	return l, nil
}

// newServer returns a server with every time and size bounded.
func newServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second, // a question about keys waits for the issuer
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
