package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// caller is how an issuer is asked.
func (s *Service) caller(p *provider.Provider) endpoint.Caller {
	return endpoint.Caller{HTTP: p.Client(), Keys: s.keys, Now: s.now}
}

// call posts a form to an endpoint of the issuer's in the client's name.
func (s *Service) call(ctx context.Context, in *Instance, p *provider.Provider, m *provider.Metadata, client int, to string, form url.Values) (*http.Response, error) {
	return s.caller(p).Post(ctx, to, endpoint.ClientOf(&in.Login().Client, client, m.TokenAuthMethods), form, nil)
}

// tokenRequest asks the token endpoint.
func (s *Service) tokenRequest(ctx context.Context, in *Instance, p *provider.Provider, m *provider.Metadata, client int, form url.Values) (*endpoint.Tokens, error) {
	l := in.Login()
	return s.caller(p).Tokens(ctx, first(l.Endpoints.Token, m.Token), endpoint.ClientOf(&l.Client, client, m.TokenAuthMethods), form, nil)
}

// outcome says in the words of the closed list what an error of the token endpoint
// means for a login.
func outcome(err error) reason.Code {
	var r *endpoint.Refusal
	switch {
	case errors.Is(err, endpoint.ErrNoEndpoint):
		return reason.LoginMisconfigured
	case !errors.As(err, &r):
		return reason.IssuerUnavailable
	case r.Code == "invalid_grant":
		return reason.LoginCodeRefused
	case r.Code == "temporarily_unavailable" || r.Code == "server_error" || r.Code == "slow_down":
		return reason.IssuerUnavailable
	}
	return reason.LoginMisconfigured // invalid_client, unauthorized_client, invalid_scope …
}

// userInfo fetches the claims of userinfo (OIDC Core §5.3), whose sub has to be the
// ID token's (§5.3.2).
func (s *Service) userInfo(ctx context.Context, in *Instance, p *provider.Provider, m *provider.Metadata, access, subject string) (string, reason.Code) {
	to := first(in.Login().Endpoints.UserInfo, m.UserInfo)
	if to == "" {
		return "", reason.LoginMisconfigured
	}
	doc, err := s.caller(p).UserInfo(ctx, to, access, nil)
	if err != nil {
		s.logger.Warn("userinfo is not what it should be", "issuer", p.Config().Name(), "error", err)
		return "", reason.IssuerUnavailable
	}
	if sub, ok := doc.Root().Get("sub").Text(); !ok || sub != subject {
		return "", reason.SubjectMismatch
	}
	return doc.Source(), reason.Unspecified
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
