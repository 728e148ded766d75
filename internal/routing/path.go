package routing

import "strings"

// NormalizePath returns the path that is routed and sent on, for a request
// target without its query; ok is false for one that has to be answered 400. It
// is what Envoy 1.40 does with normalize_path, merge_slashes and escaped slashes
// rejected (source/common/http/path_utility.cc and legacy_path_canonicalizer.cc):
// backslashes are slashes, escapes of unreserved characters are undone, dot
// segments are removed, also those with a parameter (/..;x/), characters that do
// not belong in a URL are escaped.
//
// Envoy differs: it lets a % without two hex digits pass, which the filter then
// refuses; so here it is 400 at once.
func NormalizePath(path string) (normal string, ok bool) {
	if path == "" || path[0] != '/' {
		return "", false
	}
	simple := true
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c <= 0x20, c >= 0x7f, c == '#':
			return "", false
		case c == '%':
			simple = false
			if i+2 >= len(path) || hexValue(path[i+1]) > 15 || hexValue(path[i+2]) > 15 {
				return "", false
			}
			if d := hexValue(path[i+1])<<4 | hexValue(path[i+2]); d == '/' || d == '\\' || d == 0 {
				return "", false
			}
		case c == '.', c == '\\', strings.IndexByte(escaped, c) >= 0:
			simple = false
		case c == '/' && i > 0 && path[i-1] == '/':
			simple = false
		}
	}
	if simple {
		return path, true
	}
	return mergeSlashes(removeDots(strings.ReplaceAll(path, `\`, "/"))), true
}

// escaped are the characters that are percent-encoded on the way.
const escaped = "\"<>^`{|}"

// removeDots goes through the segments, RFC 3986 §5.2.4, and recodes them.
func removeDots(path string) string {
	var out []string // segments behind a slash
	segments := strings.Split(path[1:], "/")
	for i, raw := range segments {
		last := i == len(segments)-1
		name, _, param := strings.Cut(raw, ";")
		segment := recode(raw)
		dots := segment
		if param {
			dots = name // with a parameter, only dots that are written as such count
		}
		switch dots {
		case ".":
			if last {
				out = append(out, "")
			}
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}

// recode undoes escapes of unreserved characters (RFC 3986 §6.2.2.2) and makes
// those of characters that do not belong in a URL.
func recode(segment string) string {
	if strings.IndexByte(segment, '%') < 0 && !strings.ContainsAny(segment, escaped) {
		return segment
	}
	out := make([]byte, 0, len(segment)+8)
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		switch {
		case c == '%':
			d := hexValue(segment[i+1])<<4 | hexValue(segment[i+2])
			if unreserved(d) {
				// %4%31 must not become an escape that nobody wrote: a % that
				// stands alone was refused above, so none can.
				out = append(out, d)
			} else {
				out = append(out, segment[i:i+3]...)
			}
			i += 2
		case strings.IndexByte(escaped, c) >= 0:
			const digits = "0123456789ABCDEF"
			out = append(out, '%', digits[c>>4], digits[c&15])
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

// mergeSlashes is Envoy's PathUtil::mergeSlashes: a path of nothing but slashes
// keeps two.
func mergeSlashes(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	var parts []string
	for _, s := range strings.Split(path, "/") {
		if s != "" {
			parts = append(parts, s)
		}
	}
	merged := "/" + strings.Join(parts, "/")
	if strings.HasSuffix(path, "/") {
		merged += "/"
	}
	return merged
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// hexValue returns the value of a hex digit, 16 for anything else.
func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}
