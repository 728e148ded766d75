package policy

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// maxBasic bounds user name and password together, in bytes of base64.
const maxBasic = 2048

// basicAuth is the basic-auth plugin (kong/plugins/basic-auth/access.lua).
func (r *run) basicAuth(p *bundle.Plugin) (reason.Code, *Question) {
	raw, code := r.basic()
	if code != reason.Unspecified {
		return code, nil
	}
	user, password, ok := parseBasic(raw)
	if !ok {
		return reason.CredentialMalformed, nil
	}
	cred, code, question := r.presented(p, wire.Password, raw, func(q *Question) { q.Key, q.Value = user, password })
	if cred == nil {
		return code, question
	}
	r.try.consumer, r.try.identifier = cred.Consumer, user
	return reason.Allowed, nil
}

// basic finds the request's one pair of user name and password, as it is written: the
// value of the Authorization header behind the scheme Basic. Another value beside it,
// of whatever scheme, makes two credentials.
func (r *run) basic() (raw string, code reason.Code) {
	found, values := false, 0
	for h := r.headers.Cursor(); h.Next(); {
		if h.Key != "authorization" {
			continue
		}
		for rest := h.Value; rest != ""; {
			var one string
			one, rest, _ = strings.Cut(rest, ",") // which stands in no base64
			values++
			if text, ok := schemeBasic(one); ok {
				raw, found = text, true
			}
		}
	}
	switch {
	case !found:
		return "", reason.CredentialMissing
	case values > 1:
		return "", reason.CredentialMultiple
	}
	return raw, reason.Unspecified
}

// schemeBasic returns what stands behind the scheme Basic, in any case.
func schemeBasic(value string) (rest string, ok bool) {
	value = trimSpace(value)
	const scheme = "basic"
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", false
	}
	rest = value[len(scheme):]
	if rest != "" && !blank(rest[0]) {
		return "", false
	}
	return trimSpace(rest), true
}

// hasBasic reports whether one of a header's values has the scheme Basic.
func hasBasic(value string) bool {
	for value != "" {
		var one string
		one, value, _ = strings.Cut(value, ",")
		if _, ok := schemeBasic(one); ok {
			return true
		}
	}
	return false
}

// parseBasic reads user name and password (RFC 7617 §2): base64 with its padding and in
// one spelling only, UTF-8 without control characters, the first colon between them.
func parseBasic(raw string) (user, password string, ok bool) {
	if len(raw) > maxBasic || strings.IndexByte(raw, '\n') >= 0 || strings.IndexByte(raw, '\r') >= 0 {
		return "", "", false // which the decoder would step over
	}
	text, err := base64.StdEncoding.Strict().DecodeString(raw)
	if err != nil || !utf8.Valid(text) {
		return "", "", false
	}
	for _, c := range text {
		if c < 0x20 || c == 0x7f {
			return "", "", false
		}
	}
	user, password, ok = strings.Cut(string(text), ":")
	return user, password, ok && user != ""
}
