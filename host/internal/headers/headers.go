// Package headers is a header map as proxy-wasm guests see one in Envoy: ordered
// pairs with names in lower case.
//
// Envoy keeps some names once, joining the values of repetitions, and others as
// often as they come; a guest's single get returns the first value of the
// latter. Which is which was found out by sending every name twice through
// Envoy 1.40 (docs/abi.md).
package headers

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Map is a header map. The zero Map is empty. It is not safe for concurrent use.
type Map struct {
	pairs []abi.Pair
	// Edits counts changes, so that somebody who depends on the content can tell
	// whether to look again.
	Edits   int
	changed []string // the names that were edited
	replace bool     // the whole map was
	odd     bool     // it was filled with names that are not as net/http writes them
	// Request makes "host" another name of ":authority", as it is in Envoy.
	Request bool
}

// name returns the name under which the map has a header.
func (m *Map) name(name string) string {
	if name = Lower(name); m.Request && name == "host" {
		return ":authority"
	}
	return name
}

// kind is what is known of a name.
type kind struct {
	lower  string
	joined bool // Envoy keeps it once
}

// kinds are the usual names, in lower case and as net/http writes them.
var kinds = map[string]kind{}

func init() {
	for _, n := range strings.Fields(`accept accept-encoding access-control-request-headers
		access-control-request-method authorization cache-control connection content-encoding content-length
		content-type expect grpc-accept-encoding grpc-timeout host if-match if-modified-since if-none-match
		if-range origin pragma referer upgrade user-agent via x-client-trace-id x-envoy-original-path
		x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-request-id`) {
		kinds[n], kinds[http.CanonicalHeaderKey(n)] = kind{n, true}, kind{n, true}
	}
	for _, n := range strings.Fields(`accept-language cookie date dnt etag forwarded link location
		proxy-authorization range sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode
		sec-fetch-site sec-fetch-user server set-cookie te traceparent tracestate trailer
		upgrade-insecure-requests vary www-authenticate x-api-key x-forwarded-path x-forwarded-prefix x-real-ip
		content-language transfer-encoding last-modified`) {
		kinds[n], kinds[http.CanonicalHeaderKey(n)] = kind{n, false}, kind{n, false}
	}
}

// Lower returns a header name in lower case.
func Lower(name string) string {
	if k, ok := kinds[name]; ok {
		return k.lower
	}
	return strings.ToLower(name)
}

// Append adds a pair at the end, joining it to an earlier one where Envoy does.
// It is no edit: this is how a map is filled.
func (m *Map) Append(name, value string) {
	if kinds[name].joined {
		if i := m.index(name); i >= 0 {
			if m.pairs[i].Value == "" {
				m.pairs[i].Value = value
			} else if value != "" {
				m.pairs[i].Value += "," + value
			}
			return
		}
	}
	m.pairs = append(m.pairs, abi.Pair{Key: name, Value: value})
}

// Put is Append for a name that is not there yet.
func (m *Map) Put(name, value string) { m.pairs = append(m.pairs, abi.Pair{Key: name, Value: value}) }

// Reserve makes room for n pairs.
func (m *Map) Reserve(n int) { m.pairs = slices.Grow(m.pairs, n) }

func (m *Map) index(name string) int {
	return slices.IndexFunc(m.pairs, func(p abi.Pair) bool { return p.Key == name })
}

// Copy makes the map one with the same pairs.
func (m *Map) Copy(o *Map) { m.pairs = slices.Clone(o.pairs) }

// Pairs returns the pairs; they are the map's own.
func (m *Map) Pairs() []abi.Pair { return m.pairs }

// Size is the number of bytes of names and values, which is what Envoy answers
// to proxy_get_header_map_size.
func (m *Map) Size() int {
	n := 0
	for _, p := range m.pairs {
		n += len(p.Key) + len(p.Value)
	}
	return n
}

// Get returns the value of a name: the first of several.
func (m *Map) Get(name string) (string, bool) {
	if i := m.index(m.name(name)); i >= 0 {
		return m.pairs[i].Value, true
	}
	return "", false
}

