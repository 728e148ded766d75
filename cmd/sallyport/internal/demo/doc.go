// Package demo holds what the demo needs around the gateway: an upstream that
// says what it received, an issuer of tokens for two users, and the declarative
// file. Nothing in it may be used by the other commands.
package demo
