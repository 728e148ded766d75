package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// childOpens opens a database, writes into it and ends.
func childOpens(dsn string) {
	r, err := Open(context.Background(), dsn, Options{Secret: secret})
	failed(err)
	_, err = r.CreateConsumer(context.Background(), system, Consumer{Username: fmt.Sprint("p", os.Getpid())})
	failed(err)
	failed(r.Close())
	os.Exit(0)
}

// Several processes that open an empty database at once all find one schema.
func testOpenedAtOnce(t *testing.T, db database) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const processes = 4
	var wait sync.WaitGroup
	for range processes {
		wait.Go(func() {
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), childDoes+"=open", childDSN+"="+db.dsn)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wait.Wait()
	r := open(t, db.dsn)
	if got := must(r.Consumers(context.Background(), ConsumerFilter{}, Page{}))(t); len(got.Data) != processes {
		t.Errorf("%d processes have written", len(got.Data))
	}
	if got := appliedVersions(t, r); !slices.Equal(got, knownVersions(t)) {
		t.Errorf("the schema went through the versions %q", got)
	}
}

// appliedVersions are the migrations that a database has gone through, in order.
func appliedVersions(t *testing.T, r *Registry) []string {
	t.Helper()
	return must(r.read().texts(context.Background(), `SELECT CAST(version_id AS TEXT) FROM `+versions+` WHERE version_id > 0 ORDER BY id`))(t)
}

// knownVersions are those that this program has.
func knownVersions(t *testing.T) (list []string) {
	t.Helper()
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		number, _, _ := strings.Cut(filepath.Base(name), "_")
		list = append(list, strings.TrimLeft(number, "0"))
	}
	return list
}

// A database that a newer program has migrated is left alone.
func testNewer(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	must(r.CreateConsumer(ctx, system, Consumer{Username: "ann"}))(t)
	must(r.conn(r.writer).exec(ctx, `INSERT INTO `+versions+` (version_id, is_applied) VALUES (?, ?)`, 99999, r.truth()))(t)
	before := dumpAll(t, r)
	if _, err := Open(ctx, db.dsn, Options{Secret: secret}); !errors.Is(err, ErrSchemaNewer) || !strings.Contains(err.Error(), "99999") {
		t.Errorf("got %v", err)
	}
	if after := dumpAll(t, r); after != before {
		t.Error("the database was changed")
	}
}

// truth returns true as goose stores it.
func (r *Registry) truth() any {
	if r.pg {
		return true
	}
	return 1
}

// A database of somebody else is left alone too.
func testForeign(t *testing.T, db database) {
	ctx := context.Background()
	source, err := parseDSN(db.dsn)
	if err != nil {
		t.Fatal(err)
	}
	r := &Registry{pg: db.pg}
	if db.pg {
		r.openPostgresPool(source.postgres)
	} else {
		err = r.openSQLitePools(source.path)
	}
	if err != nil {
		t.Fatal(err)
	}
	must(r.conn(r.writer).exec(ctx, `CREATE TABLE customers (id TEXT)`))(t)
	if _, err := Open(ctx, db.dsn, Options{Secret: secret}); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v", err)
	}
	if _, err := r.conn(r.writer).count(ctx, `SELECT COUNT(*) FROM `+versions); err == nil {
		t.Error("a table was made")
	}
	must(r.conn(r.writer).exec(ctx, `DROP TABLE customers`))(t)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, db.dsn)
}

// A wrong installation secret is noticed before anything is looked up by it.
func testWrongSecret(t *testing.T, db database) {
	ctx, w := context.Background(), newWorld(t, db.dsn)
	before := dumpAll(t, w.Registry)
	_, err := Open(ctx, db.dsn, Options{Secret: redact.New("another installation secret")})
	if !errors.Is(err, ErrSecret) {
		t.Errorf("got %v", err)
	}
	for _, s := range []string{"", "fifteen bytes.."} {
		var bad *Invalid
		if _, err := Open(ctx, db.dsn, Options{Secret: redact.New(s)}); !errors.As(err, &bad) || bad.Fields["secret"] == "" {
			t.Errorf("%q: got %v", s, err)
		}
	}
	if dumpAll(t, w.Registry) != before {
		t.Error("the database was changed")
	}
	open(t, db.dsn) // the right one
}

