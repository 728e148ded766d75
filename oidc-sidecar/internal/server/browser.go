package server

import (
	"context"
	"encoding/base64"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// consumer finds a consumer by one of its names. The instance has to be one that
// looks for consumers in that way.
func (s *Server) consumer(ctx context.Context, q *wire.Question, inst *bundle.Plugin) wire.Answer {
	if inst.OIDC == nil || len(inst.OIDC.Identity.ConsumerClaims) == 0 || q.Value == "" {
		return wire.Answer{Code: reason.SidecarRefused}
	}
	c, code := s.people.Consumer(ctx, inst.OIDC.Identity.ConsumerBy, q.Value)
	return wire.Answer{Consumer: c, Code: code}
}

// browser answers what concerns sessions and logins.
func (s *Server) browser(ctx context.Context, q *wire.Question, inst *bundle.Plugin) wire.Answer {
	in := s.publisher.Login(inst.ID)
	if in == nil || q.Request == nil {
		return wire.Answer{Code: reason.SidecarRefused}
	}
	p := s.publisher.Provider(in.Trust)
	if p == nil { // a reload has come in between
		return wire.Answer{Code: reason.IssuerUnavailable}
	}
	switch q.Kind {
	case wire.Open:
		return s.logins.Open(ctx, in, p, q.Request)
	case wire.Establish:
		return s.logins.Establish(in, p, q.Request, q.Input+"."+base64.RawURLEncoding.EncodeToString([]byte(q.Signature)))
	case wire.Begin:
		if !in.Login().Begin {
			return wire.Answer{Code: reason.SidecarRefused}
		}
		return s.logins.Begin(in, p, q.Request)
	case wire.Callback:
		return s.logins.Callback(ctx, in, p, q.Request)
	case wire.Logout:
		return s.logins.Logout(ctx, in, p, q.Request)
	}
	return wire.Answer{Code: reason.SidecarRefused}
}
