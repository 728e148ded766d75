package conformance

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/vectors"
)

// applicationsFile has the plugins of seed 004 on a service: openid-connect finds the
// application by application_id, application-registration asks for its contract. The
// second route of orders has another identity provider.
const applicationsFile = `_format_version: "3.0"
_sallyport:
  applications:
  - {custom_id: app, name: the-application, services: [orders, partners]}
  - {custom_id: other, name: the-other, services: [billing]}
  - {custom_id: lead, services: [partners]}
  - {custom_id: wallet, services: [orders]}
services:
- name: orders
  url: ${UPSTREAM}
  plugins:
  - name: openid-connect
    config: {issuer: "${ISSUER}", client_id: [gateway], client_secret: [gateway-secret], scopes: [openid, read], session_secret: a-session-secret-of-32-bytes-or-more,
      auth_methods: [session, bearer, introspection, client_credentials], consumer_claim: [application_id], consumer_by: [custom_id]}
  - {name: application-registration, config: {display_name: Orders, description: what has been ordered, auto_approve: true, show_issuer: true}}
  routes:
  - {name: orders, paths: [/orders], strip_path: false}
  - name: orders-elsewhere
    paths: [/elsewhere]
    strip_path: false
    plugins: [{name: openid-connect, config: {issuer: "${ELSEWHERE}", auth_methods: [bearer], consumer_claim: [azp], consumer_by: [custom_id]}}]
- name: billing
  url: ${UPSTREAM}
  plugins:
  - {name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer], consumer_claim: [application_id], consumer_by: [custom_id]}}
  - {name: application-registration, config: {display_name: Billing, enable_proxy_with_consumer_credential: true}}
  routes: [{name: billing, paths: [/billing], strip_path: false}]
- name: partners
  url: ${UPSTREAM}
  plugins:
  - {name: openid-connect, config: {issuer: "${ISSUER}", auth_methods: [bearer], consumer_claim: [application_id], consumer_by: [custom_id]}}
  - {name: application-registration, config: {display_name: For partners}}
  - {name: acl, config: {allow: [partners]}}
  routes: [{name: partners, paths: [/partners], strip_path: false}]
consumers:
- {custom_id: lead, username: the-lead, acls: [{group: partners}]}
- {custom_id: person, username: a-person, acls: [{group: partners}]}
`

// applications is a rig with two identity providers, and clients that are applications.
func applications(t *testing.T, host, file string) (r *rig, elsewhere *idp.Server) {
	t.Helper()
	elsewhere = idp.Start(t)
	r = start(t, host, stack.Options{}, func(e vectors.Env) string {
		return strings.NewReplacer("${UPSTREAM}", e.Upstream, "${ISSUER}", e.Issuer, "${ELSEWHERE}", elsewhere.Issuer()).Replace(file)
	})
	r.registerClients()
	return r, elsewhere
}

// registerClients registers applications with the identity provider, which writes their
// ids into application_id.
func (r *rig) registerClients() {
	for _, id := range []string{"gateway", "app", "other", "lead", "person", "stranger", "late"} {
		r.idp.AddClient(idp.Client{ID: id, Secret: id + "-secret"})
	}
	r.idp.AddClient(idp.Client{ID: "wallet", AuthMethod: "none"})
	r.idp.Set(func(o *idp.Options) { o.ClientClaim, o.Implicit = "application_id", true })
	r.idp.AddUser(idp.User{Name: "alice", Password: "wonder:land", Subject: "alice-1"})
}

// byCode gets a token for an application by the authorization code flow with PKCE, as
// the application does it that is shown the issuer (RFC 7636).
func (r *rig) byCode(t testing.TB, client string) string {
	t.Helper()
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	back := r.browse(t, url.Values{"client_id": {client}, "response_type": {"code"}, "redirect_uri": {"https://app.example/cb"}, "scope": {"openid read"},
		"state": {"s"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}})
	form := url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://app.example/cb"}, "code_verifier": {verifier}}
	if client != "wallet" {
		return r.granted(t, client, form).Access
	}
	form.Set("client_id", client)
	res, err := http.PostForm(r.idp.URL+"/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		Access string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.Access == "" {
		t.Fatalf("%d: %v", res.StatusCode, err)
	}
	return out.Access
}

// byImplicit gets a token for an application by the implicit flow (RFC 6749 §4.2).
func (r *rig) byImplicit(t testing.TB, client string) string {
	t.Helper()
	back := r.browse(t, url.Values{"client_id": {client}, "response_type": {"token"}, "redirect_uri": {"https://app.example/cb"}, "scope": {"read"}, "state": {"s"}})
	out, err := url.ParseQuery(back.Fragment)
	if err != nil || out.Get("access_token") == "" {
		t.Fatalf("no token in %s", back)
	}
	return out.Get("access_token")
}

