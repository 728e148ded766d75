package registry

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// source is a data source name that was read: one of the two.
type source struct {
	path     string // of SQLite's file, absolute
	postgres *pgx.ConnConfig
}

// maxDSN bounds a data source name, in bytes.
const maxDSN = 4096

// parseDSN reads a data source name. The error never quotes it: it may hold a password.
func parseDSN(dsn string) (source, error) {
	fail := func(why string) (source, error) { return source{}, invalid("dsn", "%s", why) }
	switch {
	case dsn == "":
		return fail("is empty: expected sqlite:PATH or postgres://…")
	case len(dsn) > maxDSN || !utf8.ValidString(dsn) || strings.ContainsFunc(dsn, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return fail("is too long, or holds control characters or broken UTF-8")
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		config, err := parsePostgres(dsn)
		if err != nil {
			return fail("cannot be read: expected postgres://user:password@host:5432/database?sslmode=verify-full")
		}
		return source{postgres: config}, nil
	}
	path := strings.TrimPrefix(dsn, "sqlite:")
	switch scheme, _, ok := strings.Cut(path, "://"); {
	case ok && path == dsn && !strings.Contains(scheme, "/"):
		return fail("is of an unknown kind: expected sqlite:PATH or postgres://…")
	case path == "" || path == ":memory:" || strings.HasPrefix(path, "file:"):
		return fail("has no path of a file: expected sqlite:/path/file.db")
	}
	// sqlite:///path is how others write it.
	if rest, ok := strings.CutPrefix(path, "//"); ok && path != dsn {
		if !strings.HasPrefix(rest, "/") {
			return fail("has a host, which SQLite does not know: expected sqlite:/path/file.db")
		}
		path = rest
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return fail("has a path that cannot be made absolute")
	}
	return source{path: path}, nil
}

// parsePostgres reads a URL of Postgres. Where nobody says how a server on the network
// is to be known, it is by its certificate: the library's own default would go on
// without encryption.
func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, err
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, err
	}
	if !q.Has("sslmode") && os.Getenv("PGSSLMODE") == "" {
		// Only to see which hosts these are, the environment and service files included.
		plain, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, err
		}
		here := local(plain.Host)
		for _, next := range plain.Fallbacks { // of several hosts each but the first
			here = here && local(next.Host)
		}
		if !here {
			q.Set("sslmode", "verify-full")
			u.RawQuery = q.Encode()
		}
	}
	return pgx.ParseConfig(u.String())
}

// local reports whether a host is this machine: a socket's directory, or loopback.
func local(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
}
