package login

import (
	"context"
	"net/url"
	"time"

	"github.com/sallyport-auth/sallyport/internal/page"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// revocationTime bounds how long a logout waits for the identity provider to revoke
// tokens (RFC 7009): the browser is waiting, and the session has ended already.
const revocationTime = 3 * time.Second

// Logout ends the session of a request's cookies, here and at the identity provider
// (OIDC RP-Initiated Logout).
func (s *Service) Logout(ctx context.Context, in *Instance, p *provider.Provider, r *wire.Request) wire.Answer {
	l := in.Login()
	cookies := dropSession(&l.SessionCookie, r)
	for _, c := range flowCookies(&l.FlowCookie, r) {
		cookies = append(cookies, c.Name+"="+attributes(&l.FlowCookie, r.Scheme, 0))
	}
	hint := ""
	client := in.client(0)
	set := p.Current()
	if sent, code := in.unseal(r); code == reason.Unspecified {
		rec := s.live.newest(sent)
		if err := s.revoke(rec); err != nil {
			return wire.Answer{Code: reason.Internal}
		}
		hint, client = rec.IDToken, first(rec.ClientID, client)
		s.revokeTokens(ctx, in, p, &set.Metadata, rec)
	}
	after := ""
	if len(l.LogoutRedirects) > 0 {
		after = l.LogoutRedirects[0]
	}
	if from := first(l.Endpoints.EndSession, set.Metadata.EndSession); from != "" {
		if to, ok := endSession(from, hint, client, after); ok {
			return redirect(reason.LoggedOut, 302, to, cookies)
		}
	}
	if after != "" {
		return redirect(reason.LoggedOut, 302, after, cookies)
	}
	if !r.Navigation {
		res := &wire.Response{Status: 200, Body: `{"message":"Signed out"}`, Headers: []wire.Header{
			{Name: "content-type", Value: "application/json; charset=utf-8"}, {Name: "cache-control", Value: "no-store"}}}
		return wire.Answer{Code: reason.LoggedOut, Response: withCookies(res, cookies)}
	}
	return wire.Answer{Code: reason.LoggedOut, Response: withCookies(showPage(200, page.Page{
		Title: "You are signed out", Text: "You can close this page.", RequestID: r.ID}), cookies)}
}

// endSession is the request for the end of the provider's session (OIDC RP-Initiated
// Logout §2).
func endSession(endpoint, hint, client, after string) (string, bool) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", false
	}
	q := u.Query()
	if hint != "" {
		q.Set("id_token_hint", hint)
	}
	if client != "" {
		q.Set("client_id", client)
	}
	if after != "" {
		q.Set("post_logout_redirect_uri", after)
	}
	u.RawQuery = q.Encode()
	return u.String(), true
}

// revokeTokens tells the identity provider that the tokens are not wanted any more,
// as far as the configuration asks for it (logout_revoke). That it cannot be told
// keeps nobody logged in here.
func (s *Service) revokeTokens(ctx context.Context, in *Instance, p *provider.Provider, m *provider.Metadata, rec *record) {
	l := in.Login()
	endpoint := first(l.Endpoints.Revocation, m.Revocation)
	if endpoint == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revocationTime)
	defer cancel()
	for _, t := range []struct {
		wanted      bool
		token, hint string
	}{
		{l.RevokeRefresh, rec.Refresh, "refresh_token"},
		{l.RevokeAccess, rec.Access, "access_token"},
	} {
		if !t.wanted || t.token == "" {
			continue
		}
		res, err := s.call(ctx, in, p, m, rec.Client, endpoint, url.Values{"token": {t.token}, "token_type_hint": {t.hint}})
		if err != nil {
			s.logger.Warn("a token cannot be revoked at logout", "issuer", p.Config().Name(), "kind", t.hint, "error", err)
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode != 200 {
			s.logger.Warn("a token was not revoked at logout", "issuer", p.Config().Name(), "kind", t.hint, "status", res.StatusCode)
		}
	}
}
