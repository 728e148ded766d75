package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/identity"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// rerouteFile has routes whose choice a header or the method decides. Each has a
// service with a path of its own, by which the upstream tells which one a request
// has really taken: /open and /gold are public, the others guarded.
func rerouteFile(e vectors.Env) string {
	const jwt = "[{name: jwt, config: {claims_to_verify: [exp]}}]"
	var b strings.Builder
	b.WriteString("_format_version: \"3.0\"\nservices:\n")
	for _, r := range []struct{ name, match, plugins string }{
		{"open", "paths: [/open]", "[]"},
		{"guarded", "paths: [/guarded]", jwt},
		{"gold", "paths: [/tier], headers: {x-tier: [gold]}", "[]"},
		{"silver", "paths: [/tier], headers: {x-tier: [silver]}", jwt},
		{"tier", "paths: [/tier]", jwt},
		{"read", "paths: [/verbs], methods: [GET]", "[]"},
		{"write", "paths: [/verbs], methods: [POST, DELETE]", jwt},
	} {
		fmt.Fprintf(&b, "- {name: %s, url: %q, routes: [{name: %s, strip_path: false, %s, plugins: %s}]}\n",
			r.name, e.Upstream+"/"+r.name, r.name, r.match, r.plugins)
	}
	b.WriteString("consumers: [{username: alice, jwt_secrets: [{key: alice, secret: the-secret-of-alice-is-long-enough}]}]\n")
	return b.String()
}

// taken returns the service that the request came to, "" for none.
func (x *exchange) taken(t testing.TB) string {
	t.Helper()
	switch len(x.Seen) {
	case 0:
		return ""
	case 1:
		return "/" + strings.Split(x.Seen[0].Target, "/")[1] + "/"
	}
	t.Errorf("the upstream received %d requests", len(x.Seen))
	return "several"
}

// overrides are headers by which a client tells some server that it meant
// another path, method or host than it wrote.
var overrides = []string{
	"X-Original-URL: %s", "X-Rewrite-URL: %s", "X-Original-URI: %s", "X-Original-Path: %s", "X-Path-Override: %s", "X-HTTP-Path-Override: %s",
	"X-Forwarded-Path: %s", "X-Forwarded-URI: %s", "X-Forwarded-Prefix: %s", "X-Envoy-Original-Path: %s", "X-Envoy-Original-Method: GET",
	"X-Envoy-Original-Host: other.example", "X-Envoy-Decorator-Operation: %s", "X-HTTP-Method-Override: GET", "X-HTTP-Method: GET",
	"X-Method-Override: GET", "X-Forwarded-Host: other.example", "X-Forwarded-Proto: https", "X-Forwarded-Scheme: https", "X-Host: other.example",
	"Forwarded: host=other.example;proto=https", "X-Envoy-Internal: true", "X-Envoy-Force-Trace: true", "X-Envoy-Upstream-Alt-Stat-Name: x",
	"X-Envoy-Retry-On: 5xx", "X-Envoy-Max-Retries: 9", "X-Envoy-Hedge-On-Per-Try-Timeout: true", "Connection: x-tier", "Connection: authorization", "Connection: host, authorization",
	"Upgrade: h2c", "Upgrade: TLS/1.2",
}

// refusedByEnvoy are the overrides that Envoy answers 400 by itself.
var refusedByEnvoy = []string{"Connection: host, authorization"}

// TestReroute proves that the decision belongs to the route that a request
// really takes (D2), in the oldest Envoy too: they match headers differently by
// default.
func TestReroute(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) { reroute(t, host, stack.Options{}) })
	t.Run("oldest envoy", func(t *testing.T) { reroute(t, "envoy", stack.Options{EnvoyVersion: envoy.Oldest}) })
}

