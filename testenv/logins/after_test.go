package logins

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// TestLoginAction: where a login ends, and which tokens it shows to whom.
func TestLoginAction(t *testing.T) {
	cases := []struct {
		name, config string
		to           string   // beginning of where the browser is sent, "" for the tokens as JSON
		tokens       []string // that are shown
		query        bool     // in the query, not the fragment
		session      bool
	}{
		{"upstream", "login_tokens: [tokens]", "${GATEWAY}/upstream/page?x=1", nil, false, true},
		{"response", "login_action: response", "", []string{"id_token"}, false, true},
		{"response-all", "login_action: response\nlogin_tokens: [tokens]", "", []string{"access_token", "id_token", "refresh_token"}, false, true},
		{"response-none", "login_action: response\nlogin_tokens: []", "", nil, false, true},
		{"response-two", "login_action: response\nlogin_tokens: [refresh_token, access_token]", "", []string{"access_token", "refresh_token"}, false, true},
		{"response-only", "login_action: response\ndisable_session: [authorization_code]", "", []string{"id_token"}, false, false},
		{"redirect", "login_action: redirect\nlogin_redirect_uri: https://spa.example/in", "https://spa.example/in#", []string{"id_token"}, false, true},
		{"redirect-fragment", "login_action: redirect\nlogin_redirect_uri: https://spa.example/in?a=1\nlogin_redirect_mode: fragment\nlogin_tokens: [access_token]", "https://spa.example/in?a=1#", []string{"access_token"}, false, true},
		{"redirect-query", "login_action: redirect\nlogin_redirect_uri: https://spa.example/in?a=1\nlogin_redirect_mode: query\nlogin_tokens: [tokens]", "https://spa.example/in?a=1&", []string{"access_token", "id_token", "refresh_token"}, true, true},
		{"redirect-none", "login_action: redirect\nlogin_redirect_uri: https://spa.example/in\nlogin_tokens: []", "https://spa.example/in", nil, false, true},
		{"redirect-only", "login_action: redirect\nlogin_redirect_uri: https://spa.example/in\ndisable_session: [authorization_code]", "https://spa.example/in#", []string{"id_token"}, false, false},
	}
	inBoth(t, func(t *testing.T, host string) {
		var list []way
		for _, c := range cases {
			list = append(list, way{c.name, c.config})
		}
		r := start(t, host, ways(list...), nil, stack.Options{})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				v := visitor.New(t)
				p := r.signIn(t, v, "/"+c.name+"/page?x=1", "alice")
				shown := map[string]string{}
				switch to := strings.Replace(c.to, "${GATEWAY}", r.URL, 1); {
				case to == "":
					if p.StatusCode != 200 || json.Unmarshal([]byte(p.Body), &shown) != nil || !strings.HasPrefix(p.Header.Get("Content-Type"), "application/json") {
						t.Fatalf("%s: %d %s", host, p.StatusCode, p.Body)
					}
				default:
					if want := map[bool]int{true: 303, false: 302}[c.name == "upstream"]; p.StatusCode != want || !strings.HasPrefix(p.Location(), to) {
						t.Fatalf("%s: %d to %q", host, p.StatusCode, p.Location())
					}
					u, err := url.Parse(p.Header.Get("Location"))
					if err != nil {
						t.Fatal(err)
					}
					part := u.RawQuery
					if !c.query {
						if part = u.Fragment; strings.Contains(u.RawQuery, "token") {
							t.Errorf("%s: tokens in the query: %s", host, u.RawQuery)
						}
					}
					values, err := url.ParseQuery(part)
					if err != nil {
						t.Fatal(err)
					}
					for name := range values {
						if strings.HasSuffix(name, "_token") {
							shown[name] = values.Get(name)
						}
					}
				}
				var names []string
				for name, value := range shown {
					if names = append(names, name); name != "refresh_token" && claimsOf(t, value)["sub"] != "alice-1" {
						t.Errorf("%s: %s is not alice's", host, name)
					}
				}
				if slices.Sort(names); !slices.Equal(names, c.tokens) {
					t.Errorf("%s: shown are %q, want %q", host, names, c.tokens)
				}
				if p.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: Cache-Control is %q", host, p.Header.Get("Cache-Control"))
				}
				if setsSession(p) != c.session {
					t.Errorf("%s: a session is set: %v", host, setsSession(p))
				}
				r.ask(t, v, "/"+c.name+"/page", map[bool]int{true: 200, false: 401}[c.session])
				testenv.Evidence(t, "%s: %s -> %d, shown %q, a session %v", host, c.name, p.StatusCode, names, c.session)
			})
		}
	})
}

