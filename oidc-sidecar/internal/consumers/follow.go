package consumers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/registry"
)

// How the registry is followed.
const (
	pollInterval = 200 * time.Millisecond
	pollTime     = 2 * time.Second // for one answer
	openTime     = 5 * time.Second
	openAgain    = time.Second
	batch        = 5000 // changes
)

// file is the file of a registry that is one.
type file struct {
	path   string      // "" for a server
	opened os.FileInfo // what was there when it was opened
}

// fileOf returns the file of a data source name.
func fileOf(dsn string) file {
	if dsn == "" || strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		return file{}
	}
	return file{path: strings.TrimPrefix(strings.TrimPrefix(dsn, "sqlite:"), "//")} // sqlite:///path too
}

// File returns the path of the file that a data source name is for, "" for a server's.
func File(dsn string) string { return fileOf(dsn).path }

// errMoved is why a registry's file is not used any more: what is written now is written
// elsewhere.
var errMoved = errors.New("its file was moved away, or another was put in its place")

// moved returns an error where the file is not the one that was opened.
func (f *file) moved() error {
	if f.path == "" {
		return nil
	}
	now, err := os.Stat(f.path)
	switch {
	case err != nil:
		return err
	case f.opened == nil || !os.SameFile(f.opened, now):
		return errMoved
	}
	return nil
}

// open opens the registry.
func (f *Finder) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	db, err := registry.Open(ctx, f.config.Registry.Reveal(), registry.Options{Secret: f.config.Secret, Now: f.config.Now})
	if err != nil {
		return err
	}
	if f.file.path != "" {
		if f.file.opened, err = os.Stat(f.file.path); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	// Nobody has been told anything of it yet: its past is of no account. No change has a
	// number as great as this, so that the answer is where the log stands.
	_, last, _, err := db.Changes(ctx, math.MaxUint64, 1)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	f.mu.Lock()
	f.db, f.seq = db, last
	f.mu.Unlock()
	f.back()
	return nil
}

// Run follows the registry's changes until ctx ends.
func (f *Finder) Run(ctx context.Context) {
	if f.config.Registry.Empty() {
		return
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		f.step(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// step looks for changes once.
func (f *Finder) step(ctx context.Context) {
	db := f.Registry()
	if db != nil {
		if err := f.file.moved(); err != nil {
			f.gone(err)
			f.mu.Lock()
			f.db = nil
			f.mu.Unlock()
			_ = db.Close()
			db = nil
		}
	}
	if db == nil {
		f.reopen(ctx)
		return
	}
	for {
		list, last, gap, err := f.changes(ctx, db)
		if err != nil {
			if ctx.Err() == nil {
				f.gone(err)
			}
			return
		}
		f.tell(list, gap)
		f.seq = last
		f.back() // only now: whoever is answered from here on is told of later changes
		if len(list) < batch {
			return
		}
	}
}

// reopen tries to open a registry that was not there, or whose file was another. A file
// is not made here: an empty registry in the place of one that was moved away would say
// of everybody that they are nobody.
func (f *Finder) reopen(ctx context.Context) {
	now := f.config.Now()
	f.mu.Lock()
	early := now.Sub(f.tried) < openAgain
	if !early {
		f.tried = now
	}
	f.mu.Unlock()
	if early {
		return
	}
	if f.file.path != "" {
		if _, err := os.Stat(f.file.path); err != nil {
			return
		}
	}
	if err := f.open(ctx); err != nil {
		f.gone(err)
		return
	}
	f.config.Forget() // whatever was remembered may have been of another
	f.configured()
}

// changes asks for changes. A connection that was cut is found out by the first question
// over it: the second is over another.
func (f *Finder) changes(ctx context.Context, db *registry.Registry) (list []registry.Change, last uint64, gap bool, err error) {
	for range 2 {
		limited, cancel := context.WithTimeout(ctx, pollTime)
		list, last, gap, err = db.Changes(limited, f.seq, batch)
		cancel()
		if err == nil || ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	return list, last, gap, err
}

// tell enters changes into the feed.
func (f *Finder) tell(list []registry.Change, gap bool) {
	if gap {
		f.config.Forget()
		f.configured()
		return
	}
	var credentials, consumers []string
	configured := false
	seen := map[registry.Change]bool{}
	for _, c := range list {
		same := registry.Change{Kind: c.Kind, Key: c.Key}
		if seen[same] {
			continue
		}
		seen[same] = true
		switch c.Kind {
		case registry.ConsumerChange:
			consumers = append(consumers, c.Key)
		case registry.CredentialChange:
			credentials = append(credentials, c.Key)
		case registry.ConfigChange:
			configured = true
		}
	}
	if configured {
		f.configured()
	}
	if len(credentials)+len(consumers) > 0 {
		f.config.Changed(credentials, consumers)
		f.told.Add(float64(len(credentials) + len(consumers)))
	}
}

// configured tells that services, routes or plugins may have changed.
func (f *Finder) configured() {
	if f.config.Configured != nil {
		f.config.Configured()
	}
}

// gone notes that the registry does not answer, and says so when that is news.
func (f *Finder) gone(err error) {
	f.mu.Lock()
	news := f.away == nil
	f.away = err
	if news {
		f.since = f.config.Now()
	}
	f.mu.Unlock()
	if news {
		f.config.Logger.Error("the registry does not answer: whoever is not remembered and not in the file gets 503", "error", err)
	}
}

// back notes that the registry answers.
func (f *Finder) back() {
	f.mu.RLock()
	away, since := f.away, f.since
	f.mu.RUnlock()
	if away == nil {
		return
	}
	f.mu.Lock()
	f.away = nil
	f.mu.Unlock()
	f.config.Logger.Info("the registry answers", "after", fmt.Sprint(f.config.Now().Sub(since).Round(time.Millisecond)))
}
