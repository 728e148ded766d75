package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"syscall"

	"modernc.org/sqlite" // and driver sqlite
	sqlite3 "modernc.org/sqlite/lib"
)

// maxReaders bounds the connections that read a file at the same time.
const maxReaders = 8

// openSQLite opens a file. One connection writes, in transactions that begin with the
// write lock (BEGIN IMMEDIATE), so that none finds out half way that another process
// was first; that one is waited for.
func (r *Registry) openSQLite(ctx context.Context, path string) (err error) {
	// SQLite would make the file by umask; its -wal and -shm get the mode of the file. One
	// that is there is not opened: closing it would take away the locks that SQLite holds on
	// it for whoever else has it open in this process (POSIX record locks). Another process,
	// even a backup's, would then remove the log beneath them, and what they write would be lost.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case errors.Is(err, os.ErrExist):
	case err != nil:
		return err
	default:
		if err := f.Close(); err != nil {
			return err
		}
	}
	// One process at a time prepares. The lock is a file of its own, for the same reason.
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("%s: %w", lock.Name(), err)
	}

	if err := r.openSQLitePools(path); err != nil {
		return err
	}
	err = r.prepare(ctx)
	if lite := (*sqlite.Error)(nil); errors.As(err, &lite) && (lite.Code() == sqlite3.SQLITE_NOTADB || lite.Code() == sqlite3.SQLITE_CANTOPEN) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return err
}

func (r *Registry) openSQLitePools(path string) (err error) {
	if r.writer, err = sql.Open("sqlite", sqliteURI(path, url.Values{"_txlock": {"immediate"}, "_journal_mode": {"WAL"}})); err != nil {
		return err
	}
	r.writer.SetMaxOpenConns(1)
	if r.reader, err = sql.Open("sqlite", sqliteURI(path, url.Values{"_query_only": {"true"}})); err != nil {
		return err
	}
	r.reader.SetMaxOpenConns(maxReaders)
	r.reader.SetMaxIdleConns(maxReaders)
	return nil
}

// sqliteURI returns the name of a file with the settings of every connection.
// synchronous=FULL makes a commit outlive the machine, not only the process.
func sqliteURI(path string, more url.Values) string {
	q := url.Values{
		"_busy_timeout": {"10000"}, "_synchronous": {"FULL"}, "_foreign_keys": {"true"}, "_defensive": {"true"}, "_error_rc": {"true"},
		"_pragma": {"trusted_schema(0)"},
	}
	for name, v := range more {
		q[name] = v
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}
