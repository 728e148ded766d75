package server

import (
	"context"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// apiKey finds the credential of an API key. Whether it has expired is for the filter to
// say, at every request.
func (s *Server) apiKey(ctx context.Context, q *wire.Question, inst *bundle.Plugin) wire.Answer {
	if inst.KeyAuth == nil || q.Value == "" {
		return wire.Answer{Code: reason.SidecarRefused}
	}
	c, code := s.people.APIKey(ctx, q.Value)
	return wire.Answer{Credential: c, Code: code}
}

// password tries a password. That of an unknown user is tried too, against somebody
// else's hash, so that the answer takes as long; what comes of it is of no account.
func (s *Server) password(ctx context.Context, q *wire.Question, inst *bundle.Plugin) wire.Answer {
	if inst.BasicAuth == nil || q.Key == "" {
		return wire.Answer{Code: reason.SidecarRefused}
	}
	known, code := s.people.Password(ctx, q.Key)
	if code == reason.CredentialUnknown {
		if hashes := s.people.Hashes(); len(hashes) > 0 {
			if s.passwords.Decoy(ctx, q.Key, hashes[s.passwords.Pick(q.Key, len(hashes))], q.Value) != nil {
				return wire.Answer{Code: reason.Overloaded}
			}
		}
	}
	if code != reason.Unspecified {
		return wire.Answer{Code: code}
	}
	right, err := s.passwords.Verify(ctx, q.Key, known.Hash, q.Value)
	switch {
	case err != nil:
		return wire.Answer{Code: reason.Overloaded}
	case !right:
		return wire.Answer{Code: reason.PasswordWrong}
	}
	return wire.Answer{Credential: known.Credential}
}
