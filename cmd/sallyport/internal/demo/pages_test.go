package demo

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

const issuedAt = 1_700_000_000 // 2023-11-14 22:13:20 UTC

// unsigned returns a JWT with the claims and no signature to speak of.
func unsigned(t *testing.T, claims map[string]any) string {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return "e30." + base64.RawURLEncoding.EncodeToString(text) + ".c2ln"
}

// show asks the upstream for a path, 18 seconds after issuedAt.
func show(t *testing.T, path string, headers map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	u := newUpstream(&Demo{Gateway: "http://127.0.0.1:8000", Issuer: "http://127.0.0.1:9000", File: "/tmp/kong.yml", login: true})
	u.now = func() time.Time { return time.Unix(issuedAt+18, 0) }
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	u.ServeHTTP(w, r)
	return w
}

func TestAccountPage(t *testing.T) {
	t.Parallel()
	access := unsigned(t, map[string]any{"iss": "http://idp", "aud": []string{"shop"}, "scope": "openid orders:read", "iat": issuedAt, "exp": issuedAt + 60})
	id := unsigned(t, map[string]any{"aud": []string{"demo", "other"}, "exp": issuedAt, "nonce": "n", "extra": map[string]any{"a": 1}})
	w := show(t, "/account", map[string]string{
		"Authorization": "Bearer " + access, "X-Id-Token": id,
		"X-Credential-Identifier": "alice", "X-Demo-Name": "Alice Archer", "X-Demo-Email": "alice@example.com",
	})
	text := html.UnescapeString(w.Body.String())
	for _, want := range []string{
		"<h1>Alice Archer</h1>", "alice@example.com", "<code>alice</code>", ">may read the orders<",
		"42 seconds left", `<progress max="60" value="42"`, "22:13:20 UTC", "22:14:20 UTC", "expired 18 seconds ago",
		"<code>shop</code>", `<code>["demo","other"]</code>`, `<code>{"a":1}</code>`,
		`href="/account"`, "(watch the token being refreshed)", `href="/account?logout=true"`, `href="/public"`, `href="/orders"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(text, access) || strings.Contains(text, id) {
		t.Error("the page has a token in full")
	}
}

// Whatever a claim or a header says, it is text.
func TestPagesEscape(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	token := unsigned(t, map[string]any{"sub": evil, evil: evil, "aud": []any{evil, 1}, "deep": map[string]any{evil: evil}, "iat": evil, "exp": -1})
	for _, headers := range []map[string]string{
		{"Authorization": "Bearer " + token, "X-Id-Token": token, "X-Demo-Name": evil, "X-Demo-Email": evil, "X-Credential-Identifier": evil},
		{"Authorization": "Bearer " + evil, "X-Id-Token": evil},
		{"Authorization": evil},
	} {
		text := show(t, "/account", headers).Body.String()
		if regexp.MustCompile(`(?i)<script|<img|href="javascript`).MatchString(text) {
			t.Errorf("%v: %s", headers, text)
		}
	}
}

func TestTokensThatAreNone(t *testing.T) {
	t.Parallel()
	now := time.Unix(issuedAt, 0)
	for _, compact := range []string{"", "a", "a.b", "a.b.c", "a.e30.b.c", "..", "e30.W10.x", "e30.bnVsbA.x", "e30.InMi.x", "opaque-" + strings.Repeat("x", 100)} {
		if got := decode("t", "h", compact, now); got.Missing == "" || len(got.Missing) > 80 || got.Claims != nil {
			t.Errorf("%q: %+v", compact, got)
		}
	}
	for _, claims := range []map[string]any{{}, {"exp": "soon"}, {"exp": 1e300, "iat": -5}, {"exp": nil}} {
		if got := decode("t", "h", unsigned(t, claims), now); got.Missing != "" || got.Left != "" || got.Lifetime != 0 {
			t.Errorf("%v: %+v", claims, got)
		}
	}
}

func TestLeft(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[int64]string{
		60: "60 seconds left", 1: "1 second left", 0: "expires now", -1: "expired 1 second ago", 600: "10 min 0 s left", -130: "expired 2 min 10 s ago",
	} {
		if got := left(seconds); got != want {
			t.Errorf("%d: %s, want %s", seconds, got, want)
		}
	}
}

func TestStartPage(t *testing.T) {
	t.Parallel()
	text := html.UnescapeString(show(t, "/", nil).Body.String())
	for _, want := range []string{`href="/account"`, "password <code>bob</code>", "/tmp/kong.yml",
		`curl -i -H "Authorization: Bearer $(curl -s http://127.0.0.1:9000/token/alice)" http://127.0.0.1:8000/orders`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}

// A page needs nothing but itself, and the browser holds it to that.
func TestPagesStandAlone(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/account"} {
		w := show(t, path, nil)
		text := w.Body.String()
		sheet := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(text)
		if sheet == nil {
			t.Fatalf("%s has no style sheet", path)
		}
		sum := sha256.Sum256([]byte(sheet[1]))
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") || !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s: policy %s", path, policy)
		}
		if regexp.MustCompile(`<script|<link rel="stylesheet|src=| style="| on[a-z]+="|ZgotmplZ`).MatchString(text) {
			t.Errorf("%s loads or runs something: %s", path, text)
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Vary") != "Accept" {
			t.Errorf("%s: %v", path, w.Header())
		}
	}
}

func TestEcho(t *testing.T) {
	t.Parallel()
	secret := map[string]string{"Authorization": "Bearer eyJ1", "X-Id-Token": "eyJ2", "Cookie": "session=eyJ3", "X-Demo-Name": "Alice"}
	for path, accept := range map[string]string{"/account": "application/json", "/": "*/*", "/orders?a=b": "text/html"} {
		headers := map[string]string{"Accept": accept}
		for name, value := range secret {
			headers[name] = value
		}
		w := show(t, path, headers)
		var got struct {
			Method, Path string
			Headers      map[string]string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		if got.Path != path || got.Method != http.MethodGet || got.Headers["X-Demo-Name"] != "Alice" || strings.Contains(w.Body.String(), "eyJ") {
			t.Errorf("%s", w.Body)
		}
	}
}
