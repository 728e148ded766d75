package login

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// begin sends a browser to the provider and returns what it is asked there.
func (w *world) begin(b browser, r *wire.Request) (link string, query url.Values) {
	w.t.Helper()
	a := w.svc.Begin(w.in, w.provider, r)
	if a.Code != reason.LoginStarted {
		w.t.Fatalf("a login begins with %v", a.Code)
	}
	b.take(headers(&a, "set-cookie"))
	link = headers(&a, "location")[0]
	u, err := url.Parse(link)
	if err != nil {
		w.t.Fatal(err)
	}
	return link, u.Query()
}

// back returns the request that a browser comes back with from the provider.
func (w *world) back(b browser, link, user string) *wire.Request {
	w.t.Helper()
	jar, _ := cookiejar.New(nil)
	back := w.idp.SignIn(w.t, &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}, link, user)
	_, rest, _ := strings.Cut(back, "://")
	return b.request(rest[strings.Index(rest, "/"):])
}

// TestCookieFields: what browsers are told of the two cookies.
func TestCookieFields(t *testing.T) {
	const usual = "; Path=/; SameSite=Lax; HttpOnly"
	for _, c := range []struct{ settings, scheme, flow, session string }{
		{"", "http", "authorization_" + usual, "session" + usual},
		{"", "https", "__Host-authorization_" + usual + "; Secure", "__Host-session" + usual + "; Secure"},
		{"authorization_cookie_name: mine\nsession_cookie_name: yours", "http", "mine_" + usual, "yours" + usual},
		{"authorization_cookie_path: /page\nsession_cookie_path: /", "https",
			"authorization_; Path=/page; SameSite=Lax; HttpOnly; Secure", "__Host-session" + usual + "; Secure"},
		{"authorization_cookie_path: /\nsession_cookie_path: /page", "https",
			"__Host-authorization_" + usual + "; Secure", "session; Path=/page; SameSite=Lax; HttpOnly; Secure"},
		{"authorization_cookie_domain: app.example", "https",
			"authorization_; Path=/; Domain=app.example; SameSite=Lax; HttpOnly; Secure", "__Host-session" + usual + "; Secure"},
		{"session_cookie_domain: app.example", "https",
			"__Host-authorization_" + usual + "; Secure", "session; Path=/; Domain=app.example; SameSite=Lax; HttpOnly; Secure"},
		{"authorization_cookie_same_site: None\nsession_cookie_same_site: Strict", "https",
			"__Host-authorization_; Path=/; SameSite=None; HttpOnly; Secure", "__Host-session; Path=/; SameSite=Strict; HttpOnly; Secure"},
		{"authorization_cookie_same_site: Default\nsession_cookie_same_site: Default", "http", "authorization_" + usual, "session" + usual},
		{"authorization_cookie_same_site: 'off'\nsession_cookie_same_site: 'off'", "http", "authorization_; Path=/; HttpOnly", "session; Path=/; HttpOnly"},
		{"authorization_cookie_http_only: false", "http", "authorization_; Path=/; SameSite=Lax", "session" + usual},
		{"session_cookie_http_only: false", "http", "authorization_" + usual, "session; Path=/; SameSite=Lax"},
		{"authorization_cookie_secure: true\nsession_cookie_secure: true", "http", "authorization_" + usual + "; Secure", "session" + usual + "; Secure"},
		{"authorization_cookie_secure: false\nsession_cookie_secure: false", "https", "authorization_" + usual, "session" + usual},
	} {
		t.Run(c.settings+" over "+c.scheme, func(t *testing.T) {
			w := newWorld(t, c.settings)
			// told is a cookie as the browser is told of it, without what is never the same.
			told := func(a *wire.Answer) string {
				for _, line := range headers(a, "set-cookie") {
					pair, attributes, _ := strings.Cut(line, ";")
					name, _, _ := strings.Cut(pair, "=")
					name = regexp.MustCompile(`_[0-9a-z]{13}$`).ReplaceAllString(name, "_")
					if !strings.Contains(attributes, "Max-Age=0") {
						return name + ";" + regexp.MustCompile(` Max-Age=\d+;`).ReplaceAllString(attributes, "")
					}
				}
				return ""
			}
			b := browser{}
			over := func(r *wire.Request) *wire.Request {
				r.Scheme = c.scheme
				return r
			}
			a := w.svc.Begin(w.in, w.provider, over(b.request("/page")))
			if got := told(&a); got != c.flow {
				t.Errorf("the login's cookie is\n%s\nwant\n%s", got, c.flow)
			}
			b.take(headers(&a, "set-cookie"))
			a = w.svc.Callback(t.Context(), w.in, w.provider, over(w.back(b, headers(&a, "location")[0], "alice")))
			if got := told(&a); a.Code != reason.LoginCompleted || got != c.session {
				t.Errorf("%v: the session's cookie is\n%s\nwant\n%s", a.Code, got, c.session)
			}
		})
	}
}

