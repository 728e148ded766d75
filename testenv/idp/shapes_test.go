package idp

import (
	"strings"
	"testing"
)

func TestShapes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shape         Shape
		issuer, iss   string // paths
		access        map[string]any
		id            map[string]any
		without       []string // of the access token
		notAdvertised []string
		sessionState  bool
		revoke        bool
	}{
		{shape: Plain, access: map[string]any{"client_id": "rp", "scope": "openid offline_access"}, sessionState: true, revoke: true},
		{
			shape: Descope, issuer: "/" + DescopeProject, iss: "/" + DescopeProject,
			access:  map[string]any{"aud": []string{DescopeProject}, "scope": "openid offline_access", "sub": "sub-alice"},
			id:      map[string]any{"aud": "rp", "azp": nil},
			without: []string{"azp"}, notAdvertised: []string{"introspection_endpoint"}, revoke: true,
		},
		{
			shape: Okta, issuer: "/oauth2/default", iss: "/oauth2/default",
			access:  map[string]any{"aud": "api://default", "cid": "rp", "uid": "sub-alice", "sub": "alice", "scp": []string{"openid", "offline_access"}},
			id:      map[string]any{"aud": "rp", "sub": "sub-alice", "ver": 1},
			without: []string{"scope", "client_id", "azp"}, revoke: true,
		},
		{
			shape: Ping, issuer: "/" + PingEnvironment + "/as", iss: "/" + PingEnvironment + "/as",
			access:  map[string]any{"client_id": "rp", "env": PingEnvironment, "scope": "openid offline_access", "aud": []string{"https://api.pingone.example"}},
			without: []string{"azp", "scp"}, revoke: true,
		},
		{
			shape: AzureV1, issuer: "/" + AzureTenant, iss: "/sts/" + AzureTenant + "/",
			access:  map[string]any{"ver": "1.0", "appid": "rp", "scp": "openid offline_access", "tid": AzureTenant, "sub": "sub-alice"},
			id:      map[string]any{"aud": "rp", "ver": "1.0", "at_hash": nil},
			without: []string{"scope", "client_id", "azp"}, sessionState: true,
			notAdvertised: []string{"revocation_endpoint", "introspection_endpoint", "code_challenge_methods_supported"},
		},
		{
			shape: AzureV2, issuer: "/" + AzureTenant + "/v2.0", iss: "/" + AzureTenant + "/v2.0",
			access:  map[string]any{"ver": "2.0", "azp": "rp", "scp": "openid offline_access", "tid": AzureTenant},
			id:      map[string]any{"aud": "rp", "ver": "2.0", "at_hash": nil},
			without: []string{"scope", "client_id", "appid"}, sessionState: true,
			notAdvertised: []string{"revocation_endpoint", "introspection_endpoint", "code_challenge_methods_supported"},
		},
	} {
		t.Run(string(c.shape), func(t *testing.T) {
			p := party(t)
			p.s.Shape(c.shape)
			equal(t, "issuer", p.s.Issuer(), p.s.URL+c.issuer)
			equal(t, "token issuer", p.s.TokenIssuer(), p.s.URL+c.iss)
			status, _, text := p.ask("discovery", nil)
			if status != 200 || !strings.Contains(text, `"issuer":"`+p.s.URL+c.iss+`"`) {
				t.Errorf("discovery: %d %s", status, text)
			}
			back := p.answer(alice)
			equal(t, "session_state, iss", []bool{back.Has("session_state"), back.Has("iss")}, []bool{c.sessionState, c.shape == Plain})
			status, body := p.post("token", codeForm(back.Get("code")))
			if status != 200 {
				t.Fatalf("%d %v", status, body)
			}
			access, id := p.claims(body["access_token"]), p.claims(body["id_token"])
			c.access["iss"] = p.s.URL + c.iss
			for name, want := range c.access {
				equal(t, "access: "+name, access[name], want)
			}
			for _, name := range c.without {
				equal(t, "access: "+name, access[name], nil)
			}
			for name, want := range c.id {
				equal(t, "id: "+name, id[name], want)
			}
			equal(t, "id: iss", id["iss"], p.s.URL+c.iss)
			for _, name := range c.notAdvertised {
				equal(t, "discovery: "+name, p.s.Discovery()[name], nil)
			}
			if status, _, text := p.ask("userinfo", body["access_token"]); status != 200 || !strings.Contains(text, `"sub":"sub-alice"`) {
				t.Errorf("userinfo: %d %s", status, text)
			}
			equal(t, "revocation", p.s.Endpoint("revoke") != "", c.revoke)
			_, isText := body["expires_in"].(string)
			equal(t, "expires_in as text", isText, c.shape == AzureV1)
			// Grants without a sign-in have the shape too.
			if status, body := p.post("token", clientCredentials); status != 200 || p.claims(body["access_token"])["sub"] != "rp" {
				t.Errorf("client_credentials: %d %v", status, body)
			}
			form := with(clientCredentials, "grant_type", "password", "username", alice, "password", "a secret", "scope", "openid")
			if status, body := p.post("token", form); status != 200 || body["id_token"] == nil {
				t.Errorf("password: %d %v", status, body)
			}
		})
	}
}

func TestAzureGivesAccessTokensOfVersion1BesideIDTokensOfVersion2(t *testing.T) {
	t.Parallel()
	p := party(t)
	p.s.Shape(AzureV2)
	p.s.Set(func(o *Options) { o.AccessV1 = true })
	body := p.login(alice)
	access, id := p.claims(body["access_token"]), p.claims(body["id_token"])
	equal(t, "iss", []any{access["iss"], id["iss"]}, []any{p.s.URL + "/sts/" + AzureTenant + "/", p.s.Issuer()})
	equal(t, "iss", p.s.AccessIssuer(), access["iss"])
	equal(t, "version", []any{access["ver"], access["appid"], access["azp"], id["ver"]}, []any{"1.0", "rp", nil, "2.0"})
}

func TestDescopeIsNotReachedWithoutItsQuery(t *testing.T) {
	t.Parallel()
	p := party(t)
	p.s.Shape(Descope)
	endpoint := p.s.Discovery()["authorization_endpoint"].(string)
	equal(t, "endpoint", endpoint, p.s.URL+"/oauth2/v1/authorize?flow=oidc-flow")
	for _, flow := range []string{"", "another"} {
		res, err := p.browser.Get(p.authorizeURL("flow", flow))
		if err != nil {
			t.Fatal(err)
		}
		if page := read(t, res); res.StatusCode != 400 || !strings.Contains(page, "flow") {
			t.Errorf("%q: %d %s", flow, res.StatusCode, page)
		}
	}
	p.s.Set(func(o *Options) { o.AccessAudience, o.IDTokenAzp = []string{"api"}, true })
	body := p.login(alice)
	equal(t, "configured", []any{p.claims(body["access_token"])["aud"], p.claims(body["id_token"])["azp"]}, []any{"api", "rp"})
}
