package sidecar

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/testenv"
)

// entity is what the admin API would have made.
func entity(kind, id, name, members string) registry.Entity {
	return registry.Entity{Kind: kind, ID: id, Name: name, JSON: []byte(`{"id":"` + id + `","name":"` + name + `",` + members + `}`)}
}

// Ids of entities.
const (
	besideService = "11111111-1111-4111-8111-111111111111"
	besideRoute   = "22222222-2222-4222-8222-222222222222"
	besidePlugin  = "33333333-3333-4333-8333-333333333333"
)

// services are the names of the services in force.
func (b *bench) services() string {
	var names []string
	for _, s := range b.File().Services {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// TestRegistryBesideTheFile: what the registry has is put in force beside the file, a
// change of it without the file's being read, and it stays while the registry is away.
func TestRegistryBesideTheFile(t *testing.T) {
	b := prepare(t, file("a"))
	path := filepath.Join(filepath.Dir(b.path), "registry.db")
	b.config.Registry = redact.New("sqlite:" + path)
	b.run()
	own := b.services()
	db, err := OpenRegistry(t.Context(), b.config.Registry, b.File(), b.StateDir())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	create := func(e registry.Entity) {
		t.Helper()
		if _, err := db.CreateEntity(t.Context(), tester, e, nil); err != nil {
			t.Fatal(err)
		}
	}
	create(entity("services", besideService, "beside", `"host":"h"`))
	create(entity("routes", besideRoute, "beside", `"paths":["/beside"],"service":{"id":"`+besideService+`"}`))
	testenv.Eventually(t, 10*time.Second, "the registry's route", func() bool {
		got, err := b.bundle()
		if err != nil || b.services() != own+" beside" {
			return false
		}
		for _, r := range b.File().Routes {
			if r.Name == "beside" && got.Source == b.File().Source {
				return got.Routes[r.BundleName()] != nil
			}
		}
		return false
	})
	further, err := Beside(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := declarative.Parse(b.path, []byte(file("a")), declarative.Options{Further: further}); f == nil || f.Source != b.File().Source {
		t.Error("who reads the same comes to another source")
	}

	// The file is broken: the registry's changes are put in force all the same.
	b.write("_format_version: [")
	create(entity("plugins", besidePlugin, "key-auth", `"route":{"id":"`+besideRoute+`"}`))
	testenv.Eventually(t, 10*time.Second, "the plugin", func() bool {
		for _, p := range b.File().Plugins {
			if p.ID == besidePlugin {
				return true
			}
		}
		return false
	})
	// What is no configuration changes nothing: somebody has written past the admin API.
	if _, err := db.CreateEntity(t.Context(), tester, entity("services", "44444444-4444-4444-8444-444444444444", "bad", `"host":"a b"`), nil); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the refusal", func() bool { return strings.Contains(b.log.String(), "what the registry has is refused") })
	if got := b.services(); got != own+" beside" {
		t.Errorf("services %q", got)
	}
	if err := db.DeleteEntity(t.Context(), tester, "services", "bad", nil); err != nil {
		t.Fatal(err)
	}

	// The registry is gone: a reload of the file keeps what it had.
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+end, path+".away"+end); err != nil && end == "" {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, 10*time.Second, "its absence", func() bool { return b.Note() != "" })
	b.write(file("b"))
	b.reloaded("b")
	if got := b.services(); got != own+" beside" {
		t.Errorf("services %q without the registry", got)
	}
}

// TestNothingIsInForceBeforeTheRegistryIsRead: it may have guards for the file's services.
func TestNothingIsInForceBeforeTheRegistryIsRead(t *testing.T) {
	b := prepare(t, file("a"))
	b.config.Registry = redact.New(fmt.Sprintf("postgres://nobody@127.0.0.1:%d/none?connect_timeout=1", testenv.FreePort(t)))
	s, err := Open(b.config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ready(); err == nil {
		t.Error("it says that it is ready")
	}
	if _, ok := s.publisher.Offer(); ok {
		t.Error("a bundle is offered")
	}
	if err := s.Reload(); err == nil {
		t.Error("the file is put in force alone")
	}
	if _, ok := s.publisher.Offer(); ok {
		t.Error("a bundle is offered after a reload")
	}
	if !strings.Contains(b.log.String(), "the registry has not been read yet") {
		t.Errorf("the log: %s", b.log)
	}
}

// TestCheck judges what would be in force: its problems, and its size.
func TestCheck(t *testing.T) {
	b := prepare(t, file("a")).run()
	further := func(members string) declarative.Further {
		return declarative.Further{Kind: "services", ID: besideService, JSON: []byte(`{"id":"` + besideService + `",` + members + `}`)}
	}
	if errs := b.check([]declarative.Further{further(`"host":"h"`)}).Errors(); len(errs) > 0 {
		t.Errorf("%v", errs)
	}
	if errs := b.check([]declarative.Further{further(`"host":"a b"`)}).Errors(); len(errs) != 1 || !strings.Contains(errs[0].Path, besideService) {
		t.Errorf("%v", errs)
	}
	list := []declarative.Further{further(`"host":"h"`)}
	for i := range 6 {
		id := fmt.Sprintf("55555555-5555-4555-8555-55555555555%d", i)
		plugin := fmt.Sprintf("66666666-6666-4666-8666-66666666666%d", i)
		list = append(list,
			declarative.Further{Kind: "routes", ID: id, JSON: fmt.Appendf(nil, `{"id":%q,"paths":["/r%d"],"service":{"id":%q}}`, id, i, besideService)},
			declarative.Further{Kind: "plugins", ID: plugin, JSON: fmt.Appendf(nil, `{"id":%q,"name":"jwt","route":{"id":%q},"config":{"issuers":["%d%s"]}}`, plugin, id, i, strings.Repeat("x", 900_000))})
	}
	errs := b.check(list).Errors()
	if len(errs) != 1 || errs[0].Rule != declarative.TooLarge {
		t.Errorf("%d problems of a configuration that filters do not take", len(errs))
	}
	if got := b.services(); strings.Contains(got, "beside") {
		t.Errorf("what is checked is in force: %s", got)
	}
}

// TestUnreadRegistryIsReadAgain: a change that is told of, and then cannot be read, is not
// lost. It may be a guard.
func TestUnreadRegistryIsReadAgain(t *testing.T) {
	b := prepare(t, file("a"))
	path := filepath.Join(filepath.Dir(b.path), "registry.db")
	b.config.Registry = redact.New("sqlite:" + path)
	b.run()
	own := b.services()
	db, err := OpenRegistry(t.Context(), b.config.Registry, b.File(), b.StateDir())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.CreateEntity(t.Context(), tester, entity("services", besideService, "beside", `"host":"h"`), nil); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the service", func() bool { return b.services() == own+" beside" })

	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetMaxOpenConns(1)
	exec := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := raw.ExecContext(t.Context(), s); err != nil {
				t.Fatal(s, err)
			}
		}
	}
	exec(`PRAGMA busy_timeout = 10000`, `BEGIN IMMEDIATE`, `DELETE FROM entities`, `ALTER TABLE entities RENAME TO unreadable`,
		`INSERT INTO changes (seq, kind, name) SELECT seq + 1, 'config', 'services:x' FROM head`, `UPDATE head SET seq = seq + 1`, `COMMIT`)
	testenv.Eventually(t, 10*time.Second, "that it cannot be read", func() bool { return strings.Contains(b.log.String(), "what it had beside the file stays") })
	exec(`ALTER TABLE unreadable RENAME TO entities`)
	testenv.Eventually(t, 10*time.Second, "what the registry has now", func() bool { return b.services() == own })
}

// TestFollowRegistryAgain: who could not read what has changed is told again, until then
// and no longer.
func TestFollowRegistryAgain(t *testing.T) {
	db, err := registry.Open(t.Context(), filepath.Join(t.TempDir(), "registry.db"), registry.Options{Secret: redact.New("an installation secret")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	told, done := make(chan bool), make(chan struct{})
	go func() {
		defer close(done)
		FollowRegistry(ctx, db, func() bool { return <-told })
	}()
	told <- false // at the beginning
	told <- true  // again
	if _, err := db.CreateEntity(ctx, tester, entity("services", besideService, "beside", `"host":"h"`), nil); err != nil {
		t.Fatal(err)
	}
	told <- false
	told <- true
	if _, err := db.CreateConsumer(ctx, tester, registry.Consumer{Username: "x"}); err != nil {
		t.Fatal(err)
	}
	select {
	case told <- true:
		t.Error("it was told of what is no service, route or plugin")
	case <-time.After(4 * followInterval):
	}
	cancel()
	<-done
}

// TestRegistryThatIsGoneAtTheStart: no empty registry is made in the place of one that was
// there before. The file's services would be without the plugins that it had for them.
func TestRegistryThatIsGoneAtTheStart(t *testing.T) {
	b := prepare(t, file("a"))
	path := filepath.Join(filepath.Dir(b.path), "registry.db")
	b.config.Registry = redact.New("sqlite:" + path)
	open := func() error {
		s, err := Open(b.config)
		if err == nil {
			s.Close()
		}
		return err
	}
	for range 2 {
		if err := open(); err != nil {
			t.Fatal(err)
		}
	}
	for _, end := range []string{"", "-wal", "-shm", ".lock"} {
		if err := os.Rename(path+end, path+".aside"+end); err != nil && end == "" {
			t.Fatal(err)
		}
	}
	err := open()
	if err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("opened without it: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("another was made: %v", err)
	}
	if db, err := OpenRegistry(t.Context(), b.config.Registry, &declarative.File{Settings: declarative.Settings{InstallationSecret: "x"}}, b.config.StateDir); err == nil || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("opened without it: %v %v", db, err)
	}
	if err := os.Rename(path+".aside", path); err != nil {
		t.Fatal(err)
	}
	if err = open(); err != nil {
		t.Fatalf("it is back: %v", err)
	}
	// Whoever means it says so.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(b.config.StateDir, "registry-used")); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Errorf("an empty one: %v", err)
	}
}
