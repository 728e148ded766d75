package consumers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/keys"
	"github.com/sallyport-auth/sallyport/internal/reason"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/snapshot"
)

// answerTime bounds one question to the registry. It is less than a filter waits, so that
// the reason arrives.
const answerTime = 700 * time.Millisecond

// Config says where people are looked for, and who is told of changes.
type Config struct {
	// Registry is the data source name of a registry, empty for none; Secret the secret of
	// the installation, which it was made with.
	Registry, Secret redact.Secret
	// Current returns the snapshot in force.
	Current func() *snapshot.Snapshot
	// Changed is told of credentials and consumers that filters have to forget, by the
	// names of wire.Changes; Forget, that they have to forget everything.
	Changed func(credentials, consumers []string)
	Forget  func()
	// Configured is told that services, routes or plugins may have changed. It is not to
	// wait for anything. nil: nobody is told.
	Configured func()
	// MAC is a keyed hash for versions of credentials (snapshot.Secrets).
	MAC func(parts ...string) string
	// Decoy is a hash of a password that nobody has, for user names that nobody has.
	Decoy   string
	Logger  *slog.Logger
	Now     func() time.Time
	Metrics prometheus.Registerer
}

// Finder finds consumers and credentials. It is safe for concurrent use.
type Finder struct {
	config Config
	file   file // of the registry, if it is one
	asked  *prometheus.CounterVec
	told   prometheus.Counter

	mu     sync.RWMutex       // guards what follows
	db     *registry.Registry // nil before it was first opened, and while its file is gone
	away   error              // why it does not answer; nil while it does
	since  time.Time          // since when
	warned time.Time          // when a question that failed was last logged
	tried  time.Time          // when it was last tried to be opened
	seq    uint64             // of the last change that was told; only Run uses it
}

// Open returns a finder. A registry that refuses for good, because it is a newer
// program's, another secret's or no registry at all, is an error; one that is not there
// yet is not: Run goes on trying.
func Open(ctx context.Context, c Config) (*Finder, error) {
	f := &Finder{config: c, file: fileOf(c.Registry.Reveal())}
	if c.Registry.Empty() {
		return f, nil
	}
	f.asked = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sallyport_sidecar_registry_questions_total", Help: "Questions to the registry, by kind and outcome.",
	}, []string{"kind", "outcome"})
	f.told = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "sallyport_sidecar_registry_changes_total", Help: "Changes of the registry that filters were told of.",
	})
	up := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sallyport_sidecar_registry_up", Help: "1 while the registry answers.",
	}, func() float64 {
		if f.Away() != nil {
			return 0
		}
		return 1
	})
	for _, m := range []prometheus.Collector{f.asked, f.told, up} {
		if err := c.Metrics.Register(m); err != nil {
			return nil, err
		}
	}
	if err := f.open(ctx); err != nil {
		if final(err) || f.file.path != "" {
			return nil, err
		}
		f.gone(err)
	}
	return f, nil
}

// final reports whether an error of a registry is one that waiting does not help against.
func final(err error) bool {
	var invalid *registry.Invalid
	return errors.As(err, &invalid) || errors.Is(err, registry.ErrSchemaNewer) || errors.Is(err, registry.ErrSecret) || errors.Is(err, registry.ErrForeign)
}

// Close releases the registry.
func (f *Finder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.db == nil {
		return nil
	}
	err := f.db.Close()
	f.db, f.away = nil, errClosed
	return err
}

var errClosed = errors.New("it is closed")

// Registry returns the registry, nil where there is none or where it has not been opened yet.
func (f *Finder) Registry() *registry.Registry {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.db
}

// Away returns why the registry does not answer, nil while it does, or where there is none.
func (f *Finder) Away() error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.away == nil {
		return nil
	}
	return fmt.Errorf("the registry does not answer since %s: %w", f.since.UTC().Format(time.RFC3339), f.away)
}

// ask puts a question to the registry. The code is nobody where there is no registry or
// where it knows nobody, and RegistryUnavailable where it cannot say.
func (f *Finder) ask(ctx context.Context, kind string, nobody reason.Code, question func(context.Context, *registry.Registry) error) reason.Code {
	if f.config.Registry.Empty() {
		return nobody
	}
	f.mu.RLock()
	db, away := f.db, f.away
	f.mu.RUnlock()
	code := reason.Unspecified
	switch {
	case db == nil || away != nil:
		code = reason.RegistryUnavailable
	default:
		limited, cancel := context.WithTimeout(ctx, answerTime)
		err := question(limited, db)
		cancel()
		var invalid *registry.Invalid
		switch {
		case err == nil:
		case errors.Is(err, registry.ErrNotFound), errors.As(err, &invalid): // what cannot be is nobody's
			code = nobody
		default:
			code = reason.RegistryUnavailable
			f.warn(kind, err)
		}
	}
	outcome := "ok"
	if code != reason.Unspecified {
		outcome = code.Error()
	}
	f.asked.WithLabelValues(kind, outcome).Inc()
	return code
}

// warnAgain is how often questions that failed are logged; all are counted.
const warnAgain = 10 * time.Second

func (f *Finder) warn(kind string, err error) {
	now := f.config.Now()
	f.mu.Lock()
	quiet := now.Sub(f.warned) < warnAgain
	if !quiet {
		f.warned = now
	}
	f.mu.Unlock()
	if !quiet {
		f.config.Logger.Warn("the registry did not answer a question", "kind", kind, "error", err)
	}
}

