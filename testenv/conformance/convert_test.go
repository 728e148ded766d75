package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// converted runs `sallyport convert` on an example, in which pairs of texts are replaced
// first. Everything has to be converted.
func converted(t testing.TB, example string, pairs ...string) string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(testenv.Root(), "examples", example))
	if err != nil {
		t.Fatal(err)
	}
	_, binary := testenv.Build(t)
	cmd := exec.Command(binary, "convert", "-")
	cmd.Stdin = strings.NewReader(replaced(t, string(src), pairs...))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("sallyport convert: %v: %s", err, stderr.String())
	}
	return string(out)
}

// replaced replaces texts that have to be there.
func replaced(t testing.TB, s string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			t.Fatalf("there is no %s in\n%s", pairs[i], s)
		}
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// A browser that opens a page, and a script that asks for it.
var (
	navigation = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	script     = []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}
)

// toProvider asserts that somebody is sent to the provider's login, and the upstream left
// alone.
func (r *rig) toProvider(t testing.TB, x *exchange, client string) {
	t.Helper()
	to := x.Header.Get("Location")
	testenv.Evidence(t, "%s: sent to %.60s…", r.Host, to)
	if x.Status != 302 || !strings.HasPrefix(to, r.idp.Endpoint("authorize")+"?") || !strings.Contains(to, "client_id="+client+"&") || len(x.Seen) != 0 {
		t.Errorf("%d to %q, the upstream was called %d times", x.Status, to, len(x.Seen))
	}
}

// TestConvertedKubernetes: the article's manifests, converted and enforced.
func TestConvertedKubernetes(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string {
			file := converted(t, "descope/kubernetes.yaml", "https://api.descope.com/P2exampleexample", e.Issuer)
			return replaced(t, file, "http://echoserver.echoserver.svc.cluster.local:80", e.Upstream,
				"http://catalogue.shop.svc.cluster.local:80", e.Upstream)
		})
		t.Run("S0-11_plugin_and_annotation", func(t *testing.T) {
			for _, path := range []string{"/echo", "/echo/deeper?x=1"} {
				r.toProvider(t, r.send(t, "GET", path, navigation...), "P2exampleexample")
			}
			r.send(t, "GET", "/echo", script...).want(t, 401, "", "Bearer")
			r.send(t, "GET", "/echoes", navigation...).want(t, 404, `{"message":"no Route matched with those values"}`, "")
		})
		t.Run("S0-12_one_ingress_in_one_namespace", func(t *testing.T) {
			r.toProvider(t, r.send(t, "GET", "/echo", navigation...), "P2exampleexample")
			for _, lines := range [][]string{navigation, script} {
				x := r.send(t, "GET", "/catalogue/7", append(lines, "X-Consumer-Username: admin")...)
				x.want(t, 200, "", "")
				x.toUpstream(t, "X-Consumer-Username", "")
				if len(x.Seen) == 1 && x.Seen[0].Target != "/catalogue/7" {
					t.Errorf("the upstream received %s", x.Seen[0].Target)
				}
			}
		})
	})
}

// TestConvertedCalls: the article's calls of the admin API, converted and enforced.
func TestConvertedCalls(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string {
			return converted(t, "keycloak-login/admin.sh", "https://keycloak.apim.eu/auth/realms/kong", e.Issuer, "http://httpbin.org", e.Upstream)
		})
		t.Run("S1-14_form_encoded_calls", func(t *testing.T) {
			r.toProvider(t, r.send(t, "GET", "/oidc", navigation...), "blog_post")
			r.send(t, "GET", "/oidc", script...).want(t, 401, `{"message":"Unauthorized"}`, "Bearer")
			r.send(t, "GET", "/", navigation...).want(t, 404, `{"message":"no Route matched with those values"}`, "")
			with := r.idp.Token("k1", map[string]any{"scope": "openid kong_api_access"})
			x := r.send(t, "GET", "/oidc/7", bearer(with))
			x.want(t, 200, "", "")
			if len(x.Seen) == 1 && x.Seen[0].Target != "/anything/7" {
				t.Errorf("the upstream received %s", x.Seen[0].Target)
			}
			x = r.send(t, "GET", "/oidc", bearer(r.idp.Token("k1", map[string]any{"scope": "openid profile email"})))
			if x.Status != 403 || len(x.Seen) != 0 {
				t.Errorf("without the scope: %d, the upstream was called %d times", x.Status, len(x.Seen))
			}
		})
	})
}

// closedFile is a decK file in which a guard of /admin is one that cannot run here, and
// which is open beside it.
const closedFile = `_format_version: "3.0"
services:
- name: s
  url: ${UPSTREAM}
  routes:
  - {name: public, paths: [/], strip_path: false}
  - name: admin
    paths: [/admin]
    plugins:
    - {name: ip-restriction, config: {allow: [127.0.0.1]}}
    - {name: jwt, config: {run_on_preflight: false, anonymous: guest, claims_to_verify: [exp]}}
    - {name: acl, config: {allow: [guests, admins]}}
consumers:
- {username: guest, acls: [{group: guests}]}
- {username: root, acls: [{group: admins}], jwt_secrets: [{key: root, secret: the-secret-of-root-is-long-enough}]}
`

// TestClosedRoutes: whoever comes is refused where a guard could not be converted, and is
// not passed on to the route beside it.
func TestClosedRoutes(t *testing.T) {
	_, binary := testenv.Build(t)
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, stack.Options{}, func(e vectors.Env) string {
			cmd := exec.Command(binary, "convert", "-")
			cmd.Stdin = strings.NewReader(strings.ReplaceAll(closedFile, "${UPSTREAM}", e.Upstream))
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "closed: route admin") {
				t.Fatalf("sallyport convert: %v: %s", err, stderr.String())
			}
			return string(out)
		})
		token := bearer(tokens.Sign("the-secret-of-root-is-long-enough", map[string]any{"alg": "HS256"}, map[string]any{"iss": "root", "exp": tokens.In(600)}))
		r.send(t, "GET", "/adm").want(t, 200, "", "")
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			for _, path := range []string{"/admin", "/admin/", "/admin/x", "/administrator"} {
				for _, lines := range [][]string{nil, {token}, navigation} {
					x := r.send(t, method, path, lines...)
					if x.Status != 401 && x.Status != 403 || len(x.Seen) != 0 {
						t.Errorf("%s %s: %d, the upstream was called %d times", method, path, x.Status, len(x.Seen))
					}
				}
			}
		}
	})
}
