package registry

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// Secrets of the tests: none of them may be in the database as it is, or in a log.
var (
	theKey      = redact.New("an-api-key-0123456789")
	otherKey    = redact.New("another-api-key-01234")
	thePassword = redact.New("swordfish-swordfish")
	theHMAC     = redact.New("hmac-secret-hmac-secret-hmac-secret")
	otherHMAC   = redact.New("other-secret-other-secret-other-se")
	theToken    = redact.New("admin-token-admin-token-admin")
	theConfig   = `{"name":"openid-connect","config":{"client_secret":["client-secret-in-a-plugin"]}}`
)

var secrets = []string{theKey.Reveal(), otherKey.Reveal(), thePassword.Reveal(), theHMAC.Reveal(), otherHMAC.Reveal(), theToken.Reveal(), "client-secret-in-a-plugin", secret.Reveal()}

// write is one write: what it leaves for followers and in the audit log.
type write struct {
	method  string
	do      func() error
	changes func() []string // kind and key; asked after the write, which may have made the id
	audit   []string        // action and kind
}

// now returns changes as they are known before a write.
func now(list []string) func() []string { return func() []string { return list } }

// Every write leaves exactly the changes that the data plane depends on, and says in the
// audit log who has done it; no secret is stored as it is.
func testWrites(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	actor := Actor{Kind: "token", ID: "t1", Name: "ci", Role: "admin", Remote: "127.0.0.1:1"}
	var ann, bob Consumer
	var key KeyAuth
	var basic BasicAuth
	var jwt JWTSecret
	var group ACL
	var dev Developer
	var app Application
	var contract Contract
	var appKey KeyAuth
	var service, plugin Entity
	var token AdminToken
	consumer := func(c Consumer) []string {
		list := []string{"consumer " + c.ID}
		for _, s := range []string{c.Username, c.CustomID} {
			if s != "" {
				list = append(list, "consumer "+s)
			}
		}
		return list
	}
	// As filters know ann once she has all credentials.
	annAll := func() []string {
		return append(consumer(ann), "credential key-auth:"+key.ID, "credential basic-auth:"+basic.ID, "credential "+jwt.Key)
	}
	appAll := func() []string {
		return []string{"consumer " + app.ConsumerID, "consumer " + app.CustomID, "credential key-auth:" + appKey.ID}
	}
	steps := []func() write{
		func() write {
			return write{"CreateConsumer", func() (err error) {
				ann, err = r.CreateConsumer(ctx, actor, Consumer{Username: "ann", CustomID: "a-1", Tags: []string{"vip"}})
				return err
			}, func() []string { return consumer(ann) }, []string{"create consumers"}}
		},
		func() write {
			return write{"CreateKeyAuth", func() (err error) {
				key, _, err = r.CreateKeyAuth(ctx, actor, KeyAuth{ConsumerID: ann.ID, Tags: []string{"k"}}, theKey)
				return err
			}, func() []string { return []string{"credential key-auth:" + key.ID} }, []string{"create keyauths"}}
		},
		func() write {
			return write{"CreateBasicAuth", func() (err error) {
				basic, err = r.CreateBasicAuth(ctx, actor, BasicAuth{ConsumerID: ann.ID, Username: "ann-login"}, thePassword)
				return err
			}, func() []string { return []string{"credential basic-auth:" + basic.ID} }, []string{"create basicauths"}}
		},
		func() write {
			return write{"CreateJWTSecret", func() (err error) {
				jwt, _, err = r.CreateJWTSecret(ctx, actor, JWTSecret{ConsumerID: ann.ID, Key: "ann-iss", Tags: []string{"j"}}, theHMAC)
				return err
			}, now([]string{"credential ann-iss"}), []string{"create jwts"}}
		},
		func() write {
			return write{"CreateACL", func() (err error) {
				group, err = r.CreateACL(ctx, actor, ACL{ConsumerID: ann.ID, Group: "staff"})
				return err
			}, now(annAll()), []string{"create acls"}}
		},
		func() write {
			return write{"UpdateACL", func() error {
				return second(r.UpdateACL(ctx, actor, group.ID, func(l *ACL) error { l.Group = "guests"; return nil }))
			}, now(annAll()), []string{"update acls"}}
		},
		func() write {
			return write{"UpdateKeyAuth", func() error {
				return second(r.UpdateKeyAuth(ctx, actor, key.ID, func(k *KeyAuth) error { k.Expires = start.Add(time.Hour); return nil }, otherKey))
			}, now([]string{"credential key-auth:" + key.ID}), []string{"update keyauths"}}
		},
		func() write {
			return write{"UpdateBasicAuth", func() error {
				return second(r.UpdateBasicAuth(ctx, actor, "ann-login", func(b *BasicAuth) error { b.Tags = []string{"b"}; return nil }, thePassword))
			}, now([]string{"credential basic-auth:" + basic.ID}), []string{"update basicauths"}}
		},
		func() write {
			return write{"UpdateJWTSecret", func() (err error) {
				jwt, err = r.UpdateJWTSecret(ctx, actor, "ann-iss", func(j *JWTSecret) error { j.Key = "ann-iss-2"; return nil }, otherHMAC)
				return err
			}, now([]string{"credential ann-iss", "credential ann-iss-2"}), []string{"update jwts"}}
		},
		func() write {
			return write{"JWTSecretValue", func() error { return second(r.JWTSecretValue(ctx, actor, "ann-iss-2")) }, nil, []string{"read secret jwts"}}
		},
		func() write {
			before := annAll()
			return write{"UpdateConsumer", func() (err error) {
				ann, err = r.UpdateConsumer(ctx, actor, "ann", func(c *Consumer) error { c.Username, c.CustomID = "anna", ""; return nil })
				return err
			}, now(append(before, "consumer anna")), []string{"update consumers"}}
		},
		func() write {
			return write{"PutConsumer", func() (err error) {
				bob, _, err = r.PutConsumer(ctx, actor, "bob", Consumer{CustomID: "b-1"})
				return err
			}, func() []string { return consumer(bob) }, []string{"create consumers"}}
		},
		func() write {
			before := consumer(bob)
			return write{"PutConsumer", func() (err error) {
				bob, _, err = r.PutConsumer(ctx, actor, "bob", Consumer{CustomID: "b-2"})
				return err
			}, now(append(before, "consumer b-2")), []string{"update consumers"}}
		},
		func() write {
			return write{"DeleteACL", func() error { return r.DeleteACL(ctx, actor, group.ID) }, now(annAll()), []string{"delete acls"}}
		},
		func() write {
			return write{"DeleteKeyAuth", func() error { return r.DeleteKeyAuth(ctx, actor, key.ID) }, now([]string{"credential key-auth:" + key.ID}), []string{"delete keyauths"}}
		},
		func() write {
			return write{"DeleteBasicAuth", func() error { return r.DeleteBasicAuth(ctx, actor, basic.ID) }, now([]string{"credential basic-auth:" + basic.ID}), []string{"delete basicauths"}}
		},
		func() write {
			return write{"DeleteConsumer", func() error { return r.DeleteConsumer(ctx, actor, "anna") }, now(append(consumer(ann), "credential ann-iss-2")), []string{"delete consumers"}}
		},
		func() write {
			return write{"CreateJWTSecret", func() (err error) {
				jwt, _, err = r.CreateJWTSecret(ctx, actor, JWTSecret{ConsumerID: bob.ID, Key: "bob-iss"}, theHMAC)
				return err
			}, now([]string{"credential bob-iss"}), []string{"create jwts"}}
		},
		func() write {
			return write{"DeleteJWTSecret", func() error { return r.DeleteJWTSecret(ctx, actor, "bob-iss") }, now([]string{"credential bob-iss"}), []string{"delete jwts"}}
		},
		func() write {
			return write{"Register", func() (err error) {
				dev, err = r.Register(ctx, actor, Developer{Email: "dev@example.com", Issuer: "https://idp", Subject: "1"}, false)
				return err
			}, nil, []string{"register developers"}}
		},
		func() write {
			return write{"UpdateDeveloper", func() error {
				return second(r.UpdateDeveloper(ctx, actor, "dev@example.com", func(d *Developer) error { d.Name = "Dev"; return nil }))
			}, nil, []string{"update developers"}}
		},
		func() write {
			return write{"CreateApplication", func() (err error) {
				app, err = r.CreateApplication(ctx, actor, Application{DeveloperID: dev.ID, Name: "app", CustomID: "0oa"})
				return err
			}, func() []string { return []string{"consumer " + app.ConsumerID, "consumer 0oa"} }, []string{"create applications"}}
		},
		func() write {
			return write{"CreateKeyAuth", func() (err error) {
				appKey, _, err = r.CreateKeyAuth(ctx, actor, KeyAuth{ConsumerID: app.ConsumerID}, theKey)
				return err
			}, func() []string { return []string{"credential key-auth:" + appKey.ID} }, []string{"create keyauths"}}
		},
		func() write {
			return write{"RequestContract", func() (err error) {
				contract, err = r.RequestContract(ctx, actor, app.ID, "orders", false)
				return err
			}, now(appAll()), []string{"request contracts"}}
		},
		func() write {
			return write{"SetContractStatus", func() error { return second(r.SetContractStatus(ctx, actor, contract.ID, Approved)) }, now(appAll()), []string{"set status contracts"}}
		},
		func() write {
			return write{"SuspendContract", func() error { return second(r.SuspendContract(ctx, actor, contract.ID, true)) }, now(appAll()), []string{"suspend contracts"}}
		},
		func() write {
			return write{"SetDeveloperStatus", func() error { return second(r.SetDeveloperStatus(ctx, actor, dev.ID, Approved)) }, now(appAll()), []string{"set status developers"}}
		},
		func() write { // a name alone changes nothing for filters
			return write{"UpdateApplication", func() error {
				return second(r.UpdateApplication(ctx, actor, app.ID, func(p *Application) error { p.Name = "app 2"; return nil }))
			}, nil, []string{"update applications"}}
		},
		func() write {
			before := appAll()
			return write{"UpdateApplication", func() (err error) {
				app, err = r.UpdateApplication(ctx, actor, app.ID, func(p *Application) error { p.CustomID = "0ob"; return nil })
				return err
			}, now(append(before, "consumer 0ob")), []string{"update applications"}}
		},
		func() write {
			return write{"CreateEntity", func() (err error) {
				service, err = r.CreateEntity(ctx, actor, Entity{Kind: "services", Name: "orders", JSON: []byte(`{}`)}, nil)
				return err
			}, func() []string { return []string{"config services:" + service.ID} }, []string{"create services"}}
		},
		func() write {
			return write{"PutEntity", func() (err error) {
				plugin, _, err = r.PutEntity(ctx, actor, "p", Entity{Kind: "plugins", ServiceID: service.ID, JSON: []byte(theConfig)}, nil)
				return err
			}, func() []string { return []string{"config plugins:" + plugin.ID} }, []string{"create plugins"}}
		},
		func() write {
			return write{"UpdateEntity", func() error {
				return second(r.UpdateEntity(ctx, actor, "plugins", plugin.ID, func(e *Entity) error { e.Tags = []string{"x"}; return nil }, nil))
			}, now([]string{"config plugins:" + plugin.ID}), []string{"update plugins"}}
		},
		func() write { // contracts follow the service's name
			return write{"UpdateEntity", func() error {
				return second(r.UpdateEntity(ctx, actor, "services", "orders", func(e *Entity) error { e.Name = "orders 2"; return nil }, nil))
			}, now(append(appAll(), "config services:"+service.ID)), []string{"update services", "update contracts"}}
		},
		func() write {
			return write{"DeleteEntity", func() error { return r.DeleteEntity(ctx, actor, "services", "orders 2", nil) }, now(append(appAll(), "config plugins:"+plugin.ID, "config services:"+service.ID)), []string{"delete plugins", "delete services", "delete contracts"}}
		},
		func() write {
			return write{"RequestContract", func() (err error) {
				contract, err = r.RequestContract(ctx, actor, app.ID, "orders", true)
				return err
			}, now(appAll()), []string{"request contracts"}}
		},
		func() write {
			return write{"DeleteContract", func() error { return r.DeleteContract(ctx, actor, contract.ID) }, now(appAll()), []string{"delete contracts"}}
		},
		func() write {
			return write{"DeleteApplication", func() error { return r.DeleteApplication(ctx, actor, app.ID) }, now(appAll()), []string{"delete applications", "delete consumers"}}
		},
		func() write {
			return write{"CreateApplication", func() (err error) {
				app, err = r.CreateApplication(ctx, actor, Application{DeveloperID: dev.ID, Name: "app", CustomID: "0oc"})
				return err
			}, func() []string { return []string{"consumer " + app.ConsumerID, "consumer 0oc"} }, []string{"create applications"}}
		},
		func() write {
			return write{"DeleteDeveloper", func() error { return r.DeleteDeveloper(ctx, actor, "DEV@example.com") }, now([]string{"consumer " + app.ConsumerID, "consumer 0oc"}), []string{"delete applications", "delete consumers", "delete developers"}}
		},
		func() write {
			return write{"CreateAdminToken", func() (err error) {
				token, _, err = r.CreateAdminToken(ctx, actor, AdminToken{Name: "ci", Roles: []string{RoleAdmin, RoleRead}}, theToken)
				return err
			}, nil, []string{"create tokens"}}
		},
		func() write {
			return write{"DeleteAdminToken", func() error { return r.DeleteAdminToken(ctx, actor, token.ID) }, nil, []string{"delete tokens"}}
		},
		func() write {
			return write{"Record", func() error { return r.Record(ctx, actor, "login", "portal", "x", "from somewhere") }, nil, []string{"login portal"}}
		},
		func() write {
			return write{"Import", func() error {
				return r.Import(ctx, actor, Batch{
					Consumers:  []Consumer{{ID: "6f9f6ea4-0000-4000-8000-000000000001", Username: "imported"}},
					KeyAuths:   []NewKeyAuth{{KeyAuth{ID: "6f9f6ea4-0000-4000-8000-000000000002", ConsumerID: "6f9f6ea4-0000-4000-8000-000000000001"}, theKey}},
					BasicAuths: []NewBasicAuth{{BasicAuth{ID: "6f9f6ea4-0000-4000-8000-000000000003", ConsumerID: "6f9f6ea4-0000-4000-8000-000000000001", Username: "i"}, thePassword}},
					JWTSecrets: []NewJWTSecret{{JWTSecret{ConsumerID: "6f9f6ea4-0000-4000-8000-000000000001", Key: "i-iss"}, theHMAC}},
					ACLs:       []ACL{{ConsumerID: "6f9f6ea4-0000-4000-8000-000000000001", Group: "g"}},
				})
			}, now([]string{"consumer 6f9f6ea4-0000-4000-8000-000000000001", "consumer imported", "credential key-auth:6f9f6ea4-0000-4000-8000-000000000002",
				"credential basic-auth:6f9f6ea4-0000-4000-8000-000000000003", "credential i-iss"}), []string{"import consumers"}}
		},
	}

	done := map[string]bool{}
	var since, audits uint64
	for n, step := range steps {
		w := step()
		done[w.method] = true
		if err := w.do(); err != nil {
			t.Fatalf("%d %s: %v", n, w.method, err)
		}
		var want []string
		if w.changes != nil {
			want = w.changes()
		}
		slices.Sort(want)
		list, last, gap, err := r.Changes(ctx, since, 0)
		if err != nil || gap {
			t.Fatal(gap, err)
		}
		var got []string
		for i, c := range list {
			if c.Seq != since+uint64(i)+1 {
				t.Errorf("%d %s: change %d after %d", n, w.method, c.Seq, since)
			}
			got = append(got, c.Kind.String()+" "+c.Key)
		}
		since = last
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d %s: changes\n got %q\nwant %q", n, w.method, got, want)
		}
		log := must(r.Audits(ctx, AuditFilter{}, Page{}))(t)
		var rows []string
		for _, a := range log.Data {
			if a.Seq > audits {
				if a.Actor != actor || !a.At.Equal(start.Truncate(time.Microsecond)) {
					t.Errorf("%d %s: %+v", n, w.method, a)
				}
				rows = append(rows, a.Action+" "+a.Kind)
			}
		}
		audits = log.Data[0].Seq
		slices.Reverse(rows)
		if !slices.Equal(rows, w.audit) {
			t.Errorf("%d %s: audit rows\n got %q\nwant %q", n, w.method, rows, w.audit)
		}
	}

	// A method that is forgotten here would leave changes that nobody has looked at.
	methods := reflect.TypeFor[*Registry]()
	for i := range methods.NumMethod() {
		m := methods.Method(i)
		takesActor := false
		for p := range m.Type.NumIn() {
			takesActor = takesActor || m.Type.In(p) == reflect.TypeFor[Actor]()
		}
		if takesActor != done[m.Name] {
			t.Errorf("%s writes: %t; is among the writes of this test: %t", m.Name, takesActor, done[m.Name])
		}
	}

	whole(t, r)
	dump := dumpAll(t, r)
	for _, s := range secrets {
		if strings.Contains(dump, s) {
			t.Errorf("the database holds the secret %q as it is", s)
		}
	}
	if !strings.Contains(dump, "imported") || !strings.Contains(dump, "i-iss") {
		t.Error("the dump is none")
	}
}

