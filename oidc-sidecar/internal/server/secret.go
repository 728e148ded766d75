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
	hash := ""
	switch hashes := current.Hashes(); {
	case known != nil:
		hash = known.Hash
	case len(hashes) == 0:
		return wire.Answer{Code: reason.CredentialUnknown}
	default:
		hash = hashes[s.passwords.Pick(q.Key, len(hashes))]
	}
	right, err := s.passwords.Verify(ctx, q.Key, hash, q.Value)
	switch {
	case err != nil:
		return wire.Answer{Code: reason.Overloaded}
	case known == nil:
		return wire.Answer{Code: reason.CredentialUnknown}
	case !right:
		return wire.Answer{Code: reason.PasswordWrong}
	}
	return wire.Answer{Credential: known.Credential}
}
