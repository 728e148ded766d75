package portal_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/portal"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// evidence says what was exchanged.
func (r *rig) evidence(t *testing.T, what string, p *visitor.Page) {
	t.Helper()
	testenv.Evidence(t, "%s -> %d %q to %q; the provider was asked %d times for codes and %d times for tokens", what, p.StatusCode, title(p), p.Location(),
		r.idp.Count("authorize"), r.idp.Count("token"))
}

// TestArticle plays the article about Okta and the developer portal on the portal's own
// listeners, with its configuration as it stands there.
func TestArticle(t *testing.T) {
	r := start(t, options{conf: article})
	v := r.visitor("ada")

	t.Run("S3-12_ports_and_callback", func(t *testing.T) {
		var node struct {
			Configuration struct {
				GUI []struct{ Port int } `json:"portal_gui_listeners"`
				API []struct{ Port int } `json:"portal_api_listeners"`
			}
		}
		for _, origin := range []string{r.url, r.auth, r.admin} {
			p := v.Open(origin + "/default/kong")
			r.evidence(t, "GET "+origin+"/default/kong", p)
			if err := json.Unmarshal([]byte(p.Body), &node); err != nil || p.StatusCode != 200 || len(node.Configuration.GUI) != 1 || len(node.Configuration.API) != 1 {
				t.Fatalf("%v: %d %s", err, p.StatusCode, p.Body)
			}
		}
		port := func(origin string) int {
			u, err := url.Parse(origin)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, c := range u.Port() {
				n = n*10 + int(c-'0')
			}
			return n
		}
		if node.Configuration.GUI[0].Port != port(r.url) || node.Configuration.API[0].Port != port(r.auth) {
			t.Errorf("the ports are %+v, not those of %s and %s", node, r.url, r.auth)
		}
		// The callback is on the port of portal auth, under the workspace.
		p := v.Open(r.url + "/default/login")
		r.evidence(t, "GET /default/login", p)
		to, err := url.Parse(p.Location())
		if err != nil || to.Query().Get("redirect_uri") != r.auth+"/default/auth" || to.Query().Get("client_id") != "portal" ||
			to.Query().Get("scope") != "openid profile email offline_access" || to.Query().Get("code_challenge_method") != "S256" {
			t.Fatalf("the authorization request: %s", p.Location())
		}
		back := r.idp.SignIn(t, v.Client, p.Location(), "ada")
		if !strings.HasPrefix(back, r.auth+"/default/auth?") {
			t.Fatalf("the provider sends back to %s", back)
		}
		p = v.Open(back)
		r.evidence(t, "GET the callback", p)
		// login_redirect_uri, with tokens in the query (S3-06), which the portal takes out.
		if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), r.url+"/default?id_token=") {
			t.Fatalf("after the callback: %d to %s", p.StatusCode, p.Location())
		}
		p = v.Open(p.Location())
		r.evidence(t, "GET login_redirect_uri", p)
		if p.StatusCode != 303 || p.Location() != r.url+"/default" {
			t.Errorf("tokens stay in the address: %d to %s", p.StatusCode, p.Location())
		}
	})

	t.Run("S3-15_login_makes_no_account", func(t *testing.T) {
		p := v.Open(r.url + "/default")
		r.evidence(t, "GET /default, nobody has registered", p)
		// forbidden_redirect_uri (S3-09), where the reason is told.
		if p.StatusCode != 302 || p.Location() != r.url+"/unauthorized" {
			t.Fatalf("%d to %s", p.StatusCode, p.Location())
		}
		p = v.Open(p.Location())
		r.evidence(t, "GET /unauthorized", p)
		if p.StatusCode != 403 || title(p) != "You have no developer account yet" {
			t.Errorf("%d %s", p.StatusCode, title(p))
		}
		if l, err := r.db.Developers(context.Background(), registry.DeveloperFilter{}, registry.Page{}); err != nil || len(l.Data) != 0 {
			t.Errorf("accounts: %v %v", l.Data, err)
		}
		// The address is the identity provider's, and no field of the form.
		p = v.Open(r.url + "/default/register")
		r.evidence(t, "GET /default/register", p)
		if p.StatusCode != 200 || !strings.Contains(p.Body, ">ada@example.com</p>") || strings.Contains(p.Body, `name="email"`) || strings.Contains(p.Body, `type="email"`) {
			t.Errorf("%d %s", p.StatusCode, p.Body)
		}
		p = v.post(r.url, "/default/register", url.Values{"csrf": {csrf(p)}, "name": {"Ada Example"}, "email": {"eve@example.com"}})
		r.evidence(t, "POST /default/register", p)
		if d := r.developer("ada"); d.Email != "ada@example.com" || d.Issuer != r.idp.Issuer() || d.Subject != "ada-1" || d.Status != registry.Requested {
			t.Errorf("%+v", d)
		}
	})

	t.Run("S3-14_until_approved", func(t *testing.T) {
		p := v.Open(r.url + "/default/applications")
		r.evidence(t, "GET /default/applications, requested", p)
		if p.StatusCode != 302 || p.Location() != r.url+"/unauthorized" {
			t.Fatalf("%d to %s", p.StatusCode, p.Location())
		}
		p = v.Open(p.Location())
		r.evidence(t, "GET /unauthorized, requested", p)
		if p.StatusCode != 403 || title(p) != "Your account waits for approval" {
			t.Errorf("%d %s", p.StatusCode, title(p))
		}
		// A new login changes nothing about it; the administrator does.
		again := r.visitor("ada")
		p = again.signIn()
		r.evidence(t, "another login, requested", p)
		if p.StatusCode != 403 || title(p) != "Your account waits for approval" {
			t.Errorf("%d %s", p.StatusCode, title(p))
		}
		op := r.visitor("")
		op.adminSignIn(r.token)
		p = op.post(r.admin, "/portal-admin/developers/"+r.developer("ada").ID, url.Values{"csrf": {csrf(op.Open(r.admin + "/portal-admin"))}, "action": {"approve"}, "back": {"home"}})
		r.evidence(t, "POST approve", p)
		p = v.Open(r.url + "/default/applications")
		r.evidence(t, "GET /default/applications, approved", p)
		if p.StatusCode != 200 || title(p) != "Applications" {
			t.Errorf("%d %s", p.StatusCode, title(p))
		}
		for status, heading := range map[registry.Status]string{registry.Rejected: "Your registration was not approved", registry.Revoked: "Your account is closed"} {
			r.set("ada", status)
			p = r.follow(v, "/default/applications")
			r.evidence(t, "GET /default/applications, "+status.String(), p)
			if p.StatusCode != 403 || title(p) != heading {
				t.Errorf("%s: %d %s", status, p.StatusCode, title(p))
			}
		}
		r.set("ada", registry.Approved)
	})

	t.Run("S3-14_auto_approve", func(t *testing.T) {
		r := start(t, options{conf: article, auto: true})
		v := r.visitor("bob")
		p := v.signIn()
		r.evidence(t, "the login of somebody unknown", p)
		if p.StatusCode != 403 {
			t.Errorf("%d: auto-approval is for who has registered", p.StatusCode)
		}
		v.register()
		p = v.Open(r.url + "/default")
		r.evidence(t, "GET /default, registered with portal_auto_approve", p)
		if p.StatusCode != 200 || r.developer("bob").Status != registry.Approved {
			t.Errorf("%d, the account is %s", p.StatusCode, r.developer("bob").Status)
		}
	})

	t.Run("S3-18_session", func(t *testing.T) {
		if v.Cookies(r.url)["portal_session"] == "" {
			t.Fatalf("the cookies are %v", v.Cookies(r.url))
		}
		before := r.idp.Count("token")
		p := v.Open(r.url + "/default/services")
		r.evidence(t, "GET /default/services with the session's cookie", p)
		if p.StatusCode != 200 || r.idp.Count("token") != before {
			t.Errorf("%d, the provider was asked %d times", p.StatusCode, r.idp.Count("token")-before)
		}
		// Another credential than the session is none, though Kong's plugin would take it.
		p = r.visitor("").Fetch(r.url+"/default/services", "Authorization: Bearer "+mint(v))
		r.evidence(t, "GET /default/services with a bearer token", p)
		if p.StatusCode != 401 {
			t.Errorf("a bearer token: %d", p.StatusCode)
		}
		// logout_query_arg and logout_methods are as configured (S3-04).
		p = v.Open(r.url + "/default/services?logout=true")
		r.evidence(t, "GET ?logout=true", p)
		if p.StatusCode != 302 || !strings.HasPrefix(p.Location(), r.idp.Endpoint("end_session")) || !strings.Contains(p.Location(), url.QueryEscape(r.url+"/default")) {
			t.Errorf("%d to %s", p.StatusCode, p.Location())
		}
		if p = v.Open(r.url + "/default/services"); p.StatusCode != 302 || !strings.HasPrefix(p.Location(), r.idp.Endpoint("authorize")) {
			t.Errorf("after the logout: %d to %s", p.StatusCode, p.Location())
		}
		for name, conf := range map[string]string{
			"auth_methods without session": `{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"], "auth_methods": ["bearer", "authorization_code"]}`,
			"anonymous":                    `{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"], "anonymous": "somebody"}`,
		} {
			if err := r.refused(conf); err == nil || !strings.Contains(err.Error(), strings.Fields(name)[0]) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})

	t.Run("S3-16_settings", func(t *testing.T) {
		// The same as one JSON object in a kong.conf, verbatim on one line.
		line := strings.Join(strings.Fields(r.fill(article)), " ")
		p, problems, err := portal.ParseKongConf("kong.conf", []byte("# Kong's\nproxy_listen = 0.0.0.0:8000\nportal = on\nportal_auth = openid-connect\n"+
			"portal_auth_conf = "+line+"\nportal_auto_approve = on # for now\nportal_session_conf = {\"cookie_name\": \"portal_session\", \"secret\": \"x\", \"storage\": \"kong\"}\n"+
			"portal_gui_listen = 0.0.0.0:8003, 0.0.0.0:8446 ssl\nportal_api_url =\n"))
		if err != nil || p == nil {
			t.Fatalf("%v %v", err, problems)
		}
		var conf map[string]any
		if err := json.Unmarshal([]byte(p.AuthConf), &conf); err != nil {
			t.Fatal(err)
		}
		if p.Auth != "openid-connect" || !p.AutoApprove || len(p.GUI) != 2 || !p.GUI[1].TLS || conf["leeway"] != 1000.0 || conf["login_redirect_mode"] != "query" || len(conf) != 15 {
			t.Errorf("%+v", p)
		}
		if len(problems) != 1 || problems[0].Path != "portal_session_conf" || problems[0].Line != 7 || !strings.Contains(problems[0].Text, "has no effect") {
			t.Errorf("findings: %v", problems)
		}
		// All of it reached the sidecar, through the plugin's own parser.
		data, err := os.ReadFile(r.portal.Generated())
		if err != nil {
			t.Fatal(err)
		}
		f, bad := declarative.Parse("portal.json", data, declarative.Options{})
		if f == nil {
			t.Fatal(bad)
		}
		c := f.Plugins[0].OIDC
		if c.Leeway != 1000 || c.Verify || c.Login.LoginAction != "redirect" || c.Login.LoginMode != "query" || c.Login.LogoutQuery != "logout" ||
			c.Login.ForbiddenTo != r.url+"/unauthorized" || c.IssuerURL != r.idp.Issuer() {
			t.Errorf("%+v %+v", c, c.Login)
		}
		testenv.Evidence(t, "portal_auth openid-connect with %d members of JSON; the generated plugin has leeway %d, login_action %s", len(conf), c.Leeway, c.Login.LoginAction)
	})

	t.Run("S4-01_external_oauth2", func(t *testing.T) {
		// The identity provider is the system of record: no secret is asked for or kept.
		v := r.visitor("ada")
		v.signIn()
		p := v.Open(r.url + "/default/applications/new")
		r.evidence(t, "GET /default/applications/new", p)
		if p.StatusCode != 200 || strings.Contains(p.Body, `name="client_secret"`) || !strings.Contains(p.Body, `name="custom_id"`) {
			t.Errorf("%d %s", p.StatusCode, p.Body)
		}
		id := v.application("Shop", "0oa-shop")
		a, err := r.db.Application(context.Background(), id)
		if err != nil || a.CustomID != "0oa-shop" {
			t.Fatalf("%+v %v", a, err)
		}
		c, err := r.db.Consumer(context.Background(), a.ConsumerID)
		if err != nil || c.CustomID != "0oa-shop" || !c.Application {
			t.Errorf("%+v %v", c, err)
		}
		testenv.Evidence(t, "the application %s has the consumer %s with custom_id %s", a.ID, c.ID, c.CustomID)
		if _, problems, err := portal.ParseKongConf("kong.conf", []byte("portal_auth = openid-connect\nportal_auth_conf = {}\nportal_app_auth = kong-oauth2\n")); err != nil || len(problems.Errors()) != 1 ||
			problems.Errors()[0].Path != "portal_app_auth" || !strings.Contains(problems.Errors()[0].Text, "expected external-oauth2") {
			t.Errorf("kong-oauth2: %v %v", problems, err)
		}
	})

	t.Run("S4-08_show_issuer", func(t *testing.T) {
		v := r.visitor("ada")
		v.signIn()
		list, err := r.db.Applications(context.Background(), registry.ApplicationFilter{DeveloperID: r.developer("ada").ID}, registry.Page{})
		if err != nil || len(list.Data) != 1 {
			t.Fatalf("%v %v", list, err)
		}
		path := "/default/applications/" + list.Data[0].ID
		v.send(path, path+"/contracts", "service", "weather")
		issuer := r.idp.Issuer()
		// weather has not show_issuer.
		page, service := v.Open(r.url+path), v.Open(r.url+"/default/services/weather")
		r.evidence(t, "GET the application with access to a service without show_issuer", page)
		if strings.Contains(page.Body, issuer) || strings.Contains(service.Body, issuer) || !strings.Contains(page.Body, "The issuer of tokens is not shown") {
			t.Errorf("the issuer is shown: %s", page.Body)
		}
		// orders has, once there is access.
		if p := v.Open(r.url + "/default/services/orders"); !strings.Contains(p.Body, issuer) {
			t.Errorf("the service's page: %s", p.Body)
		}
		v.send(path, path+"/contracts", "service", "orders")
		if page = v.Open(r.url + path); strings.Contains(page.Body, issuer) {
			t.Error("the issuer is shown on the application's page before there is access")
		}
		cs, err := r.db.Contracts(context.Background(), registry.ContractFilter{Service: "orders"}, registry.Page{})
		if err != nil || len(cs.Data) != 1 {
			t.Fatalf("%v %v", cs, err)
		}
		if _, err := r.db.SetContractStatus(context.Background(), system, cs.Data[0].ID, registry.Approved); err != nil {
			t.Fatal(err)
		}
		page = v.Open(r.url + path)
		r.evidence(t, "GET the application with access to a service with show_issuer", page)
		for _, want := range []string{issuer, "Client credentials", "Authorization code with PKCE", "Password", "Implicit", "not recommended", "code_challenge_method=S256", "0oa-shop", "https://api.example/orders"} {
			if !strings.Contains(page.Body, want) {
				t.Errorf("the page has no %q", want)
			}
		}
		if strings.Count(page.Body, "not recommended") != 2 {
			t.Error("password and implicit are not recommended, and nothing else")
		}
	})
}

// follow opens a page and goes where it leads.
func (r *rig) follow(v *one, path string) *visitor.Page {
	r.t.Helper()
	p := v.Open(r.url + path)
	for range 4 {
		if p.StatusCode != http.StatusFound && p.StatusCode != http.StatusSeeOther {
			break
		}
		p = v.Open(p.Location())
	}
	return p
}

// refused returns why a portal with another portal_auth_conf is not opened.
func (r *rig) refused(conf string) error {
	text, err := json.Marshal(conf)
	if err != nil {
		return err
	}
	file := `{"_format_version": "3.0", "_sallyport": {"portal": {"portal_auth": "openid-connect", "portal_auth_conf": ` + string(text) + `}}}`
	p, err := portal.Open(context.Background(), portal.Config{
		Read: func(more []declarative.Further) (*declarative.File, declarative.Problems) {
			return declarative.Parse("kong.yml", []byte(file), declarative.Options{Further: more})
		}, StateDir: testenv.TempDir(r.t), Registry: r.db})
	if p != nil {
		p.Close()
	}
	return err
}
