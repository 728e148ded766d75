package headers

import (
	"net/http"
	"reflect"
	"strconv"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// TestApply: what the guest has edited changes, the rest stays, and the header
// that the map was filled with is not touched.
func TestApply(t *testing.T) {
	sent := func() http.Header {
		return http.Header{"Accept": {"a", "b"}, "Cookie": {"c=1", "d=2"}, "X-Id": {"1"}, "x-Odd": {"2"}, "dnt": {"1"}}
	}
	tests := []struct {
		name string
		edit func(m *Map)
		want http.Header
	}{
		{"nothing", func(*Map) {}, sent()},
		{"replaced", func(m *Map) { m.Replace("x-id", "3") }, http.Header{"Accept": {"a", "b"}, "Cookie": {"c=1", "d=2"}, "X-Id": {"3"}, "x-Odd": {"2"}, "dnt": {"1"}}},
		{"removed", func(m *Map) { m.Remove("cookie"); m.Remove("X-ID"); m.Remove("none") }, http.Header{"Accept": {"a", "b"}, "x-Odd": {"2"}, "dnt": {"1"}}},
		{"added", func(m *Map) { m.Add("cookie", "e=3"); m.Add("accept", "c") },
			http.Header{"Accept": {"a,b,c"}, "Cookie": {"c=1", "d=2", "e=3"}, "X-Id": {"1"}, "x-Odd": {"2"}, "dnt": {"1"}}},
		{"a name in an odd case", func(m *Map) { m.Replace("x-odd", "4") }, http.Header{"Accept": {"a", "b"}, "Cookie": {"c=1", "d=2"}, "X-Id": {"1"}, "X-Odd": {"4"}, "dnt": {"1"}}},
		{"a usual name in lower case", func(m *Map) { m.Remove("DNT") }, http.Header{"Accept": {"a", "b"}, "Cookie": {"c=1", "d=2"}, "X-Id": {"1"}, "x-Odd": {"2"}}},
		{"all", func(m *Map) { m.Set([]abi.Pair{{Key: ":path", Value: "/"}, {Key: "X-New", Value: "5"}}) }, http.Header{"X-New": {"5"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, m := sent(), &Map{}
			m.Put(":path", "/")
			m.Fill(h)
			tt.edit(m)
			if got := m.Apply(h); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %v\nwant %v", got, tt.want)
			}
			if !reflect.DeepEqual(h, sent()) {
				t.Errorf("the header itself changed: %v", h)
			}
		})
	}
	var m Map
	m.Add("x-id", "1")
	if got := m.Apply(nil); got.Get("X-Id") != "1" {
		t.Errorf("without headers: %v", got)
	}
}

// TestApplyFindsEveryName: what the guest removes is gone, however the one name of a
// header is written there.
func TestApplyFindsEveryName(t *testing.T) {
	for _, name := range []string{"X-Id", "x-id", "X-ID", "X_Consumer_Id", "X_consumer_id", "x_consumer_id", "Cookie", "cookie", "COOKIE", "X No Name", "x no name", "X-Ümlaut"} {
		h, m := http.Header{name: {"1"}}, &Map{}
		m.Fill(h)
		m.Remove(m.Pairs()[0].Key)
		if got := m.Apply(h); len(got) > 0 {
			t.Errorf("%q is still there: %v", name, got)
		}
	}
}

// A map that is edited very often is taken over as a whole, with the same result.
func TestManyEdits(t *testing.T) {
	h := http.Header{"A": {"1"}, "B": {"2", "3"}}
	var m Map
	m.Fill(h)
	for i := range 3 * maxChanged {
		m.Remove(strconv.Itoa(i))
	}
	m.Replace("a", "4")
	m.Add("c", "5")
	if len(m.changed) > maxChanged {
		t.Errorf("%d names are remembered", len(m.changed))
	}
	if got, want := m.Apply(h), (http.Header{"A": {"4"}, "B": {"2", "3"}, "C": {"5"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
