package sidecar

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/consumers"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/snapshot"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/state"
)

// Beside returns the services, routes and plugins of a registry as declarative.Options
// takes them. Whoever reads one file and one registry comes to one File.Source.
func Beside(ctx context.Context, db *registry.Registry) ([]declarative.Further, error) {
	all, err := db.AllEntities(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]declarative.Further, len(all))
	for i, e := range all {
		list[i] = declarative.Further{Kind: e.Kind, ID: e.ID, JSON: e.JSON}
	}
	return list, nil
}

// errNotRead is why nothing is put in force: what the registry has beside the file may
// guard what the file has.
var errNotRead = errors.New("the registry has not been read yet, and may have plugins for the file's services: nothing is put in force before")

// besideTime bounds the reading of what a registry has.
const besideTime = 5 * time.Second

// errAway is why a registry is not read.
var errAway = errors.New("it does not answer")

// readBeside returns what the registry has beside the file, with loading held. While it is
// away that is what was put in force last; before there is such there is nothing to go by.
func (s *Sidecar) readBeside() ([]declarative.Further, error) {
	if s.config.Registry.Empty() {
		return nil, nil
	}
	list, err := s.askBeside(context.Background())
	if s.unread.Store(err != nil); err == nil {
		return list, nil
	}
	if !s.read {
		return nil, fmt.Errorf("%w (%w)", errNotRead, err)
	}
	s.logger.Warn("the registry does not answer: what it had beside the file stays", "error", err)
	return s.beside, nil
}

// askBeside asks the registry for what it has beside the file.
func (s *Sidecar) askBeside(ctx context.Context) ([]declarative.Further, error) {
	db := s.people.Registry()
	if db == nil {
		return nil, errAway
	}
	ctx, cancel := context.WithTimeout(ctx, besideTime)
	defer cancel()
	return Beside(ctx, db)
}

// RegistryFile returns the path of the registry's file that a data source name is for, "" for
// a server's. The error is that it was used before in a state directory and is not there:
// no other is to be made in its place.
func RegistryFile(dsn redact.Secret, stateDir string) (path string, err error) {
	if path = consumers.File(dsn.Reveal()); path == "" {
		return "", nil
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	return path, state.MissingRegistry(stateDir, path)
}

// openRegistry opens the registry, or gets ready to do without.
func (s *Sidecar) openRegistry() (err error) {
	decoy, path := "", ""
	if !s.config.Registry.Empty() {
		if path, err = RegistryFile(s.config.Registry, s.state.Path()); err != nil {
			return err
		}
		decoy = s.passwords.Hash([]string{""}, []string{rand.Text()})[0]
	}
	s.people, err = consumers.Open(context.Background(), consumers.Config{
		Registry: s.config.Registry, Secret: s.state.InstallationSecret(),
		Current: s.publisher.Current, Changed: s.publisher.Changed, Forget: s.publisher.Forget, Configured: s.configured,
		MAC: s.credentialVersion, Decoy: decoy,
		Logger: s.logger, Now: s.config.Now, Metrics: s.registry,
	})
	if err == nil && path != "" {
		err = s.state.UseRegistry(path)
	}
	return err
}

// configured notes that services, routes or plugins of the registry may have changed. It
// does not wait: whoever tells of that has revocations to tell of too.
func (s *Sidecar) configured() {
	select {
	case s.changed <- struct{}{}:
	default: // it is noted already
	}
}

// readAgain is how often a registry that could not be read is tried again.
const readAgain = time.Second

// follow takes over what has changed in the registry until ctx ends. What could not be
// read when its change was told of is not told of again: it is read as soon as it can be.
func (s *Sidecar) follow(ctx context.Context) {
	tick := time.NewTicker(readAgain)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
		case <-tick.C:
			if !s.unread.Load() || s.people.Away() != nil {
				continue
			}
			if _, err := s.askBeside(ctx); err != nil {
				continue
			}
		}
		_ = s.Reconfigure() // it reports itself
	}
}

// Reconfigure reads the registry now, beside the file as it was read last. What has an
// error changes nothing and is reported.
func (s *Sidecar) Reconfigure() error {
	return s.load("what the registry has", func() ([]byte, error) { return s.data, nil })
}

