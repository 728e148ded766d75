package admin

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// TestKeysPasswordsAndGroups: whose they are is shown, and nothing that opens anything.
func TestKeysPasswordsAndGroups(t *testing.T) {
	const key, password = "55555555-5555-4555-8555-555555555555", "66666666-6666-4666-8666-666666666666"
	f, problems := declarative.Parse("kong.yml", []byte(`
_format_version: "3.0"
consumers:
- username: alice
  id: `+aliceID+`
  acls: [{group: gold}, {group: silver}]
  keyauth_credentials: [{key: a-secret-of-a-key, id: `+key+`, tags: [old], expires_at: 1800000000}]
  basicauth_credentials: [{username: alice, password: a-secret-word, id: `+password+`}]
- {username: bob, acls: [{group: gold}], keyauth_credentials: [{key: another-secret-key}]}
`), declarative.Options{Installation: func(purpose string, _ ...string) string { return "derived-" + purpose },
		Hash: func(_, p []string) []string { return make([]string, len(p)) }})
	if f == nil {
		t.Fatal(problems)
	}
	f.Passwords[0].Hash = "a-secret-hash"
	h := New(func() *declarative.File { return f }, redact.New(token))
	const (
		shownKey      = `{"id":"` + key + `","expires_at":1800000000,"consumer":{"id":"` + aliceID + `"},"tags":["old"]}`
		shownPassword = `{"id":"` + password + `","username":"alice","consumer":{"id":"` + aliceID + `"},"tags":null}`
		shownGroup    = `{"group":"silver","consumer":{"id":"` + aliceID + `"}}`
		none          = `{"message":"Not found"}`
	)
	for _, tt := range []struct {
		target string
		status int
		want   string
	}{
		{"/consumers/alice/key-auth", 200, `{"data":[` + shownKey + `],"next":null}`},
		{"/consumers/alice/key-auth/" + key, 200, shownKey},
		{"/consumers/bob/key-auth/" + key, 404, none},
		{"/consumers/alice/key-auth/a-secret-of-a-key", 404, none},
		{"/key-auths/" + key, 200, shownKey},
		{"/key-auths?size=1", 200, `"next":"/key-auths?offset=1&size=1"`},
		{"/key-auths?offset=1", 200, `"expires_at":null`},
		{"/consumers/alice/basic-auth", 200, `{"data":[` + shownPassword + `],"next":null}`},
		{"/consumers/alice/basic-auth/alice", 200, shownPassword},
		{"/consumers/bob/basic-auth", 200, `{"data":[],"next":null}`},
		{"/basic-auths/" + password, 200, shownPassword},
		{"/consumers/alice/acls/silver", 200, shownGroup},
		{"/consumers/bob/acls/silver", 404, none},
		{"/acls?offset=1&size=1", 200, shownGroup},
		{"/acls", 200, `"group":"gold"`},
		{"/consumers/nobody/acls", 404, none},
		{"/consumers/nobody/key-auth", 404, none},
	} {
		w := ask(t, h, "GET", tt.target)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s: status %d, %s; want %d, %s", tt.target, w.Code, w.Body, tt.status, tt.want)
		}
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s shows %s", tt.target, w.Body)
		}
	}
	if w := ask(t, h, "DELETE", "/key-auths/"+key); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("status %d", w.Code)
	}
	if w := ask(t, h, "GET", "/key-auths", "X: y"); w.Code != http.StatusUnauthorized {
		t.Errorf("status %d without the token", w.Code)
	}
}
