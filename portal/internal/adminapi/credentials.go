package adminapi

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
)

// credential is a kind of credential: how those of the file and of the registry are shown,
// found and written. In a path it is {credential}.
type credential struct {
	nested, all string // names in paths: below a consumer, and of all consumers'
	schema      string
	named       string   // the field that finds one in a path beside its id, "" for none
	optional    []string // fields that a PUT without them empties
	file        func(*call, *declarative.File) []fileCredential
	list        func(*call, registry.CredentialFilter, registry.Page) ([]any, string, error)
	// get returns the credential with an id, or another name of it, how it is shown, and
	// whose it is.
	get    func(c *call, ref string) (id, consumer string, view func() (any, error), err error)
	create func(c *call, consumer string, body map[string]any, id string) (any, error)
	update func(c *call, id string, body map[string]any) (any, error)
	delete func(c *call, id string) error
}

// fileCredential is one of the file; names are what finds it in a path.
type fileCredential struct {
	of    *declarative.Consumer
	names []string
	tags  []string
	view  any
	// secret is the id of a credential whose secret is in view.
	secret string
}

type keyAuthJSON struct {
	ID       string   `json:"id"`
	Key      *string  `json:"key"` // once, to whoever made it
	Hint     *string  `json:"key_hint"`
	TTL      *int64   `json:"ttl"` // seconds that are left
	Expires  *int64   `json:"expires_at"`
	Consumer idJSON   `json:"consumer"`
	Tags     []string `json:"tags"`
	Created  *int64   `json:"created_at"`
}

type basicAuthJSON struct {
	ID       string   `json:"id"`
	Username string   `json:"username"`
	Consumer idJSON   `json:"consumer"`
	Tags     []string `json:"tags"`
	Created  *int64   `json:"created_at"`
}

type jwtJSON struct {
	ID           string   `json:"id"`
	Key          string   `json:"key"`
	Secret       *string  `json:"secret"`
	Algorithm    *string  `json:"algorithm"`
	RSAPublicKey *string  `json:"rsa_public_key"`
	JWKSURI      *string  `json:"jwks_uri,omitempty"`
	Consumer     idJSON   `json:"consumer"`
	Tags         []string `json:"tags"`
	Created      *int64   `json:"created_at"`
}

// aclJSON has no id where the file has it: a group of a consumer's is known by its name.
type aclJSON struct {
	ID       string   `json:"id,omitempty"`
	Group    string   `json:"group"`
	Consumer idJSON   `json:"consumer"`
	Tags     []string `json:"tags"`
	Created  *int64   `json:"created_at"`
}

var allCredentials = []credential{keyAuths, basicAuths, jwts, acls}

var keyAuths = credential{
	nested: "key-auth", all: "key-auths", schema: "key-auth", optional: []string{"tags", "expires_at"},
	file: func(c *call, f *declarative.File) (list []fileCredential) {
		for _, k := range f.APIKeys {
			view := keyAuthJSON{ID: k.ID, Consumer: idJSON{k.Consumer.ID}, Tags: k.Tags}
			if k.Expires != 0 {
				view.Expires, view.TTL = &k.Expires, left(c.Now(), time.Unix(k.Expires, 0))
			}
			list = append(list, fileCredential{k.Consumer, []string{k.ID}, k.Tags, view, ""})
		}
		return list
	},
	list: func(c *call, want registry.CredentialFilter, p registry.Page) ([]any, string, error) {
		list, err := c.Registry.KeyAuths(c.r.Context(), want, p)
		return each(list, err, func(k registry.KeyAuth) any { return c.showKeyAuth(k, redact.Secret{}) })
	},
	get: func(c *call, ref string) (string, string, func() (any, error), error) {
		k, err := c.Registry.KeyAuth(c.r.Context(), ref)
		return k.ID, k.ConsumerID, func() (any, error) { return c.showKeyAuth(k, redact.Secret{}), nil }, err
	},
	create: func(c *call, consumer string, body map[string]any, id string) (any, error) {
		k := registry.KeyAuth{ID: id, ConsumerID: consumer}
		key, err := c.readKeyAuth(body, &k, id)
		if err != nil {
			return nil, err
		}
		k, made, err := c.Registry.CreateKeyAuth(c.r.Context(), c.who.actor, k, key)
		return c.showKeyAuth(k, made), err
	},
	update: func(c *call, id string, body map[string]any) (any, error) {
		key, err := c.readKeyAuth(body, &registry.KeyAuth{}, id)
		if err != nil {
			return nil, err
		}
		k, err := c.Registry.UpdateKeyAuth(c.r.Context(), c.who.actor, id, func(k *registry.KeyAuth) error {
			_, err := c.readKeyAuth(body, k, id)
			return err
		}, key)
		return c.showKeyAuth(k, key), err
	},
	delete: func(c *call, id string) error { return c.Registry.DeleteKeyAuth(c.r.Context(), c.who.actor, id) },
}

