package demo

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The whole way: form, code, tokens, userinfo, refresh, logout.
func TestLogin(t *testing.T) {
	t.Parallel()
	d := started(t)
	got := exchange(t, d, code(t, d, "alice"))
	if got.Expires < 58 || got.Expires > 60 || got.Scope != "openid profile email offline_access orders:read" {
		t.Errorf("expires_in %d, scope %q", got.Expires, got.Scope)
	}

	access := verified(t, d, got.Access)
	for name, want := range map[string]any{"sub": "alice", "aud": []any{"shop"}, "scope": got.Scope, "client_id": "demo", "name": "Alice Archer", "email": "alice@example.com"} {
		if !reflect.DeepEqual(access[name], want) {
			t.Errorf("access token: %s is %v, want %v", name, access[name], want)
		}
	}
	if lifetime := access["exp"].(float64) - access["iat"].(float64); lifetime < 59 || lifetime > 61 {
		t.Errorf("the access token lasts %v seconds", lifetime)
	}
	id := verified(t, d, got.ID)
	for name, want := range map[string]any{"sub": "alice", "aud": []any{"demo"}, "azp": "demo", "nonce": "no", "name": "Alice Archer", "email": "alice@example.com", "email_verified": true, "amr": []any{"pwd"}} {
		if !reflect.DeepEqual(id[name], want) {
			t.Errorf("ID token: %s is %v, want %v", name, id[name], want)
		}
	}
	if id["at_hash"] == nil || id["auth_time"] == nil || id["scope"] != nil {
		t.Errorf("ID token: %v", id)
	}
	if status, info := userinfo(t, d, got.Access); status != http.StatusOK || info["sub"] != "alice" || info["email"] != "alice@example.com" {
		t.Errorf("userinfo: %d %v", status, info)
	}

	status, next := refresh(t, d, got.Refresh)
	if status != http.StatusOK || next.Refresh == got.Refresh || next.Refresh == "" || next.Access == got.Access {
		t.Fatalf("refresh: %d %+v", status, next)
	}
	if again, id := verified(t, d, next.Access), verified(t, d, next.ID); again["scope"] != access["scope"] ||
		!reflect.DeepEqual(again["aud"], access["aud"]) || again["jti"] == access["jti"] || !reflect.DeepEqual(id["aud"], []any{"demo"}) {
		t.Errorf("refreshed: %v, %v", again, id)
	}

	res := get(t, browser(t), d.Issuer+"/end_session?"+url.Values{"id_token_hint": {next.ID}, "post_logout_redirect_uri": {d.Gateway + "/"}, "state": {"bye"}}.Encode())
	if to := res.Header.Get("Location"); to != d.Gateway+"/?state=bye" {
		t.Errorf("end_session leads to %q: %s", to, res.text)
	}
	if status, got := refresh(t, d, next.Refresh); status != http.StatusBadRequest || got.Error != "invalid_grant" {
		t.Errorf("refreshed after the end: %d %+v", status, got)
	}
	if status, _ := userinfo(t, d, next.Access); status == http.StatusOK {
		t.Error("userinfo after the end")
	}
}

func TestBobMayNotReadTheOrders(t *testing.T) {
	t.Parallel()
	d := started(t)
	got := exchange(t, d, code(t, d, "bob"))
	claims := verified(t, d, got.Access)
	if got.Scope != "openid profile email offline_access" || claims["scope"] != got.Scope || claims["sub"] != "bob" {
		t.Errorf("scope %q, claims %v", got.Scope, claims)
	}
	if status, got := ask(t, d, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}, "scope": {"orders:read"}}); status != http.StatusBadRequest || got.Error != "invalid_scope" {
		t.Errorf("a refresh for more: %d %+v", status, got)
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	d := started(t)
	c := browser(t)
	page := get(t, c, authorize(d, nil))
	for _, tt := range []struct{ username, password string }{{"alice", "bob"}, {"alice", ""}, {"mallory", "mallory"}, {"", ""}, {`"><script>`, "x"}} {
		res := fillIn(t, c, d, page, tt.username, tt.password)
		if res.StatusCode != http.StatusForbidden || !strings.Contains(res.text, `role="alert"`) || strings.Contains(res.text, "<script") {
			t.Errorf("%+v: %s %s", tt, res.Status, res.text)
		}
		page = res
	}
	if res := fillIn(t, c, d, page, "alice", "alice"); res.StatusCode != http.StatusFound {
		t.Errorf("the right one after the wrong ones: %s %s", res.Status, res.text)
	}
	if res := fillIn(t, c, d, page, "bob", "bob"); res.StatusCode != http.StatusBadRequest || !strings.Contains(res.text, "This login is over") {
		t.Errorf("a second user for one login: %s %s", res.Status, res.text)
	}
}

