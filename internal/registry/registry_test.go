package registry

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// The whole way of the second article: a developer, an application, a contract.
func testPortal(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	d := must(r.Register(ctx, system, Developer{Email: "Ann@Example.com", Name: "Ann", Issuer: "https://idp", Subject: "s1", Meta: map[string]string{"Company": "Acme"}}, false))(t)
	if d.Status != Requested || d.Status.Number() != 1 {
		t.Fatalf("%+v", d)
	}
	if got := must(r.DeveloperBySubject(ctx, "https://idp", "s1"))(t); !reflect.DeepEqual(got, d) {
		t.Errorf("got %+v, want %+v", got, d)
	}
	if got := must(r.Developer(ctx, "ANN@example.COM"))(t); !reflect.DeepEqual(got, d) {
		t.Errorf("got %+v, want %+v", got, d)
	}
	p := must(r.CreateApplication(ctx, system, Application{DeveloperID: d.ID, Name: "Weather", CustomID: "0oa1", RedirectURI: "https://weather.example/cb"}))(t)
	if got := must(r.Application(ctx, p.ID))(t); !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, want %+v", got, p)
	}
	k := must(r.RequestContract(ctx, system, p.ID, "orders", false))(t)
	may := func() []string {
		t.Helper()
		return must(r.IdentityBy(ctx, []string{"custom_id"}, "0oa1"))(t).Contracts
	}
	if got := may(); got != nil {
		t.Errorf("nobody has approved anything: %q", got)
	}
	must(r.SetContractStatus(ctx, system, k.ID, Approved))(t)
	if got := may(); got != nil {
		t.Errorf("the developer is not approved: %q", got)
	}
	must(r.SetDeveloperStatus(ctx, system, d.Email, Approved))(t)
	if got := may(); !reflect.DeepEqual(got, []string{"orders"}) {
		t.Errorf("everything is approved: %q", got)
	}
	must(r.SuspendContract(ctx, system, k.ID, true))(t)
	if got := may(); got != nil {
		t.Errorf("the contract is suspended: %q", got)
	}
	must(r.SuspendContract(ctx, system, k.ID, false))(t)
	for _, s := range []Status{Requested, Rejected, Revoked} {
		must(r.SetContractStatus(ctx, system, k.ID, s))(t)
		if got := may(); got != nil {
			t.Errorf("the contract is %s: %q", s, got)
		}
	}
	must(r.SetContractStatus(ctx, system, k.ID, Approved))(t)
	for _, s := range []Status{Requested, Rejected, Revoked} {
		must(r.SetDeveloperStatus(ctx, system, d.ID, s))(t)
		if got := may(); got != nil {
			t.Errorf("the developer is %s: %q", s, got)
		}
	}
	if err := r.DeleteDeveloper(ctx, system, d.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.IdentityBy(ctx, []string{"custom_id"}, "0oa1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the consumer outlives its application: %v", err)
	}
}