// left returns for how many seconds something holds, the last one that has begun included:
// a key that is made for five seconds has five.
func left(now, expires time.Time) *int64 {
	n := max(0, int64((expires.Sub(now)+time.Second-1)/time.Second))
	return &n
}

func (c *call) showKeyAuth(k registry.KeyAuth, key redact.Secret) any {
	view := keyAuthJSON{ID: k.ID, Key: orNull(key.Reveal()), Hint: orNull(k.Hint), Expires: seconds(k.Expires),
		Consumer: idJSON{k.ConsumerID}, Tags: k.Tags, Created: seconds(k.Created)}
	if !k.Expires.IsZero() {
		view.TTL = left(c.Now(), k.Expires)
	}
	return view
}

// maxTTL is Kong's bound on the life of a key, in seconds.
const maxTTL = 100000000

// readKeyAuth reads what a body says of a key. The key itself is empty for none.
func (c *call) readKeyAuth(body map[string]any, k *registry.KeyAuth, id string) (redact.Secret, error) {
	var key string
	var ttl int64
	f := newFields(body)
	f.same("id", id)
	f.same("key_hint", k.Hint)
	f.text("key", &key)
	f.texts("tags", &k.Tags)
	expires := f.moment("expires_at", &k.Expires)
	if f.number("ttl", &ttl, 0, maxTTL) {
		if expires {
			f.fail("ttl", "stands beside expires_at: expected one of them")
		}
		if k.Expires = (time.Time{}); ttl > 0 {
			k.Expires = c.Now().Add(time.Duration(ttl) * time.Second)
		}
	}
	if err := f.err(); err != nil {
		return redact.Secret{}, err
	}
	if key != "" {
		sum := sha256.Sum256([]byte(key))
		if slices.ContainsFunc(c.File().APIKeys, func(k *declarative.APIKey) bool { return k.Hash == sum }) {
			return redact.Secret{}, taken("key", nil)
		}
	}
	return redact.New(key), nil
}

var basicAuths = credential{
	nested: "basic-auth", all: "basic-auths", schema: "basic-auth", named: "username", optional: []string{"tags"},
	file: func(_ *call, f *declarative.File) (list []fileCredential) {
		for _, p := range f.Passwords {
			list = append(list, fileCredential{p.Consumer, []string{p.ID, p.Username}, p.Tags,
				basicAuthJSON{p.ID, p.Username, idJSON{p.Consumer.ID}, p.Tags, nil}, ""})
		}
		return list
	},
	list: func(c *call, want registry.CredentialFilter, p registry.Page) ([]any, string, error) {
		list, err := c.Registry.BasicAuths(c.r.Context(), want, p)
		return each(list, err, showBasicAuth)
	},
	get: func(c *call, ref string) (string, string, func() (any, error), error) {
		b, err := c.Registry.BasicAuth(c.r.Context(), ref)
		return b.ID, b.ConsumerID, func() (any, error) { return showBasicAuth(b), nil }, err
	},
	create: func(c *call, consumer string, body map[string]any, id string) (any, error) {
		b := registry.BasicAuth{ID: id, ConsumerID: consumer}
		password, err := c.readBasicAuth(body, &b, id)
		if err != nil {
			return nil, err
		}
		b, err = c.Registry.CreateBasicAuth(c.r.Context(), c.who.actor, b, password)
		return showBasicAuth(b), err
	},
	update: func(c *call, id string, body map[string]any) (any, error) {
		password, err := c.readBasicAuth(body, &registry.BasicAuth{}, id)
		if err != nil {
			return nil, err
		}
		b, err := c.Registry.UpdateBasicAuth(c.r.Context(), c.who.actor, id, func(b *registry.BasicAuth) error {
			_, err := c.readBasicAuth(body, b, id)
			return err
		}, password)
		return showBasicAuth(b), err
	},
	delete: func(c *call, id string) error { return c.Registry.DeleteBasicAuth(c.r.Context(), c.who.actor, id) },
}

