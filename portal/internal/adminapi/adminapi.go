package adminapi

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
)

// Config is what an admin API works with.
type Config struct {
	// Registry returns what is written to, nil while it is away; then everything is 503. It
	// is nil itself for no registry at all: everything is read-only.
	Registry func() *registry.Registry
	// File returns the configuration in force, the registry's services, routes and plugins
	// included (declarative.Options.Further).
	File func() *declarative.File
	// Check returns what is wrong with the file and these entities beside it. It is called
	// within the transaction of a write, and must not write to the registry. Not needed
	// without one.
	Check func([]declarative.Further) declarative.Problems
	// Token opens everything; the registry has others, with roles. The zero Secret opens
	// nothing.
	Token redact.Secret
	// Hosts are names, beside those of loopback, that requests may come for: with a port
	// only that one. Others are refused, so that no page in a browser can come here by DNS
	// rebinding.
	Hosts []string
	// Limits bound callers; zero ones have the defaults.
	Limits Limits
	Logger *slog.Logger
	// Now is the clock; nil for time.Now.
	Now func() time.Time
}

// Limits bound what one remote address may do. A burst is refilled at a rate.
type Limits struct {
	Rate         rate.Limit // requests in a second; 50
	Burst        int        // 200
	FailureRate  rate.Limit // wrong tokens in a second; 0.5
	FailureBurst int        // 20
}

func (l Limits) withDefaults() Limits {
	if l.Rate == 0 {
		l.Rate = 50
	}
	if l.Burst == 0 {
		l.Burst = 200
	}
	if l.FailureRate == 0 {
		l.FailureRate = 0.5
	}
	if l.FailureBurst == 0 {
		l.FailureBurst = 20
	}
	return l
}

// New returns the admin API. It is to be served by whoever bounds headers and times.
func New(c Config) http.Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	limits := c.Limits.withDefaults()
	a := &api{
		Config:   c,
		requests: newLimiter(limits.Rate, limits.Burst, c.Now),
		failures: newLimiter(limits.FailureRate, limits.FailureBurst, c.Now),
		started:  c.Now(),
	}
	a.endpoints = newRouter(endpoints())
	a.description = describe(endpoints())
	return a
}

// CheckListen returns why an admin API may not listen at an address: one that others can
// reach needs a token that somebody has given, which it does not have in given.
func CheckListen(addr net.Addr, given redact.Secret) error {
	if loopback(addr) || len(given.Reveal()) >= minToken {
		return nil
	}
	if !given.Empty() {
		return errors.New("the admin API would listen beyond loopback with a token that can be guessed: expected one of at least 32 characters")
	}
	return errors.New("the admin API would listen beyond loopback without a token that was given: give one, or a loopback address")
}

// minToken is the least length of a token where others than this machine can try.
const minToken = 32

func loopback(addr net.Addr) bool {
	if _, ok := addr.(*net.UnixAddr); ok {
		return true
	}
	a, ok := addr.(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

// api is safe for concurrent use.
type api struct {
	Config
	endpoints   *router
	description []byte // the OpenAPI document
	requests    *limiter
	failures    *limiter
	started     time.Time
}

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	c := &call{api: a, w: w, r: r}
	if a.Registry != nil {
		c.Registry = a.Registry()
	}
	status, body, err := c.answer()
	if err != nil {
		status, body = c.problem(err)
	}
	reply(w, status, body)
}

// call is one request.
type call struct {
	*api
	// Registry is the one of this request, nil for none.
	Registry *registry.Registry

	w    http.ResponseWriter
	r    *http.Request
	path map[string]string // the parts of the path that are in braces
	who  caller
	file *declarative.File // see File
}

// File returns the configuration in force, the same for the whole request.
func (c *call) File() *declarative.File {
	if c.file == nil {
		c.file = c.api.Config.File()
	}
	return c.file
}

// answer finds out who asks for what, and does it.
func (c *call) answer() (status int, body any, err error) {
	if err := c.guard(); err != nil {
		return 0, nil, err
	}
	e, path, allowed := c.endpoints.match(c.r.Method, c.r.URL.EscapedPath())
	switch {
	case e == nil && len(allowed) > 0:
		c.w.Header().Set("Allow", strings.Join(allowed, ", "))
		return 0, nil, errMethod
	case e == nil:
		return 0, nil, errNotFound
	}
	c.path = path
	if c.who.roles&e.roles == 0 {
		return 0, nil, forbidden(e.roles)
	}
	switch {
	case c.Registry != nil || e.local:
	case c.api.Registry != nil: // it is away: what it has must not look as if it were not there
		return 0, nil, errOurs
	case e.writes:
		c.w.Header().Set("Allow", "GET, HEAD")
		return 0, nil, errReadOnly
	}
	return e.handle(c)
}

// remote returns the address that a limit is for: of IPv6 the network of a site.
func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() && !addr.IsLoopback() {
		if site, err := addr.Prefix(64); err == nil {
			return site.String()
		}
	}
	return addr.String()
}
