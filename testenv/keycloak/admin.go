package keycloak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// admin is the name and the password of the administrator.
const admin = "admin"

// Tokens are what a token endpoint answers.
type Tokens struct {
	Access  string `json:"access_token"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token"`
}

// ClientToken returns a client's own access token (RFC 6749 §4.4).
func (s *Server) ClientToken(t testing.TB, realm, client, secret string) string {
	t.Helper()
	return s.token(t, realm, client, secret, url.Values{"grant_type": {"client_credentials"}}).Access
}

// UserTokens returns a user's tokens (RFC 6749 §4.3); with the scope openid an ID
// token is among them.
func (s *Server) UserTokens(t testing.TB, realm, client, secret, user, password, scope string) Tokens {
	t.Helper()
	form := url.Values{"grant_type": {"password"}, "username": {user}, "password": {password}}
	if scope != "" {
		form.Set("scope", scope)
	}
	return s.token(t, realm, client, secret, form)
}

func (s *Server) token(t testing.TB, realm, client, secret string, form url.Values) Tokens {
	t.Helper()
	if secret == "" { // a public client
		form.Set("client_id", client)
	}
	req, err := http.NewRequest(http.MethodPost, s.Issuer(realm)+tokenPath, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		req.SetBasicAuth(client, secret)
	}
	body, _ := s.do(t, req, http.StatusOK)
	var out Tokens
	if err := json.Unmarshal(body, &out); err != nil || out.Access == "" {
		t.Fatalf("no token for %s: %v", client, err)
	}
	return out
}

// Key is a key of a realm.
type Key struct {
	Provider string // its id in the admin API
	ID       string // kid
}

// AddKey has a realm generate a key, which signs at once: it gets a higher
// priority than all before it. The provider is rsa-generated, ecdsa-generated or
// eddsa-generated; more are its settings.
func (s *Server) AddKey(t testing.TB, realm, provider string, more map[string]string) Key {
	t.Helper()
	var r struct{ ID string }
	s.get(t, "/admin/realms/"+realm, &r)
	var before metadata
	s.get(t, "/admin/realms/"+realm+"/keys", &before)
	priority := int64(0)
	for _, k := range before.Keys {
		priority = max(priority, k.Priority)
	}
	config := map[string][]string{"priority": {fmt.Sprint(priority + 1)}, "enabled": {"true"}, "active": {"true"}}
	for name, value := range more {
		config[name] = []string{value}
	}
	body, err := json.Marshal(map[string]any{"name": fmt.Sprint(provider, "-", priority+1), "providerId": provider,
		"providerType": "org.keycloak.keys.KeyProvider", "parentId": r.ID, "config": config})
	if err != nil {
		t.Fatal(err)
	}
	_, header := s.do(t, s.request(t, http.MethodPost, "/admin/realms/"+realm+"/components", body), http.StatusCreated)
	location := header.Get("Location")
	id := location[strings.LastIndexByte(location, '/')+1:]
	var after metadata
	s.get(t, "/admin/realms/"+realm+"/keys", &after)
	for _, k := range after.Keys {
		if k.ProviderID == id {
			return Key{id, k.KeyID}
		}
	}
	t.Fatalf("the realm %s has no key of the provider that was added", realm)
	return Key{}
}

// metadata is what the admin API tells of a realm's keys.
type metadata struct {
	Keys []struct {
		ProviderID string `json:"providerId"`
		KeyID      string `json:"kid"`
		Priority   int64  `json:"providerPriority"`
	}
}

// RemoveKey takes a key away for good: Keycloak signs with an older one again.
func (s *Server) RemoveKey(t testing.TB, realm string, k Key) {
	t.Helper()
	s.do(t, s.request(t, http.MethodDelete, "/admin/realms/"+realm+"/components/"+k.Provider, nil), http.StatusNoContent)
}

func (s *Server) get(t testing.TB, path string, out any) {
	t.Helper()
	body, _ := s.do(t, s.request(t, http.MethodGet, path, nil), http.StatusOK)
	if err := json.Unmarshal(body, out); err != nil {
		t.Fatal(err)
	}
}

// request makes a request to the admin API, with a token of its own: one lives
// for a minute only.
func (s *Server) request(t testing.TB, method, path string, body []byte) *http.Request {
	t.Helper()
	token := s.UserTokens(t, "master", "admin-cli", "", admin, admin, "").Access
	req, err := http.NewRequest(method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	return req
}

func (s *Server) do(t testing.TB, req *http.Request, status int) ([]byte, http.Header) {
	t.Helper()
	res, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status {
		t.Fatalf("Keycloak: %s %s: %d %s", req.Method, req.URL.Path, res.StatusCode, body)
	}
	return body, res.Header
}

// SetClient changes attributes of a client.
func (s *Server) SetClient(t testing.TB, realm, client string, attributes map[string]string) {
	t.Helper()
	var found []map[string]any
	s.get(t, "/admin/realms/"+realm+"/clients?clientId="+url.QueryEscape(client), &found)
	if len(found) != 1 {
		t.Fatalf("the realm %s has %d clients %s", realm, len(found), client)
	}
	have, _ := found[0]["attributes"].(map[string]any)
	if have == nil {
		have = map[string]any{}
	}
	for name, value := range attributes {
		have[name] = value
	}
	found[0]["attributes"] = have
	body, err := json.Marshal(found[0])
	if err != nil {
		t.Fatal(err)
	}
	id, _ := found[0]["id"].(string)
	s.do(t, s.request(t, http.MethodPut, "/admin/realms/"+realm+"/clients/"+id, body), http.StatusNoContent)
}

// EndSession ends a session, as an administrator does; its id is the claim sid.
// Keycloak tells the clients of it by their back channel. (Ending all sessions of a user at
// once, which the admin API can do too, tells a client of one of them only.)
func (s *Server) EndSession(t testing.TB, realm, sid string) {
	t.Helper()
	s.do(t, s.request(t, http.MethodDelete, "/admin/realms/"+realm+"/sessions/"+sid, nil), http.StatusNoContent)
}

// TokensAsked returns how often the token endpoint of a realm was asked.
func (s *Server) TokensAsked(realm string) int {
	return s.count("/realms/" + realm + tokenPath)
}
