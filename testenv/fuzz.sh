#!/bin/sh
# Runs every fuzz target of the module for a time, one after the other. Inputs that are
# new are made smaller a hundred times at most: by default Go does that for a minute, and
# tries nothing else meanwhile.
set -eu
time=${1:?usage: fuzz.sh TIME}
go=${GO:-go}

# late reports whether nothing failed but the end of the time itself, which Go before
# 1.27 takes for a failure on a busy machine (golang/go#75804): the one complaint is
# that the deadline has passed, and no input was written.
late() {
	complaints=$(printf '%s\n' "$1" | grep '^    ')
	[ "$complaints" = '    context deadline exceeded' ]
}

git grep -l '^func Fuzz' -- '*_test.go' | while read -r file; do
	dir=$(dirname "$file")
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
		printf 'fuzz ./%s %s for %s\n' "$dir" "$target" "$time"
		out=$("$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 100x "./$dir" 2>&1) || late "$out" || { printf '%s\n' "$out"; exit 1; }
	done
done
