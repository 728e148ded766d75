// Package claims judges what a verified token says: times, issuer, audience,
// scopes (RFC 7519 §4.1, RFC 9068 §4, OIDC Core §3.1.3.7).
//
// It is pure: the time is an argument, the claims are values of a document that
// somebody else parsed and whose signature somebody else checked. It is linked
// into the wasm module and must never read a clock or do I/O.
package claims

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// Set holds the claims of a payload that are judged at each request, found in one
// pass. What judges nothing here is looked up in Root.
type Set struct {
	Root                                          jsonx.Value
	Issuer, Subject, Audience, Expires, NotBefore jsonx.Value
	purpose                                       reason.Code
	expires, notBefore                            date
}

// date is a NumericDate as it was read.
type date struct {
	seconds int64
	ok      bool
}

// Read finds the claims of a payload, a JSON object without duplicate members.
func Read(root jsonx.Value) Set {
	s := Set{Root: root}
	typ := reason.Code(0)
	for c := root.Cursor(); c.Next(); {
		switch c.Name() {
		case "iss":
			s.Issuer = c.Value()
		case "sub":
			s.Subject = c.Value()
		case "aud":
			s.Audience = c.Value()
		case "exp":
			s.Expires = c.Value()
			s.expires.seconds, s.expires.ok = Date(s.Expires)
		case "nbf":
			s.NotBefore = c.Value()
			s.notBefore.seconds, s.notBefore.ok = Date(s.NotBefore)
		case "at_hash", "c_hash": // OIDC Core §3.1.3.6, §3.3.2.11
			if s.purpose == 0 {
				s.purpose = reason.TokenIsID
			}
		case "events": // OIDC Back-Channel Logout §2.4
			s.purpose = reason.TokenType
		case "typ":
			if t, ok := c.Value().Text(); ok {
				typ = idPayloadTypes[t]
			}
		}
	}
	if typ != 0 && s.purpose != reason.TokenType {
		s.purpose = typ
	}
	return s
}

// Date reads a NumericDate (RFC 7519 §2): seconds since 1970, as an integer.
// RFC 7519 allows fractions; we refuse them, and with them exponents, floats
// beyond any clock and numbers in quotes, so that no two readers round one
// token to two lifetimes. ok is false for an absent claim too.
func Date(v jsonx.Value) (seconds int64, ok bool) { return v.Int() }

// ExpiresAt returns exp; ok is false where Date's is.
func (s *Set) ExpiresAt() (seconds int64, ok bool) { return s.expires.seconds, s.expires.ok }

// ValidFrom returns nbf; ok is false where Date's is.
func (s *Set) ValidFrom() (seconds int64, ok bool) { return s.notBefore.seconds, s.notBefore.ok }

// Times are the rules for exp and nbf.
type Times struct {
	Leeway     int64 // seconds of difference between clocks that are forgiven
	RequireExp bool  // a token without exp is refused
}

// Check judges exp and nbf at the time now (Unix seconds). A claim that is
// there has to be readable even where it is not required. The code is
// reason.Unspecified when they hold.
func (r Times) Check(s *Set, now int64) reason.Code {
	if s.Expires.Exists() {
		exp, ok := s.ExpiresAt()
		if !ok {
			return reason.ClaimInvalid
		}
		if Expired(exp, now, r.Leeway) {
			return reason.TokenExpired
		}
	} else if r.RequireExp {
		return reason.ClaimMissing
	}
	if s.NotBefore.Exists() {
		nbf, ok := s.ValidFrom()
		if !ok {
			return reason.ClaimInvalid
		}
		if NotYet(nbf, now, r.Leeway) {
			return reason.TokenNotYetValid
		}
	}
	return 0
}

// Expired reports whether exp has come: "the current date/time MUST be before
// the expiration date/time" (RFC 7519 §4.1.4), so the very second counts.
func Expired(exp, now, leeway int64) bool { return exp+leeway <= now }

// NotYet reports whether nbf is still ahead (RFC 7519 §4.1.5).
func NotYet(nbf, now, leeway int64) bool { return nbf > now+leeway }

// IssuedBy judges iss against the accepted issuers, compared byte for byte.
func (s *Set) IssuedBy(accepted []string) reason.Code {
	if !s.Issuer.Exists() {
		return reason.ClaimMissing
	}
	iss, ok := s.Issuer.Text()
	if !ok {
		return reason.ClaimInvalid
	}
	for _, a := range accepted {
		if a == iss {
			return 0
		}
	}
	return reason.IssuerUnknown
}