func showBasicAuth(b registry.BasicAuth) any {
	return basicAuthJSON{b.ID, b.Username, idJSON{b.ConsumerID}, b.Tags, seconds(b.Created)}
}

func (c *call) readBasicAuth(body map[string]any, b *registry.BasicAuth, id string) (redact.Secret, error) {
	var password string
	f := newFields(body)
	f.same("id", id)
	f.text("username", &b.Username)
	f.text("password", &password)
	f.texts("tags", &b.Tags)
	if err := f.err(); err != nil {
		return redact.Secret{}, err
	}
	if b.Username != "" && slices.ContainsFunc(c.File().Passwords, func(p *declarative.Password) bool { return p.Username == b.Username }) {
		return redact.Secret{}, taken("username", b.Username)
	}
	return redact.New(password), nil
}

var jwts = credential{
	nested: "jwt", all: "jwts", schema: "jwt", named: "key", optional: []string{"tags"},
	file: func(c *call, f *declarative.File) (list []fileCredential) {
		for _, s := range f.JWTSecrets {
			view := jwtJSON{ID: s.ID, Key: s.Key, Algorithm: orNull(s.Algorithm.String()), RSAPublicKey: orNull(s.PublicPEM),
				JWKSURI: orNull(s.JWKSURI), Consumer: idJSON{s.Consumer.ID}, Tags: s.Tags}
			secret := ""
			if c.who.roles&credentials != 0 && s.Secret != "" {
				view.Secret, secret = &s.Secret, s.ID
			}
			list = append(list, fileCredential{s.Consumer, []string{s.ID, s.Key}, s.Tags, view, secret})
		}
		return list
	},
	list: func(c *call, want registry.CredentialFilter, p registry.Page) ([]any, string, error) {
		list, err := c.Registry.JWTSecrets(c.r.Context(), want, p)
		if err != nil {
			return nil, "", err
		}
		var out []any
		for _, j := range list.Data {
			view, err := c.showJWT(j)
			if err != nil {
				return nil, "", err
			}
			out = append(out, view)
		}
		return out, list.Next, nil
	},
	get: func(c *call, ref string) (string, string, func() (any, error), error) {
		j, err := c.Registry.JWTSecret(c.r.Context(), ref)
		return j.ID, j.ConsumerID, func() (any, error) { return c.showJWT(j) }, err
	},
	create: func(c *call, consumer string, body map[string]any, id string) (any, error) {
		j := registry.JWTSecret{ID: id, ConsumerID: consumer}
		secret, err := c.readJWT(body, &j, id)
		if err != nil {
			return nil, err
		}
		j, made, err := c.Registry.CreateJWTSecret(c.r.Context(), c.who.actor, j, secret)
		return viewJWT(j, orNull(made.Reveal())), err // whoever makes it is told, once
	},
	update: func(c *call, id string, body map[string]any) (any, error) {
		secret, err := c.readJWT(body, &registry.JWTSecret{}, id)
		if err != nil {
			return nil, err
		}
		j, err := c.Registry.UpdateJWTSecret(c.r.Context(), c.who.actor, id, func(j *registry.JWTSecret) error {
			_, err := c.readJWT(body, j, id)
			return err
		}, secret)
		return viewJWT(j, orNull(secret.Reveal())), err
	},
	delete: func(c *call, id string) error { return c.Registry.DeleteJWTSecret(c.r.Context(), c.who.actor, id) },
}

func viewJWT(j registry.JWTSecret, secret *string) any {
	return jwtJSON{ID: j.ID, Key: j.Key, Secret: secret, Algorithm: orNull(j.Algorithm), RSAPublicKey: orNull(j.RSAPublicKey),
		Consumer: idJSON{j.ConsumerID}, Tags: j.Tags, Created: seconds(j.Created)}
}

func (c *call) showJWT(j registry.JWTSecret) (any, error) {
	secret, err := c.secret(c.r.Context(), j.ID)
	return viewJWT(j, secret), err
}

func (c *call) readJWT(body map[string]any, j *registry.JWTSecret, id string) (redact.Secret, error) {
	var secret string
	f := newFields(body)
	f.same("id", id)
	f.text("key", &j.Key)
	f.text("secret", &secret)
	f.text("algorithm", &j.Algorithm)
	f.text("rsa_public_key", &j.RSAPublicKey)
	f.texts("tags", &j.Tags)
	if err := f.err(); err != nil {
		return redact.Secret{}, err
	}
	if j.Key != "" && slices.ContainsFunc(c.File().JWTSecrets, func(s *declarative.JWTSecret) bool { return s.Key == j.Key }) {
		return redact.Secret{}, taken("key", j.Key)
	}
	return redact.New(secret), nil
}

