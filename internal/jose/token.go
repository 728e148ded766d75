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

// Header is a JOSE header (RFC 7515 §4).
type Header struct {
	Alg   Alg
	KeyID string // kid, "" when absent or empty: it is a hint (RFC 7515 §4.1.4)
	Type  string // typ, lower case, without "application/"
	Doc   jsonx.Doc
}

// Token is a parsed JWS.
type Token struct {
	Header
	Raw          string // the token
	SigningInput string // its first two parts and the dot between them
	signature    string // the decoded third part
	Claims       jsonx.Doc
}

// Parser reads tokens, one after the other into the same memory. It remembers the
// last headers, for those of one issuer are all alike. The zero Parser is ready; it
// is not safe for concurrent use.
type Parser struct {
	headers [4]known
	oldest  int // of the headers
	// The memory of the last token; its header has its own.
	token *Token
	space []byte
	nodes jsonx.Parser
}

// known is a header that was accepted, as it stands in a token and as it reads.
type known struct {
	encoded string
	Header
}

// Parse is Parser.Parse for a single token.
func Parse(raw string) (*Token, reason.Code) { return new(Parser).Parse(raw) }

// Parse reads a compact JWS whose payload is a JSON object. The code is
// reason.Unspecified when it succeeded, else why the token is refused. The token
// shares no memory with raw. It is good until the parser reads the next one: Keep
// or Clone make it last.
func (p *Parser) Parse(raw string) (*Token, reason.Code) {
	if len(raw) > MaxToken {
		return nil, reason.TokenTooLarge
	}
	code := p.parse(raw)
	if code == 0 {
		return p.token, 0
	}
	// The dots are counted only now: a part that holds one is never accepted.
	switch strings.Count(raw, ".") {
	case 2:
		return nil, code
	case 4:
		return nil, reason.TokenEncrypted // RFC 7516 §3.1
	}
	return nil, reason.TokenMalformed
}

// Keep leaves the last token, and all texts that were taken from it, their memory.
func (p *Parser) Keep() { p.token, p.space, p.nodes = nil, nil, jsonx.Parser{} }

// Clone returns a copy of its own that takes no more memory than it needs, the decoded
// signature left out.
func (t *Token) Clone() *Token {
	claims := t.Claims.Source()
	space := make([]byte, 0, len(t.Raw)+len(claims))
	space = append(append(space, t.Raw...), claims...)
	all := text(space)
	rest := all[len(t.Raw):]
	return &Token{
		Header:       t.Header,
		Raw:          all[:len(t.Raw)],
		SigningInput: all[:len(t.SigningInput)],
		Claims:       t.Claims.Clone(rest),
	}
}

// Signature returns the decoded signature. A clone decodes it anew: it is for remembering
// a token whose signature has been judged.
func (t *Token) Signature() string {
	if t.signature != "" {
		return t.signature
	}
	_, signature, _ := decode(nil, t.Raw[len(t.SigningInput)+1:])
	return signature
}

func (p *Parser) parse(raw string) reason.Code {
	h := p.known(raw)
	if h == nil {
		var code reason.Code
		if h, code = p.header(raw); code != 0 {
			return code
		}
	}
	first := len(h.encoded)
	last := first + 1 + strings.IndexByte(raw[first+1:], '.')
	if last == first {
		return reason.TokenMalformed
	}
	if p.token == nil {
		p.token = new(Token)
	}
	if need := 2 * len(raw); cap(p.space) < need { // what is decoded is shorter
		p.space = make([]byte, 0, need)
	}
	space := append(p.space, raw...)
	raw = text(space)
	t := p.token
	t.Header, t.Raw, t.SigningInput = h.Header, raw, raw[:last]
	space, source, ok := decode(space, raw[first+1:last])
	if !ok {
		return reason.TokenEncoding
	}
	var code reason.Code
	if t.Claims, code = object(&p.nodes, source, MaxToken); code != 0 {
		return code
	}
	if _, t.signature, ok = decode(space, raw[last+1:]); !ok || t.signature == "" {
		return reason.SignatureEncoding
	}
	return 0
}

