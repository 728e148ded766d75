package registry

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// conn asks one of the two databases. Questions are written with ? for values, and
// values never become part of their text.
type conn struct {
	q     querier
	pg    bool
	trace func(query string, args []any)
}

// querier is a pool of connections or a transaction.
type querier interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

func (r *Registry) conn(q querier) conn { return conn{q, r.pg, r.trace} }

// read returns a conn for questions outside of a transaction.
func (r *Registry) read() conn { return r.conn(r.reader) }

// view runs questions that see one state of the database.
func (r *Registry) view(ctx context.Context, f func(conn) error) error {
	o := &sql.TxOptions{ReadOnly: true}
	if r.pg {
		o.Isolation = sql.LevelRepeatableRead
	}
	t, err := r.reader.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = t.Rollback() }() // there is nothing to keep
	return f(r.conn(t))
}

// exec runs a statement and returns how many rows it changed.
func (c conn) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := c.q.ExecContext(ctx, c.bind(query, args), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (c conn) row(ctx context.Context, query string, args ...any) *sql.Row {
	return c.q.QueryRowContext(ctx, c.bind(query, args), args...)
}

// scanner is a row: *sql.Row or *sql.Rows.
type scanner interface{ Scan(...any) error }

// rows asks for rows and hands each to scan.
func (c conn) rows(ctx context.Context, scan func(scanner) error, query string, args ...any) error {
	rows, err := c.q.QueryContext(ctx, c.bind(query, args), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// texts asks for rows with one text each.
func (c conn) texts(ctx context.Context, query string, args ...any) (list []string, err error) {
	err = c.rows(ctx, func(s scanner) error {
		var text string
		if err := s.Scan(&text); err != nil {
			return err
		}
		list = append(list, text)
		return nil
	}, query, args...)
	return list, err
}

// count asks for one number.
func (c conn) count(ctx context.Context, query string, args ...any) (n int, err error) {
	err = c.row(ctx, query, args...).Scan(&n)
	return n, err
}

// bind writes $1, $2 … for ?, as Postgres wants it. No text in our statements holds a
// question mark.
func (c conn) bind(query string, args []any) string {
	if c.trace != nil {
		c.trace(query, args)
	}
	if !c.pg {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		query = after
	}
}

// null returns NULL for an empty text, of which a unique index takes many.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// bit returns a truth value as it is stored.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
