package declarative

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Keys of decK's and of DB-less Kong's that change nothing here.
func TestHarmlessKeys(t *testing.T) {
	f := read(t, `
_format_version: "3.0"
_transform: false
_info: {select_tags: [team-a], defaults: {service: {retries: 1}}}
_workspace: default
_comment: anybody's
_ignore: [1, 2]
consumer_groups: []
vaults: []
acls: []
keyauth_credentials: null
rbac_roles: []
filter_chains: []
services:
- name: s
  id: 0b8a4c56-0f5d-4b0c-8f6a-3f6f1c8b9d10
  created_at: 1700000000
  updated_at: 1700000000
  tags: [a, b]
  host: h
  port: 80
  client_certificate: null
  ca_certificates: null
  tls_verify: null
  _comment: here too
  routes:
  - name: r
    paths: [/a]
    path_handling: v0
    request_buffering: true
    response_buffering: false
    snis: []
    sources: []
    destinations: []
    headers: null
    hosts: []
    https_redirect_status_code: 426
    tags: null
upstreams:
- name: u
  slots: 10000
  algorithm: round-robin
  hash_on: none
  hash_fallback: none
  hash_on_cookie_path: /
  use_srv_name: false
  targets: [{target: "10.0.0.1:80", weight: 100, tags: [x], created_at: 1.5}]
  healthchecks:
    threshold: 0
    active: {type: http, healthy: {interval: 0, successes: 0, http_statuses: [200]}, unhealthy: {interval: 0, timeouts: 0, tcp_failures: 0, http_failures: 0}}
    passive: {healthy: {successes: 0}, unhealthy: {http_failures: 0}}
plugins:
- name: jwt
  consumer: null
  service: null
  route: null
  ordering: {}
  protocols: [grpc, grpcs, http, https]
  config: {claims_to_verify: [exp], anonymous: null, realm: null, uri_param_names: [], cookie_names: [], run_on_preflight: true, secret_is_base64: false, maximum_expiration: 0}
consumers:
- username: u
  groups: []
  acls: []
  plugins: []
`)
	if s := f.Services[0]; s.ID != "0b8a4c56-0f5d-4b0c-8f6a-3f6f1c8b9d10" || !s.Verify || s.Retries != 5 {
		t.Errorf("%+v", s)
	}
	if len(f.Plugins) != 1 || len(f.Upstreams[0].Targets) != 1 {
		t.Errorf("%+v", f)
	}
}

// Entities nested and at the top level, referred to by name, by id and as a
// mapping, give the same file.
func TestBothShapes(t *testing.T) {
	nested := read(t, `
_format_version: "3.0"
services:
- name: s
  url: http://back:8080/base
  plugins: [{name: openid-connect, config: {issuer: "https://idp.example", auth_methods: [bearer]}}]
  routes:
  - {name: r, paths: [/a], plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]}
upstreams: [{name: back, targets: [{target: "10.0.0.1:1"}, {target: "10.0.0.2:2", weight: 7}]}]
consumers: [{username: u, jwt_secrets: [{key: k, secret: s}]}]
`)
	service, consumer := nested.Services[0].ID, nested.Consumers[0].ID
	for name, refs := range map[string][3]string{
		"names":    {"s", "r", "u"},
		"mappings": {"{name: s}", "{name: r}", "{username: u}"},
		"ids":      {service, nested.Routes[0].ID, consumer},
		"id maps":  {"{id: " + service + "}", "{id: " + nested.Routes[0].ID + "}", "{id: " + consumer + "}"},
	} {
		t.Run(name, func(t *testing.T) {
			flat := read(t, `
_format_version: "3.0"
jwt_secrets: [{key: k, secret: s, consumer: `+refs[2]+`}]
plugins:
- {name: openid-connect, service: `+refs[0]+`, config: {issuer: "https://idp.example", auth_methods: [bearer]}}
- {name: jwt, route: `+refs[1]+`, config: {claims_to_verify: [exp]}}
consumers: [{username: u}]
targets: [{target: "10.0.0.1:1", upstream: back}, {target: "10.0.0.2:2", weight: 7, upstream: {name: back}}]
routes: [{name: r, paths: [/a], service: `+refs[0]+`}]
upstreams: [{name: back}]
services: [{name: s, host: back, port: 8080, path: /base}]
`)
			if got, want := flat.Routes[0].BundleName(), nested.Routes[0].BundleName(); got != want {
				t.Errorf("the route is %s, nested it is %s", got, want)
			}
			for _, f := range []*File{nested, flat} {
				s := f.Services[0]
				if s.Upstream == nil || !slices.Equal(s.Upstream.Targets, []Target{{"10.0.0.1", 1, 100}, {"10.0.0.2", 2, 7}}) {
					t.Errorf("targets: %+v", s.Upstream)
				}
				chain := f.Chain(f.Routes[0])
				if len(chain) != 2 || chain[0].Name != "jwt" || chain[1].Name != "openid-connect" {
					t.Errorf("chain %+v", chain)
				}
				if j := f.JWTSecrets[0]; j.Consumer != f.Consumers[0] || j.ID != nested.JWTSecrets[0].ID {
					t.Errorf("credential %+v", j)
				}
			}
		})
	}
}

