package server

import (
	"context"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/keys"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/snapshot"
)

// maxCandidates bounds how many keys are tried where a token names none.
const maxCandidates = 4

// answer answers a question. Where the feed stands is read first: a change that
// comes in between makes the filter use the answer once only.
func (s *Server) answer(ctx context.Context, q *wire.Question) wire.Answer {
	place := s.place(wire.Answer{})
	inst := s.publisher.Instance(q.Generation, q.Instance)
	if inst == nil {
		place.Code = reason.SidecarRefused
		return place
	}
	var a wire.Answer
	switch q.Kind {
	case wire.Lookup:
		a = s.lookup(ctx, q, inst)
	case wire.Verify:
		a = s.verify(ctx, q, inst)
	case wire.Keys:
		a = s.keys(ctx, q, inst)
	case wire.Consumer:
		a = s.consumer(ctx, q, inst)
	case wire.Inquire:
		a = s.inquire(ctx, q, inst)
	case wire.APIKey:
		a = s.apiKey(ctx, q, inst)
	case wire.Password:
		a = s.password(ctx, q, inst)
	default:
		a = s.browser(ctx, q, inst)
	}
	a.Feed, a.Seq = place.Feed, place.Seq
	return a
}

func (s *Server) place(a wire.Answer) wire.Answer {
	a.Feed, a.Seq = s.publisher.Place()
	return a
}

// credential finds a credential for an instance of the jwt plugin, with the keys
// of its jwks_uri where it has one.
func (s *Server) credential(ctx context.Context, key string, inst *bundle.Plugin) (*snapshot.Credential, *provider.Set, reason.Code) {
	c, p, code := s.remote(ctx, key, inst)
	if p == nil {
		return c, nil, code
	}
	set := p.Current()
	if set.Err != nil {
		return nil, nil, reason.IssuerUnavailable
	}
	return c, set, reason.Unspecified
}

// remote finds a credential and the provider of its jwks_uri, nil without one.
func (s *Server) remote(ctx context.Context, key string, inst *bundle.Plugin) (*snapshot.Credential, *provider.Provider, reason.Code) {
	if inst.JWT == nil || key == "" {
		return nil, nil, reason.SidecarRefused
	}
	c, code := s.people.Credential(ctx, key)
	if code != reason.Unspecified {
		return nil, nil, code
	}
	if c.Trust == "" {
		return c, nil, reason.Unspecified
	}
	p := s.publisher.Provider(c.Trust)
	if p == nil { // a reload has come in between
		return nil, nil, reason.IssuerUnavailable
	}
	return c, p, reason.Unspecified
}

// lookup finds a credential and judges the token that came along.
func (s *Server) lookup(ctx context.Context, q *wire.Question, inst *bundle.Plugin) wire.Answer {
	c, set, code := s.credential(ctx, q.Key, inst)
	if code != reason.Unspecified {
		return wire.Answer{Code: code}
	}
	a := wire.Answer{Credential: c.Bundle(inst, set)}
	if q.Input != "" && contains(a.Credential.Alg, q.Alg) {
		a.Verdict, _ = judge(q, c.HMAC(inst), pinned(c.Keys(set), a.Credential))
	}
	return a
}

// verify judges a token.
func (s *Server) verify(ctx context.Context, q *wire.Question, inst *bundle.Plugin) (a wire.Answer) {
	if q.Credential != "" {
		c, set, code := s.credential(ctx, q.Credential, inst)
		if code != reason.Unspecified {
			return wire.Answer{Code: code}
		}
		out := c.Bundle(inst, set)
		if !contains(out.Alg, q.Alg) {
			return wire.Answer{Code: reason.AlgorithmMismatch}
		}
		a.Verdict, a.Code = judge(q, c.HMAC(inst), pinned(c.Keys(set), out))
		return a
	}
	p, code := s.issuer(q, inst)
	if code != reason.Unspecified {
		return wire.Answer{Code: code}
	}
	set := p.Current()
	if set.Err != nil {
		return wire.Answer{Code: reason.IssuerUnavailable}
	}
	a.Verdict, a.Code = judge(q, nil, set.Keys)
	return a
}

