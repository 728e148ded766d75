//go:build !wasip1

package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
)

// Place is where a credential stands in a request.
type Place struct {
	Kind  string // query, cookie or header
	Name  string
	Token string // or API key, or user name and password as they are written
}

// Places returns where the credentials are that a plugin looks at, in the order of find.
// It is for telling people where, and not in the module: what becomes of them is for
// Start to say.
func Places(headers abi.Pairs, p *bundle.Plugin) (list []Place) {
	c := p.Common()
	switch {
	case c == nil:
		return nil
	case p.KeyAuth != nil:
		return keyPlaces(headers, c)
	case p.BasicAuth != nil:
		return basicPlaces(headers)
	}
	add := func(kind, name string) func(string) {
		return func(token string) {
			if token != "" {
				list = append(list, Place{kind, name, token})
			}
		}
	}
	each := func(want string, yield func(value string)) {
		for h := headers.Cursor(); h.Next(); {
			if h.Key == want {
				yield(h.Value)
			}
		}
	}
	for _, name := range c.QueryNames {
		each(":path", func(path string) { query(path, []string{name}, add("query", name)) })
	}
	for _, name := range c.CookieNames {
		each("cookie", func(value string) { cookies(value, []string{name}, add("cookie", name)) })
	}
	for _, name := range c.HeaderNames {
		each(name, func(value string) { new(headerValues).add(value, add("header", name)) })
	}
	return list
}

// keyPlaces are those of apiKey, with the headers and parameters that look alike.
func keyPlaces(headers abi.Pairs, c *bundle.Common) (list []Place) {
	add := func(kind, name, key string) {
		if key != "" {
			list = append(list, Place{kind, name, key})
		}
	}
	for h := headers.Cursor(); h.Next(); {
		if keyName(h.Key, c.HeaderNames) != otherName {
			for one := range strings.SplitSeq(h.Value, ",") {
				add("header", h.Key, trimSpace(one))
			}
		}
		if h.Key == ":path" {
			parameters(h.Value, func(name, value string) {
				if keyName(name, c.QueryNames) != otherName {
					add("query", name, value)
				}
			})
		}
	}
	return list
}

// basicPlaces are those of basic.
func basicPlaces(headers abi.Pairs) (list []Place) {
	for h := headers.Cursor(); h.Next(); {
		if h.Key != "authorization" {
			continue
		}
		for one := range strings.SplitSeq(h.Value, ",") {
			if raw, ok := schemeBasic(one); ok {
				list = append(list, Place{"header", h.Key, raw})
			}
		}
	}
	return list
}

// UserOf and PasswordOf read a pair that is written as RFC 7617 says; "" for none.
func UserOf(raw string) string {
	user, _, _ := parseBasic(raw)
	return user
}

func PasswordOf(raw string) string {
	_, password, _ := parseBasic(raw)
	return password
}
