package idp

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a running identity provider.
type Server struct {
	*httptest.Server

	done    chan struct{} // closed by Close: what stalls comes to an end
	closing sync.Once

	mu       sync.Mutex // guards what follows
	keys     []map[string]any
	signers  map[string]signer
	order    []string // kids of signers, oldest first
	fault    Fault
	keysOnly bool // discovery behaves
	flow     []Fault
	cache    string
	members  map[string]any // of discovery, as Advertise has them
	shape    Shape
	options  Options
	late     int // keys that came into being by IDKidLate
	trap     *httptest.Server

	calls map[string][]*Call
	more  chan struct{} // closed with every call, and replaced
	holds map[string]chan struct{}

	clients    map[string]Client
	assertions map[string]bool // jti of those that were used
	users      map[string]User
	sessions   map[string]*session // by cookie
	codes      map[string]*code
	refreshes  map[string]*refresh
	accesses   map[string]*access
	last       *grant // of the last tokens of a user
}

// Start starts a provider with one RS256 key, k1.
func Start(t testing.TB) *Server {
	t.Helper()
	s := New()
	t.Cleanup(s.Close)
	s.Add("k1", "RS256", "rsa2048")
	return s
}

// StartTLS is Start by https, with a certificate that nobody knows: Certificate.
func StartTLS(t testing.TB) *Server {
	t.Helper()
	s := newServer()
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.route))
	t.Cleanup(s.Close)
	s.Add("k1", "RS256", "rsa2048")
	return s
}

// New returns a provider without keys. It can sign nobody in before Add.
func New() *Server {
	s := newServer()
	s.Server = httptest.NewServer(http.HandlerFunc(s.route))
	return s
}

func newServer() *Server {
	return &Server{
		done:       make(chan struct{}),
		signers:    map[string]signer{},
		shape:      Plain,
		options:    defaults(),
		calls:      map[string][]*Call{},
		more:       make(chan struct{}),
		holds:      map[string]chan struct{}{},
		clients:    map[string]Client{},
		assertions: map[string]bool{},
		users:      map[string]User{},
		sessions:   map[string]*session{},
		codes:      map[string]*code{},
		refreshes:  map[string]*refresh{},
		accesses:   map[string]*access{},
	}
}

// Close stops the provider. Answers that stall are cut off.
func (s *Server) Close() {
	s.closing.Do(func() { close(s.done) })
	s.mu.Lock()
	trap := s.trap
	s.mu.Unlock()
	if trap != nil {
		trap.Close()
	}
	s.Server.Close()
}

// CacheFor sets max-age of what discovery and keys are answered with.
func (s *Server) CacheFor(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache = "max-age=" + seconds(d)
}

// Asked returns how often keys were asked for.
func (s *Server) Asked() int { return s.Count("jwks") }

// Requests returns how many requests came, for discovery and for keys.
func (s *Server) Requests() int { return s.Count("discovery") + s.Count("jwks") }

// methods are those that an endpoint takes.
var methods = map[string]string{
	"discovery": "GET HEAD", "jwks": "GET HEAD", "authorize": "GET POST", "userinfo": "GET POST", "end_session": "GET POST",
	"token": "POST", "revoke": "POST", "introspect": "POST",
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, s.endpointAt(r.URL.Path))
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, endpoint string) {
	if endpoint == "" {
		http.NotFound(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	a := s.record(w, r, endpoint)
	allowed := methods[endpoint]
	if allowed != "" && !slices.Contains(strings.Fields(allowed), r.Method) {
		a.Header().Set("Allow", strings.ReplaceAll(allowed, " ", ", "))
		http.Error(a, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	s.held(r, endpoint)
	switch endpoint {
	case "discovery":
		s.serveDiscovery(a, r)
	case "jwks":
		s.serveKeys(a, r)
	case "authorize":
		s.serveAuthorize(a, r)
	case "token":
		s.serveToken(a, r)
	case "userinfo":
		s.serveUserinfo(a, r)
	case "revoke":
		s.serveRevoke(a, r)
	case "introspect":
		s.serveIntrospect(a, r)
	case "end_session":
		s.serveEndSession(a, r)
	case "elsewhere":
		s.serveElsewhere(a, r)
	}
}
