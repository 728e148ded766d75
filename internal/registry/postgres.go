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

	connectTimeout = 10 * time.Second
)

// preparing is the advisory lock of whoever migrates: "sallypor" in ASCII.
const preparing = 0x73616c6c79706f72

// openPostgres opens a database of Postgres.
func (r *Registry) openPostgres(ctx context.Context, config *pgx.ConnConfig) (err error) {
	r.openPostgresPool(config)
	// One process at a time prepares; the others wait. The lock ends with its session.
	session, err := r.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	var encoding string
	if err := session.QueryRowContext(ctx, `SHOW server_encoding`).Scan(&encoding); err != nil {
		return err
	}
	if encoding != "UTF8" {
		return invalid("dsn", "is of a database in %s: expected one in UTF8", encoding)
	}
	if _, err := session.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(preparing)); err != nil {
		return err
	}
	defer func() {
		_, e := session.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(preparing))
		err = errors.Join(err, e)
	}()
	return r.prepare(ctx)
}

func (r *Registry) openPostgresPool(config *pgx.ConnConfig) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	r.writer = stdlib.OpenDB(*config, stdlib.OptionAfterConnect(settings))
	r.writer.SetMaxOpenConns(maxConns)
	r.writer.SetMaxIdleConns(maxConns)
	r.writer.SetConnMaxLifetime(maxConnLife)
	r.reader = r.writer
}

// settings makes of a connection what we need, where the server or the data source name
// do not ask for something stricter.
//
//   - What is acknowledged is on disk: values other than off wait for replicas beside.
//   - A server waits for no client for ever. Whoever writes holds a lock that all writers
//     need, and must lose it when its machine is gone.
func settings(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, `SELECT set_config(name, value, false)
		FROM (VALUES ('synchronous_commit', 'off', 'on'),
			('idle_in_transaction_session_timeout', '0', '30s'),
			('statement_timeout', '0', '60s')) AS s (name, unset, value)
		WHERE current_setting(name) = unset`)
	return err
}
