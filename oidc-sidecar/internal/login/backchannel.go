package login

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// logoutEvent is what makes a token a logout token (OIDC Back-Channel Logout §2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// maxLogoutToken bounds the body of a back-channel request.
const maxLogoutToken = 32 << 10

// BackChannel takes a logout token from an identity provider and ends the sessions that
// it names (OIDC Back-Channel Logout §2.5 to §2.8). It answers 200, 400 for a token
// that is none, and 503 where we cannot judge it.
func (s *Service) BackChannel(w http.ResponseWriter, r *http.Request, in *Instance, p *provider.Provider) reason.Code {
	w.Header().Set("Cache-Control", "no-store")
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	r.Body = http.MaxBytesReader(w, r.Body, maxLogoutToken)
	code := reason.LogoutTokenInvalid
	if strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") && r.ParseForm() == nil && len(r.PostForm["logout_token"]) == 1 {
		code = s.logoutToken(r.Context(), in, p, r.PostForm.Get("logout_token"))
	}
	switch {
	case code == reason.LoggedOut:
		w.WriteHeader(http.StatusOK)
		return code
	case code.Ours():
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"error":"temporarily_unavailable"}`))
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_request","error_description":"` + code.Error() + `"}`))
	}
	s.logger.Info("a logout token is refused", "issuer", p.Config().Name(), "reason", code.Error())
	return code
}

// logoutToken judges a logout token by §2.6 and ends what it names.
func (s *Service) logoutToken(ctx context.Context, in *Instance, p *provider.Provider, raw string) reason.Code {
	tok, code := jose.Parse(raw)
	if code != reason.Unspecified {
		return code
	}
	switch tok.Type {
	case "logout+jwt", "jwt", "": // the type is only recommended (§2.4)
	default:
		return reason.TokenType
	}
	if tok.Alg.Family() == jose.HMAC {
		return reason.AlgorithmMismatch
	}
	set := p.Current()
	if set.Err != nil {
		return reason.IssuerUnavailable
	}
	if code := endpoint.Verify(tok, set); code != reason.Unspecified {
		if code != reason.KeyUnknown || tok.KeyID == "" {
			return code
		}
		newer, found := p.Lookup(ctx, tok.KeyID)
		switch found {
		case provider.Found:
			if code := endpoint.Verify(tok, newer); code != reason.Unspecified {
				return code
			}
		case provider.Unknown:
			return code
		default:
			return reason.KeysThrottled
		}
	}
	return s.logoutClaims(in, set, tok)
}

func (s *Service) logoutClaims(in *Instance, set *provider.Set, tok *jose.Token) reason.Code {
	root := tok.Claims.Root()
	c := claims.Read(root)
	now := s.now()
	leeway := max(in.Config.Leeway, endpoint.ClockSkew)
	if code := c.IssuedBy(in.rules().Issuers(set)); code != reason.Unspecified {
		return code
	}
	if len(in.Login().ClientIDs) == 0 {
		return reason.AudienceMismatch // we are nobody whom the issuer could mean
	}
	if code := c.MeantFor(in.Login().ClientIDs); code != reason.Unspecified {
		return code
	}
	if code := endpoint.IssuedAt(root, now.Unix(), leeway); code != reason.Unspecified {
		return code
	}
	if code := (claims.Times{Leeway: leeway, RequireExp: true}).Check(&c, now.Unix()); code != reason.Unspecified {
		return code
	}
	event := root.Get("events").Get(logoutEvent)
	jti, okID := root.Get("jti").Text()
	sub, okSub := c.Subject.Text()
	sid, okSID := root.Get("sid").Text()
	switch {
	case event.Kind() != jsonx.Object, root.Get("nonce").Exists(), !okID, jti == "", len(jti) > 512,
		c.Subject.Exists() && (!okSub || sub == ""), root.Get("sid").Exists() && (!okSID || sid == ""), !okSub && !okSID:
		return reason.LogoutTokenInvalid
	}
	iss, _ := c.Issuer.Text()
	exp, _ := c.ExpiresAt()
	fresh, err := s.revoked.Once(endpoint.KeyOf("j", iss, jti), time.Unix(exp+leeway+1, 0))
	switch {
	case err != nil:
		s.logger.Error("a logout token cannot be noted as used", "error", err)
		return reason.Internal
	case !fresh:
		return reason.LogoutTokenReplayed
	}
	var keys []string
	if okSID {
		for _, client := range in.Login().ClientIDs {
			keys = append(keys, endpoint.ProviderKey(iss, client, sid))
		}
	} else {
		keys = append(keys, endpoint.SubjectKey(iss, sub))
	}
	until := now.Add(forever)
	if in.Longest > 0 {
		until = now.Add(time.Duration(in.Longest) * time.Second)
	}
	for _, k := range keys {
		if err := s.revoked.Revoke(k, now, until); err != nil {
			s.logger.Error("a session cannot be noted as ended", "error", err)
			return reason.Internal
		}
	}
	s.ended(keys)
	return reason.LoggedOut
}