var acls = credential{
	nested: "acls", all: "acls", schema: "acl", named: "group", optional: []string{"tags"},
	file: func(_ *call, f *declarative.File) (list []fileCredential) {
		for _, c := range f.Consumers {
			for _, g := range c.Groups {
				list = append(list, fileCredential{c, []string{g}, nil, aclJSON{Group: g, Consumer: idJSON{c.ID}}, ""})
			}
		}
		return list
	},
	list: func(c *call, want registry.CredentialFilter, p registry.Page) ([]any, string, error) {
		list, err := c.Registry.ACLs(c.r.Context(), registry.ACLFilter{ConsumerID: want.ConsumerID, Tags: want.Tags, AnyTag: want.AnyTag}, p)
		return each(list, err, showACL)
	},
	get: func(c *call, ref string) (string, string, func() (any, error), error) {
		l, err := c.Registry.ACL(c.r.Context(), ref)
		if errors.Is(err, registry.ErrNotFound) && c.path["consumer"] != "" {
			l, err = c.aclByGroup(ref)
		}
		return l.ID, l.ConsumerID, func() (any, error) { return showACL(l), nil }, err
	},
	create: func(c *call, consumer string, body map[string]any, id string) (any, error) {
		l := registry.ACL{ID: id, ConsumerID: consumer}
		if err := readACL(body, &l, id); err != nil {
			return nil, err
		}
		l, err := c.Registry.CreateACL(c.r.Context(), c.who.actor, l)
		return showACL(l), err
	},
	update: func(c *call, id string, body map[string]any) (any, error) {
		if err := readACL(body, &registry.ACL{}, id); err != nil {
			return nil, err
		}
		l, err := c.Registry.UpdateACL(c.r.Context(), c.who.actor, id, func(l *registry.ACL) error { return readACL(body, l, id) })
		return showACL(l), err
	},
	delete: func(c *call, id string) error { return c.Registry.DeleteACL(c.r.Context(), c.who.actor, id) },
}

func showACL(l registry.ACL) any {
	return aclJSON{l.ID, l.Group, idJSON{l.ConsumerID}, l.Tags, seconds(l.Created)}
}

func readACL(body map[string]any, l *registry.ACL, id string) error {
	f := newFields(body)
	f.same("id", id)
	f.text("group", &l.Group)
	f.texts("tags", &l.Tags)
	return f.err()
}

// aclByGroup returns a consumer's membership by the name of the group (as in Kong).
func (c *call) aclByGroup(group string) (registry.ACL, error) {
	o, err := c.consumer()
	if err != nil {
		return registry.ACL{}, err
	}
	list, err := c.Registry.ACLs(c.r.Context(), registry.ACLFilter{ConsumerID: o.id(), Group: group}, registry.Page{Size: 1})
	switch {
	case err != nil:
		return registry.ACL{}, err
	case len(list.Data) == 0:
		return registry.ACL{}, registry.ErrNotFound
	}
	return list.Data[0], nil
}

// listAll answers all consumers' credentials of a kind, listOf those of one.
func (k *credential) listAll(c *call) (int, any, error) { return k.show(c, nil) }

func (k *credential) listOf(c *call) (int, any, error) {
	o, err := c.consumer()
	if err != nil {
		return 0, nil, err
	}
	return k.show(c, &o)
}

func (k *credential) show(c *call, of *owner) (int, any, error) {
	tags, err := c.tags()
	if err != nil {
		return 0, nil, err
	}
	var file []any
	for _, v := range k.file(c, c.File()) {
		if (of == nil || v.of == of.file) && tags.fit(v.tags) {
			file = append(file, v)
		}
	}
	if of != nil && of.file != nil {
		return c.page(file, nil) // the registry has nothing of a consumer of the file's
	}
	return c.page(file, func(p registry.Page) ([]any, string, error) {
		want := registry.CredentialFilter{Tags: tags.list, AnyTag: tags.anyOf}
		if of != nil {
			want.ConsumerID = of.registry.ID
		}
		return k.list(c, want, p)
	})
}

// reveal returns a credential of the file as it is shown; where that is its secret, the
// audit log tells.
func (c *call) reveal(v fileCredential) (any, error) {
	if v.secret == "" {
		return v.view, nil
	}
	return v.view, c.tell("jwts", v.secret, "of the declarative file")
}

