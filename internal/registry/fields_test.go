package registry

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// uuid returns one of some ids that tests choose.
func uuid4(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// world is a registry with one of everything.
type world struct {
	*Registry
	ann   Consumer
	dev   Developer
	app   Application
	key   KeyAuth
	basic BasicAuth
	jwt   JWTSecret
	acl   ACL
	kept  Contract
}

func newWorld(t *testing.T, dsn string) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{Registry: open(t, dsn)}
	w.ann = must(w.CreateConsumer(ctx, system, Consumer{ID: uuid4(1), Username: "ann", CustomID: "a-1"}))(t)
	var err error
	if w.key, _, err = w.CreateKeyAuth(ctx, system, KeyAuth{ID: uuid4(2), ConsumerID: w.ann.ID}, theKey); err != nil {
		t.Fatal(err)
	}
	w.basic = must(w.CreateBasicAuth(ctx, system, BasicAuth{ID: uuid4(3), ConsumerID: w.ann.ID, Username: "ann"}, thePassword))(t)
	if w.jwt, _, err = w.CreateJWTSecret(ctx, system, JWTSecret{ID: uuid4(4), ConsumerID: w.ann.ID, Key: "iss"}, theHMAC); err != nil {
		t.Fatal(err)
	}
	w.acl = must(w.CreateACL(ctx, system, ACL{ID: uuid4(5), ConsumerID: w.ann.ID, Group: "staff"}))(t)
	w.dev = must(w.Register(ctx, system, Developer{ID: uuid4(6), Email: "Dev@Example.com", Issuer: "https://idp", Subject: "s"}, true))(t)
	w.app = must(w.CreateApplication(ctx, system, Application{ID: uuid4(7), DeveloperID: w.dev.ID, Name: "app", CustomID: "0oa"}))(t)
	w.kept = must(w.RequestContract(ctx, system, w.app.ID, "orders", true))(t)
	must(w.CreateEntity(ctx, system, Entity{Kind: "services", ID: uuid4(8), Name: "orders", JSON: []byte(`{}`)}, nil))(t)
	if _, _, err := w.CreateAdminToken(ctx, system, AdminToken{ID: uuid4(9), Name: "ci", Roles: []string{RoleRead}}, theToken); err != nil {
		t.Fatal(err)
	}
	return w
}

