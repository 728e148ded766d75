package login

import (
	"testing"
	"time"
)

// TestFlowIDsAreInOrder: the cookies of flows are told apart by age by their names, to
// the millisecond; two of one moment have two names.
func TestFlowIDsAreInOrder(t *testing.T) {
	at := time.UnixMilli(1_799_999_999_990)
	last := ""
	for range 2000 {
		id := flowID(at)
		if len(id) != 13 || id <= last {
			t.Fatalf("%q after %q", id, last)
		}
		if other := flowID(at); other == id || other[:8] != id[:8] {
			t.Fatalf("%q and %q at one moment", id, other)
		}
		last, at = id, at.Add(time.Millisecond)
	}
	// Names of before, with seconds in front, are older than any.
	if id := flowID(at); "0tp26q9qwv25g" >= id {
		t.Errorf("%q", id)
	}
}
