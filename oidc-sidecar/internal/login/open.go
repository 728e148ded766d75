package login

import (
	"context"
	"time"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// cacheFor bounds how long filters remember a session, in seconds.
const cacheFor = 300

// Open opens the session of a request's cookies, with its tokens renewed where they
// have to be. An answer with a code says why there is none; its cookies delete what
// does not hold any more.
func (s *Service) Open(ctx context.Context, in *Instance, p *provider.Provider, r *wire.Request) wire.Answer {
	l := in.Login()
	gone := func(code reason.Code) wire.Answer {
		return wire.Answer{Code: code, SetCookies: dropSession(&l.SessionCookie, r)}
	}
	sent, code := in.unseal(r)
	if code != reason.Unspecified {
		// It may be another instance's, which is not ours to delete.
		return wire.Answer{Code: code}
	}
	rec := s.live.newest(sent)
	if code := s.over(in, rec, max(sent.Touched, rec.Touched)); code != reason.Unspecified {
		s.live.drop(rec.ID)
		return gone(code)
	}
	now := s.now()
	until := now.Unix() + cacheFor
	switch due, expired := rec.due(now); {
	case expired && (rec.Refresh == "" || !l.Refresh):
		return gone(reason.SessionExpired)
	case expired:
		fresh, code := s.refreshed(ctx, in, p, rec)
		switch {
		case code == reason.Unspecified: // which is one of ours, too
			rec = fresh
		case code.Ours():
			return wire.Answer{Code: code}
		default:
			return gone(code)
		}
	case due && rec.Refresh != "" && l.Refresh:
		// Meanwhile the token that still holds is used.
		s.refreshInBackground(in, p, rec)
		until = now.Unix() + 1
	}
	if t := in.tenth(); t > 0 {
		until = min(until, now.Unix()+t)
	}
	if rec.Refresh != "" && l.Refresh {
		if at := rec.refreshAt(); at > now.Unix() {
			until = min(until, at)
		}
	}
	if rec.Expires > 0 {
		until = min(until, rec.Expires)
	}
	until = min(until, in.end(rec).Unix())
	session, ok := in.session(rec, until)
	if !ok {
		return wire.Answer{Code: reason.SessionInvalid}
	}
	if rec.Generation > sent.Generation || s.stale(in, sent, now) {
		again := *rec
		if cookies, code := in.seal(&again, r, now); code == reason.Unspecified {
			session.SetCookies = cookies
			s.live.touch(&again)
		} else if rec.Generation > sent.Generation {
			// The old cookies open the new tokens as long as this process lives.
			s.logger.Error("a refreshed session does not fit into cookies", "request_id", r.ID)
		}
	}
	return wire.Answer{Session: session}
}

// stale reports whether the cookies have to be written anew, so that a session in
// use does not end by being idle: when a tenth of the time has gone.
func (s *Service) stale(in *Instance, sent *record, now time.Time) bool {
	t := in.tenth()
	return t > 0 && now.Unix()-sent.Touched >= t
}

// tenth is a tenth of the shorter of the times that a session has without its cookies
// being written anew, in seconds; 0 where neither is bounded. Filters remember it no
// longer than that: what they remember is not written anew.
func (in *Instance) tenth() int64 {
	least := int64(0)
	for _, t := range []int64{in.Login().Idling, in.Login().Rolling} {
		if t > 0 && (least == 0 || t < least) {
			least = t
		}
	}
	if least == 0 {
		return 0
	}
	return max(least/10, 1)
}

// session puts a record in the filters' words.
func (in *Instance) session(rec *record, until int64) (*wire.Session, bool) {
	out := &wire.Session{ID: sessionKey(rec.ID), Keys: rec.keys(), Token: rec.Access, Opaque: rec.Opaque, Info: rec.UserInfo, Until: until}
	if in.IDTokenHeader {
		out.IDToken = rec.IDToken
	}
	if rec.IDToken != "" {
		tok, code := jose.Parse(rec.IDToken)
		if code != reason.Unspecified {
			return nil, false
		}
		out.Claims = tok.Claims.Source()
	}
	if rec.Opaque {
		w := &jsonx.Writer{}
		w.Open('{')
		w.StringMember("scope", rec.Scope)
		w.Close('}')
		out.Access = string(w.Buf)
		return out, true
	}
	tok, code := jose.Parse(rec.Access)
	if code != reason.Unspecified {
		return nil, false
	}
	out.Access = tok.Claims.Source()
	return out, true
}

// Establish begins a session for a bearer token whose signature holds (S4-09). It ends
// with the token.
func (s *Service) Establish(in *Instance, p *provider.Provider, r *wire.Request, raw string) wire.Answer {
	if !in.Login().BearerSession {
		return wire.Answer{Code: reason.SidecarRefused}
	}
	tok, code := jose.Parse(raw)
	if code != reason.Unspecified {
		return wire.Answer{Code: code}
	}
	set, now := p.Current(), s.now()
	if set.Err != nil {
		return wire.Answer{Code: reason.IssuerUnavailable}
	}
	c := claims.Read(tok.Claims.Root())
	for _, code := range []reason.Code{
		endpoint.Verify(tok, set), c.IssuedBy(in.rules().Issuers(set)),
		claims.Times{Leeway: in.Config.Leeway, RequireExp: true}.Check(&c, now.Unix()), c.MeantFor(in.Config.Audience),
	} {
		if code != reason.Unspecified {
			return wire.Answer{Code: code}
		}
	}
	rec := in.newRecord(sourceBearer, now)
	rec.Access, rec.Issuer, rec.Subject, rec.SID = raw, claimText(tok, "iss"), claimText(tok, "sub"), claimText(tok, "sid")
	rec.ClientID = in.client(0)
	rec.Expires, _ = c.ExpiresAt()
	rec.Life = rec.Expires - now.Unix()
	if _, ended := rec.due(now); ended {
		return wire.Answer{Code: reason.TokenExpired} // leeway lets it pass, and nothing would open the session
	}
	cookies, code := in.seal(rec, r, now)
	if code != reason.Unspecified {
		return wire.Answer{Code: code}
	}
	return wire.Answer{SetCookies: cookies}
}