// What is taken is refused with the field's name, and with its value unless it is a
// secret.
func testConflicts(t *testing.T, db database) {
	ctx, w := context.Background(), newWorld(t, db.dsn)
	other := must(w.CreateConsumer(ctx, system, Consumer{Username: "Bob", CustomID: "b-1"}))(t)
	dev2 := must(w.Register(ctx, system, Developer{Email: "2@example.com"}, true))(t)
	app2 := must(w.CreateApplication(ctx, system, Application{DeveloperID: w.dev.ID, Name: "app 2", CustomID: "0ob"}))(t)
	const clientID = "11111111-1111-4111-8111-111111111111"
	must(w.CreateApplication(ctx, system, Application{DeveloperID: w.dev.ID, Name: "app 3", CustomID: clientID}))(t)
	key2, _, err := w.CreateKeyAuth(ctx, system, KeyAuth{ConsumerID: other.ID}, otherKey)
	if err != nil {
		t.Fatal(err)
	}
	svc2 := must(w.CreateEntity(ctx, system, Entity{Kind: "services", Name: "mail", JSON: []byte(`{}`)}, nil))(t)
	create := func(c Consumer) error { return second(w.CreateConsumer(ctx, system, c)) }
	third := func(_, _ any, err error) error { return err }
	application := func(p Application) error {
		p.DeveloperID = w.dev.ID
		return second(w.CreateApplication(ctx, system, p))
	}
	for _, tt := range []struct {
		name         string
		err          error
		field, value string
	}{
		{"id", create(Consumer{ID: w.ann.ID, Username: "x"}), "id", w.ann.ID},
		{"username", create(Consumer{Username: "ann"}), "username", "ann"},
		{"custom_id", create(Consumer{CustomID: "a-1"}), "custom_id", "a-1"},
		{"custom_id of an application", create(Consumer{CustomID: "0oa"}), "custom_id", "0oa"},
		{"username that is an application's custom_id", create(Consumer{Username: "0oa"}), "username", "0oa"},
		{"username that is one in other letters", create(Consumer{Username: "0OA"}), "username", "0OA"},
		{"username of update that is one", second(w.UpdateConsumer(ctx, system, "Bob", func(c *Consumer) error { c.Username = "0ob"; return nil })), "username", "0ob"},
		{"id that is one", create(Consumer{ID: clientID, Username: "x"}), "id", clientID},
		{"username that is an id", create(Consumer{Username: w.ann.ID}), "username", w.ann.ID},
		{"username of update", second(w.UpdateConsumer(ctx, system, "Bob", func(c *Consumer) error { c.Username = "ann"; return nil })), "username", "ann"},
		{"custom_id of put", third(w.PutConsumer(ctx, system, "Bob", Consumer{CustomID: "a-1"})), "custom_id", "a-1"},
		{"key", third(w.CreateKeyAuth(ctx, system, KeyAuth{ConsumerID: other.ID}, theKey)), "key", ""},
		{"key of update", second(w.UpdateKeyAuth(ctx, system, key2.ID, func(*KeyAuth) error { return nil }, theKey)), "key", ""},
		{"id of a key", third(w.CreateKeyAuth(ctx, system, KeyAuth{ID: w.key.ID, ConsumerID: other.ID}, redact.Secret{})), "id", w.key.ID},
		{"username of basic-auth", second(w.CreateBasicAuth(ctx, system, BasicAuth{ConsumerID: other.ID, Username: "ann"}, thePassword)), "username", "ann"},
		{"key of jwt", third(w.CreateJWTSecret(ctx, system, JWTSecret{ConsumerID: other.ID, Key: "iss"}, redact.Secret{})), "key", "iss"},
		{"group", second(w.CreateACL(ctx, system, ACL{ConsumerID: w.ann.ID, Group: "staff"})), "group", "staff"},
		{"email", second(w.Register(ctx, system, Developer{Email: "DEV@example.COM"}, true)), "email", "DEV@example.COM"},
		{"email of update", second(w.UpdateDeveloper(ctx, system, dev2.ID, func(d *Developer) error { d.Email = "dev@example.com"; return nil })), "email", "dev@example.com"},
		{"subject", second(w.Register(ctx, system, Developer{Email: "x@y", Issuer: "https://idp", Subject: "s"}, true)), "subject", "s"},
		{"name of an application", application(Application{Name: "app", CustomID: "0oz"}), "name", "app"},
		{"custom_id that an application has", application(Application{Name: "x", CustomID: "0oa"}), "custom_id", "0oa"},
		{"custom_id that a consumer has", application(Application{Name: "x", CustomID: "a-1"}), "custom_id", "a-1"},
		{"custom_id that is a username", application(Application{Name: "x", CustomID: "ann"}), "custom_id", "ann"},
		{"custom_id that is a username in capitals", application(Application{Name: "x", CustomID: "ANN"}), "custom_id", "ANN"},
		{"custom_id that is a username in small letters", application(Application{Name: "x", CustomID: "bob"}), "custom_id", "bob"},
		{"custom_id that is an id", application(Application{Name: "x", CustomID: w.ann.ID}), "custom_id", w.ann.ID},
		{"custom_id of update", second(w.UpdateApplication(ctx, system, app2.ID, func(p *Application) error { p.CustomID = "ann"; return nil })), "custom_id", "ann"},
		{"service", second(w.RequestContract(ctx, system, w.app.ID, "orders", false)), "service", "orders"},
		{"name of a service", second(w.CreateEntity(ctx, system, Entity{Kind: "services", Name: "orders", JSON: []byte(`{}`)}, nil)), "name", "orders"},
		{"id of an entity of another kind", second(w.CreateEntity(ctx, system, Entity{Kind: "routes", ID: uuid4(8), JSON: []byte(`{}`)}, nil)), "id", uuid4(8)},
		{"name of a token", third(w.CreateAdminToken(ctx, system, AdminToken{Name: "ci", Roles: []string{RoleRead}}, redact.Secret{})), "name", "ci"},
		{"token", third(w.CreateAdminToken(ctx, system, AdminToken{Name: "x", Roles: []string{RoleRead}}, theToken)), "token", ""},
	} {
		var c *Conflict
		if !errors.As(tt.err, &c) || c.Field != tt.field || c.Value != tt.value {
			t.Errorf("%s: got %v, want a conflict of %s %q", tt.name, tt.err, tt.field, tt.value)
		}
		for _, s := range secrets {
			if tt.err != nil && strings.Contains(tt.err.Error(), s) {
				t.Errorf("%s: the error tells a secret", tt.name)
			}
		}
	}
	// A name that contracts wait under cannot be taken over by another service.
	must(w.RequestContract(ctx, system, w.app.ID, "old", true))(t)
	_, err = w.UpdateEntity(ctx, system, "services", svc2.ID, func(e *Entity) error { e.Name = "old"; return nil }, nil)
	var c *Conflict
	if !errors.As(err, &c) || c.Field != "name" {
		t.Errorf("a service took over contracts: %v", err)
	}
	// The same names are free elsewhere.
	must(w.CreateEntity(ctx, system, Entity{Kind: "routes", Name: "orders", JSON: []byte(`{}`)}, nil))(t)
	must(w.CreateApplication(ctx, system, Application{DeveloperID: dev2.ID, Name: "app", CustomID: "0oc"}))(t)
	must(w.CreateACL(ctx, system, ACL{ConsumerID: other.ID, Group: "staff"}))(t)
	must(w.UpdateConsumer(ctx, system, w.ann.ID, func(c *Consumer) error { c.Username = "ann"; return nil }))(t)
}

