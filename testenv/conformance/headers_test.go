package conformance

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/identity"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

const headersFile = `_format_version: "3.0"
services:
- name: upstream
  url: ${UPSTREAM}
  routes:
  - {name: open, paths: [/open], strip_path: false}
  - {name: jwt, paths: [/jwt], strip_path: false, plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]}
  - {name: anonymous, paths: [/anonymous], strip_path: false, plugins: [{name: jwt, config: {claims_to_verify: [exp], anonymous: guest}}]}
  - {name: preflight, paths: [/preflight], strip_path: false, plugins: [{name: jwt, config: {claims_to_verify: [exp], run_on_preflight: false}}]}
consumers:
- {username: guest, id: 11111111-1111-4111-8111-111111111111}
- username: alice
  id: 22222222-2222-4222-8222-222222222222
  jwt_secrets: [{key: alice, secret: the-secret-of-alice-is-long-enough}]
`

// spellings are the ways to write a header name that a server which levels
// punctuation, as CGI does, takes for the same one.
func spellings(name string) []string {
	out := []string{name, strings.ToUpper(name), http.CanonicalHeaderKey(name)}
	for _, c := range "_.!#$%&'*+^`|~" {
		out = append(out, strings.ReplaceAll(name, "-", string(c)), strings.Replace(name, "-", string(c), 1))
	}
	return out
}

// levelled returns a name as such a server sees it.
func levelled(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		}
		return '-'
	}, strings.ToLower(name))
}

// claims returns what the upstream was told of the caller, under all spellings.
func (x *exchange) claims() map[string]string {
	out := map[string]string{}
	for name, values := range x.Upstream() {
		if slices.Contains(identity.Names(), levelled(name)) {
			out[name] = strings.Join(values, " | ")
		}
	}
	return out
}

// TestSpoofedHeaders: what a caller says of itself never reaches the upstream, on
// any kind of route and however it is spelt.
func TestSpoofedHeaders(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string { return strings.Replace(headersFile, "${UPSTREAM}", e.Upstream, 1) })
		token := bearer(tokens.Sign("the-secret-of-alice-is-long-enough", map[string]any{"alg": "HS256"}, map[string]any{"iss": "alice", "exp": tokens.In(600)}))
		alice := map[string]string{"X-Consumer-Id": "22222222-2222-4222-8222-222222222222", "X-Consumer-Username": "alice", "X-Credential-Identifier": "alice"}
		guest := map[string]string{"X-Consumer-Id": "11111111-1111-4111-8111-111111111111", "X-Consumer-Username": "guest", "X-Anonymous-Consumer": "true"}
		routes := []struct {
			name, method, target string
			lines                []string
			want                 map[string]string
		}{
			{"open", "GET", "/open", nil, nil},
			{"jwt", "GET", "/jwt", []string{token}, alice},
			{"anonymous", "GET", "/anonymous", nil, guest},
			{"anonymous with a token", "GET", "/anonymous", []string{token}, alice},
			{"preflight", "OPTIONS", "/preflight", nil, nil},
		}
		same := func(t *testing.T, x *exchange, want map[string]string) {
			t.Helper()
			if x.Status != 200 || len(x.Seen) != 1 {
				t.Fatalf("%d, the upstream received %d requests", x.Status, len(x.Seen))
			}
			got := x.claims()
			for name, v := range got {
				if want[name] != v {
					t.Errorf("the upstream received %s: %q", name, v)
				}
			}
			if len(got) != len(want) {
				t.Errorf("the upstream received %v, want %v", got, want)
			}
		}
		for _, route := range routes {
			t.Run(route.name, func(t *testing.T) {
				for _, name := range identity.Names() {
					var all []string
					for _, s := range spellings(name) {
						all = append(all, s+": root", s+":")
					}
					same(t, r.send(t, route.method, route.target, slices.Concat(route.lines, all)...), route.want)
					// Alone, so that none hides behind another.
					for _, s := range []string{name, strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", ".")} {
						same(t, r.send(t, route.method, route.target, append([]string{s + ": root"}, route.lines...)...), route.want)
					}
				}
			})
			t.Run(route.name+" hop by hop", func(t *testing.T) {
				// A caller who has our headers taken for the connection's, and removed.
				for _, name := range identity.Names() {
					same(t, r.send(t, route.method, route.target, append([]string{"Connection: close, " + name, name + ": root"}, route.lines...)...), route.want)
				}
			})
			t.Run(route.name+" trailers", func(t *testing.T) {
				id := tokens.Random()
				res := testenv.Raw(t, r.Addr, strings.Join(slices.Concat([]string{route.method + " " + route.target + " HTTP/1.1", "Host: gateway.example"}, route.lines,
					[]string{"X-Test-Id: " + id, "Connection: close", "Transfer-Encoding: chunked", "Trailer: X-Consumer-ID, X-Consumer-Username, X-Last", "",
						"1", "x", "0", "X-Consumer-ID: 1", "X-Consumer-Username: root", "X-Last: 1", "", ""}), "\r\n"))
				x := &exchange{res, r.echo.Seen(id)}
				same(t, x, route.want)
				for name, values := range x.Seen[0].Trailer {
					if identity.IsHeader(name) && len(values) > 0 {
						t.Errorf("the upstream received the trailer %s: %q", name, values)
					}
				}
				testenv.Evidence(t, "%s: %s with trailers -> %d, upstream received trailers %v", host, route.target, res.Status, x.Seen[0].Trailer)
			})
		}
		t.Run("others", func(t *testing.T) {
			names := []string{"X-Consumer", "X-Consumers-ID", "Consumer-ID", "X-Credential", "X-Anonymous", "X-Userinfos", "X-Consumer-Identity"}
			var lines []string
			for _, name := range names {
				lines = append(lines, name+": mine")
			}
			x := r.send(t, "GET", "/open", lines...)
			for _, name := range names {
				if x.Upstream().Get(name) != "mine" {
					t.Errorf("%s did not reach the upstream", name)
				}
			}
		})
	})
}

