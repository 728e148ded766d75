package registry

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// database is an empty one to test on.
type database struct {
	dsn string
	pg  bool
}

// suite is what holds on every database.
var suite = []struct {
	name string
	test func(*testing.T, database)
}{
	{"portal", testPortal},
	{"credentials", testCredentials},
	{"entities", testEntities},
	{"admin tokens", testAdminTokens},
	{"updates", testUpdates},
	{"bounds", testBounds},
	{"log", testLog},
	{"writes", testWrites},
	{"refused writes", testRefusedWrites},
	{"conflicts", testConflicts},
	{"reserved", testReserved},
	{"invalid fields", testInvalidFields},
	{"text", testText},
	{"not found", testNotFound},
	{"pages", testPages},
	{"hostile pages", testHostilePages},
	{"changes", testChanges},
	{"writers and followers", testWritersAndFollowers},
	{"slow writer", testSlowWriter},
	{"races", testRaces},
	{"cancelled", testCancelled},
	{"opened at once", testOpenedAtOnce},
	{"newer", testNewer},
	{"foreign", testForeign},
	{"wrong secret", testWrongSecret},
	{"tampered", testTampered},
	{"scale", testScale},
}

// runSuite runs it, each test on a database of its own.
func runSuite(t *testing.T, empty func(testing.TB) database) {
	t.Helper()
	for _, s := range suite {
		t.Run(s.name, func(t *testing.T) { s.test(t, empty(t)) })
	}
}

func TestSQLite(t *testing.T) { runSuite(t, emptyFile) }

// emptyFile returns a database of SQLite.
func emptyFile(t testing.TB) database {
	return database{dsn: "sqlite:" + filepath.Join(t.TempDir(), "registry.db")}
}

var (
	start  = time.Date(2030, 1, 2, 3, 4, 5, 678901000, time.UTC)
	system = Actor{Kind: "system", Name: "test"}
	secret = redact.New("an installation secret")
)

// cheap stands in for argon2id, which takes its time on purpose.
func cheap(string) string {
	return "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
}

// open opens the registry of a data source name until the test ends. Its clock stands
// still.
func open(t testing.TB, dsn string) *Registry {
	t.Helper()
	return openWith(t, dsn, Options{})
}

func openWith(t testing.TB, dsn string, o Options) *Registry {
	t.Helper()
	o.Secret, o.HashPassword, o.Now = secret, cheap, func() time.Time { return start }
	r, err := Open(context.Background(), dsn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
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
