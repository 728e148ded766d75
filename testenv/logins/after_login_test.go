package logins

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// TestAfterLogin: where a login ends, and what it hands out.
func TestAfterLogin(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(
			way{"up", ""},
			way{"res", "login_action: response"},
			way{"all", "login_action: response\nlogin_tokens: [tokens]\ndisable_session: [authorization_code]"},
			way{"none", "login_action: response\nlogin_tokens: []"},
			way{"red", "login_action: redirect\nlogin_redirect_uri: [\"https://portal.example/default?a=1\"]"},
			way{"query", "login_action: redirect\nlogin_redirect_mode: query\nlogin_redirect_uri: [\"https://portal.example/default?a=1\"]\nlogin_tokens: [id_token, access_token]"},
			way{"bare", "login_action: redirect\nlogin_redirect_uri: [\"https://portal.example/default\"]\nlogin_tokens: []\ndisable_session: [authorization_code]"},
		), nil, stack.Options{})
		in := func(target string) (*visitor.Visitor, *visitor.Page) {
			v := visitor.New(t)
			p := r.signIn(t, v, target, "alice")
			if p.Header.Get("Cache-Control") != "no-store" || strings.Contains(strings.Join(setCookies(p), " "), "authorization") != strings.Contains(strings.Join(setCookies(p), " "), "-authorization") {
				t.Errorf("%s: cache-control %q, set-cookie %v", target, p.Header.Get("Cache-Control"), setCookies(p))
			}
			return v, p
		}
		t.Run("upstream", func(t *testing.T) {
			_, p := in("/up/page?x=1&state=theirs")
			if p.StatusCode != 303 || p.Location() != r.URL+"/up/page?x=1&state=theirs" || strings.Contains(p.Location()+p.Body, "eyJ") {
				t.Errorf("%d to %q", p.StatusCode, p.Location())
			}
		})
		t.Run("response", func(t *testing.T) {
			v, p := in("/res/page")
			got := members(t, p)
			if p.StatusCode != 200 || len(got) != 1 || claimsOf(t, got["id_token"])["sub"] != "alice-1" {
				t.Errorf("%d %v", p.StatusCode, got)
			}
			r.ask(t, v, "/res/page", 200)
			v, p = in("/all/page")
			got = members(t, p)
			if len(got) != 3 || got["refresh_token"] == "" || claimsOf(t, got["access_token"])["sub"] != "alice-1" {
				t.Errorf("tokens: %v", got)
			}
			if len(v.Cookies(r.URL)) != 0 {
				t.Errorf("disable_session: cookies %v", v.Cookies(r.URL))
			}
			r.ask(t, v, "/all/page", 401)
			if _, p := in("/none/page"); p.StatusCode != 200 || p.Body != "{}" {
				t.Errorf("no tokens: %d %s", p.StatusCode, p.Body)
			}
		})
		t.Run("redirect", func(t *testing.T) {
			v, p := in("/red/page")
			to, _ := url.Parse(p.Location())
			fragment, err := url.ParseQuery(to.Fragment)
			if p.StatusCode != 302 || to.Scheme+to.Host+to.Path != "httpsportal.example/default" || to.RawQuery != "a=1" || err != nil || claimsOf(t, fragment.Get("id_token"))["sub"] != "alice-1" {
				t.Errorf("%d to %q", p.StatusCode, p.Location())
			}
			r.ask(t, v, "/red/page", 200)
			_, p = in("/query/page")
			to, _ = url.Parse(p.Location())
			q := to.Query()
			if p.StatusCode != 302 || to.Host != "portal.example" || q.Get("a") != "1" || len(q) != 3 || to.Fragment != "" ||
				claimsOf(t, q.Get("id_token"))["sub"] != "alice-1" || claimsOf(t, q.Get("access_token"))["sub"] != "alice-1" || p.Header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("query: %d to %q", p.StatusCode, p.Location())
			}
			v, p = in("/bare/page")
			if p.StatusCode != 302 || p.Header.Get("Location") != "https://portal.example/default" || len(v.Cookies(r.URL)) != 0 {
				t.Errorf("bare: %d to %q, cookies %v", p.StatusCode, p.Location(), v.Cookies(r.URL))
			}
		})
	})
}

