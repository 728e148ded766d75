package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// The roles of admin tokens.
const (
	RoleAdmin           = "admin"            // everything but reading secrets
	RoleCredentialsRead = "credentials:read" // reading jwt secrets
	RolePortalApprove   = "portal:approve"   // developers and contracts
	RoleRead            = "read"             // reading everything but secrets
)

var roles = []string{RoleAdmin, RoleCredentialsRead, RolePortalApprove, RoleRead}

// AdminToken is a token for the admin API, without the token itself.
type AdminToken struct {
	ID       string
	Name     string // unique
	Roles    []string
	Expires  time.Time // zero: never
	Created  time.Time
	LastUsed time.Time // to the minute; zero: never
}

// Has reports whether the token has a role.
func (t AdminToken) Has(role string) bool { return slices.Contains(t.Roles, role) }

var tokens = &table[AdminToken]{
	name:    "tokens",
	columns: `tokens.id, tokens.name, tokens.roles, tokens.expires, tokens.created, tokens.last_used`,
	scan: func(s scanner) (t AdminToken, err error) {
		var roles string
		var expires, created, used int64
		err = s.Scan(&t.ID, &t.Name, &roles, &expires, &created, &used)
		t.Roles, t.Expires, t.Created, t.LastUsed = strings.Fields(roles), moment(expires), moment(created), moment(used)
		return t, err
	},
	id: func(t AdminToken) string { return t.ID },
}

// minToken is the least length of a token that is given, in bytes.
const minToken = 20

// CreateAdminToken enters a token. An empty one is made here, of 256 random bits. What is
// returned is not kept and cannot be had again.
func (r *Registry) CreateAdminToken(ctx context.Context, a Actor, t AdminToken, token redact.Secret) (AdminToken, redact.Secret, error) {
	if token.Empty() {
		token = redact.New(newSecret())
	}
	err := r.write(ctx, a, func(w *tx) error {
		if err := t.check(token.Reveal()); err != nil {
			return err
		}
		if t.ID == "" {
			t.ID = newID()
		}
		t.Roles, t.Expires, t.Created, t.LastUsed = sorted(t.Roles), moment(micro(t.Expires)), moment(micro(w.now)), time.Time{}
		_, err := w.exec(ctx, `INSERT INTO tokens (id, name, hash, roles, expires, created, last_used) VALUES (?, ?, ?, ?, ?, ?, 0)`,
			t.ID, t.Name, keyed(r.sealer.tokens, token.Reveal()), strings.Join(t.Roles, " "), micro(t.Expires), micro(t.Created))
		if err != nil {
			return taken(err, map[string]string{"id": t.ID, "name": t.Name}) // the token is a secret
		}
		w.audit("create", "tokens", t.ID, fmt.Sprintf("name %q, roles %s, expires %s", t.Name, strings.Join(t.Roles, " "), when(t.Expires)))
		return nil
	})
	if err != nil {
		return t, redact.Secret{}, err
	}
	return t, token, nil
}

func (t *AdminToken) check(token string) error {
	bad := checks{}
	bad.id("id", t.ID)
	bad.required("name", t.Name)
	bad.text("name", t.Name, maxName)
	bad.expiry("expires", t.Expires)
	if len(t.Roles) == 0 {
		bad.fail("roles", "are missing: expected some of %s", strings.Join(roles, ", "))
	}
	for _, role := range t.Roles {
		if !slices.Contains(roles, role) {
			bad.fail("roles", "hold one that is unknown: expected some of %s", strings.Join(roles, ", "))
		}
	}
	if len(token) < minToken || len(token) > maxKey || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		bad.fail("token", "is not %d to %d characters of ASCII without blanks", minToken, maxKey)
	}
	return bad.err()
}

// AdminTokenBy returns the token that somebody has sent. The error is ErrNotFound for
// none, and for one that has expired.
func (r *Registry) AdminTokenBy(ctx context.Context, token string) (AdminToken, error) {
	if token == "" || len(token) > maxKey {
		return AdminToken{}, ErrNotFound
	}
	t, err := tokens.one(ctx, r.read(), `tokens.hash = ?`, keyed(r.sealer.tokens, token))
	if err != nil {
		return AdminToken{}, err
	}
	now := r.now()
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return AdminToken{}, ErrNotFound
	}
	if now.Sub(t.LastUsed) >= time.Minute {
		t.LastUsed = moment(micro(now.Truncate(time.Minute)))
		err = r.locked(ctx, func(c conn, _ head) error {
			_, err := c.exec(ctx, `UPDATE tokens SET last_used = ? WHERE id = ? AND last_used < ?`, micro(t.LastUsed), t.ID, micro(t.LastUsed))
			return err
		})
		if err != nil {
			return AdminToken{}, err
		}
	}
	return t, nil
}

// AdminTokens lists tokens.
func (r *Registry) AdminTokens(ctx context.Context, p Page) (List[AdminToken], error) {
	return tokens.page(ctx, r.read(), &filter{}, p)
}

// DeleteAdminToken removes the token with an id or a name; it is refused from then on.
func (r *Registry) DeleteAdminToken(ctx context.Context, a Actor, ref string) error {
	return r.write(ctx, a, func(w *tx) error {
		if ref == "" || badText(ref, maxName) {
			return ErrNotFound
		}
		t, err := tokens.one(ctx, w.conn, `tokens.id = ? OR tokens.name = ?`, ref, ref)
		if err != nil {
			return err
		}
		if _, err := w.exec(ctx, `DELETE FROM tokens WHERE id = ?`, t.ID); err != nil {
			return err
		}
		w.audit("delete", "tokens", t.ID, fmt.Sprintf("name %q", t.Name))
		return nil
	})
}
