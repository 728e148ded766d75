package declarative

import (
	"io/fs"
	"strings"
	"testing"
)

// refusal is a file that is refused and its one error, as it is printed. The
// file begins with _format_version in line 1; src begins in line 2.
type refusal struct{ src, want string }

func checkRefusals(t *testing.T, tests []refusal) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			got := refused(t, "_format_version: '3.0'\n"+strings.TrimPrefix(tt.src, "\n"), Options{Env: noEnv, ReadFile: noFile})
			if got.Error() != "kong.yml:"+tt.want {
				t.Errorf("got\n%v\nwant\nkong.yml:%s\nfor\n%s", got, tt.want, tt.src)
			}
		})
	}
}

// in puts members into a good service with a good route.
func inService(s string) string { return "services:\n- {name: s, host: h, " + s + "}" }
func inURL(s string) string     { return "services:\n- url: '" + s + "'" }
func inRoute(s string) string {
	return "services:\n- name: s\n  host: h\n  routes:\n  - {name: r, paths: [/ok], " + s + "}"
}
func inPath(s string) string {
	return "services:\n- name: s\n  host: h\n  routes:\n  - name: r\n    paths:\n    - '" + s + "'"
}
func inUpstream(s string) string {
	return "upstreams:\n- {name: u, targets: [{target: 'h:1'}], " + s + "}"
}

func TestRefusedShapes(t *testing.T) {
	const object = "apiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nplugin: jwt\n"
	if got := refused(t, object, Options{}).Error(); got != "kong.yml:1: is a Kubernetes object: sallyport convert makes a declarative file of Ingresses, KongPlugins and KongConsumers" {
		t.Error(got)
	}
	checkRefusals(t, []refusal{
		{"servicez: []", "2: servicez: unknown field: did you mean services?"},
		{"nothing_like_it: 1", "2: nothing_like_it: unknown field"},
		{"services: {name: s}", "2: services: is a mapping: expected a list"},
		{"services: s", `2: services: is "s": expected a list`},
		{"services: " + strings.Repeat("x", 41), "2: services: is a string: expected a list"},
		{"services:\n- s", `3: services[0]: is "s": expected a mapping`},
		{"services:\n- [s]", "3: services[0]: is a list: expected a mapping"},
		{inService("name: t"), "3: services[0].name: appears twice in one mapping"},
		{inService("nmae: t"), "3: services[0].nmae: unknown field: did you mean name?"},
		{"services:\n- {name: 7, host: h}", "3: services[0].name: is 7: expected a string (put it in quotes)"},
		{"services:\n- {name: yes, host: true}", "3: services[0].host: is true: expected a string (put it in quotes)"},
		{"services:\n- {name: s, host: [h]}", "3: services[0].host: is a list: expected a string"},
		{inService("enabled: yes"), `3: services[0].enabled: is "yes": expected true or false`},
		{inService("enabled: 1"), "3: services[0].enabled: is 1: expected true or false"},
		{inService("port: '80'"), `3: services[0].port: is "80": expected an integer`},
		{inService("port: 8e1"), "3: services[0].port: is 8e1: expected an integer"},
		{inService("port: 080"), "3: services[0].port: is 080: expected an integer without a leading zero, which YAML 1.1 reads as octal"},
		{inService("port: 65536"), "3: services[0].port: is 65536: expected 0 to 65535"},
		{inService("port: -1"), "3: services[0].port: is -1: expected 0 to 65535"},
		{inService("retries: 32768"), "3: services[0].retries: is 32768: expected 0 to 32767"},
		{inService("read_timeout: 0"), "3: services[0].read_timeout: is 0: expected 1 to 2147483646"},
		{inService("id: 7f3e"), `3: services[0].id: is "7f3e": expected a UUID`},
		{inService("id: zzzzzzzz-0000-0000-0000-000000000000"), `3: services[0].id: is "zzzzzzzz-0000-0000-0000-000000000000": expected a UUID`},
		{"services:\n\t- name: s", "3: is not YAML: line 3: found character that cannot start any token: lines are indented by blanks, not by tabs, and a text that begins with @ or ` is quoted"},
		{inRoute("hosts: ['http://h']"), `6: services[0].routes[0].hosts[0]: is "http://h": expected a host name or an IP address, without a scheme`},
		{"? [a]\n: b", "2: a key is a list: expected a name"},
		{"_konnect: {runtime_group_name: g}", "2: _konnect: is not supported: is for Konnect's control plane"},
		{"consumer_groups: [{name: g}]", "2: consumer_groups: is not supported: consumer groups are a Kong Enterprise entity"},
		{"vaults: [{name: env}]", "2: vaults: is not supported: use {vault://env/NAME} or {vault://file/PATH}, which need no vault entity"},
		{"hmacauth_credentials: [{key: k}]", "2: hmacauth_credentials: is not supported: the hmac-auth plugin is not supported"},
	})
}

