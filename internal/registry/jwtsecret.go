package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/jose"
	"github.com/sallyport-auth/sallyport/internal/keys"
	"github.com/sallyport-auth/sallyport/internal/redact"
)

// JWTSecret is a credential of the jwt plugin, without its secret.
type JWTSecret struct {
	ID           string
	ConsumerID   string
	Key          string // unique; the iss of tokens. Made here where it is empty
	Algorithm    string // "": HS256
	RSAPublicKey string // PEM, of whatever kind the algorithm asks for; "" for HS256 …
	Tags         []string
	Created      time.Time
}

var jwts = &table[JWTSecret]{
	name:    "jwts",
	columns: `jwts.id, jwts.consumer_id, jwts.iss, jwts.algorithm, jwts.rsa_public_key, jwts.tags, jwts.created`,
	scan: func(s scanner) (j JWTSecret, err error) {
		var tags string
		var created int64
		if err := s.Scan(&j.ID, &j.ConsumerID, &j.Key, &j.Algorithm, &j.RSAPublicKey, &tags, &created); err != nil {
			return j, err
		}
		j.Created = moment(created)
		j.Tags, err = unlist(tags)
		return j, err
	},
	id: func(j JWTSecret) string { return j.ID },
}

// jwtSecretBy returns the credential with an id or, failing that, a key.
func jwtSecretBy(ctx context.Context, c conn, ref string) (JWTSecret, error) {
	if isID(ref) {
		if j, err := jwts.one(ctx, c, `jwts.id = ?`, ref); !errors.Is(err, ErrNotFound) {
			return j, err
		}
	}
	if ref == "" || badText(ref, maxKey) {
		return JWTSecret{}, ErrNotFound
	}
	return jwts.one(ctx, c, `jwts.iss = ?`, ref)
}

// JWTSecret returns the credential with an id or, failing that, a key.
func (r *Registry) JWTSecret(ctx context.Context, ref string) (JWTSecret, error) {
	return jwtSecretBy(ctx, r.read(), ref)
}

// JWTSecrets lists credentials.
func (r *Registry) JWTSecrets(ctx context.Context, want CredentialFilter, p Page) (List[JWTSecret], error) {
	return jwts.page(ctx, r.read(), want.filter("jwts"), p)
}

// CreateJWTSecret enters a credential for the consumer j.ConsumerID. Where algorithm is
// HS256 … and secret is empty, one of 256 random bits is made. The secret is returned
// once more by JWTSecretValue.
func (r *Registry) CreateJWTSecret(ctx context.Context, a Actor, j JWTSecret, secret redact.Secret) (JWTSecret, redact.Secret, error) {
	if secret.Empty() && (j.Algorithm == "" || jose.ParseAlg(j.Algorithm).Family() == jose.HMAC) {
		secret = redact.New(newSecret())
	}
	err := r.write(ctx, a, func(w *tx) (err error) {
		j, err = w.createJWTSecret(ctx, j, secret)
		return err
	})
	if err != nil {
		return j, redact.Secret{}, err
	}
	return j, secret, nil
}

