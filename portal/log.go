package portal

import (
	"context"
	"log/slog"
	"strings"
)

// unsaid leaves out what the sidecar says of the generated file: that has been said
// about the settings that it was made of.
type unsaid struct {
	slog.Handler
	prefix string
}

// Handle implements slog.Handler.
func (u unsaid) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, u.prefix) && r.Level < slog.LevelError {
		return nil
	}
	return u.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (u unsaid) WithAttrs(attrs []slog.Attr) slog.Handler {
	return unsaid{u.Handler.WithAttrs(attrs), u.prefix}
}

// WithGroup implements slog.Handler.
func (u unsaid) WithGroup(name string) slog.Handler {
	return unsaid{u.Handler.WithGroup(name), u.prefix}
}
