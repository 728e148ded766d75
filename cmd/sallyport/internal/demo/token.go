package demo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// token is a JWT to show. Its signature was not looked at: that is the gateway's
// business.
type token struct {
	Title, Header string
	Missing       string // why there is nothing to show
	Claims        []claim
	Issued        string
	Expires       string
	Left          string
	Seconds       int64 // until it expires, at least 0
	Lifetime      int64 // seconds
	scope         string
}

// claim is a row of a token's table.
type claim struct{ Name, Means, Value, When string }

// meanings are the claims in the order in which they are shown.
var meanings = []struct{ name, means string }{
	{"iss", "issued by"}, {"sub", "about"}, {"aud", "meant for"}, {"azp", "issued to"}, {"client_id", "asked for by"},
	{"scope", "allows"}, {"name", "full name"}, {"preferred_username", "user name"}, {"email", "address"},
	{"email_verified", "address confirmed"}, {"iat", "issued at"}, {"nbf", "good from"}, {"exp", "expires at"},
	{"auth_time", "password entered at"}, {"amr", "signed in by"}, {"nonce", "binds it to this login"},
	{"at_hash", "binds it to the access token"}, {"c_hash", "binds it to the code"}, {"jti", "its own name"},
}

var errNotJWT = errors.New("demo: not a JWT")

// decode reads a token that came in a header.
func decode(title, header, compact string, now time.Time) token {
	t := token{Title: title, Header: header}
	if compact == "" {
		t.Missing = "The gateway passed none on."
		return t
	}
	claims, err := payload(compact)
	if err != nil {
		t.Missing = "This is not a JWT: " + shorten(compact)
		return t
	}
	t.scope, _ = claims["scope"].(string)
	iat, hasIat := seconds(claims["iat"])
	exp, hasExp := seconds(claims["exp"])
	if hasIat {
		t.Issued = clock(iat)
	}
	if hasExp {
		t.Expires, t.Left = clock(exp), left(exp-now.Unix())
		t.Seconds = max(exp-now.Unix(), 0)
	}
	if hasIat && hasExp {
		t.Lifetime = max(exp-iat, 0)
	}
	for _, m := range meanings {
		if v, ok := claims[m.name]; ok {
			t.Claims = append(t.Claims, row(m.name, m.means, v))
			delete(claims, m.name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		t.Claims = append(t.Claims, row(name, "", claims[name]))
	}
	return t
}

func (t token) hasScope(scope string) bool { return slices.Contains(strings.Fields(t.scope), scope) }

// payload returns the claims of a compact JWS (RFC 7515 §3.1).
func payload(compact string) (map[string]any, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil, errNotJWT
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errNotJWT
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var claims map[string]any
	if dec.Decode(&claims) != nil || claims == nil {
		return nil, errNotJWT
	}
	return claims, nil
}

// row is the row of a claim: strings as they are, the rest as JSON.
func row(name, means string, v any) claim {
	c := claim{Name: name, Means: means}
	switch name {
	case "iat", "nbf", "exp", "auth_time":
		if s, ok := seconds(v); ok {
			c.When = clock(s)
		}
	}
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	if s, ok := v.(string); ok {
		c.Value = s
		return c
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // the template escapes
	_ = enc.Encode(v)        // it came from JSON
	c.Value = strings.TrimSpace(text.String())
	return c
}

// seconds reads a NumericDate (RFC 7519 §2).
func seconds(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 1e11 {
		return 0, false
	}
	return int64(f), true
}

// clock is the time of day in UTC, so that it is the same wherever it is read.
func clock(unix int64) string { return time.Unix(unix, 0).UTC().Format("15:04:05 UTC") }

// left says how long a token is still good for.
func left(seconds int64) string {
	switch {
	case seconds < 0:
		return "expired " + span(-seconds) + " ago"
	case seconds == 0:
		return "expires now"
	default:
		return span(seconds) + " left"
	}
}

func span(seconds int64) string {
	switch {
	case seconds == 1:
		return "1 second"
	case seconds < 120:
		return fmt.Sprintf("%d seconds", seconds)
	default:
		return fmt.Sprintf("%d min %d s", seconds/60, seconds%60)
	}
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
