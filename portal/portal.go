package portal

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/host"
	"github.com/sallyport-auth/sallyport/host/gateway"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
	"github.com/sallyport-auth/sallyport/portal/internal/adminapi"
	"github.com/sallyport-auth/sallyport/portal/internal/pages"
)

// Config is what a portal is made of.
type Config struct {
	// Read reads the declarative file as it is now, with what the registry has beside it.
	// Its block portal says how the portal is set up, its services what is offered. The
	// file is nil where one of the problems is an error. Dir is what paths in it are
	// relative to.
	Read func([]declarative.Further) (*declarative.File, declarative.Problems)
	Dir  string
	// StateDir is where the portal keeps its own sidecar's state, in the folder portal.
	StateDir string
	Registry *registry.Registry
	// Secret is the installation secret, which the tokens of forms are derived from.
	Secret redact.Secret
	// Module is filter.wasm. Env and Deadline are as for a gateway's.
	Module   []byte
	Env      []string
	Deadline time.Duration
	CacheDir string // where compiled code is kept
	Workers  int    // of the filter; 0: two
	// Token opens the administrators' pages, beside the registry's tokens.
	Token redact.Secret
	// TokenGiven is whether somebody has chosen Token, instead of having it generated:
	// only then others than this machine may reach the administrators' listener.
	TokenGiven bool
	Logger     *slog.Logger     // nil: none
	Now        func() time.Time // nil: time.Now
}

// Portal is a portal at work.
type Portal struct {
	config   Config
	portal   *declarative.Portal // of the start: listeners and addresses stay as they were
	where    where
	headers  headers
	sidecar  *sidecar.Sidecar
	filter   *host.Filter
	gateway  *gateway.Gateway
	admin    http.Handler
	file     atomic.Pointer[declarative.File]
	offered  shelf
	settings atomic.Pointer[pages.Settings]
	path     string // of the file for the sidecar
	since    uint64 // the change of the registry up to which the file is known
	reload   sync.Mutex

	mu    sync.Mutex // guards what follows
	taken map[int]bool
}

// Problems is an error that portal_auth_conf was refused for.
type Problems struct{ declarative.Problems }

// Listeners are where a portal listens: what the file says, else Kong's ports on
// loopback.
func Listeners(p *declarative.Portal) {
	missing := func(list *[]declarative.Listener, address string) {
		if len(*list) == 0 {
			*list = []declarative.Listener{{Address: address}}
		}
	}
	missing(&p.GUI, defaultGUI)
	missing(&p.API, defaultAPI)
	missing(&p.Admin, defaultAdmin)
}

// whereOf says how a portal is reached.
func whereOf(p *declarative.Portal) (where, error) {
	w := where{workspace: p.Workspace, url: strings.TrimSuffix(strings.ToLower(p.URL), "/"), auth: strings.TrimSuffix(strings.ToLower(p.APIURL), "/")}
	var err error
	if w.url == "" {
		if w.url, err = originOf(p.GUI[0]); err != nil {
			return w, err
		}
	}
	if w.auth == "" {
		if w.auth, err = authOrigin(w.url, p.API[0]); err != nil {
			return w, err
		}
	}
	return w, nil
}

// errUnread is why a file is not read: what the registry has beside it is not known.
var errUnread = errors.New("the registry cannot be read")

// read reads the file with what the registry has beside it.
func (c *Config) read(ctx context.Context) (*declarative.File, error) {
	further, err := sidecar.Beside(ctx, c.Registry)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnread, err)
	}
	file, problems := c.Read(further)
	if file == nil {
		return nil, Problems{problems.Errors()}
	}
	return file, nil
}

