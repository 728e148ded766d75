package snapshot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/keys"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

func mac(parts ...string) string {
	h := hmac.New(sha256.New, []byte("installation"))
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func derive(purpose string, parts ...string) string {
	return mac(append([]string{purpose}, parts...)...)[:32]
}

func compile(t testing.TB, file string) *Snapshot {
	t.Helper()
	f, problems := declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\n"+file), declarative.Options{Installation: derive})
	if f == nil {
		t.Fatal(problems)
	}
	return Compile(f, Secrets{MAC: mac, Session: redact.New("a session secret")})
}

// noKeys stands for issuers that have not answered yet.
func noKeys(id string) *bundle.Trust { return &bundle.Trust{ID: id, Hash: "h", Unavailable: "x"} }

const routes = `
services:
- name: s
  url: http://127.0.0.1:1
  routes:
  - {name: open, paths: [/open]}
  - {name: secure, paths: [/secure], protocols: [https], https_redirect_status_code: 308}
  - {name: grpc, paths: [/grpc], protocols: [grpc]}
  - name: a
    paths: [/a]
    plugins: [{name: jwt, config: {claims_to_verify: [exp], key_claim_name: kid}}]
  - name: b
    paths: [/b]
    plugins: [{name: jwt, config: {claims_to_verify: [exp], key_claim_name: kid}}]
  - name: c
    paths: [/c]
    plugins:
    - {name: jwt, config: {claims_to_verify: [exp], secret_is_base64: true}}
    - {name: openid-connect, config: {issuer: "https://i.example", auth_methods: [bearer], scopes_required: ["x y", z]}}
  - name: d
    paths: [/d]
    plugins: [{name: openid-connect, config: {issuer: "https://i.example", auth_methods: [bearer]}}]
  - name: e
    paths: [/e]
    plugins: [{name: openid-connect, config: {issuer: "https://i.example", auth_methods: [bearer], ssl_verify: false}}]
`

func TestBundleOfAFile(t *testing.T) {
	s := compile(t, routes)
	b, err := bundle.Decode(string(named(s.Bundle(nil, noKeys)).Encode()))
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*bundle.Route{} // without the hash at the end
	for name, r := range b.Routes {
		if name != r.Name || byName[short(name)] != nil && r.RequireHTTPS == byName[short(name)].RequireHTTPS {
			t.Errorf("route %s is there twice or named %s", name, r.Name)
		}
		byName[short(name)] = r
	}
	for name, want := range map[string]struct {
		chain []string
		grpc  bool
	}{
		"open": {}, "secure": {}, "grpc": {grpc: true},
		"a": {chain: []string{"jwt"}}, "b": {chain: []string{"jwt"}},
		"c": {chain: []string{"jwt", "openid-connect"}}, "d": {chain: []string{"openid-connect"}}, "e": {chain: []string{"openid-connect"}},
	} {
		r := byName[name]
		if r == nil {
			t.Errorf("no route %s among %v", name, b.Routes)
			continue
		}
		var chain []string
		for _, p := range r.Chain {
			chain = append(chain, p.ID[:strings.LastIndex(p.ID, "-")])
			if s.Instance(p.ID) == nil {
				t.Errorf("%s: the instance %s is not known: its questions would be refused", name, p.ID)
			}
		}
		if !slices.Equal(chain, want.chain) || r.GRPC != want.grpc {
			t.Errorf("%s: chain %v grpc %v, want %v %v", name, chain, r.GRPC, want.chain, want.grpc)
		}
	}
	https := 0
	for _, r := range b.Routes {
		if r.RequireHTTPS != 0 {
			https++
			if r.RequireHTTPS != 308 || len(r.Chain) != 0 {
				t.Errorf("%s: %d with a chain of %d", r.Name, r.RequireHTTPS, len(r.Chain))
			}
		}
	}
	if len(b.Routes) != 9 || https != 1 {
		t.Errorf("%d routes, %d for plain HTTP on https routes: want 9 and 1", len(b.Routes), https)
	}
	if byName["a"].Chain[0] != byName["b"].Chain[0] {
		t.Error("two plugins with one configuration are two instances")
	}
	// An issuer that is asked in two ways is two records: the one with ssl_verify
	// off must not lend its keys to the other.
	if len(b.Trust) != 2 || len(s.Providers) != 2 || byName["c"].Chain[1].OIDC.TrustID != byName["d"].Chain[0].OIDC.TrustID ||
		byName["d"].Chain[0].OIDC.TrustID == byName["e"].Chain[0].OIDC.TrustID {
		t.Errorf("%d trust records of %d providers: want 2, shared only by equal ones", len(b.Trust), len(s.Providers))
	}
	for id, c := range s.Providers {
		if c.ID != id || c.Issuer != "https://i.example" {
			t.Errorf("provider %s: %+v", id, c)
		}
	}
}

// named gives a bundle what the publisher does.
func named(b *bundle.Bundle) *bundle.Bundle {
	b.Epoch, b.Generation = "e", 1
	return b
}

// short cuts the hash from a route's name.
func short(name string) string {
	name, _, _ = strings.Cut(name, ".")
	return name
}

func TestEqualFilesGiveEqualBundles(t *testing.T) {
	want := string(compile(t, routes).Bundle(nil, noKeys).Encode())
	for range 20 { // maps have another order each time
		if got := string(compile(t, routes).Bundle(nil, noKeys).Encode()); got != want {
			t.Fatalf("\n%s\n%s", got, want)
		}
	}
}

func TestRemovedRoutesStayForOneGeneration(t *testing.T) {
	before := compile(t, routes)
	after := compile(t, strings.Replace(routes, "name: c\n    paths: [/c]", "name: c\n    paths: [/f]", 1))
	b, err := bundle.Decode(string(named(after.Bundle(before, noKeys)).Encode()))
	if err != nil {
		t.Fatal(err)
	}
	// The old route c has another match, so another name; both are there, with
	// one chain.
	if len(b.Routes) != len(before.routes)+1 {
		t.Errorf("%d routes, want %d", len(b.Routes), len(before.routes)+1)
	}
	for name := range before.routes {
		if b.Routes[name] == nil {
			t.Errorf("%s has gone at once", name)
		}
	}
	if len(b.Plugins) != len(before.plugins) {
		t.Errorf("%d instances, want %d: equal ones are shared", len(b.Plugins), len(before.plugins))
	}
	// A route that lost its plugin loses it at once.
	off := compile(t, strings.Replace(routes, "plugins: [{name: jwt, config: {claims_to_verify: [exp], key_claim_name: kid}}]", "", 1))
	b = off.Bundle(before, noKeys)
	for name, r := range b.Routes {
		if short(name) == "a" && len(r.Chain) != 0 {
			t.Errorf("%s keeps a chain of %d", name, len(r.Chain))
		}
	}
}

const pemIndent = "\n      "

func credentials(more string) string {
	return `
services: [{name: s, url: "http://127.0.0.1:1", routes: [{name: r, paths: [/r], plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]}]}]
consumers:
- username: alice
  custom_id: a-1
  jwt_secrets:
  - {key: hs, secret: one-secret}
  - {key: hs512, secret: one-secret, algorithm: HS512}
  - {key: base64, secret: _-8}
  - {key: remote, jwks_uri: "https://i.example/jwks", algorithms: [RS256], issuers: [i], audiences: [u], leeway: 5}
  - key: rs
    algorithm: PS256
    rsa_public_key: |` + pemIndent + strings.ReplaceAll(strings.TrimSpace(tokens.PublicPEM("rsa2048")), "\n", pemIndent) + `
  - {}
  - {algorithm: HS512}
  - {secret: given}
` + more
}

func TestCredentialsOfAFilter(t *testing.T) {
	s := compile(t, credentials(""))
	plain, base64 := &bundle.Plugin{JWT: &bundle.JWT{}}, &bundle.Plugin{JWT: &bundle.JWT{Base64: true}}
	set := &provider.Set{Hash: "hash", Keys: []keys.Key{
		{ID: "k1", Public: tokens.Private("rsa2048").Public(), Alg: []jose.Alg{jose.RS256, jose.PS256}},
		{ID: "k2", Alg: []jose.Alg{jose.EdDSA}, Unusable: "no"},
	}}
	for _, test := range []struct {
		key    string
		alg    []jose.Alg
		keys   int
		remote bool
		secret string
	}{
		{"hs", []jose.Alg{jose.HS256}, 0, false, "one-secret"},
		{"hs512", []jose.Alg{jose.HS512}, 0, false, "one-secret"},
		{"rs", []jose.Alg{jose.PS256}, 1, false, ""},
		{"remote", []jose.Alg{jose.RS256}, 2, true, ""},
	} {
		c := s.Credential(test.key)
		if c == nil {
			t.Fatalf("no credential %s", test.key)
		}
		b := c.Bundle(plain, set)
		if !slices.Equal(b.Alg, test.alg) || len(b.Keys) != test.keys || b.Remote != test.remote || b.Consumer.Username != "alice" ||
			b.Consumer.CustomID != "a-1" || b.Key != test.key || len(b.ID) != 36 {
			t.Errorf("%s: %+v", test.key, b)
		}
		if got := string(c.HMAC(plain)); got != test.secret {
			t.Errorf("%s: HMAC key %q, want %q", test.key, got, test.secret)
		}
		for _, k := range b.Keys {
			for _, a := range k.Alg {
				if !slices.Contains(test.alg, a) {
					t.Errorf("%s: key %s may be used for %v", test.key, k.ID, a)
				}
			}
		}
		if c.Bundle(base64, set).Version == b.Version {
			t.Errorf("%s: one version for two readings of the secret", test.key)
		}
	}
	remote := s.Credential("remote").Bundle(plain, set)
	if remote.Leeway != 5 || !slices.Equal(remote.Issuers, []string{"i"}) || !slices.Equal(remote.Audiences, []string{"u"}) {
		t.Errorf("%+v", remote)
	}
	other := *set
	other.Hash = "other"
	if s.Credential("remote").Bundle(plain, &other).Version == remote.Version {
		t.Error("one version with other keys")
	}
	if got := s.Credential("remote").Bundle(plain, nil); len(got.Keys) != 0 {
		t.Errorf("keys without a set: %+v", got)
	}
	if s.Credential("") != nil || s.Credential("none") != nil {
		t.Error("a credential for no key")
	}
}

func TestBase64Secrets(t *testing.T) {
	base64 := &bundle.Plugin{JWT: &bundle.JWT{Base64: true}}
	for secret, want := range map[string]string{
		"c2VjcmV0": "secret", "c2VjcmV0MQ==": "secret1", "c2VjcmV0MQ": "secret1",
		"_-8=": "\xff\xef", "/+8=": "\xff\xef", "_+8": "\xff\xef",
		"!": "", "c": "", "=": "", "c2Vj cmV0": "",
	} {
		s := compile(t, fmt.Sprintf("consumers: [{username: a, jwt_secrets: [{key: k, secret: %q}]}]", secret))
		if got := string(s.Credential("k").HMAC(base64)); got != want {
			t.Errorf("%q: %q, want %q", secret, got, want)
		}
	}
}

func TestGeneratedCredentials(t *testing.T) {
	s := compile(t, credentials(""))
	var generated []string
	for key, c := range s.credentials {
		if len(key) == 32 {
			generated = append(generated, key)
			if len(c.HMAC(&bundle.Plugin{})) == 0 {
				t.Errorf("%s has no secret", key)
			}
		}
	}
	if len(generated) != 3 {
		t.Fatalf("%d credentials with a generated key, want 3: %v", len(generated), generated)
	}
	// They stay when the file is reordered around them and when other credentials
	// come and go: an application's key does not change with its neighbour.
	again := compile(t, strings.Replace(credentials("- username: bob\n  jwt_secrets: [{}]\n"), "  - {key: hs, secret: one-secret}\n", "", 1))
	for _, key := range generated {
		if again.Credential(key) == nil {
			t.Errorf("%s is another one after a neighbour has gone", key)
		}
	}
	if len(again.credentials) != len(s.credentials) {
		t.Errorf("%d credentials, want %d", len(again.credentials), len(s.credentials))
	}
	// Without an installation nothing is generated, and nothing can be asked for.
	f, _ := declarative.Parse("kong.yml", []byte("_format_version: \"3.0\"\nconsumers: [{username: a, jwt_secrets: [{}]}]"), declarative.Options{})
	if n := len(Compile(f, Secrets{MAC: mac, Session: redact.New("a session secret")}).credentials); n != 0 {
		t.Errorf("%d credentials without an installation", n)
	}
}

func TestChangedCredentials(t *testing.T) {
	base := credentials("")
	for _, test := range []struct {
		name, old, new string
		want           string
	}{
		{"nothing", "", "", ""},
		{"a comment", "consumers:", "# c\nconsumers:", ""},
		{"a secret", "{key: hs, secret: one-secret}", "{key: hs, secret: two-secret}", "hs"},
		{"an algorithm", "{key: hs, secret: one-secret}", "{key: hs, secret: one-secret, algorithm: HS384}", "hs"},
		{"a key", "{key: hs,", "{key: hs2,", "hs hs2"},
		{"one goes", "  - {key: hs, secret: one-secret}\n", "", "hs"},
		{"an issuer", "issuers: [i]", "issuers: [j]", "remote"},
		{"an audience", "audiences: [u]", "audiences: []", "remote"},
		{"a leeway", "leeway: 5", "leeway: 6", "remote"},
		{"algorithms", "algorithms: [RS256]", "algorithms: [RS256, ES256]", "remote"},
		{"a key set's address", "https://i.example/jwks", "https://j.example/jwks", "remote"},
		{"an algorithm of a public key", "algorithm: PS256", "algorithm: RS256", "rs"},
		{"tags", "secret: one-secret}", "secret: one-secret, tags: [x]}", ""},
	} {
		old, now := compile(t, base), compile(t, strings.Replace(base, test.old, test.new, 1))
		if got := strings.Join(now.Changed(old), " "); got != test.want {
			t.Errorf("%s: changed %q, want %q", test.name, got, test.want)
		}
	}
	all := compile(t, strings.Replace(base, "custom_id: a-1", "custom_id: a-2", 1)).Changed(compile(t, base))
	if len(all) != 8 {
		t.Errorf("a consumer's custom_id changes %v, want all of its credentials", all)
	}
	if got := compile(t, base).Changed(nil); got != nil {
		t.Errorf("changed since nothing: %v", got)
	}
	s := compile(t, base)
	if got := s.Using(s.Credential("remote").Trust); !slices.Equal(got, []string{"remote"}) {
		t.Errorf("using the key set: %v", got)
	}
}

func TestABundleHoldsNoSecret(t *testing.T) {
	s := compile(t, credentials(""))
	text := string(s.Bundle(nil, noKeys).Encode())
	for _, c := range s.credentials {
		b := *c.Bundle(&bundle.Plugin{JWT: &bundle.JWT{}}, nil)
		text += fmt.Sprintf("%+v %v", b, *b.Consumer)
	}
	for _, c := range s.credentials {
		if secret := c.secret.Reveal(); secret != "" && strings.Contains(text, secret) {
			t.Errorf("the secret of %s goes to the filters", c.declared.Key)
		}
	}
}

// TestChangedConsumers: whoever has changed, in a name or a group, is named by all
// names that a filter may have asked by; groups are no names.
func TestChangedConsumers(t *testing.T) {
	const id = "22222222-2222-4222-8222-222222222222"
	before := compile(t, "consumers:\n- {username: alice, custom_id: a-1, id: "+id+", acls: [{group: gold}]}\n- {username: bob, id: 33333333-3333-4333-8333-333333333333}\n")
	for consumer, want := range map[string][]string{
		"{username: alice, custom_id: a-1, id: " + id + ", acls: [{group: gold}]}":                  {},
		"{username: alice, custom_id: a-1, id: " + id + ", acls: [{group: silver}]}":                {id, "a-1", "alice"},
		"{username: alice, custom_id: a-1, id: " + id + ", acls: [{group: gold}, {group: silver}]}": {id, "a-1", "alice"},
		"{username: alice, custom_id: a-1, id: " + id + "}":                                         {id, "a-1", "alice"},
		"{custom_id: a-1, id: " + id + ", acls: [{group: gold}]}":                                   {id, "a-1", "alice"},
		"{username: carol, custom_id: a-1, id: " + id + ", acls: [{group: gold}]}":                  {id, "a-1", "alice", "carol"},
		"{username: carol, id: 44444444-4444-4444-8444-444444444444, acls: [{group: gold}]}":        {id, "44444444-4444-4444-8444-444444444444", "a-1", "alice", "carol"},
	} {
		after := compile(t, "consumers:\n- "+consumer+"\n- {username: bob, id: 33333333-3333-4333-8333-333333333333}\n")
		if got := after.ChangedConsumers(before); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", consumer, got, want)
		}
	}
	if got := before.ChangedConsumers(nil); got != nil {
		t.Errorf("the first file changes %q", got)
	}
}

