package explain

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/wire"
)

// secrets are texts that must not be shown.
type secrets struct{ list []string }

// minSecret is how long a text has to be to be taken out wherever it stands: shorter
// ones open nothing, and would tear words apart.
const minSecret = 16

func (s *secrets) add(texts ...string) {
	for _, t := range texts {
		if len(t) >= minSecret {
			s.list = append(s.list, t)
		}
	}
}

// request adds what a request may be allowed by.
func (s *secrets) request(a *arrived) {
	for _, h := range a.headers {
		switch h.Name {
		case "cookie":
			for pair := range strings.SplitSeq(h.Value, ";") {
				_, value, _ := strings.Cut(pair, "=")
				s.add(strings.Trim(strings.TrimSpace(value), `"`))
			}
		case "authorization", "proxy-authorization":
			for one := range strings.SplitSeq(h.Value, ",") {
				scheme, rest, _ := strings.Cut(strings.TrimSpace(one), " ")
				s.add(scheme, strings.TrimSpace(rest))
			}
		}
	}
	for pair := range strings.SplitSeq(strings.TrimPrefix(a.query, "?"), "&") {
		_, value, _ := strings.Cut(pair, "=")
		s.add(value)
	}
}

// answer adds what an answer of the sidecar hands out.
func (s *secrets) answer(a *wire.Answer) {
	if a.Session != nil {
		s.add(a.Session.ID, a.Session.Token, a.Session.IDToken, a.Session.Refresh)
		s.add(a.Session.Keys...)
	}
}

// looksLikeToken is a JWS or a JWE, whole or cut.
var looksLikeToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{5,}(\.[A-Za-z0-9_-]*)+`)

const hidden = "…"

// hide takes the secrets out of a text.
func (s *secrets) hide(text string) string {
	slices.SortFunc(s.list, func(a, b string) int { return len(b) - len(a) })
	for _, secret := range s.list {
		text = strings.ReplaceAll(text, secret, "["+fingerprint(secret)+"]")
	}
	return looksLikeToken.ReplaceAllStringFunc(text, func(t string) string { return "[" + fingerprint(t) + "]" })
}

// header returns a header that may be shown.
func (s *secrets) header(name, value string) Header {
	switch strings.ToLower(name) {
	case "set-cookie":
		cookie, attributes, _ := strings.Cut(value, ";")
		key, content, _ := strings.Cut(cookie, "=")
		if content != "" {
			content = hidden
		}
		value = key + "=" + content
		if attributes != "" {
			value += ";" + attributes
		}
	case "cookie":
		var names []string
		for pair := range strings.SplitSeq(value, ";") {
			key, _, ok := strings.Cut(strings.TrimSpace(pair), "=")
			if !ok {
				key = ""
			}
			names = append(names, key+"="+hidden)
		}
		value = strings.Join(names, "; ")
	case "location":
		value = withoutFlow(value)
	}
	return Header{name, s.hide(value)}
}

// ofFlow are the parameters of an authorization or logout request that belong to one
// browser, or hold a token.
var ofFlow = []string{"state", "nonce", "code_challenge", "code", "request", "request_uri", "id_token_hint", "logout_hint", "login_hint"}

// withoutFlow takes the values of ofFlow out of an address.
func withoutFlow(address string) string {
	base, query, ok := strings.Cut(address, "?")
	if !ok {
		return address
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, _, _ := strings.Cut(pair, "="); slices.Contains(ofFlow, name) {
			pairs[i] = name + "=" + hidden
		}
	}
	return base + "?" + strings.Join(pairs, "&")
}

// namesOnly takes all values out of a query.
func namesOnly(query string) string {
	if query == "" || query == "?" {
		return query
	}
	var names []string
	for pair := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		name, _, ok := strings.Cut(pair, "=")
		switch {
		case ok:
			name += "=" + hidden
		case len(name) >= minSecret:
			name = hidden
		}
		names = append(names, name)
	}
	return "?" + strings.Join(names, "&")
}

func withoutQuery(address string) string {
	base, _, _ := strings.Cut(address, "?")
	return base
}

// fingerprint names a secret without telling it.
func fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "sha256:" + hex.EncodeToString(sum[:6])
}