func TestRefusedServices(t *testing.T) {
	checkRefusals(t, []refusal{
		{"services:\n- name: s", "3: services[0]: has neither url nor host: expected one of them"},
		{"services:\n- {name: 'a b', host: h}", `3: services[0].name: is "a b": expected letters, digits, '.', '-', '_' and '~'`},
		{"services:\n- {name: '', host: h}", "3: services[0].name: is empty"},
		{"services:\n- {name: s, host: ''}", "3: services[0].host: is empty"},
		{"services:\n- {name: s, host: 'h:80'}", `3: services[0].host: is "h:80": expected a host without a port`},
		{"services:\n- {name: s, host: 'no host'}", `3: services[0].host: is "no host": expected a host name or an IP address`},
		{"services:\n- {name: s, host: 'a..b'}", `3: services[0].host: is "a..b": expected a host name or an IP address`},
		{"services:\n- {name: s, host: '[::1'}", `3: services[0].host: is "[::1": expected a host without a port`},
		{"services:\n- {name: s, host: '[h]'}", `3: services[0].host: is "[h]": expected a host name or an IP address`},
		{"services:\n- {name: s, host: 'fe80::1%eth0'}", `3: services[0].host: is "fe80::1%eth0": expected a host without a port`},
		{inService("protocol: tcp"), `3: services[0].protocol: is "tcp": expected http, https, grpc or grpcs`},
		{inService("path: x"), `3: services[0].path: is "x": expected a leading slash`},
		{inService("path: /a//b"), "3: services[0].path: has an empty segment (//)"},
		{inService("path: /a%2"), "3: services[0].path: has a % without two hex digits"},
		{inService("path: '/a?b'"), "3: services[0].path: holds '?', which a URL path has to percent-encode"},
		{inService("protocol: grpc, path: /a"), "3: services[0]: has a path and protocol grpc: gRPC has none"},
		{inService("tls_verify_depth: 3"), "3: services[0].tls_verify_depth: is not supported: chains are verified as far as they go"},
		{inService("client_certificate: {id: x}"), "3: services[0].client_certificate: is not supported: client certificates to upstreams are not sent"},
		{inService("ca_certificates: [none]"), `3: services[0].ca_certificates[0]: refers to "none", which is not among the ca_certificates`},
		{inURL("h:80"), `3: services[0].url: is "h:80": expected a URL like http://host:port/path`},
		{inURL("http://"), `3: services[0].url: is "http://": expected a URL like http://host:port/path`},
		{inURL("http://:80"), `3: services[0].url: is "http://:80": expected a URL like http://host:port/path`},
		{inURL("http://h/a?b"), "3: services[0].url: has a query or fragment: expected protocol, host, port and path only"},
		{inURL("http://h/a#b"), "3: services[0].url: has a query or fragment: expected protocol, host, port and path only"},
		{inURL("http://u:p@h"), "3: services[0].url: has a user name: credentials do not belong in a service's url"},
		{inURL("tcp://h"), `3: services[0].url: has protocol "tcp": expected http, https, grpc or grpcs`},
		{inURL("http://h_/a//b"), "3: services[0].url: has a path that has an empty segment (//)"},
		{inURL("http://h..x"), `3: services[0].url: has a host that is "h..x": expected a host name or an IP address`},
		{inURL("http://h:0"), "3: services[0].url: has port 0: expected 1 to 65535"},
		{inURL("http://h:65536"), "3: services[0].url: has port 65536: expected 1 to 65535"},
		{"services:\n- {name: s, host: h}\n- {name: s, host: i}", `4: services[1]: "s" is taken by another of the services`},
		{"services:\n- {name: s, host: Back}\nupstreams:\n- {name: back, targets: [{target: 'h:1'}]}",
			"3: services[0]: host Back would be looked up in DNS: expected the upstream's name as it is written, back"},
		{"services:\n- {name: s, host: back.}\nupstreams:\n- {name: back, targets: [{target: 'h:1'}]}",
			"3: services[0]: host back. would be looked up in DNS: expected the upstream's name as it is written, back"},
	})
}