// second drops what comes with an error.
func second[T any](_ T, err error) error { return err }

// dumpAll returns every value of every table.
func dumpAll(t *testing.T, r *Registry) string {
	t.Helper()
	query := `SELECT name FROM sqlite_schema WHERE type = 'table'`
	if r.pg {
		query = `SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = current_schema()`
	}
	names := must(r.read().texts(context.Background(), query))(t)
	if len(names) < len(allTables) {
		t.Fatalf("only the tables %q", names)
	}
	var b strings.Builder
	for _, name := range names {
		rows, err := r.reader.Query(`SELECT * FROM ` + name)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				fmt.Fprintf(&b, "%v\n", *v.(*any))
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// allTables are the tables, with the columns that hold an id of another.
var allTables = map[string][]string{
	"head": nil, "meta": nil, "changes": nil, "audits": nil, "tags": nil, "consumers": nil, "keyauths": {"consumer_id"}, "basicauths": {"consumer_id"},
	"jwts": {"consumer_id"}, "acls": {"consumer_id"}, "developers": nil, "applications": {"developer_id", "consumer_id"}, "contracts": {"application_id"},
	"entities": nil, "tokens": nil,
}

// Refused writes leave nothing: no row, no change, no line in the log.
func testRefusedWrites(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	c := must(r.CreateConsumer(ctx, system, Consumer{Username: "ann"}))(t)
	must(r.CreateConsumer(ctx, system, Consumer{Username: "bob"}))(t)
	d := must(r.Register(ctx, system, Developer{Email: "a@b"}, true))(t)
	must(r.CreateApplication(ctx, system, Application{DeveloperID: d.ID, Name: "one", CustomID: "1"}))(t)
	before := dumpAll(t, r)
	no := errors.New("no")
	for name, err := range map[string]error{
		"conflict":              second(r.CreateConsumer(ctx, system, Consumer{Username: "ann"})),
		"conflict of update":    second(r.UpdateConsumer(ctx, system, c.ID, func(c *Consumer) error { c.Username = "bob"; return nil })),
		"refused by the caller": second(r.UpdateConsumer(ctx, system, c.ID, func(c *Consumer) error { c.Username = "carl"; return no })),
		// The consumer is made first and has to go with the application.
		"half an application": second(r.CreateApplication(ctx, system, Application{DeveloperID: d.ID, Name: "one", CustomID: "2"})),
		"half an import":      r.Import(ctx, system, Batch{Consumers: []Consumer{{Username: "carl"}, {Username: "ann"}}}),
		"check":               second(r.CreateEntity(ctx, system, Entity{Kind: "services", Name: "s", JSON: []byte(`{}`)}, func([]Entity) error { return no })),
		"no actor":            second(r.CreateConsumer(ctx, Actor{}, Consumer{Username: "carl"})),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = r.UpdateConsumer(ctx, system, c.ID, func(c *Consumer) error { panic("the caller's") })
		t.Error("no panic")
	}()
	if after := dumpAll(t, r); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	must(r.CreateConsumer(ctx, system, Consumer{Username: "carl"}))(t) // nobody holds the lock
}
