package login

import (
	"encoding/base64"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	jwts "github.com/sallyport-auth/sallyport/testenv/tokens"
)

// bearer returns an access token with claims beside the usual ones.
func (w *world) bearer(key string, more map[string]any) string {
	c := map[string]any{"iss": w.idp.Issuer(), "sub": "alice-1", "exp": w.now().Unix() + 100}
	for name, value := range more {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	input := jwts.Input(map[string]any{"alg": "RS256", "kid": "k1"}, c)
	return input + "." + base64.RawURLEncoding.EncodeToString(jwts.SignBytes("RS256", jwts.Private(key), input))
}

// A session of a bearer token ends with the token, and can be ended before.
func TestEstablish(t *testing.T) {
	w := newWorld(t, "session_idling_timeout: 30\nsession_rolling_timeout: 0")
	begin := func() browser {
		a := w.svc.Establish(w.in, w.provider, browser{}.request("/"), w.bearer("rsa2048", map[string]any{"sid": "s"}))
		if a.Code != reason.Unspecified || len(a.SetCookies) != 1 || a.Session != nil || a.Response != nil {
			t.Fatalf("%+v", a)
		}
		b := browser{}
		b.take(a.SetCookies)
		return b
	}
	b := begin()
	end := w.now().Unix() + 100
	for range 9 {
		w.seconds(11)
		s := w.opened(b)
		if s.Until > end || s.Claims != "" || s.IDToken != "" || s.Opaque {
			t.Errorf("%+v", s)
		}
		b.take(s.SetCookies)
	}
	w.seconds(1)
	w.closed(b, reason.SessionExpired)
	if w.tokenCalls() != 0 {
		t.Error("the provider was asked for tokens")
	}
	b = begin()
	id := w.opened(b).ID
	if a := w.svc.Logout(t.Context(), w.in, w.provider, b.request("/")); a.Code != reason.LoggedOut {
		t.Fatal(a.Code)
	}
	w.closed(b, reason.SessionRevoked)
	if c := begin(); w.opened(c).ID == id {
		t.Error("two sessions have one id")
	}
	b = begin()
	if err := w.revoked.Revoke(endpoint.ProviderKey(w.idp.Issuer(), "app", "s"), w.now(), w.now().Add(1e12)); err != nil {
		t.Fatal(err)
	}
	w.seconds(1)
	w.closed(b, reason.SessionRevoked)
}

// The sidecar does not take the filter's word for a token.
func TestEstablishRefuses(t *testing.T) {
	w := newWorld(t, "audience: [api]")
	good := map[string]any{"aud": "api"}
	with := func(name string, value any) map[string]any {
		return map[string]any{"aud": "api", name: value}
	}
	for name, c := range map[string]struct {
		token string
		want  reason.Code
	}{
		"good":             {w.bearer("rsa2048", good), reason.Unspecified},
		"another key":      {w.bearer("rsa4096", good), reason.SignatureInvalid},
		"another issuer":   {w.bearer("rsa2048", with("iss", "https://evil.example")), reason.IssuerUnknown},
		"another audience": {w.bearer("rsa2048", with("aud", "other")), reason.AudienceMismatch},
		"ended":            {w.bearer("rsa2048", with("exp", w.now().Unix())), reason.TokenExpired},
		"without an end":   {w.bearer("rsa2048", with("exp", nil)), reason.ClaimMissing},
		"not yet":          {w.bearer("rsa2048", with("nbf", w.now().Unix()+10)), reason.TokenNotYetValid},
		"no token":         {"a.b", reason.TokenMalformed},
	} {
		a := w.svc.Establish(w.in, w.provider, browser{}.request("/"), c.token)
		if a.Code != c.want || (len(a.SetCookies) > 0) != (c.want == reason.Unspecified) {
			t.Errorf("%s: %v with %q, want %v", name, a.Code, a.SetCookies, c.want)
		}
	}
	w.in = w.instance("disable_session: [bearer]", "0123456789abcdef0123456789abcdef")
	if a := w.svc.Establish(w.in, w.provider, browser{}.request("/"), w.bearer("rsa2048", nil)); a.Code != reason.SidecarRefused {
		t.Errorf("disable_session: %+v", a)
	}
}

// Secrets: the first seals, all open, and none opens what another plugin's has
// sealed.
func TestRing(t *testing.T) {
	const old, newer, other = "an old secret of thirty-two bytes", "a new secret of thirty-two bytes.", "another secret of thirty-two bytes"
	w := newWorld(t, "")
	w.in = w.instance("", old)
	b := w.signIn("alice")

	w.in = w.instance("", newer, old)
	w.opened(b)
	fresh := w.signIn("bob")
	w.seconds(100)
	rewritten := b.copy()
	rewritten.take(w.opened(b).SetCookies)

	w.in = w.instance("", newer)
	w.opened(fresh)
	w.opened(rewritten)
	w.closed(b, reason.SessionInvalid)

	for name, in := range map[string]*Instance{
		"another secret":   w.instance("", other),
		"another audience": w.instance("session_audience: other", newer),
		"another client":   w.instance("client_id: [other]", newer),
		"other scopes":     w.instance("scopes: [openid, email]", newer),
		"another cookie":   w.instance("session_cookie_name: other", newer),
		"audience":         w.instance("audience: [other]", newer),
	} {
		w.in = in
		if a := w.open(fresh); a.Code != reason.SessionInvalid || a.Session != nil {
			t.Errorf("%s: %v", name, a.Code)
		}
	}
	// What decides who may pass is no part of what a session is bound to.
	w.in = w.instance("scopes_required: [admin]\nconsumer_claim: [email]\nupstream_headers_claims: [sub]\nupstream_headers_names: [x-sub]\ntimeout: 5000", newer)
	w.opened(fresh)
}
