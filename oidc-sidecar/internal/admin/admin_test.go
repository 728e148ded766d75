package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

const token = "the-admin-token"

const aliceID = "22222222-2222-4222-8222-222222222222"

func file(t *testing.T) *declarative.File {
	t.Helper()
	pem := strings.ReplaceAll(strings.TrimSpace(tokens.PublicPEM("rsa2048")), "\n", "\n      ")
	f, problems := declarative.Parse("kong.yml", []byte(`
_format_version: "3.0"
consumers:
- username: alice
  custom_id: a-1
  id: `+aliceID+`
  jwt_secrets:
  - {key: alice-1, secret: first-secret, tags: [old]}
  - {key: alice-2, secret: second-secret, algorithm: HS512, id: 33333333-3333-4333-8333-333333333333}
  - key: alice-3
    algorithm: RS256
    rsa_public_key: |
      `+pem+`
  - {key: alice-4, jwks_uri: "https://issuer.example/jwks"}
- custom_id: b-1
  jwt_secrets:
  - {}
- username: nobody
- username: a/b c
  jwt_secrets:
  - {key: c-1}
  - {key: c-2}
`), declarative.Options{Installation: func(purpose string, _ ...string) string { return "derived-" + purpose }})
	if f == nil {
		t.Fatal(problems)
	}
	return f
}

