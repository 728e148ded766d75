package jsonx

import (
	"unicode/utf16"
	"unicode/utf8"
)

// plain are the bytes that stand for themselves in a string.
var plain = func() (table [256]bool) {
	for c := byte(0x20); c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// text reads a string or member name; p.pos is at the opening quote.
func (p *parser) text() Error {
	if len(p.nodes) >= p.limits.Nodes {
		return ErrSize
	}
	src, i, escaped := p.src, p.pos+1, false
	for i < len(src) {
		switch c := src[i]; {
		case plain[c]:
			i++
		case c == '"':
			p.scalar(String, p.pos+1, i, escaped)
			p.pos = i + 1
			return 0
		case c == '\\':
			size, err := escape(src[i:])
			if err != 0 {
				return err
			}
			i += size
			escaped = true
		case c < 0x20:
			return ErrSyntax
		default:
			r, size := utf8.DecodeRuneInString(src[i:])
			if r == utf8.RuneError && size == 1 {
				return ErrText
			}
			i += size
		}
	}
	return ErrSyntax
}

// escape returns the length of the escape sequence that src begins with, of both
// where two form a surrogate pair.
func escape(src string) (size int, err Error) {
	if len(src) < 2 {
		return 0, ErrSyntax
	}
	switch src[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, 0
	case 'u':
	default:
		return 0, ErrSyntax
	}
	r, ok := hex4(src, 2)
	if !ok {
		return 0, ErrSyntax
	}
	if !utf16.IsSurrogate(r) {
		return 6, 0
	}
	if len(src) > 7 && src[6] == '\\' && src[7] == 'u' {
		low, ok := hex4(src, 8)
		if !ok {
			return 0, ErrSyntax
		}
		if utf16.DecodeRune(r, low) != utf8.RuneError {
			return 12, 0
		}
	}
	return 0, ErrText
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
	if n.escaped {
		return unescape(src[n.start:n.end])
	}
	return src[n.start:n.end]
}

func unescape(raw string) string {
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
