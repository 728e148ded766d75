package adminapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// bootstrap opens everything.
const bootstrap = "the-bootstrap-token-of-these-tests"

// Ids in the file.
const (
	aliceID  = "22222222-2222-4222-8222-222222222222"
	secondID = "33333333-3333-4333-8333-333333333333"
	keyID    = "55555555-5555-4555-8555-555555555555"
	fileKey  = "the-key-of-the-file-1"
)

// base is a file with one of everything.
func base() string {
	pem := strings.ReplaceAll(strings.TrimSpace(tokens.PublicPEM("rsa2048")), "\n", "\n      ")
	return `
_format_version: "3.0"
services:
- name: orders
  url: https://orders.internal/v1
  tags: [old, blue]
  routes:
  - name: orders
    paths: [/orders, "~/o(rders|rd)$"]
    headers: {x-version: ["2", "~*^3"]}
    plugins:
    - name: openid-connect
      config: {issuer: "https://issuer.example", client_id: [a], client_secret: [the-client-secret], session_secret: a-session-secret-of-32-characters}
  plugins:
  - {name: key-auth, config: {key_names: [apikey]}}
consumers:
- username: alice
  custom_id: a-1
  id: ` + aliceID + `
  tags: [old]
  acls: [{group: staff}, {group: admins}]
  keyauth_credentials:
  - {key: ` + fileKey + `, id: ` + keyID + `, tags: [old]}
  basicauth_credentials:
  - {username: alice, password: "{vault://env/PASSWORD}"}
  jwt_secrets:
  - {key: alice-1, secret: first-secret, tags: [old]}
  - {key: alice-2, secret: second-secret, algorithm: HS512, id: ` + secondID + `}
  - key: alice-3
    algorithm: RS256
    rsa_public_key: |
      ` + pem + `
  - {key: alice-4, jwks_uri: "https://issuer.example/jwks"}
- custom_id: b-1
  jwt_secrets:
  - {}
- username: nobody
- username: a/b c
  jwt_secrets:
  - {key: c-1}
  - {key: c-2}
`
}

// world is an admin API over a file and a registry.
type world struct {
	t        testing.TB
	src      string
	registry *registry.Registry
	handler  http.Handler
	now      time.Time
	log      bytes.Buffer
	checks   int
	conforms *conforming
}

// without is a world without a registry.
func without(t testing.TB, src string) *world {
	t.Helper()
	w := &world{t: t, src: src, now: time.Now()}
	w.start(Limits{Rate: 1e6, Burst: 1e6, FailureRate: 1e6, FailureBurst: 1e6})
	return w
}

// newWorld is a world with an empty registry.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, src: base(), now: time.Now()}
	r, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{
		Secret: redact.New(strings.Repeat("s", 32)), HashPassword: func(string) string { return testHash },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	w.registry = r
	w.start(Limits{Rate: 1e6, Burst: 1e6, FailureRate: 1e6, FailureBurst: 1e6})
	return w
}

// testHash is what passwords become here; hashing for real is slow on purpose.
const testHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func (w *world) start(limits Limits) {
	config := Config{
		Token: redact.New(bootstrap), Limits: limits,
		File: w.file, Check: w.check, Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Now: func() time.Time { return w.now },
	}
	if w.registry != nil {
		config.Registry = func() *registry.Registry { return w.registry }
	}
	handler := New(config)
	w.handler, w.conforms = handler, newConforming(w.t, handler.(*api).description)
}

func (w *world) parse(more []declarative.Further) (*declarative.File, declarative.Problems) {
	return declarative.Parse("kong.yml", []byte(w.src), declarative.Options{
		Further:      more,
		Env:          func(string) (string, bool) { return "a-password-of-the-machine", true },
		Installation: func(purpose string, _ ...string) string { return "derived-" + purpose },
		Hash: func(users, _ []string) []string {
			hashes := make([]string, len(users))
			for i := range hashes {
				hashes[i] = testHash
			}
			return hashes
		},
	})
}

// file is what would be in force now.
func (w *world) file() *declarative.File {
	var more []declarative.Further
	if w.registry != nil {
		all, err := w.registry.AllEntities(w.t.Context())
		if err != nil {
			w.t.Error(err)
		}
		more = beside(all)
	}
	f, problems := w.parse(more)
	if f == nil {
		w.t.Errorf("what is committed cannot be loaded: %v", problems)
	}
	return f
}

func (w *world) check(more []declarative.Further) declarative.Problems {
	w.checks++
	_, problems := w.parse(more)
	return problems
}

// response is an answer, read.
type response struct {
	*httptest.ResponseRecorder
	t    testing.TB
	what string
}

// send sends a request with the bootstrap token, to a loopback name, unless lines say
// otherwise: "Host: …" is the host. A body that begins with { is JSON, others are forms.
func (w *world) send(method, target, body string, lines ...string) response {
	w.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host, r.RemoteAddr = "127.0.0.1:8001", "127.0.0.1:50000"
	switch {
	case strings.HasPrefix(body, "{"):
		r.Header.Set("Content-Type", "application/json")
	case body != "":
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	authorized := false
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Host":
			r.Host = value
			continue
		case "Remote":
			r.RemoteAddr = value
			continue
		case "Content-Type":
			r.Header.Del(name)
		case "Authorization", "Kong-Admin-Token", "No-Token":
			authorized = true
		}
		if name != "No-Token" {
			r.Header.Add(name, value)
		}
	}
	if !authorized {
		r.Header.Set("Authorization", "Bearer "+bootstrap)
	}
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, r)
	res := response{out, w.t, method + " " + cut(target) + " " + cut(body)}
	w.conforms.check(res, method, target)
	return res
}

// want checks the status and returns the body.
func (r response) want(status int) map[string]any {
	r.t.Helper()
	if r.Code != status {
		r.t.Fatalf("%s: status %d, want %d: %s", r.what, r.Code, status, cut(r.Body.String()))
	}
	if r.Body.Len() == 0 {
		return nil
	}
	var out map[string]any
	if err := json.Unmarshal(r.Body.Bytes(), &out); err != nil {
		r.t.Fatalf("%s: %v: %s", r.what, err, r.Body)
	}
	return out
}

// refused checks that a request is refused with a text in its answer.
func (r response) refused(status int, text string) {
	r.t.Helper()
	r.want(status)
	if !strings.Contains(r.Body.String(), text) {
		r.t.Errorf("%s: want %s in %s", r.what, text, cut(r.Body.String()))
	}
}

// dig follows members, and elements by number.
func dig(v any, path ...any) any {
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			l, _ := v.([]any)
			if key >= len(l) {
				return nil
			}
			v = l[key]
		}
	}
	return v
}

// same checks a value by how it is printed.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func tcp(t testing.TB, addr string) net.Addr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
