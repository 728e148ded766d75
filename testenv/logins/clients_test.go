package logins

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

const oddID, oddSecret = "a+b c:d/ü", `p+a s:s%20&=?#"é`

// TestClients: how the client says who it is, at the login, at the refresh and at the
// revocation.
func TestClients(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		yamlText := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
		const out = "logout_query_arg: logout\nlogout_methods: [GET]\nlogout_revoke: true\n"
		r := start(t, host, ways(
			way{"basic", out + "client_id: [" + yamlText(oddID) + "]\nclient_secret: [" + yamlText(oddSecret) + "]\nclient_auth: client_secret_basic"},
			way{"usual", out + "client_id: " + yamlText(oddID) + "\nclient_secret: " + yamlText(oddSecret)},
			way{"post", out + "client_id: [post]\nclient_secret: [" + yamlText(oddSecret) + "]\ntoken_endpoint_auth_method: client_secret_post"},
			way{"key", "instance_name: key-login\n" + out + "client_id: [key]\nclient_auth: [private_key_jwt]"},
			way{"ec", "instance_name: ec-login\n" + out + "client_id: [ec]\nclient_auth: [private_key_jwt]\nclient_alg: [ES256]"},
			way{"ps", "instance_name: ps-login\n" + out + "client_id: [ps]\nclient_auth: [private_key_jwt]\nclient_alg: [PS256]"},
			way{"none", out + "client_id: [public]\nclient_auth: [none]"},
			way{"two", out + "client_id: [post, other]\nclient_secret: [" + yamlText(oddSecret) + ", x]\nclient_auth: [client_secret_post]"},
			way{"wrong", "client_id: [post]\nclient_secret: [wrong]\nclient_auth: [client_secret_post]"},
		), nil, stack.Options{})
		r.idp.AddClient(idp.Client{ID: oddID, Secret: oddSecret})
		r.idp.AddClient(idp.Client{ID: "post", Secret: oddSecret, AuthMethod: "client_secret_post"})
		r.idp.AddClient(idp.Client{ID: "public", AuthMethod: "none"})
		for _, name := range []string{"key", "ec", "ps"} {
			r.idp.AddClient(idp.Client{ID: name, AuthMethod: "private_key_jwt", JWKSURI: r.URL + "/.sallyport/" + name + "-login/jwks"})
		}
		for _, c := range []struct{ way, id, method, alg string }{
			{"basic", oddID, "client_secret_basic", ""}, {"usual", oddID, "client_secret_basic", ""}, {"post", "post", "client_secret_post", ""},
			{"key", "key", "private_key_jwt", "RS256"}, {"ec", "ec", "private_key_jwt", "ES256"}, {"ps", "ps", "private_key_jwt", "PS256"},
			{"none", "public", "none", ""}, {"two", "post", "client_secret_post", ""},
		} {
			t.Run(c.way, func(t *testing.T) {
				r.idp.Forget()
				v := r.expired(t, "/"+c.way+"/page", "alice")
				r.ask(t, v, "/"+c.way+"/page", 200) // a refresh
				if p := v.Open(r.URL + "/" + c.way + "/page?logout=1"); p.StatusCode != 302 {
					t.Errorf("logout: %d %s", p.StatusCode, p.Body)
				}
				calls := append(r.idp.Calls("token"), r.idp.Calls("revoke")...)
				if len(calls) != 4 {
					t.Fatalf("%d requests, want the code, the refresh and two revocations", len(calls))
				}
				for _, call := range calls {
					if call.Status != 200 || call.AuthMethod != c.method || call.ClientID != c.id {
						t.Errorf("%s: %d as %q by %s: %s %s", call.URI, call.Status, call.ClientID, call.AuthMethod, call.Error, call.Detail)
					}
					if alg := algOf(call.Form.Get("client_assertion")); alg != c.alg {
						t.Errorf("%s: signed with %q, want %q", call.URI, alg, c.alg)
					}
				}
				testenv.Evidence(t, "%s: the provider saw %d requests by %s, all answered 200", host, len(calls), c.method)
			})
		}
		t.Run("a wrong secret", func(t *testing.T) {
			p := r.signIn(t, visitor.New(t), "/wrong/page", "alice")
			if p.StatusCode != 503 || !strings.Contains(p.Body, "login_misconfigured") || len(setCookies(p)) != 1 {
				t.Errorf("%d %v %s", p.StatusCode, setCookies(p), p.Body)
			}
		})
		t.Run("published keys", func(t *testing.T) { publishedKeys(t, r) })
		t.Run("no secret in a log", func(t *testing.T) {
			log := r.Gateway.Log()
			if r.Sidecar != nil {
				log += r.Sidecar.Log()
			}
			for _, secret := range []string{oddSecret, url.QueryEscape(oddSecret), "eyJ"} {
				if strings.Contains(log, secret) {
					t.Errorf("%q is in a log", secret)
				}
			}
		})
	})
}

// algOf returns what a JWT says that it is signed with, "" for none.
func algOf(token string) string {
	var header struct{ Alg string }
	first, _, _ := strings.Cut(token, ".")
	if src, err := base64.RawURLEncoding.DecodeString(first); err == nil {
		_ = json.Unmarshal(src, &header)
	}
	return header.Alg
}

