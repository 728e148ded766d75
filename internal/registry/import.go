package registry

import (
	"context"
	"fmt"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// Batch is what Import enters. Credentials and groups may belong to consumers of the
// batch, whose ids are then chosen by the caller.
type Batch struct {
	Consumers  []Consumer
	KeyAuths   []NewKeyAuth
	BasicAuths []NewBasicAuth
	JWTSecrets []NewJWTSecret
	ACLs       []ACL
}

// NewKeyAuth is an API key with its key.
type NewKeyAuth struct {
	KeyAuth
	Key redact.Secret
}

// NewBasicAuth is a user name with its password, or with the hash of one.
type NewBasicAuth struct {
	BasicAuth
	Password redact.Secret
}

// NewJWTSecret is a credential of the jwt plugin with its secret.
type NewJWTSecret struct {
	JWTSecret
	Secret redact.Secret
}

// Import enters many entities, all or none of them, with one row in the audit log. The
// error names the first that is refused.
func (r *Registry) Import(ctx context.Context, a Actor, b Batch) error {
	hashes := make([]string, len(b.BasicAuths)) // before the transaction: each takes its time
	for i := range b.BasicAuths {
		hash, err := b.BasicAuths[i].check(r, b.BasicAuths[i].Password)
		if err == nil && hash == "" {
			err = invalid("password", "is missing")
		}
		if err != nil {
			return fmt.Errorf("basicauth %d: %w", i, err)
		}
		hashes[i] = hash
	}
	return r.write(ctx, a, func(w *tx) error {
		for i, c := range b.Consumers {
			if _, err := w.createConsumer(ctx, c); err != nil {
				return fmt.Errorf("consumer %d: %w", i, err)
			}
		}
		for i, k := range b.KeyAuths {
			if k.Key.Empty() {
				return fmt.Errorf("keyauth %d: %w", i, invalid("key", "is missing"))
			}
			if _, err := w.createKeyAuth(ctx, k.KeyAuth, k.Key); err != nil {
				return fmt.Errorf("keyauth %d: %w", i, err)
			}
		}
		for i, c := range b.BasicAuths {
			if _, err := w.createBasicAuth(ctx, c.BasicAuth, hashes[i]); err != nil {
				return fmt.Errorf("basicauth %d: %w", i, err)
			}
		}
		for i, j := range b.JWTSecrets {
			if _, err := w.createJWTSecret(ctx, j.JWTSecret, j.Secret); err != nil {
				return fmt.Errorf("jwt secret %d: %w", i, err)
			}
		}
		for i, l := range b.ACLs {
			if _, err := w.createACL(ctx, l); err != nil {
				return fmt.Errorf("acl %d: %w", i, err)
			}
		}
		w.audits = nil
		w.audit("import", "consumers", "", fmt.Sprintf("%d consumers, %d keyauths, %d basicauths, %d jwts, %d acls",
			len(b.Consumers), len(b.KeyAuths), len(b.BasicAuths), len(b.JWTSecrets), len(b.ACLs)))
		return nil
	})
}
