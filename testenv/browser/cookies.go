package browser

import (
	"net/http"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
)

// Cookies returns all cookies of the context, with what the browser knows of
// them. Domain begins with a dot unless the cookie is for one host only. Expires
// is zero in a cookie that ends with the browser, SameSite where it was not said.
func (c *Context) Cookies() []*http.Cookie {
	c.t.Helper()
	got, err := call(c.b, storage.GetCookies, storage.GetCookiesParams{BrowserContextID: c.id})
	if err != nil {
		c.t.Fatal(err)
	}
	var out []*http.Cookie
	for _, theirs := range got.Cookies {
		cookie := &http.Cookie{Name: theirs.Name, Value: theirs.Value, Path: theirs.Path, Domain: theirs.Domain,
			HttpOnly: theirs.HTTPOnly, Secure: theirs.Secure, Partitioned: theirs.PartitionKey != nil}
		if !theirs.Session {
			cookie.Expires = time.Unix(0, int64(theirs.Expires*float64(time.Second)))
		}
		for ours, name := range sameSite {
			if name == theirs.SameSite {
				cookie.SameSite = ours
			}
		}
		out = append(out, cookie)
	}
	return out
}

var sameSite = map[http.SameSite]network.CookieSameSite{
	http.SameSiteLaxMode:    network.CookieSameSiteLax,
	http.SameSiteStrictMode: network.CookieSameSiteStrict,
	http.SameSiteNoneMode:   network.CookieSameSiteNone,
}

// Cookie returns the first cookie of a name, or nil.
func (c *Context) Cookie(name string) *http.Cookie {
	c.t.Helper()
	for _, cookie := range c.Cookies() {
		if cookie.Name == name {
			return cookie
		}
	}
	return nil
}

// SetCookie sets a cookie, to be understood as Cookies returns them: Domain is
// needed, and it is one host unless it begins with a dot.
func (c *Context) SetCookie(cookie *http.Cookie) {
	c.t.Helper()
	host := strings.TrimPrefix(cookie.Domain, ".")
	param := &network.CookieParam{Name: cookie.Name, Value: cookie.Value, URL: "http://" + host + "/", Path: cookie.Path,
		HTTPOnly: cookie.HttpOnly, Secure: cookie.Secure, SameSite: sameSite[cookie.SameSite]}
	if cookie.Secure {
		param.URL = "https://" + host + "/"
	}
	if param.Path == "" {
		param.Path = "/"
	}
	if host != cookie.Domain {
		param.Domain = cookie.Domain
	}
	if !cookie.Expires.IsZero() {
		param.Expires = cdp.TimeSinceEpoch(float64(cookie.Expires.UnixNano()) / float64(time.Second))
	}
	params := storage.SetCookiesParams{Cookies: []*network.CookieParam{param}, BrowserContextID: c.id}
	if _, err := call(c.b, storage.SetCookies, params); err != nil {
		c.t.Fatalf("the cookie %s is not set: %v", cookie.Name, err)
	}
}

// DeleteCookies deletes the cookies of these names from every host and path, or
// all cookies when there is no name.
func (c *Context) DeleteCookies(names ...string) {
	c.t.Helper()
	if len(names) == 0 {
		if _, err := call(c.b, storage.ClearCookies, storage.ClearCookiesParams{BrowserContextID: c.id}); err != nil {
			c.t.Fatal(err)
		}
		return
	}
	for _, name := range names {
		for _, cookie := range c.Cookies() {
			if cookie.Name == name {
				cookie.Expires = time.Unix(1, 0)
				c.SetCookie(cookie)
			}
		}
		if c.Cookie(name) != nil {
			c.t.Fatalf("the cookie %s is not deleted", name)
		}
	}
}
