// Package oidcprovider runs the OpenID-certified npm package oidc-provider for
// tests. install.sh installs it, server.mjs is what it runs.
//
// Clients have to use PKCE with S256. Refresh tokens are issued to every client
// that may have them, rotate with each use, and using one again ends the login.
// Nothing is asked of a user but login and password. What it issued is forgotten
// when it stops.
package oidcprovider

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// Version is the one that install.sh installs.
const Version = "8.8.1"

// Config is what a provider knows.
type Config struct {
	// Host is in the issuer: 127.0.0.1 unless it is said to be localhost, which a
	// browser takes for another site, with cookies of its own.
	Host    string
	Clients []Client
	Users   []User
	// Scopes are the claims that come with a scope. Without, they are those of
	// profile and email (OIDC Core §5.4), and groups.
	Scopes map[string][]string
	// IDTokenClaims puts those claims into all ID tokens; without, only into those
	// that come with a JWT access token, which the userinfo endpoint does not take.
	IDTokenClaims bool
	// Resource is whom JWT access tokens are for.
	Resource Resource
	// Keys are names of keys of testenv/tokens. The first that fits an algorithm
	// signs with it. Without, they are rsa2048, ec256 and ed25519.
	Keys []string
	TTL  TTL
}

// Client is an application. Extra is more of its metadata, by the names of OpenID
// Connect Dynamic Client Registration 1.0 §2.
type Client struct {
	ID                     string
	Secret                 string
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	AuthMethod             string   // client_secret_basic (if empty), client_secret_post, client_secret_jwt, private_key_jwt, none
	JWKSURI                string   // of private_key_jwt
	GrantTypes             []string // authorization_code and refresh_token if empty; client_credentials
	IDTokenAlg             string   // RS256 (if empty), RS512, PS256, ES256, EdDSA, HS256
	BackchannelLogoutURI   string   // its logout tokens have sid
	Opaque                 bool     // access tokens are opaque, and the only ones that the userinfo endpoint takes
	Extra                  map[string]any
}

// User is somebody who can log in.
type User struct {
	Login       string         `json:"login"`
	Password    string         `json:"password"`
	Subject     string         `json:"subject"` // the login if empty
	Claims      map[string]any `json:"claims"`
	TokenClaims map[string]any `json:"tokenClaims"` // more, in access tokens
}

// Resource is an API with access tokens of its own (RFC 8707). Other scopes than
// its own are not in them.
type Resource struct {
	ID    string `json:"id"`    // the audience; https://api.example if empty
	Scope string `json:"scope"` // "read write" if empty
	Alg   string `json:"alg"`   // RS256 if empty
}

// TTL is for how long things are valid, in whole seconds; an hour if zero.
type TTL struct {
	AccessToken, IDToken, RefreshToken, Code, Session time.Duration
}

// Server is a running provider. It ends with the test.
type Server struct {
	URL    string // also the issuer
	Config Config // as it was at the last Run

	port    int
	process *testenv.Process
	logs    string // of the processes before
	asked   int    // how often Requests was called
}

// Request is a request that the provider answered.
type Request struct {
	Method, Path string
	Status       int
}

// Path returns the folder of the package, skipping the test where it or node is
// missing.
func Path(t testing.TB) string {
	t.Helper()
	home := filepath.Join(testenv.Root(), ".tools", "oidc-provider-"+Version)
	if _, err := os.Stat(filepath.Join(home, "ok")); err != nil {
		testenv.Missing(t, "oidc-provider %s is not installed: run testenv/oidcprovider/install.sh .tools", Version)
	}
	if _, err := exec.LookPath("node"); err != nil {
		testenv.Missing(t, "oidc-provider needs node: run testenv/oidcprovider/install.sh .tools")
	}
	return filepath.Join(home, "node_modules", "oidc-provider")
}

// Start starts a provider and waits until it answers.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	Path(t)
	s := &Server{Config: c, port: testenv.FreePort(t)}
	host := c.Host
	if host == "" {
		host = "127.0.0.1"
	}
	s.URL = fmt.Sprintf("http://%s:%d", host, s.port)
	s.Run(t)
	return s
}

// Run starts the process, again after Stop, with what Config is by then. The
// issuer stays.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	data, err := json.Marshal(s.config())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(testenv.TempDir(t), "config.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(testenv.Root(), "testenv", "oidcprovider", "server.mjs")
	if s.process != nil {
		s.logs += s.process.Log()
	}
	s.process = testenv.Start(t, "oidc-provider", "node", []string{script, Path(t), file})
	process := s.process
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of oidc-provider's log:\n%s", process.Tail())
		}
	})
	process.WaitReady(t, time.Minute, func() bool { return testenv.OK(s.URL + "/.well-known/openid-configuration") })
}