// What is sealed opens in its own row only, and says nothing where it does not.
func testTampered(t *testing.T, db database) {
	ctx, w := context.Background(), newWorld(t, db.dsn)
	j, _, err := w.CreateJWTSecret(ctx, system, JWTSecret{ConsumerID: w.ann.ID, Key: "iss-2"}, otherHMAC)
	if err != nil {
		t.Fatal(err)
	}
	c := w.conn(w.writer)
	refused := func(what string) {
		t.Helper()
		_, value, _, err := w.JWTSecretByKey(ctx, "iss")
		if err == nil || errors.Is(err, ErrNotFound) || !value.Empty() {
			t.Errorf("%s: %v", what, err)
		}
		for _, s := range secrets {
			if err != nil && strings.Contains(err.Error(), s) {
				t.Errorf("%s: the error tells a secret", what)
			}
		}
	}
	var sealed string
	if err := c.row(ctx, `SELECT sealed FROM jwts WHERE id = ?`, w.jwt.ID).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	set := func(s string) { must(c.exec(ctx, `UPDATE jwts SET sealed = ? WHERE id = ?`, s, w.jwt.ID))(t) }
	must(c.exec(ctx, `UPDATE jwts SET sealed = (SELECT sealed FROM jwts WHERE id = ?) WHERE id = ?`, j.ID, w.jwt.ID))(t)
	refused("another row's")
	must(c.exec(ctx, `UPDATE jwts SET sealed = (SELECT sealed FROM entities WHERE id = ?) WHERE id = ?`, uuid4(8), w.jwt.ID))(t)
	refused("another table's")
	for _, s := range []string{"", "x", sealed + "A", sealed[:len(sealed)-4], "A" + sealed[1:]} {
		if s != sealed {
			set(s)
			refused(fmt.Sprintf("%.10q", s))
		}
	}
	set(sealed)
	if _, value, _, err := w.JWTSecretByKey(ctx, "iss"); err != nil || value != theHMAC {
		t.Error(err)
	}
	must(c.exec(ctx, `UPDATE entities SET sealed = ? WHERE id = ?`, sealed, uuid4(8)))(t)
	if got, err := w.AllEntities(ctx); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("%v %v", got, err)
	}
	// A secret whose reading cannot be logged is not told.
	must(c.exec(ctx, `ALTER TABLE audits RENAME TO audits_away`))(t)
	if value, err := w.JWTSecretValue(ctx, system, "iss"); err == nil || !value.Empty() {
		t.Errorf("told without a line in the log: %v", err)
	}
	// Nobody becomes a key's owner by copying its hash into a row of their own: it is unique.
	if _, err := c.exec(ctx, `INSERT INTO keyauths (id, consumer_id, hash, hint, expires, tags, created) SELECT ?, consumer_id, hash, hint, expires, tags, created FROM keyauths`, uuid4(77)); err == nil {
		t.Error("a hash is there twice")
	}
}

// The same key has another hash in another installation, and in another place.
func TestKeyedHashes(t *testing.T) {
	a := must(newSealer(secret))(t)
	b := must(newSealer(redact.New("another installation secret")))(t)
	hashes := []string{keyed(a.keys, "x"), keyed(a.tokens, "x"), keyed(b.keys, "x"), keyed(b.tokens, "x"), a.check, b.check}
	slices.Sort(hashes)
	if len(slices.Compact(hashes)) != 6 {
		t.Errorf("%q", hashes)
	}
	one, two := a.seal("c", "1", "x"), a.seal("c", "1", "x")
	if one == two {
		t.Error("one text twice")
	}
	for _, s := range []sealer{a} {
		for _, f := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			if got := fmt.Sprintf(f, s); got != "[sealer]" {
				t.Errorf("%s prints %q", f, got)
			}
		}
	}
	h := argon2id("swordfish")
	if h == argon2id("swordfish") || !strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%q", h)
	}
}

// TestOpenSaysOfWhat: whoever reads why a program did not start is told that it is about
// the registry, and which file.
func TestOpenSaysOfWhat(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "kong.yml")
	if err := os.WriteFile(text, []byte(strings.Repeat("_format_version: '3.0'\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{text, filepath.Join(dir, "none", "r.db"), dir} {
		_, err := Open(t.Context(), "sqlite:"+path, Options{Secret: secret})
		if err == nil || !strings.HasPrefix(err.Error(), "registry: ") || !strings.Contains(err.Error(), path+": ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(got), "_format_version") {
		t.Errorf("%q, %v", got, err)
	}
}
