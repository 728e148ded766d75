package consumers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/snapshot"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// theFile has people of its own.
const theFile = `_format_version: "3.0"
services: [{name: s, host: h, plugins: [{name: jwt}], routes: [{name: r, paths: [/]}]}]
consumers:
- username: alice
  custom_id: a-1
  id: 22222222-2222-4222-8222-222222222222
  jwt_secrets: [{key: alice, secret: alice-secret-of-at-least-32-bytes!}]
  keyauth_credentials: [{key: alice-key-0123456789, id: 55555555-5555-4555-8555-555555555555}]
  basicauth_credentials: [{username: alice, password: $2b$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234}]
`

var (
	installation = redact.New("an installation secret of 32 bytes!")
	tester       = registry.Actor{Kind: "system", Name: "test"}
)

// bench is a finder with its registry, and what it has told.
type bench struct {
	*Finder
	db   *registry.Registry // of another program
	path string
	log  *logged

	mu                     sync.Mutex
	credentials, consumers []string
	forgotten              int
}

// logged keeps what is logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func mac(parts ...string) string { return fmt.Sprintf("%q", parts) }

func (b *bench) config(dsn string) Config {
	f, problems := declarative.Parse("kong.yml", []byte(theFile), declarative.Options{Installation: func(string, ...string) string { return rand.Text() }})
	if f == nil {
		panic(problems)
	}
	current := snapshot.Compile(f, snapshot.Secrets{MAC: mac, Session: redact.New("a session secret")})
	return Config{
		Registry: redact.New(dsn), Secret: installation, MAC: mac, Now: time.Now, Metrics: prometheus.NewRegistry(), Decoy: "decoy",
		Current: func() *snapshot.Snapshot { return current }, Logger: slog.New(slog.NewTextHandler(b.log, nil)),
		Changed: func(credentials, consumers []string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.credentials, b.consumers = append(b.credentials, credentials...), append(b.consumers, consumers...)
		},
		Forget: func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.forgotten++
		},
	}
}

// start opens a registry, as the portal does, and a finder beside it, which follows.
func start(t *testing.T) *bench {
	t.Helper()
	b := &bench{path: filepath.Join(t.TempDir(), "registry.db"), log: &logged{}}
	b.db = b.open(t)
	f, err := Open(t.Context(), b.config("sqlite:"+b.path))
	if err != nil {
		t.Fatal(err)
	}
	b.Finder = f
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { f.Run(ctx); close(done) }()
	t.Cleanup(func() {
		stop()
		<-done
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if s := b.log.String(); strings.Contains(s, "a-secret-of-the-registry") {
			t.Errorf("a secret is in the log: %s", s)
		}
	})
	return b
}

