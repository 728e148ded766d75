package logins

import (
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/echo"
	"github.com/sallyport-auth/sallyport/testenv/stack"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

const (
	byLink = "Sec-Fetch-Mode: navigate|Sec-Fetch-Dest: document"
	asHTML = "Accept: text/html,*/*;q=0.8"
)

// TestChallenge: a login begins where a person will see the page, and nowhere else
// (D9).
func TestChallenge(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(
			way{"r", ""}, way{"preflight", "run_on_preflight: false"}, way{"s", "auth_methods: [session, bearer]"},
			way{"anon", "anonymous: guest"},
		)+"consumers: [{username: guest}]\n", nil, stack.Options{})
		for _, c := range []struct {
			what, method, target, header string
			status                       int
			begun                        bool
		}{
			{"a navigation", "GET", "/r/p", byLink, 302, true},
			{"a navigation by HEAD", "HEAD", "/r/p", byLink, 302, true},
			{"an old browser", "GET", "/r/p", asHTML, 302, true},
			{"an old browser's HEAD", "HEAD", "/r/p", asHTML, 302, true},
			{"a user's navigation", "GET", "/r/p", byLink + "|Sec-Fetch-User: ?1|Upgrade-Insecure-Requests: 1", 302, true},
			{"a script", "GET", "/r/p", "Sec-Fetch-Mode: cors|Sec-Fetch-Dest: empty|" + asHTML, 401, false},
			{"a script's HEAD", "HEAD", "/r/p", "Sec-Fetch-Mode: cors|Sec-Fetch-Dest: empty", 401, false},
			{"an image", "GET", "/r/p", "Sec-Fetch-Mode: no-cors|Sec-Fetch-Dest: image|" + asHTML, 401, false},
			{"a frame", "GET", "/r/p", "Sec-Fetch-Mode: navigate|Sec-Fetch-Dest: iframe|" + asHTML, 401, false},
			{"half of Fetch Metadata", "GET", "/r/p", "Sec-Fetch-Mode: navigate|" + asHTML, 401, false},
			{"curl", "GET", "/r/p", "Accept: */*", 401, false},
			{"nothing said", "GET", "/r/p", "X: y", 401, false},
			{"jQuery", "GET", "/r/p", asHTML + "|X-Requested-With: XMLHttpRequest", 401, false},
			{"a prefetch", "GET", "/r/p", byLink + "|Sec-Purpose: prefetch", 401, false},
			{"a prerender", "GET", "/r/p", byLink + "|Sec-Purpose: prefetch;prerender", 401, false},
			{"a prefetch of old", "GET", "/r/p", byLink + "|Purpose: prefetch", 401, false},
			{"Firefox's prefetch", "GET", "/r/p", byLink + "|X-Moz: prefetch", 401, false},
			{"Safari's preview", "GET", "/r/p", byLink + "|X-Purpose: preview", 401, false},
			{"a form", "POST", "/r/p", byLink + "|" + asHTML, 401, false},
			{"a script's POST", "POST", "/r/p", "Accept: */*", 401, false},
			{"PUT", "PUT", "/r/p", byLink, 401, false},
			{"DELETE", "DELETE", "/r/p", byLink, 401, false},
			{"OPTIONS", "OPTIONS", "/r/p", "Origin: https://a.example|Access-Control-Request-Method: GET", 401, false},
			{"a preflight that may pass", "OPTIONS", "/preflight/p", "Origin: https://a.example|Access-Control-Request-Method: GET", 200, false},
			{"a WebSocket", "GET", "/r/ws", "Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", 401, false},
			{"a WebSocket that wants HTML", "GET", "/r/ws", "Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Version: 13|Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==|" + asHTML, 401, false},
			{"a page where nobody signs in", "GET", "/s/p", byLink, 401, false},
			{"a page that is anonymous", "GET", "/anon/p", byLink, 200, false},
			{"a bad token", "GET", "/s/p", byLink + "|Authorization: Bearer x.y.z", 401, false},
		} {
			t.Run(c.what, func(t *testing.T) {
				id := tokens.Random()
				v := visitor.New(t)
				p := v.Send(c.method, r.URL+c.target, append(strings.Split(c.header, "|"), echo.TestID+": "+id)...)
				seen := r.up.Seen(id)
				cookies := len(p.Header.Values("Set-Cookie"))
				testenv.Evidence(t, "%s: %s: %s %s -> %d, %d cookies, upstream called %d times", host, c.what, c.method, c.target, p.StatusCode, cookies, len(seen))
				if p.StatusCode != c.status || (cookies == 1) != c.begun || (len(seen) == 1) != (c.status == 200) {
					t.Errorf("%d, %d cookies, %d at the upstream: %s", p.StatusCode, cookies, len(seen), p.Body)
				}
				if (p.Location() != "") != c.begun || c.begun && !strings.HasPrefix(p.Location(), r.idp.Endpoint("authorize")) {
					t.Errorf("sent to %q", p.Location())
				}
				if c.status == 401 && !strings.HasPrefix(p.Header.Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("www-authenticate %q", p.Header.Get("WWW-Authenticate"))
				}
				if c.method == "HEAD" && p.Body != "" {
					t.Errorf("HEAD has a body: %s", p.Body)
				}
			})
		}
		t.Run("gRPC", func(t *testing.T) {
			for _, header := range []string{"Content-Type: application/grpc", "Content-Type: application/grpc+proto|" + asHTML} {
				p := visitor.New(t).Send("POST", r.URL+"/r/grpc/a.B/C", append(strings.Split(header, "|"), "TE: trailers")...)
				if p.StatusCode != 200 || p.Header.Get("Grpc-Status") != "16" || len(p.Header["Set-Cookie"]) != 0 {
					t.Errorf("%d %v", p.StatusCode, p.Header)
				}
			}
		})
		t.Run("with a session", func(t *testing.T) { sessionEverywhere(t, r) })
	})
}

