package jose

import (
	"encoding/base64"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// FuzzParse holds Parse against two independent readers. What we accept, both
// accept and read alike; it is canonical, so that no second spelling of the
// same token exists.
func FuzzParse(f *testing.F) {
	f.Add(compact(goodHeader, `{"iss":"i","exp":1700000000}`))
	f.Add(compact(`{"alg":"none"}`, `{}`))
	f.Add(compact(`{"alg":"HS256","crit":["b64"],"b64":false}`, `{}`))
	f.Add("a.b.c.d.e")
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30.AA==")
	known := make([]gojose.SignatureAlgorithm, 0, len(Algs()))
	for _, name := range Algs() {
		known = append(known, gojose.SignatureAlgorithm(name))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		tok, code := Parse(raw)
		if code != 0 {
			if tok != nil {
				t.Fatal("a refused token came back")
			}
			return
		}
		if tok.SigningInput+"."+base64.RawURLEncoding.EncodeToString([]byte(tok.Signature())) != raw {
			t.Fatalf("not canonical: %q", raw)
		}
		claims := jwt.MapClaims{}
		theirs, _, err := jwt.NewParser().ParseUnverified(raw, claims)
		if err != nil {
			t.Fatalf("golang-jwt refuses %q: %v", raw, err)
		}
		if theirs.Method.Alg() != tok.Alg.String() {
			t.Fatalf("golang-jwt reads alg %s, we %s", theirs.Method.Alg(), tok.Alg)
		}
		if n := tok.Claims.Root().Len(); n != len(claims) {
			t.Fatalf("golang-jwt reads %d claims, we %d", len(claims), n)
		}
		sig, err := gojose.ParseSignedCompact(raw, known)
		if err != nil {
			t.Fatalf("go-jose refuses %q: %v", raw, err)
		}
		if got := sig.Signatures[0].Protected.KeyID; got != tok.KeyID {
			t.Fatalf("go-jose reads kid %q, we %q", got, tok.KeyID)
		}
		_ = CheckSignature(tok.Alg, tok.Signature())
	})
}

// FuzzDecode holds our base64url against the standard library's: what we accept
// it decodes to the same bytes, and what it encodes we accept.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "A", "AA", "AB", "AAA", "AAB", "AAAA", "AA==", "A\nAA", "-_-_", "+/+/", "AAAAA", "\x80AAA"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, part string) {
		space := append(make([]byte, 0, 4+len(part)), "keep"...)
		rest, text, ok := decode(space, part)
		want, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if canonical := err == nil && base64.RawURLEncoding.EncodeToString(want) == part; ok != canonical {
			t.Fatalf("%q: accepted %v, canonical %v", part, ok, canonical)
		}
		if ok && (text != string(want) || string(rest) != "keep"+text) {
			t.Fatalf("%q: decoded to %q in %q, want %q", part, text, rest, want)
		}
	})
}
