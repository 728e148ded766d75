package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// eachCookie yields the cookies of a request as they stand (RFC 6265 §5.4).
func eachCookie(headers abi.Pairs, yield func(name, value, pair string)) {
	for h := headers.Cursor(); h.Next(); {
		if h.Key != "cookie" {
			continue
		}
		rest := h.Value
		for rest != "" {
			var pair string
			pair, rest, _ = strings.Cut(rest, ";")
			pair = trimSpace(pair)
			if name, value, ok := strings.Cut(pair, "="); ok {
				yield(trimSpace(name), trimSpace(value), pair)
			} else if pair != "" {
				yield("", pair, pair)
			}
		}
	}
}

// cookiesOf returns the cookies of an instance: those of its session, then those of
// its flows, nobody else's. What there is beyond the bounds of a question is left out:
// whoever can plant cookies may spoil a login by many flows, but not keep a session
// from being opened or logged out.
func (r *run) cookiesOf(l *bundle.Login, session, flows bool) []wire.Cookie {
	if !r.facts.cookie {
		return nil
	}
	var list []wire.Cookie
	scheme := r.scheme()
	size := 0
	take := func(ours func(name string) bool) {
		eachCookie(r.headers, func(name, value, _ string) {
			if !ours(name) {
				return
			}
			if !sealedText(value) {
				value = "" // it opens nothing, and is as long as it likes once it is escaped
			}
			if n := len(name) + len(value); size+n <= wire.MaxCookies && len(list) < maxOwnCookies {
				size += n
				list = append(list, wire.Cookie{Name: name, Value: value})
			}
		})
	}
	if own := l.SessionCookie.On(scheme); session && holdsSession(r.headers, own) {
		take(func(name string) bool { return isChunk(name, own) })
	}
	if flows {
		prefix := l.FlowCookie.On(scheme) + "_"
		take(func(name string) bool { return isFlow(name, prefix) })
	}
	return list
}

// maxOwnCookies is how many cookies a question has.
const maxOwnCookies = 48

// sealedText reports whether a value may be one of ours: base64url, after a number and
// a dot in the first of several cookies.
func sealedText(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func (r *run) hasCookie(name string) bool {
	if !r.facts.cookie {
		return false
	}
	found := false
	eachCookie(r.headers, func(n, _, _ string) { found = found || n == name })
	return found
}

// isChunk reports whether a cookie is base or one of the seven that may follow it,
// base_2 … base_8 (package seal of the sidecar).
func isChunk(name, base string) bool {
	rest, ok := strings.CutPrefix(name, base)
	return ok && (rest == "" || len(rest) == 2 && rest[0] == '_' && rest[1] >= '2' && rest[1] <= '8')
}

// holdsSession reports whether the cookie base has the form of a session of ours: the
// number of its parts, a dot, a sealed text of version 1. An upstream may have a
// cookie of the same name, which is none of our business.
func holdsSession(headers abi.Pairs, base string) bool {
	found := false
	eachCookie(headers, func(name, value, _ string) {
		found = found || name == base && len(value) > 60 && value[0] >= '1' && value[0] <= '8' && value[1] == '.' && value[2] == 'A'
	})
	return found
}

// isFlow reports whether a cookie is a flow's: the prefix and an id.
func isFlow(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && len(rest) == flowID
}

// ownNames are the cookies that no upstream gets to see, on any route: whoever
// holds them is logged in.
type ownNames struct{ sessions, flows []string }

func namesOf(b *bundle.Bundle) (n ownNames) {
	add := func(list []string, c bundle.Cookie) []string {
		for _, name := range [...]string{c.Name, bundle.HostPrefix + c.Name} {
			known := false
			for _, have := range list {
				known = known || have == name
			}
			if !known {
				list = append(list, name)
			}
		}
		return list
	}
	for _, p := range b.Plugins {
		if p.OIDC != nil && p.OIDC.Login != nil {
			n.sessions = add(n.sessions, p.OIDC.Login.SessionCookie)
			n.flows = add(n.flows, p.OIDC.Login.FlowCookie)
		}
	}
	return n
}

// in returns those of the names that are cookies of ours in a request.
func (n *ownNames) in(headers abi.Pairs) ownNames {
	own := ownNames{flows: n.flows}
	for _, s := range n.sessions {
		if holdsSession(headers, s) {
			own.sessions = append(own.sessions, s)
		}
	}
	return own
}

func (n *ownNames) has(name string) bool {
	for _, s := range n.sessions {
		if isChunk(name, s) {
			return true
		}
	}
	for _, f := range n.flows {
		if strings.HasPrefix(name, f) && isFlow(name, f+"_") {
			return true
		}
	}
	return false
}

// withoutOwn returns the request's cookies without ours; changed is false when
// there are none of ours among them.
func (n *ownNames) withoutOwn(headers abi.Pairs) (rest string, changed bool) {
	here := n.in(headers)
	n = &here
	eachCookie(headers, func(name, _, _ string) { changed = changed || n.has(name) })
	if !changed {
		return "", false
	}
	kept := make([]byte, 0, len(headers))
	eachCookie(headers, func(name, _, pair string) {
		if n.has(name) {
			return
		}
		if len(kept) > 0 {
			kept = append(kept, "; "...)
		}
		kept = append(kept, pair...)
	})
	return string(kept), true
}
