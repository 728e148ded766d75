package server

import (
	"context"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// inquire asks an issuer about a caller's credential, by a method that the instance has.
func (s *Server) inquire(ctx context.Context, q *wire.Question, inst *bundle.Plugin) wire.Answer {
	m := bundle.ParseMethod(q.Method)
	if inst.OIDC == nil || inst.OIDC.Inquiry == nil || !asks(inst.OIDC, m) {
		return wire.Answer{Code: reason.SidecarRefused}
	}
	in := s.publisher.Inquiry(inst.ID)
	if in == nil {
		return wire.Answer{Code: reason.SidecarRefused}
	}
	p := s.publisher.Provider(in.Trust)
	if p == nil { // a reload has come in between
		return wire.Answer{Code: reason.IssuerUnavailable}
	}
	a := s.inquiries.Ask(ctx, in, p, q)
	s.inquired.WithLabelValues(m.String(), outcome(&a)).Inc()
	return a
}

// asks reports whether an instance asks its issuer by a method: one by which callers
// may be known, or one that judges something else of theirs, too.
func asks(o *bundle.OIDC, m bundle.Method) bool {
	switch m {
	case bundle.NoMethod, bundle.Session, bundle.Bearer:
		return false
	case bundle.IDToken:
		return o.Inquiry.IDTokenHeader != ""
	case bundle.Introspection:
		return o.Inquiry.IntrospectJWT || o.Takes(m)
	}
	return o.Takes(m)
}
