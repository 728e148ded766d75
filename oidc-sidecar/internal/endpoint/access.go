package endpoint

import (
	"context"
	"time"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// Access is what can be said of an access token that the issuer has sent us.
type Access struct {
	Token   *jose.Token // nil for an opaque one
	Expires int64       // Unix seconds, 0 for unknown
	Life    int64       // seconds
	// Unread is why nobody can say whether it is opaque: the issuer's keys are away.
	Unread reason.Code
}

// Access reads the access token of a response. One that the issuer's own keys verify is
// read; one of another kind, or for somebody else's keys, is opaque.
func (r Rules) Access(ctx context.Context, p *provider.Provider, t *Tokens, now time.Time) (Access, reason.Code) {
	a := Access{Life: t.ExpiresIn}
	if t.ExpiresIn > 0 {
		a.Expires = now.Unix() + t.ExpiresIn
	}
	tok, code := jose.Parse(t.Access)
	if code != reason.Unspecified {
		return a, reason.Unspecified
	}
	set := p.Current()
	if code = Verify(tok, set); code == reason.KeyUnknown && tok.KeyID != "" {
		switch newer, found := p.LookupOwn(ctx, tok.KeyID); found {
		case provider.Found:
			code = Verify(tok, newer)
		case provider.Unknown:
		case provider.Throttled:
			a.Unread = reason.KeysThrottled
		default:
			a.Unread = reason.IssuerUnavailable
		}
	} else if code == reason.KeyUnknown && set.Err != nil {
		a.Unread = reason.IssuerUnavailable
	}
	if code == reason.SignatureInvalid && !r.Client.SkipSignature {
		return a, code // its own issuer's key says that it is not the issuer's
	}
	c := claims.Read(tok.Claims.Root())
	if code == reason.Unspecified && c.IssuedBy(r.Issuers(set)) == reason.Unspecified || r.Client.SkipSignature {
		a.Token = tok
		if exp, ok := c.ExpiresAt(); ok && (a.Expires == 0 || exp < a.Expires) {
			a.Expires, a.Life = exp, max(exp-now.Unix(), 0)
		}
	}
	return a, reason.Unspecified
}
