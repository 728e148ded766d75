#!/bin/sh
# Adds a WebAssembly target to Rust, and says on standard output with which build tag the
# tests with the Rust SDK run: none on a machine where Rust cannot build for it, which is
# said on standard error. Done once, it does nothing.
set -eu

target=wasm32-wasip1
. "$(dirname "$0")/env.sh"

if ! command -v rustup >/dev/null || ! command -v cargo >/dev/null; then
	echo "no Rust: the scenarios of the Rust SDK are left out (they need Rust 1.68 or newer, installed with rustup)" >&2
	exit 0
fi
if ! rustup target list --installed 2>/dev/null | grep -qx "$target" && ! rustup target add "$target" >&2; then
	echo "Rust has no target $target: the scenarios of the Rust SDK are left out" >&2
	exit 0
fi
echo rust
