//go:build real

package real

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/keycloak"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// inBoth runs a test in each host.
func inBoth(t *testing.T, run func(t *testing.T, host string)) {
	for _, host := range stack.Hosts {
		t.Run(host, func(t *testing.T) { run(t, host) })
	}
}

// rig is a gateway between a Keycloak and an upstream.
type rig struct {
	*stack.Stack
	kc *keycloak.Server
	up *echo.Server
}

// start starts a gateway in a host.
func start(t *testing.T, host string, kc *keycloak.Server, file func(kc *keycloak.Server, upstream string) string) *rig {
	t.Helper()
	up := echo.Start(t)
	return &rig{stack.Start(t, host, file(kc, up.URL), stack.Options{}), kc, up}
}

// read returns a file of the example.
func read(name string) []byte { return readOf("keycloak", name) }

// readOf returns a file of an example.
func readOf(example, name string) []byte {
	data, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", example, name))
	if err != nil {
		panic(err)
	}
	return data
}

// example is the file of the example with the addresses of this run and no other
// change.
func example(kc *keycloak.Server, upstream string) string {
	return addressed(read("kong.yml"), kc, upstream)
}

func addressed(file []byte, kc *keycloak.Server, upstream string) string {
	text := string(file)
	for theirs, ours := range map[string]string{"http://localhost:3000": upstream, "http://localhost:8080": kc.URL} {
		if !strings.Contains(text, theirs) {
			panic("the example does not have " + theirs)
		}
		text = strings.ReplaceAll(text, theirs, ours)
	}
	return text
}

// client returns an access token of a client of the example's realm.
func (r *rig) client(t testing.TB, name string) string {
	t.Helper()
	return r.kc.ClientToken(t, "shop", name, name+"-secret")
}

// payload returns the claims of a token, unverified.
func payload(t testing.TB, token string) map[string]any {
	t.Helper()
	return part(t, token, 1)
}

// kid returns the key id in a token's header.
func kid(t testing.TB, token string) string {
	t.Helper()
	id, _ := part(t, token, 0)["kid"].(string)
	return id
}

func part(t testing.TB, token string, i int) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// exchange is one request with everything that came of it.
type exchange struct {
	*testenv.Response
	r    *rig
	seen []echo.Request // what the upstream received
}

// send sends a request with a bearer token, none for "", and looks at both ends.
func (r *rig) send(t testing.TB, method, target, token string, lines ...string) *exchange {
	t.Helper()
	id := tokens.Random()
	lines = append(lines, echo.TestID+": "+id)
	if token != "" {
		lines = append(lines, "Authorization: Bearer "+token)
	}
	x := &exchange{Response: testenv.Raw(t, r.Addr, testenv.Request(method, target, lines...)), r: r}
	x.seen = r.up.Seen(id)
	testenv.Evidence(t, "%s: %s %s -> %d %s, www-authenticate %q, upstream called %d times", r.Host, method, target, x.Status,
		x.shown(), x.Header.Get("WWW-Authenticate"), len(x.seen))
	return x
}

// shown is the body as far as it may be printed: an echo has the token in it.
func (x *exchange) shown() string {
	if x.Status == http.StatusOK {
		return "(the upstream's answer)"
	}
	return strings.TrimSpace(x.Body)
}

// allowed asserts that the request went through, once, with the token and with
// the identity that the token has.
func (x *exchange) allowed(t testing.TB, token string) {
	t.Helper()
	if x.Status != http.StatusOK || len(x.seen) != 1 {
		t.Fatalf("%s: %d %s by %q, the upstream was called %d times; want 200, once", x.r.Host, x.Status, x.shown(),
			x.r.Reason(x.RequestID()), len(x.seen))
	}
	got := &x.seen[0]
	subject, _ := payload(t, token)["sub"].(string)
	if subject == "" || got.Header("X-Credential-Identifier") != subject {
		t.Errorf("the upstream was told %q, want the token's sub %q", got.Header("X-Credential-Identifier"), subject)
	}
	if got.Header("Authorization") != "Bearer "+token {
		t.Error("the upstream did not receive the token")
	}
	testenv.Evidence(t, "%s: the upstream received X-Credential-Identifier %q and the token", x.r.Host, got.Header("X-Credential-Identifier"))
}

// refused asserts that the request did not go through, how it was answered, and
// why.
func (x *exchange) refused(t testing.TB, status int, reason, challenge string) {
	t.Helper()
	if x.Status != status || len(x.seen) != 0 {
		t.Errorf("%s: %d %s, the upstream was called %d times; want %d, never", x.r.Host, x.Status, x.shown(), len(x.seen), status)
	}
	body := map[int]string{401: `{"message":"Unauthorized"}`, 403: `{"message":"Forbidden"}`}[status]
	if body != "" && x.Body != body {
		t.Errorf("body %s, want %s", x.shown(), body)
	}
	if got := x.Header.Get("WWW-Authenticate"); got != challenge {
		t.Errorf("WWW-Authenticate %q, want %q", got, challenge)
	}
	if got := x.r.Reason(x.RequestID()); got != reason {
		t.Errorf("refused for %q, want %q", got, reason)
	}
	testenv.Evidence(t, "%s: refused for %s", x.r.Host, reason)
}

const invalid = `Bearer error="invalid_token"`
