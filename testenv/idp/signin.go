package idp

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var formAction = regexp.MustCompile(`<form method="post" action="([^"]*)">`)

// SignIn plays the browser at the provider: it asks for an authorization URL with
// the client's cookies, fills in the form if there is one, and returns where the
// provider then redirects to, which is the relying party's callback. It does not
// go there. The user "" has to have a session, or there has to be AutoLogin. Tests in
// parallel give the client a Transport of its own: httptest closes idle connections
// of the default one when any server ends.
func (s *Server) SignIn(t testing.TB, client *http.Client, authorizationURL, user string) (callbackURL string) {
	t.Helper()
	browser := *client
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := browser.Get(authorizationURL)
	if err != nil {
		t.Fatalf("idp: %v", err)
	}
	body := read(t, res)
	if form := formAction.FindStringSubmatch(body); form != nil {
		if user == "" {
			t.Fatalf("idp: the form is shown, and there is no user to fill it in")
		}
		s.mu.Lock()
		password := s.users[user].Password
		s.mu.Unlock()
		action, err := res.Request.URL.Parse(html.UnescapeString(form[1]))
		if err != nil {
			t.Fatalf("idp: %v", err)
		}
		res, err = browser.PostForm(action.String(), url.Values{"username": {user}, "password": {password}})
		if err != nil {
			t.Fatalf("idp: %v", err)
		}
		body = read(t, res)
	}
	if res.StatusCode != http.StatusFound {
		t.Fatalf("idp: %s: status %d, not a redirect: %s", authorizationURL, res.StatusCode, strings.TrimSpace(body))
	}
	return res.Header.Get("Location")
}

func read(t testing.TB, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		t.Fatalf("idp: %v", err)
	}
	return string(body)
}