// ask sends a request with the token, to a loopback name, unless lines say
// otherwise: "Host: …" is the host.
func ask(t *testing.T, h http.Handler, method, target string, lines ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	r.Host = "127.0.0.1:8001"
	if len(lines) == 0 {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func handler(t *testing.T) http.Handler {
	f := file(t)
	return New(func() *declarative.File { return f }, redact.New(token))
}

func TestTokenAndHostAreNeeded(t *testing.T) {
	h := handler(t)
	const bearer, kong = "Authorization: Bearer " + token, "Kong-Admin-Token: " + token
	for _, test := range []struct {
		name   string
		lines  []string
		status int
	}{
		{"bearer", []string{bearer}, 200},
		{"Kong's header", []string{kong}, 200},
		{"none", []string{"X: y"}, 401},
		{"another token", []string{bearer + "x"}, 401},
		{"half a token", []string{"Authorization: Bearer the-admin"}, 401},
		{"no scheme", []string{"Authorization: " + token}, 401},
		{"basic", []string{"Authorization: Basic " + token}, 401},
		{"an empty one", []string{"Authorization: Bearer "}, 401},
		{"a bad bearer is not made good by the other header", []string{"Authorization: Bearer x", kong}, 401},

		{"localhost", []string{bearer, "Host: localhost"}, 200},
		{"LOCALHOST with a port", []string{bearer, "Host: LOCALHOST:8001"}, 200},
		{"another address of 127/8", []string{bearer, "Host: 127.1.2.3:8001"}, 200},
		{"IPv6", []string{bearer, "Host: [::1]:8001"}, 200},
		{"IPv6 without a port", []string{bearer, "Host: [::1]"}, 200},
		{"a name that resolves to loopback", []string{bearer, "Host: rebound.attacker.example:8001"}, 403},
		{"a name that begins like an address", []string{bearer, "Host: 127.0.0.1.nip.example"}, 403},
		{"a name that begins like localhost", []string{bearer, "Host: localhost.attacker.example"}, 403},
		{"a name under localhost", []string{bearer, "Host: attacker.localhost"}, 403},
		{"every address", []string{bearer, "Host: 0.0.0.0:8001"}, 403},
		{"an address of the network", []string{bearer, "Host: 192.0.2.1:8001"}, 403},
		{"no host", []string{bearer, "Host: "}, 403},
		{"the host is looked at before the token", []string{"X: y", "Host: attacker.example"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := ask(t, h, "GET", "/jwts", test.lines...)
			if w.Code != test.status {
				t.Errorf("status %d, want %d: %s", w.Code, test.status, w.Body)
			}
			if challenge := w.Header().Get("WWW-Authenticate"); (challenge == "Bearer") != (test.status == 401) {
				t.Errorf("WWW-Authenticate %q with status %d", challenge, w.Code)
			}
			if test.status != 200 && strings.Contains(w.Body.String(), "secret") {
				t.Errorf("a refusal shows: %s", w.Body)
			}
			if origin := w.Header().Get("Access-Control-Allow-Origin"); origin != "" {
				t.Errorf("a page of %q may read this", origin)
			}
		})
	}
}

func TestWithoutATokenNobodyIsLetIn(t *testing.T) {
	f := file(t)
	h := New(func() *declarative.File { return f }, redact.Secret{})
	for _, line := range []string{"X: y", "Authorization: Bearer ", "Kong-Admin-Token: "} {
		if w := ask(t, h, "GET", "/jwts", line); w.Code != 401 {
			t.Errorf("%s: status %d, want 401", line, w.Code)
		}
	}
}

func TestPathsAndMethods(t *testing.T) {
	h := handler(t)
	for _, test := range []struct {
		method, target string
		status         int
		contains       string
	}{
		{"GET", "/consumers/alice", 200, `{"id":"` + aliceID + `","username":"alice","custom_id":"a-1"}`},
		{"GET", "/consumers/" + aliceID, 200, `"username":"alice"`},
		{"GET", "/consumers/a%2Fb%20c", 200, `"username":"a/b c","custom_id":null`},
		{"GET", "/consumers/a-1", 404, `{"message":"Not found"}`},
		{"GET", "/consumers/mallory", 404, `{"message":"Not found"}`},
		{"GET", "/consumers/mallory/jwt", 404, `{"message":"Not found"}`},
		{"GET", "/consumers/nobody/jwt", 200, `{"data":[],"next":null}`},
		{"GET", "/consumers/alice/jwt/alice-1", 200, `"secret":"first-secret"`},
		{"GET", "/consumers/alice/jwt/33333333-3333-4333-8333-333333333333", 200, `"key":"alice-2"`},
		{"GET", "/consumers/nobody/jwt/alice-1", 404, `{"message":"Not found"}`},
		{"GET", "/consumers/alice/jwt/none", 404, `{"message":"Not found"}`},
		{"GET", "/consumers/mallory/jwt/alice-1", 404, `{"message":"Not found"}`},
		{"GET", "/jwts/alice-2", 200, `"algorithm":"HS512"`},
		{"GET", "/jwts/33333333-3333-4333-8333-333333333333", 200, `"key":"alice-2"`},
		{"GET", "/jwts/none", 404, `{"message":"Not found"}`},
		{"HEAD", "/jwts", 200, ""},
		{"GET", "/", 404, `{"message":"Not found"}`},
		{"GET", "/services", 404, `{"message":"Not found"}`},
		{"POST", "/consumers", 405, "read-only"},
		{"DELETE", "/consumers/alice/jwt/alice-1", 405, "read-only"},
		{"PATCH", "/anything", 405, "read-only"},
		{"GET", "/jwts?size=0", 400, "size"},
		{"GET", "/jwts?size=1001", 400, "size"},
		{"GET", "/jwts?size=x", 400, "size"},
		{"GET", "/jwts?offset=-1", 400, "offset"},
		{"GET", "/jwts?offset=99999999999999999999", 400, "offset"},
		{"GET", "/jwts?offset=9223372036854775807&size=1000", 200, `{"data":[],"next":null}`},
		{"GET", "/jwts?size=1000", 200, "alice-4"},
	} {
		t.Run(test.method+test.target, func(t *testing.T) {
			w := ask(t, h, test.method, test.target)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.contains) {
				t.Errorf("status %d, want %d with %s: %s", w.Code, test.status, test.contains, w.Body)
			}
			if w.Header().Get("Content-Type") != "application/json; charset=utf-8" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", w.Header())
			}
		})
	}
}

