//go:build real

package real

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/keycloak"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// read returns a file of the example.
func read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", "keycloak", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// file is the example's with the addresses of this run.
func file(t testing.TB, kc *keycloak.Server, upstream string) string {
	t.Helper()
	text := read(t, "kong.yml")
	for theirs, ours := range map[string]string{"http://localhost:3000": upstream, "http://localhost:8080": kc.URL} {
		if !strings.Contains(text, theirs) {
			t.Fatalf("the example does not have %s", theirs)
		}
		text = strings.ReplaceAll(text, theirs, ours)
	}
	return text
}

func clientToken(t testing.TB, kc *keycloak.Server, client string) string {
	t.Helper()
	return kc.Token(t, "shop", client, client+"-secret", url.Values{"grant_type": {"client_credentials"}}).Access
}

// exchange is what a client and the upstream saw of one request.
type exchange struct {
	*testenv.Response
	seen []echo.Request
}

func send(t testing.TB, s *stack.Stack, up *echo.Server, method, token string) exchange {
	t.Helper()
	id := tokens.Random()
	lines := []string{echo.TestID + ": " + id}
	if token != "" {
		lines = append(lines, "Authorization: Bearer "+token)
	}
	x := exchange{Response: testenv.Raw(t, s.Addr, testenv.Request(method, "/orders", lines...))}
	x.seen = up.Seen(id)
	testenv.Evidence(t, "%s: %s /orders -> %d %s, www-authenticate %q, upstream called %d times", s.Host, method, x.Status,
		strings.TrimSpace(x.Body), x.Header.Get("WWW-Authenticate"), len(x.seen))
	return x
}

func (x exchange) want(t testing.TB, s *stack.Stack, status int, reason, challenge string) {
	t.Helper()
	calls := 0
	if status == http.StatusOK {
		calls = 1
	}
	if x.Status != status || len(x.seen) != calls || x.Header.Get("WWW-Authenticate") != challenge {
		t.Errorf("%d %s, challenge %q, %d calls; want %d, %q, %d", x.Status, x.Body, x.Header.Get("WWW-Authenticate"), len(x.seen), status, challenge, calls)
	}
	if reason != "" {
		if got := s.Reason(x.RequestID()); got != reason {
			t.Errorf("refused for %q, want %q", got, reason)
		}
	}
}

const invalid = `Bearer error="invalid_token"`

// TestKeycloak runs the example with a real Keycloak, in both hosts.
func TestKeycloak(t *testing.T) {
	kc := keycloak.Start(t)
	kc.Post(t, "", []byte(read(t, "realm.json")))
	kc.Post(t, "", []byte(strings.Replace(read(t, "realm.json"), `"realm": "shop"`, `"realm": "other"`, 1)))
	up := echo.Start(t)
	for _, host := range stack.Hosts {
		t.Run(host, func(t *testing.T) {
			s := stack.Start(t, host, file(t, kc, up.URL), stack.Options{})
			reader := clientToken(t, kc, "reader")
			t.Run("accepted", func(t *testing.T) {
				x := send(t, s, up, "GET", reader)
				x.want(t, s, 200, "", "")
				if sub := x.seen[0].Header("X-Credential-Identifier"); len(sub) != 36 {
					t.Errorf("the upstream was told %q", sub)
				}
				send(t, s, up, "POST", clientToken(t, kc, "writer")).want(t, s, 200, "", "")
				user := kc.Token(t, "shop", "reader", "reader-secret", url.Values{
					"grant_type": {"password"}, "username": {"alice"}, "password": {"alice-password"}})
				send(t, s, up, "GET", user.Access).want(t, s, 200, "", "")
			})
			t.Run("refused", func(t *testing.T) {
				send(t, s, up, "GET", "").want(t, s, 401, "credential_missing", "Bearer")
				send(t, s, up, "GET", tokens.Tamper(reader)).want(t, s, 401, "signature_invalid", invalid)
				send(t, s, up, "GET", clientToken(t, kc, "elsewhere")).want(t, s, 401, "audience_mismatch", invalid)
				other := kc.Token(t, "other", "reader", "reader-secret", url.Values{"grant_type": {"client_credentials"}})
				send(t, s, up, "GET", other.Access).want(t, s, 401, "issuer_unknown", invalid)
				login := kc.Token(t, "shop", "reader", "reader-secret", url.Values{
					"grant_type": {"password"}, "username": {"alice"}, "password": {"alice-password"}, "scope": {"openid"}})
				if login.ID == "" {
					t.Fatal("Keycloak gave no ID token")
				}
				send(t, s, up, "GET", login.ID).want(t, s, 401, "token_is_id", invalid)
			})
			t.Run("scope", func(t *testing.T) {
				x := send(t, s, up, "GET", clientToken(t, kc, "visitor"))
				x.want(t, s, 403, "scope_missing", `Bearer error="insufficient_scope", scope="orders:read"`)
				if line := s.LogLine("required scopes were not found [", x.RequestID()); line == "" {
					t.Error("the log does not say which scopes were there")
				}
				send(t, s, up, "POST", reader).want(t, s, 403, "scope_missing", `Bearer error="insufficient_scope", scope="orders:read orders:write"`)
			})
			t.Run("rotation", func(t *testing.T) { rotation(t, kc, s, up) })
			t.Run("flood", func(t *testing.T) { flood(t, kc, s, up, reader) })
		})
	}
	t.Run("stopped", func(t *testing.T) {
		for _, host := range stack.Hosts {
			t.Run(host, func(t *testing.T) {
				s := stack.Start(t, host, file(t, kc, up.URL), stack.Options{})
				reader := clientToken(t, kc, "reader")
				send(t, s, up, "GET", reader).want(t, s, 200, "", "")
				if host == stack.Hosts[len(stack.Hosts)-1] {
					kc.Stop()
					for range 5 {
						send(t, s, up, "GET", reader).want(t, s, 200, "", "")
					}
				}
			})
		}
	})
}

