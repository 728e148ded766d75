package inquiry

import (
	"context"
	"slices"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
)

// result is what a method has found out: a session, or why there is none.
type result struct {
	code    reason.Code
	session *wire.Session // without the caller's own token; not to be changed
	until   int64         // Unix seconds; until then it may be remembered
	caller  key           // whose it is, where that is known
	// tokens have come for a token that is good once, and could not be judged yet.
	tokens *endpoint.Tokens
	came   int64
}

// names are those by which a revocation ends it.
func (r *result) names() []string {
	if r.session == nil {
		return nil
	}
	return r.session.Keys
}

// size is about what it takes in memory.
func (r *result) size() int {
	size := 512
	if w := r.session; w != nil {
		size += len(w.Access) + len(w.Claims) + len(w.Info) + len(w.Token) + len(w.IDToken) + len(w.Refresh) + 64*len(w.Keys)
	}
	if t := r.tokens; t != nil {
		size += len(t.Access) + len(t.ID) + len(t.Refresh)
	}
	return size
}

// flight is a question that is being asked.
type flight struct {
	done   chan struct{}
	result result
	over   []string // names that were revoked meanwhile
}

// maxOver bounds what a flight notes; more, and nothing of it is remembered.
const maxOver = 1024

// ended notes a revocation.
func (f *flight) ended(name string) {
	if len(f.over) <= maxOver {
		f.over = append(f.over, name)
	}
}

// spoiled reports whether what has come was ended while it was on its way.
func (f *flight) spoiled(r *result) bool {
	return len(f.over) > maxOver || slices.ContainsFunc(r.names(), func(name string) bool { return slices.Contains(f.over, name) })
}

// once returns what is remembered, or what somebody else is being told, and asks only
// then. What is asked comes to its end even if whoever asked goes: others wait for it,
// and a token that is good once may have been used.
func (s *Service) once(ctx context.Context, q *question, ask func(context.Context, *question) result) result {
	f, r := s.board(ctx, q, ask)
	if f == nil {
		return r
	}
	select {
	case <-f.done:
		return f.result
	case <-ctx.Done():
		return result{code: reason.IssuerUnavailable}
	}
}

// board returns a flight to wait for, or a result.
func (s *Service) board(ctx context.Context, q *question, ask func(context.Context, *question) result) (*flight, result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().Unix()
	var before result
	for _, st := range []*store{s.good, s.bad} {
		r, ok := st.get(q.key, now)
		if ok && r.tokens == nil {
			return nil, r
		}
		if ok {
			before = r
		}
	}
	if f := s.flights[q.key]; f != nil {
		return f, result{}
	}
	if !s.gate.enter(q.in.Trust, q.method) {
		return nil, result{code: reason.Overloaded}
	}
	f := &flight{done: make(chan struct{})}
	s.flights[q.key] = f
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), q.p.Config().Timeout)
		defer cancel()
		r := result{}
		if before.tokens != nil {
			r = s.judged(ctx, q, before.tokens, before.came)
		} else {
			r = ask(ctx, q)
		}
		s.land(q, f, r)
	}()
	return f, result{}
}

// land ends a flight.
func (s *Service) land(q *question, f *flight, r result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights, q.key)
	s.gate.leave(q.in.Trust, q.method)
	now := s.now().Unix()
	s.good.drop(q.key) // tokens that were judged only now
	switch {
	case f.spoiled(&r):
		r.until = 0
	case r.until <= now:
	case r.session != nil || r.tokens != nil:
		s.good.put(q.key, r, now)
	default:
		s.bad.put(q.key, r, now)
	}
	f.result = r
	if r.tokens != nil {
		f.result.until = 0 // the filter is not to remember that we could not judge them
	}
	close(f.done)
}