// Admin is what an admin API is made of.
type Admin struct {
	// File returns the configuration in force.
	File func() *declarative.File
	// Check returns what is wrong with the file and these entities beside it.
	Check func([]declarative.Further) declarative.Problems
	// Registry returns the registry, nil while it is away; it is nil without one.
	Registry func() *registry.Registry
	// Token opens everything. Given says that somebody has chosen it.
	Token redact.Secret
	Given bool
	// Addr is where the API is to listen.
	Addr net.Addr
}

// check returns what is wrong with the file and other entities beside it than there are.
func (s *Sidecar) check(further []declarative.Further) declarative.Problems {
	s.mu.Lock()
	data := s.data
	s.mu.Unlock()
	o := options(s.config, s.state)
	o.Further = further
	file, problems := declarative.Parse(s.config.File, data, o)
	if file == nil {
		return problems
	}
	return append(problems, CheckSize(file)...)
}

// CheckSize returns what is wrong with the size of a configuration: filters take no more
// than so many bytes, compiled and without the keys of issuers.
func CheckSize(file *declarative.File) declarative.Problems {
	compiled := snapshot.Compile(file, snapshot.Secrets{MAC: func(...string) string { return strings.Repeat("x", 64) }})
	b := compiled.Bundle(nil, func(id string) *bundle.Trust { return &bundle.Trust{ID: id} })
	n := len(b.Encode())
	if n <= bundle.MaxBytes {
		return nil
	}
	return declarative.Problems{declarative.NewProblem(declarative.TooLarge, file.Name, 0, "",
		"the compiled configuration would have "+strconv.Itoa(n)+" bytes, more than the filters take ("+strconv.Itoa(bundle.MaxBytes)+")")}
}

// admin listens for the admin API.
func (s *Sidecar) admin() (net.Listener, http.Handler, error) {
	if s.config.Admin == nil {
		return nil, nil, errors.New("there is no admin API to listen for")
	}
	l, err := net.Listen("tcp", s.config.AdminListen)
	if err != nil {
		return nil, nil, fmt.Errorf("--admin-listen: %w", err)
	}
	a := Admin{File: s.File, Check: s.check, Token: s.config.AdminToken, Given: !s.config.AdminToken.Empty(), Addr: l.Addr()}
	if !s.config.Registry.Empty() {
		a.Registry = s.people.Registry
	}
	where := "as given"
	if !a.Given {
		if a.Token, where, err = s.state.AdminToken(); err != nil {
			_ = l.Close()
			return nil, nil, err
		}
	}
	handler, err := s.config.Admin(a)
	if err != nil {
		_ = l.Close()
		return nil, nil, fmt.Errorf("--admin-listen is %s: %w", s.config.AdminListen, err)
	}
	s.logger.Info("the admin API listens", "address", l.Addr().String(), "token", where)
	return l, handler, nil
}

// OpenRegistry opens the registry that a flag names, or else the file, for whoever needs
// what it has beside the file: nil where neither names one. stateDir is that of the
// installation, which has its secret unless the file has it.
func OpenRegistry(ctx context.Context, flag redact.Secret, f *declarative.File, stateDir string) (*registry.Registry, error) {
	dsn := flag
	if dsn.Empty() {
		dsn = redact.New(f.Settings.Registry)
	}
	if dsn.Empty() {
		return nil, nil
	}
	secret := redact.New(f.Settings.InstallationSecret)
	if secret.Empty() {
		var err error
		if secret, err = state.InstallationSecret(stateDir); err != nil {
			return nil, err
		}
	}
	if _, err := RegistryFile(dsn, stateDir); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, besideTime)
	defer cancel()
	return registry.Open(ctx, dsn.Reveal(), registry.Options{Secret: secret})
}

// followInterval is how often a registry is asked for changes.
const followInterval = 250 * time.Millisecond

// FollowRegistry calls changed whenever services, routes or plugins of a registry may have
// changed, until ctx ends, and once at the beginning. It is for whoever reads them beside a
// sidecar that runs elsewhere. changed returns false where it could not read them: a change
// is told of once, so it is called again.
func FollowRegistry(ctx context.Context, db *registry.Registry, changed func() (read bool)) {
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	since, news := uint64(0), true
	for {
		list, last, gap, err := db.Changes(ctx, since, 0)
		if err == nil {
			since = last
			news = news || gap || slices.ContainsFunc(list, func(c registry.Change) bool { return c.Kind == registry.ConfigChange })
			if news {
				news = !changed()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
