package registry

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

var (
	start  = time.Date(2030, 1, 2, 3, 4, 5, 678901000, time.UTC)
	system = Actor{Kind: "system", Name: "test"}
	secret = redact.New("an installation secret")
)

// cheap stands in for argon2id, which takes its time on purpose.
func cheap(string) string {
	return "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
}

// open opens the registry of a data source name until the test ends.
func open(t testing.TB, dsn string) *Registry {
	t.Helper()
	r, err := Open(context.Background(), dsn, Options{Secret: secret, HashPassword: cheap})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	r.now = func() time.Time { return start }
	return r
}

// onEach runs a test on every database that there is.
func onEach(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "registry.db")) })
}

// must returns a value that came without an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
