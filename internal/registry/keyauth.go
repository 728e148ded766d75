package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// KeyAuth is a credential of the key-auth plugin, without its key.
type KeyAuth struct {
	ID         string
	ConsumerID string
	Hint       string    // the first 4 characters; "" where the key is too short for telling any
	Expires    time.Time // zero: never
	Tags       []string
	Created    time.Time
}

// CredentialFilter is which credentials are wanted; empty fields do not count.
type CredentialFilter struct {
	ConsumerID string
	Tags       []string // all of them
	AnyTag     bool     // or any of them
}

func (want CredentialFilter) filter(kind string) *filter {
	var f filter
	f.is(kind+".consumer_id", want.ConsumerID)
	f.tagged(kind, want.Tags, want.AnyTag)
	return &f
}

var keyauths = &table[KeyAuth]{
	name:    "keyauths",
	columns: `keyauths.id, keyauths.consumer_id, keyauths.hint, keyauths.expires, keyauths.tags, keyauths.created`,
	scan: func(s scanner) (k KeyAuth, err error) {
		var tags string
		var expires, created int64
		if err := s.Scan(&k.ID, &k.ConsumerID, &k.Hint, &expires, &tags, &created); err != nil {
			return k, err
		}
		k.Expires, k.Created = moment(expires), moment(created)
		k.Tags, err = unlist(tags)
		return k, err
	},
	id: func(k KeyAuth) string { return k.ID },
}

// KeyAuth returns the credential with an id.
func (r *Registry) KeyAuth(ctx context.Context, id string) (KeyAuth, error) {
	return keyauths.one(ctx, r.read(), `keyauths.id = ?`, known(id))
}

// KeyAuths lists credentials.
func (r *Registry) KeyAuths(ctx context.Context, want CredentialFilter, p Page) (List[KeyAuth], error) {
	return keyauths.page(ctx, r.read(), want.filter("keyauths"), p)
}

// CreateKeyAuth enters an API key for the consumer k.ConsumerID. An empty key is made
// here, of 256 random bits. The key that is returned is not kept and cannot be had again.
func (r *Registry) CreateKeyAuth(ctx context.Context, a Actor, k KeyAuth, key redact.Secret) (KeyAuth, redact.Secret, error) {
	if key.Empty() {
		key = redact.New(newSecret())
	}
	err := r.write(ctx, a, func(w *tx) (err error) {
		k, err = w.createKeyAuth(ctx, k, key)
		return err
	})
	if err != nil {
		return k, redact.Secret{}, err
	}
	return k, key, nil
}

