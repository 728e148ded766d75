package jsonx

import (
	"strconv"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD; <, > and & are escaped, so that the result is safe inside HTML.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size != 1 {
				i += size
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\uFFFD"...)
			i++
			start = i
			continue
		}
		dst = append(dst, s[start:i]...)
		if c == '"' || c == '\\' {
			dst = append(dst, '\\', c)
		} else {
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// Writer builds one JSON document. Commas are its business; that names and
// values alternate, and that what is opened is closed, is the caller's.
type Writer struct {
	Buf  []byte
	more bool // a comma is due before the next name or element
}

// Open begins an object or array: c is '{' or '['.
func (w *Writer) Open(c byte) {
	w.comma()
	w.Buf = append(w.Buf, c)
	w.more = false
}

// Close ends one: c is '}' or ']'.
func (w *Writer) Close(c byte) {
	w.Buf = append(w.Buf, c)
	w.more = true
}

// Name begins a member.
func (w *Writer) Name(name string) {
	w.comma()
	w.Buf = append(AppendString(w.Buf, name), ':')
	w.more = false
}

// String writes a string.
func (w *Writer) String(s string) {
	w.comma()
	w.Buf = AppendString(w.Buf, s)
	w.more = true
}

// Int writes a number.
func (w *Writer) Int(i int64) {
	w.comma()
	w.Buf = strconv.AppendInt(w.Buf, i, 10)
	w.more = true
}

// Bool writes true or false.
func (w *Writer) Bool(b bool) {
	w.comma()
	w.Buf = strconv.AppendBool(w.Buf, b)
	w.more = true
}

func (w *Writer) comma() {
	if w.more {
		w.Buf = append(w.Buf, ',')
	}
}

// Members with a zero value are left out by the following.

// StringMember writes "name":"s".
func (w *Writer) StringMember(name, s string) {
	if s != "" {
		w.Name(name)
		w.String(s)
	}
}

// IntMember writes "name":i.
func (w *Writer) IntMember(name string, i int64) {
	if i != 0 {
		w.Name(name)
		w.Int(i)
	}
}

// BoolMember writes "name":true.
func (w *Writer) BoolMember(name string, b bool) {
	if b {
		w.Name(name)
		w.Bool(b)
	}
}

// StringsMember writes "name":["a","b"].
func (w *Writer) StringsMember(name string, list []string) {
	if len(list) == 0 {
		return
	}
	w.Name(name)
	w.Open('[')
	for _, s := range list {
		w.String(s)
	}
	w.Close(']')
}
