// Package keycloak starts a real Keycloak for tests. install.sh installs it.
package keycloak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
)

const version = "26.4.0"

// Server is a running Keycloak. It is reached through a proxy that counts.
type Server struct {
	URL     string // http://host:port
	process *testenv.Process
	keys    atomic.Int64
	admin   string // token of the administrator
	t       testing.TB
}

// Start starts Keycloak with an empty database and waits until it answers.
func Start(t testing.TB) *Server {
	t.Helper()
	home := filepath.Join(testenv.Root(), ".tools", "keycloak-"+version)
	if _, err := os.Stat(filepath.Join(home, "ok")); err != nil {
		testenv.Missing(t, "Keycloak is not installed: testenv/keycloak/install.sh .tools")
	}
	if _, err := exec.LookPath("java"); err != nil {
		testenv.Missing(t, "Keycloak needs java")
	}
	s := &Server{t: t}
	direct := fmt.Sprintf("http://127.0.0.1:%d", testenv.FreePort(t))
	target, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/protocol/openid-connect/certs") {
			s.keys.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	s.URL = front.URL
	s.process = testenv.Start(t, "keycloak", filepath.Join(home, "bin", "kc.sh"),
		[]string{"start", "--optimized", "--http-enabled=true", "--http-host=127.0.0.1", "--http-port=" + target.Port(),
			"--http-management-port=" + fmt.Sprint(testenv.FreePort(t)), "--hostname=" + s.URL, "--cache=local"},
		"KC_BOOTSTRAP_ADMIN_USERNAME=admin", "KC_BOOTSTRAP_ADMIN_PASSWORD=admin", "JAVA_OPTS_KC_HEAP=-Xms128m -Xmx512m")
	s.process.WaitReady(t, 3*time.Minute, func() bool { return testenv.OK(direct + "/realms/master") })
	return s
}

// Stop ends Keycloak; the proxy answers 502 from then on.
func (s *Server) Stop() { s.process.Stop() }

// KeysAsked returns how often the keys of a realm were asked for.
func (s *Server) KeysAsked() int { return int(s.keys.Load()) }

// Tokens are what a token endpoint answers.
type Tokens struct {
	Access string `json:"access_token"`
	ID     string `json:"id_token"`
}

// Token asks a realm's token endpoint.
func (s *Server) Token(t testing.TB, realm, client, secret string, form url.Values) Tokens {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.URL+"/realms/"+realm+"/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret != "" {
		req.SetBasicAuth(client, secret)
	}
	var out Tokens
	if err := json.Unmarshal(do(t, req, http.StatusOK), &out); err != nil || out.Access == "" {
		t.Fatalf("no token: %v", err)
	}
	return out
}

// Post sends a document to the admin API.
func (s *Server) Post(t testing.TB, path string, document any) {
	s.send(t, http.MethodPost, path, document)
}

// Put is Post for what is there already.
func (s *Server) Put(t testing.TB, path string, document any) {
	s.send(t, http.MethodPut, path, document)
}

func (s *Server) send(t testing.TB, method, path string, document any) {
	t.Helper()
	body, ok := document.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(document); err != nil {
			t.Fatal(err)
		}
	}
	do(t, s.adminRequest(t, method, path, bytes.NewReader(body)), http.StatusCreated)
}

// Get reads a document from the admin API.
func (s *Server) Get(t testing.TB, path string, out any) {
	t.Helper()
	if err := json.Unmarshal(do(t, s.adminRequest(t, http.MethodGet, path, nil), http.StatusOK), out); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) adminRequest(t testing.TB, method, path string, body io.Reader) *http.Request {
	t.Helper()
	// A token lives for a minute only.
	s.admin = s.Token(t, "master", "admin-cli", "", url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {"admin"}}).Access
	req, err := http.NewRequest(method, s.URL+"/admin/realms"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.admin)
	req.Header.Set("Content-Type", "application/json")
	return req
}

func do(t testing.TB, req *http.Request, status int) []byte {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status && (status != http.StatusCreated || res.StatusCode != http.StatusNoContent) {
		t.Fatalf("%s %s: %d %s", req.Method, req.URL.Path, res.StatusCode, body)
	}
	return body
}