// Ids are those that DB-less Kong makes, so that what an upstream has stored
// stays valid. The values were computed with another implementation of RFC 4122.
func TestKongIDs(t *testing.T) {
	for _, tt := range [][3]string{
		{"consumers", "login_server_issuer", "3b13b1c7-93ff-5a81-87ff-61a30dfff91b"},
		{"services", "my-api-service", "ef3c6726-90d1-572e-bdc2-187cccd9bd10"},
		{"routes", "r", "da7ba03a-f1be-52d4-8a7e-c8f32640689a"},
	} {
		if got := kongID(tt[0], tt[1]); got != tt[2] {
			t.Errorf("%s %s: %s, want %s", tt[0], tt[1], got, tt[2])
		}
	}
}

// Equal services and routes without a name are two, with ids that last.
func TestNamelessTwins(t *testing.T) {
	const src = `{_format_version: "3.0", services: [
		{url: "http://h", routes: [{paths: [/a]}, {paths: [/a]}]}, {url: "http://h", routes: [{paths: [/a]}]}, {url: "http://i"}]}`
	f, again := read(t, src), read(t, src)
	ids := map[string]bool{}
	for i, s := range f.Services {
		ids[s.ID] = true
		if s.ID != again.Services[i].ID {
			t.Errorf("service %d has another id at the second reading", i)
		}
	}
	for i, r := range f.Routes {
		ids[r.ID] = true
		if r.ID != again.Routes[i].ID {
			t.Errorf("route %d has another id at the second reading", i)
		}
	}
	if len(ids) != 6 {
		t.Errorf("%d ids for 3 services and 3 routes", len(ids))
	}
}

// What the proxy reports of a route changes with everything that decides which
// requests it takes and where they go, and with nothing else.
func TestBundleName(t *testing.T) {
	name := func(service, route string) string {
		t.Helper()
		return read(t, `{_format_version: "3.0", services: [{`+service+`, routes: [{`+route+`}]}]}`).Routes[0].BundleName()
	}
	const s, r = `name: s, url: "http://h:1/p"`, `name: r, paths: [/a]`
	was := name(s, r)
	if !strings.HasPrefix(was, "r.") || len(was) != len("r.")+12 {
		t.Errorf("the name is %s", was)
	}
	same := [][2]string{{s + `, retries: 1, read_timeout: 5, tags: [x]`, r}, {s, r + `, tags: [x], plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]`},
		{s, `name: r, paths: [/a], protocols: [http, https]`}}
	for _, v := range same {
		if got := name(v[0], v[1]); got != was {
			t.Errorf("%s, %s: %s, was %s", v[0], v[1], got, was)
		}
	}
	seen := map[string]string{was: "the first"}
	for _, v := range [][2]string{
		{`name: t, url: "http://h:1/p"`, r}, {`name: s, url: "https://h:1/p"`, r}, {`name: s, url: "http://i:1/p"`, r},
		{`name: s, url: "http://h:2/p"`, r}, {`name: s, url: "http://h:1/q"`, r}, {`name: s, url: "http://h:1"`, r},
		{s, `name: q, paths: [/a]`}, {s, `name: r, paths: [/b]`}, {s, `name: r, paths: [/a, /b]`}, {s, `name: r, paths: [~/a]`},
		{s, r + `, methods: [GET]`}, {s, r + `, hosts: [a.b]`}, {s, r + `, hosts: [GET]`}, {s, r + `, headers: {x: [v]}`}, {s, r + `, headers: {x: ["~*v"]}`},
		{s, r + `, strip_path: false`}, {s, r + `, preserve_host: true`}, {s, r + `, regex_priority: 1`}, {s, r + `, protocols: [https]`},
	} {
		got := name(v[0], v[1])
		if other, ok := seen[got]; ok {
			t.Errorf("%s, %s has the name of %s", v[0], v[1], other)
		}
		seen[got] = v[0] + ", " + v[1]
	}
}