func (w *tx) createKeyAuth(ctx context.Context, k KeyAuth, key redact.Secret) (KeyAuth, error) {
	if err := k.check(key.Reveal()); err != nil {
		return k, err
	}
	if w.r.reserved("keyauths", "key", key.Reveal()) {
		return k, &Conflict{Field: "key"}
	}
	if k.ID != "" && w.r.reserved("keyauths", "id", k.ID) {
		return k, &Conflict{"id", k.ID}
	}
	if err := w.owned(ctx, "keyauths", k.ConsumerID, maxCredentials); err != nil {
		return k, err
	}
	if k.ID == "" {
		k.ID = newID()
	}
	k.Hint, k.Expires, k.Tags, k.Created = hint(key.Reveal()), moment(micro(k.Expires)), sorted(k.Tags), moment(micro(w.now))
	_, err := w.exec(ctx, `INSERT INTO keyauths (id, consumer_id, hash, hint, expires, tags, created) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		k.ID, k.ConsumerID, keyed(w.r.sealer.keys, key.Reveal()), k.Hint, micro(k.Expires), list(k.Tags), micro(k.Created))
	if err != nil {
		return k, taken(err, map[string]string{"id": k.ID}) // the key is a secret
	}
	if err := w.newTags(ctx, "keyauths", k.ID, k.Tags); err != nil {
		return k, err
	}
	w.change(CredentialChange, bundle.KeyPrefix+k.ID)
	w.audit("create", "keyauths", k.ID, "consumer "+k.ConsumerID)
	return k, nil
}

// UpdateKeyAuth changes Expires and Tags, and the key where one is given.
func (r *Registry) UpdateKeyAuth(ctx context.Context, a Actor, id string, change func(*KeyAuth) error, key redact.Secret) (k KeyAuth, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		old, err := keyauths.one(ctx, w.conn, `keyauths.id = ?`, known(id))
		if err != nil {
			return err
		}
		k = old
		if err := change(&k); err != nil {
			return err
		}
		k.ID, k.ConsumerID, k.Hint, k.Created = old.ID, old.ConsumerID, old.Hint, old.Created
		k.Expires, k.Tags = moment(micro(k.Expires)), sorted(k.Tags)
		what := fmt.Sprintf("consumer %s, expires %s", k.ConsumerID, when(k.Expires))
		if key.Empty() {
			if err := k.check(""); err != nil {
				return err
			}
		} else {
			if err := k.check(key.Reveal()); err != nil {
				return err
			}
			if w.r.reserved("keyauths", "key", key.Reveal()) {
				return &Conflict{Field: "key"}
			}
			k.Hint, what = hint(key.Reveal()), what+", another key"
			if _, err := w.exec(ctx, `UPDATE keyauths SET hash = ?, hint = ? WHERE id = ?`, keyed(w.r.sealer.keys, key.Reveal()), k.Hint, k.ID); err != nil {
				return taken(err, nil)
			}
		}
		if _, err := w.exec(ctx, `UPDATE keyauths SET expires = ?, tags = ? WHERE id = ?`, micro(k.Expires), list(k.Tags), k.ID); err != nil {
			return err
		}
		if err := w.tag(ctx, "keyauths", k.ID, k.Tags); err != nil {
			return err
		}
		w.change(CredentialChange, bundle.KeyPrefix+k.ID)
		w.audit("update", "keyauths", k.ID, what)
		return nil
	})
	return k, err
}

// DeleteKeyAuth removes a credential.
func (r *Registry) DeleteKeyAuth(ctx context.Context, a Actor, id string) error {
	return r.write(ctx, a, func(w *tx) error {
		k, err := keyauths.one(ctx, w.conn, `keyauths.id = ?`, known(id))
		if err != nil {
			return err
		}
		w.change(CredentialChange, bundle.KeyPrefix+k.ID)
		return w.remove(ctx, "keyauths", k.ID, "consumer "+k.ConsumerID)
	})
}

// check checks a credential; key "" leaves the key out.
func (k *KeyAuth) check(key string) error {
	bad := checks{}
	bad.id("id", k.ID)
	bad.tags(k.Tags)
	bad.expiry("expires", k.Expires)
	if key != "" {
		bad.apiKey(key)
	}
	return bad.err()
}

// apiKey checks a key. A proxy may join two headers by a comma, and takes blanks off
// their ends: a key must not look like what becomes of others.
func (c checks) apiKey(key string) {
	switch {
	case len(key) > maxKey:
		c.fail("key", "is longer than %d bytes", maxKey)
	case len(key) < minKey:
		c.fail("key", "is shorter than %d bytes: it can be found by trying", minKey)
	}
	for _, b := range []byte(key) {
		if b <= 0x20 || b >= 0x7f || b == ',' {
			c.fail("key", "has a blank, a comma or a character beyond ASCII, which do not come through every proxy as they were sent")
		}
	}
}

// hint returns what people tell keys apart by.
func hint(key string) string {
	if len(key) < hinted {
		return ""
	}
	return key[:4]
}

// owned checks that a consumer is there, and has less than a number of rows.
func (w *tx) owned(ctx context.Context, kind, consumer string, bound int) error {
	var there, n int
	err := w.row(ctx, `SELECT (SELECT COUNT(*) FROM consumers WHERE id = ?), (SELECT COUNT(*) FROM `+kind+` WHERE consumer_id = ?)`, known(consumer), known(consumer)).Scan(&there, &n)
	if err != nil {
		return err
	}
	if there == 0 {
		return ErrNotFound
	}
	return room("consumer", n, bound)
}

// remove deletes a row with its tags.
func (w *tx) remove(ctx context.Context, kind, id, detail string) error {
	if err := w.tag(ctx, kind, id, nil); err != nil {
		return err
	}
	if _, err := w.exec(ctx, `DELETE FROM `+kind+` WHERE id = ?`, id); err != nil {
		return err
	}
	w.audit("delete", kind, id, detail)
	return nil
}

// known returns an id as it is asked for: what is none is found nowhere.
func known(id string) string {
	if !isID(id) {
		return ""
	}
	return id
}

// when writes a time for people.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// KeyAuthByKey returns the credential with a key, and whose it is. The caller judges
// Expires. The error is ErrNotFound for none.
func (r *Registry) KeyAuthByKey(ctx context.Context, key string) (k KeyAuth, who Identity, err error) {
	if key == "" || len(key) > maxKey {
		return k, who, ErrNotFound
	}
	err = r.view(ctx, func(c conn) error {
		if k, err = keyauths.one(ctx, c, `keyauths.hash = ?`, keyed(r.sealer.keys, key)); err != nil {
			return err
		}
		who, err = identity(ctx, c, k.ConsumerID)
		return err
	})
	if err != nil {
		return KeyAuth{}, Identity{}, err
	}
	return k, who, nil
}

var errOrphan = errors.New("registry: a row without the one that it belongs to")