// publishedKeys: the public halves alone, at the plugin's own path, by GET.
func publishedKeys(t *testing.T, r *rig) {
	for path, status := range map[string]int{
		"/.sallyport/key-login/jwks": 200, "/.sallyport/ec-login/jwks": 200, "/.sallyport/nobody/jwks": 404, "/.sallyport/key-login/keys": 404,
		"/.sallyport/key-login": 404,
	} {
		p := visitor.New(t).Fetch(r.URL + path)
		if p.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, p.StatusCode, status)
		}
		if status != 200 {
			continue
		}
		var set struct{ Keys []map[string]string }
		if err := json.Unmarshal([]byte(p.Body), &set); err != nil || len(set.Keys) != 2 {
			t.Fatalf("%v: %s", err, p.Body)
		}
		for _, k := range set.Keys {
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
				if k[private] != "" {
					t.Errorf("%s is published", private)
				}
			}
			if k["kid"] == "" || k["use"] != "sig" {
				t.Errorf("a key: %v", k)
			}
		}
	}
	req, err := http.NewRequest(http.MethodPost, r.URL+"/.sallyport/key-login/jwks", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", res.StatusCode)
	}
}

// TestAuthorizationRequest: what the browser carries to the provider.
func TestAuthorizationRequest(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(
			way{"plain", ""},
			way{"args", "authorization_query_args_names: [prompt, ui_locales, empty]\nauthorization_query_args_values: [login, \"de en\", \"\"]\nauthorization_query_args_client: [login_hint, acr_values]"},
			way{"age", "max_age: 60"},
			way{"zero", "max_age: 0"},
			way{"aud", "audience: [api, other]\nscopes: [openid, descope.custom_claims]"},
			way{"two", "client_id: [app, second]\nclient_secret: [\"app secret & more\", x]"},
		), nil, stack.Options{})
		query := func(target string, header ...string) url.Values {
			t.Helper()
			p := visitor.New(t).Open(r.URL+target, header...)
			to, err := url.Parse(p.Location())
			if p.StatusCode != 302 || err != nil {
				t.Fatalf("%s: %d %v", target, p.StatusCode, err)
			}
			q := to.Query()
			for name, values := range q {
				if len(values) > 1 {
					t.Errorf("%s: %s comes %d times", target, name, len(values))
				}
			}
			return q
		}
		usual := []string{"client_id", "code_challenge", "code_challenge_method", "nonce", "redirect_uri", "response_type", "scope", "state"}
		names := func(q url.Values) (list []string) {
			for name := range q {
				list = append(list, name)
			}
			slices.Sort(list)
			return list
		}
		q := query("/plain/page?login_hint=x&prompt=none")
		if !slices.Equal(names(q), usual) || q.Get("client_id") != "app" || q.Get("response_type") != "code" || q.Get("redirect_uri") != r.URL+"/plain/page" {
			t.Errorf("plain: %v", q)
		}
		q = query("/args/page?login_hint=alice%40example.com&acr_values=" + strings.Repeat("x", 513) + "&prompt=none&client_id=evil&ui_locales=fr")
		if q.Get("prompt") != "login" || q.Get("ui_locales") != "de en" || !q.Has("empty") || q.Get("login_hint") != "alice@example.com" ||
			q.Has("acr_values") || q.Get("client_id") != "app" {
			t.Errorf("args: %v", q)
		}
		if q = query("/age/page"); q.Get("max_age") != "60" {
			t.Errorf("age: %v", q)
		}
		if q = query("/zero/page"); q.Get("max_age") != "0" {
			t.Errorf("zero: %v", q)
		}
		if q = query("/aud/page"); q.Get("audience") != "api other" || q.Get("scope") != "openid descope.custom_claims" {
			t.Errorf("aud: %v", q)
		}
		if q = query("/two/page"); q.Get("client_id") != "app" {
			t.Errorf("two: %v", q)
		}
		// Nothing is told twice.
		a, b := query("/plain/page"), query("/plain/page")
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			if a.Get(name) == b.Get(name) || len(a.Get(name)) < 26 {
				t.Errorf("%s: %q, then %q", name, a.Get(name), b.Get(name))
			}
		}
		testenv.Evidence(t, "%s: %s", host, fmt.Sprint(names(a)))
		t.Run("max_age", func(t *testing.T) { oldSignIn(t, r) })
	})
}

// oldSignIn: a sign-in that is longer ago than max_age is none.
func oldSignIn(t *testing.T, r *rig) {
	v := r.entered(t, "/age/page", "alice")
	r.ask(t, v, "/age/page", 200)
	// The provider's session is two minutes old from now on, and it does not care.
	r.idp.AddUser(idp.User{Name: "old", Password: "old", Claims: map[string]any{"auth_time": time.Now().Add(-5 * time.Minute).Unix()}})
	p := r.signIn(t, visitor.New(t), "/age/page", "old")
	if p.StatusCode != 401 || !strings.Contains(p.Body, "auth_time_too_old") {
		t.Errorf("an old sign-in: %d %s", p.StatusCode, p.Body)
	}
	r.idp.AddUser(idp.User{Name: "old", Password: "old", Claims: map[string]any{"auth_time": nil}})
	if p = r.signIn(t, visitor.New(t), "/age/page", "old"); p.StatusCode != 401 {
		t.Errorf("no auth_time: %d %s", p.StatusCode, p.Body)
	}
	if p = r.signIn(t, visitor.New(t), "/plain/page", "old"); p.StatusCode != 303 {
		t.Errorf("no auth_time, and no max_age: %d %s", p.StatusCode, p.Body)
	}
}
