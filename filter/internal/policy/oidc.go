package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// oidc is the openid-connect plugin with bearer tokens. What costs nothing is
// checked before the signature, so that a token that cannot pass anyway never
// makes anybody fetch keys; what answers 403 comes after it, so that only a
// token that holds learns what it lacks.
func (r *run) oidc(p *bundle.Plugin) (reason.Code, *Question) {
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
	for i := range c.Required {
		if code := r.require(&c.Required[i], set.Root); code != reason.Unspecified {
			return code, nil
		}
	}
	r.try.identifier, _ = set.Subject.Text()
	return reason.Allowed, nil
}

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

// require judges one claim that has to list something.
func (r *run) require(q *bundle.Requirement, root jsonx.Value) reason.Code {
	v := claims.Lookup(root, q.Claim)
	if q.Any.Met(v) {
		return reason.Unspecified
	}
	var have []string
	claims.Words(v, func(w string) bool {
		have = append(have, w)
		return len(have) < 64
	})
	what, code := strings.Join(q.Claim, ".")+" claim", reason.ClaimMissingRequired
	if q.Scope {
		what, code = "scopes", reason.ScopeMissing
	}
	r.try.note = "required " + what + " were not found [ " + strings.Join(have, ", ") + " ]"
	return code
}