// Joined returns all values of a name, joined by commas.
func (m *Map) Joined(name string) (value string, ok bool) {
	name = m.name(name)
	for _, p := range m.pairs {
		if p.Key != name {
			continue
		}
		if ok {
			value += "," + p.Value
		} else {
			value, ok = p.Value, true
		}
	}
	return value, ok
}

// Add appends a pair, joining it to an earlier one where Envoy does.
func (m *Map) Add(name, value string) {
	m.Append(m.edit(name), value)
}

// maxChanged bounds how many edited names are remembered; a map with more is taken over
// as a whole.
const maxChanged = 1 << 10

// edit notes an edit and returns the name in lower case.
func (m *Map) edit(name string) string {
	m.Edits++
	name = m.name(name)
	if len(m.changed) < maxChanged {
		m.changed = append(m.changed, name)
	} else {
		m.replace = true
	}
	return name
}

// Replace sets a name to one value: in the place of the first, or at the end.
func (m *Map) Replace(name, value string) {
	name = m.edit(name)
	i := m.index(name)
	if i < 0 {
		m.pairs = append(m.pairs, abi.Pair{Key: name, Value: value})
		return
	}
	m.pairs[i].Value = value
	rest := slices.DeleteFunc(m.pairs[i+1:], func(p abi.Pair) bool { return p.Key == name })
	m.pairs = m.pairs[:i+1+len(rest)]
}

// Remove drops a name with all its values. That it is not there is no error.
func (m *Map) Remove(name string) {
	name = m.edit(name)
	m.pairs = slices.DeleteFunc(m.pairs, func(p abi.Pair) bool { return p.Key == name })
}

// Set replaces the whole map: the names in pairs are removed, then the pairs
// added; names that are not in pairs go as well (proxy_set_header_map_pairs).
func (m *Map) Set(pairs []abi.Pair) {
	m.Edits++
	m.replace = true
	m.pairs = m.pairs[:0]
	for _, p := range pairs {
		m.Append(m.name(p.Key), strings.Clone(p.Value))
	}
}

// line is a header of net/http.
type line struct {
	name   string
	values []string
}

// Fill adds the headers of net/http in the order of their names: the order in
// which they came is lost there.
func (m *Map) Fill(h http.Header) {
	var buf [32]line
	lines := buf[:0]
	for name, values := range h {
		lines = append(lines, line{name, values})
	}
	slices.SortFunc(lines, func(a, b line) int { return strings.Compare(a.name, b.name) })
	m.Reserve(len(lines))
	for _, l := range lines {
		k, usual := kinds[l.name]
		if !usual {
			k.lower = strings.ToLower(l.name)
			m.odd = m.odd || http.CanonicalHeaderKey(k.lower) != l.name // what Apply looks for
		} else if l.name == k.lower {
			m.odd = true
		}
		for _, v := range l.values {
			if len(l.values) == 1 && usual {
				m.pairs = append(m.pairs, abi.Pair{Key: k.lower, Value: v})
			} else {
				m.Append(k.lower, v)
			}
		}
	}
}

// Export writes the map into h, pseudo-headers left out, in the place of
// everything that was there.
func (m *Map) Export(h http.Header) {
	clear(h)
	m.export(h, func(string) bool { return true })
}

// Apply returns a copy of h, which the map was filled with, with the edits made.
// It shares the values of headers that were not edited.
func (m *Map) Apply(h http.Header) http.Header {
	if m.replace {
		out := make(http.Header, len(m.pairs))
		m.Export(out)
		return out
	}
	out := maps.Clone(h)
	if out == nil {
		out = http.Header{}
	}
	for _, c := range m.changed {
		delete(out, http.CanonicalHeaderKey(c))
	}
	if m.odd {
		maps.DeleteFunc(out, func(name string, _ []string) bool {
			return slices.ContainsFunc(m.changed, func(c string) bool { return strings.EqualFold(c, name) })
		})
	}
	m.export(out, func(name string) bool { return slices.Contains(m.changed, name) })
	return out
}

func (m *Map) export(h http.Header, wanted func(name string) bool) {
	for _, p := range m.pairs {
		if p.Key == "" || p.Key[0] == ':' || !wanted(p.Key) {
			continue
		}
		name := http.CanonicalHeaderKey(p.Key)
		h[name] = append(h[name], p.Value)
	}
}