// browse signs alice in at the identity provider, and returns where she is sent back to.
func (r *rig) browse(t testing.TB, params url.Values) *url.URL {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(r.idp.SignIn(t, &http.Client{Jar: jar, Transport: &http.Transport{}}, r.idp.URL+"/authorize?"+params.Encode(), "alice"))
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// passes asserts that a request reached the upstream once, as an application.
func passes(t testing.TB, x *exchange, customID string) {
	t.Helper()
	if x.Status != 200 || len(x.Seen) != 1 || x.Upstream().Get("X-Consumer-Custom-ID") != customID || x.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%d %s, the upstream was called %d times with %q; want 200 as %s", x.Status, x.Body, len(x.Seen), x.Upstream().Get("X-Consumer-Custom-ID"), customID)
	}
}

// refuses asserts that a request did not reach the upstream, and why.
func (r *rig) refuses(t testing.TB, x *exchange, status int, code string) {
	t.Helper()
	body := map[int]string{401: `{"message":"Unauthorized"}`, 403: `{"message":"You cannot consume this service"}`}[status]
	if code == "consumer_missing" {
		body = `{"message":"Forbidden"}`
	}
	got := r.Reason(x.RequestID())
	if x.Status != status || x.Body != body || len(x.Seen) != 0 || got != code || x.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%d %s (%s), the upstream was called %d times; want %d %s (%s)", x.Status, x.Body, got, len(x.Seen), status, body, code)
	}
	testenv.Evidence(t, "%s: the upstream received nothing: %s", r.Host, got)
}

