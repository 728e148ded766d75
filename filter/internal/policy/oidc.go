package policy

import (
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// oidc is the openid-connect plugin. A browser's session comes first, then whatever
// else callers may be known by, in the order of the configuration; then, for a browser
// that has nothing of it, the way to the identity provider.
func (r *run) oidc(p *bundle.Plugin) (reason.Code, *Question) {
	l := p.OIDC.Login
	if r.try.response != nil {
		return r.try.failed, nil // the sidecar's answer for the client
	}
	if r.try.subject != nil {
		return reason.Allowed, nil // what was asked last was whether to begin a session
	}
	if l != nil {
		if code, question := r.browser(p, l); code != reason.Unspecified || question != nil {
			return code, question
		}
		if s := r.try.session; s != nil {
			return r.accept(p, s.subject())
		}
	}
	code, question := r.method(p)
	if question == nil && code != reason.Allowed && l != nil {
		return r.challenge(p, l, code)
	}
	return code, question
}

// method judges the caller by the first method that has a credential of theirs.
// reason.CredentialMissing says that there is none.
func (r *run) method(p *bundle.Plugin) (reason.Code, *Question) {
	code := reason.CredentialMissing
	for _, m := range p.OIDC.Methods {
		r.try.method = m
		found, question := r.by(p, m)
		switch {
		case question != nil:
			return reason.Unspecified, question
		case found == reason.CredentialMissing:
		case !r.leaves(m, found):
			return found, nil
		case code == reason.CredentialMissing:
			code = found
		}
	}
	return code, nil
}

// by judges the caller by one method.
func (r *run) by(p *bundle.Plugin, m bundle.Method) (reason.Code, *Question) {
	switch m {
	case bundle.Session:
		return reason.CredentialMissing, nil // see browser
	case bundle.Bearer:
		code, question := r.bearer(p)
		if l := p.OIDC.Login; l != nil && code == reason.Allowed {
			if q := r.establish(p, l); q != nil {
				return reason.Unspecified, q
			}
		}
		return code, question
	}
	return r.byIssuer(p, m)
}

// leaves reports whether another method may still judge a credential that one has
// refused. Of a token that public keys cannot verify, the issuer may know more: one that
// is no JWT, or one with HMAC. Whoever else is refused is refused: a JWT without a
// signature, or whose signature is only written in another way, would escape what is
// asked of its claims.
func (r *run) leaves(m bundle.Method, code reason.Code) bool {
	switch m {
	case bundle.Bearer:
		switch code {
		case reason.TokenMalformed, reason.TokenEncrypted, reason.TokenEncoding, reason.TokenJSON:
			return true
		case reason.AlgorithmMismatch:
			return r.try.known.token.Alg.Family() == jose.HMAC
		}
	case bundle.Password:
		return code == reason.CredentialRefused || code == reason.Unjudgeable // it may be a client's
	}
	return code == reason.Unjudgeable
}

// bearer judges a bearer token. What costs nothing is checked before the signature,
// so that a token that cannot pass anyway never makes anybody fetch keys; what
// answers 403 comes after it, so that only a token that holds learns what it lacks.
func (r *run) bearer(p *bundle.Plugin) (reason.Code, *Question) {
	c := p.OIDC
	if code := r.token(&c.Common); code != reason.Unspecified {
		return code, nil
	}
	tok, set := r.try.known.token, &r.try.known.claims
	if code := accessToken(tok, set, c.AcceptIDTokens); code != reason.Unspecified {
		return code, nil
	}
	if tok.Alg.Family() == jose.HMAC || len(c.Algorithms) > 0 && !allows(c.Algorithms, tok.Alg) {
		// RFC 8725 §3.1: a public key is never an HMAC secret.
		return reason.AlgorithmMismatch, nil
	}
	trust, code := r.trusted(c)
	if code != reason.Unspecified {
		return code, nil
	}
	issuers := c.Issuers
	if len(issuers) == 0 {
		issuers = trust.Issuers
	}
	if code := set.IssuedBy(issuers); code != reason.Unspecified {
		return code, nil
	}
	times := claims.Times{Leeway: c.Leeway, RequireExp: true}
	if code := times.Check(set, r.now); code != reason.Unspecified {
		return code, nil
	}
	if code := set.MeantFor(c.Audiences); code != reason.Unspecified {
		return code, nil
	}
	keys := keySet{name: trust.ID, id: trust.Hash, keys: trust.Keys, remote: true}
	if code, question := r.prove(p, &keys); code != reason.Allowed {
		return code, question
	}
	if c.Inquiry != nil && c.Inquiry.IntrospectJWT {
		if _, code, question := r.inquire(p, bundle.Introspection, tok.Raw, ""); code != reason.Allowed {
			return code, question
		}
	}
	e := r.engine
	e.bearer = subject{access: set.Root, name: set.Subject, token: tok.Raw, sent: r.try.plain}
	return r.admit(p, &e.bearer)
}

// quiet is how many seconds the sidecar may have been silent before nobody waits
// for it to begin a session, which is a favour.
const quiet = 5

// establish asks for a session for a bearer token that has passed, if that is wanted
// and the caller has none (S4-09). Only a token of the Authorization header begins
// one: what a page can put into a query, a form or a cookie must not log anybody in.
func (r *run) establish(p *bundle.Plugin, l *bundle.Login) *Question {
	if !l.BearerSession || r.now-r.engine.contact > quiet || r.try.asked&(1<<wire.Establish) != 0 {
		return nil
	}
	known := r.try.known
	if known == nil || r.facts.copies != 1 || bearer(r.facts.authorization) != known.token.Raw ||
		known.established > r.now && known.establishedBy == p.ID {
		return nil
	}
	if known == &r.engine.fresh {
		r.keepToken(-1) // at once, whatever it drives out: that it was offered a session must not be forgotten
		known = r.try.known
	}
	known.established, known.establishedBy = r.now+establishAgain, p.ID
	q := r.browserQuestion(p, wire.Establish, nil)
	q.Trust, q.KeyID, q.Alg = p.OIDC.TrustID, known.token.KeyID, known.token.Alg
	q.Input, q.Signature = known.token.SigningInput, known.token.Signature()
	return q
}

// establishAgain is after how many seconds a token that comes without a cookie is
// offered another one: most clients of an API keep none.
const establishAgain = 60

// accessToken refuses tokens made for something else. The header's typ is at+jwt
// (RFC 9068 §2.1) or says nothing; claims of the payload tell the rest.
func accessToken(tok *jose.Token, set *claims.Set, acceptID bool) reason.Code {
	switch tok.Type {
	case "", "jwt", "at+jwt":
	default:
		return reason.TokenType
	}
	return set.Purpose(acceptID)
}

// trusted returns the issuer's trust record: the one that came as an answer to
// this request, else the bundle's.
func (r *run) trusted(c *bundle.OIDC) (*bundle.Trust, reason.Code) {
	e := r.engine
	if r.now-e.contact > e.config.KeyGrace {
		return nil, reason.SidecarUnreachable
	}
	t := c.Trust
	if r.try.trust != nil && r.try.trust.ID == c.TrustID {
		t = r.try.trust
	}
	if t == nil || t.Unavailable != "" {
		return nil, reason.IssuerUnavailable
	}
	return t, reason.Unspecified
}
