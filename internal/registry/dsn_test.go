package registry

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDSN(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	for _, name := range []string{"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSERVICE", "PGSSLROOTCERT"} {
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dsn, path := range map[string]string{
		"sqlite:/var/lib/x.db": "/var/lib/x.db", "sqlite:///var/lib/x.db": "/var/lib/x.db", "/var/lib/x.db": "/var/lib/x.db",
		"sqlite:x.db": here + "/x.db", "x.db": here + "/x.db", "./a?b#c%20d.db": here + "/a?b#c%20d.db", "/a/../x.db": "/x.db", "/odd/a://b": "/odd/a:/b",
	} {
		s, err := parseDSN(dsn)
		if err != nil || s.path != path || s.postgres != nil {
			t.Errorf("%q: got %q, %v", dsn, s.path, err)
		}
	}
	for dsn, tls := range map[string]string{ // host/database, and whom the server's certificate has to name
		"postgres://u:p@127.0.0.1/d":                              "127.0.0.1/d plain",
		"postgresql://u:p@localhost/d":                            "localhost/d plain",
		"postgres://u:p@[::1]:1/d":                                "::1/d plain",
		"postgres:///d?host=/run/postgresql":                      "/run/postgresql/d plain",
		"postgres://u:p@db.example/d":                             "db.example/d db.example",
		"postgres://u:p@db.example/d?sslmode=require":             "db.example/d any",
		"postgres://u:p@db.example/d?sslmode=disable":             "db.example/d plain",
		"postgres://u:p@db.example:5433/d?application_name=a%20b": "db.example/d db.example",
	} {
		s, err := parseDSN(dsn)
		if err != nil || s.postgres == nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		got := s.postgres.Host + "/" + s.postgres.Database
		switch c := s.postgres.TLSConfig; {
		case c == nil || len(s.postgres.Fallbacks) > 0: // there is a way without
			got += " plain"
		case c.InsecureSkipVerify:
			got += " any"
		default:
			got += " " + c.ServerName
		}
		if got != tls {
			t.Errorf("%s: got %s, want %s", dsn, got, tls)
		}
	}
	// Of several hosts the first may be this machine.
	for _, dsn := range []string{"postgres://u:p@localhost,db.example/d", "postgres://u:p@127.0.0.1:1,10.1.2.3:2/d", "postgres:///d?host=/run/postgresql,db.example"} {
		s, err := parseDSN(dsn)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		for _, next := range s.postgres.Fallbacks {
			if c := next.TLSConfig; !local(next.Host) && (c == nil || c.ServerName != next.Host) {
				t.Errorf("%s: the password goes to whoever answers as %s", dsn, next.Host)
			}
		}
	}
	const password = "s3cr3t-p4ss"
	for _, dsn := range []string{
		"", "sqlite:", ":memory:", "sqlite::memory:", "file:x.db", "sqlite:file:x.db", "sqlite://host/x.db", "mysql://u:" + password + "@h/d", "Postgres://u:" + password + "@h/d",
		"postgres://u:" + password + "@h:port/d", "postgres://u:" + password + "@h/d?sslmode=never", "postgres://u:" + password + "%@h/d", "postgres://u:" + password + " x@h/d?%",
		"postgres://u:" + password + "@h/d?%zz", "postgres://u:" + password + "@h\x00/d", "x\x00.db", "x\n.db", "x\xff.db", strings.Repeat("x", maxDSN+1),
	} {
		_, err := parseDSN(dsn)
		var bad *Invalid
		if !errors.As(err, &bad) || bad.Fields["dsn"] == "" {
			t.Errorf("%.50q: %v", dsn, err)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%q: the error tells the password: %v", dsn, err)
		}
	}
}

func FuzzDSN(f *testing.F) {
	for _, s := range []string{"", "x.db", "sqlite:/x.db", "sqlite:///x.db", "postgres://u:secretsecret@h/d", "postgres://u:secretsecret@h:1/d?sslmode=verify-full&host=/tmp",
		"postgres://u:secretsecret@h,h2:2/d?%", "postgresql://[::1", "postgres://u:secretsecret%zz@h/", "mysql://secretsecret"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		s, err := parseDSN(dsn)
		var bad *Invalid
		switch {
		case err == nil && (s.postgres == nil) == (s.path == ""):
			t.Fatalf("%+v", s)
		case err == nil && s.path != "" && (!filepath.IsAbs(s.path) || !strings.HasPrefix(sqliteURI(s.path, nil), "file:///")):
			t.Fatalf("%q", s.path)
		case err != nil && (!errors.As(err, &bad) || bad.Fields["dsn"] == "" || s.postgres != nil || s.path != ""):
			t.Fatalf("%+v %v", s, err)
		case err != nil && strings.Contains(err.Error(), "secretsecret"):
			t.Fatalf("the error tells the name: %v", err)
		}
	})
}

