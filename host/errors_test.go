package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Every error of a start has one kind, alone and in a chain, and wraps its cause.
func TestErrors(t *testing.T) {
	open := filepath.Join(t.TempDir(), "cache")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil { //nolint:gosec // it is what is refused
		t.Fatal(err)
	}
	kinds := []error{ErrConfig, ErrModule, ErrStart, ErrRefused, ErrClosed}
	for _, test := range []struct {
		name   string
		wasm   []byte
		config Config
		want   error
		cause  error
	}{
		{"no module", []byte("no module"), Config{}, ErrModule, nil},
		{"no filter", []byte("\x00asm\x01\x00\x00\x00"), Config{}, ErrModule, nil},
		{"a module beyond the bounds", []byte("\x00asm\x01\x00\x00\x00\x04\x07\x01\x70\x00\xff\xff\xff\x3f"), Config{}, ErrModule, nil},
		{"more memory than it may have", hostile(), Config{MemoryBytes: 1 << 16}, ErrModule, nil},
		{"a cluster", hostile(), Config{Clusters: map[string]string{"c": "ftp://a"}}, ErrConfig, nil},
		{"a cache that is open to others", hostile(), Config{CacheDir: open}, ErrConfig, nil},
		{"a trap", startModule(0x00), Config{}, ErrStart, nil},
		{"a start without an end", startModule(0x03, 0x40, 0x0c, 0, 0x0b), Config{Deadline: 50 * time.Millisecond}, ErrStart, context.DeadlineExceeded},
		{"a refusal", refusing(), Config{}, ErrRefused, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.config.Workers = 1
			_, alone := New(t.Context(), test.wasm, test.config)
			_, chained := NewChain(t.Context(), Plugin{test.wasm, test.config})
			for _, err := range []error{alone, chained} {
				for _, kind := range kinds {
					if errors.Is(err, kind) != (kind == test.want) {
						t.Errorf("%v is %v: %v", err, kind, errors.Is(err, kind))
					}
				}
				if test.cause != nil && !errors.Is(err, test.cause) {
					t.Errorf("%v does not wrap %v", err, test.cause)
				}
			}
		})
	}
}

// refusing is a module whose on_configure says no.
func refusing() []byte {
	return []byte("\x00asm\x01\x00\x00\x00" +
		"\x01\x0f\x03\x60\x00\x00\x60\x01\x7f\x01\x7f\x60\x02\x7f\x7f\x01\x7f" +
		"\x03\x04\x03\x00\x01\x02" +
		"\x05\x03\x01\x00\x01" +
		"\x07\x42\x04\x06memory\x02\x00\x17proxy_abi_version_0_2_1\x00\x00\x06malloc\x00\x01\x12proxy_on_configure\x00\x02" +
		"\x0a\x0e\x03\x02\x00\x0b\x04\x00\x41\x00\x0b\x04\x00\x41\x00\x0b")
}
