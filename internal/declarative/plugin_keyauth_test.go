package declarative

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

const keysFile = `
_format_version: "3.0"
services:
- name: s
  url: http://10.0.0.1
  routes:
  - {name: all, paths: [/all]}
plugins:
- {name: acl, config: {allow: [g]}}
- {name: basic-auth, config: {hide_credentials: true, realm: r, run_on_preflight: false, anonymous: bob}}
- {name: openid-connect, config: {issuer: "https://i.example", auth_methods: [bearer]}}
- {name: key-auth, config: {key_names: [X-Key, apikey], key_in_header: true, key_in_query: true, key_in_body: false, realm: r, run_on_preflight: false, anonymous: bob, identity_realms: null, principals: null}}
- {name: jwt}
consumers:
- username: alice
  keyauth_credentials:
  - {key: alices-key-of-16-bytes, id: 0b8a4c56-0f5d-4b0c-8f6a-3f6f1c8b9d10, tags: [t], ttl: 0}
  - {key: "{vault://env/key}", ttl: 60, created_at: 1800000000}
  basicauth_credentials:
  - {username: alice, password: "{vault://env/password}"}
- username: bob
keyauth_credentials:
- {key_hash: "sha256:${HASH}", consumer: bob, expires_at: 2027-01-15T08:00:00Z}
- {key: another-key-of-bob, consumer: {username: bob}, expires_at: 1800000000, created_at: 1700000000}
basicauth_credentials:
- {consumer: bob, username: bób, password: $2y$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234}
`

