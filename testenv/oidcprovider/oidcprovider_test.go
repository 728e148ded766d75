//go:build real

package oidcprovider_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"

	"github.com/sallyport-auth/sallyport/testenv/browser"
	"github.com/sallyport-auth/sallyport/testenv/oidcprovider"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

const (
	callback   = "http://127.0.0.1:1/callback"
	loggedOut  = "http://127.0.0.1:1/bye"
	confidence = "a secret"
)

var alice = oidcprovider.User{Login: "alice", Password: "wonder & land", Subject: "a1",
	Claims:      map[string]any{"name": "Alice", "email": "alice@example.org", "groups": []string{"staff", "admin"}},
	TokenClaims: map[string]any{"groups": []string{"staff"}}}

// web is a client as most are.
func web(id string) oidcprovider.Client {
	return oidcprovider.Client{ID: id, Secret: confidence, RedirectURIs: []string{callback}, PostLogoutRedirectURIs: []string{loggedOut}}
}

// party is a client at work, by code of others.
type party struct {
	t        *testing.T
	provider *oidc.Provider
	oauth    oauth2.Config
}

func join(t *testing.T, s *oidcprovider.Server, id, secret string, scopes ...string) *party {
	t.Helper()
	provider, err := oidc.NewProvider(context.Background(), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &party{t, provider, oauth2.Config{ClientID: id, ClientSecret: secret, RedirectURL: callback,
		Endpoint: provider.Endpoint(), Scopes: append([]string{oidc.ScopeOpenID}, scopes...)}}
}

// login has a person log in and trades the code for tokens.
func (p *party) login(who *oidcprovider.Person, options ...oauth2.AuthCodeOption) *oauth2.Token {
	p.t.Helper()
	verifier := oauth2.GenerateVerifier()
	at := p.oauth.AuthCodeURL("the state", append(options, oauth2.S256ChallengeOption(verifier), oidc.Nonce("the nonce"))...)
	back, err := url.Parse(who.Authorize(p.t, at))
	if err != nil || !strings.HasPrefix(back.String(), callback+"?") || back.Query().Get("state") != "the state" {
		p.t.Fatalf("%v: back at %s", err, back)
	}
	token, err := p.oauth.Exchange(context.Background(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		p.t.Fatal(err)
	}
	return token
}

// id verifies the ID token that came with a token.
func (p *party) id(token *oauth2.Token) (*oidc.IDToken, map[string]any) {
	p.t.Helper()
	raw, _ := token.Extra("id_token").(string)
	got, err := p.provider.Verifier(&oidc.Config{ClientID: p.oauth.ClientID}).Verify(context.Background(), raw)
	if err != nil {
		p.t.Fatal(err)
	}
	var claims map[string]any
	if err := got.Claims(&claims); err != nil {
		p.t.Fatal(err)
	}
	return got, claims
}

func (p *party) refresh(token string) (*oauth2.Token, error) {
	return p.oauth.TokenSource(context.Background(), &oauth2.Token{RefreshToken: token}).Token()
}

// ask posts a token to an endpoint, as a confidential client.
func (p *party) ask(path, token string) (int, map[string]any) {
	p.t.Helper()
	issuer := strings.TrimSuffix(p.provider.Endpoint().TokenURL, "/token")
	req, err := http.NewRequest(http.MethodPost, issuer+path, strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(p.oauth.ClientID), url.QueryEscape(p.oauth.ClientSecret))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	var out map[string]any
	_ = json.NewDecoder(res.Body).Decode(&out)
	return res.StatusCode, out
}

func TestLogin(t *testing.T) {
	s := oidcprovider.Start(t, oidcprovider.Config{Clients: []oidcprovider.Client{web("app")}, Users: []oidcprovider.User{alice}})
	p := join(t, s, "app", confidence, "profile", "email", "groups", "read")
	who := s.Person("alice", alice.Password)
	token := p.login(who)
	id, claims := p.id(token)
	if id.Subject != "a1" || id.Nonce != "the nonce" || claims["name"] != "Alice" {
		t.Errorf("ID token: %v", claims)
	}

	// A JWT for the resource, with its scopes and the user's claims.
	var access struct {
		jwt.RegisteredClaims
		Scope  string
		Groups []string
		Client string `json:"client_id"`
	}
	keys := oidc.NewRemoteKeySet(context.Background(), s.URL+"/jwks")
	payload, err := keys.VerifySignature(context.Background(), token.AccessToken)
	if err == nil {
		err = json.Unmarshal(payload, &access)
	}
	if err != nil || access.Issuer != s.URL || access.Subject != "a1" || access.Scope != "read" || access.Client != "app" ||
		len(access.Audience) != 1 || access.Audience[0] != "https://api.example" || len(access.Groups) != 1 {
		t.Errorf("access token: %v: %s", err, payload)
	}

	// Whoever has logged in is not asked again.
	before := len(s.Requests(t, ""))
	p.login(who)
	for _, r := range s.Requests(t, "")[before:] {
		if strings.HasPrefix(r.Path, "/interaction/") {
			t.Errorf("asked again: %v", r)
		}
	}
	p.login(who, oauth2.SetAuthURLParam("prompt", "consent")) // one more page

	if _, err := s.Person("alice", "wrong").TryAuthorize(p.oauth.AuthCodeURL("s", oauth2.S256ChallengeOption("v"))); err == nil ||
		!strings.Contains(err.Error(), "Login or password is wrong") {
		t.Errorf("a wrong password: %v", err)
	}
	no := s.Person("alice", alice.Password)
	no.Refuse = true
	if back := no.Authorize(t, p.oauth.AuthCodeURL("s", oauth2.S256ChallengeOption("v"))); !strings.Contains(back, "error=access_denied") {
		t.Errorf("refused: %s", back)
	}
	if back := who.Authorize(t, p.oauth.AuthCodeURL("s")); !strings.Contains(back, "error=invalid_request") {
		t.Errorf("without PKCE: %s", back)
	}
}

func TestRefresh(t *testing.T) {
	s := oidcprovider.Start(t, oidcprovider.Config{Clients: []oidcprovider.Client{web("app")}, Users: []oidcprovider.User{alice}})
	p := join(t, s, "app", confidence)
	first := p.login(s.Person("alice", alice.Password))
	second, err := p.refresh(first.RefreshToken)
	if err != nil || second.RefreshToken == first.RefreshToken || second.RefreshToken == "" {
		t.Fatalf("%v: %v", err, second)
	}
	if _, err := p.refresh(first.RefreshToken); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("an old one again: %v", err)
	}
	if _, err := p.refresh(second.RefreshToken); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("the new one after that: %v", err)
	}
	if n := len(s.Requests(t, "/token")); n != 4 {
		t.Errorf("%d requests for tokens", n)
	}
}

