package vm

import (
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// A plugin declares a property once, and no more than there is room for.
func TestDeclare(t *testing.T) {
	r := &Root{}
	declare := func(name string, want abi.Status) {
		t.Helper()
		if got := r.Declare(name, true); got != want {
			t.Errorf("%.20s: %v, want %v", name, got, want)
		}
	}
	declare(strings.Repeat("x", maxDeclaredName), abi.OK)
	declare(strings.Repeat("x", maxDeclaredName+1), abi.InternalFailure)
	for i := range maxDeclared - 1 {
		declare(strconv.Itoa(i), abi.OK)
	}
	declare("0", abi.BadArgument)
	declare("one more", abi.InternalFailure)
	if !r.ReadOnly("0") || r.ReadOnly("one more") {
		t.Error("what was declared is not known")
	}
}
