// Package logins holds tests of sessions and logins, in both hosts, with the test
// provider and a browser without a window. What needs a real browser, or a real
// identity provider, is in testenv/real.
package logins
