package pages

import (
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds on what people write, in bytes.
const (
	maxName        = 200
	maxDescription = 2000
	maxClientID    = 255
	maxURL         = 2000
)

// clean returns a text as it is kept: without blanks around it, its lines ended alike.
func clean(s string) string {
	return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
}

// line reports whether a text is one line that can be shown.
func line(s string, size int) bool { return shown(s, size, false) }

// shown reports whether a text can be shown: no control characters, and none that
// turn the direction of what stands around it.
func shown(s string, size int, lines bool) bool {
	if len(s) > size || !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		switch {
		case lines && (c == '\n' || c == '\t'):
		case unicode.IsControl(c), c == '\u2028', c == '\u2029', c >= '\u202a' && c <= '\u202e', c >= '\u2066' && c <= '\u2069':
			return false
		}
	}
	return true
}

// clientID reports whether a text can be a client id (RFC 6749 appendix A.1).
func clientID(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return s != "" && len(s) <= maxClientID
}

// redirectAddress reports whether a text can be a redirect address: absolute, without
// a fragment (RFC 6749 §3.1.2), and none that a browser would run.
func redirectAddress(s string) bool {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURL || u.Scheme == "" || strings.Contains(s, "#") || !line(s, maxURL) || strings.ContainsAny(s, " \"'<>\\^`{|}") {
		return false
	}
	switch strings.ToLower(u.Scheme) {
	case "javascript", "data", "vbscript", "file", "about", "blob", "view-source":
		return false
	case "http", "https":
		return u.Host != "" && u.Opaque == ""
	}
	return strings.Contains(u.Scheme, ".") // an application's own, a reversed domain name (RFC 8252 §7.1)
}

// address reports whether a text is an e-mail address and nothing more.
func address(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && a.Name == "" && len(s) <= 254 && line(s, 254)
}

// when writes a time for people.
func when(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

func fullTime(name string, t time.Time) fact {
	return fact{Name: name, Value: when(t), Time: t.UTC().Format(time.RFC3339)}
}