// sessionEverywhere: with a session every kind of request passes.
func sessionEverywhere(t *testing.T, r *rig) {
	v := r.entered(t, "/r/page", "alice")
	line := r.cookieLine(v)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
		id := tokens.Random()
		if p := visitor.New(t).Send(method, r.URL+"/r/page", line, echo.TestID+": "+id); p.StatusCode != 200 || len(r.up.Seen(id)) != 1 {
			t.Errorf("%s: %d", method, p.StatusCode)
		}
	}
	id := tokens.Random()
	p := visitor.New(t).Send("POST", r.URL+"/r/grpc/a.B/C", line, "Content-Type: application/grpc", "TE: trailers", echo.TestID+": "+id)
	if p.StatusCode != 200 || p.Header.Get("Grpc-Status") != "" || len(r.up.Seen(id)) != 1 { // no trailers in Envoy's HTTP/1.1
		t.Errorf("gRPC: %d %v", p.StatusCode, p.Header)
	}
	header := map[string][]string{"Cookie": {strings.TrimPrefix(line, "Cookie: ")}}
	c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.URL, "http")+"/r/ws", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, text, err := c.Read(t.Context()); err != nil || string(text) != "echo: hello" {
		t.Errorf("the WebSocket says %q, %v", text, err)
	}
	_ = c.Close(websocket.StatusNormalClosure, "")
	// A session that needs a refresh is refreshed for a WebSocket too.
	v = r.expired(t, "/r/page", "alice")
	header["Cookie"] = []string{strings.TrimPrefix(r.cookieLine(v), "Cookie: ")}
	before := r.refreshes()
	c, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(r.URL, "http")+"/r/ws", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.CloseNow()
	testenv.Eventually(t, 5*time.Second, "the refresh", func() bool { return r.refreshes() == before+1 })
	if len(res.Header.Values("Set-Cookie")) != 1 {
		t.Errorf("the answer to the upgrade sets %q", res.Header.Values("Set-Cookie"))
	}
}