// TestCredentialsHaveKongsShape holds the members against those of Kong's
// answer, all of them there whether set or not.
func TestCredentialsHaveKongsShape(t *testing.T) {
	w := ask(t, handler(t), "GET", "/consumers/alice/jwt")
	var list struct {
		Data []map[string]any `json:"data"`
		Next *string          `json:"next"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Data) != 4 {
		t.Fatalf("%v: %s", err, w.Body)
	}
	for i, want := range []map[string]any{
		{"key": "alice-1", "secret": "first-secret", "algorithm": "HS256", "rsa_public_key": nil, "tags": []any{"old"}},
		{"key": "alice-2", "secret": "second-secret", "algorithm": "HS512", "rsa_public_key": nil, "tags": nil},
		{"key": "alice-3", "secret": nil, "algorithm": "RS256", "rsa_public_key": tokens.PublicPEM("rsa2048"), "tags": nil},
		{"key": "alice-4", "secret": nil, "algorithm": nil, "rsa_public_key": nil, "tags": nil, "jwks_uri": "https://issuer.example/jwks"},
	} {
		got := list.Data[i]
		want["consumer"] = map[string]any{"id": aliceID}
		id, _ := got["id"].(string)
		if len(id) != 36 {
			t.Errorf("%d: id %q", i, id)
		}
		delete(got, "id")
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d:\n got %v\nwant %v", i, got, want)
		}
	}
	if !strings.Contains(w.Body.String(), `"next":null`) {
		t.Errorf("no null next: %s", w.Body)
	}
}

func TestGeneratedKeyAndSecretAreShown(t *testing.T) {
	w := ask(t, handler(t), "GET", "/jwts?offset=4")
	for _, want := range []string{`"key":"derived-jwt-key"`, `"secret":"derived-jwt-secret"`, `"algorithm":"HS256"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s: %s", want, w.Body)
		}
	}
}

func TestSecretsAreShownOnlyAmongCredentials(t *testing.T) {
	h := handler(t)
	for _, target := range []string{"/consumers", "/consumers/alice", "/", "/status", "/jwts/none"} {
		if w := ask(t, h, "GET", target); strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %s", target, w.Body)
		}
	}
}

// TestPagesCoverTheList follows next from the first page to the last.
func TestPagesCoverTheList(t *testing.T) {
	h := handler(t)
	for _, test := range []struct {
		target string
		pages  []int
	}{
		{"/jwts", []int{7}},
		{"/jwts?size=3", []int{3, 3, 1}},
		{"/jwts?size=7", []int{7}},
		{"/jwts?size=1&offset=5", []int{1, 1}},
		{"/consumers/a%2Fb%20c/jwt?size=1", []int{1, 1}},
		{"/jwts?offset=7", []int{0}},
		{"/consumers?size=3", []int{3, 1}},
		{"/consumers/alice/jwt?size=3", []int{3, 1}},
	} {
		t.Run(test.target, func(t *testing.T) {
			target, ids := test.target, map[any]bool{}
			for i, want := range test.pages {
				w := ask(t, h, "GET", target)
				var page struct {
					Data         []map[string]any
					Offset, Next *string
				}
				if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Data) != want {
					t.Fatalf("%s: %d entries, want %d: %v", target, len(page.Data), want, err)
				}
				for _, e := range page.Data {
					if ids[e["id"]] {
						t.Errorf("%s: %v comes twice", target, e["id"])
					}
					ids[e["id"]] = true
				}
				last := i == len(test.pages)-1
				if (page.Next == nil) != last || (page.Offset == nil) != last {
					t.Fatalf("%s: next %v and offset %v on page %d of %d", target, page.Next, page.Offset, i, len(test.pages))
				}
				if !last {
					if !strings.Contains(w.Body.String(), `"next":"`+*page.Next+`"`) {
						t.Errorf("next is written in another way than it is meant: %s", w.Body)
					}
					if !strings.Contains(*page.Next, "offset="+*page.Offset) {
						t.Errorf("next %s, offset %s", *page.Next, *page.Offset)
					}
					target = *page.Next
				}
			}
		})
	}
}

// TestTheFileInForceIsShown changes the file under the handler.
func TestTheFileInForceIsShown(t *testing.T) {
	f := file(t)
	h := New(func() *declarative.File { return f }, redact.New(token))
	if w := ask(t, h, "GET", "/consumers/alice"); w.Code != 200 {
		t.Fatalf("status %d", w.Code)
	}
	f = &declarative.File{}
	if w := ask(t, h, "GET", "/consumers/alice"); w.Code != 404 {
		t.Errorf("status %d after the consumer has gone", w.Code)
	}
	if w := ask(t, h, "GET", "/jwts"); w.Body.String() != `{"data":[],"next":null}`+"\n" {
		t.Errorf("%s", w.Body)
	}
}
