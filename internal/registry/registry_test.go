package registry

import (
	"context"
	"errors"
	"reflect"
	"testing"

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
	a, token, err := r.CreateAdminToken(ctx, system, AdminToken{Name: "ci", Roles: []string{RoleRead}}, redact.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	got := must(r.AdminTokenBy(ctx, token.Reveal()))(t)
	if got.ID != a.ID || !got.Has(RoleRead) || got.Has(RoleAdmin) || got.LastUsed.IsZero() {
		t.Errorf("%+v", got)
	}
	if err := r.DeleteAdminToken(ctx, system, "ci"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AdminTokenBy(ctx, token.Reveal()); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}
