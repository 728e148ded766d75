package server

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

const bcrypted = "$2a$10$zHdHlHM5pjFdisg93NxSqeQozfJEyJ6XCLwgB1zswcd2fxLMg4q5i" // bob-password-of-bcrypt

// secretsFile has keys and passwords; more is put behind them.
func secretsFile(more string) string {
	sum := sha256.Sum256([]byte("bob-key-0123456789"))
	return fmt.Sprintf(`
services:
- name: s
  url: http://127.0.0.1:1
  routes:
  - {name: key, paths: [/key], plugins: [{name: key-auth}]}
  - {name: basic, paths: [/basic], plugins: [{name: basic-auth}]}
  - {name: jwt, paths: [/jwt], plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]}
consumers:
- username: alice
  acls: [{group: gold}]
  keyauth_credentials: [{key: alice-key-0123456789, expires_at: 1800000000}]
  basicauth_credentials: [{username: alice, password: swordfish}]
- username: bob
  keyauth_credentials: [{key_hash: "sha256:%s", id: 66666666-6666-4666-8666-666666666666}]
  basicauth_credentials: [{username: bob, password: %s}]
%s`, hex.EncodeToString(sum[:]), bcrypted, more)
}

func TestSecretsThatAreJudged(t *testing.T) {
	b := start(t)
	b.use(secretsFile(""))
	for _, tt := range []struct {
		route string
		q     wire.Question
		code  reason.Code
		owner string
	}{
		{"key", wire.Question{Kind: wire.APIKey, Value: "alice-key-0123456789"}, 0, "alice"},
		{"key", wire.Question{Kind: wire.APIKey, Value: "bob-key-0123456789"}, 0, "bob"},
		{"key", wire.Question{Kind: wire.APIKey, Value: "bob-key-012345678"}, reason.CredentialUnknown, ""},
		{"key", wire.Question{Kind: wire.APIKey}, reason.SidecarRefused, ""},
		{"jwt", wire.Question{Kind: wire.APIKey, Value: "alice-key-0123456789"}, reason.SidecarRefused, ""},
		{"basic", wire.Question{Kind: wire.APIKey, Value: "alice-key-0123456789"}, reason.SidecarRefused, ""},
		{"basic", wire.Question{Kind: wire.Password, Key: "alice", Value: "swordfish"}, 0, "alice"},
		{"basic", wire.Question{Kind: wire.Password, Key: "bob", Value: "bob-password-of-bcrypt"}, 0, "bob"},
		{"basic", wire.Question{Kind: wire.Password, Key: "alice", Value: "swordfisi"}, reason.PasswordWrong, ""},
		{"basic", wire.Question{Kind: wire.Password, Key: "alice"}, reason.PasswordWrong, ""},
		{"basic", wire.Question{Kind: wire.Password, Key: "bob", Value: bcrypted}, reason.PasswordWrong, ""},
		{"basic", wire.Question{Kind: wire.Password, Key: "Alice", Value: "swordfish"}, reason.CredentialUnknown, ""},
		{"basic", wire.Question{Kind: wire.Password, Value: "swordfish"}, reason.SidecarRefused, ""},
		{"key", wire.Question{Kind: wire.Password, Key: "alice", Value: "swordfish"}, reason.SidecarRefused, ""},
	} {
		a := b.ask(tt.route, tt.q)
		if a.Code != tt.code || (a.Credential != nil) != (tt.owner != "") {
			t.Errorf("%s, %+v: %v, %+v; want %v", tt.route, tt.q, a.Code, a.Credential, tt.code)
			continue
		}
		if c := a.Credential; c != nil && (c.Consumer == nil || c.Consumer.Username != tt.owner || c.Key != "" || len(c.ID) != 36) {
			t.Errorf("%s, %+v: %+v", tt.route, tt.q, c)
		}
	}
	if a := b.ask("key", wire.Question{Kind: wire.APIKey, Value: "alice-key-0123456789"}); a.Credential.Expires != 1800000000 || a.Credential.Consumer.Groups[0] != "gold" {
		t.Errorf("%+v of %+v", a.Credential, a.Credential.Consumer)
	}
}