func TestRefusedUpstreams(t *testing.T) {
	checkRefusals(t, []refusal{
		{"upstreams:\n- {targets: [{target: 'h:1'}]}", "3: upstreams[0]: has no name: services refer to an upstream by it"},
		{"upstreams:\n- {name: 10.0.0.1, targets: [{target: 'h:1'}]}", `3: upstreams[0].name: is "10.0.0.1": expected a name, not an address`},
		{"upstreams:\n- {name: 'u:80', targets: [{target: 'h:1'}]}", `3: upstreams[0].name: is "u:80": expected a host without a port`},
		{"upstreams:\n- name: u", "3: upstreams[0]: upstream u has no target with a weight: its requests could only fail"},
		{"upstreams:\n- {name: u, targets: [{target: 'h:1', weight: 0}]}", "3: upstreams[0]: upstream u has no target with a weight: its requests could only fail"},
		{"upstreams:\n- {name: u, targets: [{target: 'h:0'}]}", `3: upstreams[0].targets[0]: target is "h:0": expected host:port or an IP address`},
		{inUpstream("algorithm: consistent-hashing"), `3: upstreams[0].algorithm: is "consistent-hashing": expected round-robin or least-connections`},
		{inUpstream("hash_on: header"), "3: upstreams[0].hash_on: is not supported: requests are balanced by round robin or least connections"},
		{inUpstream("hash_on_header: x"), "3: upstreams[0].hash_on_header: is not supported: belongs to hash_on"},
		{inUpstream("use_srv_name: true"), "3: upstreams[0].use_srv_name: is not supported: SRV records are not looked up"},
		{inUpstream("host_header: 'a b'"), `3: upstreams[0].host_header: is "a b": expected a host, with or without a port`},
		{inUpstream("healthchecks: {active: {healthy: {interval: 5}}}"),
			"3: upstreams[0].healthchecks.active.healthy.interval: is not supported: targets are not health-checked (0 switches the check off)"},
		{"upstreams:\n- {name: u, targets: [{target: 'h:1'}]}\ntargets:\n- {target: 'h:1'}", "5: targets[0]: has no upstream"},
		{"targets:\n- {target: 'h:1', upstream: u}", `3: targets[0].upstream: refers to "u", which is not among the upstreams`},
		{"upstreams:\n- {name: u, targets: [{target: 'h:1'}]}\n- {name: u, targets: [{target: 'i:1'}]}", `4: upstreams[1]: "u" is taken by another of the upstreams`},
	})
}

