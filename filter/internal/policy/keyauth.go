package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// maxKey bounds an API key, in bytes; check refuses longer ones.
const maxKey = 512

// keyAuth is the key-auth plugin (kong/plugins/key-auth/handler.lua).
func (r *run) keyAuth(p *bundle.Plugin) (reason.Code, *Question) {
	key, code := r.apiKey(&p.KeyAuth.Common)
	if code != reason.Unspecified {
		return code, nil
	}
	cred, code, question := r.presented(p, wire.APIKey, key, func(q *Question) { q.Value = q.presented })
	if cred == nil {
		return code, question
	}
	r.try.consumer, r.try.identifier = cred.Consumer, cred.ID
	return reason.Allowed, nil
}

// apiKey finds the request's one key. Two are refused, whichever of them is good, and
// so is a key beside a header or parameter that an upstream may take for the same one
// (APIKey, api_key): it might read what nobody judged.
func (r *run) apiKey(c *bundle.Common) (string, reason.Code) {
	key, n, alike := "", 0, false
	for h := r.headers.Cursor(); h.Next(); {
		switch keyName(h.Key, c.HeaderNames) {
		case sameName:
			key = trimSpace(h.Value)
			n++
			for i := range len(key) {
				alike = alike || key[i] == ',' // a proxy has joined two: no key has a comma
			}
		case likeName:
			alike = true
		}
	}
	if len(c.QueryNames) > 0 {
		parameters(r.facts.path, func(name, value string) {
			switch keyName(name, c.QueryNames) {
			case sameName:
				key = value
				n++
			case likeName:
				alike = true
			}
			alike = alike || semicolons(name, value, c.QueryNames)
		})
	}
	switch {
	case n > 1 || n == 1 && alike:
		return "", reason.CredentialMultiple
	case key == "":
		return "", reason.CredentialMissing
	case !isKey(key):
		return "", reason.CredentialMalformed
	}
	return key, reason.Unspecified
}

// semicolons reports whether a parameter holds others, among them a key, for an upstream
// that separates parameters by semicolons too, as HTML 4 once advised.
func semicolons(name, value string, names []string) bool {
	_, inName, more := strings.Cut(name, ";")
	_, inValue, also := strings.Cut(value, ";")
	if more {
		inValue = inName + "=" + value
	}
	for rest := inValue; (more || also) && rest != ""; {
		var one string
		one, rest, _ = strings.Cut(rest, ";")
		if one, _, _ = strings.Cut(one, "="); keyName(one, names) != otherName {
			return true
		}
	}
	return false
}

// nameMatch is how a name compares with those that are configured.
type nameMatch uint8

const (
	otherName nameMatch = iota
	likeName            // an upstream may not tell them apart
	sameName
)

func keyName(name string, names []string) nameMatch {
	found := otherName
	for _, want := range names {
		switch {
		case name == want:
			return sameName
		case sameHeader(name, want):
			found = likeName
		}
	}
	return found
}

// isKey reports whether a key can be one of the file's: visible ASCII, within the bound.
func isKey(s string) bool {
	if len(s) > maxKey {
		return false
	}
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// secretHeaders yields the headers that a chain's plugins are told to keep from the
// upstream: hide_credentials.
func (r *run) secretHeaders(yield func(name string)) {
	for _, p := range r.route.Chain {
		switch {
		case p.KeyAuth != nil && p.KeyAuth.Hide:
			for h := r.headers.Cursor(); h.Next(); {
				if keyName(h.Key, p.KeyAuth.HeaderNames) != otherName {
					yield(h.Key)
				}
			}
		case p.BasicAuth != nil && p.BasicAuth.Hide:
			for h := r.headers.Cursor(); h.Next(); {
				if (sameHeader(h.Key, "authorization") || sameHeader(h.Key, "proxy-authorization")) && hasBasic(h.Value) {
					yield(h.Key)
				}
			}
		}
	}
}
