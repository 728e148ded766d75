package inquiry

import (
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// TestGrantsWhileKeysAreAway: a token is not taken for an opaque one, whose audience and
// claims nobody judges, because the issuer's keys are away.
func TestGrantsWhileKeysAreAway(t *testing.T) {
	w := newWorld(t, "")
	w.in.Config.Inquiry.Endpoints.Token = w.idp.Endpoint("token")
	w.idp.Misbehave(idp.Error500)
	w.provider = provider.New(w.provider.Config(), w.provider.Client(), w.svc.logger, w.now, func() {})
	a := w.ask(bundle.ClientCredentials, "machine:"+machineSecret)
	if a.Session != nil || a.Code != reason.IssuerUnavailable {
		t.Errorf("%v, session %+v", a.Code, a.Session)
	}
}

// TestRefreshForAnAudience: the filter takes an opaque token for one of the audience that
// it was asked for with.
func TestRefreshForAnAudience(t *testing.T) {
	w := newWorld(t, "auth_methods: [refresh_token, password]\naudience: [api]")
	w.idp.Set(func(o *idp.Options) { o.OpaqueAccess = true })
	w.good(bundle.RefreshToken, w.tokens("openid read").Refresh)
	if got := w.last("token").Form.Get("audience"); got != "api" {
		t.Errorf("audience %q", got)
	}
}