func TestAnchorsMergesAndSharedConfigs(t *testing.T) {
	f := read(t, `
_format_version: "3.0"
_plugin_configs:
  strict: &strict {claims_to_verify: [exp, nbf], key_claim_name: kid, maximum_expiration: 60}
  mad: {claims_to_verify: wrong, key_claim_name: sub}
services:
- &base {name: a, host: h, port: 8080, retries: 1}
- {<<: *base, name: b}
- <<: [{name: c, retries: 2}, *base]
- {name: d, <<: {<<: *base, port: 1}, host: i}
plugins:
- {name: jwt, service: a, _config: strict}
- {name: jwt, service: b, _config: strict, config: {key_claim_name: sub}}
- {name: jwt, service: c, config: {<<: *strict, maximum_expiration: 30}}
- {name: jwt, service: d, _config: mad, config: {claims_to_verify: [nbf]}}
`)
	var got []string
	for _, s := range f.Services {
		got = append(got, s.Name, s.Host, string(rune('0'+s.Retries)))
		if s.Port != map[string]int{"a": 8080, "b": 8080, "c": 8080, "d": 1}[s.Name] {
			t.Errorf("%s has port %d", s.Name, s.Port)
		}
	}
	if text := strings.Join(got, " "); text != "a h 1 b h 1 c h 2 d i 1" {
		t.Errorf("services %s", text)
	}
	want := []JWTConfig{
		{ClaimsToVerify: []string{"exp", "nbf"}, KeyClaimName: "kid", MaximumExpiration: 60},
		{ClaimsToVerify: []string{"exp", "nbf"}, KeyClaimName: "sub", MaximumExpiration: 60},
		{ClaimsToVerify: []string{"exp", "nbf"}, KeyClaimName: "kid", MaximumExpiration: 30},
		{ClaimsToVerify: []string{"nbf"}, KeyClaimName: "sub"},
	}
	for i, w := range want {
		c := f.Plugins[i].JWT
		if !slices.Equal(c.ClaimsToVerify, w.ClaimsToVerify) || c.KeyClaimName != w.KeyClaimName || c.MaximumExpiration != w.MaximumExpiration {
			t.Errorf("plugin %d: %+v", i, c)
		}
	}
}

func TestReferencesToSecrets(t *testing.T) {
	o := Options{
		Env: func(name string) (string, bool) {
			v, ok := map[string]string{"MY_SECRET": "from the environment", "lower": "as it is written"}[name]
			return v, ok
		},
		ReadFile: func(path string) ([]byte, error) {
			if path != "/etc/kong/sub/secret" && path != "/run/secret" {
				return nil, errors.New("another path: " + path)
			}
			return []byte("from a file\r\n"), nil
		},
		Dir: "/etc/kong",
	}
	f, problems := Parse("k", []byte(`_format_version: "3.0"
consumers:
- username: "{vault://env/my-secret}"
  jwt_secrets:
  - {key: a, secret: "{vault://env/my-secret}"}
  - {key: b, secret: "{vault://env/lower}"}
  - {key: c, secret: "{vault://file/sub/secret}"}
  - {key: d, secret: "{vault://file//run/secret}"}
  - {key: e, secret: "x{vault://env/my-secret}"}
`), o)
	if f == nil {
		t.Fatal(problems)
	}
	want := []string{"from the environment", "as it is written", "from a file", "from a file", "x{vault://env/my-secret}"}
	for i, w := range want {
		if got := f.JWTSecrets[i].Secret; got != w {
			t.Errorf("secret %d is %q, want %q", i, got, w)
		}
	}
	if f.Consumers[0].Username != "from the environment" {
		t.Errorf("%+v", f.Consumers[0])
	}
}

// Before Kong 3.0 a path with a character beyond the plain ones was a regular
// expression without saying so.
func TestPathsOfOldVersions(t *testing.T) {
	tests := []struct{ version, path, want string }{
		{"3.0", `/a.b-c_d~e`, "/a.b-c_d~e"},
		{"2.1", `/a.b-c_d~e`, "/a.b-c_d~e"},
		{"1.1", `/users/\d+$`, `~/users/\d+$`},
		{"2.1", `/(a|b)`, `~/(a|b)`},
		{"2.1", `/a/../b`, "/b"},
		{"2.1", `/a//b/`, "/a/b/"},
		{"2.1", `/%61`, "/a"},
		{"3.0", `~/users/\d+$`, `~/users/\d+$`},
	}
	for _, tt := range tests {
		f := read(t, `{_format_version: "`+tt.version+`", services: [{name: s, host: h, routes: [{name: r, paths: ['`+tt.path+`']}]}]}`)
		if got := f.Routes[0].Paths[0].String(); got != tt.want {
			t.Errorf("%s in %s is %s, want %s", tt.path, tt.version, got, tt.want)
		}
	}
}

