// Package redact keeps secrets out of logs: a Secret prints as [redacted]
// however it is printed, and only Reveal gives it away.
package redact

import "log/slog"

const mask = "[redacted]"

// Secret is a string that must not be printed.
type Secret struct{ s string }

// New wraps a secret.
func New(s string) Secret { return Secret{s} }

// Reveal returns the secret. Every call is a place to look at in a review.
func (s Secret) Reveal() string { return s.s }

// Empty reports whether there is no secret.
func (s Secret) Empty() bool { return s.s == "" }

// String implements fmt.Stringer.
func (s Secret) String() string { return mask }

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return mask }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText implements encoding.TextMarshaler, for JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }
