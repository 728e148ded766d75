package snapshot

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/keys"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/oidc-sidecar/internal/provider"
)

// remoteTimeout bounds a request to a jwks_uri.
const remoteTimeout = 10 * time.Second

// Credential is a credential with everything that the sidecar needs of it.
type Credential struct {
	declared *declarative.JWTSecret
	secret   redact.Secret
	keys     []keys.Key
	// Trust is the id of the provider behind jwks_uri, "" for none.
	Trust   string
	version string
}

func (s *Snapshot) credential(d *declarative.JWTSecret) {
	if d.Key == "" {
		return // the file was read without an installation
	}
	trust := ""
	if d.JWKSURI != "" {
		trust = s.provider(provider.Config{JWKSURI: d.JWKSURI, Verify: true, Timeout: remoteTimeout})
	}
	s.credentials[d.Key] = s.newCredential(d, trust)
}

// NewCredential returns a credential that is not of the file, and has no jwks_uri.
func (s *Snapshot) NewCredential(d *declarative.JWTSecret) *Credential { return s.newCredential(d, "") }

func (s *Snapshot) newCredential(d *declarative.JWTSecret, trust string) *Credential {
	c := &Credential{declared: d, secret: redact.New(d.Secret), Trust: trust}
	switch {
	case trust != "":
	case len(d.JWKS) > 0:
		c.keys = d.JWKS
	case d.Public != nil:
		c.keys = []keys.Key{{Public: d.Public, Alg: []jose.Alg{d.Algorithm}}}
	}
	var material strings.Builder
	for _, k := range c.keys {
		fmt.Fprintf(&material, "%q %v %x\n", k.ID, k.Alg, k.SPKI())
	}
	c.version = s.secret.MAC(d.ID, d.Key, d.Secret, d.Algorithm.String(), material.String(), c.Trust,
		fmt.Sprintf("%q %q %v %v", d.Issuers, d.Audiences, d.Leeway, d.Algorithms),
		Who(d.Consumer))
	return c
}

// Credential returns the credential with a key, nil for none.
func (s *Snapshot) Credential(key string) *Credential { return s.credentials[key] }

// HMAC returns the secret as a key for the instance p, which may read it as
// base64; nil when there is none.
func (c *Credential) HMAC(p *bundle.Plugin) []byte {
	if c.declared.Algorithm.Family() != jose.HMAC || c.secret.Empty() {
		return nil
	}
	if p.JWT == nil || !p.JWT.Base64 {
		return []byte(c.secret.Reveal())
	}
	key, err := decodeBase64(c.secret.Reveal())
	if err != nil || len(key) == 0 {
		return nil
	}
	return key
}

// decodeBase64 reads both alphabets, with and without padding, as secrets come.
func decodeBase64(s string) ([]byte, error) {
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	return base64.RawStdEncoding.DecodeString(s)
}

// Keys returns the public keys: the credential's own, or those of set, which is
// what its jwks_uri has.
func (c *Credential) Keys(set *provider.Set) []keys.Key {
	if c.Trust == "" {
		return c.keys
	}
	if set == nil {
		return nil
	}
	return set.Keys
}

// Bundle returns the credential as a filter gets it, for the instance p.
func (c *Credential) Bundle(p *bundle.Plugin, set *provider.Set) *bundle.Credential {
	d := c.declared
	out := &bundle.Credential{
		ID: d.ID, Key: d.Key, Version: c.version, Remote: c.Trust != "",
		Consumer: Consumer(d.Consumer), Issuers: d.Issuers, Audiences: d.Audiences, Leeway: d.Leeway,
	}
	if p.JWT != nil && p.JWT.Base64 {
		out.Version += "-base64"
	}
	if c.Trust != "" && set != nil {
		out.Version += "-" + set.Hash
	}
	allowed := func(a jose.Alg) bool { return len(d.Algorithms) == 0 || contains(d.Algorithms, a) }
	if d.Algorithm != jose.Unsupported {
		out.Alg = []jose.Alg{d.Algorithm}
		allowed = func(a jose.Alg) bool { return a == d.Algorithm }
	}
	for _, k := range c.Keys(set) {
		b := k.Bundle()
		b.Alg = nil
		for _, a := range k.Alg {
			if allowed(a) {
				b.Alg = append(b.Alg, a)
				if !contains(out.Alg, a) {
					out.Alg = append(out.Alg, a)
				}
			}
		}
		out.Keys = append(out.Keys, b)
	}
	return out
}

func contains(list []jose.Alg, a jose.Alg) bool {
	for _, x := range list {
		if x == a {
			return true
		}
	}
	return false
}
