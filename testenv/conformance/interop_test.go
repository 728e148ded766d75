package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// TestProviders: S4-04. Each provider that the article names says in another claim which
// application a token is for; the contract holds by that claim and by no other. Keycloak and
// oidc-provider are tried as they are in testenv/real.
func TestProviders(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		t.Run("S4-04", func(t *testing.T) {
			vendors := []struct {
				shape idp.Shape
				claim string
				v1    bool // access tokens of version 1 beside ID tokens of version 2
				also  string
				at    *idp.Server
			}{
				{shape: idp.Okta, claim: "cid"}, {shape: idp.Ping, claim: "client_id"}, {shape: idp.AzureV2, claim: "azp"},
				{shape: idp.AzureV1, claim: "appid"}, {shape: idp.AzureV2, claim: "appid", v1: true},
			}
			var file strings.Builder
			file.WriteString("_format_version: \"3.0\"\n_sallyport:\n  applications:\n  - {custom_id: app, name: the-application, services: [v0, v1, v2, v3, v4]}\n  - {custom_id: other, name: the-other}\nservices:\n")
			for i := range vendors {
				v := &vendors[i]
				v.at = idp.Start(t)
				v.at.Shape(v.shape)
				v.at.Set(func(o *idp.Options) { o.AccessV1 = v.v1 })
				if v.at.AccessIssuer() != v.at.Issuer() { // as of version 1 it is another one
					v.also = fmt.Sprintf(", issuers_allowed: [%q]", v.at.AccessIssuer())
				}
				for _, id := range []string{"app", "other"} {
					v.at.AddClient(idp.Client{ID: id, Secret: id + "-secret"})
				}
				fmt.Fprintf(&file, "- name: v%d\n  url: ${UPSTREAM}\n  routes: [{name: v%d, paths: [/v%d], strip_path: false}]\n  plugins:\n"+
					"  - {name: openid-connect, config: {issuer: %q, auth_methods: [bearer], consumer_claim: [%s], consumer_by: [custom_id]%s}}\n"+
					"  - {name: application-registration, config: {display_name: Service %d}}\n", i, i, i, v.at.Issuer(), v.claim, v.also, i)
			}
			r := start(t, host, stack.Options{}, func(e vectors.Env) string { return strings.ReplaceAll(file.String(), "${UPSTREAM}", e.Upstream) })
			for i, v := range vendors {
				t.Run(fmt.Sprintf("%s by %s", v.shape, v.claim), func(t *testing.T) {
					path := fmt.Sprintf("/v%d", i)
					passes(t, r.send(t, "GET", path, bearer(machineToken(t, v.at, "app"))), "app")
					r.refuses(t, r.send(t, "GET", path, bearer(machineToken(t, v.at, "other"))), 403, "contract_missing")
					if n := v.at.Count("token"); n != 2 {
						t.Errorf("the provider was asked %d times for tokens", n)
					}
					next := vendors[(i+1)%len(vendors)].at
					if x := r.send(t, "GET", path, bearer(machineToken(t, next, "app"))); x.Status != 401 || len(x.Seen) != 0 {
						t.Errorf("the token of another provider: %d, the upstream was called %d times", x.Status, len(x.Seen))
					}
					v.at.Forget()
					next.Forget()
				})
			}
		})
	})
}

// machineToken gets a token by an application's own credentials (RFC 6749 §4.4).
func machineToken(t testing.TB, at *idp.Server, client string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, at.Endpoint("token"), strings.NewReader(url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, client+"-secret")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		Access string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.Access == "" {
		t.Fatalf("no token for %s: %d %v", client, res.StatusCode, err)
	}
	return out.Access
}