// rotation: a new key in Keycloak, in use at once, while requests with the old
// one go on. No request fails.
func rotation(t *testing.T, kc *keycloak.Server, s *stack.Stack, up *echo.Server) {
	before := clientToken(t, kc, "reader")
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	var sent, failed atomic.Int64
	for range 4 {
		traffic.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				res, err := testenv.TryRaw(s.Addr, testenv.Request("GET", "/orders", "Authorization: Bearer "+before))
				if sent.Add(1); err != nil || res.Status != 200 {
					failed.Add(1)
				}
			}
		})
	}
	var realm struct{ ID string }
	kc.Get(t, "/shop", &realm)
	for i, provider := range []struct{ id, alg, size, curve string }{
		{"rsa-generated", "RS256", "2048", ""}, {"rsa-generated", "PS256", "4096", ""}, {"ecdsa-generated", "ES256", "", "P-256"},
	} { // as many as the bucket of D10 holds
		priority := time.Now().Format("20060102150405")[4:]
		config := map[string]any{"priority": []string{priority + string(rune('0'+i))}, "enabled": []string{"true"}, "active": []string{"true"}}
		if provider.curve != "" {
			config["ecdsaEllipticCurveKey"] = []string{provider.curve}
		} else {
			config["algorithm"], config["keySize"] = []string{provider.alg}, []string{provider.size}
		}
		kc.Post(t, "/shop/components", map[string]any{"name": provider.alg + priority, "providerId": provider.id,
			"providerType": "org.keycloak.keys.KeyProvider", "parentId": realm.ID, "config": config})
		kc.Put(t, "/shop", map[string]any{"realm": "shop", "defaultSignatureAlgorithm": provider.alg})
		fresh := clientToken(t, kc, "reader")
		x := send(t, s, up, "GET", fresh)
		x.want(t, s, 200, "", "")
		if x.Status != 200 {
			t.Errorf("a token with the new %s key: %s", provider.alg, s.Reason(x.RequestID()))
		}
	}
	kc.Put(t, "/shop", map[string]any{"realm": "shop", "defaultSignatureAlgorithm": "RS256"})
	close(stop)
	traffic.Wait()
	testenv.Evidence(t, "%s: three new keys, each accepted at once; %d requests meanwhile, %d failed", s.Host, sent.Load(), failed.Load())
	if failed.Load() > 0 || sent.Load() < 20 {
		t.Errorf("%d of %d requests failed", failed.Load(), sent.Load())
	}
}

// flood: kids that nobody has do not reach Keycloak, and do not hinder others.
func flood(t *testing.T, kc *keycloak.Server, s *stack.Stack, up *echo.Server, good string) {
	asked := kc.KeysAsked()
	parts := strings.Split(clientToken(t, kc, "reader"), ".")
	begin := time.Now()
	for i := range 300 {
		header := strings.SplitN(tokens.Input(map[string]any{"alg": "RS256", "typ": "JWT", "kid": tokens.Random()}, nil), ".", 2)[0]
		res := testenv.Raw(t, s.Addr, testenv.Request("GET", "/orders", "Authorization: Bearer "+header+"."+parts[1]+"."+parts[2]))
		if res.Status != 401 && res.Status != 503 {
			t.Fatalf("an unknown kid: %d %s", res.Status, res.Body)
		}
		if i%50 == 0 {
			send(t, s, up, "GET", good).want(t, s, 200, "", "")
		}
	}
	// A bucket of three, refilled every 20 seconds (D10).
	allowed := 3 + int(time.Since(begin)/(20*time.Second)) + 1
	got := kc.KeysAsked() - asked
	testenv.Evidence(t, "%s: 300 unknown kids made Keycloak be asked %d times", s.Host, got)
	if got > allowed {
		t.Errorf("Keycloak was asked %d times, want at most %d", got, allowed)
	}
}