func TestRefusedRoutes(t *testing.T) {
	const at = "6: services[0].routes[0]"
	const path = "8: services[0].routes[0].paths[0]: "
	checkRefusals(t, []refusal{
		{"services:\n- {name: s, host: h}\nroutes:\n- {name: r, paths: [/]}", "5: routes[0]: has no service: there is nothing to proxy to"},
		{"routes:\n- {name: r, paths: [/], service: s}", `3: routes[0].service: refers to "s", which is not among the services`},
		{"routes:\n- {name: r, paths: [/], service: {name: s}}", `3: routes[0].service: refers to "s", which is not among the services`},
		{"routes:\n- {name: r, paths: [/], service: {}}", "3: routes[0].service: refers to nothing: expected a name or an id"},
		{inRoute("service: s"), at + ".service: unknown field"},
		{"services:\n- name: s\n  host: h\n  routes:\n  - name: r", at + ": matches nothing: expected methods, hosts, headers or paths"},
		{"services:\n- name: s\n  host: h\n  routes:\n  - {name: r, paths: [], methods: []}", at + ": matches nothing: expected methods, hosts, headers or paths"},
		{inRoute("methods: [get]"), at + `.methods[0]: is "get": expected a method in upper case`},
		{inRoute("methods: GET"), at + `.methods: is "GET": expected a list`},
		{inRoute("protocols: [tcp]"), at + `.protocols[0]: is "tcp": expected http, https, grpc or grpcs`},
		{inRoute("protocols: [http, grpc]"), at + ": protocols are http, grpc: expected either http and https, or grpc and grpcs"},
		{inRoute("protocols: [grpc], strip_path: true"), at + ": strip_path is true: gRPC routes keep the path"},
		{inRoute("protocols: [grpc], methods: [POST]"), at + ": has methods: gRPC has only POST"},
		{inRoute("hosts: ['*']"), at + `.hosts[0]: is "*": expected the wildcard as the leftmost or rightmost label`},
		{inRoute("hosts: ['a.*.b']"), at + `.hosts[0]: is "a.*.b": expected the wildcard as the leftmost or rightmost label`},
		{inRoute("hosts: ['*a.b']"), at + `.hosts[0]: is "*a.b": expected the wildcard as the leftmost or rightmost label`},
		{inRoute("hosts: ['*.a.*']"), at + `.hosts[0]: is "*.a.*": expected at most one wildcard`},
		{inRoute("hosts: ['a:80']"), at + `.hosts[0]: is "a:80": a host with a port is not supported, because ports are stripped before a route is chosen`},
		{inRoute("hosts: ['a/b']"), at + `.hosts[0]: is "a/b": expected a host name or an IP address`},
		{inRoute("headers: [x]"), at + ".headers: is a list: expected a mapping"},
		{inRoute("headers: {'x y': [v]}"), at + ".headers.x y: is no header name"},
		{inRoute("headers: {':path': [v]}"), at + ".headers.:path: is no header name"},
		{inRoute("headers: {Host: [v]}"), at + ".headers.Host: hosts belong in the field hosts"},
		{inRoute("headers: {X-Forwarded-Proto: [v]}"), at + ".headers.X-Forwarded-Proto: is set by the proxy itself: a route must not depend on it"},
		{inRoute("headers: {X-Consumer-ID: [v]}"), at + ".headers.X-Consumer-ID: is set or removed by authentication: the proxy would choose the route again, and perhaps another one"},
		{inRoute("headers: {x_consumer_id: [v]}"), at + ".headers.x_consumer_id: is set or removed by authentication: the proxy would choose the route again, and perhaps another one"},
		{inRoute("headers: {x-a: v}"), at + `.headers.x-a: is "v": expected a list`},
		{inRoute("headers: {x-a: []}"), at + ".headers.x-a: has no values: the route would match without the header"},
		{inRoute("headers: {x-a: ['']}"), at + ".headers.x-a[0]: is empty"},
		{inRoute("headers: {x-a: ['~*(']}"), at + ".headers.x-a: is not a regular expression of RE2: missing closing ): `(`"},
		{inRoute("regex_priority: -1"), at + ".regex_priority: is -1: expected 0 to 2147483648"},
		{inRoute("https_redirect_status_code: 303"), at + ": https_redirect_status_code is 303: expected 426, 301, 302, 307 or 308"},
		{inRoute("path_handling: v1"), at + ".path_handling: is not supported: Kong deprecates v1, and its traditional_compatible router ignores it: leave it out"},
		{inRoute("snis: [a.example]"), at + ".snis: is not supported: route by hosts"},
		{inRoute("sources: [{ip: 10.0.0.1}]"), at + ".sources: is not supported: is for TCP routes"},
		{inRoute("expression: 'http.path == \"/\"'"), at + ".expression: is not supported: write hosts, paths, methods and headers (the traditional router)"},
		{inRoute("priority: 5"), at + ".priority: is not supported: belongs to expression"},
		{"services:\n- {name: s, host: h, routes: [{name: r, paths: [/a]}]}\n- {name: t, host: h, routes: [{name: r, paths: [/b]}]}",
			`4: services[1].routes[0]: "r" is taken by another of the routes`},

		{inPath("a"), path + `is "a": expected a leading slash, or ~/ for a regular expression`},
		{inPath(""), path + `is "": expected a leading slash, or ~/ for a regular expression`},
		{inPath("/a b"), path + `holds " ": clients may write it in several ways; expected letters, digits and /-._~:@!$&'()*+,;=[], or a regular expression that lists the ways`},
		{inPath("/ä"), path + `holds "ä": clients may write it in several ways; expected letters, digits and /-._~:@!$&'()*+,;=[], or a regular expression that lists the ways`},
		{inPath("/a%20b"), path + `holds "%": clients may write it in several ways; expected letters, digits and /-._~:@!$&'()*+,;=[], or a regular expression that lists the ways`},
		{inPath("/a//b"), path + `is not in normal form, so no request would match it: expected "/a/b"`},
		{inPath("/a/../b"), path + `is not in normal form, so no request would match it: expected "/b"`},
		{inPath("~a"), path + `is "~a": expected ~/ at the beginning of a regular expression`},
		{inPath("~/a("), path + "is not a regular expression of RE2: missing closing ): `/a(`"},
		{inPath("~/(?!x)"), path + "is not a regular expression of RE2: invalid or unsupported Perl syntax: `(?!` (look-around does not exist in RE2, which Envoy and Kong's own traditional_compatible router use in kind)"},
		{inPath("~/a b"), path + "holds a space or a character beyond ASCII, which never stands in a request's path: write its percent-encoding"},
		{inPath("~/ä"), path + "holds a space or a character beyond ASCII, which never stands in a request's path: write its percent-encoding"},
	})
}