// Open opens a portal. A file without the block portal has none.
func Open(ctx context.Context, c Config) (*Portal, error) {
	if c.Workers == 0 {
		c.Workers = 2
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	_, since, _, err := c.Registry.Changes(ctx, 0, 0) // before reading, so that none is missed
	if err != nil {
		return nil, err
	}
	file, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	if file.Settings.Portal == nil {
		return nil, errors.New("the file has no portal: expected the block portal in _sallyport, with portal_auth and portal_auth_conf")
	}
	settings := *file.Settings.Portal
	p := &Portal{config: c, portal: &settings, since: since, taken: map[int]bool{}}
	Listeners(p.portal)
	if p.where, err = whereOf(p.portal); err != nil {
		return nil, err
	}
	for _, l := range slices.Concat(p.portal.GUI, p.portal.API, p.portal.Admin) {
		if l.TLS && len(file.Certificates) == 0 {
			return nil, fmt.Errorf("%s is to speak TLS, and the file has no certificate: expected one in certificates", l.Address)
		}
	}
	name := func(what string) string { return "x-portal-" + what + "-" + strings.ToLower(rand.Text()) }
	p.headers = headers{name("id"), name("user"), name("session")}
	f, err := p.generate(file, p.portal)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(c.StateDir, "portal")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p.path = filepath.Join(dir, "portal.json")
	if err := writeFile(p.path, f.file); err != nil {
		return nil, err
	}
	p.sidecar, err = sidecar.Open(sidecar.Config{File: p.path, StateDir: dir, Now: c.Now,
		Logger: slog.New(unsaid{c.Logger.Handler(), p.path}).With("component", "portal-sidecar")})
	if err != nil {
		return nil, err
	}
	if err := p.pages(ctx, file, f); err != nil {
		p.sidecar.Close()
		return nil, err
	}
	p.take(file, p.portal, f)
	return p, nil
}

// generate makes the sidecar's file, and says what is to be said of the settings.
func (p *Portal) generate(file *declarative.File, settings *declarative.Portal) (*front, error) {
	f, problems, err := generate(settings, p.where, p.headers, &file.Settings, p.config.Dir)
	if f == nil && len(problems.Errors()) > 0 {
		return nil, Problems{problems.Errors()}
	}
	for _, one := range problems {
		level := slog.LevelInfo
		if one.Severity == declarative.Warning {
			level = slog.LevelWarn
		}
		p.config.Logger.Log(context.Background(), level, one.String())
	}
	if err == nil && f == nil {
		err = errors.New("portal_auth_conf cannot be read")
	}
	return f, err
}

// cluster is the name under which the filter finds the sidecar.
const cluster = "sidecar"

// readySignal is the foreign function by which a filter says that it has a bundle
// (plugin.ReadyFunction).
const readySignal = "sallyport_bundle"

// pages puts filter, pages and gateway together.
func (p *Portal) pages(ctx context.Context, file *declarative.File, f *front) error {
	c := p.config
	key, err := hkdf.Key(sha256.New, []byte(c.Secret.Reveal()), nil, "sallyport portal forms", 32)
	if err != nil {
		return err
	}
	formKey := redact.New(string(key))
	site := pages.New(pages.Config{Workspace: p.where.workspace, Origin: p.where.url, Registry: c.Registry, Catalogue: p.offered.get,
		Settings: func() pages.Settings { return *p.settings.Load() }, Key: formKey, Ports: ports(p.portal, p.where, p.autoApprove), Logger: c.Logger, Now: c.Now})
	p.filter, err = host.New(ctx, c.Module, host.Config{
		Name: "sallyport", RootID: "sallyport", VMID: "sallyport", Workers: c.Workers, Env: c.Env,
		PluginConfig: []byte(p.sidecar.File().Settings.FilterConfig(cluster)),
		Clusters:     map[string]string{cluster: "unix:" + p.sidecar.Socket()},
		Deadline:     c.Deadline, CacheDir: c.CacheDir, Logger: c.Logger.With("component", "portal-filter"),
		Properties: gateway.Property, ReadySignal: readySignal,
		Foreign: map[string]host.ForeignFunc{readySignal: p.bundleTaken},
	})
	if err != nil {
		return err
	}
	authPort := ""
	if p.where.auth != p.where.url {
		_, authPort, _ = net.SplitHostPort(p.portal.API[0].Address)
	}
	p.gateway = gateway.New(gateway.Config{
		Listeners: p.listeners(), TrustedIPs: file.Settings.TrustedIPs, Logger: c.Logger.With("component", "portal-gateway"),
		Filter: func(next http.Handler) http.Handler {
			// What identity providers call goes on to the sidecar; pages are answered here,
			// so that there is no way to them but through the filter.
			inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/.sallyport/") {
					next.ServeHTTP(w, r)
					return
				}
				site.ServeHTTP(w, r)
			})
			return canonical(p.where, f.hosts, authPort, p.filter.Handler(inner))
		},
	})
	mux := http.NewServeMux()
	admin := pages.NewAdmin(pages.AdminConfig{Registry: c.Registry, Catalogue: p.offered.get, Token: c.Token, Key: formKey, Logger: c.Logger, Now: c.Now})
	mux.Handle(pages.AdminPath, admin)
	mux.Handle(pages.AdminPath+"/", admin)
	mux.Handle("GET /"+p.where.workspace+"/kong", ports(p.portal, p.where, p.autoApprove))
	mux.Handle("/", adminapi.New(adminapi.Config{
		Registry: func() *registry.Registry { return c.Registry }, File: p.file.Load, Token: c.Token, Hosts: p.portal.AdminHosts,
		Logger: c.Logger, Now: c.Now,
		Check: func(more []declarative.Further) declarative.Problems {
			file, problems := c.Read(more)
			if file == nil {
				return problems
			}
			return append(problems, sidecar.CheckSize(file)...)
		},
	}))
	p.admin = named(p.portal.AdminHosts, mux)
	return nil
}

