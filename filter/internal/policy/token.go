package policy

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/claims"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// attempt is what one plugin has found out about the request so far.
type attempt struct {
	known      *known // the token, nil until it is found and parsed
	credential *bundle.Credential
	trust      *bundle.Trust // newer than the bundle's
	verdict    verdictOf
	asked      uint32 // bits: kinds of question asked, then methods that the issuer was asked by
	failed     reason.Code
	plain      bool        // it stands in the Authorization header as we would write it
	claims     claimErrors // jwt: what the body says
	note       string      // for the log
	consumer   *bundle.Consumer
	identifier string // of the credential, for X-Credential-Identifier

	// openid-connect with sessions and logins.
	subject      *subject
	session      *session       // that the cookies open
	closed       reason.Code    // why they do not
	response     *wire.Response // of the sidecar, for the client
	bare         bool           // there is only a code: the filter puts it in words
	setCookies   []string       // for the response that is to come
	loginAttempt int64

	judged []judged      // by the issuer
	method bundle.Method // the last that was tried
	beside string        // the ID token that came along and was judged
}

// token finds and parses the request's one token.
func (r *run) token(c *bundle.Common) reason.Code {
	if r.try.known != nil {
		return reason.Unspecified
	}
	if raw := r.plain(c); raw != "" {
		if code := r.parse(raw); code == reason.Unspecified || strings.IndexByte(raw, ',') < 0 {
			r.try.plain = true
			return code
		}
	}
	raw, code := r.find(c)
	if code != reason.Unspecified {
		return code
	}
	return r.parse(raw)
}

// plain returns the token of the usual request: it stands behind "Bearer " in the one
// Authorization header, and nobody looks elsewhere. That it is two, joined by a comma,
// shows when it cannot be parsed.
func (r *run) plain(c *bundle.Common) string {
	const scheme = "Bearer "
	value := r.facts.authorization
	if len(c.HeaderNames) != 1 || c.HeaderNames[0] != "authorization" || len(c.QueryNames)+len(c.CookieNames) > 0 ||
		r.facts.copies != 1 || len(value) <= len(scheme) || value[:len(scheme)] != scheme {
		return ""
	}
	raw := value[len(scheme):]
	if blank(raw[0]) || blank(raw[len(raw)-1]) {
		return ""
	}
	return raw
}

// parse finds out how a token reads, from memory if it is remembered.
func (r *run) parse(raw string) reason.Code {
	e := r.engine
	if hit := e.tokens.get(fingerprint(raw), r.now); hit != nil && jose.Same(hit.value.token.Raw, raw) {
		r.try.known = hit.value
		return reason.Unspecified
	}
	if e.lent && e.fresh.token != nil && e.fresh.token.Raw == raw {
		r.try.known = &e.fresh // an earlier plugin's
		return reason.Unspecified
	}
	e.keep() // what an earlier plugin has found out may come from another token
	e.lent = true
	tok, code := e.parser.Parse(raw)
	e.fresh = known{token: tok}
	if code != reason.Unspecified {
		return code
	}
	e.fresh.claims = claims.Read(tok.Claims.Root())
	r.try.known = &e.fresh
	return reason.Unspecified
}

// fingerprint is what a token is looked up by: the end of its signature, which
// is as good as random. Whoever makes two tokens with one end makes them take
// turns in the cache; they are compared whole.
func fingerprint(raw string) uint64 {
	var f uint64
	for i := max(0, len(raw)-10); i < len(raw); i++ {
		f = f<<6 ^ uint64(raw[i])
	}
	return f
}

// find looks for tokens in every place that the configuration names, in Kong's
// order: query, cookies, headers. Two of them are refused even when they are
// equal: somebody behind us might read the one that nobody judged
// (RFC 6750 §2, Kong/kong#9946).
func (r *run) find(c *bundle.Common) (string, reason.Code) {
	token, n := "", 0
	found := func(t string) {
		if t != "" {
			token = t
			n++
		}
	}
	if len(c.QueryNames) > 0 {
		query(r.facts.path, c.QueryNames, found)
	}
	if len(c.CookieNames) > 0 {
		for h := r.headers.Cursor(); h.Next(); {
			if h.Key == "cookie" {
				cookies(h.Value, c.CookieNames, found)
			}
		}
	}
	for _, name := range c.HeaderNames {
		var values headerValues
		if name == "authorization" && r.facts.copies < 2 {
			values.add(r.facts.authorization, found)
		} else {
			for h := r.headers.Cursor(); h.Next(); {
				if h.Key == name {
					values.add(h.Value, found)
				}
			}
		}
		if values.bearers > 0 && values.others > 0 {
			n++ // a bearer token beside another value of the same header
		}
	}
	switch {
	case n == 0:
		return "", reason.CredentialMissing
	case n > 1:
		return "", reason.CredentialMultiple
	}
	return token, reason.Unspecified
}

// headerValues counts the values of the headers with one name.
type headerValues struct{ bearers, others int }

// add counts the values of one header. A proxy may have joined two by a comma,
// which stands in no token.
func (v *headerValues) add(value string, found func(string)) {
	for value != "" {
		var one string
		one, value, _ = strings.Cut(value, ",")
		if t := bearer(one); t != "" {
			found(t)
			v.bearers++
		} else {
			v.others++
		}
	}
}

// bearer returns the token of a header value with the scheme Bearer, in any
// case (RFC 9110 §11.1), else "".
func bearer(value string) string {
	value = trimSpace(value)
	const scheme = "bearer"
	if len(value) <= len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return ""
	}
	rest := value[len(scheme):]
	if rest[0] != ' ' && rest[0] != '\t' {
		return ""
	}
	return trimSpace(rest)
}

func trimSpace(s string) string {
	for s != "" && blank(s[0]) {
		s = s[1:]
	}
	for s != "" && blank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// cookies yields the values of the named cookies of one Cookie header
// (RFC 6265 §5.4).
func cookies(header string, names []string, yield func(string)) {
	for header != "" {
		var pair string
		pair, header, _ = strings.Cut(header, ";")
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		name = trimSpace(name)
		for _, want := range names {
			if name == want {
				value = trimSpace(value)
				if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
					value = value[1 : len(value)-1]
				}
				yield(value)
			}
		}
	}
}

// query yields the values of the named parameters of a path's query
// (application/x-www-form-urlencoded). Broken escapes stand for themselves: the
// value is then no token.
func query(path string, names []string, yield func(string)) {
	parameters(path, func(name, value string) {
		for _, want := range names {
			if name == want {
				yield(value)
			}
		}
	})
}

// parameters yields the parameters of a path's query, in order.
func parameters(path string, yield func(name, value string)) {
	_, rest, _ := strings.Cut(path, "?")
	for rest != "" {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, value, _ := strings.Cut(pair, "=")
		yield(unescape(name), unescape(value))
	}
}

// unescape undoes percent- and plus-encoding.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out = append(out, ' ')
		case s[i] == '%' && i+2 < len(s) && hexValue(s[i+1]) < 16 && hexValue(s[i+2]) < 16:
			out = append(out, hexValue(s[i+1])<<4|hexValue(s[i+2]))
			i += 2
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

// hexValue returns the value of a hex digit, 16 for anything else.
func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}
