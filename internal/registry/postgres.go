package registry

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Connections of one process to Postgres.
const (
	maxConns    = 16
	maxConnLife = time.Hour
)

// preparing is the advisory lock of whoever migrates: "sallypor" in ASCII.
const preparing = 0x73616c6c79706f72

// openPostgres opens a database of Postgres.
func (r *Registry) openPostgres(ctx context.Context, config *pgx.ConnConfig) (err error) {
	durable := stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		// What is acknowledged is on disk, whatever the server does for others. Values other
		// than off wait for replicas beside, or only, and stay.
		_, err := c.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
		return err
	})
	r.writer = stdlib.OpenDB(*config, durable)
	r.writer.SetMaxOpenConns(maxConns)
	r.writer.SetMaxIdleConns(maxConns)
	r.writer.SetConnMaxLifetime(maxConnLife)
	r.reader = r.writer

	// One process at a time prepares; the others wait. The lock ends with its session.
	session, err := r.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	if _, err := session.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(preparing)); err != nil {
		return err
	}
	defer func() {
		_, e := session.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(preparing))
		err = errors.Join(err, e)
	}()
	return r.prepare(ctx)
}
