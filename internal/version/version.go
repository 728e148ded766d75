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
	return describe(Version, info.Settings)
}

func describe(version string, settings []debug.BuildSetting) string {
	for _, s := range settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return version + " (" + s.Value[:12] + ")"
		}
	}
	return version
}
