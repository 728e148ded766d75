package registry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors that callers tell apart. Everything else is the database's trouble: 503.
var (
	// ErrNotFound: there is no such entity. Kong's 404.
	ErrNotFound = errors.New("registry: not found")
	// ErrSchemaNewer: a newer program has migrated the database.
	ErrSchemaNewer = errors.New("registry: the database was migrated by a newer version of this program: run that one, or restore a backup from before")
	// ErrSecret: what is hashed and sealed in the database was so under another secret.
	ErrSecret = errors.New("registry: the installation secret is not the one that this database was made with: API keys could not be found, and jwt secrets not be opened")
	// ErrForeign: the database belongs to another program.
	ErrForeign = errors.New("registry: the database holds tables that are not the registry's: expected an empty database (or schema), or one that was made here")
)

// Conflict is the error of a write whose unique field is taken. Kong's 409. Value is
// empty where it would be a secret.
type Conflict struct{ Field, Value string }

func (c *Conflict) Error() string {
	if c.Value == "" {
		return fmt.Sprintf("registry: %s is taken", c.Field)
	}
	return fmt.Sprintf("registry: %s %q is taken", c.Field, c.Value)
}

// Invalid is the error of a write, or of a question, with fields that cannot be. Kong's
// 400. The sentences name no value that could be a secret.
type Invalid struct{ Fields map[string]string }

func (i *Invalid) Error() string {
	var b strings.Builder
	b.WriteString("registry: invalid")
	for n, field := range slices.Sorted(maps.Keys(i.Fields)) {
		b.WriteString([]string{": ", "; "}[min(n, 1)] + field + " " + i.Fields[field])
	}
	return b.String()
}

// invalid returns the error for one field.
func invalid(field, format string, args ...any) error {
	return &Invalid{map[string]string{field: fmt.Sprintf(format, args...)}}
}

// unique says which field a unique index is for, by SQLite's name of its columns and by
// Postgres's name of the index.
var unique = map[string]string{
	"consumers.id": "id", "consumers_pkey": "id",
	"consumers.username": "username", "consumers_username": "username",
	"consumers.custom_id": "custom_id", "consumers_custom_id": "custom_id",
	"keyauths.id": "id", "keyauths_pkey": "id",
	"keyauths.hash": "key", "keyauths_hash": "key",
	"basicauths.id": "id", "basicauths_pkey": "id",
	"basicauths.username": "username", "basicauths_username": "username",
	"jwts.id": "id", "jwts_pkey": "id",
	"jwts.iss": "key", "jwts_iss": "key",
	"acls.id": "id", "acls_pkey": "id",
	"acls.consumer_id, acls.grp": "group", "acls_consumer_grp": "group",
	"developers.id": "id", "developers_pkey": "id",
	"developers.email_fold": "email", "developers_email": "email",
	"developers.issuer, developers.subject": "subject", "developers_subject": "subject",
	"applications.id": "id", "applications_pkey": "id",
	"applications.developer_id, applications.name": "name", "applications_name": "name",
	"contracts.id": "id", "contracts_pkey": "id",
	"contracts.application_id, contracts.service": "service", "contracts_service": "service",
	"entities.id": "id", "entities_pkey": "id",
	"entities.kind, entities.name": "name", "entities_name": "name",
	"tokens.id": "id", "tokens_pkey": "id",
	"tokens.name": "name", "tokens_name": "name",
	"tokens.hash": "token", "tokens_hash": "token",
}

// taken makes a Conflict of a database's complaint about a unique index; values are
// those that may be shown. Every other error stays what it is.
func taken(err error, values map[string]string) error {
	var index string
	var lite *sqlite.Error
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &lite) && (lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY):
		// constraint failed: UNIQUE constraint failed: consumers.username (2067)
		_, index, _ = strings.Cut(lite.Error(), "UNIQUE constraint failed: ")
		index, _, _ = strings.Cut(index, " (")
	case errors.As(err, &pg) && pg.Code == "23505": // unique_violation
		index = pg.ConstraintName
	default:
		return err
	}
	field := unique[index]
	if field == "" {
		return err
	}
	return &Conflict{Field: field, Value: values[field]}
}