func testCredentials(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	c := must(r.CreateConsumer(ctx, system, Consumer{Username: "ann", CustomID: "a-1", Tags: []string{"b", "a", "b"}}))(t)
	if got := must(r.Consumer(ctx, "ann"))(t); !reflect.DeepEqual(got, c) || !reflect.DeepEqual(got.Tags, []string{"a", "b"}) {
		t.Errorf("got %+v, want %+v", got, c)
	}
	must(r.CreateACL(ctx, system, ACL{ConsumerID: c.ID, Group: "staff"}))(t)
	k, key, err := r.CreateKeyAuth(ctx, system, KeyAuth{ConsumerID: c.ID}, redact.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	got, who, err := r.KeyAuthByKey(ctx, key.Reveal())
	if err != nil || !reflect.DeepEqual(got, k) || who.Consumer.ID != c.ID || !reflect.DeepEqual(who.Groups, []string{"staff"}) {
		t.Errorf("got %+v %+v %v", got, who, err)
	}
	if _, _, err := r.KeyAuthByKey(ctx, key.Reveal()+"x"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	b := must(r.CreateBasicAuth(ctx, system, BasicAuth{ConsumerID: c.ID, Username: "ann"}, redact.New("swordfish")))(t)
	gotB, hash, who, err := r.BasicAuthByUsername(ctx, "ann")
	if err != nil || !reflect.DeepEqual(gotB, b) || hash != cheap("") || who.Consumer.ID != c.ID {
		t.Errorf("got %+v %q %+v %v", gotB, hash, who, err)
	}
	j, value, err := r.CreateJWTSecret(ctx, system, JWTSecret{ConsumerID: c.ID}, redact.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	gotJ, gotValue, who, err := r.JWTSecretByKey(ctx, j.Key)
	if err != nil || !reflect.DeepEqual(gotJ, j) || gotValue != value || value.Empty() || who.Consumer.ID != c.ID {
		t.Errorf("got %+v %+v %v", gotJ, who, err)
	}
	if got := must(r.JWTSecretValue(ctx, system, j.ID))(t); got != value {
		t.Error("another secret")
	}
	log := must(r.Audits(ctx, AuditFilter{Action: "read secret"}, Page{}))(t)
	if len(log.Data) != 1 || log.Data[0].ID != j.ID || log.Data[0].Actor != system || !log.Data[0].At.Equal(start) {
		t.Errorf("%+v", log)
	}
}

func testEntities(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	var seen int
	check := func(all []Entity) error { seen = len(all); return nil }
	s := must(r.CreateEntity(ctx, system, Entity{Kind: "services", Name: "orders", JSON: []byte(`{"host":"x"}`)}, check))(t)
	if seen != 1 {
		t.Errorf("check saw %d", seen)
	}
	if got := must(r.Entity(ctx, "services", "orders"))(t); !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v, want %+v", got, s)
	}
	no := errors.New("no")
	if _, err := r.CreateEntity(ctx, system, Entity{Kind: "routes", JSON: []byte(`{}`)}, func([]Entity) error { return no }); err != no {
		t.Error(err)
	}
	if all := must(r.AllEntities(ctx))(t); len(all) != 1 {
		t.Errorf("%+v", all)
	}
	list, last, gap, err := r.Changes(ctx, 0, 0)
	if err != nil || gap || last != 1 || !reflect.DeepEqual(list, []Change{{1, ConfigChange, "services:" + s.ID}}) {
		t.Errorf("%+v %d %t %v", list, last, gap, err)
	}
}

func testAdminTokens(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	now := start
	r.now = func() time.Time { return now }
	a, token, err := r.CreateAdminToken(ctx, system, AdminToken{Name: "ci", Roles: []string{RoleRead, RolePortalApprove, RoleRead}, Expires: start.Add(time.Hour)}, redact.Secret{})
	if err != nil || len(token.Reveal()) < 43 {
		t.Fatal(err)
	}
	got := must(r.AdminTokenBy(ctx, token.Reveal()))(t)
	if got.ID != a.ID || !got.Has(RoleRead) || !got.Has(RolePortalApprove) || got.Has(RoleAdmin) || !got.LastUsed.Equal(start.Truncate(time.Minute)) {
		t.Errorf("%+v", got)
	}
	used := func() time.Time { return must(r.AdminTokens(ctx, Page{}))(t).Data[0].LastUsed }
	for _, step := range []struct{ pass, used time.Duration }{{20 * time.Second, 0}, {50 * time.Second, time.Minute}, {52 * time.Minute, 53 * time.Minute}} {
		now = now.Add(step.pass)
		must(r.AdminTokenBy(ctx, token.Reveal()))(t)
		if got := used(); !got.Equal(start.Truncate(time.Minute).Add(step.used)) {
			t.Errorf("at %v it was last used %v", now, got)
		}
	}
	now = start.Add(time.Hour)
	if _, err := r.AdminTokenBy(ctx, token.Reveal()); !errors.Is(err, ErrNotFound) {
		t.Errorf("expired: %v", err)
	}
	now = start
	if err := r.DeleteAdminToken(ctx, system, "ci"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AdminTokenBy(ctx, token.Reveal()); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if got := must(r.AdminTokens(ctx, Page{}))(t); len(got.Data) != 0 {
		t.Errorf("%+v", got)
	}
	// An API key is no admin token, nor the other way round.
	c := must(r.CreateConsumer(ctx, system, Consumer{Username: "ann"}))(t)
	if _, _, err := r.CreateKeyAuth(ctx, system, KeyAuth{ConsumerID: c.ID}, theToken); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AdminTokenBy(ctx, theToken.Reveal()); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// An update keeps what it does not name, and a replaced secret is good for nothing.
func testUpdates(t *testing.T, db database) {
	ctx, w := context.Background(), newWorld(t, db.dsn)
	k := must(w.UpdateKeyAuth(ctx, system, w.key.ID, func(k *KeyAuth) error {
		k.Tags, k.ID, k.ConsumerID, k.Hint = []string{"x"}, uuid4(50), uuid4(51), "mine"
		return nil
	}, redact.Secret{}))(t)
	if got, _, err := w.KeyAuthByKey(ctx, theKey.Reveal()); err != nil || !reflect.DeepEqual(got, k) || got.Hint != "an-a" || got.ConsumerID != w.ann.ID {
		t.Errorf("%+v %v", got, err)
	}
	must(w.UpdateKeyAuth(ctx, system, w.key.ID, func(*KeyAuth) error { return nil }, otherKey))(t)
	if _, _, err := w.KeyAuthByKey(ctx, theKey.Reveal()); !errors.Is(err, ErrNotFound) {
		t.Errorf("the old key: %v", err)
	}
	if got, _, err := w.KeyAuthByKey(ctx, otherKey.Reveal()); err != nil || got.ID != w.key.ID {
		t.Errorf("the new key: %+v %v", got, err)
	}
	short, _, err := w.CreateKeyAuth(ctx, system, KeyAuth{ConsumerID: w.ann.ID}, redact.New("12345678"))
	if err != nil || short.Hint != "" {
		t.Errorf("the half of a short key is told: %+v %v", short, err)
	}

	made := 0
	w.hashPassword = func(string) string { made++; return cheap("") }
	given := "$2b$10$abcdefghijklmnopqrstuuXO6wK0xJxV1XxQ0yqCq8rX1nU9wVb1e"
	for i, tt := range []struct{ password, hash string }{{"", cheap("")}, {given, given}, {"swordfish", cheap("")}} {
		must(w.UpdateBasicAuth(ctx, system, "ann", func(b *BasicAuth) error { return nil }, redact.New(tt.password)))(t)
		if _, hash, _, err := w.BasicAuthByUsername(ctx, "ann"); err != nil || hash != tt.hash {
			t.Errorf("%d: %q %v", i, hash, err)
		}
	}
	if made != 1 {
		t.Errorf("%d passwords were hashed", made)
	}
	w.hashPassword = func(string) string { return "no hash" }
	if _, err := w.CreateBasicAuth(ctx, system, BasicAuth{ConsumerID: w.ann.ID, Username: "x"}, thePassword); err == nil {
		t.Error("a password became what nobody can read")
	}

	j := must(w.UpdateJWTSecret(ctx, system, w.jwt.ID, func(j *JWTSecret) error { j.Key, j.Algorithm = "iss-2", "HS512"; return nil }, redact.Secret{}))(t)
	if got, value, _, err := w.JWTSecretByKey(ctx, "iss-2"); err != nil || !reflect.DeepEqual(got, j) || value != theHMAC {
		t.Errorf("%+v %v", got, err)
	}
	must(w.UpdateJWTSecret(ctx, system, "iss-2", func(*JWTSecret) error { return nil }, otherHMAC))(t)
	if _, value, _, err := w.JWTSecretByKey(ctx, "iss-2"); err != nil || value != otherHMAC {
		t.Error(err)
	}
	if got := must(w.JWTSecretValue(ctx, system, "iss-2"))(t); got != otherHMAC {
		t.Error("another secret")
	}

	d := must(w.UpdateDeveloper(ctx, system, "dev@example.com", func(d *Developer) error {
		d.Email, d.Subject, d.ID = "new@example.com", "s2", uuid4(50)
		return nil
	}))(t)
	if got := must(w.DeveloperBySubject(ctx, "https://idp", "s2"))(t); !reflect.DeepEqual(got, d) || got.ID != w.dev.ID {
		t.Errorf("%+v", got)
	}
	for _, err := range []error{second(w.DeveloperBySubject(ctx, "https://idp", "s")), second(w.Developer(ctx, "dev@example.com"))} {
		if !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
	p := must(w.UpdateApplication(ctx, system, w.app.ID, func(p *Application) error {
		p.CustomID, p.DeveloperID, p.ConsumerID = "0ob", uuid4(50), w.ann.ID
		return nil
	}))(t)
	if got := must(w.Application(ctx, w.app.ID))(t); !reflect.DeepEqual(got, p) || got.ConsumerID != w.app.ConsumerID || got.DeveloperID != w.dev.ID {
		t.Errorf("%+v", got)
	}
	if got := must(w.IdentityBy(ctx, []string{"custom_id"}, "0ob"))(t); !reflect.DeepEqual(got.Contracts, []string{"orders"}) {
		t.Errorf("%+v", got)
	}
	if w.kept.CompositeID() != w.app.ID+"_orders" {
		t.Error(w.kept.CompositeID())
	}
	// The contract of a service that is gone is nobody's, whoever has its name next.
	if err := w.DeleteEntity(ctx, system, "services", "orders", nil); err != nil {
		t.Fatal(err)
	}
	must(w.CreateEntity(ctx, system, Entity{Kind: "services", Name: "orders", JSON: []byte(`{}`)}, nil))(t)
	if got := must(w.IdentityBy(ctx, []string{"custom_id"}, "0ob"))(t); got.Contracts != nil {
		t.Errorf("%+v", got)
	}
	// Of two whose names differ by case only, nobody is meant.
	must(w.CreateConsumer(ctx, system, Consumer{Username: "Bob"}))(t)
	must(w.IdentityBy(ctx, []string{"username_any_case"}, "bOB"))(t)
	must(w.CreateConsumer(ctx, system, Consumer{Username: "bob"}))(t)
	if _, err := w.IdentityBy(ctx, []string{"username_any_case"}, "bob"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	must(w.IdentityBy(ctx, []string{"username_any_case", "username"}, "bob"))(t)
}

// How many there may be of one thing has a bound.
func testBounds(t *testing.T, db database) {
	ctx, w := context.Background(), newWorld(t, db.dsn)
	var b Batch
	for i := range maxGroups - 1 {
		b.ACLs = append(b.ACLs, ACL{ConsumerID: w.ann.ID, Group: fmt.Sprint("g", i)})
	}
	if err := w.Import(ctx, system, b); err != nil {
		t.Fatal(err)
	}
	for i := range maxContracts - 1 {
		must(w.conn(w.writer).exec(ctx, `INSERT INTO contracts (id, application_id, service, status, suspended, created, updated) VALUES (?, ?, ?, 'approved', 0, 0, 0)`,
			newID(), w.app.ID, fmt.Sprint("s", i)))(t)
	}
	for field, err := range map[string]error{
		"consumer":    second(w.CreateACL(ctx, system, ACL{ConsumerID: w.ann.ID, Group: "one more"})),
		"application": second(w.RequestContract(ctx, system, w.app.ID, "one more", true)),
	} {
		var bad *Invalid
		if !errors.As(err, &bad) || bad.Fields[field] == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// Whatever stands in an actor or a detail, the log takes it, cut to what it can hold.
func testLog(t *testing.T, db database) {
	ctx, r := context.Background(), open(t, db.dsn)
	long := strings.Repeat("ü", 5000)
	a := Actor{Kind: "token\x00", ID: long, Name: "a\xffb\u202e", Role: "r\n", Remote: "1.2.3.4"}
	if err := r.Record(ctx, a, "login", "portal", "id\x00", "line\nline\x00\xff "+long); err != nil {
		t.Fatal(err)
	}
	got := must(r.Audits(ctx, AuditFilter{}, Page{}))(t).Data[0]
	if got.Actor.Kind != "token" || got.Actor.Name != "ab" || got.Actor.Role != "r" || got.ID != "id" || !strings.HasPrefix(got.Detail, "lineline ü") {
		t.Errorf("%+v", got)
	}
	if n := len(got.Actor.ID); n != maxName-1 || !utf8.ValidString(got.Actor.ID) || len(got.Detail) > maxDetail || !utf8.ValidString(got.Detail) {
		t.Errorf("%d %d", n, len(got.Detail))
	}
	now := start
	r.now = func() time.Time { return now }
	for range 3 {
		now = now.Add(time.Hour)
		if err := r.Record(ctx, system, "x", "x", "", ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		want AuditFilter
		n    int
	}{
		{AuditFilter{}, 4}, {AuditFilter{Since: start.Add(time.Hour)}, 3}, {AuditFilter{Until: start.Add(time.Hour)}, 1},
		{AuditFilter{Since: start.Add(time.Minute), Until: start.Add(2 * time.Hour)}, 1}, {AuditFilter{Action: "login"}, 1}, {AuditFilter{Kind: "x", ID: "y"}, 0},
	} {
		if got := must(r.Audits(ctx, tt.want, Page{}))(t); len(got.Data) != tt.n {
			t.Errorf("%+v: %d rows", tt.want, len(got.Data))
		}
	}
}

func TestStatus(t *testing.T) {
	for number, word := range []string{"approved", "requested", "rejected", "revoked"} {
		s := ParseStatus(word)
		if s == 0 || s.String() != word || s.Number() != number || StatusOf(number) != s {
			t.Errorf("%s: %d", word, s)
		}
	}
	for _, s := range []Status{ParseStatus(""), ParseStatus("Approved"), StatusOf(-1), StatusOf(4)} {
		if s != 0 || s.String() != "" || s.Number() != -1 {
			t.Errorf("%d", s)
		}
	}
	if Status(-1).String() != "" || Status(5).Number() != -1 {
		t.Error("what is no status has a word")
	}
}