// issuer returns the provider of the trust record in question, which has to be
// the asking instance's own.
func (s *Server) issuer(q *wire.Question, inst *bundle.Plugin) (*provider.Provider, reason.Code) {
	if inst.OIDC == nil || q.Trust == "" || inst.OIDC.TrustID != q.Trust {
		return nil, reason.SidecarRefused
	}
	p := s.publisher.Provider(q.Trust)
	if p == nil {
		return nil, reason.SidecarRefused
	}
	return p, reason.Unspecified
}

// pinned returns the keys with the algorithms that the credential leaves them.
func pinned(list []keys.Key, c *bundle.Credential) []keys.Key {
	out := make([]keys.Key, len(list))
	for i, k := range list {
		k.Alg = c.Keys[i].Alg
		out[i] = k
	}
	return out
}

// judge checks a signature with the secret for HMAC, else with the public keys
// that the token may be signed with.
func judge(q *wire.Question, secret []byte, list []keys.Key) (wire.Verdict, reason.Code) {
	if q.Input == "" || jose.CheckSignature(q.Alg, q.Signature) != reason.Unspecified {
		return wire.Invalid, reason.Unspecified
	}
	if q.Alg.Family() == jose.HMAC {
		switch {
		case secret == nil:
			return wire.Unjudged, reason.CredentialUnusable
		case keys.Verify(q.Alg, secret, q.Input, q.Signature):
			return wire.Valid, reason.Unspecified
		}
		return wire.Invalid, reason.Unspecified
	}
	tried := 0
	for _, match := range []func(keys.Key) bool{
		func(k keys.Key) bool { return q.KeyID == "" || k.ID == q.KeyID },
		func(k keys.Key) bool { return k.ID == "" },
	} {
		for _, k := range list {
			if !match(k) || k.Public == nil || !contains(k.Alg, q.Alg) || tried == maxCandidates {
				continue
			}
			tried++
			if keys.Verify(q.Alg, k.Public, q.Input, q.Signature) {
				return wire.Valid, reason.Unspecified
			}
		}
		if tried > 0 {
			return wire.Invalid, reason.Unspecified
		}
	}
	return wire.Unjudged, reason.KeyUnknown
}

// keys looks for a kid that the filter does not know.
func (s *Server) keys(ctx context.Context, q *wire.Question, inst *bundle.Plugin) wire.Answer {
	if q.Credential != "" {
		c, p, code := s.remote(ctx, q.Credential, inst)
		if code != reason.Unspecified {
			return wire.Answer{Code: code}
		}
		if p == nil {
			return wire.Answer{Code: reason.KeyUnknown}
		}
		set, outcome := p.Lookup(ctx, q.KeyID)
		a := wire.Answer{Code: codeOf(outcome)}
		if outcome == provider.Found {
			a.Credential = c.Bundle(inst, set)
		}
		return a
	}
	p, code := s.issuer(q, inst)
	if code != reason.Unspecified {
		return wire.Answer{Code: code}
	}
	set, outcome := p.Lookup(ctx, q.KeyID)
	a := wire.Answer{Code: codeOf(outcome)}
	if outcome == provider.Found {
		a.Trust = set.Trust(q.Trust)
	}
	return a
}

func codeOf(o provider.Outcome) reason.Code {
	switch o {
	case provider.Found:
		return reason.Unspecified
	case provider.Unknown:
		return reason.KeyUnknown
	case provider.Throttled:
		return reason.KeysThrottled
	}
	return reason.IssuerUnavailable
}

func contains(list []jose.Alg, a jose.Alg) bool {
	for _, x := range list {
		if x == a {
			return true
		}
	}
	return false
}