// members reads a JSON object of strings.
func members(t testing.TB, p *visitor.Page) map[string]string {
	t.Helper()
	var m map[string]string
	if err := json.Unmarshal([]byte(p.Body), &m); err != nil {
		t.Fatalf("%s: %v", p.Body, err)
	}
	return m
}

const elsewhere = "https://portal.example/"

// TestRefusals: what people and programs are told, and where they are sent.
func TestRefusals(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		const lacks = "scopes_required: [admin]\n"
		r := start(t, host, ways(
			way{"plain", lacks},
			way{"keep", lacks + "forbidden_destroy_session: false"},
			way{"drop", lacks + "forbidden_destroy_session: true"},
			way{"show", lacks + "display_errors: true"},
			way{"text", lacks + "unauthorized_error_message: \"Go <away> & come\"\nforbidden_error_message: \"Ask <the> desk\""},
			way{"sent", lacks + "unauthorized_redirect_uri: [\"" + elsewhere + "401\"]\nforbidden_redirect_uri: [\"" + elsewhere + "403\"]\nunexpected_redirect_uri: [\"" + elsewhere + "503\"]"},
			way{"only", "auth_methods: [session]\nunauthorized_redirect_uri: [\"" + elsewhere + "401\"]"},
		), nil, stack.Options{})
		for name, test := range map[string]func(*testing.T, *rig){
			"forbidden": forbidden, "destroy session": destroySession, "texts": errorTexts, "redirects": redirects, "display_errors": displayErrors,
		} {
			t.Run(name, func(t *testing.T) {
				r.idp.FlowFault()
				test(t, r)
			})
		}
	})
}

// forbidden: 403 with a page for people, JSON for programs, RFC 6750 for both, and
// the scopes that there are in the log (S1-11).
func forbidden(t *testing.T, r *rig) {
	v := r.entered(t, "/plain/page", "alice")
	p, _ := r.ask(t, v, "/plain/page", 403)
	if p.Body != `{"message":"Forbidden"}` || p.Header.Get("WWW-Authenticate") != `Bearer error="insufficient_scope", scope="admin"` || len(setCookies(p)) != 0 {
		t.Errorf("a script: %s %q, set-cookie %v", p.Body, p.Header.Get("WWW-Authenticate"), setCookies(p))
	}
	if line := r.LogLine("required scopes were not found [ openid ]"); line == "" {
		t.Error("the log does not say which scopes there are")
	}
	p = v.Open(r.URL + "/plain/page")
	if p.StatusCode != 403 || !strings.Contains(p.Body, "You may not open this page") || !strings.Contains(p.Body, "scope_missing") ||
		!strings.Contains(p.Body, p.Header.Get("X-Request-Id")) || strings.Contains(p.Body, "openid") {
		t.Errorf("a page: %d %s", p.StatusCode, p.Body)
	}
}

// destroySession: by default a page ends the session, so that somebody else can sign
// in, and a script does not.
func destroySession(t *testing.T, r *rig) {
	for name, c := range map[string]struct{ page, script bool }{
		"plain": {true, false}, "keep": {false, false}, "drop": {true, true},
	} {
		v := r.entered(t, "/"+name+"/page", "alice")
		p, _ := r.ask(t, r.copyOf(t, v), "/"+name+"/page", 403)
		if got := slices.Equal(setCookies(p), []string{"-session"}); got != c.script {
			t.Errorf("%s: a script: set-cookie %v", name, setCookies(p))
		}
		p = v.Open(r.URL + "/" + name + "/page")
		if got := slices.Equal(setCookies(p), []string{"-session"}); got != c.page || p.StatusCode != 403 {
			t.Errorf("%s: a page: %d, set-cookie %v", name, p.StatusCode, setCookies(p))
		}
		if got := len(v.Cookies(r.URL)) == 0; got != c.page {
			t.Errorf("%s: the browser keeps %v", name, v.Cookies(r.URL))
		}
		want := map[bool]int{true: 302, false: 403}[c.page]
		if p = v.Open(r.URL + "/" + name + "/page"); p.StatusCode != want {
			t.Errorf("%s: the next page: %d, want %d", name, p.StatusCode, want)
		}
	}
}