// TestLoginFields: what a login asks for, and which ends it comes to.
func TestLoginFields(t *testing.T) {
	t.Run("asked", func(t *testing.T) {
		w := newWorld(t, "response_type: [code]\nresponse_mode: query\nrequire_proof_key_for_code_exchange: true\nverify_nonce: true\nlogin_methods: [authorization_code]")
		_, q := w.begin(browser{}, browser{}.request("/page"))
		if q.Get("response_type") != "code" || q.Has("response_mode") || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || q.Get("nonce") == "" {
			t.Errorf("%v", q)
		}
	})
	for _, c := range []struct {
		name, settings string
		claims         map[string]any
		fault          idp.Fault
		seconds        int64 // at the provider
		want           reason.Code
		to             string
	}{
		{name: "usual", want: reason.LoginCompleted, to: "http://app.example/page?a=1"},
		{name: "the query, dropped", settings: "preserve_query_args: false", want: reason.LoginCompleted, to: "http://app.example/page?a=1"},
		{name: "the query, kept", settings: "preserve_query_args: true", want: reason.LoginCompleted, to: "http://app.example/page?a=1"},
		{name: "a nonce of somebody's", settings: "verify_nonce: true", fault: idp.NonceWrong, want: reason.NonceMismatch},
		{name: "the client secret as a key", settings: "enable_hs_signatures: false", fault: idp.IDHS256, want: reason.AlgorithmMismatch},
		{name: "without a domain", settings: "domains: [example.com, example.org]", want: reason.DomainMismatch},
		{name: "another domain", settings: "domains: [example.com, example.org]", claims: map[string]any{"hd": "evil.example"}, want: reason.DomainMismatch},
		{name: "its domain", settings: "domains: [example.com, example.org]", claims: map[string]any{"hd": "example.org"}, want: reason.LoginCompleted, to: "http://app.example/page?a=1"},
		{name: "in time", settings: "authorization_rolling_timeout: 60", seconds: 59, want: reason.LoginCompleted, to: "http://app.example/page?a=1"},
		{name: "too late", settings: "authorization_rolling_timeout: 60", seconds: 60, want: reason.LoginStarted},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.settings)
			w.idp.AddUser(idp.User{Name: "alice", Password: "alice", Subject: "alice-1", Claims: c.claims})
			w.idp.FlowFault(c.fault)
			b := browser{}
			link, _ := w.begin(b, b.request("/page?a=1"))
			r := w.back(b, link, "alice")
			w.seconds(c.seconds)
			a := w.svc.Callback(t.Context(), w.in, w.provider, r)
			if a.Code != c.want {
				t.Fatalf("%v, want %v: %s", a.Code, c.want, w.log)
			}
			if to := headers(&a, "location"); c.to != "" && !slices.Equal(to, []string{c.to}) {
				t.Errorf("sent to %q, want %q", to, c.to)
			}
		})
	}
}