// TestApplications: seed 004 on a file without a database. Two plugins on a service, the
// application by its claim, its contract, and every way to a token.
func TestApplications(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r, elsewhere := applications(t, host, applicationsFile)
		machine := func(id string) string { return bearer(r.granted(t, id, clientGrant("read")).Access) }
		t.Run("S4-02", func(t *testing.T) {
			passes(t, r.send(t, "GET", "/orders/1", machine("app"), "X-Consumer-Custom-ID: other"), "app")
			r.refuses(t, r.send(t, "GET", "/orders/1", machine("stranger")), 403, "consumer_missing")
			r.refuses(t, r.send(t, "GET", "/orders/1", bearer(r.idp.Token("k1", nil)), "X-Consumer-Custom-ID: app"), 403, "consumer_missing")
			r.refuses(t, r.send(t, "GET", "/orders/1"), 401, "credential_missing")
		})
		t.Run("S4-03", func(t *testing.T) {
			passes(t, r.send(t, "GET", "/billing", machine("other")), "other")
			r.refuses(t, r.send(t, "GET", "/orders/1", machine("other")), 403, "contract_missing") // auto_approve gives nobody what was not asked for
			r.refuses(t, r.send(t, "GET", "/billing", machine("app")), 403, "contract_missing")
			r.refuses(t, r.send(t, "GET", "/orders/1", machine("person")), 403, "consumer_refused")
			passes(t, r.send(t, "GET", "/billing", machine("person")), "person") // enable_proxy_with_consumer_credential
		})
		t.Run("S4-05", func(t *testing.T) {
			for name, token := range map[string]func(testing.TB, string) string{
				"client credentials": func(t testing.TB, id string) string { return r.granted(t, id, clientGrant("read")).Access },
				"authorization code": r.byCode,
				"implicit":           r.byImplicit,
				"password": func(t testing.TB, id string) string {
					return r.granted(t, id, userGrant("alice", "wonder:land", "read")).Access
				},
			} {
				t.Run(name, func(t *testing.T) {
					passes(t, r.send(t, "GET", "/orders/1", bearer(token(t, "app"))), "app")
					r.refuses(t, r.send(t, "GET", "/orders/1", bearer(token(t, "other"))), 403, "contract_missing")
				})
			}
			t.Run("a public client", func(t *testing.T) {
				passes(t, r.send(t, "GET", "/orders/1", bearer(r.byCode(t, "wallet"))), "wallet")
			})
			asked := map[string]int{}
			for _, c := range r.idp.Calls("token") {
				if c.Status == http.StatusOK {
					asked[c.Form.Get("grant_type")]++
				}
			}
			if asked["client_credentials"] == 0 || asked["authorization_code"] == 0 || asked["password"] == 0 || r.idp.Count("authorize") == 0 {
				t.Errorf("the IdP was asked for %v", asked)
			}
			testenv.Evidence(t, "%s: the IdP gave tokens by %v, and by %d visits of a browser", host, asked, r.idp.Count("authorize"))
		})
		t.Run("S4-06", func(t *testing.T) {
			r.idp.Forget()
			passes(t, r.send(t, "GET", "/orders/1", basic("app", "app-secret")), "app")
			calls := r.idp.Calls("token")
			if len(calls) != 1 || calls[0].ClientID != "app" || calls[0].Form.Get("grant_type") != "client_credentials" {
				t.Fatalf("the IdP was asked %+v", calls)
			}
			testenv.Evidence(t, "%s: the IdP was asked once, by client %q for %s", host, calls[0].ClientID, calls[0].Form.Get("grant_type"))
			r.refuses(t, r.send(t, "GET", "/orders/1", basic("other", "other-secret")), 403, "contract_missing")
			r.refuses(t, r.send(t, "GET", "/orders/1", basic("stranger", "stranger-secret")), 403, "consumer_missing")
			r.refuses(t, r.send(t, "GET", "/orders/1", basic("app", "wrong")), 401, "credential_refused")
		})
		t.Run("S4-07", func(t *testing.T) {
			// One instance, whose own client is gateway: any number of others.
			for id, contract := range map[string]bool{"app": true, "wallet": true, "other": false, "lead": false} {
				token := r.idp.Token("k1", map[string]any{"application_id": id})
				if x := r.send(t, "GET", "/orders/1", bearer(token)); contract {
					passes(t, x, id)
				} else {
					r.refuses(t, x, 403, "contract_missing")
				}
			}
			// Another identity provider for the same service, with the same contracts.
			for range 2 {
				passes(t, r.send(t, "GET", "/elsewhere", bearer(elsewhere.Token("k1", map[string]any{"azp": "app"}))), "app")
				r.refuses(t, r.send(t, "GET", "/elsewhere", bearer(elsewhere.Token("k1", map[string]any{"azp": "other"}))), 403, "contract_missing")
				r.refuses(t, r.send(t, "GET", "/elsewhere", bearer(r.idp.Token("k1", map[string]any{"azp": "app"}))), 401, "issuer_unknown")
				r.refuses(t, r.send(t, "GET", "/orders/1", bearer(elsewhere.Token("k1", map[string]any{"application_id": "app"}))), 401, "issuer_unknown")
			}
		})
		t.Run("S4-09", func(t *testing.T) { r.keepsSession(t, r.byCode(t, "app")) })
		t.Run("S4-10", func(t *testing.T) {
			token := r.opaque(t, clientGrant("read"))
			r.idp.Forget()
			passes(t, r.send(t, "GET", "/orders/1", bearer(token)), "app")
			if n := r.idp.Count("introspect"); n != 1 {
				t.Fatalf("the IdP was asked %d times", n)
			}
			testenv.Evidence(t, "%s: the IdP was asked once about the token", host)
			r.idp.Set(func(o *idp.Options) { o.OpaqueAccess = true })
			defer r.idp.Set(func(o *idp.Options) { o.OpaqueAccess = false })
			r.refuses(t, r.send(t, "GET", "/orders/1", machine("other")), 403, "contract_missing")
		})
		t.Run("S4-11", func(t *testing.T) {
			r.refuses(t, r.send(t, "GET", "/partners", bearer(tokens.Sign("rsa2048b", map[string]any{"alg": "RS256", "kid": "k1"},
				map[string]any{"iss": r.idp.Issuer(), "exp": tokens.In(600), "application_id": "lead"}))), 401, "signature_invalid") // authentication first
			r.refuses(t, r.send(t, "GET", "/partners", machine("stranger")), 403, "consumer_missing")
			r.refuses(t, r.send(t, "GET", "/partners", machine("other")), 403, "contract_missing") // then the contract: it has no group either
			r.refuses(t, r.send(t, "GET", "/partners", machine("person")), 403, "consumer_refused")
			r.refuses(t, r.send(t, "GET", "/partners", machine("app")), 403, "group_refused") // then the groups
			x := r.send(t, "GET", "/partners", machine("lead"))
			passes(t, x, "lead") // then the upstream
			if got := x.Upstream().Get("X-Consumer-Groups"); got != "partners" {
				t.Errorf("the upstream got the groups %q", got)
			}
		})
		t.Run("S4-12", func(t *testing.T) { r.keepsSession(t, r.byImplicit(t, "app")) })
	})
}

// keepsSession asserts that a token begins a session, in which the caller is the
// application by the cookie alone.
func (r *rig) keepsSession(t *testing.T, token string) {
	t.Helper()
	x := r.send(t, "GET", "/orders/1", bearer(token))
	passes(t, x, "app")
	cookie, _, _ := strings.Cut(x.Header.Get("Set-Cookie"), ";")
	if !strings.HasPrefix(cookie, "session=") {
		t.Fatalf("no session: Set-Cookie %q", x.Header.Get("Set-Cookie"))
	}
	for range 4 {
		x = r.send(t, "GET", "/orders/1", "Cookie: "+cookie)
		passes(t, x, "app")
		if x.Upstream().Get("Authorization") != bearer(token)[len("Authorization: "):] {
			t.Errorf("the upstream got another token than the session's")
		}
	}
}
