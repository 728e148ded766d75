package version

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	revision := func(s string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "vcs", Value: "0123456789abcdef"}, {Key: "vcs.revision", Value: s}}
	}
	for _, tt := range []struct {
		settings []debug.BuildSetting
		want     string
	}{
		{nil, "1.2.3"},
		{revision("0123456789abcdef"), "1.2.3 (0123456789ab)"},
		{revision("0123456789ab"), "1.2.3 (0123456789ab)"},
		{revision("0123456789a"), "1.2.3"},
	} {
		if got := describe("1.2.3", tt.settings); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.settings, got, tt.want)
		}
	}
	if !strings.HasPrefix(String(), Version) || Version == "" {
		t.Errorf("String is %q", String())
	}
}
