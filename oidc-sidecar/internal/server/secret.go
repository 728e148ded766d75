package server

import (
	"context"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// apiKey finds the credential of an API key. Whether it has expired is for the filter to
// say, at every request.
func (s *Server) apiKey(q *wire.Question, inst *bundle.Plugin) wire.Answer {
	if inst.KeyAuth == nil || q.Value == "" {
		return wire.Answer{Code: reason.SidecarRefused}
	}
	if c := s.publisher.Current().APIKey(q.Value); c != nil {
		return wire.Answer{Credential: c}
	}
	return wire.Answer{Code: reason.CredentialUnknown}
}

// password tries a password. That of an unknown user is tried too, against somebody
// else's hash, so that the answer takes as long; what comes of it is of no account.
func (s *Server) password(ctx context.Context, q *wire.Question, inst *bundle.Plugin) wire.Answer {
	if inst.BasicAuth == nil || q.Key == "" {
		return wire.Answer{Code: reason.SidecarRefused}
	}
	current := s.publisher.Current()
	known := current.Password(q.Key)
	if known == nil {
		if hashes := current.Hashes(); len(hashes) > 0 {
			if s.passwords.Decoy(ctx, q.Key, hashes[s.passwords.Pick(q.Key, len(hashes))], q.Value) != nil {
				return wire.Answer{Code: reason.Overloaded}
			}
		}
		return wire.Answer{Code: reason.CredentialUnknown}
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