const applications = `
_sallyport:
  applications:
  - {custom_id: client-1, name: reports, services: [orders]}
  - {custom_id: client-2, name: stocks, services: [orders]}
services:
- name: orders
  url: http://127.0.0.1:1
  plugins:
  - {name: key-auth, config: {anonymous: stocks}}
  - {name: application-registration, config: {display_name: Orders, enable_proxy_with_consumer_credential: true}}
  routes: [{name: orders, paths: [/orders]}]
- id: 22222222-2222-4222-8222-222222222222
  url: http://127.0.0.1:1
  plugins:
  - {name: key-auth}
  - {name: application-registration, config: {display_name: Nameless}}
  routes: [{name: nameless, paths: [/nameless]}]
keyauth_credentials: [{consumer: reports, key: a-key-of-reports-16, id: 55555555-5555-4555-8555-555555555555}]
`

// TestApplications: contracts travel with the consumer, in whichever answer it is, and
// the plugin knows the service by the same name as they do. The anonymous consumer has none.
func TestApplications(t *testing.T) {
	s := compile(t, applications)
	for by, value := range map[string]string{"custom_id": "client-1", "username": "reports"} {
		c := s.Consumer([]string{by}, value)
		if c == nil || !c.Application || !slices.Equal(c.Contracts, []string{"orders"}) || c.CustomID != "client-1" {
			t.Errorf("by %s: %+v", by, c)
		}
	}
	if c := s.APIKey("a-key-of-reports-16"); c == nil || !c.Consumer.Application || !slices.Equal(c.Consumer.Contracts, []string{"orders"}) {
		t.Errorf("%+v", c)
	}
	b, err := bundle.Decode(string(named(s.Bundle(nil, noKeys)).Encode()))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bundle.Registration{"orders": {Service: "orders", Consumers: true}, "nameless": {Service: "22222222-2222-4222-8222-222222222222"}} {
		for _, r := range b.Routes {
			if short(r.Name) != name {
				continue
			}
			if len(r.Chain) != 2 || r.Chain[1].Registration == nil || *r.Chain[1].Registration != want {
				t.Errorf("%s: %+v, want %+v", name, r.Chain, want)
			}
			if a := r.Chain[0].KeyAuth.Anonymous; name == "orders" && (a == nil || a.Username != "stocks" || a.Application || a.Contracts != nil) {
				t.Errorf("the anonymous consumer is %+v", a)
			}
		}
	}
	for change, want := range map[string][]string{
		"services: [orders]}\n  - {custom_id: client-2":   {"client-1", "reports"},
		"{custom_id: client-2, name: stocks, services: [": {"client-2", "stocks"},
	} {
		after := compile(t, strings.Replace(applications, change, strings.Replace(change, "services: [", "services: [22222222-2222-4222-8222-222222222222, ", 1), 1))
		got := slices.DeleteFunc(after.ChangedConsumers(s), func(v string) bool { return len(v) == 36 })
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", change, got, want)
		}
		if changed := len(after.Changed(s)) > 0; changed != (want[0] == "client-1") {
			t.Errorf("%s: credentials changed: %q", change, after.Changed(s))
		}
	}
}

// TestContractsDoNotMoveTheBundle: whoever has a contract is asked for, and not written
// into the bundle.
func TestContractsDoNotMoveTheBundle(t *testing.T) {
	before, after := compile(t, applications), compile(t, strings.Replace(applications, "services: [orders]", "services: []", 1))
	encode := func(s *Snapshot) string {
		b := named(s.Bundle(nil, noKeys))
		b.Source = ""
		return string(b.Encode())
	}
	if encode(before) != encode(after) {
		t.Error("a contract moves the bundle")
	}
}
