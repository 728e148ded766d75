package abi

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// use is what scenarios show of a hostcall or a callback.
type use struct {
	scenarios   int
	envoy, host map[string]bool // statuses
}

// uses counts what the records of Envoy and of the host have of each hostcall and
// callback, by its export's name.
func uses(envoy, host map[string]*Record) map[string]*use {
	out := map[string]*use{}
	get := func(name string) *use {
		if out[name] == nil {
			out[name] = &use{envoy: map[string]bool{}, host: map[string]bool{}}
		}
		return out[name]
	}
	for scenario, r := range envoy {
		once := map[string]bool{}
		for _, s := range r.Seen() {
			u := get(s.Export())
			u.envoy[s.Status] = true
			if !once[s.Export()] {
				once[s.Export()] = true
				u.scenarios++
			}
		}
		if h := host[scenario]; h != nil {
			for _, s := range h.Seen() {
				get(s.Export()).host[s.Status] = true
			}
		}
	}
	return out
}

// Page makes docs/abi.md: the frame, testdata/page.md, with tables of what the records
// show in the places of {{hostcalls}}, {{wasi}}, {{callbacks}} and {{differences}}.
func Page(frame string, envoy, host map[string]*Record) string {
	seen := uses(envoy, host)
	var hostcalls, wasi, callbackRows strings.Builder
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		c := calls[name]
		rows := &hostcalls
		if c.module != "env" {
			rows = &wasi
		}
		u := seen[c.name]
		if u == nil {
			u = &use{}
		}
		fmt.Fprintf(rows, "| `%s` | %d | %s | %s | %s |\n", c.name, u.scenarios, statuses(u.envoy), same(u), numbers(name))
	}
	for _, name := range slices.Sorted(maps.Keys(callbacks)) {
		u := seen[exportName(name)]
		if u == nil {
			continue // a function that is no callback
		}
		fmt.Fprintf(&callbackRows, "| `%s` | %d | %s |\n", exportName(name), u.scenarios, numbers(name))
	}
	var differences strings.Builder
	for i, d := range Differences {
		fmt.Fprintf(&differences, "| %d | %s | %s | %s |\n", i+1, d.What, d.Ours, d.Why)
	}
	return strings.NewReplacer("{{scenarios}}", fmt.Sprint(len(envoy)), "{{hostcalls}}\n", hostcalls.String(), "{{wasi}}\n", wasi.String(),
		"{{callbacks}}\n", callbackRows.String(), "{{differences}}\n", differences.String()).Replace(frame)
}

func statuses(m map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

// same says whether the host has given the statuses that Envoy has.
func same(u *use) string {
	if maps.Equal(u.envoy, u.host) {
		return "the same"
	}
	return statuses(u.host)
}

// numbers are the differences that are about a name.
func numbers(name string) string {
	var out []string
	for i, d := range Differences {
		if slices.Contains(d.Of, name) {
			out = append(out, fmt.Sprint(i+1))
		}
	}
	if out == nil {
		return "–"
	}
	return strings.Join(out, ", ")
}
