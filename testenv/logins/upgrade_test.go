package logins

import (
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/stack"
)

// TestUpgradeRenewed: a WebSocket on a session whose token has ended is what renews
// it, and 101 brings the new cookies.
func TestUpgradeRenewed(t *testing.T) {
	inBoth(t, func(t *testing.T, host string) {
		r := start(t, host, ways(way{"r", ""}), nil, stack.Options{})
		v := r.expired(t, "/r/page", "alice")
		before := r.refreshes()
		c, res, err := websocket.Dial(t.Context(), r.URL+"/r/ws", &websocket.DialOptions{
			HTTPHeader: http.Header{"Cookie": {strings.TrimPrefix(r.cookieLine(v), "Cookie: ")}}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.CloseNow() }()
		if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		_, text, err := c.Read(t.Context())
		cookies := res.Header.Values("Set-Cookie")
		testenv.Evidence(t, "%s: the upgrade -> %d with %d cookies, after %d refresh; the upstream says %q", host, res.StatusCode, len(cookies), r.refreshes()-before, text)
		if err != nil || string(text) != "echo: hello" || r.refreshes()-before != 1 || len(cookies) != 1 || !strings.HasPrefix(cookies[0], "session=") {
			t.Errorf("%q, %v; %d refreshes, cookies %q", text, err, r.refreshes()-before, cookies)
		}
	})
}
