package adminapi

import (
	"net/url"
	"strings"
	"testing"
)

// form returns a form of lines name=value, as http -f sends it.
func form(lines ...string) string {
	var out []string
	for _, l := range lines {
		name, value, _ := strings.Cut(l, "=")
		out = append(out, url.QueryEscape(name)+"="+url.QueryEscape(value))
	}
	return strings.Join(out, "&")
}

// TestThePostsOfTheArticle sends the three commands of the article of 001 as they are
// printed there: the first is JSON, as http without -f sends it.
func TestThePostsOfTheArticle(t *testing.T) {
	w := newWorld(t)
	s := w.send("POST", "/services", `{"name":"openidconnect","url":"http://httpbin.org/anything"}`).want(201)
	for name, want := range map[string]any{"name": "openidconnect", "protocol": "http", "host": "httpbin.org", "port": 80, "path": "/anything", "retries": 5, "enabled": true, "tags": nil} {
		same(t, name, s[name], want)
	}
	if _, there := s["url"]; there {
		t.Error("url is a shorthand, and no field")
	}
	r := w.send("POST", "/services/openidconnect/routes", form("name=openidconnectRoute", "paths=/oidc")).want(201)
	same(t, "paths", r["paths"], "[/oidc]")
	same(t, "service", dig(r, "service", "id"), s["id"])
	p := w.send("POST", "/routes/openidconnectRoute/plugins", form("name=openid-connect",
		"config.issuer=https://keycloak.apim.eu/auth/realms/kong/.well-known/openid-configuration",
		"config.client_id=blog_post", "config.client_secret=a5186adc-b5e2-4501-85a8-eb19a5e1a2a3", "config.ssl_verify=false",
		"config.consumer_claim=email", "config.verify_signature=false", "config.redirect_uri=http://localhost:8000/oidc",
		"config.consumer_optional=true", "config.scopes_required=kong_api_access")).want(201)
	same(t, "route", dig(p, "route", "id"), r["id"])
	same(t, "verify_signature", dig(p, "config", "verify_signature"), false)
	same(t, "client_secret", dig(p, "config", "client_secret"), hidden)

	f := w.file()
	route := f.Routes[len(f.Routes)-1]
	chain := f.Chain(route)
	if route.Name != "openidconnectRoute" || route.Service.Host != "httpbin.org" || len(chain) != 1 || chain[0].OIDC == nil {
		t.Fatalf("%+v is guarded by %+v", route, chain)
	}
	if o := chain[0].OIDC; o.Verify || o.Login == nil || o.Login.ClientSecrets[0].Reveal() != "a5186adc-b5e2-4501-85a8-eb19a5e1a2a3" {
		t.Errorf("%+v", o)
	}
	if log := w.log.String(); !strings.Contains(log, "verify-signature-off") || strings.Contains(log, "a5186adc") {
		t.Errorf("the log is to warn, and to say no secret: %s", log)
	}
}
