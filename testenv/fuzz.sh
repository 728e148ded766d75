#!/bin/sh
# Runs every fuzz target of the module for a time, one after the other.
set -eu
time=${1:?usage: fuzz.sh TIME}
go=${GO:-go}
git grep -l '^func Fuzz' -- '*_test.go' | while read -r file; do
	dir=$(dirname "$file")
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
		printf 'fuzz ./%s %s for %s\n' "$dir" "$target" "$time"
		out=$("$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$dir" 2>&1) || { printf '%s\n' "$out"; exit 1; }
	done
done
