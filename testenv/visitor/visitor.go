// Package visitor is a browser without a window: a cookie jar, the headers that
// browsers send when somebody follows a link, and redirections one by one, so that
// a test sees each of them. What needs a real browser is done with one
// (testenv/browser); this is for what is done a thousand times.
package visitor

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Visitor is one person's browser.
type Visitor struct {
	t   testing.TB
	Jar http.CookieJar
	// Client follows nothing. It has connections of its own.
	Client *http.Client
	Header http.Header // sent with every request
}

// New returns a browser without cookies.
func New(t testing.TB) *Visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 256 << 10}
	return &Visitor{t: t, Jar: jar, Header: http.Header{}, Client: &http.Client{
		Transport: transport, Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Page is a response with its body.
type Page struct {
	*http.Response
	Body string
	URL  string // that was asked for
}

// Location returns where the response sends the browser, "" for nowhere.
func (p *Page) Location() string {
	u, err := p.Response.Location()
	if err != nil {
		return ""
	}
	return u.String()
}

// Open follows a link: one request, no redirection.
func (v *Visitor) Open(link string, header ...string) *Page {
	v.t.Helper()
	return v.Send(http.MethodGet, link, append([]string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
		"Accept: text/html,application/xhtml+xml,*/*;q=0.8"}, header...)...)
}

// Fetch is what a script does: one request, no redirection.
func (v *Visitor) Fetch(link string, header ...string) *Page {
	v.t.Helper()
	return v.Send(http.MethodGet, link, append([]string{"Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Accept: */*"}, header...)...)
}

// Send sends a request with just these headers.
func (v *Visitor) Send(method, link string, header ...string) *Page {
	v.t.Helper()
	p, err := v.Try(method, link, header...)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, link, err)
	}
	return p
}

// Try is Send for what may fail.
func (v *Visitor) Try(method, link string, header ...string) (*Page, error) {
	req, err := http.NewRequest(method, link, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range v.Header {
		req.Header[name] = values
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
	res, err := v.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return &Page{res, string(body), link}, nil
}

// Cookies returns the cookies for an address, by name, but for those of the test
// provider: cookies know no ports, and everybody is on one machine here.
func (v *Visitor) Cookies(link string) map[string]string {
	v.t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		v.t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range v.Jar.Cookies(u) {
		if !strings.HasPrefix(c.Name, "idp_") {
			out[c.Name] = c.Value
		}
	}
	return out
}

// SetCookie puts a cookie into the jar.
func (v *Visitor) SetCookie(link, name, value string) {
	v.t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		v.t.Fatal(err)
	}
	v.Jar.SetCookies(u, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}
