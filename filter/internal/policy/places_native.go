//go:build !wasip1

package policy

import (
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
)

// Place is where a token stands in a request.
type Place struct {
	Kind  string // query, cookie or header
	Name  string
	Token string
}

// Places returns where the tokens are that a plugin looks at, in the order of find.
// It is for telling people where, and not in the module: what becomes of the tokens is
// for Start to say.
func Places(headers abi.Pairs, c *bundle.Common) (list []Place) {
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
