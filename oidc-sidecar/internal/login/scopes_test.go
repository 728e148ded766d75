package login

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/testenv/idp"
)

// The scopes of an opaque access token are those of the token response, at the login
// and at each refresh; absent they are as requested, or as before (RFC 6749 §5.1, §6).
func TestScopesOfOpaqueTokens(t *testing.T) {
	var w *world
	var granted any // scope of the next response; nil for none
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		req, _ := http.NewRequest(http.MethodPost, w.idp.Endpoint("token"), bytes.NewReader(body))
		req.Header = r.Header
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		var answer map[string]any
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
			t.Error(err)
		}
		if delete(answer, "scope"); granted != nil {
			answer["scope"] = granted
		}
		rw.WriteHeader(res.StatusCode)
		_ = json.NewEncoder(rw).Encode(answer)
	}))
	defer front.Close()
	w = newWorld(t, "scopes: [openid, read, write]\nsession_idling_timeout: 0\nsession_rolling_timeout: 0\ntoken_endpoint: "+front.URL)
	w.idp.Set(func(o *idp.Options) { o.OpaqueAccess = true })
	for _, c := range []struct {
		login, refresh any
		first, second  string
	}{
		{nil, nil, "openid read write", "openid read write"},
		{"openid read", nil, "openid read", "openid read"},
		{"openid read", "openid", "openid read", "openid"},
		{nil, "openid", "openid read write", "openid"},
		{"", nil, "", ""},
		{"openid read more", "openid more", "openid read more", "openid more"},
	} {
		scope := func(b browser) string {
			s := w.opened(b)
			b.take(s.SetCookies)
			doc, err := jsonx.Parse(s.Access, jsonx.Limits{})
			if err != nil || !s.Opaque {
				t.Fatalf("%q: %v", s.Access, err)
			}
			text, _ := doc.Root().Get("scope").Text()
			return text
		}
		granted = c.login
		b := w.signIn("alice")
		first := scope(b)
		granted = c.refresh
		w.seconds(300)
		if second := scope(b); first != c.first || second != c.second {
			t.Errorf("granted %v, then %v: scopes %q, then %q", c.login, c.refresh, first, second)
		}
	}
}