// TestRefusedRedirects: where people are sent who may not enter, and what they are
// told.
func TestRefusedRedirects(t *testing.T) {
	const forbidden = "scopes_required: [nothing]\n"
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(
			way{"unauthorized", "auth_methods: [session]\nunauthorized_redirect_uri: https://help.example/in"},
			way{"forbidden", forbidden + "forbidden_redirect_uri: [\"https://help.example/no\"]"},
			way{"refused", "unauthorized_redirect_uri: https://help.example/in"},
			way{"unexpected", "unexpected_redirect_uri: https://help.example/later"},
			way{"texts", forbidden + "auth_methods: [session, authorization_code]\nunauthorized_error_message: \"Sign <in> first\"\nforbidden_error_message: 'You \"may\" <not>'"},
			way{"shown", forbidden + "display_errors: true"},
			way{"plain", forbidden},
		), nil, stack.Options{})
		t.Run("unauthorized", func(t *testing.T) {
			p := visitor.New(t).Fetch(r.URL + "/unauthorized/page")
			if p.StatusCode != 302 || p.Location() != "https://help.example/in" || p.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d to %q", host, p.StatusCode, p.Location())
			}
		})
		t.Run("forbidden", func(t *testing.T) {
			v := r.entered(t, "/forbidden/page", "alice")
			for _, p := range []*visitor.Page{v.Fetch(r.URL + "/forbidden/page"), v.Open(r.URL + "/forbidden/page")} {
				if p.StatusCode != 302 || p.Location() != "https://help.example/no" {
					t.Errorf("%s: %d to %q", host, p.StatusCode, p.Location())
				}
			}
		})
		t.Run("refused login", func(t *testing.T) {
			r.idp.FlowFault(idp.AuthorizeDenied)
			defer r.idp.FlowFault()
			if p := r.signIn(t, visitor.New(t), "/refused/page", "alice"); p.StatusCode != 302 || p.Location() != "https://help.example/in" || setsSession(p) {
				t.Errorf("%s: %d to %q", host, p.StatusCode, p.Location())
			}
		})
		t.Run("unexpected", func(t *testing.T) {
			r.idp.FlowFault(idp.Token500)
			defer r.idp.FlowFault()
			if p := r.signIn(t, visitor.New(t), "/unexpected/page", "alice"); p.StatusCode != 302 || p.Location() != "https://help.example/later" || setsSession(p) {
				t.Errorf("%s: %d to %q", host, p.StatusCode, p.Location())
			}
		})
		t.Run("texts", func(t *testing.T) {
			p := visitor.New(t).Fetch(r.URL + "/texts/page")
			if p.StatusCode != 401 || p.Body != `{"message":"Sign <in> first"}` && p.Body != `{"message":"Sign \u003cin\u003e first"}` {
				t.Errorf("%s: %d %s", host, p.StatusCode, p.Body)
			}
			v := r.entered(t, "/texts/page", "alice")
			p = v.Fetch(r.URL + "/texts/page")
			var body map[string]string
			if err := json.Unmarshal([]byte(p.Body), &body); err != nil || p.StatusCode != 403 || len(body) != 1 || body["message"] != `You "may" <not>` {
				t.Errorf("%s: %d %s", host, p.StatusCode, p.Body)
			}
			if p = v.Open(r.URL + "/texts/page"); p.StatusCode != 403 || !strings.Contains(p.Body, "&lt;not&gt;") || strings.Contains(p.Body, "<not>") {
				t.Errorf("%s: %d %s", host, p.StatusCode, p.Body)
			}
		})
		for _, path := range []string{"shown", "plain"} {
			t.Run(path, func(t *testing.T) {
				v := r.entered(t, "/"+path+"/page", "alice")
				p := v.Fetch(r.URL + "/" + path + "/page")
				var body map[string]string
				if err := json.Unmarshal([]byte(p.Body), &body); err != nil || p.StatusCode != 403 || body["message"] != "Forbidden" {
					t.Fatalf("%s: %d %s", host, p.StatusCode, p.Body)
				}
				if said := body["reason"] == "scope_missing" && body["request_id"] == requestID(p); said != (path == "shown") {
					t.Errorf("%s: %s", host, p.Body)
				}
				p = v.Open(r.URL + "/" + path + "/page")
				if said := strings.Contains(p.Body, "required scopes were not found"); p.StatusCode != 403 || said != (path == "shown") {
					t.Errorf("%s: %d, the detail is said: %v", host, p.StatusCode, said)
				}
			})
		}
	})
}