func TestOpaque(t *testing.T) {
	client := web("app")
	client.Opaque = true
	s := oidcprovider.Start(t, oidcprovider.Config{Clients: []oidcprovider.Client{client}, Users: []oidcprovider.User{alice}})
	p := join(t, s, "app", confidence, "email", "groups")
	token := p.login(s.Person("alice", alice.Password))
	if strings.Contains(token.AccessToken, ".") {
		t.Errorf("it is a JWT: %s", token.AccessToken)
	}
	if _, claims := p.id(token); claims["email"] != nil {
		t.Errorf("ID token: %v", claims)
	}
	status, seen := p.ask("/token/introspection", token.AccessToken)
	if status != 200 || seen["active"] != true || seen["sub"] != "a1" || seen["scope"] != "openid email groups" || seen["groups"] == nil {
		t.Errorf("introspection: %d %v", status, seen)
	}
	info, err := p.provider.UserInfo(context.Background(), oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != "a1" || info.Email != "alice@example.org" {
		t.Errorf("userinfo: %v %v", err, info)
	}
	if status, _ := p.ask("/token/revocation", token.AccessToken); status != 200 {
		t.Errorf("revocation: %d", status)
	}
	if _, seen := p.ask("/token/introspection", token.AccessToken); seen["active"] != false {
		t.Errorf("after revocation: %v", seen)
	}
}

// A client proves by a key which it publishes who it is.
func TestPrivateKey(t *testing.T) {
	published := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{tokens.JWK("ec256b", "k", nil)}})
	}))
	t.Cleanup(published.Close)
	client := oidcprovider.Client{ID: "app", AuthMethod: "private_key_jwt", JWKSURI: published.URL,
		GrantTypes: []string{"client_credentials"}}
	s := oidcprovider.Start(t, oidcprovider.Config{Clients: []oidcprovider.Client{client}, Resource: oidcprovider.Resource{Alg: "ES256"}})
	now := time.Now().Unix()
	assertion := tokens.Sign("ec256b", map[string]any{"alg": "ES256", "kid": "k"}, map[string]any{
		"iss": "app", "sub": "app", "aud": s.URL, "jti": "once", "iat": now, "exp": now + 60})
	res, err := http.PostForm(s.URL+"/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"write"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	var got struct {
		Token string `json:"access_token"`
		Scope string
	}
	if err := json.Unmarshal(body, &got); err != nil || res.StatusCode != 200 || got.Scope != "write" || strings.Count(got.Token, ".") != 2 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	header, _, err := jwt.NewParser().ParseUnverified(got.Token, jwt.MapClaims{})
	if err != nil || header.Header["alg"] != "ES256" || header.Header["kid"] != "ec256" {
		t.Errorf("%v %v", err, header)
	}
}