// TestEndpointFields: an endpoint of the file is asked, and not the one that discovery
// names. One connection serves for all.
func TestEndpointFields(t *testing.T) {
	var w *world
	var mu sync.Mutex
	asked, connections, protocols := map[string]int{}, 0, map[string]bool{}
	elsewhere := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/my/")
		mu.Lock()
		asked[name]++
		protocols[r.Proto] = true
		mu.Unlock()
		req, err := http.NewRequest(r.Method, w.idp.Endpoint(name), r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header, req.ContentLength = r.Header, r.ContentLength
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		maps.Copy(rw.Header(), res.Header)
		rw.WriteHeader(res.StatusCode)
		_, _ = io.Copy(rw, res.Body)
	}))
	elsewhere.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		if state == http.StateNew {
			connections++
		}
	}
	elsewhere.Start()
	defer elsewhere.Close()
	url := elsewhere.URL + "/my/"
	w = newWorld(t, "keepalive: true\nhttp_version: 1.1\nsearch_user_info: true\nlogout_revoke: true\ntoken_endpoint: "+url+"token\nuserinfo_endpoint: "+url+"userinfo\nrevocation_endpoint: "+url+
		"revoke\nend_session_endpoint: "+url+"logout?a=1\nauthorization_endpoint: "+url+"authorize?b=2")
	w.in.UserInfo = true
	b := browser{}
	link, _ := w.begin(b, b.request("/page"))
	if !strings.HasPrefix(link, url+"authorize?b=2&") {
		t.Errorf("the login begins at %s", link)
	}
	link = strings.Replace(link, url+"authorize?b=2&", w.idp.Endpoint("authorize")+"?", 1)
	a := w.svc.Callback(t.Context(), w.in, w.provider, w.back(b, link, "alice"))
	if b.take(headers(&a, "set-cookie")); a.Code != reason.LoginCompleted {
		t.Fatalf("%v: %s", a.Code, w.log)
	}
	a = w.svc.Logout(t.Context(), w.in, w.provider, b.request("/page"))
	if to := headers(&a, "location"); len(to) != 1 || !strings.HasPrefix(to[0], url+"logout?a=1&") {
		t.Errorf("%v: the logout ends at %q", a.Code, to)
	}
	if want := map[string]int{"token": 1, "userinfo": 1, "revoke": 2}; !maps.Equal(asked, want) {
		t.Errorf("asked were %v, want %v", asked, want)
	}
	mu.Lock()
	defer mu.Unlock()
	if connections != 1 || len(protocols) != 1 || !protocols["HTTP/1.1"] {
		t.Errorf("%d connections by %v", connections, protocols)
	}
}

// TestLogoutFields: which tokens are revoked at a logout, how the client says who it
// is, and where the browser goes.
func TestLogoutFields(t *testing.T) {
	for _, c := range []struct {
		settings string
		revoked  string // kinds of tokens, in order
		method   string
		after    string
	}{
		{"", "", "", ""},
		{"logout_revoke_access_token: true\nlogout_revoke_refresh_token: true", "", "", ""},
		{"logout_revoke: true", "refresh_token access_token", "client_secret_basic", ""},
		{"logout_revoke: true\nlogout_revoke_access_token: false", "refresh_token", "client_secret_basic", ""},
		{"logout_revoke: true\nlogout_revoke_refresh_token: false\nrevocation_token_param_name: token", "access_token", "client_secret_basic", ""},
		{"logout_revoke: true\nclient_auth: [client_secret_post]\nrevocation_endpoint_auth_method: client_secret_post", "refresh_token access_token", "client_secret_post", ""},
		{"logout_redirect_uri: [\"https://bye.example/\"]", "", "", "https://bye.example/"},
	} {
		t.Run(c.settings, func(t *testing.T) {
			w := newWorld(t, c.settings)
			b := w.signIn("alice")
			a := w.svc.Logout(t.Context(), w.in, w.provider, b.request("/page"))
			if a.Code != reason.LoggedOut {
				t.Fatal(a.Code)
			}
			var kinds []string
			for _, call := range w.idp.Calls("revoke") {
				kinds = append(kinds, call.Form.Get("token_type_hint"))
				if call.Form.Get("token") == "" || call.AuthMethod != c.method || call.Status != 200 {
					t.Errorf("%d by %s: %v", call.Status, call.AuthMethod, call.Form)
				}
			}
			if got := strings.Join(kinds, " "); got != c.revoked {
				t.Errorf("revoked are %q, want %q", got, c.revoked)
			}
			to := headers(&a, "location")
			u, err := url.Parse(strings.Join(to, " "))
			if err != nil || !strings.HasPrefix(u.String(), w.idp.Endpoint("logout")) || u.Query().Get("post_logout_redirect_uri") != c.after {
				t.Errorf("%v: sent to %q, want then %q", err, to, c.after)
			}
			w.closed(b, reason.SessionRevoked)
		})
	}
}

// TestSessionFields: a session is in its cookie: a sidecar that has never heard of it
// opens it. One that does not hold is deleted in the browser.
func TestSessionFields(t *testing.T) {
	w := newWorld(t, "session_storage: cookie\nunauthorized_destroy_session: true")
	b := w.signIn("alice")
	other := newWorld(t, "session_storage: cookie\nunauthorized_destroy_session: true\nissuer: "+w.idp.Issuer())
	other.provider = w.provider
	other.ns.Store(w.ns.Load())
	if other.opened(b).ID != w.opened(b).ID {
		t.Error("another session")
	}
	w.seconds(900)
	w.closed(b, reason.SessionExpired)
}
