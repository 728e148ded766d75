// Package version says what was built.
package version

import "runtime/debug"

// Version is the release. It is set by the linker (-X) in a release build.
var Version = "dev"

// String returns the release and, where the build knows it, the revision.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return Version + " (" + s.Value[:12] + ")"
		}
	}
	return Version
}
