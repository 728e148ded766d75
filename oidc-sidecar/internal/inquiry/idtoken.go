package inquiry

import (
	"context"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
)

// idToken judges an ID token that a caller has brought beside another credential.
func (s *Service) idToken(ctx context.Context, q *question) result {
	if q.set.Err != nil {
		return result{code: reason.IssuerUnavailable}
	}
	now := s.now().Unix()
	tok, code := q.rules().Judge(ctx, q.p, q.value, endpoint.Expectation{
		Clients: q.inquiry().ClientIDs, Access: q.beside, MaxAge: -1, Now: now,
	})
	if code != reason.Unspecified {
		return s.refused(q, code)
	}
	c := claims.Read(tok.Claims.Root())
	e := ends{}
	if exp, ok := c.ExpiresAt(); ok {
		e.sooner(exp)
	}
	return result{
		session: &wire.Session{Claims: tok.Claims.Source(), Keys: q.names(tok.Claims.Root())},
		until:   until(q.inquiry(), q.method, e, now),
	}
}