// The name of a file is that, whatever stands in it.
func TestSQLiteFile(t *testing.T) {
	ctx := context.Background()
	for _, name := range []string{"plain.db", "a b.db", "a?mode=memory&_pragma=x.db", "a#b%20c.db", "ümlaut'\".db", ":colon.db"} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		r := open(t, "sqlite:"+path)
		must(r.CreateConsumer(ctx, system, Consumer{Username: "ann"}))(t)
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(e.Name(), name) || info.Mode().Perm() != 0o600 {
				t.Errorf("%q: %q has mode %v", name, e.Name(), info.Mode())
			}
			if e.Name() == name || e.Name() == name+"-wal" {
				seen++
			}
		}
		if seen != 2 {
			t.Errorf("%q: %v", name, entries)
		}
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "trusted_schema": "0", "busy_timeout": "10000"} {
			for _, pool := range []querier{r.writer, r.reader} {
				var got string
				if err := r.conn(pool).row(ctx, `PRAGMA `+pragma).Scan(&got); err != nil || got != want {
					t.Errorf("%q: %s is %s, %v", name, pragma, got, err)
				}
			}
		}
		if _, err := r.read().exec(ctx, `DELETE FROM consumers`); err == nil {
			t.Error("a connection for readers writes")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		must(open(t, path).Consumer(ctx, "ann"))(t)
	}
}

// What cannot be opened is an error, and nothing is left open or made.
func TestSQLiteNotOpened(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database of SQLite at all\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "missing", "x.db"), dir, text} {
		if _, err := Open(context.Background(), path, Options{Secret: secret}); err == nil {
			t.Errorf("%s was opened", path)
		}
	}
	if data, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(data), "this is no database") {
		t.Errorf("the file was changed: %v", err)
	}
}

// A copy made by VACUUM INTO while somebody writes is a database like any other.
func TestSQLiteBackup(t *testing.T) {
	ctx, db := context.Background(), emptyFile(t)
	r, dsn := open(t, db.dsn), must(parseDSN(db.dsn))(t)
	must(r.CreateConsumer(ctx, system, Consumer{Username: "ann"}))(t)
	backup := filepath.Join(t.TempDir(), "backup.db")
	inside, release := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() { done <- r.putSlowly(ctx, inside, release) }()
	<-inside
	operator, err := sql.Open("sqlite", dsn.path)
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	if _, err := operator.Exec(`VACUUM INTO ?`, backup); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	copied := open(t, backup)
	must(copied.Consumer(ctx, "ann"))(t)
	if _, err := copied.Consumer(ctx, "slow"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	// Who follows the original knows more than the copy does, and is told so.
	h := must(r.head(ctx))(t)
	if _, last, gap, err := copied.Changes(ctx, h.seq, 0); err != nil || !gap || last >= h.seq {
		t.Errorf("%d %t %v", last, gap, err)
	}
	whole(t, copied)
}