// What stands in the declarative file is taken.
func testReserved(t *testing.T, db database) {
	ctx := context.Background()
	asked := map[string]bool{}
	r := openWith(t, db.dsn, Options{Reserved: func(kind, field, value string) bool {
		asked[kind+"."+field] = true
		return strings.HasPrefix(value, "file-") || value == uuid4(99)
	}})
	c := must(r.CreateConsumer(ctx, system, Consumer{Username: "ann"}))(t)
	d := must(r.Register(ctx, system, Developer{Email: "a@b"}, true))(t)
	third := func(_, _ any, err error) error { return err }
	for name, tt := range map[string]struct {
		err   error
		field string
	}{
		"consumers.id":                {second(r.CreateConsumer(ctx, system, Consumer{ID: uuid4(99), Username: "x"})), "id"},
		"consumers.username":          {second(r.CreateConsumer(ctx, system, Consumer{Username: "file-1"})), "username"},
		"consumers.custom_id":         {second(r.UpdateConsumer(ctx, system, "ann", func(c *Consumer) error { c.CustomID = "file-1"; return nil })), "custom_id"},
		"applications' consumers":     {second(r.CreateApplication(ctx, system, Application{DeveloperID: d.ID, Name: "x", CustomID: "file-1"})), "custom_id"},
		"applications' consumers, id": {second(r.CreateApplication(ctx, system, Application{DeveloperID: d.ID, Name: "x", CustomID: uuid4(99)})), "custom_id"},
		"keyauths.key":                {third(r.CreateKeyAuth(ctx, system, KeyAuth{ConsumerID: c.ID}, redact.New("file-0123456789"))), "key"},
		"keyauths.id":                 {third(r.CreateKeyAuth(ctx, system, KeyAuth{ID: uuid4(99), ConsumerID: c.ID}, redact.Secret{})), "id"},
		"basicauths.username":         {second(r.CreateBasicAuth(ctx, system, BasicAuth{ConsumerID: c.ID, Username: "file-1"}, thePassword)), "username"},
		"basicauths.id":               {second(r.CreateBasicAuth(ctx, system, BasicAuth{ID: uuid4(99), ConsumerID: c.ID, Username: "x"}, thePassword)), "id"},
		"jwts.key":                    {third(r.CreateJWTSecret(ctx, system, JWTSecret{ConsumerID: c.ID, Key: "file-1"}, redact.Secret{})), "key"},
		"jwts.id":                     {third(r.CreateJWTSecret(ctx, system, JWTSecret{ID: uuid4(99), ConsumerID: c.ID}, redact.Secret{})), "id"},
	} {
		var taken *Conflict
		if !errors.As(tt.err, &taken) || taken.Field != tt.field {
			t.Errorf("%s: %v", name, tt.err)
		}
		if !asked[name] && strings.Contains(name, ".") {
			t.Errorf("%s is never asked for", name)
		}
	}
}

