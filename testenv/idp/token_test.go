package idp

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestACodeIsGoodOnceAndForItsOwner(t *testing.T) {
	t.Parallel()
	p := party(t)
	p.s.AddClient(Client{ID: "other", Secret: "x"})
	now := time.Now()
	p.s.Set(func(o *Options) { o.Now = func() time.Time { return now } })
	p.login(alice)
	for _, c := range []struct {
		name, parameter, value, want string
	}{
		{"no code", "code", "", "unknown code"},
		{"another code", "code", "guess", "unknown code"},
		{"no redirect_uri", "redirect_uri", "", "redirect_uri is not the one of the request"},
		{"redirect_uri with a slash more", "redirect_uri", callback + "/", "redirect_uri is not the one of the request"},
		{"no verifier", "code_verifier", "", "code_verifier is not of RFC 7636"},
		{"a short verifier", "code_verifier", verifier[:42], "code_verifier is not of RFC 7636"},
		{"a verifier with a space", "code_verifier", verifier + " ", "code_verifier is not of RFC 7636"},
		{"the challenge", "code_verifier", challenge(), "wrong code_verifier"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.t = t
			code := p.answer("").Get("code")
			p.refused("token", codeForm(code, c.parameter, c.value), 400, "invalid_grant", c.want)
			if c.parameter != "code" {
				p.refused("token", codeForm(code), 400, "invalid_grant", "code used again")
			}
		})
	}
	p.t = t

	code := p.answer("").Get("code")
	other := newRP(t, p.s, "other", "x")
	other.refused("token", codeForm(code), 400, "invalid_grant", "code of another client")

	code = p.answer("", "code_challenge", "", "code_challenge_method", "").Get("code")
	p.refused("token", codeForm(code), 400, "invalid_grant", "code_verifier without code_challenge")

	code = p.answer("").Get("code")
	now = now.Add(time.Minute)
	p.refused("token", codeForm(code), 400, "invalid_grant", "code expired")

	// What a code has led to ends when the code comes again.
	code = p.answer("").Get("code")
	_, body := p.post("token", codeForm(code))
	p.refused("token", codeForm(code), 400, "invalid_grant", "code used again")
	p.refused("token", refreshForm(body["refresh_token"]), 400, "invalid_grant", "refresh token revoked")
	if status, _, _ := p.ask("userinfo", body["access_token"]); status != 401 {
		t.Errorf("userinfo: %d", status)
	}
}

func TestRefreshTokensRotate(t *testing.T) {
	t.Parallel()
	p := party(t)
	body := p.login(alice)
	first := body["refresh_token"]
	old := p.claims(body["id_token"])
	status, body := p.post("token", refreshForm(first))
	second := body["refresh_token"]
	if status != 200 || second == nil || second == first {
		t.Fatalf("%d %v", status, body)
	}
	id := p.claims(body["id_token"])
	for _, name := range []string{"iss", "sub", "aud", "sid", "auth_time"} {
		equal(t, name, id[name], old[name])
	}
	equal(t, "nonce", id["nonce"], nil)
	equal(t, "at_hash", id["at_hash"], atHash("RS256", body["access_token"].(string)))

	// Using the first again ends the family: the second is revoked too.
	p.refused("token", refreshForm(first), 400, "invalid_grant", "refresh token used again")
	p.refused("token", refreshForm(second), 400, "invalid_grant", "refresh token revoked")
	for _, token := range []any{body["access_token"]} {
		if status, _, _ := p.ask("userinfo", token); status != 401 {
			t.Errorf("userinfo: %d", status)
		}
	}
}

func TestRefreshes(t *testing.T) {
	t.Parallel()
	p := party(t)
	p.s.AddClient(Client{ID: "other", Secret: "x"})
	token := p.login(alice)["refresh_token"]
	newRP(t, p.s, "other", "x").refused("token", refreshForm(token), 400, "invalid_grant", "refresh token of another client")
	p.refused("token", refreshForm("guess"), 400, "invalid_grant", "unknown refresh token")
	p.refused("token", refreshForm(token, "scope", "openid admin"), 400, "invalid_scope", "more than was granted: admin")

	_, body := p.post("token", refreshForm(token, "scope", "offline_access"))
	equal(t, "scope", body["scope"], "offline_access")
	equal(t, "id_token", body["id_token"], nil)
	_, body = p.post("token", refreshForm(body["refresh_token"]))
	equal(t, "scope", body["scope"], "openid offline_access")

	p.s.AddUser(User{Name: alice, Password: "a secret", Subject: "sub-alice", Claims: map[string]any{"groups": "new", "sid": nil}})
	p.s.Set(func(o *Options) { o.RefreshNonce = true })
	_, body = p.post("token", refreshForm(body["refresh_token"]))
	id := p.claims(body["id_token"])
	equal(t, "groups, nonce, sid", []any{id["groups"], id["nonce"], id["sid"]}, []any{"new", "n-1", nil})

	now := time.Now().Add(time.Hour)
	p.s.Set(func(o *Options) { o.Now = func() time.Time { return now } })
	p.refused("token", refreshForm(body["refresh_token"]), 400, "invalid_grant", "refresh token expired")
	p.s.Set(func(o *Options) { o.Now = time.Now })
	p.s.RemoveUser(alice)
	p.refused("token", refreshForm(body["refresh_token"]), 400, "invalid_grant", "the user is gone")
}