// errorTexts: the configuration's words, escaped where they have to be.
func errorTexts(t *testing.T, r *rig) {
	p, _ := r.ask(t, visitor.New(t), "/text/page", 401)
	if p.Body != `{"message":"Go <away> & come"}` && members(t, p)["message"] != "Go <away> & come" {
		t.Errorf("401: %s", p.Body)
	}
	v := r.entered(t, "/text/page", "alice")
	if p, _ = r.ask(t, v, "/text/page", 403); members(t, p)["message"] != "Ask <the> desk" {
		t.Errorf("403: %s", p.Body)
	}
	p = v.Open(r.URL + "/text/page")
	if !strings.Contains(p.Body, "Ask &lt;the&gt; desk") || strings.Contains(p.Body, "<the>") {
		t.Errorf("403, a page: %s", p.Body)
	}
	// A login that comes to nothing is answered in the same words.
	r.idp.FlowFault(idp.AuthorizeDenied)
	p = r.signIn(t, visitor.New(t), "/text/page", "alice")
	if p.StatusCode != 401 || !strings.Contains(p.Body, "Go &lt;away&gt; &amp; come") || strings.Contains(p.Body, "owned") {
		t.Errorf("401, a page: %d %s", p.StatusCode, p.Body)
	}
}

// redirects: for whoever would be answered with an error, not instead of a login.
func redirects(t *testing.T, r *rig) {
	check := func(what string, p *visitor.Page, to string) {
		t.Helper()
		if p.StatusCode != 302 || p.Header.Get("Location") != elsewhere+to || p.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d to %q", what, p.StatusCode, p.Header.Get("Location"))
		}
		testenv.Evidence(t, "%s: %s: %d to %s", r.Host, what, p.StatusCode, p.Header.Get("Location"))
	}
	check("a script without a session", visitor.New(t).Fetch(r.URL+"/sent/page"), "401")
	check("a page where nobody signs in", visitor.New(t).Open(r.URL+"/only/page"), "401")
	v := r.entered(t, "/sent/page", "alice")
	check("a script without the right", v.Fetch(r.URL+"/sent/page"), "403")
	p := v.Open(r.URL + "/sent/page")
	check("a page without the right", p, "403")
	if len(v.Cookies(r.URL)) != 0 {
		t.Errorf("the session is kept: %v", v.Cookies(r.URL))
	}
	r.idp.FlowFault(idp.AuthorizeDenied)
	check("a login that is denied", r.signIn(t, visitor.New(t), "/sent/page", "alice"), "401")
	r.idp.FlowFault(idp.Token500)
	check("a login in trouble", r.signIn(t, visitor.New(t), "/sent/page", "alice"), "503")
	r.idp.FlowFault()
	v = r.expired(t, "/sent/page", "alice")
	r.idp.FlowFault(idp.Refresh500)
	p = v.Open(r.URL + "/sent/page")
	check("a refresh in trouble", p, "503")
	if p.Header.Get("Retry-After") == "" || len(v.Cookies(r.URL)) == 0 {
		t.Errorf("a refresh in trouble: Retry-After %q, cookies %v", p.Header.Get("Retry-After"), v.Cookies(r.URL))
	}
}

// displayErrors: the reason, the provider's words and what the token lacks are shown
// where that is wanted, and escaped.
func displayErrors(t *testing.T, r *rig) {
	p, _ := r.ask(t, visitor.New(t), "/show/page", 401)
	if m := members(t, p); m["reason"] != "credential_missing" || m["request_id"] != p.Header.Get("X-Request-Id") {
		t.Errorf("401: %s", p.Body)
	}
	v := r.entered(t, "/show/page", "alice")
	if p, _ = r.ask(t, v, "/show/page", 403); members(t, p)["reason"] != "scope_missing" {
		t.Errorf("403: %s", p.Body)
	}
	if p = v.Open(r.URL + "/show/page"); !strings.Contains(p.Body, "required scopes were not found [ openid ]") {
		t.Errorf("403, a page: %s", p.Body)
	}
	r.idp.FlowFault(idp.AuthorizeDenied)
	shown := r.signIn(t, visitor.New(t), "/show/page", "alice")
	hidden := r.signIn(t, visitor.New(t), "/plain/page", "alice")
	if shown.StatusCode != 401 || !strings.Contains(shown.Body, "&lt;script&gt;") || strings.Contains(shown.Body, "<script") {
		t.Errorf("a login that is denied: %d %s", shown.StatusCode, shown.Body)
	}
	if strings.Contains(hidden.Body, "script") || !strings.Contains(hidden.Body, "login_refused") {
		t.Errorf("the provider's words are shown: %s", hidden.Body)
	}
}