func TestKeysAndPasswords(t *testing.T) {
	sum := sha256.Sum256([]byte("a-key-that-only-bob-knows"))
	src := strings.ReplaceAll(keysFile, "${HASH}", hex.EncodeToString(sum[:]))
	o := Options{Installation: derive, ReadFile: noFile, Env: func(name string) (string, bool) {
		return map[string]string{"KEY": "a-key-of-the-environment", "PASSWORD": "swordfish"}[name], true
	}, Hash: func(users, passwords []string) []string {
		if fmt.Sprint(users, passwords) != "[alice] [swordfish]" {
			t.Errorf("to be hashed: %q of %q", passwords, users)
		}
		return []string{"the hash"}
	}}
	f, problems := Parse("kong.yml", []byte(src), o)
	if f == nil {
		t.Fatal(problems)
	}
	var names []string
	for _, p := range f.Chain(f.Routes[0]) {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "jwt key-auth basic-auth openid-connect acl" {
		t.Errorf("the chain is %s", got)
	}
	k := f.Chain(f.Routes[0])[1].KeyAuth
	if fmt.Sprint(k.HeaderNames(), k.QueryNames()) != "[x-key apikey] [X-Key apikey]" || k.HideCredentials || k.Realm != "r" || k.RunOnPreflight || k.Anonymous.Username != "bob" {
		t.Errorf("%+v", k)
	}
	if b := f.Chain(f.Routes[0])[2].BasicAuth; !b.HideCredentials || b.Realm != "r" || b.RunOnPreflight || b.Anonymous.Username != "bob" {
		t.Errorf("%+v", b)
	}
	for i, want := range []struct {
		key, consumer string
		expires       int64
	}{
		{"alices-key-of-16-bytes", "alice", 0}, {"a-key-of-the-environment", "alice", 1800000060},
		{"a-key-that-only-bob-knows", "bob", 1800000000}, {"another-key-of-bob", "bob", 1800000000},
	} {
		got := f.APIKeys[i]
		if got.Hash != sha256.Sum256([]byte(want.key)) || got.Consumer.Username != want.consumer || got.Expires != want.expires {
			t.Errorf("%s: %+v", want.key, got)
		}
		if plain := kongID("keyauth_credentials", want.key); got.ID == plain || len(got.ID) != 36 {
			t.Errorf("%s: the id is %s", want.key, got.ID)
		}
	}
	for i, want := range [][3]string{{"alice", "the hash", "alice"}, {"bób", "$2y$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "bob"}} {
		got := f.Passwords[i]
		if got.Username != want[0] || got.Hash != want[1] || got.Consumer.Username != want[2] || got.plain != "" {
			t.Errorf("%+v, want %q", got, want)
		}
		if got.ID != kongID("basicauth_credentials", want[0]) {
			t.Errorf("%s: the id is %s, not Kong's", want[0], got.ID)
		}
	}
	// What is left out has Kong's defaults, but for the query.
	f = read(t, "_format_version: '3.0'\nservices: [{name: s, host: h, routes: [{name: r, paths: [/]}]}]\nplugins: [{name: key-auth}, {name: basic-auth}]")
	chain := f.Chain(f.Routes[0])
	if k := chain[0].KeyAuth; fmt.Sprint(k.HeaderNames(), k.QueryNames()) != "[apikey] []" || k.HideCredentials || !k.RunOnPreflight || k.Realm != "" || k.Anonymous != nil {
		t.Errorf("%+v", k)
	}
	if b := chain[1].BasicAuth; b.HideCredentials || !b.RunOnPreflight || b.Realm != "service" || b.Anonymous != nil {
		t.Errorf("%+v", b)
	}
}

func TestRefusedKeys(t *testing.T) {
	plugin := func(s string) string { return "plugins:\n- {name: key-auth, config: {" + s + "}}" }
	key := func(s string) string {
		return "consumers:\n- username: u\n  keyauth_credentials:\n  - {" + s + "}"
	}
	const c = "3: plugins[0].config."
	const at = "5: consumers[0].keyauth_credentials[0]"
	const zero = "0000000000000000000000000000000000000000000000000000000000000000"
	checkRefusals(t, []refusal{
		{plugin("key_names: []"), "3: plugins[0]: has no place to look for a key: expected key_names, and key_in_header or key_in_query to be true"},
		{plugin("key_in_header: false"), "3: plugins[0]: has no place to look for a key: expected key_names, and key_in_header or key_in_query to be true"},
		{plugin("key_names: ['a b']"), c + "key_names[0]: is no header name"},
		{plugin("key_names: [Cookie]"), c + "key_names[0]: is a header that means something else"},
		{plugin("key_names: [x_consumer_id]"), c + "key_names[0]: is a header that the gateway writes itself"},
		{plugin("key_in_body: true"), c + "key_in_body: is not supported: a body is never read: have clients send the key in a header"},
		{plugin("key_in_query: true, hide_credentials: true"), c + "hide_credentials: is not supported together with key_in_query: a path that is edited could be another route's, so that the upstream gets the query as it came"},
		{plugin("identity_realms: [{scope: cp}, {scope: realm, id: r}]"), c + "identity_realms: is not supported: realms are kept in Konnect: the keys are those of keyauth_credentials"},
		{plugin("anonymous: nobody"), c + `anonymous: is "nobody": anonymous consumer nobody is configured but doesn't exist (expected a username or id)`},
		{plugin("key_name: [a]"), c + "key_name: unknown field: did you mean key_names?"},
		{"services:\n- {name: s, host: h, routes: [{name: r, paths: [/], headers: {api-key: [x]}}]}\nplugins:\n- {name: key-auth, config: {key_names: [API_Key], hide_credentials: true}}",
			"5: plugins[0]: hide_credentials takes the header api-key away, which the route of line 3 matches on: the proxy would choose the route again, and perhaps another one"},
		{"services:\n- {name: s, host: h, routes: [{name: r, paths: [/], headers: {Authorization: [x]}}]}\nplugins:\n- {name: basic-auth, config: {hide_credentials: true}}",
			"5: plugins[0]: hide_credentials takes the header authorization away, which the route of line 3 matches on: the proxy would choose the route again, and perhaps another one"},
		{key("tags: [a]"), at + ": has no key: expected key, or key_hash with its SHA-256"},
		{key("key: ''"), at + ".key: is empty"},
		{key("key: 1234567890123456"), at + ".key: is no string: expected one (put it in quotes)"},
		{key("key: 'a key of several words'"), at + ".key: has a blank, a comma or a character beyond ASCII, which do not come through every proxy as they were sent"},
		{key("key: 'one-key,another-key'"), at + ".key: has a blank, a comma or a character beyond ASCII, which do not come through every proxy as they were sent"},
		{key("key: clé-clé-clé-clé-clé"), at + ".key: has a blank, a comma or a character beyond ASCII, which do not come through every proxy as they were sent"},
		{key("key: " + strings.Repeat("k", 513)), at + ".key: is longer than 512 bytes"},
		{key("key: a-key-of-sixteen, key_hash: 'sha256:" + zero + "'"), at + ": has key and key_hash: expected one of them"},
		{key("key_hash: '" + zero + "'"), at + ".key_hash: is no hash of a key: expected sha256: and 64 hex digits"},
		{key("key_hash: 'sha256:" + zero[1:] + "'"), at + ".key_hash: is no hash of a key: expected sha256: and 64 hex digits"},
		{key("key: a-key-of-sixteen, ttl: 60"), at + ".ttl: counts from created_at, which is not there: expected expires_at instead, a time of RFC 3339 or in Unix seconds"},
		{key("key: a-key-of-sixteen, ttl: 60, created_at: 1, expires_at: 2"), at + ".ttl: stands beside expires_at: expected one of them"},
		{key("key: a-key-of-sixteen, ttl: -1"), at + ".ttl: is -1: expected 0 to 100000000"},
		{key("key: a-key-of-sixteen, expires_at: tomorrow"), at + ".expires_at: is no time: expected one of RFC 3339, such as 2030-01-31T12:00:00Z, or Unix seconds"},
		{key("key: a-key-of-sixteen, expires_at: 2027-01-15"), at + ".expires_at: is no time: expected one of RFC 3339, such as 2030-01-31T12:00:00Z, or Unix seconds"},
		{key("key: a-key-of-sixteen, expires_at: 0"), at + ".expires_at: is 0: expected 1 to 253402300799"},
		{key("key: a-key-of-sixteen, consumer: u"), at + ".consumer: unknown field"},
		{key("key: a-key-of-sixteen}\n  - {key: a-key-of-sixteen"), "6: consumers[0].keyauth_credentials[1]: has the key of the credential in line 5"},
		{"keyauth_credentials:\n- {key: a-key-of-sixteen}", "3: keyauth_credentials[0]: has no consumer"},
		{"keyauth_credentials:\n- {key: a-key-of-sixteen, consumer: u}", `3: keyauth_credentials[0].consumer: refers to "u", which is not among the consumers`},
	})
}

func TestRefusedPasswords(t *testing.T) {
	password := func(s string) string {
		return "consumers:\n- username: u\n  basicauth_credentials:\n  - {" + s + "}"
	}
	const at = "5: consumers[0].basicauth_credentials[0]"
	const sha1 = "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"
	checkRefusals(t, []refusal{
		{"plugins:\n- {name: basic-auth, config: {realm: ''}}", "3: plugins[0].config.realm: is empty"},
		{"plugins:\n- {name: basic-auth, config: {brute_force_protection: {strategy: memory}}}",
			"3: plugins[0].config.brute_force_protection: is not supported: how many passwords are tried at a time is bounded: limit the rate of requests in front of the gateway"},
		{password("username: a"), at + ": has no password: expected a password, or its hash ($argon2id$…, $2b$…)"},
		{password("password: p"), at + ": has no username"},
		{password("username: 'a:b', password: p"), at + ".username: has a colon, where the password would begin"},
		{password("username: \"a\\tb\", password: p"), at + ".username: holds a control character or broken UTF-8"},
		{password("username: " + strings.Repeat("u", 256) + ", password: p"), at + ".username: is longer than 255 bytes"},
		{password("username: a, password: 123456"), at + ".password: is no string: expected one (put it in quotes)"},
		{password("username: a, password: \"p\\n\""), at + ".password: holds a control character or broken UTF-8"},
		{password("username: a, password: " + strings.Repeat("p", 1025)), at + ".password: is longer than 1024 bytes"},
		{password("username: a, password: " + sha1), at + ".password: is not supported: it looks like Kong's hash of a password (SHA-1), which is too cheap to try: write the password itself, or its hash by argon2id or bcrypt ($argon2id$…, $2b$…)"},
		{password("username: a, password: $1$salt$hash"), at + ".password: is no password hash that is known: expected $argon2id$… or $2b$…"},
		{password("username: a, password: $2b$10$short"), at + ".password: is a broken password hash: expected $argon2id$v=19$m=…,t=…,p=…$salt$hash, or $2b$ with a cost and 53 characters"},
		{password("username: a, password: plain") + "\n_transform: false", at + ".password: is no hash, and _transform is false, which says that passwords are: expected $argon2id$… or $2b$…, or _transform: true"},
		{password("username: a, password: p}\n  - {username: a, password: q"), `6: consumers[0].basicauth_credentials[1]: "a" is taken by another of the basicauth_credentials' usernames`},
		{"basicauth_credentials:\n- {username: a, password: p}", "3: basicauth_credentials[0]: has no consumer"},
	})
}