func TestOptionsOfTokens(t *testing.T) {
	t.Parallel()
	p := party(t)
	has := func(body map[string]any, name string) bool { _, ok := body[name]; return ok }
	for _, c := range []struct {
		policy RefreshPolicy
		scope  string
		want   bool
	}{
		{RefreshAlways, "openid", true}, {RefreshOffline, "openid", false}, {RefreshOffline, "openid offline_access", true},
		{RefreshNever, "openid offline_access", false},
	} {
		p.s.Set(func(o *Options) { o.Refresh = c.policy })
		if got := has(p.login(alice, "scope", c.scope), "refresh_token"); got != c.want {
			t.Errorf("%s, %s: refresh token %v", c.policy, c.scope, got)
		}
	}
	p.s.Set(func(o *Options) {
		o.Refresh, o.Rotate, o.OmitScope, o.OmitExpiresIn, o.OpaqueAccess, o.RefreshWithoutIDToken = RefreshAlways, false, true, true, true, true
		o.AccessAudience, o.IDLifetime = []string{"a", "b"}, -time.Minute
	})
	body := p.login(alice)
	equal(t, "members", []bool{has(body, "scope"), has(body, "expires_in"), has(body, "id_token")}, []bool{false, false, true})
	if strings.Contains(body["access_token"].(string), ".") {
		t.Errorf("access token: %v", body["access_token"])
	}
	if status, _, _ := p.ask("userinfo", body["access_token"]); status != 200 {
		t.Errorf("userinfo: %d", status)
	}
	_, said := p.post("introspect", url.Values{"token": {body["access_token"].(string)}})
	equal(t, "aud", said["aud"], []string{"a", "b"})
	if exp, _ := parsed(t, body["id_token"]).seconds("exp"); exp >= time.Now().Unix() {
		t.Errorf("exp: %d", exp)
	}
	for range 2 {
		_, again := p.post("token", refreshForm(body["refresh_token"]))
		equal(t, "refreshed", []bool{has(again, "access_token"), has(again, "refresh_token"), has(again, "id_token")}, []bool{true, false, false})
	}
	p.s.Set(func(o *Options) { o.IssParameter = false })
	equal(t, "iss", p.answer("").Has("iss"), false)
	equal(t, "advertised", has(p.s.Discovery(), "authorization_response_iss_parameter_supported"), false)
}

func TestTheNewestPublishedKeySigns(t *testing.T) {
	t.Parallel()
	p := party(t)
	for _, c := range []struct {
		name   string
		change func()
		kid    string
		alg    string
	}{
		{"the first", func() {}, "k1", "RS256"},
		{"a new one", func() { p.s.Add("k2", "ES256", "ec256") }, "k2", "ES256"},
		{"another", func() { p.s.Add("k3", "EdDSA", "ed25519") }, "k3", "EdDSA"},
		{"it is gone", func() { p.s.Remove("k3") }, "k2", "ES256"},
		{"by option", func() { p.s.Set(func(o *Options) { o.SigningKID = "k1" }) }, "k1", "RS256"},
	} {
		c.change()
		body := p.login(alice)
		id := p.claims(body["id_token"])
		header := parsed(t, body["id_token"]).header
		equal(t, c.name, []string{header.Kid, header.Alg}, []string{c.kid, c.alg})
		equal(t, c.name, id["at_hash"], atHash(c.alg, body["access_token"].(string)))
	}
}

func TestOtherGrants(t *testing.T) {
	t.Parallel()
	p := party(t)
	status, body := p.post("token", url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}})
	claims := p.claims(body["access_token"])
	equal(t, "client_credentials", []any{status, claims["sub"], claims["scope"], body["refresh_token"], body["id_token"]}, []any{200, "rp", "read", nil, nil})
	if status, _, _ := p.ask("userinfo", body["access_token"]); status != 403 {
		t.Errorf("userinfo of a client: %d", status)
	}
	password := url.Values{"grant_type": {"password"}, "username": {"bob"}, "password": {"another"}, "scope": {"openid"}}
	status, body = p.post("token", password)
	equal(t, "password", []any{status, p.claims(body["id_token"])["sub"], body["refresh_token"] != nil}, []any{200, "bob", true})
	p.refused("token", with(password, "password", "guess"), 400, "invalid_grant", "wrong user name or password")
	p.refused("token", with(password, "grant_type", ""), 400, "invalid_request", "no grant_type")
	p.refused("token", with(password, "grant_type", "implicit"), 400, "unsupported_grant_type", "implicit")
}

func TestOnlyOneOfManyRefreshesWins(t *testing.T) {
	t.Parallel()
	p := party(t)
	token := p.login(alice)["refresh_token"]
	release := p.s.Hold("token")
	var wait sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for range 8 {
		wait.Go(func() {
			res, err := p.try("token", refreshForm(token))
			if err != nil {
				t.Error(err)
				return
			}
			drain(res)
			mu.Lock()
			defer mu.Unlock()
			statuses[res.StatusCode]++
		})
	}
	p.s.Await(t, "token", 9) // the login's own is one
	release()
	release() // is harmless
	wait.Wait()
	equal(t, "statuses", statuses, map[int]int{200: 1, 400: 7})
}

func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	s := Start(t)
	s.AddUser(User{Name: alice, Password: "x"})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			p := newRP(t, s, "c", "d")
			body := p.login(alice)
			p.ask("userinfo", body["access_token"])
			p.post("introspect", url.Values{"token": {body["access_token"].(string)}})
			p.post("revoke", url.Values{"token": {body["refresh_token"].(string)}})
			s.LogoutToken("", nil, nil)
		})
	}
	wait.Go(func() {
		for i := range 20 {
			s.Set(func(o *Options) { o.OmitScope = i%2 == 0 })
			s.AddUser(User{Name: alice, Password: "x"})
			s.FlowFault(UserinfoNoSub)
			s.Misbehave("")
			s.Calls("token")
			s.Sessions()
			s.Discovery()
			s.CacheFor(time.Minute)
		}
	})
	wait.Wait()
	equal(t, "tokens", s.Count("token"), 4)
}
