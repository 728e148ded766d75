package jose

import (
	"strings"
	"unsafe"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// Bounds on a token. A request's headers are bounded by the proxy at 60 KiB by
// default; a token that needs more than this is an attack or a mistake.
const (
	MaxToken  = 16 << 10
	maxHeader = 4 << 10
	maxDepth  = 12
	maxNodes  = 1 << 12
)

// Token is a parsed JWS. Its strings may share memory with the text it was
// parsed from.
type Token struct {
	Raw          string // the token
	SigningInput string // its first two parts and the dot between them
	Signature    string // the decoded third part
	Alg          Alg    // as the header says
	KeyID        string // kid, "" when absent
	Type         string // typ, lower case, without "application/"
	Header       jsonx.Doc
	Claims       jsonx.Doc
}

// Parse reads a compact JWS whose payload is a JSON object. The code is
// reason.Unspecified when it succeeded, else why the token is refused.
func Parse(raw string) (*Token, reason.Code) {
	if len(raw) > MaxToken {
		return nil, reason.TokenTooLarge
	}
	t, code := parse(raw)
	if code != 0 {
		// The dots are counted only now: a part that holds one is never accepted.
		switch strings.Count(raw, ".") {
		case 2:
			return nil, code
		case 4:
			return nil, reason.TokenEncrypted // RFC 7516 §3.1
		}
		return nil, reason.TokenMalformed
	}
	return t, 0
}

func parse(raw string) (*Token, reason.Code) {
	first := strings.IndexByte(raw, '.')
	last := first + 1 + strings.IndexByte(raw[first+1:], '.')
	if first < 0 || last == first {
		return nil, reason.TokenMalformed
	}
	t := &Token{Raw: raw, SigningInput: raw[:last]}
	space := make([]byte, 0, len(raw)) // of all that is decoded
	var code reason.Code
	if space, code = object(&t.Header, space, raw[:first], maxHeader); code != 0 {
		return nil, code
	}
	if code := t.readHeader(); code != 0 {
		return nil, code
	}
	if space, code = object(&t.Claims, space, raw[first+1:last], MaxToken); code != 0 {
		return nil, code
	}
	_, sig, ok := decode(space, raw[last+1:])
	if !ok || sig == "" {
		return nil, reason.SignatureEncoding
	}
	t.Signature = sig
	return t, 0
}

// object decodes one part behind the text in space and reads it as a JSON object.
func object(doc *jsonx.Doc, space []byte, part string, limit int) ([]byte, reason.Code) {
	space, text, ok := decode(space, part)
	if !ok {
		return nil, reason.TokenEncoding
	}
	var err error
	*doc, err = jsonx.Parse(text, jsonx.Limits{Bytes: limit, Depth: maxDepth, Nodes: maxNodes})
	switch err {
	case nil:
	case jsonx.ErrDuplicate:
		return nil, reason.TokenDuplicateKey
	case jsonx.ErrDepth, jsonx.ErrSize:
		return nil, reason.TokenTooDeep
	default:
		return nil, reason.TokenJSON
	}
	if doc.Root().Kind() != jsonx.Object {
		return nil, reason.TokenJSON
	}
	return space, 0
}

// decode reads canonical base64url without padding (RFC 7515 §2): every text
// has one encoding, so that a token cannot be written a second way to slip past
// a cache or a block list. It writes behind the text in space, which has room,
// and returns what it wrote, which nobody writes to again, as a string.
func decode(space []byte, part string) (rest []byte, text string, ok bool) {
	out := space
	for ; len(part) >= 4; part = part[4:] {
		a, b, c, d := sextets[part[0]], sextets[part[1]], sextets[part[2]], sextets[part[3]]
		if a|b|c|d > 63 {
			return nil, "", false
		}
		out = append(out, a<<2|b>>4, b<<4|c>>2, c<<6|d)
	}
	switch len(part) {
	case 1:
		return nil, "", false
	case 2:
		a, b := sextets[part[0]], sextets[part[1]]
		if a|b > 63 || b&15 != 0 {
			return nil, "", false
		}
		out = append(out, a<<2|b>>4)
	case 3:
		a, b, c := sextets[part[0]], sextets[part[1]], sextets[part[2]]
		if a|b|c > 63 || c&3 != 0 {
			return nil, "", false
		}
		out = append(out, a<<2|b>>4, b<<4|c>>2)
	}
	written := out[len(space):]
	return out, unsafe.String(unsafe.SliceData(written), len(written)), true
}

// sextets are the values of base64url's digits (RFC 4648 §5), 255 for other bytes.
var sextets = func() (table [256]byte) {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range table {
		table[i] = 255
	}
	for i := range len(digits) {
		table[digits[i]] = byte(i)
	}
	return table
}()

// readHeader takes over the header parameters that matter and refuses those
// that would make the token mean something else than it seems to.
func (t *Token) readHeader() reason.Code {
	h := t.Header.Root()
	name, ok := h.Get("alg").Text()
	if !ok {
		return reason.AlgorithmUnsupported
	}
	if t.Alg = ParseAlg(name); t.Alg == Unsupported {
		return reason.AlgorithmUnsupported
	}
	for c := h.Cursor(); c.Next(); {
		switch c.Name() {
		case "crit": // RFC 7515 §4.1.11: we implement no extension
			return reason.HeaderCritical
		case "b64": // RFC 7797 §3
			return reason.HeaderUnencoded
		case "jku", "x5u", "jwk": // the sender's choice of key, RFC 8725 §3.10
			return reason.HeaderKey
		case "zip", "enc", "epk": // belong to JWE; what is inside is not what we read
			return reason.TokenHeader
		case "kid":
			if t.KeyID, ok = c.Value().Text(); !ok {
				return reason.TokenHeader
			}
		case "typ":
			typ, ok := c.Value().Text()
			if !ok {
				return reason.TokenHeader
			}
			t.Type = strings.TrimPrefix(strings.ToLower(typ), "application/")
		}
	}
	return 0
}

// OtherPurpose reports whether typ names a JWT that was made for something else
// than to be shown to a resource: a logout token, a DPoP proof, an
// introspection answer, a security event, a client assertion … By RFC 8725
// §3.11 all of these end in "+jwt"; at+jwt (RFC 9068) is the one we want.
func (t *Token) OtherPurpose() bool {
	return strings.HasSuffix(t.Type, "+jwt") && t.Type != "at+jwt"
}