func TestLogout(t *testing.T) {
	told := make(chan string, 1)
	listener := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.FormValue("logout_token") }))
	t.Cleanup(listener.Close)
	client := web("app")
	client.BackchannelLogoutURI = listener.URL + "/logout"
	s := oidcprovider.Start(t, oidcprovider.Config{Clients: []oidcprovider.Client{client}, Users: []oidcprovider.User{alice}})
	p := join(t, s, "app", confidence)
	who := s.Person("alice", alice.Password)
	token := p.login(who)
	_, claims := p.id(token)
	raw, _ := token.Extra("id_token").(string)
	back := who.EndSession(t, s.URL+"/session/end?"+url.Values{"id_token_hint": {raw}, "post_logout_redirect_uri": {loggedOut}, "state": {"x"}}.Encode())
	if back != loggedOut+"?state=x" {
		t.Errorf("back at %s", back)
	}
	logout, err := p.provider.Verifier(&oidc.Config{ClientID: "app", SkipExpiryCheck: true}).Verify(context.Background(), <-told)
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]any
	if err := logout.Claims(&said); err != nil || said["sid"] != claims["sid"] || said["sid"] == nil || said["events"] == nil {
		t.Errorf("told %v of %v", said, claims["sid"])
	}
	if _, err := p.refresh(token.RefreshToken); err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("refreshed after logout: %v", err)
	}
}

// The issuer stays when the provider is started again, with other keys.
func TestRun(t *testing.T) {
	opaque := web("app")
	opaque.Opaque = true
	s := oidcprovider.Start(t, oidcprovider.Config{Host: "localhost", Clients: []oidcprovider.Client{opaque}, Users: []oidcprovider.User{alice},
		IDTokenClaims: true, TTL: oidcprovider.TTL{AccessToken: 2 * time.Minute}})
	p := join(t, s, "app", confidence, "profile")
	token := p.login(s.Person("alice", alice.Password))
	if _, claims := p.id(token); claims["name"] != "Alice" || token.ExpiresIn != 120 {
		t.Errorf("%v, for %d s", claims, token.ExpiresIn)
	}
	s.Stop()
	if _, err := http.Get(s.URL + "/jwks"); err == nil {
		t.Error("it still answers")
	}
	s.Config.Keys = []string{"rsa2048b"}
	s.Run(t)
	if _, err := p.refresh(token.RefreshToken); err == nil {
		t.Error("nothing is forgotten")
	}
	token = join(t, s, "app", confidence).login(s.Person("alice", alice.Password))
	raw, _ := token.Extra("id_token").(string)
	header, _, err := jwt.NewParser().ParseUnverified(raw, jwt.MapClaims{})
	if err != nil || header.Header["kid"] != "rsa2048b" {
		t.Errorf("%v %v", err, header)
	}
	if n := len(s.Requests(t, "/token")); n < 3 {
		t.Errorf("%d requests for tokens are logged", n)
	}
}

// The pages are for a real browser too.
func TestBrowser(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.String()) }))
	t.Cleanup(app.Close)
	client := oidcprovider.Client{ID: "app", Secret: confidence, RedirectURIs: []string{app.URL + "/callback"}, PostLogoutRedirectURIs: []string{app.URL + "/bye"}}
	s := oidcprovider.Start(t, oidcprovider.Config{Host: "localhost", Clients: []oidcprovider.Client{client}, Users: []oidcprovider.User{alice}})
	p := join(t, s, "app", confidence)
	p.oauth.RedirectURL = app.URL + "/callback"

	tab := browser.Start(t).New(t).Tab(t)
	tab.Navigate(p.oauth.AuthCodeURL("s", oauth2.S256ChallengeOption("v")))
	tab.Fill("[name=login]", "alice")
	tab.Fill("[name=password]", "wrong")
	if n := tab.Follow("#login"); n.Status != 401 || !strings.Contains(tab.Text(), "Login or password is wrong") {
		t.Errorf("a wrong password: %d %s", n.Status, tab.Text())
	}
	tab.Fill("[name=login]", "alice")
	tab.Fill("[name=password]", alice.Password)
	if n := tab.Submit("[name=password]"); n.Status != 200 || !strings.HasPrefix(n.URL, app.URL+"/callback?code=") {
		t.Errorf("logged in: %d at %s", n.Status, n.URL)
	}
	tab.Navigate(s.URL + "/session/end?" + url.Values{"client_id": {"app"}, "post_logout_redirect_uri": {app.URL + "/bye"}}.Encode())
	if n := tab.Follow("#logout"); n.URL != app.URL+"/bye" {
		t.Errorf("logged out: at %s", n.URL)
	}
	if n := tab.Navigate(p.oauth.AuthCodeURL("s", oauth2.S256ChallengeOption("v"))); !strings.HasPrefix(n.URL, s.URL+"/interaction/") {
		t.Errorf("it remembers: at %s", n.URL)
	}
	if n := tab.Follow("#cancel"); !strings.HasPrefix(n.URL, app.URL+"/callback?error=access_denied") {
		t.Errorf("refused: at %s", n.URL)
	}
}
