package oidcprovider

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Person is a user with a simple browser: cookies, redirects, forms, no scripts.
// The provider remembers who has logged in once.
type Person struct {
	Login, Password string
	Refuse          bool // cancels instead of logging in or consenting

	server *Server
	client *http.Client
}

// Person returns somebody with no cookies yet, who logs in as a user.
func (s *Server) Person(login, password string) *Person {
	jar, _ := cookiejar.New(nil) // has no error
	return &Person{Login: login, Password: password, server: s, client: &http.Client{
		Jar: jar, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Authorize goes to an authorization URL, logs in where asked, and returns the URL
// that leads back to the client, which is not requested.
func (p *Person) Authorize(t testing.TB, authorizationURL string) string {
	t.Helper()
	back, err := p.TryAuthorize(authorizationURL)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// TryAuthorize is Authorize with an error, when the provider answers with an error
// of its own or does not take the password.
func (p *Person) TryAuthorize(authorizationURL string) (string, error) {
	return p.walk(authorizationURL, func(form url.Values) {
		switch {
		case p.Refuse:
			form.Set("cancel", "yes")
		case form.Has("login"):
			form.Set("login", p.Login)
			form.Set("password", p.Password)
		}
	})
}

// EndSession goes to the end_session endpoint, confirms, and returns the URL that
// leads back to the client, which is not requested.
func (p *Person) EndSession(t testing.TB, endSessionURL string) string {
	t.Helper()
	back, err := p.walk(endSessionURL, func(form url.Values) { form.Set("logout", "yes") })
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// errLost is what is said where the way does not lead back.
var errLost = errors.New("oidcprovider: no way back")

// walk goes from page to page of the provider, filling in every form once, until
// the way leads elsewhere.
func (p *Person) walk(start string, fill func(url.Values)) (string, error) {
	req, err := http.NewRequest(http.MethodGet, start, nil)
	if err != nil {
		return "", err
	}
	seen := map[string]bool{}
	for range 20 {
		if !p.server.within(req.URL) {
			return req.URL.String(), nil
		}
		res, body, err := p.do(req)
		if err != nil {
			return "", err
		}
		if location := res.Header.Get("Location"); location != "" {
			next, err := req.URL.Parse(location)
			if err != nil {
				return "", err
			}
			req, err = http.NewRequest(http.MethodGet, next.String(), nil)
			if err != nil {
				return "", err
			}
			continue
		}
		action, form := parse(body)
		if res.StatusCode != http.StatusOK || action == "" || seen[action] {
			return "", fmt.Errorf("%w: %s: %s: %s", errLost, req.URL.Path, res.Status, body)
		}
		seen[action] = true
		fill(form)
		next, err := req.URL.Parse(action)
		if err != nil {
			return "", err
		}
		req, err = http.NewRequest(http.MethodPost, next.String(), strings.NewReader(form.Encode()))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return "", fmt.Errorf("%w: too many pages", errLost)
}

func (p *Person) do(req *http.Request) (*http.Response, string, error) {
	req.Header.Set("Accept", "text/html")
	res, err := p.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res, string(body), err
}

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	inputName  = regexp.MustCompile(`<input[^>]* name="([^"]*)"`)
	inputValue = regexp.MustCompile(` value="([^"]*)"`)
)

// parse finds the form of a page of server.mjs.
func parse(page string) (action string, fields url.Values) {
	fields = url.Values{}
	if m := formAction.FindStringSubmatch(page); m != nil {
		action = html.UnescapeString(m[1])
	}
	for _, loc := range inputName.FindAllStringSubmatchIndex(page, -1) {
		tag, _, _ := strings.Cut(page[loc[0]:], ">")
		value := ""
		if m := inputValue.FindStringSubmatch(tag); m != nil {
			value = html.UnescapeString(m[1])
		}
		fields.Set(html.UnescapeString(page[loc[2]:loc[3]]), value)
	}
	return action, fields
}