// TestForbiddenDestroysSession: what 403 does to a session in the browser.
func TestForbiddenDestroysSession(t *testing.T) {
	const forbidden = "scopes_required: [nothing]\n"
	cases := []struct {
		name, config   string
		fetched, shown bool // the session ends where a script, where a person gets it
	}{
		{"absent", forbidden, false, true},
		{"ends", forbidden + "forbidden_destroy_session: true", true, true},
		{"stays", forbidden + "forbidden_destroy_session: false", false, false},
		{"elsewhere", forbidden + "session_cookie_name: other\nsession_cookie_path: /elsewhere", false, true},
	}
	inBoth(t, func(t *testing.T, host string) {
		var list []way
		for _, c := range cases {
			list = append(list, way{c.name, c.config})
		}
		r := start(t, host, ways(list...), nil, stack.Options{})
		for _, c := range cases {
			for _, person := range []bool{false, true} {
				t.Run(c.name+map[bool]string{true: " page", false: " script"}[person], func(t *testing.T) {
					v := r.entered(t, "/"+c.name+"/page", "alice")
					link := r.URL + "/" + c.name + "/page"
					get, ends := v.Fetch, c.fetched
					if person {
						get, ends = v.Open, c.shown
					}
					if p := get(link); p.StatusCode != 403 {
						t.Fatalf("%s: %d to %q", host, p.StatusCode, p.Location())
					}
					if got := len(v.Cookies(link)) == 0; got != ends {
						t.Errorf("%s: the session has ended: %v, want %v: %v", host, got, ends, v.Cookies(link))
					}
					// Who has no session any more may log in again, as somebody else.
					if p := v.Open(link); (p.StatusCode == 302) != ends {
						t.Errorf("%s: the next page: %d to %q", host, p.StatusCode, p.Location())
					}
				})
			}
		}
	})
}