// A service's url wins over its parts, wherever it stands, as in Kong.
func TestServiceURL(t *testing.T) {
	tests := []struct{ service, want string }{
		{`url: "http://h"`, "http h 80 "},
		{`url: "https://h"`, "https h 443 "},
		{`url: "http://h:8080/a/b"`, "http h 8080 /a/b"},
		{`url: "http://h/"`, "http h 80 /"},
		{`url: "http://[::1]:80/"`, "http ::1 80 /"},
		{`url: "grpcs://h"`, "grpcs h 443 "},
		{`url: "https://h/%20"`, "https h 443 /%20"},
		{`url: "https://h", host: i, port: 1, protocol: http, path: /x`, "https h 443 "},
		{`host: i, port: 1, protocol: http, path: /x, url: "https://h"`, "https h 443 "},
		{`host: "[::1]"`, "http ::1 80 "},
		{`host: h, protocol: https`, "https h 443 "},
		{`host: h, path: /x`, "http h 80 /x"},
	}
	for _, tt := range tests {
		s := read(t, `{_format_version: "3.0", services: [{`+tt.service+`}]}`).Services[0]
		if got := strings.Join([]string{s.Protocol, s.Host, strconv.Itoa(s.Port), s.PathPrefix}, " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.service, got, tt.want)
		}
	}
}

func TestTargets(t *testing.T) {
	for target, want := range map[string]Target{
		"h":              {"h", 8000, 100},
		"h:1":            {"h", 1, 100},
		"10.0.0.1":       {"10.0.0.1", 8000, 100},
		"10.0.0.1:1":     {"10.0.0.1", 1, 100},
		"::1":            {"::1", 8000, 100},
		"[::1]":          {"::1", 8000, 100},
		"[::1]:1":        {"::1", 1, 100},
		"a_b.example.:2": {"a_b.example.", 2, 100},
	} {
		f := read(t, `{_format_version: "3.0", upstreams: [{name: u, targets: [{target: "`+target+`"}]}]}`)
		if got := f.Upstreams[0].Targets[0]; got != want {
			t.Errorf("%s is %+v", target, got)
		}
	}
	for _, target := range []string{"", "h:", "h:x", "h:65536", "h:0", "[::1", "::1]", "[h]", "a b", "h/p", "http://h", "[::1]:", "fe80::1%eth0"} {
		if host, port, ok := splitTarget(target); ok {
			t.Errorf("%q is %s and %d", target, host, port)
		}
	}
}

func TestSettings(t *testing.T) {
	f, problems := Parse("k", []byte(`_format_version: "3.0"
_sallyport:
  listeners: [{address: ":8000"}, {address: "[::1]:8443", tls: false}, {address: "example.com:1"}]
  trusted_ips: [10.0.0.1, "10.0.0.7/8", "::/0", "::ffff:10.0.0.1"]
  state_dir: /var/lib/sallyport
  installation_secret: 0123456789abcdef0123456789abcdef
  filter: {poll_ms: 250, cache_bytes: 65536}
  registry: postgres://sallyport:secret@db/registry
`), Options{})
	if f == nil {
		t.Fatal(problems)
	}
	s := f.Settings
	var trusted []string
	for _, p := range s.TrustedIPs {
		trusted = append(trusted, p.String())
	}
	if strings.Join(trusted, " ") != "10.0.0.1/32 10.0.0.0/8 ::/0 10.0.0.1/32" {
		t.Errorf("trusted: %s", trusted)
	}
	if len(s.Listen) != 3 || s.StateDir != "/var/lib/sallyport" || len(s.InstallationSecret) != 32 || s.Registry != "postgres://sallyport:secret@db/registry" {
		t.Errorf("%+v", s)
	}
	if got := s.FilterConfig("c"); got != `{"cluster":"c","cache_bytes":65536,"poll_ms":250}` {
		t.Errorf("the filter gets %s", got)
	}
	if !strings.Contains(problems.Error(), "trusted_ips[2]: trusts everybody") {
		t.Errorf("no warning about ::/0: %v", problems)
	}
}
