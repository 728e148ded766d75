package server

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/consumers"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/inquiry"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/login"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/password"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/publish"
)

// Bounds on the questions that are answered at a time. More are told that we are
// overloaded, which denies their requests for now. Those of browsers may wait for an
// identity provider, and so may inquiries; each have a bound of their own, so that a slow
// one keeps nobody else from being answered.
const (
	maxAsking    = 512
	maxBrowsers  = 256
	maxInquiries = 512
)

// Server is an http.Handler for filters.
type Server struct {
	publisher *publish.Publisher
	people    *consumers.Finder
	logins    *login.Service
	inquiries *inquiry.Service
	passwords *password.Store
	slots     chan struct{}
	browsers  chan struct{}
	inquirers chan struct{}
	mux       *http.ServeMux
	asked     *prometheus.CounterVec
	inquired  *prometheus.CounterVec
	seconds   prometheus.Histogram
}

// New returns a server and enters its metrics into registry.
func New(publisher *publish.Publisher, people *consumers.Finder, logins *login.Service, inquiries *inquiry.Service, passwords *password.Store, registry prometheus.Registerer) *Server {
	s := &Server{
		publisher: publisher,
		people:    people,
		logins:    logins,
		inquiries: inquiries,
		passwords: passwords,
		slots:     make(chan struct{}, maxAsking),
		browsers:  make(chan struct{}, maxBrowsers),
		inquirers: make(chan struct{}, maxInquiries),
		mux:       http.NewServeMux(),
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_sidecar_answers_total", Help: "Answers to filters, by kind of question and outcome.",
		}, []string{"kind", "outcome"}),
		inquired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_sidecar_inquiries_total", Help: "Questions about callers' credentials, by method and outcome.",
		}, []string{"method", "outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "sallyport_sidecar_answer_seconds", Help: "Time from question to answer.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
	}
	registry.MustRegister(s.asked, s.inquired, s.seconds)
	s.mux.HandleFunc("GET "+wire.PathBundle, s.bundle)
	s.mux.HandleFunc("GET "+wire.PathChanges, s.changes)
	s.mux.HandleFunc("POST "+wire.PathAsk, s.ask)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(wire.VersionHeader, wire.Version)
	if r.Header.Get(wire.VersionHeader) != wire.Version {
		http.Error(w, "this sidecar speaks version "+wire.Version+" of the contract", http.StatusBadRequest)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) bundle(w http.ResponseWriter, r *http.Request) {
	offer, ok := s.publisher.Offer()
	if !ok {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "there is no bundle yet", http.StatusServiceUnavailable)
		return
	}
	etag := `"` + offer.ETag + `"`
	w.Header().Set("ETag", etag)
	for _, have := range strings.Split(r.Header.Get("If-None-Match"), ",") {
		if strings.TrimPrefix(strings.TrimSpace(have), "W/") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	write(w, offer.Body)
}

func (s *Server) changes(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	since, err := strconv.ParseUint(query.Get("since"), 10, 64)
	if err != nil {
		http.Error(w, "since is no number", http.StatusBadRequest)
		return
	}
	if _, ok := s.publisher.Offer(); !ok {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "there is no bundle yet", http.StatusServiceUnavailable)
		return
	}
	changes, ok := s.publisher.Changes(query.Get("feed"), since, query.Get("bundle"))
	if !ok {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body := changes.Encode()
	if len(body) > wire.MaxChanges {
		changes.Credentials, changes.Consumers, changes.Revoked, changes.Reset = nil, nil, nil, true
		body = changes.Encode()
	}
	write(w, body)
}

func (s *Server) ask(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	var answer wire.Answer
	kind := "malformed"
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxQuestion))
	q, ok := wire.DecodeQuestion(string(body))
	switch {
	case err != nil || !ok:
		answer = s.place(wire.Answer{Code: reason.SidecarRefused})
	default:
		kind = q.Kind.String()
		slots := s.slots
		switch {
		case q.Kind.OfBrowser():
			slots = s.browsers
		case q.Kind == wire.Inquire:
			slots = s.inquirers
		}
		select {
		case slots <- struct{}{}:
			answer = s.answer(r.Context(), &q)
			<-slots
		default:
			answer = s.place(wire.Answer{Code: reason.Overloaded})
		}
	}
	write(w, answer.Encode())
	s.asked.WithLabelValues(kind, outcome(&answer)).Inc()
	s.seconds.Observe(time.Since(started).Seconds())
}

// outcome is the metric label of an answer: a reason code, or what was found.
func outcome(a *wire.Answer) string {
	switch {
	case a.Code != reason.Unspecified:
		return a.Code.Error()
	case a.Verdict == wire.Invalid:
		return reason.SignatureInvalid.Error()
	}
	return "ok"
}

func write(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a filter that is gone has given up on the answer
}
