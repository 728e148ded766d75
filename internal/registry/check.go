package registry

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Bounds on fields, in bytes unless they say otherwise.
const (
	maxName        = 255
	maxKey         = 512
	minKey         = 8 // of API keys
	hinted         = 16
	maxSecretText  = 4096
	maxPassword    = 1024
	maxPEM         = 16 << 10
	maxEmail       = 254 // RFC 5321 §4.5.3.1.3, less the angle brackets
	maxURI         = 2048
	maxDescription = 4000
	maxTags        = 50 // tags
	maxTag         = 128
	maxMeta        = 32 // members
	maxMetaValue   = 1024
	maxJSON        = 256 << 10
	maxDetail      = 2000
	maxQuery       = 200
	// How many of one kind there may be.
	maxCredentials  = 1000  // of a kind, of a consumer
	maxGroups       = 500   // of a consumer
	maxApplications = 500   // of a developer
	maxContracts    = 500   // of an application
	maxEntities     = 10000 // of all kinds
)

// checks collects what is wrong with fields.
type checks map[string]string

// fail notes the first thing that is wrong with a field.
func (c checks) fail(field, format string, args ...any) {
	if c[field] == "" {
		c[field] = fmt.Sprintf(format, args...)
	}
}

// err returns what was noted, as an error.
func (c checks) err() error {
	if len(c) == 0 {
		return nil
	}
	return &Invalid{c}
}

// text checks a text of at most n bytes, in one line.
func (c checks) text(field, s string, n int) {
	switch {
	case len(s) > n:
		c.fail(field, "is longer than %d bytes", n)
	case !utf8.ValidString(s):
		c.fail(field, "is not UTF-8")
	case strings.ContainsFunc(s, unprintable):
		c.fail(field, "holds a character that cannot be seen, or turns the direction of the text")
	case strings.TrimSpace(s) != s:
		c.fail(field, "begins or ends with a blank")
	}
}

// lines checks a text that may have several lines.
func (c checks) lines(field, s string, n int) {
	c.text(field, strings.TrimSpace(strings.NewReplacer("\r\n", "", "\n", "", "\t", "").Replace(s)), n)
	if len(s) > n {
		c.fail(field, "is longer than %d bytes", n)
	}
}

// required checks that a field is there.
func (c checks) required(field, s string) {
	if s == "" {
		c.fail(field, "is missing")
	}
}

// id checks an id that the caller chose; "" is none.
func (c checks) id(field, s string) {
	if s != "" && !isID(s) {
		c.fail(field, "is no UUID in small letters")
	}
}

// tags checks tags (Kong separates those of a question by commas and slashes).
func (c checks) tags(tags []string) {
	if len(tags) > maxTags {
		c.fail("tags", "are more than %d", maxTags)
		return
	}
	for _, t := range tags {
		c.required("tags", t)
		c.text("tags", t, maxTag)
		if strings.ContainsAny(t, ",/") {
			c.fail("tags", "hold a comma or a slash in %q: expected one tag in each element (of a form: tags[]=a and tags[]=b)", t)
		}
	}
}

// unprintable reports whether a character has no place in a text of one line: controls,
// separators of lines, those that turn the direction of what follows, the mark of the
// order of bytes, and what stands for broken UTF-8.
func unprintable(c rune) bool {
	switch {
	case unicode.IsControl(c), c == '\u2028', c == '\u2029', c == '\ufeff', c == utf8.RuneError,
		c >= '\u202a' && c <= '\u202e', c >= '\u2066' && c <= '\u2069', c == '\u200b', c == '\u200e', c == '\u200f':
		return true
	}
	return false
}

// isID reports whether a text is a UUID as it is written here.
func isID(s string) bool {
	if len(s) != 36 {
		return false
	}
	u, err := uuid.Parse(s)
	return err == nil && u.String() == s
}

// lowerASCII makes the letters of ASCII small. Those of others stay: a Kelvin sign is no
// k, and nobody becomes somebody by a name that only looks alike.
func lowerASCII(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}, s)
}

// fold makes a text that is searched, and what it is searched for, alike.
func fold(s string) string { return strings.ToLower(s) }

// clean returns an actor that can be stored.
func (a Actor) clean() Actor {
	for _, s := range []*string{&a.Kind, &a.ID, &a.Name, &a.Role, &a.Remote} {
		*s = cut(*s, maxName)
	}
	return a
}

// cut returns at most n bytes of a text that can be stored, without a broken character
// at the end.
func cut(s string, n int) string {
	s = strings.Map(func(c rune) rune {
		if unprintable(c) {
			return -1
		}
		return c
	}, s)
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// missing makes ErrNotFound of a row that is not there.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// encode returns a list or a map as it is stored.
func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // lists and maps of texts
	}
	return string(data)
}

// decode reads what encode has written.
func decode(text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("registry: a stored list cannot be read: %w", err)
	}
	return nil
}

// badText reports whether a text cannot be a value of any field of n bytes, so that no
// database has to be asked for it.
func badText(s string, n int) bool {
	return len(s) > n || !utf8.ValidString(s) || strings.ContainsRune(s, 0)
}

// expiry checks a time at which something ends.
func (c checks) expiry(field string, t time.Time) {
	if !t.IsZero() && (t.Unix() <= 0 || t.Unix() > maxTime) {
		c.fail(field, "is before 1970 or after the year 9999")
	}
}

// maxTime is the end of the year 9999, in Unix seconds.
const maxTime = 253402300799