// Consumer finds a consumer by one of its names (declarative: consumer_by). The code is
// ConsumerMissing for none.
func (f *Finder) Consumer(ctx context.Context, by []string, value string) (*bundle.Consumer, reason.Code) {
	if c := f.config.Current().Consumer(by, value); c != nil {
		return c, reason.Unspecified
	}
	var who registry.Identity
	code := f.ask(ctx, "consumer", reason.ConsumerMissing, func(ctx context.Context, db *registry.Registry) (err error) {
		who, err = db.IdentityBy(ctx, by, value)
		return err
	})
	if code != reason.Unspecified {
		return nil, code
	}
	return snapshot.Consumer(f.consumer(&who)), reason.Unspecified
}

// Credential finds a credential of the jwt plugin by its key. The code is
// CredentialUnknown for none.
func (f *Finder) Credential(ctx context.Context, key string) (*snapshot.Credential, reason.Code) {
	current := f.config.Current()
	if c := current.Credential(key); c != nil {
		return c, reason.Unspecified
	}
	var j registry.JWTSecret
	var secret redact.Secret
	var who registry.Identity
	code := f.ask(ctx, "jwt", reason.CredentialUnknown, func(ctx context.Context, db *registry.Registry) (err error) {
		j, secret, who, err = db.JWTSecretByKey(ctx, key)
		return err
	})
	if code != reason.Unspecified {
		return nil, code
	}
	d := &declarative.JWTSecret{
		Entity: declarative.Entity{ID: j.ID}, Consumer: f.consumer(&who), Key: j.Key, Secret: secret.Reveal(),
		Algorithm: jose.ParseAlg(j.Algorithm),
	}
	if d.Algorithm.Family() != jose.HMAC {
		d.Secret = "" // beside a public key it has no meaning
		var err error
		if d.Public, err = keys.ParsePEM(j.RSAPublicKey); err != nil {
			f.warn("jwt", fmt.Errorf("the public key of %s: %w", j.ID, err))
			return nil, reason.CredentialUnusable
		}
	}
	return current.NewCredential(d), reason.Unspecified
}

// APIKey finds the credential of an API key. The code is CredentialUnknown for none.
func (f *Finder) APIKey(ctx context.Context, key string) (*bundle.Credential, reason.Code) {
	if c := f.config.Current().APIKey(key); c != nil {
		return c, reason.Unspecified
	}
	var k registry.KeyAuth
	var who registry.Identity
	code := f.ask(ctx, "key-auth", reason.CredentialUnknown, func(ctx context.Context, db *registry.Registry) (err error) {
		k, who, err = db.KeyAuthByKey(ctx, key)
		return err
	})
	if code != reason.Unspecified {
		return nil, code
	}
	out := &bundle.Credential{ID: k.ID, Consumer: snapshot.Consumer(f.consumer(&who))}
	if !k.Expires.IsZero() {
		out.Expires = max(1, k.Expires.Unix())
	}
	out.Version = f.config.MAC("registry key-auth", k.ID, strconv.FormatInt(out.Expires, 10), snapshot.Who(f.consumer(&who)))
	return out, reason.Unspecified
}

// Password finds the credential of a user name. The code is CredentialUnknown for none.
func (f *Finder) Password(ctx context.Context, user string) (*snapshot.Password, reason.Code) {
	if p := f.config.Current().Password(user); p != nil {
		return p, reason.Unspecified
	}
	var b registry.BasicAuth
	var hash string
	var who registry.Identity
	code := f.ask(ctx, "basic-auth", reason.CredentialUnknown, func(ctx context.Context, db *registry.Registry) (err error) {
		b, hash, who, err = db.BasicAuthByUsername(ctx, user)
		return err
	})
	if code != reason.Unspecified {
		return nil, code
	}
	c := f.consumer(&who)
	return &snapshot.Password{Hash: hash, Credential: &bundle.Credential{
		ID: b.ID, Consumer: snapshot.Consumer(c), Version: f.config.MAC("registry basic-auth", b.ID, b.Username, hash, snapshot.Who(c)),
	}}, reason.Unspecified
}

// Hashes returns hashes of passwords, to try those of unknown users against.
func (f *Finder) Hashes() []string {
	list := f.config.Current().Hashes()
	if f.config.Registry.Empty() || f.config.Decoy == "" {
		return list
	}
	return append([]string{f.config.Decoy}, list...)
}

// consumer returns who the registry has found. Contracts beyond what may be are left
// out, and open nothing.
func (f *Finder) consumer(who *registry.Identity) *declarative.Consumer {
	c := &declarative.Consumer{
		Entity: declarative.Entity{ID: who.Consumer.ID}, Username: who.Consumer.Username, CustomID: who.Consumer.CustomID, Groups: who.Groups,
		Application: who.Consumer.Application,
	}
	if c.Application {
		c.Contracts = who.Contracts
	}
	if n := len(c.Contracts); n > bundle.MaxContracts {
		c.Contracts = c.Contracts[:bundle.MaxContracts]
		f.warn("consumer", fmt.Errorf("consumer %s has %d contracts: the first %d count", c.ID, n, bundle.MaxContracts))
	}
	return c
}
