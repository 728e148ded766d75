package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/envoy"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// registryFile is a file that has next to nothing, beside a registry.
func registryFile(t testing.TB) func(vectors.Env) string {
	dsn := "sqlite:" + filepath.Join(testenv.TempDir(t), "registry.db")
	return func(e vectors.Env) string {
		return `_format_version: "3.0"
_sallyport: {registry: "` + dsn + `"}
services:
- {name: own, url: ` + e.Upstream + `, routes: [{name: own, paths: [/own]}]}
`
	}
}

// admin sends a request to the admin API: a body that begins with { is JSON, others are
// forms. It returns what is answered.
func (r *rig) admin(t testing.TB, status int, method, path, body string) (out map[string]any) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(r.StateDir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(method, r.AdminURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Kong-Admin-Token", strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if strings.HasPrefix(body, "{") {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Evidence(t, "%s: %s %s -> %d", r.Host, method, path, res.StatusCode)
	if res.StatusCode != status {
		t.Fatalf("%s %s %s: %d, want %d: %s", method, path, body, res.StatusCode, status, data)
	}
	if len(bytes.TrimSpace(data)) > 0 {
		if err := json.Unmarshal(data, &out); err != nil {
			t.Fatalf("%v: %s", err, data)
		}
	}
	return out
}

// formOf writes lines name=value as http -f sends them.
func formOf(lines ...string) string {
	var out []string
	for _, l := range lines {
		name, value, _ := strings.Cut(l, "=")
		out = append(out, url.QueryEscape(name)+"="+url.QueryEscape(value))
	}
	return strings.Join(out, "&")
}

// article sends the three commands of 001's article: what makes the route, and what puts
// the plugin on it.
func (r *rig) article(t testing.TB) (route, guard func()) {
	route = func() {
		t.Helper()
		r.admin(t, 201, "POST", "/services", `{"name":"openidconnect","url":"`+r.echo.URL+`/anything"}`)
		r.admin(t, 201, "POST", "/services/openidconnect/routes", formOf("name=openidconnectRoute", "paths=/oidc"))
	}
	guard = func() {
		t.Helper()
		r.admin(t, 201, "POST", "/routes/openidconnectRoute/plugins", formOf("name=openid-connect",
			"config.issuer="+r.idp.Issuer()+"/.well-known/openid-configuration", "config.client_id=blog_post",
			"config.client_secret=a5186adc-b5e2-4501-85a8-eb19a5e1a2a3", "config.ssl_verify=false", "config.consumer_claim=email",
			"config.verify_signature=false", "config.redirect_uri=http://localhost:8000/oidc", "config.consumer_optional=true",
			"config.scopes_required=kong_api_access"))
	}
	return route, guard
}

// guarded checks what the plugin of the article does at /oidc.
func (r *rig) guarded(t testing.TB) {
	t.Helper()
	r.eventually(t, 401, "GET", "/oidc")
	with := bearer(r.granted(t, "app", clientGrant("kong_api_access")).Access)
	without := bearer(r.granted(t, "app", clientGrant("read")).Access)
	x := r.send(t, "GET", "/oidc/x", with)
	if x.Status != 200 || len(x.Seen) != 1 || x.Seen[0].Target != "/anything/x" {
		t.Errorf("with the scope: %d, %v", x.Status, x.Seen)
	}
	if x = r.send(t, "GET", "/oidc", without); x.Status != 403 || len(x.Seen) != 0 {
		t.Errorf("without the scope: %d, upstream called %d times", x.Status, len(x.Seen))
	}
	browser := r.send(t, "GET", "/oidc", "Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
	if to := browser.Header.Get("Location"); browser.Status != 302 || !strings.Contains(to, "client_id=blog_post") || !strings.HasPrefix(to, r.idp.Issuer()) {
		t.Errorf("a browser: %d to %s", browser.Status, to)
	}
}

// TestAdminAPIInTheHost: what is written takes effect without a restart, in the process
// that has the sidecar in it, and in one beside it.
func TestAdminAPIInTheHost(t *testing.T) {
	for name, apart := range map[string]bool{"together": false, "apart": true} {
		t.Run(name, func(t *testing.T) {
			r := start(t, "host", stack.Options{Apart: apart}, registryFile(t))
			r.registerClients()
			r.send(t, "GET", "/oidc")
			route, guard := r.article(t)
			route()
			r.eventually(t, 200, "GET", "/oidc")
			guard()
			r.guarded(t)

			// What the data plane could not load is refused, and changes nothing.
			r.admin(t, 400, "POST", "/services/openidconnect/routes", `{"name":"bad","paths":["~/("]}`)
			r.admin(t, 409, "POST", "/services", `{"name":"own","host":"h"}`)
			r.admin(t, 405, "DELETE", "/services/own", "")
			r.guarded(t)

			// A guard is put on a service of the file, with a consumer and a key of the registry.
			r.admin(t, 201, "POST", "/services/own/plugins", "name=key-auth")
			r.admin(t, 201, "POST", "/consumers", "username=bob")
			key := r.admin(t, 201, "POST", "/consumers/bob/key-auth", `{}`)["key"].(string)
			r.eventually(t, 401, "GET", "/own")
			if x := r.send(t, "GET", "/own", "apikey: "+key); x.Status != 200 || x.Upstream().Get("X-Consumer-Username") != "bob" {
				t.Errorf("%d as %q", x.Status, x.Upstream().Get("X-Consumer-Username"))
			}

			// A file that cannot be loaded does not keep the registry's changes out.
			file, err := os.ReadFile(r.Path)
			if err != nil {
				t.Fatal(err)
			}
			r.Write("_format_version: [")
			r.admin(t, 204, "DELETE", "/routes/openidconnectRoute", "")
			if !apart { // where the gateway reads the file itself, it waits for one that can be read
				r.eventually(t, 404, "GET", "/oidc")
			}
			r.Write(string(file))
			r.eventually(t, 404, "GET", "/oidc")
			if list := r.admin(t, 200, "GET", "/plugins", ""); len(list["data"].([]any)) != 1 {
				t.Errorf("the route's plugin has not gone with it: %v", list)
			}
			r.eventually(t, 401, "GET", "/own")
		})
	}
}

// TestAdminAPIInEnvoy: a plugin takes effect in a running Envoy; a service and its routes
// need a new bootstrap, which has what the registry has.
func TestAdminAPIInEnvoy(t *testing.T) {
	r := start(t, "envoy", stack.Options{}, registryFile(t))
	r.registerClients()
	r.admin(t, 201, "POST", "/routes/own/plugins", "name=key-auth&config.key_names=x-key")
	r.eventually(t, 401, "GET", "/own")
	route, guard := r.article(t)
	route()
	r.eventually(t, 404, "GET", "/oidc")

	admin := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	r.Addr = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	second := envoy.Start(t, envoy.Newest, r.Bootstrap("--listen", r.Addr, "--envoy-admin", admin), admin, "--concurrency", "2")
	second.WaitReady(t, 20*time.Second, func() bool { return strings.Count(second.Log(), "routes is in use") >= 3 })
	r.Gateway = second.Process
	r.eventually(t, 401, "GET", "/own")
	r.eventually(t, 200, "GET", "/oidc")
	guard()
	r.guarded(t)
	r.admin(t, 204, "DELETE", "/plugins/"+r.admin(t, 200, "GET", "/routes/openidconnectRoute/plugins", "")["data"].([]any)[0].(map[string]any)["id"].(string), "")
	r.eventually(t, 200, "GET", "/oidc")
}
