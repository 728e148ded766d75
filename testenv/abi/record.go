package abi

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Record is what was observed of a run.
type Record struct {
	Refused   bool              `json:"refused,omitempty"` // the host does not load or start the module
	Log       []string          `json:"log,omitempty"`     // callbacks, calls, and what the guest logs
	Responses []string          `json:"responses,omitempty"`
	Upstream  []string          `json:"upstream,omitempty"`
	Metrics   map[string]string `json:"metrics,omitempty"`
}

// line is a line of a guest in a host's log.
type line struct {
	plugin, level, text string
}

// decode makes the record of what a guest has logged.
func decode(s *Scenario, lines []line) []string {
	var out []string
	numbers := numbering{}
	for _, l := range lines {
		text := strings.TrimPrefix(l.text, s.ID)
		switch {
		case s.Module != "":
			text = fmt.Sprintf("(%s) %s", l.level, l.text)
		case s.Guest != "":
			text = strings.TrimPrefix(text, "|") // written by the guest itself
			if at := strings.Index(text, "date: "); at > 0 {
				end := at + strings.IndexAny(text[at:], ";]")
				text = text[:at] + "date: …" + text[end:]
			}
		case l.level == "info" && isRecord(text, 'c'):
			text = decodeCallback(text[1:], numbers)
		case l.level == "info" && isRecord(text, 'o'):
			text = "  " + decodeOp(s, text[1:], numbers)
		default:
			text = fmt.Sprintf("  (%s) %s", l.level, text)
		}
		text = strings.ReplaceAll(text, s.ID, "ID")
		if len(s.Plugins) > 1 {
			text = l.plugin + ": " + text
		}
		out = append(out, text)
	}
	return merge(s, out)
}

func isRecord(text string, letter byte) bool {
	return len(text) >= 5 && text[0] == letter && strings.Trim(text[1:], "0123456789abcdef") == ""
}

// merge leaves out what depends on how a body is cut into pieces: callbacks for
// pieces in which the guest did nothing.
func merge(s *Scenario, list []string) (out []string) {
	if _, ok := s.Options["chunks"]; ok {
		return list
	}
	// A guest that has trapped is started anew with the next request in Envoy, at once
	// in the host: what it does before there is a request is left out.
	if _, ok := s.Options["fail-reload"]; ok {
		last := -1
		for i, l := range list {
			switch {
			case strings.HasSuffix(l, "context_create(1, 0)"):
				last = i
			case strings.Contains(l, "context_create("):
				last = -1
			}
		}
		if last > 0 {
			list = list[:last]
		}
	}
	for i, l := range list {
		idle := i+1 == len(list) || !strings.Contains(list[i+1], "  ")
		if idle && strings.Contains(l, "tick(") {
			continue // how many there are is a matter of time
		}
		if idle && (strings.Contains(l, "request_body(") || strings.Contains(l, "response_body(")) && strings.HasSuffix(l, ", 0)") {
			continue
		}
		out = append(out, s.sizes(l))
	}
	return out
}

var lastPiece = regexp.MustCompile(`^((?:\w+: )?(request|response)_body\(\d+), \d+, 1\)$`)

// sizes leaves out how large the last piece of a body is, unless the guest holds the
// whole: net/http does not say whether it came together with the end.
func (s *Scenario) sizes(l string) string {
	m := lastPiece.FindStringSubmatch(l)
	if m == nil || slices.ContainsFunc(s.Blocks, func(b block) bool { return b.callback == m[2]+"_body" && b.returns && b.result == 1 }) {
		return l
	}
	return m[1] + ", …, 1)"
}

func decodeCallback(digits string, numbers numbering) string {
	n, _ := strconv.ParseUint(digits[:4], 16, 16)
	name := callbackNames[n]
	var args []string
	for digits = digits[4:]; len(digits) >= 8; digits = digits[8:] {
		v, _ := strconv.ParseUint(digits[:8], 16, 32)
		args = append(args, fmt.Sprint(v))
	}
	// Envoy's router adds x-envoy-upstream-service-time to what a call gets.
	switch {
	case name == "queue_ready":
		args[1] = numbers.of("shared_queue", args[1])
	case name == "http_call_response" && args[2] != "0":
		args[2] = "n"
	case strings.HasSuffix(name, "_metadata") && args[2] != "0":
		args[2] = "n"
	}
	return fmt.Sprintf("%s(%s)", name, strings.Join(args, ", "))
}

// reader takes hexadecimal digits.
type reader struct{ rest string }

func (r *reader) u32() uint32 {
	if len(r.rest) < 8 {
		return 0
	}
	v, _ := strconv.ParseUint(r.rest[:8], 16, 32)
	r.rest = r.rest[8:]
	return uint32(v)
}

func (r *reader) bytes(n uint32) string {
	b, _ := hex.DecodeString(r.rest[:min(int(2*n), len(r.rest))])
	r.rest = r.rest[min(int(2*n), len(r.rest)):]
	return string(b)
}

// global are calls whose numbers go on through a whole Envoy: the first that a
// scenario is given is #1.
var global = map[string]bool{"get_shared_data": true, "register_shared_queue": true, "resolve_shared_queue": true}

// numbering are the numbers that a scenario is given, by their kind.
type numbering map[string]string

// of returns the number's place in the order in which the scenario was given them.
func (n numbering) of(kind, number string) string {
	key := kind + " " + number
	if n[key] == "" {
		place := 1
		for k := range n {
			if strings.HasPrefix(k, kind+" ") {
				place++
			}
		}
		n[key] = fmt.Sprintf("#%d", place)
	}
	return n[key]
}

