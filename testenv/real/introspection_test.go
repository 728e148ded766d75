//go:build real

package real

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/oidcprovider"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

// certified posts a form to the certified provider as a client.
func certified(t testing.TB, op *oidcprovider.Server, path, client string, form url.Values) map[string]any {
	t.Helper()
	req, err := http.NewRequest("POST", op.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s", path, res.StatusCode, body)
	}
	out := map[string]any{}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestCertifiedIntrospection: opaque tokens of the certified provider, by introspection,
// and its client credentials.
func TestCertifiedIntrospection(t *testing.T) {
	machine := func(id string) oidcprovider.Client {
		return oidcprovider.Client{ID: id, Secret: secret, GrantTypes: []string{"client_credentials"}, Opaque: true}
	}
	op := oidcprovider.Start(t, oidcprovider.Config{Clients: []oidcprovider.Client{machine("app"), machine("gateway")}})
	inBoth(t, func(t *testing.T, host string) {
		up := echo.Start(t)
		file := "_format_version: \"3.0\"\nservices:\n- name: upstream\n  url: " + up.URL + "\n  routes:\n"
		for name, config := range map[string]string{
			"token":    "auth_methods: [bearer, introspection], upstream_headers_claims: [client_id], upstream_headers_names: [X-Client]",
			"uncached": "auth_methods: [introspection], cache_introspection: false",
			"client":   "auth_methods: [client_credentials]",
		} {
			file += "  - {name: " + name + ", paths: [/" + name + "], strip_path: false, plugins: [{name: openid-connect, config: {issuer: \"" + op.URL +
				"\", client_id: [gateway], client_secret: [" + secret + "], " + config + "}}]}\n"
		}
		r := &rig{Stack: stack.Start(t, host, file, stack.Options{}), up: up}
		token, _ := certified(t, op, "/token", "app", url.Values{"grant_type": {"client_credentials"}})["access_token"].(string)
		if token == "" || strings.Contains(token, ".") {
			t.Fatal("no opaque token")
		}
		asked := len(op.Requests(t, "/token/introspection"))
		for range 8 {
			x := r.send(t, "GET", "/token", token)
			if x.Status != 200 || len(x.seen) != 1 || x.seen[0].Header("X-Client") != "app" {
				t.Fatalf("%d %s, upstream %+v", x.Status, x.Body, x.seen)
			}
		}
		n := len(op.Requests(t, "/token/introspection")) - asked
		testenv.Evidence(t, "%s: the provider was asked %d time for 8 requests", host, n)
		if n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
		r.send(t, "GET", "/token", token+"x").refused(t, 401, "token_inactive", invalid)
		if x := r.send(t, "GET", "/uncached", token); x.Status != 200 {
			t.Errorf("%d %s", x.Status, x.Body)
		}
		certified(t, op, "/token/revocation", "app", url.Values{"token": {token}})
		r.send(t, "GET", "/uncached", token).refused(t, 401, "token_inactive", invalid)
		x := r.send(t, "GET", "/client", "", basic("app", secret))
		if x.Status != 200 || len(x.seen) != 1 || !strings.HasPrefix(x.seen[0].Header("Authorization"), "Bearer ") {
			t.Errorf("%d %s", x.Status, x.shown())
		}
		r.send(t, "GET", "/client", "", basic("app", "wrong")).refused(t, 401, "credential_refused", "Bearer")
	})
}