func TestLoginPage(t *testing.T) {
	t.Parallel()
	d := started(t)
	page := get(t, browser(t), authorize(d, url.Values{"login_hint": {"bob"}}))
	for _, want := range []string{`<label for="username">`, `<label for="password">`, `value="bob"`, "127.0.0.1:8123", "password <code>alice</code>", "may not read the orders"} {
		if !strings.Contains(page.text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if n := strings.Count(page.text, " autofocus"); n != 1 {
		t.Errorf("%d fields take the focus", n)
	}
	if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+d.Gateway) {
		t.Errorf("policy %s", policy)
	}
	res := post(t, browser(t), d.Issuer+"/login", url.Values{}, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("the form of another site: %s", res.Status)
	}
}

func TestRefusedLogins(t *testing.T) {
	t.Parallel()
	d := started(t)
	tests := []struct {
		name   string
		change url.Values
		status int
		err    string // that the gateway is told
	}{
		{"no PKCE", url.Values{"code_challenge": {""}, "code_challenge_method": {""}}, http.StatusFound, "invalid_request"},
		{"plain PKCE", url.Values{"code_challenge_method": {"plain"}}, http.StatusFound, "invalid_request"},
		{"no login allowed", url.Values{"prompt": {"none"}}, http.StatusFound, "login_required"},
		{"implicit flow", url.Values{"response_type": {"id_token token"}}, http.StatusBadRequest, ""},
		{"another client", url.Values{"client_id": {"other"}}, http.StatusBadRequest, ""},
		{"another host", url.Values{"redirect_uri": {"http://evil.example/account"}}, http.StatusBadRequest, ""},
		{"a host that begins like ours", url.Values{"redirect_uri": {d.Gateway + ".evil.example/"}}, http.StatusBadRequest, ""},
		{"another port", url.Values{"redirect_uri": {"http://127.0.0.1:81234/account"}}, http.StatusBadRequest, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := get(t, browser(t), authorize(d, tt.change))
			if res.StatusCode != tt.status {
				t.Fatalf("%s %s", res.Status, res.text)
			}
			to, _ := url.Parse(res.Header.Get("Location"))
			answer := to.Query()
			if to.Fragment != "" {
				answer, _ = url.ParseQuery(to.Fragment)
			}
			if answer.Get("error") != tt.err || answer.Has("code") {
				t.Errorf("led to %s, want the error %q", to, tt.err)
			}
		})
	}
	for _, uri := range []string{d.Gateway + "/orders?a=b", "http://localhost:8123/account", d.Gateway + "/"} {
		if page := get(t, browser(t), authorize(d, url.Values{"redirect_uri": {uri}})); !hidden.MatchString(page.text) {
			t.Errorf("%s: %s %s", uri, page.Status, page.text)
		}
	}
}

func TestRefusedExchanges(t *testing.T) {
	t.Parallel()
	d := started(t)
	good := func(code string) url.Values {
		return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {account}, "code_verifier": {verifier}}
	}
	for name, value := range map[string]string{"code_verifier": "another", "redirect_uri": account + "/x", "code": "made-up"} {
		form := good(code(t, d, "alice"))
		form.Set(name, value)
		if status, got := ask(t, d, form); status != http.StatusBadRequest || got.Error != "invalid_grant" {
			t.Errorf("another %s: %d %+v", name, status, got)
		}
	}
	form := good(code(t, d, "alice"))
	form.Del("code_verifier")
	if status, got := ask(t, d, form); status != http.StatusBadRequest || got.Access != "" {
		t.Errorf("no verifier: %d %+v", status, got)
	}
	used := code(t, d, "alice")
	exchange(t, d, used)
	if status, got := ask(t, d, good(used)); status != http.StatusBadRequest || got.Error != "invalid_grant" {
		t.Errorf("a used code: %d %+v", status, got)
	}
	form = good(code(t, d, "alice"))
	form.Set("client_id", "demo")
	form.Set("client_secret", "guessed")
	if res := post(t, http.DefaultClient, d.Issuer+"/oauth/token", form, nil); res.StatusCode == http.StatusOK || strings.Contains(res.text, "access_token") {
		t.Errorf("a wrong secret: %s %s", res.Status, res.text)
	}
	form = good(code(t, d, "alice"))
	form.Set("client_id", "demo")
	form.Set("client_secret", d.provider.client.secret)
	if res := post(t, http.DefaultClient, d.Issuer+"/oauth/token", form, nil); res.StatusCode != http.StatusOK {
		t.Errorf("the secret in the form: %s %s", res.Status, res.text)
	}
}

