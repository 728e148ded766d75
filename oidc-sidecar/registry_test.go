package sidecar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/internal/wire"
	"github.com/sallyport-auth/sallyport/testenv"
)

const sharedSecret = "an-installation-secret-of-32-bytes!"

// withRegistry is a file with a registry, and a route whose plugin looks for consumers.
func withRegistry(dsn string) string {
	return `_format_version: "3.0"
_sallyport: {installation_secret: "` + sharedSecret + `", registry: "` + dsn + `"}
services:
- name: s
  url: http://127.0.0.1:1
  plugins:
  - {name: openid-connect, config: {issuer: "http://127.0.0.1:1", auth_methods: [bearer], consumer_claim: [client_id], consumer_by: [custom_id]}}
  - {name: application-registration, config: {display_name: S}}
  routes: [{name: r, paths: [/r]}]
`
}

var tester = registry.Actor{Kind: "system", Name: "test"}

func openRegistry(t *testing.T, path string) *registry.Registry {
	t.Helper()
	db, err := registry.Open(t.Context(), path, registry.Options{Secret: redact.New(sharedSecret)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// ask asks for a consumer as a filter does.
func (b *bench) ask(customID string) wire.Answer {
	b.t.Helper()
	offer, err := b.bundle()
	if err != nil {
		b.t.Fatal(err)
	}
	instance := ""
	for _, p := range offer.Plugins {
		if p.OIDC != nil {
			instance = p.ID
		}
	}
	q := wire.Question{Kind: wire.Consumer, Instance: instance, Generation: offer.Generation, By: []string{"custom_id"}, Value: customID}
	req, err := http.NewRequest(http.MethodPost, "http://sidecar"+wire.PathAsk, bytes.NewReader(q.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set(wire.VersionHeader, wire.Version)
	res, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	a, ok := wire.DecodeAnswer(string(body))
	if !ok {
		b.t.Fatalf("no answer: %s", body)
	}
	return a
}

// TestManyConsumers: the bundle does not grow with a registry, and neither does what the
// sidecar keeps; one of many is found like one of few.
func TestManyConsumers(t *testing.T) {
	const many = 100_000
	path := filepath.Join(t.TempDir(), "registry.db")
	db := openRegistry(t, path)
	b := prepare(t, withRegistry("sqlite:"+path)).run()
	size := func() int {
		offer, err := b.bundle()
		if err != nil {
			t.Fatal(err)
		}
		return len(offer.Encode())
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, kept := size(), heap()
	batch := registry.Batch{Consumers: make([]registry.Consumer, many)}
	for i := range batch.Consumers {
		batch.Consumers[i] = registry.Consumer{Username: fmt.Sprintf("user-%06d", i), CustomID: fmt.Sprintf("client-%06d", i)}
	}
	if err := db.Import(context.Background(), tester, batch); err != nil {
		t.Fatal(err)
	}
	batch = registry.Batch{}
	testenv.Eventually(t, 10*time.Second, "the last of them", func() bool { return b.ask("client-099999").Consumer != nil })
	for _, id := range []string{"client-000000", "client-050000", "client-099999"} {
		if a := b.ask(id); a.Code != reason.Unspecified || a.Consumer == nil || a.Consumer.CustomID != id {
			t.Errorf("%s: %+v", id, a)
		}
	}
	if a := b.ask("client-100000"); a.Code != reason.ConsumerMissing {
		t.Errorf("one who is not there: %v", a.Code)
	}
	if after := size(); after != before {
		t.Errorf("the bundle has %d bytes, and had %d", after, before)
	}
	// Loosely: a copy of them all would take ten times as much.
	if now := heap(); now > kept+4<<20 {
		t.Errorf("the sidecar keeps %d KiB more than before", (now-kept)>>10)
	}
}

// TestRegistryOfTheFlag: what the command line says wins over the file, which may name
// another at a reload, with no effect but a warning.
func TestRegistryOfTheFlag(t *testing.T) {
	path, other := filepath.Join(t.TempDir(), "registry.db"), filepath.Join(t.TempDir(), "other.db")
	db := openRegistry(t, path)
	if _, err := db.CreateConsumer(t.Context(), tester, registry.Consumer{CustomID: "client"}); err != nil {
		t.Fatal(err)
	}
	b := prepare(t, withRegistry("sqlite:"+other))
	b.config.Registry = redact.New("sqlite:" + path)
	b.run()
	if a := b.ask("client"); a.Consumer == nil {
		t.Errorf("%+v", a)
	}
	b.write(withRegistry("sqlite:" + other + "2"))
	if err := b.Reload(); err != nil {
		t.Fatal(err)
	}
	if a := b.ask("client"); a.Consumer == nil || !strings.Contains(b.log.String(), "the file names another registry: it is opened at the next start") {
		t.Errorf("%+v\n%s", a, b.log)
	}
	if b.Note() != "" {
		t.Errorf("note %q", b.Note())
	}
}

// TestRegistryThatCannotBe: another installation's registry is an error at the start, and
// nothing is left open behind it.
func TestRegistryThatCannotBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	openRegistry(t, path)
	b := prepare(t, strings.Replace(withRegistry("sqlite:"+path), sharedSecret, "another-installation-secret-of-32-bytes!", 1))
	for range 2 { // the state directory is free again
		if s, err := Open(b.config); !errors.Is(err, registry.ErrSecret) {
			t.Fatalf("%v, %v", s, err)
		}
	}
	b.write(withRegistry("sqlite:" + path))
	if a := b.run().ask("client"); a.Consumer != nil || a.Code != reason.ConsumerMissing {
		t.Errorf("%+v", a)
	}
}