func TestRefusedReferencesToSecrets(t *testing.T) {
	file := func(ref string) string { return "_sallyport:\n  state_dir: '" + ref + "'" }
	checkRefusals(t, []refusal{
		{file("{vault://env/a-name}"), "3: _sallyport.state_dir: refers to the environment variable A_NAME, which is not set"},
		{file("{vault://file/secret}"), "3: _sallyport.state_dir: refers to the file secret, which cannot be read"},
		{file("{vault://aws/secret}"), "3: _sallyport.state_dir: is an unknown reference: expected {vault://env/NAME} or {vault://file/PATH}"},
		{file("{vault://env/}"), "3: _sallyport.state_dir: is an unknown reference: expected {vault://env/NAME} or {vault://file/PATH}"},
		{file("{vault://env}"), "3: _sallyport.state_dir: is an unknown reference: expected {vault://env/NAME} or {vault://file/PATH}"},
		{file("{vault://env/NAME"), "3: _sallyport.state_dir: is an unknown reference: expected {vault://env/NAME} or {vault://file/PATH}"},
	})
	t.Run("an empty value is checked like any other", func(t *testing.T) {
		o := Options{Env: func(string) (string, bool) { return "", true }, ReadFile: func(string) ([]byte, error) { return nil, fs.ErrPermission }}
		if got := refused(t, "_format_version: '3.0'\n"+file("{vault://env/EMPTY}"), o).Error(); !strings.Contains(got, "is empty") {
			t.Errorf("got %s", got)
		}
	})
}

