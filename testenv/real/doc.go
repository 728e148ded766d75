// Package real tests against servers of others, really started. Its tests are
// built with the tag real: make test-real.
package real
