//go:build real

package registry

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv/postgres"
)

func TestPostgres(t *testing.T) {
	server := postgres.Start(t)
	runSuite(t, func(t testing.TB) database { return database{dsn: server.Database(t), pg: true} })

	// The server is started with synchronous_commit=off and without any time-out.
	t.Run("settings", func(t *testing.T) {
		ctx, dsn := context.Background(), server.Database(t)
		settings := func(dsn string, want map[string]string) {
			t.Helper()
			r := open(t, dsn)
			for name, want := range want {
				var got string
				if err := r.read().row(ctx, `SELECT current_setting(?)`, name).Scan(&got); err != nil || got != want {
					t.Errorf("%s is %q, %v", name, got, err)
				}
			}
		}
		settings(dsn, map[string]string{"synchronous_commit": "on", "idle_in_transaction_session_timeout": "30s", "statement_timeout": "1min"})
		settings(dsn+"?synchronous_commit=remote_apply&statement_timeout=5s", map[string]string{"synchronous_commit": "remote_apply", "statement_timeout": "5s"})
	})
	t.Run("encoding", func(t *testing.T) {
		_, err := Open(context.Background(), server.Database(t, "ENCODING LATIN1 LOCALE 'C'"), Options{Secret: secret})
		var bad *Invalid
		if !errors.As(err, &bad) || !strings.Contains(bad.Fields["dsn"], "LATIN1") {
			t.Errorf("got %v", err)
		}
	})
	// A database may be shared where each has a schema of its own.
	t.Run("schema", func(t *testing.T) {
		ctx, dsn := context.Background(), server.Database(t)
		name := dsn[strings.LastIndexByte(dsn, '/')+1:]
		server.Exec(t, name, `CREATE TABLE customers (id TEXT); CREATE SCHEMA one; CREATE SCHEMA two`)
		one, two := open(t, dsn+"?search_path=one"), open(t, dsn+"?search_path=two")
		must(one.CreateConsumer(ctx, system, Consumer{Username: "ann"}))(t)
		if _, err := two.Consumer(ctx, "ann"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if _, err := Open(ctx, dsn, Options{Secret: secret}); !errors.Is(err, ErrForeign) {
			t.Error(err)
		}
	})
	t.Run("password", func(t *testing.T) {
		dsn := strings.Replace(server.Database(t), "test:", "test:wrong-", 1)
		if _, err := Open(context.Background(), dsn, Options{Secret: secret}); err == nil || strings.Contains(err.Error(), "wrong-") || strings.Contains(err.Error(), server.Password()) {
			t.Errorf("got %v", err)
		}
	})
	// Without the server everything fails, nothing is not found; with it again everything
	// is there.
	t.Run("away", func(t *testing.T) {
		ctx, r := context.Background(), open(t, server.Database(t))
		c := must(r.CreateConsumer(ctx, system, Consumer{Username: "ann"}))(t)
		_, last, _, err := r.Changes(ctx, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		server.Stop()
		for name, err := range map[string]error{
			"Ping": r.Ping(ctx), "Consumer": second(r.Consumer(ctx, "ann")), "IdentityBy": second(r.IdentityBy(ctx, []string{"username"}, "nobody")),
			"Create": second(r.CreateConsumer(ctx, system, Consumer{Username: "bob"})), "token": second(r.AdminTokenBy(ctx, theToken.Reveal())),
		} {
			var bad *Invalid
			if err == nil || errors.Is(err, ErrNotFound) || isConflict(err) || errors.As(err, &bad) || strings.Contains(err.Error(), server.Password()) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, same, gap, err := r.Changes(ctx, last, 0); err == nil || gap || same != last {
			t.Errorf("%d %t %v", same, gap, err)
		}
		server.Run(t)
		if got := must(r.Consumer(ctx, "ann"))(t); got.ID != c.ID {
			t.Errorf("%+v", got)
		}
		must(r.CreateConsumer(ctx, system, Consumer{Username: "bob"}))(t)
		if list, _, gap, err := r.Changes(ctx, last, 0); err != nil || gap || len(list) != 2 {
			t.Errorf("%v %t %v", list, gap, err)
		}
	})
}