// MeantFor judges aud, a string or an array of strings (RFC 7519 §4.1.3): one
// of the accepted has to be in it. No accepted audience means no judgement.
func (s *Set) MeantFor(accepted []string) reason.Code {
	if len(accepted) == 0 {
		return 0
	}
	v := s.Audience
	if !v.Exists() {
		return reason.AudienceMismatch
	}
	if !listOfText(v) {
		return reason.ClaimInvalid
	}
	for _, a := range accepted {
		if contains(v, a) {
			return 0
		}
	}
	return reason.AudienceMismatch
}

// listOfText reports whether v is a string or an array of nothing but strings.
func listOfText(v jsonx.Value) bool {
	if v.Kind() == jsonx.String {
		return true
	}
	if v.Kind() != jsonx.Array {
		return false
	}
	for c := v.Cursor(); c.Next(); {
		if c.Value().Kind() != jsonx.String {
			return false
		}
	}
	return true
}

// contains reports whether v is the string s or an array with it. A string is
// one value here, not a list of words: an audience may hold a space.
func contains(v jsonx.Value, s string) bool {
	if t, ok := v.Text(); ok {
		return t == s
	}
	for c := v.Cursor(); c.Next(); {
		if t, ok := c.Value().Text(); ok && t == s {
			return true
		}
	}
	return false
}

// Lookup follows a path of member names into nested objects. The first name is
// looked up as it stands, dots and all.
func Lookup(root jsonx.Value, path []string) jsonx.Value {
	for _, name := range path {
		root = root.Get(name)
	}
	return root
}

// Words calls yield with each word of a claim that lists scopes, groups or
// roles: the space-separated words of a string (RFC 6749 §3.3), or the elements
// of an array, or the words of its elements. It stops when yield returns false.
func Words(v jsonx.Value, yield func(word string) bool) {
	if s, ok := v.Text(); ok {
		words(s, yield)
		return
	}
	for c := v.Cursor(); c.Next(); {
		if v.Kind() != jsonx.Array {
			return
		}
		if s, ok := c.Value().Text(); ok && !words(s, yield) {
			return
		}
	}
}

// words splits at spaces only: a tab or line break is no separator in RFC 6749
// and would let one word pass for another.
func words(s string, yield func(string) bool) bool {
	for s != "" {
		word, rest, _ := strings.Cut(s, " ")
		if word != "" && !yield(word) {
			return false
		}
		s = rest
	}
	return true
}

// Requirement is what a claim has to list: any one of the alternatives, each a
// set of words of which all have to be there. The zero Requirement is met by
// everything; one whose only alternative is empty, by nothing.
type Requirement [][]string

// ParseRequirement reads Kong's notation: the elements of the list are
// alternatives, the space-separated words within one belong together.
func ParseRequirement(list []string) Requirement {
	var r Requirement
	for _, element := range list {
		var all []string
		words(element, func(w string) bool { all = append(all, w); return true })
		r = append(r, all)
	}
	return r
}

// Met reports whether the claim lists what is required.
func (r Requirement) Met(v jsonx.Value) bool {
	if len(r) == 0 {
		return true
	}
	for _, all := range r {
		met := len(all) > 0
		for _, want := range all {
			found := false
			Words(v, func(w string) bool { found = w == want; return !found })
			met = met && found
		}
		if met {
			return true
		}
	}
	return false
}

// idPayloadTypes are values of the payload's own typ by which Keycloak tells its
// tokens apart; only Bearer is meant for a resource.
var idPayloadTypes = map[string]reason.Code{
	"ID": reason.TokenIsID, "Refresh": reason.TokenType, "Offline": reason.TokenType, "Logout": reason.TokenType,
}

// Purpose refuses payloads that were made for something else than to be shown
// to a resource: a logout token by its events claim (OIDC Back-Channel Logout
// §2.4), an ID token by at_hash or c_hash (OIDC Core §3.1.3.6, §3.3.2.11) or by
// Keycloak's typ, unless acceptID allows ID tokens by name.
func (s *Set) Purpose(acceptID bool) reason.Code {
	if s.purpose == reason.TokenIsID && acceptID {
		return 0
	}
	return s.purpose
}
