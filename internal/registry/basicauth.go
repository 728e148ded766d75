package registry

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/bundle"
	"github.com/sallyport-auth/sallyport/internal/passhash"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// BasicAuth is a credential of the basic-auth plugin, without its password.
type BasicAuth struct {
	ID         string
	ConsumerID string
	Username   string // unique
	Tags       []string
	Created    time.Time
}

var basicauths = &table[BasicAuth]{
	name:    "basicauths",
	columns: `basicauths.id, basicauths.consumer_id, basicauths.username, basicauths.tags, basicauths.created`,
	scan: func(s scanner) (b BasicAuth, err error) {
		var tags string
		var created int64
		if err := s.Scan(&b.ID, &b.ConsumerID, &b.Username, &tags, &created); err != nil {
			return b, err
		}
		b.Created = moment(created)
		b.Tags, err = unlist(tags)
		return b, err
	},
	id: func(b BasicAuth) string { return b.ID },
}

// basicAuthBy returns the credential with an id or, failing that, a user name.
func basicAuthBy(ctx context.Context, c conn, ref string) (BasicAuth, error) {
	if isID(ref) {
		if b, err := basicauths.one(ctx, c, `basicauths.id = ?`, ref); !errors.Is(err, ErrNotFound) {
			return b, err
		}
	}
	if ref == "" || badText(ref, maxName) {
		return BasicAuth{}, ErrNotFound
	}
	return basicauths.one(ctx, c, `basicauths.username = ?`, ref)
}

// BasicAuth returns the credential with an id or, failing that, a user name.
func (r *Registry) BasicAuth(ctx context.Context, ref string) (BasicAuth, error) {
	return basicAuthBy(ctx, r.read(), ref)
}

// BasicAuths lists credentials.
func (r *Registry) BasicAuths(ctx context.Context, want CredentialFilter, p Page) (List[BasicAuth], error) {
	return basicauths.page(ctx, r.read(), want.filter("basicauths"), p)
}

// CreateBasicAuth enters a user name and a password, or its hash as passhash reads it,
// for the consumer b.ConsumerID.
func (r *Registry) CreateBasicAuth(ctx context.Context, a Actor, b BasicAuth, password redact.Secret) (BasicAuth, error) {
	hash, err := b.check(r, password) // takes its time, outside of the transaction
	if err != nil {
		return b, err
	}
	if hash == "" {
		return b, invalid("password", "is missing")
	}
	err = r.write(ctx, a, func(w *tx) (err error) {
		b, err = w.createBasicAuth(ctx, b, hash)
		return err
	})
	return b, err
}

func (w *tx) createBasicAuth(ctx context.Context, b BasicAuth, hash string) (BasicAuth, error) {
	if w.r.reserved("basicauths", "username", b.Username) {
		return b, &Conflict{"username", b.Username}
	}
	if b.ID != "" && w.r.reserved("basicauths", "id", b.ID) {
		return b, &Conflict{"id", b.ID}
	}
	if err := w.owned(ctx, "basicauths", b.ConsumerID, maxCredentials); err != nil {
		return b, err
	}
	if b.ID == "" {
		b.ID = newID()
	}
	b.Tags, b.Created = sorted(b.Tags), moment(micro(w.now))
	_, err := w.exec(ctx, `INSERT INTO basicauths (id, consumer_id, username, hash, tags, created) VALUES (?, ?, ?, ?, ?, ?)`,
		b.ID, b.ConsumerID, b.Username, hash, list(b.Tags), micro(b.Created))
	if err != nil {
		return b, taken(err, map[string]string{"id": b.ID, "username": b.Username})
	}
	if err := w.newTags(ctx, "basicauths", b.ID, b.Tags); err != nil {
		return b, err
	}
	w.change(CredentialChange, bundle.BasicPrefix+b.ID)
	w.audit("create", "basicauths", b.ID, fmt.Sprintf("username %q, consumer %s", b.Username, b.ConsumerID))
	return b, nil
}

