#!/bin/sh
# Adds a WebAssembly target to Rust. Done once, it does nothing.
set -eu

if ! command -v rustup >/dev/null || ! command -v cargo >/dev/null; then
	echo "the tests with the Rust SDK need Rust 1.68 or newer, installed with rustup" >&2
	exit 1
fi
rustup target list --installed | grep -qx wasm32-wasip1 && exit 0
exec rustup target add wasm32-wasip1