// autoApprove is the setting of the moment.
func (p *Portal) autoApprove() bool { return p.settings.Load().AutoApprove }

// listeners are those for developers. Where both are one, it is one.
func (p *Portal) listeners() (out []gateway.Listener) {
	for _, l := range slices.Concat(p.portal.GUI, p.portal.API) {
		one := gateway.Listener{Address: l.Address, TLS: l.TLS}
		if !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	return out
}

// bundleTaken notes that a worker has a bundle.
func (p *Portal) bundleTaken(call host.ForeignCall) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken[call.Worker] = true
	return nil, nil
}

// take puts what a file says in force.
func (p *Portal) take(file *declarative.File, settings *declarative.Portal, f *front) {
	p.settings.Store(&pages.Settings{
		Claims: pages.Claims{IDToken: p.headers.idToken, UserInfo: p.headers.userInfo, Session: p.headers.session,
			Account: f.claim, TrustEmail: f.trustEmail},
		AutoApprove: settings.AutoApprove, ForbiddenTo: f.forbiddenTo, SignOut: f.logoutPath, FormTo: f.formTo,
	})
	p.file.Store(file)
	p.offered.put(offer(file, gatewayURL(settings, file)))
	state := gateway.State{Table: p.sidecar.File().Table(), Clusters: map[string]gateway.ClusterConfig{}}
	if p.sidecar.File().Called() {
		state.Clusters[declarative.PublicCluster] = gateway.ClusterConfig{Socket: p.sidecar.Public(), ConnectTimeout: time.Second,
			ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, Targets: []gateway.Target{{Address: "sidecar", Host: "sidecar", Weight: 1}}}
	}
	for _, c := range file.Certificates {
		pair, err := tls.X509KeyPair([]byte(c.Cert), []byte(c.Key))
		if err != nil {
			p.config.Logger.Error("a certificate cannot be used", "error", err)
			continue
		}
		state.Certificates = append(state.Certificates, gateway.Certificate{Names: c.SNIs, Cert: pair})
	}
	p.gateway.Update(state)
}

// Reload takes over the file as it is now. Where the portal listens, and by which
// addresses it is reached, stays as it is until the next start. With an error all stays.
func (p *Portal) Reload(ctx context.Context) error {
	p.reload.Lock()
	defer p.reload.Unlock()
	file, err := p.config.read(ctx)
	if err != nil {
		return err
	}
	next := file.Settings.Portal
	if next == nil {
		return errors.New("the file has no portal any more: what it said stays in force")
	}
	settings := *next
	Listeners(&settings)
	if w, err := whereOf(&settings); err != nil || w != p.where || !sameListeners(settings.GUI, p.portal.GUI) || !sameListeners(settings.API, p.portal.API) ||
		!sameListeners(settings.Admin, p.portal.Admin) {
		p.config.Logger.Warn("the portal's listeners and addresses change with its next start")
	}
	f, err := p.generate(file, &settings)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(p.path); err != nil || !bytes.Equal(have, f.file) {
		if err := writeFile(p.path, f.file); err != nil {
			return err
		}
		if err := p.sidecar.Reload(); err != nil {
			return errors.Join(err, writeFile(p.path, have)) // so that the next try is one
		}
	}
	p.take(file, &settings, f)
	return nil
}

func sameListeners(a, b []declarative.Listener) bool {
	return slices.EqualFunc(a, b, func(x, y declarative.Listener) bool { return x.Address == y.Address && x.TLS == y.TLS })
}

// Ready returns nil when pages are shown.
func (p *Portal) Ready() error {
	p.mu.Lock()
	have := len(p.taken)
	p.mu.Unlock()
	if have < p.filter.Workers() {
		return errors.New("the workers do not have the configuration yet")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := p.config.Registry.Ping(ctx); err != nil {
		return fmt.Errorf("the registry does not answer: %w", err)
	}
	return nil
}

// Metrics are the sidecar's.
func (p *Portal) Metrics() prometheus.Gatherer { return p.sidecar.Registry() }

// URL is where developers find the portal, and AdminURL where administrators do.
func (p *Portal) URL() string { return p.where.home() }

// AdminURL is where administrators find the portal.
func (p *Portal) AdminURL() string {
	origin, err := originOf(p.portal.Admin[0])
	if err != nil {
		return ""
	}
	return origin + pages.AdminPath
}

// Close releases what Open has taken, for a portal that is not Run.
func (p *Portal) Close() {
	p.sidecar.Close()
	_ = p.filter.Close(context.Background())
}

// writeFile replaces a file that only we may read. It has client secrets.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".portal-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // no-op once renamed
	_, werr := tmp.Write(data)
	if err := errors.Join(werr, tmp.Chmod(0o600), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