// TestForwardedHeaders: what an upstream is told of the connection (D16), with
// and without a proxy in front whose word is believed.
func TestForwardedHeaders(t *testing.T) {
	file := func(trusted string) func(e vectors.Env) string {
		return func(e vectors.Env) string {
			return `_format_version: "3.0"
_sallyport: {trusted_ips: [` + trusted + `]}
services:
- name: upstream
  url: ` + e.Upstream + `
  routes:
  - {name: stripped, paths: [/stripped]}
  - {name: whole, paths: [/whole], strip_path: false, preserve_host: true}
  - {name: secure, paths: [/secure], strip_path: false, protocols: [https]}
`
		}
	}
	claims := []string{"X-Forwarded-For: 203.0.113.9, 198.51.100.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example", "X-Forwarded-Port: 8443",
		"X-Forwarded-Path: /other", "X-Forwarded-Prefix: /shop", "X-Real-IP: 203.0.113.9", "Forwarded: for=203.0.113.9;proto=https;host=shop.example"}
	for name, trusted := range map[string]string{"nobody": "", "others": "10.0.0.0/8", "us": "127.0.0.0/8"} {
		t.Run("trusts "+name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, host string) {
				r := start(t, host, stack.Options{}, file(trusted))
				_, port, _ := net.SplitHostPort(r.Addr)
				for _, c := range []struct {
					target, prefix, host string
				}{
					{"/stripped/x", "/stripped", r.echo.Addr},
					{"/whole/x", "", "api.example"},
				} {
					for _, lines := range [][]string{nil, claims} {
						x := r.send(t, "GET", c.target, append(lines, "Host: api.example:8000")...)
						if x.Status != 200 || len(x.Seen) != 1 {
							t.Fatalf("%s: %d", c.target, x.Status)
						}
						// The last address is the client's; for one on this machine Envoy writes
						// the machine's own instead.
						chain := x.Upstream().Get("X-Forwarded-For")
						us := chain[strings.LastIndexByte(chain, ',')+1:]
						if net.ParseIP(us) == nil || host == "host" && us != "127.0.0.1" {
							t.Errorf("X-Forwarded-For is %q", chain)
						}
						want := map[string]string{"X-Forwarded-For": us, "X-Forwarded-Proto": "http", "X-Forwarded-Host": "api.example",
							"X-Forwarded-Port": port, "X-Forwarded-Path": c.target, "X-Forwarded-Prefix": c.prefix, "X-Real-Ip": "127.0.0.1", "Forwarded": ""}
						if lines != nil { // earlier proxies are named, if only believed to be there
							want["X-Forwarded-For"] = "203.0.113.9, 198.51.100.7," + us
						}
						if lines != nil && name == "us" {
							for n, v := range map[string]string{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example", "X-Forwarded-Port": "8443",
								"X-Forwarded-Prefix": "/shop", "X-Real-Ip": "203.0.113.9", "Forwarded": "for=203.0.113.9;proto=https;host=shop.example"} {
								want[n] = v
							}
						}
						for n, v := range want {
							if got := strings.Join(x.Upstream().Values(n), " | "); got != v {
								t.Errorf("%s, claimed %v: %s is %q, want %q", c.target, lines != nil, n, got, v)
							}
						}
						if got := x.Seen[0].Host; got != c.host {
							t.Errorf("%s: the upstream sees the host %q, want %q", c.target, got, c.host)
						}
					}
				}
				if x := r.send(t, "GET", "/secure/x"); x.Status != 426 || len(x.Seen) != 0 {
					t.Errorf("plain HTTP on a route for HTTPS: %d", x.Status)
				}
				want, calls := 426, 0
				if name == "us" {
					want, calls = 200, 1
				}
				if x := r.send(t, "GET", "/secure/x", claims...); x.Status != want || len(x.Seen) != calls {
					t.Errorf("HTTPS by the word of somebody: %d, want %d", x.Status, want)
				}
			})
		})
	}
}
