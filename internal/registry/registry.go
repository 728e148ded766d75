package registry

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// Options are what Open needs beside the name of the database.
type Options struct {
	// Secret is the installation secret, at least 16 bytes: API keys and admin tokens
	// are hashed, and jwt secrets sealed, under keys that come of it. It has to be the
	// same for everybody who opens the database, forever.
	Secret redact.Secret
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// HashPassword hashes a password into what internal/passhash reads; nil: argon2id
	// with 19 MiB and two passes.
	HashPassword func(string) string
	// Reserved reports whether the declarative file has a value of a unique field, which
	// is then refused here as a Conflict; nil: it has none. kind and field are consumers
	// (id, username, custom_id), keyauths (id, key), basicauths (id, username) and jwts
	// (id, key). It is called while a transaction is open and must not use the registry.
	Reserved func(kind, field, value string) bool
}

// Registry is a database of consumers, credentials, developers, applications and
// contracts. It comes from Open and is safe for concurrent use, by several processes too.
type Registry struct {
	writer, reader *sql.DB // one and the same for Postgres
	pg             bool
	sealer         sealer
	now            func() time.Time
	hashPassword   func(string) string
	reserved       func(kind, field, value string) bool
	keep           uint64                         // changes
	trace          func(query string, args []any) // nil but in tests
}

// minSecret is the least length of an installation secret, in bytes.
const minSecret = 16

// Open opens a database and migrates it forward. dsn is sqlite:PATH, a path alone, or a
// URL of Postgres (postgres://user@host:5432/database). A file of SQLite that is not
// there is made, with mode 0600. The error is ErrSchemaNewer, ErrSecret, ErrForeign or
// Invalid (field dsn or secret) where it is not the database's own; none tells a
// password of dsn.
func Open(ctx context.Context, dsn string, o Options) (*Registry, error) {
	source, err := parseDSN(dsn)
	if err != nil {
		return nil, err
	}
	if len(o.Secret.Reveal()) < minSecret {
		return nil, invalid("secret", "is shorter than %d bytes", minSecret)
	}
	r := &Registry{pg: source.postgres != nil, now: o.Now, hashPassword: o.HashPassword, reserved: o.Reserved, keep: maxChanges}
	if r.now == nil {
		r.now = time.Now
	}
	if r.hashPassword == nil {
		r.hashPassword = argon2id
	}
	if r.reserved == nil {
		r.reserved = func(_, _, _ string) bool { return false }
	}
	if r.sealer, err = newSealer(o.Secret); err != nil {
		return nil, err
	}
	if r.pg {
		err = r.openPostgres(ctx, source.postgres)
	} else {
		err = r.openSQLite(ctx, source.path)
	}
	if err != nil {
		if !strings.HasPrefix(err.Error(), "registry: ") {
			err = fmt.Errorf("registry: %w", err)
		}
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close releases the connections.
func (r *Registry) Close() error {
	var errs []error
	if r.reader != nil && r.reader != r.writer {
		errs = append(errs, r.reader.Close())
	}
	if r.writer != nil {
		errs = append(errs, r.writer.Close())
	}
	return errors.Join(errs...)
}

// Ping reports whether the database answers a question.
func (r *Registry) Ping(ctx context.Context) error {
	var one int
	return r.read().row(ctx, `SELECT one FROM head`).Scan(&one)
}

// prepare migrates and compares the secret. Whoever calls it keeps others out meanwhile.
func (r *Registry) prepare(ctx context.Context) error {
	if err := r.migrate(ctx); err != nil {
		return err
	}
	c := r.conn(r.writer)
	var have string
	err := c.row(ctx, `SELECT value FROM meta WHERE name = 'secret_check'`).Scan(&have)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = c.exec(ctx, `INSERT INTO meta (name, value) VALUES ('secret_check', ?)`, r.sealer.check)
		return err
	}
	if err != nil {
		return err
	}
	if have != r.sealer.check {
		return ErrSecret
	}
	return nil
}

// newID returns an id, a UUID of version 7 (RFC 9562 §5.7): those that are made later
// are greater, so that lists by id are lists by age.
func newID() string {
	id, err := uuid.NewV7()
	if err != nil {
		panic(fmt.Errorf("registry: no random bytes: %w", err))
	}
	return id.String()
}

// newSecret returns 256 random bits as 64 hex digits.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program
	return hex.EncodeToString(b[:])
}