// UpdateBasicAuth changes Username and Tags, and the password where one is given. ref is
// an id or a user name.
func (r *Registry) UpdateBasicAuth(ctx context.Context, a Actor, ref string, change func(*BasicAuth) error, password redact.Secret) (b BasicAuth, err error) {
	hash := ""
	if !password.Empty() {
		if hash, err = r.passwordHash(password); err != nil {
			return b, err
		}
	}
	err = r.write(ctx, a, func(w *tx) error {
		old, err := basicAuthBy(ctx, w.conn, ref)
		if err != nil {
			return err
		}
		b = old
		if err := change(&b); err != nil {
			return err
		}
		b.ID, b.ConsumerID, b.Created, b.Tags = old.ID, old.ConsumerID, old.Created, sorted(b.Tags)
		if _, err := b.check(r, redact.Secret{}); err != nil {
			return err
		}
		if r.reserved("basicauths", "username", b.Username) {
			return &Conflict{"username", b.Username}
		}
		if _, err := w.exec(ctx, `UPDATE basicauths SET username = ?, tags = ?, hash = COALESCE(?, hash) WHERE id = ?`, b.Username, list(b.Tags), null(hash), b.ID); err != nil {
			return taken(err, map[string]string{"username": b.Username})
		}
		if err := w.tag(ctx, "basicauths", b.ID, b.Tags); err != nil {
			return err
		}
		w.change(CredentialChange, bundle.BasicPrefix+b.ID)
		what := fmt.Sprintf("username %q to %q, consumer %s", old.Username, b.Username, b.ConsumerID)
		if hash != "" {
			what += ", another password"
		}
		w.audit("update", "basicauths", b.ID, what)
		return nil
	})
	return b, err
}

// DeleteBasicAuth removes a credential. ref is an id or a user name.
func (r *Registry) DeleteBasicAuth(ctx context.Context, a Actor, ref string) error {
	return r.write(ctx, a, func(w *tx) error {
		b, err := basicAuthBy(ctx, w.conn, ref)
		if err != nil {
			return err
		}
		w.change(CredentialChange, bundle.BasicPrefix+b.ID)
		return w.remove(ctx, "basicauths", b.ID, fmt.Sprintf("username %q, consumer %s", b.Username, b.ConsumerID))
	})
}

// check checks a credential and returns the hash of its password, "" for none.
func (b *BasicAuth) check(r *Registry, password redact.Secret) (hash string, err error) {
	bad := checks{}
	bad.id("id", b.ID)
	bad.tags(b.Tags)
	bad.required("username", b.Username)
	bad.text("username", b.Username, maxName)
	if strings.Contains(b.Username, ":") { // RFC 7617 §2
		bad.fail("username", "has a colon, where the password would begin")
	}
	if err := bad.err(); err != nil || password.Empty() {
		return "", err
	}
	return r.passwordHash(password)
}

// kongHash is what Kong keeps of a password: SHA-1 of it and the consumer's id, in hex.
var kongHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// passwordHash hashes a password; what is one already stays.
func (r *Registry) passwordHash(password redact.Secret) (string, error) {
	bad := checks{}
	s := password.Reveal()
	switch {
	case len(s) > maxPassword:
		bad.fail("password", "is longer than %d bytes", maxPassword)
	case passhash.Looks(s):
		if _, err := passhash.Parse(s); err != nil {
			bad.fail("password", "%s", err)
		}
	case kongHash.MatchString(s):
		bad.fail("password", "looks like Kong's hash of a password (SHA-1), which is too cheap to try: expected the password, or its hash by argon2id or bcrypt")
	case strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f || c == '�' }):
		bad.fail("password", "holds a control character or broken UTF-8")
	default:
		hash := r.hashPassword(s)
		if _, err := passhash.Parse(hash); err != nil {
			return "", fmt.Errorf("registry: what Options.HashPassword makes %w", err)
		}
		return hash, nil
	}
	return s, bad.err()
}

// BasicAuthByUsername returns the credential with a user name, the hash of its password
// as passhash reads it, and whose it is. The error is ErrNotFound for none.
func (r *Registry) BasicAuthByUsername(ctx context.Context, username string) (b BasicAuth, hash string, who Identity, err error) {
	if username == "" || badText(username, maxName) {
		return b, "", who, ErrNotFound
	}
	err = r.view(ctx, func(c conn) error {
		if b, err = basicauths.one(ctx, c, `basicauths.username = ?`, username); err != nil {
			return err
		}
		if err := c.row(ctx, `SELECT hash FROM basicauths WHERE id = ?`, b.ID).Scan(&hash); err != nil {
			return err
		}
		who, err = identity(ctx, c, b.ConsumerID)
		return err
	})
	if err != nil {
		return BasicAuth{}, "", Identity{}, err
	}
	return b, hash, who, nil
}
