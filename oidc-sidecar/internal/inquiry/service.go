package inquiry

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// Bounds on what is remembered.
const (
	maxGood      = 1 << 14
	maxGoodBytes = 64 << 20
	maxBad       = 1 << 14
	maxBadBytes  = 8 << 20
	maxPerCaller = 16
	// maxValue bounds a credential. The filter has bounds of its own, below it.
	maxValue = 64 << 10
)

// Instance is an openid-connect plugin that asks its issuer about callers.
type Instance struct {
	ID     string // of the plugin instance, as filters name it
	Public string // as paths for identity providers name it
	Trust  string // id of the issuer's trust record
	// Realm names everything that an answer depends on: instances with one realm
	// share what is remembered. A refresh token that is good once is good for both.
	Realm  string
	Config *declarative.OIDCConfig
}

// Inquiry returns the plugin's settings of inquiries.
func (in *Instance) Inquiry() *declarative.Inquiry { return in.Config.Inquiry }

// Service answers what filters ask about credentials. It is safe for concurrent use.
type Service struct {
	keys   *endpoint.ClientKeys
	logger *slog.Logger
	now    func() time.Time
	salt   []byte
	gate   *gate
	quiet  *quiet

	mu        sync.Mutex // guards what follows
	good, bad *store
	flights   map[key]*flight
}

// New returns a service that remembers nothing yet.
func New(keys *endpoint.ClientKeys, logger *slog.Logger, now func() time.Time) *Service {
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // never fails
	return &Service{
		keys: keys, logger: logger, now: now, salt: salt, gate: newGate(), quiet: newQuiet(),
		good: newStore(maxGood, maxGoodBytes), bad: newStore(maxBad, maxBadBytes), flights: map[key]*flight{},
	}
}

// question is what a method works on.
type question struct {
	in     *Instance
	p      *provider.Provider
	set    *provider.Set
	method bundle.Method
	value  string
	beside string
	sent   sent
	key    key
}

// inquiry returns the settings.
func (q *question) inquiry() *declarative.Inquiry { return q.in.Inquiry() }

// rules are what tokens of the issuer are judged by.
func (q *question) rules() endpoint.Rules {
	return endpoint.Rules{Config: q.in.Config, Client: &q.inquiry().Client, Presented: q.method == bundle.IDToken}
}

// Ask answers a question about a credential.
func (s *Service) Ask(ctx context.Context, in *Instance, p *provider.Provider, w *wire.Question) wire.Answer {
	q := &question{in: in, p: p, set: p.Current(), method: bundle.ParseMethod(w.Method), value: w.Value, beside: w.Beside}
	ask := s.methodOf(q.method)
	if in.Inquiry() == nil || ask == nil {
		return wire.Answer{Code: reason.SidecarRefused}
	}
	switch {
	case q.value == "":
		return wire.Answer{Code: reason.CredentialMissing}
	case len(q.value) > maxValue, len(q.beside) > maxValue:
		return wire.Answer{Code: reason.TokenTooLarge}
	}
	if q.method == bundle.IDToken {
		return s.answer(q, ask(ctx, q)) // nobody is asked, and nothing need be remembered
	}
	ok := false
	if q.sent, ok = filter(Extra(in.Inquiry(), q.method), in.Inquiry(), w.Sent); !ok {
		return wire.Answer{Code: reason.RequestMalformed}
	}
	q.key = s.keyOf(q)
	return s.answer(q, s.once(ctx, q, ask))
}

// methodOf returns what asks by a method, nil for one that asks nobody.
func (s *Service) methodOf(m bundle.Method) func(context.Context, *question) result {
	switch m {
	case bundle.Introspection:
		return s.introspect
	case bundle.UserInfo:
		return s.userInfo
	case bundle.RefreshToken:
		return s.refresh
	case bundle.Password:
		return s.password
	case bundle.ClientCredentials:
		return s.clientCredentials
	case bundle.IDToken:
		return s.idToken
	}
	return nil
}

// answer puts a result in the filters' words. A token that the caller brought is not
// remembered; it comes back from the question.
func (s *Service) answer(q *question, r result) wire.Answer {
	until := r.until
	if until <= s.now().Unix() {
		until = 0
	}
	if r.session == nil {
		return wire.Answer{Code: r.code, Until: until}
	}
	out := *r.session
	out.Until = until
	switch q.method {
	case bundle.Introspection, bundle.UserInfo:
		out.Token = q.value
	case bundle.IDToken:
		out.IDToken = q.value
	}
	return wire.Answer{Session: &out}
}

// caller is how an issuer is asked.
func (s *Service) caller(q *question) endpoint.Caller {
	return endpoint.Caller{HTTP: q.p.Client(), Keys: s.keys, Now: s.now}
}

// Forget ends what is remembered under the names of a revocation, and keeps what is
// being asked now from being remembered if it has one of them.
func (s *Service) Forget(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.good.forget(name)
		for _, f := range s.flights {
			f.ended(name)
		}
	}
}
