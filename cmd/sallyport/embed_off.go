//go:build !embedfilter

package main

// embedded is empty: the filter comes from --filter.
var embedded []byte
