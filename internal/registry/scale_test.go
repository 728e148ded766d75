package registry

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// many is how many consumers there are at scale.
const many = 100_000

// fill enters many consumers with a tag, and some of them with an API key and a group.
func fill(t *testing.T, r *Registry) {
	t.Helper()
	const batch = 20_000
	for first := 0; first < many; first += batch {
		var b Batch
		for i := first; i < first+batch; i++ {
			id := uuid4(i + 1000)
			b.Consumers = append(b.Consumers, Consumer{ID: id, Username: fmt.Sprint("user-", i), CustomID: fmt.Sprint("custom-", i), Tags: []string{fmt.Sprint("shard-", i%1000)}})
			if i%10 != 9 {
				continue
			}
			b.KeyAuths = append(b.KeyAuths, NewKeyAuth{KeyAuth{ConsumerID: id}, redact.New(fmt.Sprint("api-key-api-key-", i))})
			b.ACLs = append(b.ACLs, ACL{ConsumerID: id, Group: fmt.Sprint("group-", i%100)})
		}
		if err := r.Import(context.Background(), system, b); err != nil {
			t.Fatal(err)
		}
	}
}

// statement is one that the registry has asked.
type statement struct {
	query string
	args  []any
}

// watch notes the statements that f asks.
func watch(r *Registry, f func()) (list []statement) {
	var mu sync.Mutex
	seen := map[string]bool{}
	r.trace = func(query string, args []any) {
		mu.Lock()
		defer mu.Unlock()
		if !seen[query] {
			seen[query] = true
			list = append(list, statement{query, slices.Clone(args)})
		}
	}
	defer func() { r.trace = nil }()
	f()
	return list
}

// scans returns how a database would read a whole table for a statement, "" where it
// goes by an index.
func scans(t *testing.T, r *Registry, s statement) string {
	t.Helper()
	ctx := context.Background()
	var plan []string
	if !r.pg {
		err := r.conn(r.writer).rows(ctx, func(row scanner) error {
			var a, b, c any
			var detail string
			err := row.Scan(&a, &b, &c, &detail)
			plan = append(plan, detail)
			return err
		}, `EXPLAIN QUERY PLAN `+s.query, s.args...)
		if err != nil {
			t.Fatalf("%s: %v", s.query, err)
		}
		return strings.Join(slices.DeleteFunc(plan, func(l string) bool {
			return !strings.HasPrefix(l, "SCAN") || l == "SCAN CONSTANT ROW" || l == "SCAN head"
		}), "; ")
	}
	// A table that is small is read as a whole whatever indexes it has: only where there
	// is none does the planner do so against its orders.
	tx, err := r.writer.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	c := r.conn(tx)
	must(c.exec(ctx, `SET LOCAL enable_seqscan = off`))(t)
	plan, err = c.texts(ctx, `EXPLAIN `+s.query, s.args...)
	if err != nil {
		t.Fatalf("%s: %v", s.query, err)
	}
	return strings.Join(slices.DeleteFunc(plan, func(l string) bool {
		return !strings.Contains(l, "Seq Scan") || strings.Contains(l, "Seq Scan on head")
	}), "; ")
}

// whole are the statements that may read a whole table: what is searched for a part of a
// text, all entities, the number of entities, and what stands in head. Walking through a
// list by its key is no scan in this sense: it ends with the page.
var wholeTable = regexp.MustCompile(`LIKE|FROM entities WHERE 1 = 1|COUNT\(\*\) FROM entities$|FROM meta|UPDATE head`)