func decodeOp(s *Scenario, digits string, numbers numbering) string {
	n, _ := strconv.ParseUint(digits[:4], 16, 16)
	o := s.ops[n]
	r := reader{digits[4:]}
	status := r.u32()
	switch {
	case o.call == "peek":
		return fmt.Sprintf("%s = %s", o.text, show(r.bytes(uint32(len(r.rest)/2))))
	case o.call == "grow":
		return fmt.Sprintf("%s = %d", o.text, int32(status))
	}
	out := []string{o.text, "=", abi.Status(status).String()}
	if !strings.HasPrefix(o.call, "wasi.") {
		if strings.Contains(out[2], "unknown") {
			out[2] = fmt.Sprint(status)
		}
	} else {
		out[2] = fmt.Sprintf("errno %d", status)
	}
	for i, letter := range calls[o.call].outputs() {
		if i < len(o.moved) && o.moved[i] != "_" {
			continue
		}
		text := output(&r, byte(letter))
		if letter == 'w' && global[o.call] && text != "-" {
			text = numbers.of(o.call[strings.Index(o.call, "shared"):], text)
		}
		if !o.mask {
			out = append(out, text)
		}
	}
	return strings.Join(out, " ")
}

// output reads one output; - is one that the host has not written.
func output(r *reader, letter byte) string {
	switch letter {
	case 'h':
		if v := r.u32(); v != untouched {
			return fmt.Sprint(v & 0xffff)
		}
		return "-"
	case 'w':
		if v := r.u32(); v != untouched {
			return fmt.Sprint(v)
		}
		return "-"
	case 'W':
		high, low := r.u32(), r.u32()
		if high == untouched && low == untouched {
			return "-"
		}
		return fmt.Sprint(uint64(high)<<32 | uint64(low))
	}
	ptr, size := r.u32(), r.u32()
	switch {
	case ptr == untouched && size == untouched:
		return "-"
	case size > maxShown:
		return fmt.Sprintf("%d bytes", size)
	case size == 0 && ptr == 0:
		return "nothing" // nothing was allocated for it
	}
	text := r.bytes(size)
	if letter == 'P' {
		return showPairs(text)
	}
	return show(text)
}

// show writes bytes: as text, when they are, as a number when they are eight bytes
// of one.
func show(text string) string {
	printable := !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' })
	switch {
	case len(text) > 200 && printable:
		return fmt.Sprintf("%q… of %d bytes", text[:60], len(text))
	case !printable && isPairs(text):
		return showPairs(text)
	case !printable && len(text) == 8:
		return fmt.Sprint(int64(binary.LittleEndian.Uint64([]byte(text))))
	}
	return strconv.Quote(text)
}

// isPairs reports whether bytes are pairs, such as the property request.headers.
func isPairs(text string) bool {
	_, ok := abi.DecodePairs(nil, text)
	return ok && text != "\x00"
}

// showPairs writes pairs sorted: net/http does not keep their order.
func showPairs(text string) string {
	pairs, ok := abi.DecodePairs(nil, text)
	if !ok {
		return "no pairs: " + strconv.Quote(text)
	}
	var out []string
	for _, p := range pairs {
		if strings.HasPrefix(p.Key, "x-envoy-") {
			continue
		}
		if p.Key == "date" {
			p.Value = "…"
		}
		out = append(out, fmt.Sprintf("%s: %s", p.Key, p.Value))
	}
	slices.Sort(out)
	return fmt.Sprintf("%d pairs [%s]", len(out), strings.Join(out, "; "))
}

// String writes the record for people.
func (r *Record) String() string {
	var b strings.Builder
	if r.Refused {
		b.WriteString("  refused\n")
	}
	for _, part := range []struct {
		name string
		list []string
	}{{"log", r.Log}, {"response", r.Responses}, {"upstream", r.Upstream}} {
		for _, l := range part.list {
			fmt.Fprintf(&b, "  %-8s  %s\n", part.name, l)
		}
	}
	return b.String()
}

// Diff says how two records differ, "" when they do not.
func Diff(got, want *Record) string {
	var b strings.Builder
	if got.Refused != want.Refused {
		fmt.Fprintf(&b, "refused %v, not %v\n", got.Refused, want.Refused)
	}
	diffLists(&b, "log", got.Log, want.Log)
	diffLists(&b, "responses", got.Responses, want.Responses)
	diffLists(&b, "upstream", got.Upstream, want.Upstream)
	for _, name := range slices.Sorted(keysOf(got.Metrics, want.Metrics)) {
		if got.Metrics[name] != want.Metrics[name] {
			fmt.Fprintf(&b, "metric %s: %q, not %q\n", name, got.Metrics[name], want.Metrics[name])
		}
	}
	return b.String()
}

func keysOf(maps ...map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		seen := map[string]bool{}
		for _, m := range maps {
			for k := range m {
				if !seen[k] && !yield(k) {
					return
				}
				seen[k] = true
			}
		}
	}
}

// shown bounds how many lines of a difference are shown.
const shown = 4

func diffLists(b *strings.Builder, what string, got, want []string) {
	if slices.Equal(got, want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	fmt.Fprintf(b, "%s, from line %d:\n", what, i+1)
	for _, l := range got[i:min(len(got), i+shown)] {
		fmt.Fprintf(b, "  got  %s\n", l)
	}
	for _, l := range want[i:min(len(want), i+shown)] {
		fmt.Fprintf(b, "  want %s\n", l)
	}
}
