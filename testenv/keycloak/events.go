package keycloak

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Event is what Keycloak says has happened.
type Event struct {
	Type    string            `json:"type"`
	Client  string            `json:"clientId"`
	User    string            `json:"userId"`
	Session string            `json:"sessionId"`
	Error   string            `json:"error"`
	Details map[string]string `json:"details"`
}

// String is an event in few words.
func (e Event) String() string {
	words := []string{e.Type}
	if e.Client != "" {
		words = append(words, "by "+e.Client)
	}
	if name := e.Details["username"]; name != "" {
		words = append(words, "of "+name)
	}
	if e.Error != "" {
		words = append(words, "("+e.Error+")")
	}
	return strings.Join(words, " ")
}

// KeepEvents has a realm remember what happens with sign-ins and tokens from now on.
func (s *Server) KeepEvents(t testing.TB, realm string) {
	t.Helper()
	s.SetRealm(t, realm, map[string]any{"eventsEnabled": true, "enabledEventTypes": []string{"LOGIN", "LOGIN_ERROR", "CODE_TO_TOKEN",
		"CODE_TO_TOKEN_ERROR", "REFRESH_TOKEN", "REFRESH_TOKEN_ERROR", "LOGOUT", "LOGOUT_ERROR", "REVOKE_GRANT", "USER_INFO_REQUEST",
		"INTROSPECT_TOKEN"}})
}

// ForgetEvents makes the next Events begin here.
func (s *Server) ForgetEvents(t testing.TB, realm string) {
	t.Helper()
	s.do(t, s.request(t, http.MethodDelete, "/admin/realms/"+realm+"/events", nil), http.StatusNoContent)
}

// Events returns what has happened, the newest first; all of it, or what is of the given types.
func (s *Server) Events(t testing.TB, realm string, types ...string) []Event {
	t.Helper()
	var out []Event
	s.get(t, "/admin/realms/"+realm+"/events?"+url.Values{"max": {"1000"}, "type": types}.Encode(), &out)
	return out
}

// SetRealm changes settings of a realm.
func (s *Server) SetRealm(t testing.TB, realm string, settings map[string]any) {
	t.Helper()
	s.change(t, "/admin/realms/"+realm, settings)
}

// SetUser changes what a realm knows of a user.
func (s *Server) SetUser(t testing.TB, realm, name string, more map[string]any) {
	t.Helper()
	s.change(t, "/admin/realms/"+realm+"/users/"+s.user(t, realm, name), more)
}

// Join makes a user a member of a group, Leave ends that.
func (s *Server) Join(t testing.TB, realm, user, group string) {
	t.Helper()
	s.member(t, http.MethodPut, realm, user, group)
}

// Leave takes a user out of a group.
func (s *Server) Leave(t testing.TB, realm, user, group string) {
	t.Helper()
	s.member(t, http.MethodDelete, realm, user, group)
}

func (s *Server) member(t testing.TB, method, realm, user, group string) {
	t.Helper()
	var found []struct{ ID string }
	s.get(t, "/admin/realms/"+realm+"/groups?exact=true&search="+url.QueryEscape(group), &found)
	if len(found) != 1 {
		t.Fatalf("the realm %s has %d groups %s", realm, len(found), group)
	}
	path := "/admin/realms/" + realm + "/users/" + s.user(t, realm, user) + "/groups/" + found[0].ID
	s.do(t, s.request(t, method, path, nil), http.StatusNoContent)
}

// Sessions returns the ids of the sessions that a user has.
func (s *Server) Sessions(t testing.TB, realm, user string) []string {
	t.Helper()
	var found []struct{ ID string }
	s.get(t, "/admin/realms/"+realm+"/users/"+s.user(t, realm, user)+"/sessions", &found)
	var ids []string
	for _, one := range found {
		ids = append(ids, one.ID)
	}
	return ids
}

func (s *Server) user(t testing.TB, realm, name string) string {
	t.Helper()
	var found []struct{ ID string }
	s.get(t, "/admin/realms/"+realm+"/users?exact=true&username="+url.QueryEscape(name), &found)
	if len(found) != 1 {
		t.Fatalf("the realm %s has %d users %s", realm, len(found), name)
	}
	return found[0].ID
}

// change puts a resource back with some of it replaced.
func (s *Server) change(t testing.TB, path string, more map[string]any) {
	t.Helper()
	var have map[string]any
	s.get(t, path, &have)
	for name, value := range more {
		have[name] = value
	}
	body, err := json.Marshal(have)
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, s.request(t, http.MethodPut, path, body), http.StatusNoContent)
}

// AddMapper adds a protocol mapper to a client and returns what removes it.
func (s *Server) AddMapper(t testing.TB, realm, client, mapper string, config map[string]string) (remove func()) {
	t.Helper()
	var found []struct{ ID string }
	s.get(t, "/admin/realms/"+realm+"/clients?clientId="+url.QueryEscape(client), &found)
	if len(found) != 1 {
		t.Fatalf("the realm %s has %d clients %s", realm, len(found), client)
	}
	body, err := json.Marshal(map[string]any{"name": "added", "protocol": "openid-connect", "protocolMapper": mapper, "config": config})
	if err != nil {
		t.Fatal(err)
	}
	path := "/admin/realms/" + realm + "/clients/" + found[0].ID + "/protocol-mappers/models"
	_, header := s.do(t, s.request(t, http.MethodPost, path, body), http.StatusCreated)
	to := header.Get("Location")
	return func() {
		t.Helper()
		s.do(t, s.request(t, http.MethodDelete, path+to[strings.LastIndexByte(to, '/'):], nil), http.StatusNoContent)
	}
}

// TLS makes a realm known by an https address, whose certificate nobody has
// reason to trust. It has nothing else from then on: issuer and endpoints are there.
func (s *Server) TLS(t testing.TB, realm string) (issuer string, certificate *x509.Certificate) {
	t.Helper()
	front := httptest.NewUnstartedServer(s.front())
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that hang up on it
	front.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	front.StartTLS()
	t.Cleanup(front.Close)
	s.SetRealm(t, realm, map[string]any{"attributes": map[string]string{"frontendUrl": front.URL}})
	return fmt.Sprint(front.URL, "/realms/", realm), front.Certificate()
}

// TokenCall is how a client asked for tokens.
type TokenCall struct {
	Grant, Client, Secret string
	Basic                 bool // by RFC 7617; otherwise in the body
	RedirectURI           string
	Proof                 bool // there was a code_verifier
}

// TokenCalls returns the requests to a realm's token endpoint, the oldest first.
func (s *Server) TokenCalls(realm string) []TokenCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]TokenCall(nil), s.calls["/realms/"+realm+"/protocol/openid-connect/token"]...)
}

// note remembers a request for tokens, and leaves it as it was.
func (s *Server) note(r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/protocol/openid-connect/token") {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	if err != nil {
		return
	}
	form, _ := url.ParseQuery(string(body))
	c := TokenCall{Grant: form.Get("grant_type"), Client: form.Get("client_id"), Secret: form.Get("client_secret"),
		RedirectURI: form.Get("redirect_uri"), Proof: form.Get("code_verifier") != ""}
	if name, secret, ok := r.BasicAuth(); ok {
		c.Client, c.Secret, c.Basic = name, secret, true
	}
	s.mu.Lock()
	s.calls[r.URL.Path] = append(s.calls[r.URL.Path], c)
	s.mu.Unlock()
}
