package identity

import (
	"strings"
	"testing"
)

func TestIsHeader(t *testing.T) {
	for _, name := range Names() {
		for _, spelling := range []string{
			name, strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."),
			strings.Replace(name, "-", "_", 1), strings.ReplaceAll(strings.ToUpper(name), "-", "~"),
		} {
			if !IsHeader(spelling) {
				t.Errorf("%q is not recognised", spelling)
			}
		}
		for _, other := range []string{name + "s-too-much", "a" + name, name[1:], name + "-", "-" + name, ""} {
			if IsHeader(other) && !reserved[other] {
				t.Errorf("%q is taken for %q", other, name)
			}
		}
	}
	for _, name := range []string{"x-request-id", "x-forwarded-for", "authorization", "x-consumer", strings.Repeat("x", 100)} {
		if IsHeader(name) {
			t.Errorf("%q is taken for an identity header", name)
		}
	}
}