// known returns the header that raw begins with, if it is remembered.
func (p *Parser) known(raw string) *known {
	for i := range p.headers {
		h := &p.headers[i]
		if n := len(h.encoded); n > 0 && n < len(raw) && raw[n] == '.' && raw[:n] == h.encoded {
			return h
		}
	}
	return nil
}

// header reads the header that raw begins with and remembers it.
func (p *Parser) header(raw string) (*known, reason.Code) {
	encoded, rest, _ := strings.Cut(raw, ".")
	if strings.IndexByte(rest, '.') < 0 {
		return nil, reason.TokenMalformed
	}
	_, source, ok := decode(nil, encoded)
	if !ok {
		return nil, reason.TokenEncoding
	}
	h := known{encoded: strings.Clone(encoded)}
	var code reason.Code
	if h.Doc, code = object(new(jsonx.Parser), source, maxHeader); code != 0 {
		return nil, code
	}
	if code := h.read(); code != 0 {
		return nil, code
	}
	at := &p.headers[p.oldest]
	p.oldest = (p.oldest + 1) % len(p.headers)
	*at = h
	return at, 0
}

// Same reports whether a equals b. It is for texts as long as a token: in wasm it takes
// a fifth of the time of ==, which looks at eight bytes a step.
func Same(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	p, q := unsafe.Pointer(unsafe.StringData(a)), unsafe.Pointer(unsafe.StringData(b))
	i := 0
	for ; len(a)-i >= 32; i += 32 {
		x, y := (*[4]uint64)(unsafe.Add(p, i)), (*[4]uint64)(unsafe.Add(q, i))
		if (x[0]^y[0])|(x[1]^y[1])|(x[2]^y[2])|(x[3]^y[3]) != 0 {
			return false
		}
	}
	return a[i:] == b[i:]
}

// text returns bytes as a string that is good while nobody writes to them.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// object reads one decoded part.
func object(p *jsonx.Parser, source string, limit int) (jsonx.Doc, reason.Code) {
	doc, err := p.Parse(source, jsonx.Limits{Bytes: limit, Depth: maxDepth, Nodes: maxNodes})
	switch err {
	case nil:
	case jsonx.ErrDuplicate:
		return doc, reason.TokenDuplicateKey
	case jsonx.ErrDepth, jsonx.ErrSize:
		return doc, reason.TokenTooDeep
	default:
		return doc, reason.TokenJSON
	}
	if doc.Root().Kind() != jsonx.Object {
		return doc, reason.TokenJSON
	}
	return doc, 0
}

// decode reads canonical base64url without padding (RFC 7515 §2): every text
// has one encoding, so that a token cannot be written a second way to slip past
// a cache or a block list. It writes behind what is in space and returns what it
// wrote as a string.
func decode(space []byte, part string) (rest []byte, decoded string, ok bool) {
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
	return out, text(out[len(space):]), true
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

// read takes over the header parameters that matter and refuses those
// that would make the token mean something else than it seems to.
func (h *Header) read() reason.Code {
	root := h.Doc.Root()
	name, ok := root.Get("alg").Text()
	if !ok {
		return reason.AlgorithmUnsupported
	}
	if h.Alg = ParseAlg(name); h.Alg == Unsupported {
		return reason.AlgorithmUnsupported
	}
	for c := root.Cursor(); c.Next(); {
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
			if h.KeyID, ok = c.Value().Text(); !ok {
				return reason.TokenHeader
			}
		case "typ":
			typ, ok := c.Value().Text()
			if !ok {
				return reason.TokenHeader
			}
			h.Type = strings.TrimPrefix(strings.ToLower(typ), "application/")
		}
	}
	return 0
}

// OtherPurpose reports whether typ names a JWT that was made for something else
// than to be shown to a resource: a logout token, a DPoP proof, an
// introspection answer, a security event, a client assertion … By RFC 8725
// §3.11 all of these end in "+jwt"; at+jwt (RFC 9068) is the one we want.
func (h *Header) OtherPurpose() bool {
	return strings.HasSuffix(h.Type, "+jwt") && h.Type != "at+jwt"
}