// A refresh token that comes twice was stolen, from the one or from the other.
func TestUsedRefreshTokenEndsTheSession(t *testing.T) {
	t.Parallel()
	d := started(t)
	first := exchange(t, d, code(t, d, "alice"))
	other := exchange(t, d, code(t, d, "alice"))
	_, second := refresh(t, d, first.Refresh)
	for _, token := range []string{first.Refresh, second.Refresh} {
		if status, got := refresh(t, d, token); status != http.StatusBadRequest || got.Error != "invalid_grant" {
			t.Errorf("%d %+v", status, got)
		}
	}
	if status, got := refresh(t, d, other.Refresh); status != http.StatusOK {
		t.Errorf("another session: %d %+v", status, got)
	}
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	d := started(t)
	got := exchange(t, d, code(t, d, "alice"))
	revoke := func(token string) {
		t.Helper()
		res := post(t, http.DefaultClient, d.Issuer+"/revoke", url.Values{"token": {token}}, func(r *http.Request) {
			r.SetBasicAuth("demo", d.provider.client.secret)
		})
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s %s", res.Status, res.text)
		}
	}
	revoke(got.Access)
	if status, _ := userinfo(t, d, got.Access); status == http.StatusOK {
		t.Error("userinfo with a token that was revoked")
	}
	_, got = refresh(t, d, got.Refresh)
	revoke(got.Refresh)
	if status, _ := refresh(t, d, got.Refresh); status == http.StatusOK {
		t.Error("a refresh token that was revoked")
	}
	if status, _ := userinfo(t, d, got.Access); status == http.StatusOK {
		t.Error("the access token outlives its refresh token")
	}
	revoke("unknown")
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	d := started(t)
	got := exchange(t, d, code(t, d, "alice"))
	for token, want := range map[string]bool{got.Access: true, got.Refresh: false, "unknown": false} {
		res := post(t, http.DefaultClient, d.Issuer+"/oauth/introspect", url.Values{"token": {token}}, func(r *http.Request) {
			r.SetBasicAuth("demo", d.provider.client.secret)
		})
		var answer struct {
			Active bool
			Sub    string
		}
		if err := json.Unmarshal([]byte(res.text), &answer); err != nil || answer.Active != want || (answer.Sub == "alice") != want {
			t.Errorf("%s, want active %v", res.text, want)
		}
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	d := started(t)
	var got struct {
		Issuer      string
		Authorize   string   `json:"authorization_endpoint"`
		Token       string   `json:"token_endpoint"`
		Userinfo    string   `json:"userinfo_endpoint"`
		Revocation  string   `json:"revocation_endpoint"`
		EndSession  string   `json:"end_session_endpoint"`
		Keys        string   `json:"jwks_uri"`
		Scopes      []string `json:"scopes_supported"`
		PKCE        []string `json:"code_challenge_methods_supported"`
		AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
		Algorithms  []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := json.Unmarshal([]byte(get(t, http.DefaultClient, d.Issuer+"/.well-known/openid-configuration").text), &got); err != nil {
		t.Fatal(err)
	}
	if got.Issuer != d.Issuer || !slices.Equal(got.PKCE, []string{"S256"}) || !slices.Equal(got.Algorithms, []string{"ES256"}) || !slices.Contains(got.Scopes, ordersScope) {
		t.Errorf("%+v", got)
	}
	for _, url := range []string{got.Authorize, got.Token, got.Userinfo, got.Revocation, got.EndSession, got.Keys} {
		if !strings.HasPrefix(url, d.Issuer+"/") {
			t.Errorf("%+v", got)
		}
	}
	if !slices.Contains(got.AuthMethods, "client_secret_basic") || !slices.Contains(got.AuthMethods, "client_secret_post") {
		t.Errorf("%v", got.AuthMethods)
	}
}

func TestTokenForCurl(t *testing.T) {
	t.Parallel()
	d := started(t)
	for user, scope := range map[string]string{"alice": "profile email orders:read", "bob": "profile email"} {
		res := get(t, http.DefaultClient, d.Issuer+"/token/"+user)
		claims := verified(t, d, res.text)
		if claims["sub"] != user || claims["scope"] != scope || !reflect.DeepEqual(claims["aud"], []any{"shop"}) {
			t.Errorf("%v", claims)
		}
		if status, info := userinfo(t, d, res.text); status != http.StatusOK || info["sub"] != user {
			t.Errorf("userinfo: %d %v", status, info)
		}
	}
	if res := get(t, http.DefaultClient, d.Issuer+"/token/mallory"); res.StatusCode != http.StatusNotFound {
		t.Errorf("%s %s", res.Status, res.text)
	}
}