func (b *bench) open(t *testing.T) *registry.Registry {
	t.Helper()
	db, err := registry.Open(t.Context(), b.path, registry.Options{Secret: installation, HashPassword: func(string) string {
		return "$argon2id$v=19$m=19456,t=2,p=1$bQdNSK0XafoYXqq9ibwc1g$3oPf9tiJ8AiTwjN9MkeHa4AEtqvx9xH4nDjmdS3HQXQ"
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// told waits until filters have been told to forget a consumer or credential.
func (b *bench) told(t *testing.T, names ...string) {
	t.Helper()
	testenv.Eventually(t, 5*time.Second, fmt.Sprintf("a change of %q", names), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, n := range names {
			if !slices.Contains(b.consumers, n) && !slices.Contains(b.credentials, n) {
				return false
			}
		}
		b.consumers, b.credentials = nil, nil
		return true
	})
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// application makes an application of an approved developer.
func (b *bench) application(t *testing.T, customID string, services ...string) (registry.Developer, registry.Application, []registry.Contract) {
	t.Helper()
	ctx := t.Context()
	d := must(b.db.Register(ctx, tester, registry.Developer{Email: customID + "@example.com", Name: "D"}, true))(t)
	a := must(b.db.CreateApplication(ctx, tester, registry.Application{DeveloperID: d.ID, Name: customID, CustomID: customID, RedirectURI: "https://app.example/cb"}))(t)
	var list []registry.Contract
	for _, s := range services {
		list = append(list, must(b.db.RequestContract(ctx, tester, a.ID, s, true))(t))
	}
	return d, a, list
}

// TestFileFirst: who is in the file is found there, whatever a registry says; who is in
// neither is nobody.
func TestFileFirst(t *testing.T) {
	b := start(t)
	ctx := t.Context()
	must(b.db.CreateConsumer(ctx, tester, registry.Consumer{Username: "a-1", CustomID: "alice"}))(t)
	for _, tt := range []struct {
		by    []string
		value string
		want  string // custom id
		code  reason.Code
	}{
		{[]string{"username", "custom_id"}, "alice", "a-1", reason.Unspecified},
		{[]string{"custom_id", "username"}, "alice", "a-1", reason.Unspecified}, // though the registry has one with that custom id
		{[]string{"custom_id"}, "alice", "alice", reason.Unspecified},
		{[]string{"username"}, "a-1", "alice", reason.Unspecified},
		{[]string{bundle.UsernameAnyCase}, "A-1", "alice", reason.Unspecified},
		{[]string{"username"}, "A-1", "", reason.ConsumerMissing},
		{[]string{"id"}, "alice", "", reason.ConsumerMissing},
		{[]string{"custom_id", "username", "id"}, "nobody", "", reason.ConsumerMissing},
		{[]string{"custom_id"}, "x\x00y", "", reason.ConsumerMissing},
		{[]string{"custom_id"}, strings.Repeat("x", 1<<16), "", reason.ConsumerMissing},
		{[]string{"custom_id"}, "' OR '1'='1", "", reason.ConsumerMissing},
		{[]string{"custom_id"}, "%", "", reason.ConsumerMissing},
	} {
		c, code := b.Consumer(ctx, tt.by, tt.value)
		if code != tt.code || (c == nil) != (tt.want == "") || c != nil && (c.CustomID != tt.want || c.Application || c.Contracts != nil) {
			t.Errorf("%q %.20s: %+v %v, want %s", tt.by, tt.value, c, code, tt.want)
		}
	}
	if c, code := b.Credential(ctx, "alice"); code != reason.Unspecified || c.Bundle(&bundle.Plugin{}, nil).Consumer.Username != "alice" {
		t.Errorf("%v", code)
	}
	if c, code := b.APIKey(ctx, "alice-key-0123456789"); code != reason.Unspecified || c.Consumer.Username != "alice" {
		t.Errorf("%v", code)
	}
	if p, code := b.Password(ctx, "alice"); code != reason.Unspecified || p.Credential.Consumer.Username != "alice" {
		t.Errorf("%v", code)
	}
	for name, code := range map[string]reason.Code{"jwt": second(b.Credential(ctx, "nobody")), "key": second(b.APIKey(ctx, "nobody")), "password": second(b.Password(ctx, "nobody"))} {
		if code != reason.CredentialUnknown {
			t.Errorf("%s: %v", name, code)
		}
	}
}

func second[A any](_ A, code reason.Code) reason.Code { return code }

// TestApplicationsOfARegistry: who has a contract, and that filters are told when it ends
// or begins, by every name that they may have asked by.
func TestApplicationsOfARegistry(t *testing.T) {
	b := start(t)
	ctx := t.Context()
	d, a, contracts := b.application(t, "client-1", "orders", "billing")
	_, other, _ := b.application(t, "client-2")
	b.told(t, "client-1", a.ConsumerID, "client-2", other.ConsumerID)
	expect := func(want ...string) {
		t.Helper()
		c, code := b.Consumer(ctx, []string{"custom_id"}, "client-1")
		if code != reason.Unspecified || c.ID != a.ConsumerID || !c.Application || !slices.Equal(c.Contracts, want) {
			t.Fatalf("%+v %v, want %q", c, code, want)
		}
	}
	expect("billing", "orders")
	for name, step := range map[string]struct {
		do, undo func() error
		want     []string
	}{
		"revoked": {func() error { return second2(b.db.SetContractStatus(ctx, tester, contracts[0].ID, registry.Revoked)) },
			func() error { return second2(b.db.SetContractStatus(ctx, tester, contracts[0].ID, registry.Approved)) }, []string{"billing"}},
		"suspended": {func() error { return second2(b.db.SuspendContract(ctx, tester, contracts[1].ID, true)) },
			func() error { return second2(b.db.SuspendContract(ctx, tester, contracts[1].ID, false)) }, []string{"orders"}},
		"developer revoked": {func() error { return second2(b.db.SetDeveloperStatus(ctx, tester, d.ID, registry.Revoked)) },
			func() error { return second2(b.db.SetDeveloperStatus(ctx, tester, d.ID, registry.Approved)) }, nil},
	} {
		for i, do := range []func() error{step.do, step.undo} {
			if err := do(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			b.told(t, "client-1", a.ConsumerID)
			if i == 0 {
				expect(step.want...)
			} else {
				expect("billing", "orders")
			}
		}
	}
	must(b.db.UpdateApplication(ctx, tester, a.ID, func(a *registry.Application) error { a.CustomID = "client-9"; return nil }))(t)
	b.told(t, "client-1", "client-9")
	if c, code := b.Consumer(ctx, []string{"custom_id"}, "client-1"); code != reason.ConsumerMissing {
		t.Errorf("%+v %v by its old name", c, code)
	}
	if err := b.db.DeleteApplication(ctx, tester, a.ID); err != nil {
		t.Fatal(err)
	}
	b.told(t, "client-9", a.ConsumerID)
	if c, code := b.Consumer(ctx, []string{"custom_id", "id"}, "client-9"); code != reason.ConsumerMissing {
		t.Errorf("%+v %v of an application that is gone", c, code)
	}
}

func second2[A any](_ A, err error) error { return err }

// TestCredentialsOfARegistry: each kind is found with its consumer, and forgotten by the
// name that filters know it by.
func TestCredentialsOfARegistry(t *testing.T) {
	b := start(t)
	ctx := t.Context()
	c := must(b.db.CreateConsumer(ctx, tester, registry.Consumer{Username: "bob", CustomID: "b-1"}))(t)
	must(b.db.CreateACL(ctx, tester, registry.ACL{ConsumerID: c.ID, Group: "gold"}))(t)
	hs := must(first2(b.db.CreateJWTSecret(ctx, tester, registry.JWTSecret{ConsumerID: c.ID, Key: "bob-hs", Algorithm: "HS256"}, redact.New("a-secret-of-the-registry-of-32-bytes"))))(t)
	rs := must(first2(b.db.CreateJWTSecret(ctx, tester, registry.JWTSecret{ConsumerID: c.ID, Key: "bob-rs", Algorithm: "RS256", RSAPublicKey: tokens.PublicPEM("rsa2048")}, redact.Secret{})))(t)
	expires := time.Now().Add(time.Hour).Truncate(time.Second)
	key := must(first2(b.db.CreateKeyAuth(ctx, tester, registry.KeyAuth{ConsumerID: c.ID, Expires: expires}, redact.New("a-secret-of-the-registry"))))(t)
	forever := must(first2(b.db.CreateKeyAuth(ctx, tester, registry.KeyAuth{ConsumerID: c.ID}, redact.New("another-secret-of-the-registry"))))(t)
	basic := must(b.db.CreateBasicAuth(ctx, tester, registry.BasicAuth{ConsumerID: c.ID, Username: "bob"}, redact.New("a password")))(t)
	b.told(t, "bob", "b-1", c.ID, "bob-hs", "bob-rs", bundle.KeyPrefix+key.ID, bundle.KeyPrefix+forever.ID, bundle.BasicPrefix+basic.ID)
	whose := func(name string, got *bundle.Consumer) {
		t.Helper()
		if got == nil || got.ID != c.ID || got.Username != "bob" || got.CustomID != "b-1" || !slices.Equal(got.Groups, []string{"gold"}) || got.Application {
			t.Errorf("%s: %+v", name, got)
		}
	}
	j, code := b.Credential(ctx, "bob-hs")
	if code != reason.Unspecified {
		t.Fatal(code)
	}
	out := j.Bundle(&bundle.Plugin{JWT: &bundle.JWT{}}, nil)
	whose("HS256", out.Consumer)
	if out.ID != hs.ID || out.Key != "bob-hs" || !slices.Equal(out.Alg, []jose.Alg{jose.HS256}) || len(out.Keys) > 0 || string(j.HMAC(&bundle.Plugin{JWT: &bundle.JWT{}})) != "a-secret-of-the-registry-of-32-bytes" {
		t.Errorf("%+v", out)
	}
	if j, code = b.Credential(ctx, "bob-rs"); code != reason.Unspecified {
		t.Fatal(code)
	}
	public := j.Bundle(&bundle.Plugin{JWT: &bundle.JWT{}}, nil)
	whose("RS256", public.Consumer)
	if public.ID != rs.ID || !slices.Equal(public.Alg, []jose.Alg{jose.RS256}) || len(public.Keys) != 1 || j.HMAC(&bundle.Plugin{JWT: &bundle.JWT{}}) != nil {
		t.Errorf("%+v", public)
	}
	k, code := b.APIKey(ctx, "a-secret-of-the-registry")
	if code != reason.Unspecified || k.ID != key.ID || k.Expires != expires.Unix() || k.Version == "" {
		t.Fatalf("%+v %v", k, code)
	}
	whose("an API key", k.Consumer)
	if f, code := b.APIKey(ctx, "another-secret-of-the-registry"); code != reason.Unspecified || f.Expires != 0 || f.Version == k.Version {
		t.Errorf("%+v %v", f, code)
	}
	p, code := b.Password(ctx, "bob")
	if code != reason.Unspecified || p.Credential.ID != basic.ID || !strings.HasPrefix(p.Hash, "$argon2id$") {
		t.Fatalf("%+v %v", p, code)
	}
	whose("a password", p.Credential.Consumer)
	if list := b.Hashes(); len(list) != 2 || !slices.Contains(list, "decoy") {
		t.Errorf("unknown users are tried against %q", list)
	}

	// Whatever a filter knows of a consumer changes its credentials' versions.
	must(b.db.CreateACL(ctx, tester, registry.ACL{ConsumerID: c.ID, Group: "silver"}))(t)
	b.told(t, "bob", c.ID)
	again, _ := b.APIKey(ctx, "a-secret-of-the-registry")
	if again.Version == k.Version || !slices.Equal(again.Consumer.Groups, []string{"gold", "silver"}) {
		t.Errorf("%+v after another group", again)
	}
	if err := b.db.DeleteConsumer(ctx, tester, c.ID); err != nil {
		t.Fatal(err)
	}
	b.told(t, "bob", c.ID, "bob-hs", "bob-rs", bundle.KeyPrefix+key.ID, bundle.BasicPrefix+basic.ID)
	for name, code := range map[string]reason.Code{"jwt": second(b.Credential(ctx, "bob-hs")), "key": second(b.APIKey(ctx, "a-secret-of-the-registry")), "password": second(b.Password(ctx, "bob"))} {
		if code != reason.CredentialUnknown {
			t.Errorf("%s of nobody: %v", name, code)
		}
	}
}

func first2[A, B any](a A, _ B, err error) (A, error) { return a, err }

// TestRegistryAway: while the registry is away nobody becomes nobody, the file's are
// found, and no empty registry takes its place; it comes back by itself.
func TestRegistryAway(t *testing.T) {
	b := start(t)
	ctx := t.Context()
	b.application(t, "client-1", "orders")
	b.told(t, "client-1")
	if b.Away() != nil {
		t.Fatal(b.Away())
	}
	aside := b.path + ".aside"
	// The database goes first and comes back last: without its log it would be an older one.
	move := func(from, to string, suffixes ...string) {
		t.Helper()
		for _, suffix := range suffixes {
			if err := os.Rename(from+suffix, to+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	move(b.path, aside, "", "-wal", "-shm")
	testenv.Eventually(t, 5*time.Second, "the registry is missed", func() bool { return b.Away() != nil })
	for range 3 {
		for name, code := range map[string]reason.Code{"consumer": second(b.Consumer(ctx, []string{"custom_id"}, "client-1")), "nobody": second(b.Consumer(ctx, []string{"custom_id"}, "nobody")),
			"jwt": second(b.Credential(ctx, "bob-hs")), "key": second(b.APIKey(ctx, "a-secret-of-the-registry")), "password": second(b.Password(ctx, "bob"))} {
			if code != reason.RegistryUnavailable {
				t.Errorf("%s: %v", name, code)
			}
		}
	}
	if c, code := b.Consumer(ctx, []string{"custom_id"}, "a-1"); code != reason.Unspecified || c.Username != "alice" {
		t.Errorf("of the file: %+v %v", c, code)
	}
	b.tryToReopen(t)
	if _, err := os.Stat(b.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a registry was made: %v", err)
	}
	move(aside, b.path, "-wal", "-shm", "")
	testenv.Eventually(t, 10*time.Second, "the registry is back", func() bool { return b.Away() == nil })
	if c, code := b.Consumer(ctx, []string{"custom_id"}, "client-1"); code != reason.Unspecified || !slices.Equal(c.Contracts, []string{"orders"}) {
		t.Errorf("%+v %v", c, code)
	}
	b.mu.Lock()
	forgotten := b.forgotten
	b.mu.Unlock()
	if forgotten != 1 {
		t.Errorf("filters were told %d times to forget everything, want once: it may be another registry", forgotten)
	}
	if s := b.log.String(); strings.Count(s, "the registry does not answer") != 1 || strings.Count(s, "the registry answers") != 1 {
		t.Errorf("it is not said once: %s", s)
	}

	// Another registry in its place.
	_ = b.db.Close()
	move(b.path, aside, "", "-wal", "-shm")
	b.db = b.open(t)
	testenv.Eventually(t, 10*time.Second, "the other registry is in use", func() bool {
		return second(b.Consumer(ctx, []string{"custom_id"}, "client-1")) == reason.ConsumerMissing
	})
	b.application(t, "client-5")
	b.told(t, "client-5")
}

// tryToReopen waits until it was tried twice more to open the registry.
func (b *bench) tryToReopen(t *testing.T) {
	t.Helper()
	last := func() time.Time {
		b.Finder.mu.RLock()
		defer b.Finder.mu.RUnlock()
		return b.tried
	}
	for range 2 {
		before := last()
		testenv.Eventually(t, 10*time.Second, "another try", func() bool { return last().After(before) })
	}
}

// TestManyChangesAtOnce: more changes than are kept are told as one: everything.
func TestManyChangesAtOnce(t *testing.T) {
	var changed, forgotten int
	f := &Finder{config: Config{Changed: func(credentials, consumers []string) { changed += len(credentials) + len(consumers) }, Forget: func() { forgotten++ }},
		told: prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})}
	f.tell([]registry.Change{{Seq: 1, Kind: registry.ConsumerChange, Key: "a"}, {Seq: 2, Kind: registry.CredentialChange, Key: "a"},
		{Seq: 3, Kind: registry.ConsumerChange, Key: "a"}, {Seq: 4, Kind: registry.ConfigChange, Key: "services:x"}}, false)
	if changed != 2 || forgotten != 0 {
		t.Errorf("%d changes, forgotten %d times", changed, forgotten)
	}
	f.tell(nil, true)
	if changed != 2 || forgotten != 1 {
		t.Errorf("%d changes, forgotten %d times", changed, forgotten)
	}
}

// TestNoRegistry: without one nothing is asked and nothing runs.
func TestNoRegistry(t *testing.T) {
	b := &bench{log: &logged{}}
	f, err := Open(t.Context(), b.config(""))
	if err != nil {
		t.Fatal(err)
	}
	f.Run(t.Context()) // returns
	if code := second(f.Consumer(t.Context(), []string{"username"}, "bob")); code != reason.ConsumerMissing {
		t.Error(code)
	}
	if code := second(f.APIKey(t.Context(), "bob")); code != reason.CredentialUnknown || f.Away() != nil || f.Registry() != nil {
		t.Error(code, f.Away())
	}
	if list := f.Hashes(); slices.Contains(list, "decoy") {
		t.Errorf("%q", list)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenRefuses: a registry that can never be used is said so at the start, and one
// that is not there yet is waited for.
func TestOpenRefuses(t *testing.T) {
	b := start(t)
	config := b.config("sqlite:" + b.path)
	config.Secret = redact.New("another installation secret of 32 bytes")
	if _, err := Open(t.Context(), config); !errors.Is(err, registry.ErrSecret) {
		t.Errorf("another secret: %v", err)
	}
	var invalid *registry.Invalid
	if _, err := Open(t.Context(), b.config("mysql://u:hunter2@h/d")); !errors.As(err, &invalid) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("another kind: %v", err)
	}
	if _, err := Open(t.Context(), b.config("sqlite:"+filepath.Join(t.TempDir(), "none", "r.db"))); err == nil {
		t.Error("a folder that is not there")
	}
	if s := b.log.String(); strings.Contains(s, "does not answer") {
		t.Errorf("what is refused is said to be away: %s", s)
	}
	f, err := Open(t.Context(), b.config("postgres://u:hunter2@127.0.0.1:1/d"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if code := second(f.Consumer(t.Context(), []string{"username"}, "bob")); code != reason.RegistryUnavailable || f.Away() == nil {
		t.Errorf("%v %v", code, f.Away())
	}
	if !strings.Contains(b.log.String(), "the registry does not answer") {
		t.Errorf("nothing says that it is waited for: %s", b.log)
	}
	if s := f.Away().Error() + b.log.String(); strings.Contains(s, "hunter2") {
		t.Errorf("a password is said: %s", s)
	}
}