// With many consumers every question and every write goes by an index, and pages stay
// what they are while consumers are added.
func testScale(t *testing.T, db database) {
	ctx := context.Background()
	w := newWorld(t, db.dsn)
	r := w.Registry
	fill(t, r)
	if r.pg {
		must(r.conn(r.writer).exec(ctx, `ANALYZE`))(t)
	}
	if found := scans(t, r, statement{`SELECT id FROM consumers WHERE tags = ?`, []any{"x"}}); found == "" {
		t.Error("no statement ever scans")
	}
	check := func(what string, list []statement) {
		t.Helper()
		if len(list) == 0 {
			t.Errorf("%s asks nothing", what)
		}
		for _, s := range list {
			if wholeTable.MatchString(s.query) || strings.HasPrefix(s.query, "INSERT") || strings.HasPrefix(s.query, "EXPLAIN") {
				continue
			}
			if found := scans(t, r, s); found != "" {
				t.Errorf("%s: %s\n%s", what, found, s.query)
			}
		}
	}
	check("the data plane", watch(r, func() {
		for _, by := range []string{"id", "username", "custom_id", "username_any_case"} {
			value := map[string]string{"id": uuid4(51009), "custom_id": "custom-50009", "username": "user-50009", "username_any_case": "USER-50009"}[by]
			who := must(r.IdentityBy(ctx, []string{by}, value))(t)
			if who.Consumer.ID != uuid4(51009) || !slices.Equal(who.Groups, []string{"group-9"}) {
				t.Errorf("%s: %+v", by, who)
			}
		}
		if got := must(r.IdentityBy(ctx, []string{"custom_id"}, "0oa"))(t); !slices.Equal(got.Contracts, []string{"orders"}) {
			t.Errorf("%+v", got)
		}
		if _, who, err := r.KeyAuthByKey(ctx, "api-key-api-key-99999"); err != nil || who.Consumer.Username != "user-99999" {
			t.Errorf("%+v %v", who, err)
		}
		if _, _, _, err := r.BasicAuthByUsername(ctx, "ann"); err != nil {
			t.Error(err)
		}
		if _, _, _, err := r.JWTSecretByKey(ctx, "iss"); err != nil {
			t.Error(err)
		}
		if _, _, _, err := r.Changes(ctx, 0, 0); err != nil {
			t.Error(err)
		}
		h := must(r.head(ctx))(t)
		if _, _, _, err := r.Changes(ctx, h.seq-1, 10); err != nil {
			t.Error(err)
		}
		must(r.AdminTokenBy(ctx, theToken.Reveal()))(t)
	}))
	check("lists", watch(r, func() {
		later := Page{Size: 10, Offset: encodeOffset("consumers", uuid4(51000))}
		got := must(r.Consumers(ctx, ConsumerFilter{}, later))(t)
		if len(got.Data) != 10 || got.Data[0].ID != uuid4(51001) {
			t.Errorf("%+v", got)
		}
		got = must(r.Consumers(ctx, ConsumerFilter{Tags: []string{"shard-7"}}, Page{Size: 1000}))(t)
		if len(got.Data) != many/1000 || got.Next != "" {
			t.Errorf("%d with a tag", len(got.Data))
		}
		must(r.Consumers(ctx, ConsumerFilter{Tags: []string{"shard-7", "shard-8"}, AnyTag: true}, later))(t)
		must(r.Consumers(ctx, ConsumerFilter{Username: "user-7"}, Page{}))(t)
		must(r.Consumers(ctx, ConsumerFilter{CustomID: "custom-7"}, Page{}))(t)
		must(r.KeyAuths(ctx, CredentialFilter{ConsumerID: uuid4(51000)}, Page{}))(t)
		must(r.KeyAuths(ctx, CredentialFilter{}, Page{Offset: encodeOffset("keyauths", uuid4(7))}))(t)
		must(r.BasicAuths(ctx, CredentialFilter{ConsumerID: uuid4(51000)}, Page{}))(t)
		must(r.JWTSecrets(ctx, CredentialFilter{ConsumerID: uuid4(51000)}, Page{}))(t)
		acl := must(r.ACLs(ctx, ACLFilter{Group: "group-9"}, Page{Size: 1000}))(t)
		if len(acl.Data) != many/100 {
			t.Errorf("%d in a group", len(acl.Data))
		}
		must(r.ACLs(ctx, ACLFilter{ConsumerID: uuid4(51000)}, Page{}))(t)
		must(r.Developers(ctx, DeveloperFilter{Status: Requested}, Page{}))(t)
		must(r.Applications(ctx, ApplicationFilter{DeveloperID: w.dev.ID}, Page{}))(t)
		must(r.Contracts(ctx, ContractFilter{ApplicationID: w.app.ID}, Page{}))(t)
		must(r.Contracts(ctx, ContractFilter{DeveloperID: w.dev.ID}, Page{}))(t)
		must(r.Contracts(ctx, ContractFilter{Service: "orders"}, Page{}))(t)
		must(r.Contracts(ctx, ContractFilter{Status: Requested}, Page{}))(t)
		must(r.Entities(ctx, "plugins", EntityFilter{ServiceID: uuid4(8)}, Page{}))(t)
		must(r.Entities(ctx, "services", EntityFilter{Name: "orders"}, Page{}))(t)
		must(r.Entities(ctx, "services", EntityFilter{}, Page{}))(t)
		must(r.Audits(ctx, AuditFilter{Kind: "consumers", ID: uuid4(1)}, Page{}))(t)
		must(r.Audits(ctx, AuditFilter{ActorID: "t1"}, Page{}))(t)
		must(r.Audits(ctx, AuditFilter{Action: "read secret"}, Page{}))(t)
		must(r.Audits(ctx, AuditFilter{}, Page{Size: 5, Offset: encodeOffset("audits", "7")}))(t)
	}))
	check("writes", watch(r, func() {
		keep := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		c := must(r.CreateConsumer(ctx, system, Consumer{Username: "new", Tags: []string{"x"}}))(t)
		keep(second(r.UpdateConsumer(ctx, system, "user-500", func(c *Consumer) error { c.Username, c.Tags = "user-500b", nil; return nil })))
		keep(second(r.CreateConsumer(ctx, system, Consumer{Username: uuid4(777)})))
		keep(second(r.CreateACL(ctx, system, ACL{ConsumerID: c.ID, Group: "group-1"})))
		k, _, err := r.CreateKeyAuth(ctx, system, KeyAuth{ConsumerID: c.ID}, redact.Secret{})
		keep(err)
		keep(second(r.UpdateKeyAuth(ctx, system, k.ID, func(k *KeyAuth) error { k.Expires = start.Add(time.Hour); return nil }, redact.Secret{})))
		keep(r.DeleteKeyAuth(ctx, system, k.ID))
		keep(r.DeleteConsumer(ctx, system, "user-501"))
		keep(second(r.UpdateApplication(ctx, system, w.app.ID, func(p *Application) error { p.CustomID = "0ob"; return nil })))
		keep(second(r.SetContractStatus(ctx, system, w.kept.ID, Revoked)))
		keep(second(r.SetDeveloperStatus(ctx, system, w.dev.ID, Revoked)))
		keep(second(r.UpdateEntity(ctx, system, "services", "orders", func(e *Entity) error { e.Name = "mail"; return nil }, nil)))
		keep(r.DeleteEntity(ctx, system, "services", "mail", nil))
		keep(r.DeleteDeveloper(ctx, system, "dev@example.com"))
		keep(r.DeleteAdminToken(ctx, system, "ci"))
	}))

	// A walk through all of them while others are added.
	n := 0
	got := walk(t, 1000, func(p Page) (List[Consumer], error) { return r.Consumers(ctx, ConsumerFilter{}, p) }, func(c Consumer) string { return c.ID }, func() {
		n++
		must(r.CreateConsumer(ctx, system, Consumer{Username: fmt.Sprint("late-", n)}))(t)
		must(r.CreateConsumer(ctx, system, Consumer{ID: uuid4(100 + n), Username: fmt.Sprint("early-", n)}))(t)
	})
	seen := map[string]bool{}
	for _, id := range got {
		if seen[id] {
			t.Fatalf("%s twice", id)
		}
		seen[id] = true
	}
	for i := range many {
		if id := uuid4(i + 1000); !seen[id] && i != 501 {
			t.Fatalf("%s is missing", id)
		}
	}
}
