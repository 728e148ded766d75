package snapshot

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// secrets are the credentials of key-auth and basic-auth. Neither a key nor a password
// is among them, only their hashes.
type secrets struct {
	keys      map[[sha256.Size]byte]*bundle.Credential // by the key's hash
	passwords map[string]*Password                     // by user name
	hashes    []string                                 // of all passwords, in the order of user names
	versions  map[string]string                        // by kind and id, as changes name them
}

// Password is a credential of basic-auth.
type Password struct {
	Hash       string // as passhash reads it
	Credential *bundle.Credential
}

func (s *Snapshot) compileSecrets(f *declarative.File) {
	x := &s.secrets
	x.keys, x.passwords, x.versions = map[[sha256.Size]byte]*bundle.Credential{}, map[string]*Password{}, map[string]string{}
	for _, k := range f.APIKeys {
		if k.ID == "" {
			continue // the file was read without an installation
		}
		version := s.secret.MAC("key-auth", k.ID, string(k.Hash[:]), strconv.FormatInt(k.Expires, 10), Who(k.Consumer))
		x.keys[k.Hash] = &bundle.Credential{ID: k.ID, Version: version, Consumer: Consumer(k.Consumer), Expires: k.Expires}
		x.versions[bundle.KeyPrefix+k.ID] = version
	}
	for _, p := range f.Passwords {
		if p.Hash == "" {
			continue
		}
		version := s.secret.MAC("basic-auth", p.ID, p.Username, p.Hash, Who(p.Consumer))
		x.passwords[p.Username] = &Password{p.Hash, &bundle.Credential{ID: p.ID, Version: version, Consumer: Consumer(p.Consumer)}}
		x.versions[bundle.BasicPrefix+p.ID] = version
	}
	for _, p := range x.passwords {
		x.hashes = append(x.hashes, p.Hash)
	}
	slices.Sort(x.hashes)
}

// Who is everything that a filter is told of a consumer.
func Who(c *declarative.Consumer) string {
	return fmt.Sprintf("%q %q %q %q %v %q", c.ID, c.Username, c.CustomID, c.Groups, c.Application, c.Contracts)
}

// APIKey returns the credential with a key, nil for none.
func (s *Snapshot) APIKey(key string) *bundle.Credential {
	return s.secrets.keys[sha256.Sum256([]byte(key))]
}

// Password returns the credential of a user name, nil for none.
func (s *Snapshot) Password(user string) *Password { return s.secrets.passwords[user] }

// Hashes returns the hashes of all passwords. An unknown user's password is tried
// against one of them, so that it takes as long as a known one's.
func (s *Snapshot) Hashes() []string { return s.secrets.hashes }

// changedSecrets adds what differs between two snapshots.
func (s *Snapshot) changedSecrets(old *Snapshot, names []string) []string {
	for name, version := range s.secrets.versions {
		if old.secrets.versions[name] != version {
			names = append(names, name)
		}
	}
	for name := range old.secrets.versions {
		if s.secrets.versions[name] == "" {
			names = append(names, name)
		}
	}
	return names
}

func compileKeyAuth(c *declarative.KeyAuthConfig) *bundle.KeyAuth {
	return &bundle.KeyAuth{
		Common: bundle.Common{
			Anonymous: anonymous(c.Anonymous), SkipPreflight: !c.RunOnPreflight, Realm: c.Realm,
			HeaderNames: c.HeaderNames(), QueryNames: c.QueryNames(),
		},
		Hide: c.HideCredentials,
	}
}

func compileBasicAuth(c *declarative.BasicAuthConfig) *bundle.BasicAuth {
	return &bundle.BasicAuth{
		Common: bundle.Common{
			Anonymous: anonymous(c.Anonymous), SkipPreflight: !c.RunOnPreflight, Realm: c.Realm,
			HeaderNames: []string{"authorization"},
		},
		Hide: c.HideCredentials,
	}
}
