// Package fault breaks the host on purpose, so that tests of the host can be tested:
// a test that no fault makes fail shows nothing. A fault comes with the context that a
// filter is made with, and is looked for only then: a host without one pays nothing.
package fault

import (
	"context"

	"github.com/tetratelabs/wazero/api"
)

// Set are the faults of one filter. A nil Set, and the zero one, have none.
type Set struct {
	// Hostcall takes the place of a function that guests import; run is the real one
	// and returns its status.
	Hostcall func(name string, run func() uint32) uint32
	// Function takes the place of a function that a guest exports; nil stands for a
	// guest that does not export it.
	Function func(name string, f api.Function) api.Function
	// Params takes the place of the parameters of a function that guests import.
	Params func(name string, params []api.ValueType) []api.ValueType
	// Unrestricted lets a guest make every call while it starts, and in its allocator.
	Unrestricted bool
	// Unchecked leaves out the checks of a module when it is loaded.
	Unchecked bool
	// Extra are functions that the host provides although Envoy does not, each
	// MODULE.NAME, with :PARAMETERS, letters i and I, in the modules of WASI.
	Extra []string
	// AllVersions provides the functions of every version of the ABI.
	AllVersions bool
}

type key struct{}

// With returns a context that carries faults.
func With(ctx context.Context, s *Set) context.Context { return context.WithValue(ctx, key{}, s) }

// From returns the faults of a context, never nil.
func From(ctx context.Context) *Set {
	if s, ok := ctx.Value(key{}).(*Set); ok {
		return s
	}
	return &none
}

var none Set

// Run runs a hostcall.
func (s *Set) Run(name string, run func() uint32) uint32 {
	if s.Hostcall == nil {
		return run()
	}
	return s.Hostcall(name, run)
}

// Imported returns the parameters of a function that guests import.
func (s *Set) Imported(name string, params []api.ValueType) []api.ValueType {
	if s.Params == nil {
		return params
	}
	return s.Params(name, params)
}

// Exported returns a function that a guest exports, or nil.
func (s *Set) Exported(name string, f api.Function) api.Function {
	if s.Function == nil || f == nil {
		return f
	}
	return s.Function(name, f)
}
