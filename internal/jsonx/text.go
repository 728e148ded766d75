package jsonx

import (
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a string or member name; p.pos is at the opening quote.
func (p *parser) text() Error {
	p.pos++
	i, err := p.open(String, p.pos)
	if err != 0 {
		return err
	}
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == '"':
			p.close(i)
			p.pos++
			return 0
		case c == '\\':
			p.nodes[i].escaped = true
			if err := p.escape(); err != 0 {
				return err
			}
		case c < 0x20:
			return ErrSyntax
		case c < utf8.RuneSelf:
			p.pos++
		default:
			r, size := utf8.DecodeRuneInString(p.src[p.pos:])
			if r == utf8.RuneError && size == 1 {
				return ErrText
			}
			p.pos += size
		}
	}
	return ErrSyntax
}

// escape steps over one escape sequence, or two where they form a surrogate pair.
func (p *parser) escape() Error {
	if p.pos+1 >= len(p.src) {
		return ErrSyntax
	}
	switch p.src[p.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.pos += 2
		return 0
	case 'u':
	default:
		return ErrSyntax
	}
	r, ok := hex4(p.src, p.pos+2)
	if !ok {
		return ErrSyntax
	}
	p.pos += 6
	if !utf16.IsSurrogate(r) {
		return 0
	}
	if p.pos+1 < len(p.src) && p.src[p.pos] == '\\' && p.src[p.pos+1] == 'u' {
		low, ok := hex4(p.src, p.pos+2)
		if !ok {
			return ErrSyntax
		}
		if utf16.DecodeRune(r, low) != utf8.RuneError {
			p.pos += 6
			return 0
		}
	}
	return ErrText
}

// hex4 reads the four digits of \uXXXX.
func hex4(s string, at int) (rune, bool) {
	if at+4 > len(s) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[at : at+4]) {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// text returns the value of a string node: a part of src where it has no
// escapes, else a new string.
func text(src string, n node) string {
	raw := src[n.start:n.end]
	if !n.escaped {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(raw, i+2)
			i += 6
			if utf16.IsSurrogate(r) {
				low, _ := hex4(raw, i+2)
				r = utf16.DecodeRune(r, low)
				i += 6
			}
			out = utf8.AppendRune(out, r)
			continue
		default:
			out = append(out, c)
		}
		i += 2
	}
	return string(out)
}