// Stop ends the process.
func (s *Server) Stop() { s.process.Stop() }

// Log returns what all processes have written.
func (s *Server) Log() string { return s.logs + s.process.Log() }

// Requests returns the requests that were answered up to now, all paths or one.
func (s *Server) Requests(t testing.TB, path string) []Request {
	t.Helper()
	const marks = "/mark/"
	if !s.process.Ended() { // what the log has before a request's line is all
		s.asked++
		mark := fmt.Sprint(marks, s.asked)
		_ = testenv.OK(s.URL + mark)
		testenv.Eventually(t, 10*time.Second, "the log", func() bool { return strings.Contains(s.Log(), mark+`"`) })
	}
	var out []Request
	for line := range strings.Lines(s.Log()) {
		var r Request
		if json.Unmarshal([]byte(line), &r) == nil && r.Method != "" && !strings.HasPrefix(r.Path, marks) && (path == "" || r.Path == path) {
			out = append(out, r)
		}
	}
	return out
}

// config is what server.mjs reads.
func (s *Server) config() map[string]any {
	c := s.Config
	clients, opaque := []map[string]any{}, []string{}
	for _, client := range c.Clients {
		clients = append(clients, client.metadata())
		if client.Opaque {
			opaque = append(opaque, client.ID)
		}
	}
	users := append([]User{}, c.Users...)
	for i, u := range users {
		users[i].Subject = or(u.Subject, u.Login)
	}
	if c.Scopes == nil {
		c.Scopes = map[string][]string{"profile": {"name", "family_name", "given_name", "preferred_username"},
			"email": {"email", "email_verified"}, "groups": {"groups"}}
	}
	scopes := maps.Clone(c.Scopes)
	scopes["openid"] = append([]string{"sub"}, scopes["openid"]...)
	return map[string]any{
		"issuer": s.URL, "port": s.port, "clients": clients, "opaque": opaque, "users": users, "scopes": scopes,
		"idTokenClaims": c.IDTokenClaims, "jwks": keys(c.Keys),
		"resource": Resource{or(c.Resource.ID, "https://api.example"), or(c.Resource.Scope, "read write"), or(c.Resource.Alg, "RS256")},
		"ttl": map[string]int{
			"AccessToken": seconds(c.TTL.AccessToken), "ClientCredentials": seconds(c.TTL.AccessToken), "IdToken": seconds(c.TTL.IDToken),
			"RefreshToken": seconds(c.TTL.RefreshToken), "AuthorizationCode": seconds(c.TTL.Code),
			"Session": seconds(c.TTL.Session), "Grant": seconds(max(c.TTL.Session, c.TTL.RefreshToken)), "Interaction": seconds(0),
		},
	}
}

func (c Client) metadata() map[string]any {
	out := map[string]any{"client_id": c.ID, "client_secret": c.Secret, "redirect_uris": c.RedirectURIs,
		"post_logout_redirect_uris": c.PostLogoutRedirectURIs, "token_endpoint_auth_method": or(c.AuthMethod, "client_secret_basic"),
		"jwks_uri": c.JWKSURI, "grant_types": c.GrantTypes, "response_types": []string{"code"},
		"id_token_signed_response_alg": or(c.IDTokenAlg, "RS256"),
		"backchannel_logout_uri":       c.BackchannelLogoutURI, "backchannel_logout_session_required": c.BackchannelLogoutURI != ""}
	if len(c.GrantTypes) == 0 {
		out["grant_types"] = []string{"authorization_code", "refresh_token"}
	}
	if c.RedirectURIs == nil {
		out["redirect_uris"], out["response_types"] = []string{}, []string{}
	}
	if c.PostLogoutRedirectURIs == nil {
		out["post_logout_redirect_uris"] = []string{}
	}
	for _, name := range []string{"client_secret", "jwks_uri", "backchannel_logout_uri"} {
		if out[name] == "" {
			delete(out, name)
		}
	}
	maps.Copy(out, c.Extra)
	return out
}

func keys(names []string) jose.JSONWebKeySet {
	if len(names) == 0 {
		names = []string{"rsa2048", "ec256", "ed25519"}
	}
	var set jose.JSONWebKeySet
	for _, name := range names {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: tokens.Private(name), KeyID: name, Use: "sig"})
	}
	return set
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func seconds(d time.Duration) int {
	if d == 0 {
		d = time.Hour
	}
	return int(d / time.Second)
}

// within reports whether a URL is the provider's.
func (s *Server) within(u *url.URL) bool { return u.Scheme+"://"+u.Host == s.URL }