func (w *tx) createJWTSecret(ctx context.Context, j JWTSecret, secret redact.Secret) (JWTSecret, error) {
	if j.Key == "" {
		j.Key = newSecret()
	}
	if j.Algorithm == "" {
		j.Algorithm = jose.HS256.String()
	}
	if err := j.check(secret.Reveal()); err != nil {
		return j, err
	}
	if w.r.reserved("jwts", "key", j.Key) {
		return j, &Conflict{"key", j.Key}
	}
	if j.ID != "" && w.r.reserved("jwts", "id", j.ID) {
		return j, &Conflict{"id", j.ID}
	}
	if err := w.owned(ctx, "jwts", j.ConsumerID, maxCredentials); err != nil {
		return j, err
	}
	if j.ID == "" {
		j.ID = newID()
	}
	j.Tags, j.Created = sorted(j.Tags), moment(micro(w.now))
	_, err := w.exec(ctx, `INSERT INTO jwts (id, consumer_id, iss, algorithm, rsa_public_key, sealed, tags, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		j.ID, j.ConsumerID, j.Key, j.Algorithm, j.RSAPublicKey, w.r.sealer.seal(sealedJWT, j.ID, secret.Reveal()), list(j.Tags), micro(j.Created))
	if err != nil {
		return j, taken(err, map[string]string{"id": j.ID, "key": j.Key})
	}
	if err := w.newTags(ctx, "jwts", j.ID, j.Tags); err != nil {
		return j, err
	}
	w.change(CredentialChange, j.Key)
	w.audit("create", "jwts", j.ID, fmt.Sprintf("key %q, algorithm %s, consumer %s", j.Key, j.Algorithm, j.ConsumerID))
	return j, nil
}

// UpdateJWTSecret changes Key, Algorithm, RSAPublicKey and Tags, and the secret where one
// is given. ref is an id or a key.
func (r *Registry) UpdateJWTSecret(ctx context.Context, a Actor, ref string, change func(*JWTSecret) error, secret redact.Secret) (j JWTSecret, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		old, err := jwtSecretBy(ctx, w.conn, ref)
		if err != nil {
			return err
		}
		j = old
		if err := change(&j); err != nil {
			return err
		}
		j.ID, j.ConsumerID, j.Created, j.Tags = old.ID, old.ConsumerID, old.Created, sorted(j.Tags)
		what, value := "", secret
		if secret.Empty() {
			if value, err = w.sealed(ctx, j.ID); err != nil {
				return err
			}
		} else {
			what = ", another secret"
		}
		if err := j.check(value.Reveal()); err != nil {
			return err
		}
		if r.reserved("jwts", "key", j.Key) {
			return &Conflict{"key", j.Key}
		}
		_, err = w.exec(ctx, `UPDATE jwts SET iss = ?, algorithm = ?, rsa_public_key = ?, sealed = ?, tags = ? WHERE id = ?`,
			j.Key, j.Algorithm, j.RSAPublicKey, w.r.sealer.seal(sealedJWT, j.ID, value.Reveal()), list(j.Tags), j.ID)
		if err != nil {
			return taken(err, map[string]string{"key": j.Key})
		}
		if err := w.tag(ctx, "jwts", j.ID, j.Tags); err != nil {
			return err
		}
		w.change(CredentialChange, old.Key, j.Key)
		w.audit("update", "jwts", j.ID, fmt.Sprintf("key %q to %q, algorithm %s to %s, consumer %s%s", old.Key, j.Key, old.Algorithm, j.Algorithm, j.ConsumerID, what))
		return nil
	})
	return j, err
}

// DeleteJWTSecret removes a credential. ref is an id or a key.
func (r *Registry) DeleteJWTSecret(ctx context.Context, a Actor, ref string) error {
	return r.write(ctx, a, func(w *tx) error {
		j, err := jwtSecretBy(ctx, w.conn, ref)
		if err != nil {
			return err
		}
		w.change(CredentialChange, j.Key)
		return w.remove(ctx, "jwts", j.ID, fmt.Sprintf("key %q, consumer %s", j.Key, j.ConsumerID))
	})
}

// JWTSecretValue returns the secret of a credential, for somebody with the role for it,
// and writes that into the audit log. ref is an id or a key. A credential with a public
// key may have no secret.
func (r *Registry) JWTSecretValue(ctx context.Context, a Actor, ref string) (secret redact.Secret, err error) {
	err = r.write(ctx, a, func(w *tx) error {
		j, err := jwtSecretBy(ctx, w.conn, ref)
		if err != nil {
			return err
		}
		w.audit("read secret", "jwts", j.ID, fmt.Sprintf("key %q, consumer %s", j.Key, j.ConsumerID))
		secret, err = w.sealed(ctx, j.ID)
		return err
	})
	if err != nil {
		return redact.Secret{}, err // nothing is told that is not in the log
	}
	return secret, nil
}

// sealed opens the secret of a row.
func (w *tx) sealed(ctx context.Context, id string) (redact.Secret, error) {
	return jwtSecretOf(ctx, w.conn, w.r.sealer, id)
}

// sealedJWT is what secrets are sealed for, beside the id.
const sealedJWT = "jwts.sealed"

func jwtSecretOf(ctx context.Context, c conn, s sealer, id string) (redact.Secret, error) {
	var text string
	if err := c.row(ctx, `SELECT sealed FROM jwts WHERE id = ?`, id).Scan(&text); err != nil {
		return redact.Secret{}, missing(err)
	}
	plain, err := s.open(sealedJWT, id, text)
	return redact.New(plain), err
}

// check checks a credential. Like decK's, one with a public key may have a secret, which
// is kept and not used.
func (j *JWTSecret) check(secret string) error {
	bad := checks{}
	bad.id("id", j.ID)
	bad.tags(j.Tags)
	bad.required("key", j.Key)
	bad.text("key", j.Key, maxKey)
	if len(secret) > maxSecretText {
		bad.fail("secret", "is longer than %d bytes", maxSecretText)
	}
	alg := jose.ParseAlg(j.Algorithm)
	switch {
	case alg == jose.Unsupported:
		bad.fail("algorithm", "expected HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA")
	case alg.Family() == jose.HMAC:
		bad.required("secret", secret)
		if j.RSAPublicKey != "" {
			bad.fail("rsa_public_key", "stands beside algorithm %s, which takes a secret", alg)
		}
	case j.RSAPublicKey == "":
		bad.fail("rsa_public_key", "is missing: algorithm %s takes a public key in PEM", alg)
	case len(j.RSAPublicKey) > maxPEM:
		bad.fail("rsa_public_key", "is longer than %d bytes", maxPEM)
	default:
		if pub, err := keys.ParsePEM(j.RSAPublicKey); err != nil {
			bad.fail("rsa_public_key", "%s", err)
		} else if !slices.Contains(keys.Algs(pub), alg) {
			bad.fail("algorithm", "is %s, which the key is not for", alg)
		}
	}
	return bad.err()
}

// JWTSecretByKey returns the credential with a key, its secret, which may be empty for
// one with a public key, and whose it is. The error is ErrNotFound for none.
func (r *Registry) JWTSecretByKey(ctx context.Context, key string) (j JWTSecret, secret redact.Secret, who Identity, err error) {
	if key == "" || badText(key, maxKey) {
		return j, secret, who, ErrNotFound
	}
	err = r.view(ctx, func(c conn) error {
		if j, err = jwts.one(ctx, c, `jwts.iss = ?`, key); err != nil {
			return err
		}
		if secret, err = jwtSecretOf(ctx, c, r.sealer, j.ID); err != nil {
			return err
		}
		who, err = identity(ctx, c, j.ConsumerID)
		return err
	})
	if err != nil {
		return JWTSecret{}, redact.Secret{}, Identity{}, err
	}
	return j, secret, who, nil
}
