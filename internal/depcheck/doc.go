// Package depcheck holds the rules about who may import whom. It is nothing but
// its test: rules_test.go has the tables, each row with its reason, and
// depcheck_test.go holds them against what `go list` says.
//
// A package without a row fails, so that a new one gets its place on purpose.
package depcheck