// TestNoLogin: what is no page for a person gets 401 and no login.
func TestNoLogin(t *testing.T) {
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	page := append(slices.Clone(navigate), "Sec-Fetch-Site: none")
	cases := []struct {
		name, method, path string
		header             []string
		status             int // 302 for a login
	}{
		{"a page", "GET", "/app/page", page, 302},
		{"HEAD of a page", "HEAD", "/app/page", page, 302},
		{"HEAD", "HEAD", "/app/page", nil, 401},
		{"an old browser", "GET", "/app/page", []string{"Accept: text/html"}, 302},
		{"a form", "POST", "/app/page", page, 401},
		{"POST", "POST", "/app/page", nil, 401},
		{"DELETE", "DELETE", "/app/page", page, 401},
		{"OPTIONS", "OPTIONS", "/app/page", nil, 401},
		{"a preflight", "OPTIONS", "/preflight/page", []string{"Origin: https://a.example", "Access-Control-Request-Method: POST"}, 200},
		{"GET with preflights off", "GET", "/preflight/page", nil, 401},
		{"a script", "GET", "/app/page", []string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Accept: text/html"}, 401},
		{"an image", "GET", "/app/page", []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, 401},
		{"a frame", "GET", "/app/page", []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Accept: text/html"}, 401},
		{"an old script", "GET", "/app/page", []string{"Accept: text/html", "X-Requested-With: XMLHttpRequest"}, 401},
		{"curl", "GET", "/app/page", []string{"Accept: */*"}, 401},
		{"prefetch", "GET", "/app/page", append([]string{"Sec-Purpose: prefetch"}, page...), 401},
		{"prerender", "GET", "/app/page", append([]string{"Sec-Purpose: prefetch;prerender"}, page...), 401},
		{"purpose", "GET", "/app/page", append([]string{"Purpose: prefetch"}, page...), 401},
		{"x-moz", "GET", "/app/page", append([]string{"X-Moz: prefetch"}, page...), 401},
		{"preview", "GET", "/app/page", append([]string{"X-Purpose: preview"}, page...), 401},
		{"websocket", "GET", "/app/ws", upgrade, 401},
		{"websocket of a browser", "GET", "/app/ws", append([]string{"Sec-Fetch-Mode: websocket", "Sec-Fetch-Dest: empty", "Accept: text/html"}, upgrade...), 401},
		{"old websocket", "GET", "/app/ws", append([]string{"Accept: text/html"}, upgrade...), 401},
	}
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(way{"app", ""}, way{"preflight", "run_on_preflight: false"}), nil, stack.Options{})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				codes := r.idp.Count("authorize")
				v, id := visitor.New(t), tokens.Random()
				p := v.Send(c.method, r.URL+c.path, append(slices.Clone(c.header), echo.TestID+": "+id)...)
				seen := r.evidence(t, c.method, r.URL+c.path, p, id)
				if p.StatusCode != c.status || len(seen) != map[bool]int{true: 1}[c.status == 200] {
					t.Errorf("%s: %d to %q, the upstream was called %d times", host, p.StatusCode, p.Location(), len(seen))
				}
				if c.status == 302 {
					if !strings.HasPrefix(p.Location(), r.idp.Endpoint("authorize")) || len(setCookies(p)) != 1 {
						t.Errorf("%s: to %q with %q", host, p.Location(), setCookies(p))
					}
					return
				}
				if p.Location() != "" || len(p.Header.Values("Set-Cookie")) > 0 || r.idp.Count("authorize") != codes {
					t.Errorf("%s: to %q, with %q", host, p.Location(), p.Header.Values("Set-Cookie"))
				}
				if c.status == 401 && !strings.HasPrefix(p.Header.Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("%s: the challenge is %q", host, p.Header.Get("WWW-Authenticate"))
				}
			})
		}
		t.Run("with a session", func(t *testing.T) {
			line := r.cookieLine(r.entered(t, "/app/page", "alice"))
			for _, method := range []string{"HEAD", "POST", "OPTIONS", "DELETE"} {
				id := tokens.Random()
				p := visitor.New(t).Send(method, r.URL+"/app/page", line, echo.TestID+": "+id)
				if seen := r.evidence(t, method, r.URL+"/app/page", p, id); p.StatusCode != 200 || len(seen) != 1 || seen[0].Header("X-Credential-Identifier") != "alice-1" {
					t.Errorf("%s: %s: %d, %d requests", host, method, p.StatusCode, len(seen))
				}
			}
			c, _, err := websocket.Dial(t.Context(), r.URL+"/app/ws", &websocket.DialOptions{
				HTTPHeader: http.Header{"Cookie": {strings.TrimPrefix(line, "Cookie: ")}}})
			if err != nil {
				t.Fatalf("%s: a WebSocket: %v", host, err)
			}
			_ = c.CloseNow()
		})
		t.Run("gRPC", func(t *testing.T) {
			line := r.cookieLine(r.entered(t, "/app/page", "alice"))
			for _, header := range []string{"", line} {
				res := r.grpc(t, "/app/grpc/Echo", header)
				status := res.Header.Get("Grpc-Status")
				if status == "" {
					status = res.Trailer.Get("Grpc-Status")
				}
				testenv.Evidence(t, "%s: gRPC with %d bytes of cookies -> %d, grpc-status %s", host, len(header), res.StatusCode, status)
				// The service is http: what an upstream says in trailers of HTTP/1 Envoy drops.
				if header != "" && (res.StatusCode != 200 || status != "0" && status != "") {
					t.Errorf("%s: with a session: %d, grpc-status %q", host, res.StatusCode, status)
				}
				if header == "" && status != "16" { // UNAUTHENTICATED
					t.Errorf("%s: without: %d, grpc-status %q", host, res.StatusCode, status)
				}
				if len(res.Header.Values("Set-Cookie")) > 0 || res.Header.Get("Location") != "" {
					t.Errorf("%s: %v", host, res.Header)
				}
			}
		})
	})
}

// grpc sends a gRPC request over HTTP/2 without TLS.
func (r *rig) grpc(t *testing.T, target, header string) *http.Response {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+target, strings.NewReader("\x00\x00\x00\x00\x00"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	if name, value, ok := strings.Cut(header, ": "); ok {
		req.Header.Set(name, value)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var sink [1024]byte
	for err == nil {
		_, err = res.Body.Read(sink[:])
	}
	return res
}
