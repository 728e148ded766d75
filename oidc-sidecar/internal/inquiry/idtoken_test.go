package inquiry

import (
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/endpoint"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	jwts "github.com/sallyport-auth/sallyport/testenv/tokens"
)

func TestIDTokenBeside(t *testing.T) {
	w := newWorld(t, "client_id: [app, app2]\nclient_secret: [a, b]\nverify_signature: false")
	w.idp.AddClient(idp.Client{ID: "app", Secret: appSecret})
	tokens := w.tokens("openid")
	ask := func(raw, beside string) wire.Answer {
		return w.svc.Ask(t.Context(), w.in, w.provider, &wire.Question{Method: "id_token", Value: raw, Beside: beside})
	}
	a := ask(tokens.ID, tokens.Access)
	if a.Session == nil || a.Session.IDToken != tokens.ID || a.Session.Until != w.now().Unix()+300 || a.Session.Token != "" || a.Session.Access != "" {
		t.Fatalf("%v %+v", a.Code, a.Session)
	}
	if want := endpoint.SubjectKey(w.idp.Issuer(), "alice-1"); a.Session.Keys[0] != want {
		t.Errorf("keys %v", a.Session.Keys)
	}
	claims := func(change map[string]any) map[string]any {
		c := map[string]any{"iss": w.idp.Issuer(), "aud": "app", "sub": "alice-1", "iat": w.now().Unix(), "exp": w.now().Unix() + 300}
		for name, v := range change {
			if c[name] = v; v == nil {
				delete(c, name)
			}
		}
		return c
	}
	rs := map[string]any{"alg": "RS256", "kid": "k1"}
	sign := func(change map[string]any) string { return jwts.Sign("rsa2048", rs, claims(change)) }
	for _, tt := range []struct {
		name, raw, beside string
		want              reason.Code
	}{
		{"no at_hash", sign(nil), "anything", 0},
		{"the second client's", sign(map[string]any{"aud": "app2"}), "", 0},
		{"for both", sign(map[string]any{"aud": []string{"app", "app2"}, "azp": "app2"}), "", 0},
		{"at_hash, and nothing beside it", sign(map[string]any{"at_hash": "x"}), "", 0},
		{"nonce of some login", sign(map[string]any{"nonce": "n"}), "", 0},
		{"another access token", tokens.ID, "another", reason.AccessTokenHashMismatch},
		{"for two, of nobody", sign(map[string]any{"aud": []string{"app", "x"}}), "", reason.AuthorizedPartyMismatch},
		{"of a stranger", sign(map[string]any{"aud": []string{"app", "x"}, "azp": "x"}), "", reason.AuthorizedPartyMismatch},
		{"for a stranger", sign(map[string]any{"aud": "x"}), "", reason.AudienceMismatch},
		{"another issuer's", sign(map[string]any{"iss": "https://evil.example"}), "", reason.IssuerUnknown},
		{"ended", sign(map[string]any{"exp": w.now().Unix()}), "", reason.TokenExpired},
		{"endless", sign(map[string]any{"exp": nil}), "", reason.ClaimMissing},
		{"of the future", sign(map[string]any{"iat": w.now().Unix() + 100}), "", reason.TokenNotYetValid},
		{"an access token", tokens.Access, "", reason.AudienceMismatch},
		{"no token", "x", "", reason.TokenMalformed},
		// verify_signature: false is for what we have fetched ourselves.
		{"tampered with", jwts.Tamper(sign(nil)), "", reason.SignatureInvalid},
		{"by another key", jwts.Sign("rsa2048b", rs, claims(nil)), "", reason.SignatureInvalid},
		{"by our secret", jwts.Sign("a", map[string]any{"alg": "HS256"}, claims(nil)), "", reason.AlgorithmMismatch},
		{"by an unknown key", jwts.Sign("rsa2048b", map[string]any{"alg": "RS256", "kid": "x"}, claims(nil)), "", reason.KeyUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := ask(tt.raw, tt.beside); a.Code != tt.want || (a.Session == nil) != (tt.want != 0) {
				t.Errorf("%v, want %v", a.Code, tt.want)
			} else if forget := tt.want == reason.KeyUnknown || tt.want == reason.TokenNotYetValid; tt.want != 0 && (a.Until == 0) != forget {
				t.Errorf("until %d", a.Until)
			}
		})
	}
	if w.idp.Count("token")+w.idp.Count("introspect")+w.idp.Count("userinfo") != 0 {
		t.Error("the issuer was asked")
	}
	// Kids that strangers make up use up what strangers may ask, and no more.
	for _, kid := range []string{"a", "b", "c"} {
		ask(jwts.Sign("rsa2048b", map[string]any{"alg": "RS256", "kid": kid}, claims(nil)), "")
	}
	if a := ask(jwts.Sign("rsa2048b", map[string]any{"alg": "RS256", "kid": "d"}, claims(nil)), ""); a.Code != reason.KeysThrottled {
		t.Errorf("%v", a.Code)
	}
	w.idp.FlowFault(idp.IDKidLate)
	w.in = w.instance("verify_signature: true")
	w.good(bundle.Password, alice) // our own question is answered
}

func TestIDTokenOfAnIssuerThatIsAway(t *testing.T) {
	w := newWorld(t, "")
	id := w.tokens("openid").ID
	w.idp.Misbehave(idp.Error500)
	w.seconds(25 * 3600)
	if n := w.bad(bundle.IDToken, id, reason.IssuerUnavailable); n != 0 {
		t.Errorf("remembered for %d s", n)
	}
}
