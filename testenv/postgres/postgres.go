// Package postgres runs a real Postgres for tests, whose databases are forgotten at its
// end. install.sh installs it.
package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver pgx

	"github.com/sallyport-auth/sallyport/testenv"
)

// Server is a running Postgres. It listens on loopback and wants a password.
type Server struct {
	bin, dir string
	user     *syscall.Credential
	port     int
	password string
	process  *testenv.Process
	made     atomic.Int64 // databases
}

// superuser is who makes databases, and whose they are.
const superuser = "test"

// patience is how long a start may take.
const patience = time.Minute

// Path returns the folder of the programs, skipping the test where there is none.
func Path(t testing.TB) string {
	t.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian keeps them out of the path
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		testenv.Missing(t, "Postgres is not installed: run testenv/postgres/install.sh")
	}
	newest := slices.MaxFunc(all, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest)
}

// version returns the version of a program by its path, 0 where that is a word.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// Start starts a server that nobody else uses. Its sessions do not wait for the disk
// unless they ask for it, and the whole server never does: what a machine without power
// loses is nothing that a test could see.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{bin: Path(t), dir: testenv.TempDir(t), port: testenv.FreePort(t), password: "a password with @:/?#"}
	s.user = unprivileged(t)
	if s.user != nil {
		if err := os.Chown(s.dir, int(s.user.Uid), int(s.user.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(s.password+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	initdb := testenv.StartAs(t, s.user, "initdb", filepath.Join(s.bin, "initdb"), []string{"-D", s.data(), "-U", superuser, "--pwfile", secret,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"}, "LC_ALL=C.UTF-8")
	if code := initdb.ExitCode(); code != 0 {
		t.Fatalf("initdb ended with %d: %s", code, initdb.Tail())
	}
	s.Run(t)
	return s
}

// unprivileged returns whom the server runs as where the test is root's, which it
// refuses.
func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	testenv.Missing(t, "Postgres does not run as root, and there is no user postgres or nobody")
	return nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Run starts the process, again after Stop, and waits until it answers.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	s.process = testenv.StartAs(t, s.user, "postgres", filepath.Join(s.bin, "postgres"), []string{"-D", s.data(), "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + s.dir, "-c", "fsync=off", "-c", "synchronous_commit=off",
		"-c", "full_page_writes=off", "-c", "max_connections=200", "-c", "autovacuum=off"}, "LC_ALL=C.UTF-8")
	t.Cleanup(s.Stop)
	db := s.open(t, "postgres")
	defer db.Close()
	s.process.WaitReady(t, patience, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return db.PingContext(ctx) == nil
	})
}

// Stop ends the process, whoever is still connected.
func (s *Server) Stop() {
	if !s.process.Ended() {
		_ = syscall.Kill(s.process.PID(), syscall.SIGINT) // the fast shutdown
		_ = testenv.Poll(patience/4, s.process.Ended)
	}
	s.process.Stop()
}

// URL returns the data source name of a database.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(superuser, s.password), Host: fmt.Sprintf("127.0.0.1:%d", s.port), Path: database}
	return u.String()
}

// Password returns what the data source names hold.
func (s *Server) Password() string { return s.password }

// Database makes an empty database and returns its data source name. options may say
// what CREATE DATABASE is to be told beside.
func (s *Server) Database(t testing.TB, options ...string) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.made.Add(1))
	s.Exec(t, "postgres", `CREATE DATABASE `+name+` TEMPLATE template0 `+strings.Join(options, " "))
	return s.URL(name)
}

// Exec runs a statement in a database.
func (s *Server) Exec(t testing.TB, database, statement string) {
	t.Helper()
	db := s.open(t, database)
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func (s *Server) open(t testing.TB, database string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	return db
}