// What has changed of keys and passwords is told by kind and id: the feed is no place
// for a key, and its hash would help to find it.
func TestChangedSecrets(t *testing.T) {
	b := start(t)
	b.use(secretsFile(""))
	key := b.ask("key", wire.Question{Kind: wire.APIKey, Value: "alice-key-0123456789"}).Credential
	feed, seq := b.publisher.Place()
	changes := func(file string) string {
		t.Helper()
		b.use(file)
		c, _ := b.publisher.Changes(feed, seq, "")
		_, seq = b.publisher.Place()
		body := string(c.Encode())
		for _, secret := range []string{"alice-key", "bob-key", "swordfish", "$2a$", "argon2id"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s is in %s", secret, body)
			}
		}
		return strings.Join(c.Credentials, " ")
	}
	id := func(name string) string { return changes(secretsFile(name)) }
	if got := id(""); got != "" {
		t.Errorf("nothing has changed, but %s", got)
	}
	added := id("keyauth_credentials: [{key: another-key-of-bobs, consumer: bob, id: 77777777-7777-4777-8777-777777777777}]")
	if added != "key-auth:77777777-7777-4777-8777-777777777777" {
		t.Errorf("a key that was added: %s", added)
	}
	if gone := id(""); gone != added {
		t.Errorf("a key that is gone: %s", gone)
	}
	if got := changes(strings.Replace(secretsFile(""), "1800000000", "1800000001", 1)); got != "key-auth:"+key.ID {
		t.Errorf("another expiry: %s, want %s", got, key.ID)
	}
	id("")
	password := changes(strings.Replace(secretsFile(""), "swordfish", "swordfisi", 1))
	if !strings.HasPrefix(password, "basic-auth:") || strings.Contains(password, " ") {
		t.Errorf("another password: %s", password)
	}
	if back := id(""); back != password {
		t.Errorf("the first password again: %s", back)
	}
	both := changes(strings.Replace(secretsFile(""), "gold", "silver", 1))
	if both != password+" key-auth:"+key.ID {
		t.Errorf("another group of their owner: %s", both)
	}
}

// Too many passwords at a time are our trouble, and no refusal.
func TestPasswordsUnderFlood(t *testing.T) {
	b := start(t)
	b.use(secretsFile(""))
	if a := b.ask("basic", wire.Question{Kind: wire.Password, Key: "alice", Value: "swordfish"}); a.Credential == nil {
		t.Fatal(a.Code)
	}
	var work sync.WaitGroup
	const flood = 60
	codes := make(chan reason.Code, flood)
	for i := range flood {
		work.Go(func() {
			codes <- b.ask("basic", wire.Question{Kind: wire.Password, Key: "alice", Value: fmt.Sprint("wrong", i)}).Code
		})
	}
	// Who has logged in before goes on, whatever else is tried.
	for range 10 {
		if a := b.ask("basic", wire.Question{Kind: wire.Password, Key: "alice", Value: "swordfish"}); a.Credential == nil {
			t.Error(a.Code)
		}
	}
	work.Wait()
	close(codes)
	seen := map[reason.Code]int{}
	for c := range codes {
		seen[c]++
	}
	if seen[reason.Overloaded] == 0 || seen[reason.PasswordWrong] == 0 || seen[reason.Overloaded]+seen[reason.PasswordWrong] != flood {
		t.Errorf("%v", seen)
	}
	// Passwords of nobody's are tried too, and wait like others.
	codes = make(chan reason.Code, flood)
	for i := range flood {
		work.Go(func() {
			codes <- b.ask("basic", wire.Question{Kind: wire.Password, Key: fmt.Sprint("nobody", i), Value: "swordfish"}).Code
		})
	}
	work.Wait()
	close(codes)
	clear(seen)
	for c := range codes {
		seen[c]++
	}
	if seen[reason.Overloaded] == 0 || seen[reason.CredentialUnknown] == 0 || seen[reason.Overloaded]+seen[reason.CredentialUnknown] != flood {
		t.Errorf("of nobody's: %v", seen)
	}
}

// The file in force holds neither keys nor passwords.
func TestNoSecretIsKept(t *testing.T) {
	b := start(t)
	b.use(secretsFile(""))
	f := b.publisher.Current().File
	for _, s := range []any{f.APIKeys, f.Passwords, fmt.Sprintf("%+v %+v", *f.APIKeys[0], *f.Passwords[0]), b.publisher.Current().Password("alice")} {
		if text := fmt.Sprintf("%+v", s); strings.Contains(text, "alice-key") || strings.Contains(text, "swordfish") {
			t.Errorf("a secret is in %s", text)
		}
	}
	if f.Passwords[0].Hash == "" || !strings.HasPrefix(f.Passwords[0].Hash, "$argon2id$") {
		t.Errorf("the hash is %q", f.Passwords[0].Hash)
	}
}