// getAny answers a credential of whoever it is, getOf one of the consumer in the path.
func (k *credential) getAny(c *call) (int, any, error) { return k.find(c, nil) }

func (k *credential) getOf(c *call) (int, any, error) {
	o, err := c.consumer()
	if err != nil {
		return 0, nil, err
	}
	return k.find(c, &o)
}

func (k *credential) find(c *call, of *owner) (int, any, error) {
	ref := c.path["credential"]
	for _, v := range k.file(c, c.File()) {
		if (of == nil || v.of == of.file) && slices.Contains(v.names, ref) {
			view, err := c.reveal(v)
			return http.StatusOK, view, err
		}
	}
	if c.Registry == nil {
		return 0, nil, errNotFound
	}
	_, consumer, view, err := k.get(c, ref)
	if err != nil {
		return 0, nil, err
	}
	if of != nil && consumer != of.id() {
		return 0, nil, errNotFound
	}
	body, err := view()
	return http.StatusOK, body, err
}

func (k *credential) post(c *call) (int, any, error) {
	consumer, body, err := k.read(c)
	if err != nil {
		return 0, nil, err
	}
	id, _ := body["id"].(string)
	out, err := k.create(c, consumer, body, id)
	return http.StatusCreated, out, err
}

// read returns the consumer of the path and the body, in which the same consumer may
// stand.
func (k *credential) read(c *call) (consumer string, body map[string]any, err error) {
	of, err := c.ownConsumer()
	if err != nil {
		return "", nil, err
	}
	if body, err = c.body("credential", ""); err != nil {
		return "", nil, err
	}
	f := newFields(body)
	ref := of.ID
	if f.reference("consumer", &ref, "username", "custom_id"); ref != of.ID && ref != of.Username && ref != "" {
		f.fail("consumer", "is not that of the path")
	}
	delete(body, "consumer")
	if len(f.wrong) > 0 {
		return "", nil, violation(f.wrong)
	}
	return of.ID, body, nil
}

// own returns the id of the credential in the path, when it is the consumer's.
func (k *credential) own(c *call, consumer string) (string, error) {
	id, of, _, err := k.get(c, c.path["credential"])
	if err == nil && of != consumer {
		err = errNotFound
	}
	return id, err
}

func (k *credential) patch(c *call) (int, any, error) {
	consumer, body, err := k.read(c)
	if err != nil {
		return 0, nil, err
	}
	id, err := k.own(c, consumer)
	if err != nil {
		return 0, nil, err
	}
	out, err := k.update(c, id, body)
	return http.StatusOK, out, err
}

// put makes a credential with the id or name in the path, or changes it: of a secret that is not
// said anew there is nothing else to keep but the old one.
func (k *credential) put(c *call) (int, any, error) {
	consumer, body, err := k.read(c)
	if err != nil {
		return 0, nil, err
	}
	ref := c.path["credential"]
	if k.named != "" && !isUUID(ref) {
		if body[k.named] == nil {
			body[k.named] = ref
		} else if body[k.named] != any(ref) {
			return 0, nil, violation(map[string]string{k.named: "is not the one that it is put under"})
		}
	}
	id, err := k.own(c, consumer)
	switch {
	case err == nil:
		for _, name := range k.optional {
			_, said := body[name]
			if _, ttl := body["ttl"]; !said && !(ttl && name == "expires_at") {
				body[name] = nil
			}
		}
		out, err := k.update(c, id, body)
		return http.StatusOK, out, err
	case !errors.Is(err, registry.ErrNotFound):
		return 0, nil, err // another consumer's is not ours to replace
	}
	switch {
	case !isUUID(ref):
		if k.named == "" {
			return 0, nil, errNotFound
		}
		ref, _ = body["id"].(string)
	case body["id"] == nil:
		body["id"] = ref
	}
	out, err := k.create(c, consumer, body, ref)
	return http.StatusOK, out, err
}

func (k *credential) remove(c *call) (int, any, error) {
	of, err := c.ownConsumer()
	if err != nil {
		return 0, nil, err
	}
	id, err := k.own(c, of.ID)
	if errors.Is(err, registry.ErrNotFound) || errors.Is(err, errNotFound) {
		return http.StatusNoContent, nil, nil // as in Kong
	}
	if err != nil {
		return 0, nil, err
	}
	return noContent(k.delete(c, id))
}
