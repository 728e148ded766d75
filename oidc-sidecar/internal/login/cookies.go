package login

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/seal"
)

// Name returns a cookie's name over a scheme.
func cookieName(c *declarative.CookieSettings, scheme string) string {
	return bundle.Cookie{Name: c.Name, Host: c.HostPrefix()}.On(scheme)
}

// attributes are what follows the value in Set-Cookie (RFC 6265bis §4.1.2).
// maxAge is in seconds; 0 deletes, -1 leaves it to the browser's session.
func attributes(c *declarative.CookieSettings, scheme string, maxAge int64) string {
	a := "; Path=" + c.Path
	if c.Domain != "" {
		a += "; Domain=" + c.Domain
	}
	if maxAge >= 0 {
		a += "; Max-Age=" + strconv.FormatInt(maxAge, 10)
	}
	if c.SameSite != "" {
		a += "; SameSite=" + c.SameSite
	}
	if c.HTTPOnly {
		a += "; HttpOnly"
	}
	if c.Secure == nil && scheme == "https" || c.Secure != nil && *c.Secure {
		a += "; Secure"
	}
	return a
}

// setCookies writes a sealed value as one or several cookies, and deletes those that
// a longer value before it has left. ok is false when it is too long.
func setCookies(c *declarative.CookieSettings, r *wire.Request, value string, maxAge int64) (list []string, ok bool) {
	name, attrs := cookieName(c, r.Scheme), attributes(c, r.Scheme, maxAge)
	parts, err := seal.Split(name, value, 0, len(attrs))
	if err != nil {
		return nil, false
	}
	for _, part := range parts {
		list = append(list, part.Name+"="+part.Value+attrs)
	}
	for _, old := range seal.Names(name)[len(parts):] {
		if slices.ContainsFunc(r.Cookies, func(c wire.Cookie) bool { return c.Name == old }) {
			list = append(list, old+"="+attributes(c, r.Scheme, 0))
		}
	}
	return list, true
}

// dropSession deletes the session's cookies that came along.
func dropSession(c *declarative.CookieSettings, r *wire.Request) (list []string) {
	names := seal.Names(cookieName(c, r.Scheme))
	for _, have := range r.Cookies {
		if slices.Contains(names, have.Name) {
			list = append(list, have.Name+"="+attributes(c, r.Scheme, 0))
		}
	}
	return list
}

// flowPrefix is what the names of flows' cookies begin with.
func flowPrefix(c *declarative.CookieSettings, scheme string) string {
	return cookieName(c, scheme) + "_"
}

// flowCookies returns the flows' cookies that came along, the oldest first: their ids
// begin with the time.
func flowCookies(c *declarative.CookieSettings, r *wire.Request) []wire.Cookie {
	prefix := flowPrefix(c, r.Scheme)
	var list []wire.Cookie
	for _, have := range r.Cookies {
		if strings.HasPrefix(have.Name, prefix) {
			list = append(list, have)
		}
	}
	slices.SortFunc(list, func(a, b wire.Cookie) int { return strings.Compare(a.Name, b.Name) })
	return list
}
