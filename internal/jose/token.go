package jose

import (
	"encoding/base64"
	"strings"

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
func Parse(raw string) (Token, reason.Code) {
	if len(raw) > MaxToken {
		return Token{}, reason.TokenTooLarge
	}
	first := strings.IndexByte(raw, '.')
	if first < 0 {
		return Token{}, reason.TokenMalformed
	}
	last := strings.LastIndexByte(raw, '.')
	if n := strings.Count(raw, "."); n == 4 {
		return Token{}, reason.TokenEncrypted // RFC 7516 §3.1
	} else if n != 2 {
		return Token{}, reason.TokenMalformed
	}
	t := Token{Raw: raw, SigningInput: raw[:last]}

	header, code := object(raw[:first], maxHeader)
	if code != 0 {
		return Token{}, code
	}
	t.Header = header
	if code := t.readHeader(); code != 0 {
		return Token{}, code
	}
	if t.Claims, code = object(raw[first+1:last], MaxToken); code != 0 {
		return Token{}, code
	}
	sig, ok := decode(raw[last+1:])
	if !ok || sig == "" {
		return Token{}, reason.SignatureEncoding
	}
	t.Signature = sig
	return t, 0
}

// object decodes one part and reads it as a JSON object.
func object(part string, limit int) (jsonx.Doc, reason.Code) {
	text, ok := decode(part)
	if !ok {
		return jsonx.Doc{}, reason.TokenEncoding
	}
	doc, err := jsonx.Parse(text, jsonx.Limits{Bytes: limit, Depth: maxDepth, Nodes: maxNodes})
	switch err {
	case nil:
	case jsonx.ErrDuplicate:
		return jsonx.Doc{}, reason.TokenDuplicateKey
	case jsonx.ErrDepth, jsonx.ErrSize:
		return jsonx.Doc{}, reason.TokenTooDeep
	default:
		return jsonx.Doc{}, reason.TokenJSON
	}
	if doc.Root().Kind() != jsonx.Object {
		return jsonx.Doc{}, reason.TokenJSON
	}
	return doc, 0
}

// decode reads canonical base64url without padding (RFC 7515 §2): every text
// has one encoding, so that a token cannot be written a second way to slip past
// a cache or a block list.
func decode(part string) (string, bool) {
	// encoding/base64 steps over line breaks, which Strict does not change.
	if strings.IndexByte(part, '\n') >= 0 || strings.IndexByte(part, '\r') >= 0 {
		return "", false
	}
	out := make([]byte, base64.RawURLEncoding.DecodedLen(len(part)))
	n, err := strict.Decode(out, []byte(part))
	if err != nil {
		return "", false
	}
	return string(out[:n]), true
}

var strict = base64.RawURLEncoding.Strict()

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
