package abi

import (
	"encoding/json"
	"os"
	"regexp"
)

// Seen is a call, or a callback, in a record.
type Seen struct {
	Name   string // as in scenarios
	Call   bool
	Status string // of a call: its name, or "errno N"
}

var (
	callLine     = regexp.MustCompile(`^(?:\w+: )?  ~?([a-z_.]+)( .*)? = ([A-Z_]+|errno \d+|\d+)( .*)?$`)
	callbackLine = regexp.MustCompile(`^(?:\w+: )?([a-z_]+)\(`)
)

// Seen returns the calls and callbacks of a record, in their order.
func (r *Record) Seen() (list []Seen) {
	for _, l := range r.Log {
		if m := callLine.FindStringSubmatch(l); m != nil {
			if _, ok := calls[m[1]]; ok {
				list = append(list, Seen{m[1], true, m[3]})
			}
		} else if m := callbackLine.FindStringSubmatch(l); m != nil {
			if _, ok := callbacks[m[1]]; ok {
				list = append(list, Seen{Name: m[1]})
			}
		}
	}
	return list
}

// Export returns the name under which a call is imported, or a callback exported.
func (s Seen) Export() string {
	if s.Call {
		return calls[s.Name].name
	}
	return exportName(s.Name)
}

// Returns reports whether the scenario has a callback return something of its own.
func (s *Scenario) Returns(callback string) bool {
	for _, b := range s.Blocks {
		if b.callback == callback && b.returns && b.result != callbacks[callback].result {
			return true
		}
	}
	return false
}

// Has reports whether the scenario has a callback do anything.
func (s *Scenario) Has(callback string) bool {
	for _, b := range s.Blocks {
		if b.callback == callback {
			return true
		}
	}
	return false
}

// Records reads a file of records, by the names of scenarios.
func Records(path string) (map[string]*Record, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]*Record{}
	return out, json.Unmarshal(b, &out)
}

// Expected returns what the host has to say to a scenario: what Envoy says, or what
// is kept of the host where a difference is known.
func Expected(dir string) (map[string]*Record, error) {
	out, err := Records(dir + "/envoy.json")
	if err != nil {
		return nil, err
	}
	kept, err := Records(dir + "/host.json")
	for name, r := range kept {
		out[name] = r
	}
	return out, err
}
