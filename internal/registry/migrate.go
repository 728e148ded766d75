package registry

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// migrations are the steps from one version of the schema to the next. One that has
// been released does not change.
//
//go:embed migrations/*.sql
var migrations embed.FS

// versions is the table in which goose keeps what it has done.
const versions = "sallyport_schema"

// migrate brings the schema to the version of this program.
func (r *Registry) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	dialect := goose.DialectSQLite3
	if r.pg {
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, r.writer, files, goose.WithTableName(versions), goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if err := r.foreign(ctx); err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("registry: reading the version of the schema: %w", err)
	}
	if have > want {
		return fmt.Errorf("%w (version %d, this one knows %d)", ErrSchemaNewer, have, want)
	}
	if have == want {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		var partial *goose.PartialError
		if errors.As(err, &partial) && partial.Err != nil {
			err = partial.Err
		}
		return fmt.Errorf("registry: migrating from version %d: %w", have, err)
	}
	return nil
}

// foreign refuses a database with tables, but without ours.
func (r *Registry) foreign(ctx context.Context) error {
	query := `SELECT COUNT(*), COALESCE(SUM(CASE WHEN name = ? THEN 1 ELSE 0 END), 0) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`
	if r.pg {
		query = `SELECT COUNT(*), COALESCE(SUM(CASE WHEN tablename = ? THEN 1 ELSE 0 END), 0) FROM pg_catalog.pg_tables WHERE schemaname = current_schema()`
	}
	var all, ours int
	if err := r.conn(r.writer).row(ctx, query, versions).Scan(&all, &ours); err != nil {
		return err
	}
	if all > 0 && ours == 0 {
		return ErrForeign
	}
	return nil
}