func TestRefusedSettings(t *testing.T) {
	checkRefusals(t, []refusal{
		{"_sallyport: {listeners: [{tls: false}]}", "2: _sallyport.listeners[0]: has no address"},
		{"_sallyport: {listeners: [{address: '8000'}]}", `2: _sallyport.listeners[0].address: is "8000": expected an address like 0.0.0.0:8000`},
		{"_sallyport: {listeners: [{address: ':65536'}]}", `2: _sallyport.listeners[0].address: is ":65536": expected an address like 0.0.0.0:8000`},
		{"_sallyport: {listeners: [{address: 'a b:1'}]}", `2: _sallyport.listeners[0].address: is "a b:1": expected an address like 0.0.0.0:8000`},
		{"_sallyport: {listeners: [{address: ':1', tls: true}]}", "2: _sallyport.listeners[0]: is tls, and the file has no certificates"},
		{"_sallyport: {trusted_ips: [10.0.0.0/33]}", `2: _sallyport.trusted_ips[0]: is "10.0.0.0/33": expected an address or a range like 10.0.0.0/8`},
		{"_sallyport: {installation_secret: short}", "2: _sallyport.installation_secret: is shorter than 32 bytes"},
		{"_sallyport: {filter: {poll_ms: 1}}", "2: _sallyport.filter.poll_ms: is 1: expected 100 to 1000"},
		{"_sallyport: {filter: {poll: 1}}", "2: _sallyport.filter.poll: unknown field"},
	})
}

// All errors of a file are reported at once, in the order of their lines.
func TestManyErrorsAtOnce(t *testing.T) {
	got := refused(t, `_format_version: "4.0"
services:
- name: s
  host: a b
  routes:
  - name: r
    methods: [get]
    plugins:
    - {name: acl, config: {allow: []}}
- name: t
plugins:
- {name: jwt, route: none, config: {claims_to_verify: [exp, iat]}}
consumers:
- {custom_id: ''}
bogus: 1
`, Options{})
	want := []string{
		`1: _format_version: is "4.0": expected "1.1", "2.1" or "3.0"`,
		`4: services[0].host: is "a b": expected a host name or an IP address`,
		`7: services[0].routes[0].methods[0]: is "get": expected a method in upper case`,
		`9: services[0].routes[0].plugins[0]: has neither allow nor deny: expected either config.allow or config.deny with at least one group`,
		`10: services[1]: has neither url nor host: expected one of them`,
		`12: plugins[0].config.claims_to_verify[1]: is "iat": expected exp or nbf`,
		`12: plugins[0].route: refers to "none", which is not among the routes`,
		`14: consumers[0].custom_id: is empty`,
		`15: bogus: unknown field`,
	}
	if text := "kong.yml:" + strings.Join(want, "\nkong.yml:"); got.Error() != text {
		t.Errorf("got\n%v\nwant\n%s", got, text)
	}
}

// A version below 3.0 is no error, none at all is.
func TestFormatVersion(t *testing.T) {
	for version, ok := range map[string]bool{`"1.1"`: true, `"2.1"`: true, `"3.0"`: true, `3.0`: true, `"2.0"`: false, `3`: false, `null`: false, `[]`: false} {
		f, problems := Parse("kong.yml", []byte("_format_version: "+version+"\n"), Options{})
		if (f != nil) != ok {
			t.Errorf("%s: %v", version, problems)
		}
	}
	if got := refused(t, "services: []", Options{}).Error(); got != `kong.yml:1: _format_version: is missing: expected "1.1", "2.1" or "3.0"` {
		t.Errorf("got %s", got)
	}
	for src, want := range map[string]string{
		"":      "kong.yml: is empty: expected _format_version, services, …",
		"# c\n": "kong.yml: is empty: expected _format_version, services, …",
		"- a":   "kong.yml:1: is a list: expected a mapping",
		"hello": `kong.yml:1: is "hello": expected a mapping`,
	} {
		if got := refused(t, src, Options{}).Error(); got != want {
			t.Errorf("%q: got %s, want %s", src, got, want)
		}
	}
}