// rsaPublic and ecPublic are public keys whose private ones nobody has.
const ecPublic = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9
q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==
-----END PUBLIC KEY-----
`

// Every field has a bound, and what is beyond it is refused by the field's name; nothing
// that comes along is an error of the database.
func testInvalidFields(t *testing.T, db database) {
	ctx, w := context.Background(), newWorld(t, db.dsn)
	third := func(_, _ any, err error) error { return err }
	consumer := func(c Consumer) error { return second(w.CreateConsumer(ctx, system, c)) }
	username := func(s string) error { return consumer(Consumer{Username: s}) }
	key := func(k KeyAuth, s string) error {
		k.ConsumerID = w.ann.ID
		return third(w.CreateKeyAuth(ctx, system, k, redact.New(s)))
	}
	basic := func(name, password string) error {
		return second(w.CreateBasicAuth(ctx, system, BasicAuth{ConsumerID: w.ann.ID, Username: name}, redact.New(password)))
	}
	jwt := func(j JWTSecret, s string) error {
		j.ConsumerID = w.ann.ID
		return third(w.CreateJWTSecret(ctx, system, j, redact.New(s)))
	}
	group := func(s string) error { return second(w.CreateACL(ctx, system, ACL{ConsumerID: w.ann.ID, Group: s})) }
	register := func(d Developer) error { return second(w.Register(ctx, system, d, true)) }
	email := func(s string) error { return register(Developer{Email: s}) }
	app := func(p Application) error {
		p.DeveloperID = w.dev.ID
		if p.Name == "" {
			p.Name = "x"
		}
		if p.CustomID == "" {
			p.CustomID = "x"
		}
		return second(w.CreateApplication(ctx, system, p))
	}
	uri := func(s string) error { return app(Application{RedirectURI: s}) }
	entity := func(e Entity) error { return second(w.CreateEntity(ctx, system, e, nil)) }
	token := func(a AdminToken, s string) error { return third(w.CreateAdminToken(ctx, system, a, redact.New(s))) }
	read := []string{RoleRead}
	long := func(n int) string { return strings.Repeat("x", n) }
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprint("t", i))
		}
		return list
	}
	meta := map[string]string{}
	for i := range maxMeta + 1 {
		meta[fmt.Sprint("m", i)] = ""
	}
	for _, tt := range []struct {
		field string
		err   error
	}{
		{"username", username(long(maxName + 1))},
		{"username", username("a\x00b")},
		{"username", username("a\nb")},
		{"username", username("a\x7fb")},
		{"username", username("a\u0085b")},
		{"username", username("a\u202eb")},
		{"username", username("a\u2066b")},
		{"username", username("a\u200bb")},
		{"username", username("a\u2028b")},
		{"username", username("\ufeffa")},
		{"username", username("a\xffb")},
		{"username", username("a�b")},
		{"username", username(" a")},
		{"username", username("a\u00a0")},
		{"@entity", consumer(Consumer{})},
		{"custom_id", consumer(Consumer{CustomID: "a\tb"})},
		{"custom_id", consumer(Consumer{CustomID: long(maxName + 1)})},
		{"id", consumer(Consumer{ID: "1", Username: "x"})},
		{"id", consumer(Consumer{ID: strings.ToUpper("6f9f6ea4-0000-4000-8000-00000000000a"), Username: "x"})},
		{"id", consumer(Consumer{ID: "{6f9f6ea4-0000-4000-8000-00000000000}", Username: "x"})},
		{"id", consumer(Consumer{ID: "6f9f6ea4-0000-4000-8000-00000000000'", Username: "x"})},
		{"application", consumer(Consumer{Username: "x", Application: true})},
		{"tags", consumer(Consumer{Username: "x", Tags: many(maxTags + 1)})},
		{"tags", consumer(Consumer{Username: "x", Tags: []string{""}})},
		{"tags", consumer(Consumer{Username: "x", Tags: []string{"a,b"}})},
		{"tags", consumer(Consumer{Username: "x", Tags: []string{"a/b"}})},
		{"tags", consumer(Consumer{Username: "x", Tags: []string{long(maxTag + 1)}})},
		{"id", second(w.UpdateConsumer(ctx, system, w.app.ConsumerID, func(c *Consumer) error { c.CustomID = "x"; return nil }))},
		{"id", w.DeleteConsumer(ctx, system, w.app.ConsumerID)},
		{"username", third(w.PutConsumer(ctx, system, "carl", Consumer{Username: "dora"}))},
		{"username", third(w.PutConsumer(ctx, system, "ann", Consumer{Username: "dora"}))},
		{"key", key(KeyAuth{}, long(minKey-1))},
		{"key", key(KeyAuth{}, long(maxKey+1))},
		{"key", key(KeyAuth{}, "with a blank")},
		{"key", key(KeyAuth{}, "with,comma")},
		{"key", key(KeyAuth{}, "with-ümlaut")},
		{"expires", key(KeyAuth{Expires: time.Unix(maxTime+1, 0)}, long(20))},
		{"expires", key(KeyAuth{Expires: time.Unix(-1, 0)}, long(20))},
		{"tags", key(KeyAuth{Tags: []string{"a\x00"}}, long(20))},
		{"username", basic("", "password")},
		{"username", basic("with:colon", "password")},
		{"username", basic(long(maxName+1), "password")},
		{"password", basic("x", "")},
		{"password", basic("x", long(maxPassword+1))},
		{"password", basic("x", "a\x00b")},
		{"password", basic("x", "$argon2id$broken")},
		{"password", basic("x", "$2b$31$"+long(53))},
		{"password", basic("x", "da39a3ee5e6b4b0d3255bfef95601890afd80709")},
		{"key", jwt(JWTSecret{Key: "a\x00b"}, "")},
		{"key", jwt(JWTSecret{Key: long(maxKey + 1)}, "")},
		{"secret", jwt(JWTSecret{}, long(maxSecretText+1))},
		{"algorithm", jwt(JWTSecret{Algorithm: "none"}, "x")},
		{"algorithm", jwt(JWTSecret{Algorithm: "hs256"}, "x")},
		{"algorithm", jwt(JWTSecret{Algorithm: "RS256", RSAPublicKey: ecPublic}, "")},
		{"rsa_public_key", jwt(JWTSecret{Algorithm: "RS256"}, "")},
		{"rsa_public_key", jwt(JWTSecret{Algorithm: "ES256", RSAPublicKey: "no PEM"}, "")},
		{"rsa_public_key", jwt(JWTSecret{Algorithm: "ES256", RSAPublicKey: ecPublic + long(maxPEM)}, "")},
		{"rsa_public_key", jwt(JWTSecret{Algorithm: "HS256", RSAPublicKey: ecPublic}, "")},
		{"secret", second(w.UpdateJWTSecret(ctx, system, must(createEC(w))(t).ID, func(j *JWTSecret) error { j.Algorithm, j.RSAPublicKey = "HS256", ""; return nil }, redact.Secret{}))},
		{"group", group("")},
		{"group", group("a,b")},
		{"group", group(long(maxName + 1))},
		{"email", email("")},
		{"email", email("nobody")},
		{"email", email("@b")},
		{"email", email("a@")},
		{"email", email("a@b@c")},
		{"email", email("a b@c")},
		{"email", email("a@b\r\nBcc: c@d")},
		{"email", email("\u212a@b")}, // a Kelvin sign
		{"email", email(long(maxEmail) + "@b")},
		{"subject", register(Developer{Email: "a@b", Issuer: "https://idp"})},
		{"subject", register(Developer{Email: "a@b", Subject: "1"})},
		{"subject", register(Developer{Email: "a@b", Issuer: "https://idp", Subject: long(maxName + 1)})},
		{"issuer", register(Developer{Email: "a@b", Issuer: long(maxURI + 1), Subject: "1"})},
		{"name", register(Developer{Email: "a@b", Name: "\u202eevil"})},
		{"meta", register(Developer{Email: "a@b", Meta: meta})},
		{"meta", register(Developer{Email: "a@b", Meta: map[string]string{"": "x"}})},
		{"meta", register(Developer{Email: "a@b", Meta: map[string]string{"x": long(maxMetaValue + 1)}})},
		{"status", register(Developer{Email: "a@b", Status: Approved})},
		{"status", second(w.SetDeveloperStatus(ctx, system, w.dev.ID, 0))},
		{"status", second(w.SetDeveloperStatus(ctx, system, w.dev.ID, 9))},
		{"status", second(w.UpdateDeveloper(ctx, system, w.dev.ID, func(d *Developer) error { d.Status = Revoked; return nil }))},
		{"status", second(w.SetContractStatus(ctx, system, w.kept.ID, -1))},
		{"name", app(Application{Name: long(maxName + 1)})},
		{"name", app(Application{Name: "a\nb"})},
		{"name", second(w.UpdateApplication(ctx, system, w.app.ID, func(p *Application) error { p.Name = ""; return nil }))},
		{"custom_id", second(w.UpdateApplication(ctx, system, w.app.ID, func(p *Application) error { p.CustomID = ""; return nil }))},
		{"description", app(Application{Description: long(maxDescription + 1)})},
		{"description", app(Application{Description: "a\x00b"})},
		{"description", app(Application{Description: strings.Repeat("\n", maxDescription+1)})},
		{"consumer", app(Application{ConsumerID: w.ann.ID})},
		{"redirect_uri", uri("javascript:alert(1)")},
		{"redirect_uri", uri("JavaScript:alert(1)")},
		{"redirect_uri", uri("data:text/html,x")},
		{"redirect_uri", uri("/relative")},
		{"redirect_uri", uri("//host/path")},
		{"redirect_uri", uri("https:///path")},
		{"redirect_uri", uri("https://user:pass@host/")},
		{"redirect_uri", uri("https://host/#fragment")},
		{"redirect_uri", uri("https://host/<script>")},
		{"redirect_uri", uri("https://host/" + long(maxURI))},
		{"service", second(w.RequestContract(ctx, system, w.app.ID, "", true))},
		{"service", second(w.RequestContract(ctx, system, w.app.ID, "a\x00", true))},
		{"service", second(w.RequestContract(ctx, system, w.app.ID, long(maxName+1), true))},
		{"kind", entity(Entity{Kind: "upstreams", JSON: []byte(`{}`)})},
		{"kind", entity(Entity{JSON: []byte(`{}`)})},
		{"json", entity(Entity{Kind: "services"})},
		{"json", entity(Entity{Kind: "services", JSON: []byte(`{"a":}`)})},
		{"json", entity(Entity{Kind: "services", JSON: []byte("\"\xff\"")})},
		{"json", entity(Entity{Kind: "services", JSON: []byte(`"` + long(maxJSON) + `"`)})},
		{"name", entity(Entity{Kind: "services", Name: "a\nb", JSON: []byte(`{}`)})},
		{"service", entity(Entity{Kind: "plugins", ServiceID: "orders", JSON: []byte(`{}`)})},
		{"route", entity(Entity{Kind: "plugins", RouteID: "x", JSON: []byte(`{}`)})},
		{"consumer", entity(Entity{Kind: "plugins", ConsumerID: "x", JSON: []byte(`{}`)})},
		{"name", third(w.PutEntity(ctx, system, "orders", Entity{Kind: "services", Name: "mail", JSON: []byte(`{}`)}, nil))},
		{"name", token(AdminToken{Roles: read}, "")},
		{"roles", token(AdminToken{Name: "x"}, "")},
		{"roles", token(AdminToken{Name: "x", Roles: []string{"root"}}, "")},
		{"token", token(AdminToken{Name: "x", Roles: read}, long(minToken-1))},
		{"token", token(AdminToken{Name: "x", Roles: read}, long(maxKey+1))},
		{"token", token(AdminToken{Name: "x", Roles: read}, "with a blank in its middle")},
		{"expires", token(AdminToken{Name: "x", Roles: read, Expires: time.Unix(maxTime+1, 0)}, "")},
		{"query", second(w.Developers(ctx, DeveloperFilter{Query: long(maxQuery + 1)}, Page{}))},
		{"query", second(w.Applications(ctx, ApplicationFilter{Query: "\x00"}, Page{}))},
		{"kind", second(w.Entities(ctx, "consumers", EntityFilter{}, Page{}))},
		{"by", second(w.IdentityBy(ctx, []string{"email"}, "x"))},
	} {
		var bad *Invalid
		if !errors.As(tt.err, &bad) || len(bad.Fields) != 1 || bad.Fields[tt.field] == "" {
			t.Errorf("got %v, want %s to be invalid", tt.err, tt.field)
		}
	}
}

func createEC(w *world) (JWTSecret, error) {
	j, _, err := w.CreateJWTSecret(context.Background(), system, JWTSecret{ConsumerID: w.ann.ID, Algorithm: "ES256", RSAPublicKey: ecPublic}, redact.Secret{})
	return j, err
}

// What people write comes back as it was, in whatever script; what looks like SQL or a
// page is text like any other.
func testText(t *testing.T, db database) {
	ctx, w := context.Background(), newWorld(t, db.dsn)
	for i, s := range []string{"Ærøskøbing", "Кириллица", "日本語", "👩🏽‍🚀", "ﷺ", "e\u0301", "é", "'; DROP TABLE consumers; --", `<script>alert("1")</script>`, `%_\`, "$1 ? ?1 :a @b", "NULL"} {
		c := must(w.CreateConsumer(ctx, system, Consumer{Username: s, CustomID: s, Tags: []string{strings.ReplaceAll(s, "/", "")}}))(t)
		for _, by := range []string{"username", "custom_id", "username_any_case"} {
			if got := must(w.IdentityBy(ctx, []string{by}, s))(t); !reflect.DeepEqual(got.Consumer, c) {
				t.Errorf("%s %q: got %+v, want %+v", by, s, got.Consumer, c)
			}
		}
		if got := must(w.Consumers(ctx, ConsumerFilter{Tags: c.Tags}, Page{}))(t); len(got.Data) != 1 || got.Data[0].ID != c.ID {
			t.Errorf("tag %q: %+v", s, got.Data)
		}
		d := must(w.Register(ctx, system, Developer{Email: fmt.Sprintf("%d@example.com", i), Name: s, Issuer: s, Subject: s, Meta: map[string]string{s: s + "\n" + s}}, true))(t)
		if got := must(w.DeveloperBySubject(ctx, s, s))(t); !reflect.DeepEqual(got, d) {
			t.Errorf("got %+v, want %+v", got, d)
		}
		if got := must(w.Developers(ctx, DeveloperFilter{Query: s}, Page{}))(t); len(got.Data) != 1 || got.Data[0].ID != d.ID {
			t.Errorf("query %q: %+v", s, got.Data)
		}
		must(w.RequestContract(ctx, system, w.app.ID, s, true))(t)
	}
	for _, part := range []string{"%", "_", `\`} { // stand for themselves
		if got := must(w.Developers(ctx, DeveloperFilter{Query: part}, Page{}))(t); len(got.Data) != 1 {
			t.Errorf("query %q: %d", part, len(got.Data))
		}
	}
	must(w.Register(ctx, system, Developer{Email: "k@b"}, true))(t)
	must(w.Register(ctx, system, Developer{Email: "ÄRGER@example.com"}, true))(t)
	must(w.Developer(ctx, "ärger@EXAMPLE.com"))(t)
	if _, err := w.Developer(ctx, "\u212a@b"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// Nobody is found by what is nobody's, and nothing that is asked for is an error of the
// database.
func testNotFound(t *testing.T, db database) {
	ctx, w := context.Background(), newWorld(t, db.dsn)
	third := func(_, _ any, err error) error { return err }
	none := uuid4(404)
	same := func(*Consumer) error { return nil }
	odd := []string{"", "nobody", none, "a\x00b", "a\xffb", strings.Repeat("x", 10000), "' OR 1=1 --", "%"}
	for _, s := range odd {
		_, _, basicID, basicErr := w.BasicAuthByUsername(ctx, s)
		_, jwtValue, _, jwtErr := w.JWTSecretByKey(ctx, s)
		if basicID.Consumer.ID != "" || !jwtValue.Empty() {
			t.Errorf("%.20q: something is returned beside the error", s)
		}
		for name, err := range map[string]error{
			"Consumer": second(w.Consumer(ctx, s)), "KeyAuth": second(w.KeyAuth(ctx, s)), "BasicAuth": second(w.BasicAuth(ctx, s)),
			"JWTSecret": second(w.JWTSecret(ctx, s)), "ACL": second(w.ACL(ctx, s)), "Developer": second(w.Developer(ctx, s)),
			"DeveloperBySubject": second(w.DeveloperBySubject(ctx, s, s)), "Application": second(w.Application(ctx, s)),
			"Contract": second(w.Contract(ctx, s)), "Entity": second(w.Entity(ctx, "services", s)), "Entity of a kind": second(w.Entity(ctx, s, "orders")),
			"IdentityBy": second(w.IdentityBy(ctx, []string{"id", "username", "custom_id", "username_any_case"}, s)), "no way": second(w.IdentityBy(ctx, nil, s)),
			"KeyAuthByKey": third(w.KeyAuthByKey(ctx, s)), "BasicAuthByUsername": basicErr, "JWTSecretByKey": jwtErr, "AdminTokenBy": second(w.AdminTokenBy(ctx, s)),
			"UpdateConsumer": second(w.UpdateConsumer(ctx, system, s, same)), "DeleteConsumer": w.DeleteConsumer(ctx, system, s),
			"UpdateKeyAuth": second(w.UpdateKeyAuth(ctx, system, s, nil, redact.Secret{})), "DeleteKeyAuth": w.DeleteKeyAuth(ctx, system, s),
			"UpdateBasicAuth": second(w.UpdateBasicAuth(ctx, system, s, nil, redact.Secret{})), "DeleteBasicAuth": w.DeleteBasicAuth(ctx, system, s),
			"UpdateJWTSecret": second(w.UpdateJWTSecret(ctx, system, s, nil, redact.Secret{})), "DeleteJWTSecret": w.DeleteJWTSecret(ctx, system, s),
			"JWTSecretValue": second(w.JWTSecretValue(ctx, system, s)), "UpdateACL": second(w.UpdateACL(ctx, system, s, nil)), "DeleteACL": w.DeleteACL(ctx, system, s),
			"UpdateDeveloper": second(w.UpdateDeveloper(ctx, system, s, nil)), "SetDeveloperStatus": second(w.SetDeveloperStatus(ctx, system, s, Approved)),
			"DeleteDeveloper": w.DeleteDeveloper(ctx, system, s), "UpdateApplication": second(w.UpdateApplication(ctx, system, s, nil)),
			"DeleteApplication": w.DeleteApplication(ctx, system, s), "SetContractStatus": second(w.SetContractStatus(ctx, system, s, Approved)),
			"SuspendContract": second(w.SuspendContract(ctx, system, s, true)), "DeleteContract": w.DeleteContract(ctx, system, s),
			"UpdateEntity": second(w.UpdateEntity(ctx, system, "services", s, nil, nil)), "DeleteEntity": w.DeleteEntity(ctx, system, "services", s, nil),
			"DeleteAdminToken":  w.DeleteAdminToken(ctx, system, s),
			"key for nobody":    third(w.CreateKeyAuth(ctx, system, KeyAuth{ConsumerID: s}, redact.Secret{})),
			"password":          second(w.CreateBasicAuth(ctx, system, BasicAuth{ConsumerID: s, Username: "x"}, thePassword)),
			"secret for nobody": third(w.CreateJWTSecret(ctx, system, JWTSecret{ConsumerID: s}, redact.Secret{})),
			"group for nobody":  second(w.CreateACL(ctx, system, ACL{ConsumerID: s, Group: "x"})),
			"application":       second(w.CreateApplication(ctx, system, Application{DeveloperID: s, Name: "x", CustomID: "x"})),
			"contract":          second(w.RequestContract(ctx, system, s, "x", true)),
		} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%s of %.20q: %v", name, s, err)
			}
		}
		for name, n := range map[string]int{
			"Consumers": len(must(w.Consumers(ctx, ConsumerFilter{Username: s, CustomID: "x"}, Page{}))(t).Data),
			"KeyAuths":  len(must(w.KeyAuths(ctx, CredentialFilter{ConsumerID: none, Tags: []string{s}}, Page{}))(t).Data),
			"ACLs":      len(must(w.ACLs(ctx, ACLFilter{ConsumerID: none, Group: s}, Page{}))(t).Data),
			"Contracts": len(must(w.Contracts(ctx, ContractFilter{ApplicationID: none, DeveloperID: s}, Page{}))(t).Data),
			"Entities":  len(must(w.Entities(ctx, "services", EntityFilter{Name: s, ServiceID: none}, Page{}))(t).Data),
			"Audits":    len(must(w.Audits(ctx, AuditFilter{ActorID: "x", ID: s}, Page{}))(t).Data),
		} {
			if n != 0 {
				t.Errorf("%s of %.20q: %d", name, s, n)
			}
		}
	}
}

func isConflict(err error) bool {
	var c *Conflict
	return errors.As(err, &c)
}