func reroute(t *testing.T, host string, o stack.Options) {
	r := start(t, host, o, rerouteFile)
	token := tokens.Sign("the-secret-of-alice-is-long-enough", map[string]any{"alg": "HS256"}, map[string]any{"iss": "alice", "exp": tokens.In(600)})
	for _, o := range overrides {
		t.Run("override_"+o, func(t *testing.T) {
			line := strings.ReplaceAll(o, "%s", "/open/x")
			if host == "envoy" && slices.Contains(refusedByEnvoy, o) {
				if x := r.send(t, "GET", "/open/x", line); x.Status != 400 || len(x.Seen) != 0 {
					t.Errorf("%d, the upstream received %+v", x.Status, x.Seen)
				}
				return
			}
			x := r.send(t, "GET", "/guarded/x", line)
			if x.Status != 401 || len(x.Seen) != 0 {
				t.Errorf("without a token: %d, the upstream received %+v", x.Status, x.Seen)
			}
			x = r.send(t, "POST", "/verbs/x", line)
			if x.Status != 401 || len(x.Seen) != 0 {
				t.Errorf("another method without a token: %d, the upstream received %+v", x.Status, x.Seen)
			}
			x = r.send(t, "GET", "/open/x", strings.ReplaceAll(o, "%s", "/guarded/x"))
			if x.Status != 200 || x.taken(t) != "/open/" || x.Seen[0].Target != "/open/open/x" || x.Seen[0].Method != "GET" {
				t.Errorf("on the public route: %d, the upstream received %+v", x.Status, x.Seen)
			}
		})
	}
	// Headers that a route is chosen by, in all their spellings: who has no token
	// reaches only what is public, and with one everything is where it belongs.
	for _, c := range []struct {
		lines []string
		taken string // with a token
	}{
		{nil, "/tier/"},
		{[]string{"X-Tier: gold"}, "/gold/"},
		{[]string{"x-tier: GOLD"}, "/gold/"},
		{[]string{"X-Tier:  gold "}, "/gold/"},
		{[]string{"X-Tier: silver"}, "/silver/"},
		// Two lines are one value with a comma.
		{[]string{"X-Tier: gold", "X-Tier: silver"}, "/tier/"},
		{[]string{"X-Tier: gold, silver"}, "/tier/"},
		{[]string{"X-Tier: gold", "X-Tier: gold"}, "/tier/"},
		{[]string{"X-Tier: golden"}, "/tier/"},
		{[]string{"X-Tier:"}, "/tier/"},
		{[]string{"X_Tier: gold"}, "/tier/"},
		{[]string{"X-Tier: gold", "X-Consumer-ID: 1", "X_Consumer_Username: root", "X-Anonymous-Consumer: true"}, "/gold/"},
		{[]string{"X-Tier: silver", "X-Consumer-ID: 1", "X.Credential.Identifier: root"}, "/silver/"},
	} {
		t.Run("header_"+strings.Join(c.lines, ","), func(t *testing.T) {
			x := r.send(t, "GET", "/tier/x", append(c.lines, bearer(token))...)
			if x.Status != 200 || x.taken(t) != c.taken {
				t.Errorf("with a token: %d and %s, want 200 and %s", x.Status, x.taken(t), c.taken)
			}
			if got, want := x.Upstream().Get("X-Consumer-Username"), map[bool]string{false: "alice"}[c.taken == "/gold/"]; got != want {
				t.Errorf("the consumer is %q, want %q", got, want)
			}
			x = r.send(t, "GET", "/tier/x", c.lines...)
			if c.taken == "/gold/" {
				if x.Status != 200 || x.taken(t) != "/gold/" {
					t.Errorf("without a token: %d and %s, want 200 and /gold/", x.Status, x.taken(t))
				}
			} else if x.Status != 401 || len(x.Seen) != 0 {
				t.Errorf("without a token: %d, the upstream received %+v", x.Status, x.Seen)
			}
		})
	}
	for _, method := range []string{"POST", "DELETE", "HEAD", "OPTIONS", "PUT"} {
		t.Run("method_"+method, func(t *testing.T) {
			x := r.send(t, method, "/verbs/x")
			want := map[string]int{"POST": 401, "DELETE": 401}[method]
			if want == 0 {
				want = 404
			}
			if x.Status != want || len(x.Seen) != 0 {
				t.Errorf("%d, want %d; the upstream received %+v", x.Status, want, x.Seen)
			}
		})
	}
}

// TestRoutesByIdentity: a file that routes by what the filter sets or removes, or
// by what the proxy itself says, is refused, in every spelling.
func TestRoutesByIdentity(t *testing.T) {
	_, binary := testenv.Build(t)
	names := append(identity.Names(), "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-path", "x-forwarded-prefix", "host")
	check := func(header string) (string, error) {
		file := filepath.Join(testenv.TempDir(t), "kong.yml")
		text := fmt.Sprintf("_format_version: \"3.0\"\nservices:\n- name: s\n  url: http://127.0.0.1:1\n  routes:\n  - name: r\n    paths: [/]\n    headers: {%q: [x]}\n", header)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(binary, "check", file).CombinedOutput()
		return string(out), err
	}
	if out, err := check("x-tier"); err != nil {
		t.Fatalf("a harmless header is refused: %v\n%s", err, out)
	}
	for _, name := range names {
		spellings := []string{name, strings.ToUpper(name)}
		if identity.IsHeader(name) {
			spellings = append(spellings, strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."))
		}
		for _, s := range spellings {
			out, err := check(s)
			if err == nil || !strings.Contains(out, "headers") || !strings.Contains(out, ":8:") {
				t.Errorf("a route by %s: %v\n%s", s, err, out)
			}
		}
	}
	testenv.Evidence(t, "routes by %d names are refused with their line", len(names))
}
