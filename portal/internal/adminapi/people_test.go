package adminapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// TestConsumers goes through the life of a consumer, as Kong does it.
func TestConsumers(t *testing.T) {
	w := newWorld(t)
	c := w.send("POST", "/consumers", form("username=bob", "custom_id=b-2", "tags=x", "tags=a")).want(201)
	id := c["id"].(string)
	same(t, "tags", c["tags"], "[a x]")
	for _, ref := range []string{"bob", id} {
		same(t, ref, w.send("GET", "/consumers/"+ref, "").want(200), c)
	}
	w.send("GET", "/consumers/b-2", "").want(404)
	c = w.send("PATCH", "/consumers/bob", `{"custom_id":null}`).want(200)
	same(t, "custom_id", c["custom_id"], nil)
	same(t, "username", c["username"], "bob")
	c = w.send("PUT", "/consumers/bob", `{"custom_id":"b-3"}`).want(200)
	same(t, "put", fmt.Sprint(c["id"], c["username"], c["custom_id"], c["tags"]), fmt.Sprint(id, "bob", "b-3", nil))
	c = w.send("PUT", "/consumers/new", `{}`).want(200)
	same(t, "new", c["username"], "new")
	const chosenID = "11111111-1111-4111-8111-111111111111"
	c = w.send("PUT", "/consumers/"+chosenID, `{"username":"chosen"}`).want(200)
	same(t, "id", c["id"], chosenID)
	w.send("PUT", "/consumers/"+chosenID, `{"username":"chosen","id":"`+aliceID+`"}`).refused(400, `"id":"is not that of the path"`)
	w.send("POST", "/consumers", `{}`).refused(400, `"@entity":["has neither username nor custom_id`)
	w.send("POST", "/consumers", `{"username":"bob"}`).refused(409, `UNIQUE violation detected on '{username=\"bob\"}'`)
	w.send("POST", "/consumers", `{"username":7}`).refused(400, `"username":"expected a string"`)
	w.send("POST", "/consumers", `{"usrname":"x"}`).refused(400, `"usrname":"unknown field"`)
	w.send("POST", "/consumers", `{"username":"x","tags":[1]}`).refused(400, `"tags":["expected a string"]`)
	w.send("PATCH", "/consumers/bob", `{"username":"alice"}`).refused(409, `"username":"alice"`)
	w.send("DELETE", "/consumers/bob", "").want(204)
	w.send("DELETE", "/consumers/bob", "").want(204)
	w.send("GET", "/consumers/bob", "").want(404)
	w.send("GET", "/consumers/bob/key-auth", "").want(404)
}

// TestCredentials goes through the lives of credentials: who has one sees no other's, and
// nothing that is secret is shown twice, but for jwt secrets to the role for that.
func TestCredentials(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"bob", "eve"} {
		w.send("POST", "/consumers", `{"username":"`+name+`"}`).want(201)
	}
	for _, test := range []struct{ kind, body, patch, secret string }{
		{"key-auth", `{"key":"a-key-of-bob-1234","ttl":60}`, `{"tags":["t"]}`, "a-key-of-bob-1234"},
		{"basic-auth", `{"username":"bob","password":"a-password-of-bob"}`, `{"password":"another-password"}`, "a-password-of-bob"},
		{"jwt", `{"key":"bob-key","secret":"a-jwt-secret-of-bob"}`, `{"tags":["t"]}`, ""},
		{"acls", `{"group":"staff"}`, `{"group":"admins"}`, ""},
	} {
		at := "/consumers/bob/" + test.kind
		made := w.send("POST", at, test.body).want(201)
		id := made["id"].(string)
		same(t, "consumer", dig(made, "consumer", "id"), w.send("GET", "/consumers/bob", "").want(200)["id"])
		all := test.kind + "s"
		if test.kind == "acls" {
			all = test.kind
		}
		for _, target := range []string{at + "/" + id, "/" + all + "/" + id} {
			res := w.send("GET", target, "")
			same(t, target, res.want(200)["id"], id)
			if test.secret != "" && strings.Contains(res.Body.String(), test.secret) {
				t.Errorf("shows the secret again: %s", res.Body)
			}
		}
		same(t, at, len(dig(w.send("GET", at, "").want(200), "data").([]any)), 1)
		same(t, "eve's", len(dig(w.send("GET", "/consumers/eve/"+test.kind, "").want(200), "data").([]any)), 0)
		w.send("GET", "/consumers/eve/"+test.kind+"/"+id, "").want(404)
		w.send("PATCH", "/consumers/eve/"+test.kind+"/"+id, test.patch).want(404)
		w.send("PUT", "/consumers/eve/"+test.kind+"/"+id, test.body).want(404)
		w.send("DELETE", "/consumers/eve/"+test.kind+"/"+id, "").want(204)
		w.send("GET", at+"/"+id, "").want(200)
		w.send("PATCH", at+"/"+id, test.patch).want(200)
		w.send("POST", "/consumers/eve/"+test.kind, `{"nothing":1}`).refused(400, "unknown field")
		w.send("POST", "/consumers/eve/"+test.kind, `{"consumer":{"username":"bob"}}`).refused(400, "is not that of the path")
		w.send("POST", "/consumers/no-one/"+test.kind, test.body).want(404)
		if test.kind != "acls" { // two may be of one group
			res := w.send("POST", "/consumers/eve/"+test.kind, test.body)
			res.refused(409, `"code":5`)
			if test.kind == "key-auth" {
				res.refused(409, `UNIQUE violation detected on '{key=\"[redacted]\"}'`)
			}
		}
		const chosenID = "44444444-4444-4444-8444-444444444444"
		if test.kind == "key-auth" { // is not found by its key
			w.send("PUT", at+"/nobody", test.body).want(404)
		} else {
			w.send("PUT", at+"/nobody", test.body).refused(400, "is not the one that it is put under")
		}
		w.send("DELETE", at+"/"+id, "").want(204)
		same(t, "put", w.send("PUT", at+"/"+chosenID, test.body).want(200)["id"], chosenID)
		w.send("DELETE", at+"/"+chosenID, "").want(204)
		w.send("GET", at+"/"+chosenID, "").want(404)
	}
	// A key that was not chosen is made, and said once.
	made := w.send("POST", "/consumers/bob/key-auth", `{}`).want(201)
	key, _ := made["key"].(string)
	if len(key) < 32 || made["key_hint"] != key[:4] {
		t.Errorf("%v", made)
	}
	w.send("POST", "/consumers/bob/key-auth", `{"ttl":60,"expires_at":5}`).refused(400, "expected one of them")
	w.send("POST", "/consumers/bob/key-auth", `{"ttl":-1}`).refused(400, `"ttl":"expected 0 to`)
	k := w.send("POST", "/consumers/bob/key-auth", form("ttl=60")).want(201)
	if ttl, _ := k["ttl"].(float64); ttl < 55 || ttl > 60 {
		t.Errorf("ttl %v", k["ttl"])
	}
	now := time.Now()
	same(t, "what is left of five seconds", *left(now, now.Add(5*time.Second-time.Millisecond)), 5)
	same(t, "what is left of none", *left(now, now.Add(-time.Minute)), 0)
	w.send("PUT", "/consumers/bob/key-auth/"+k["id"].(string), `{}`).want(200)
	same(t, "ttl", w.send("GET", "/key-auths/"+k["id"].(string), "").want(200)["ttl"], nil)
	// A group is found by its name below its consumer, as in Kong.
	w.send("POST", "/consumers/bob/acls", "group=staff").want(201)
	same(t, "group", w.send("GET", "/consumers/bob/acls/staff", "").want(200)["group"], "staff")
	w.send("DELETE", "/consumers/bob/acls/staff", "").want(204)
	w.send("GET", "/consumers/bob/acls/staff", "").want(404)
	w.send("POST", "/consumers/bob/jwt", fmt.Sprintf(`{"algorithm":"RS256","rsa_public_key":%q}`, tokens.PublicPEM("rsa2048"))).want(201)
	w.send("POST", "/consumers/bob/jwt", `{"algorithm":"RS256"}`).refused(400, "rsa_public_key")
	w.send("POST", "/consumers/bob/jwt", `{"algorithm":"none"}`).refused(400, "expected HS256, ")
}

// TestPutByName: as in Kong a PUT under a name makes what is not there and changes what is,
// and does not rename: done twice it is done once.
func TestPutByName(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"bob", "eve"} {
		w.send("POST", "/consumers", `{"username":"`+name+`"}`).want(201)
	}
	for _, test := range []struct{ at, field, body, other string }{
		{"/services/", "name", `{"host":"h"}`, `{"host":"h","name":"other"}`},
		{"/services/orders/routes/", "name", `{"paths":["/n"]}`, `{"paths":["/n"],"name":"other"}`},
		{"/consumers/bob/jwt/", "key", `{"secret":"a-jwt-secret-of-bob"}`, `{"key":"other"}`},
		{"/consumers/bob/basic-auth/", "username", `{"password":"a-password-of-bob"}`, `{"username":"other","password":"a-password-of-bob"}`},
		{"/consumers/bob/acls/", "group", `{}`, `{"group":"other"}`},
	} {
		w.send("PUT", test.at+"new-one", test.other).refused(400, `"`+test.field+`":"is not the one that it is put under"`)
		made := w.send("PUT", test.at+"new-one", test.body).want(200)
		same(t, test.at, made[test.field], "new-one")
		again := w.send("PUT", test.at+"new-one", test.body).want(200)
		same(t, test.at+" again", again["id"], made["id"])
		w.send("PUT", test.at+"new-one", test.other).refused(400, `"`+test.field+`":"is not the one that it is put under"`)
		same(t, test.at, w.send("GET", test.at+"new-one", "").want(200)["id"], made["id"])
	}
	// Under its id a thing may get another name.
	id := w.send("GET", "/services/new-one", "").want(200)["id"].(string)
	same(t, "renamed", w.send("PUT", "/services/"+id, `{"host":"h","name":"renamed"}`).want(200)["name"], "renamed")
	const chosenID = "44444444-4444-4444-8444-444444444444"
	same(t, "id", w.send("PUT", "/consumers/bob/jwt/second", `{"id":"`+chosenID+`","secret":"a-jwt-secret-of-bob"}`).want(200)["id"], chosenID)
	w.send("PUT", "/consumers/eve/jwt/new-one", `{"secret":"a-jwt-secret-of-eve"}`).want(404) // is bob's
	w.send("PUT", "/consumers/eve/basic-auth/new-one", `{"password":"a-password-of-eve"}`).want(404)
	same(t, "both", w.send("PUT", "/consumers/eve/acls/new-one", `{}`).want(200)["group"], "new-one")
}

// TestJWTSecrets are shown to the role for it, and the audit log tells each time (S2-06).
func TestJWTSecrets(t *testing.T) {
	w := newWorld(t)
	w.send("POST", "/consumers", "username=login_server_issuer").want(201)
	made := w.send("POST", "/consumers/login_server_issuer/jwt", "").want(201)
	secret, _ := made["secret"].(string)
	if len(secret) < 32 || len(made["key"].(string)) < 32 || made["algorithm"] != "HS256" {
		t.Fatalf("%v", made)
	}
	reads := func() int {
		return len(dig(w.send("GET", "/audit?action=read%20secret&kind=jwts", "").want(200), "data").([]any))
	}
	year := w.now.AddDate(1, 0, 0)
	before := reads()
	for _, role := range []string{"admin", "read"} {
		as := "Authorization: Bearer " + w.token(year, role)
		for _, target := range []string{"/consumers/login_server_issuer/jwt", "/jwts", "/jwts/" + made["id"].(string), "/jwts/alice-1"} {
			if res := w.send("GET", target, "", as); res.Code != 200 || strings.Contains(res.Body.String(), secret) || strings.Contains(res.Body.String(), "first-secret") {
				t.Errorf("%s at %s: %s", role, target, res.Body)
			}
		}
	}
	same(t, "reads by who sees none", reads()-before, 0)
	as := "Authorization: Bearer " + w.token(year, "credentials:read")
	got := w.send("GET", "/consumers/login_server_issuer/jwt", "", as).want(200)
	same(t, "secret", dig(got, "data", 0, "secret"), secret)
	same(t, "key", dig(got, "data", 0, "key"), made["key"])
	same(t, "reads", reads()-before, 1)
	row := dig(w.send("GET", "/audit?action=read%20secret", "").want(200), "data", 0)
	same(t, "who", dig(row, "actor", "role"), "credentials:read")
	same(t, "from where", dig(row, "actor", "remote"), "127.0.0.1")
	same(t, "which", dig(row, "id"), made["id"])
	if strings.Contains(fmt.Sprint(row), secret) {
		t.Errorf("the log has the secret: %v", row)
	}
	w.send("GET", "/jwts/alice-1", "", as).want(200)
	same(t, "reads, with the file's", reads()-before, 2)
}

// TestThePortalsEntities: developers, applications and contracts, by Kong's paths and
// numbers, and nobody's below somebody else's.
func TestThePortalsEntities(t *testing.T) {
	w := newWorld(t)
	w.send("POST", "/services", `{"name":"partners","host":"p.internal"}`).want(201)
	w.send("POST", "/services/partners/plugins", `{"name":"application-registration","config":{"display_name":"Partners","auto_approve":true}}`).want(201)
	w.send("POST", "/services", `{"name":"billing","host":"b.internal"}`).want(201)
	w.send("POST", "/services/billing/plugins", `{"name":"application-registration","config":{"display_name":"Billing"}}`).want(201)

	d := w.send("POST", "/developers", `{"email":"Dora@example.com","name":"Dora","meta":{"company":"D"}}`).want(201)
	same(t, "status", d["status"], 1)
	same(t, "meta", d["meta"], `{"company":"D"}`)
	other := w.send("POST", "/developers", form("email=eve@example.com", "status=0", `meta={"a":"b"}`)).want(201)
	same(t, "status", other["status"], 0)
	same(t, "meta", other["meta"], `{"a":"b"}`)
	w.send("POST", "/developers", `{"email":"dora@EXAMPLE.com"}`).refused(409, `"code":5`)
	w.send("POST", "/developers", `{"email":"x@example.com","status":3}`).refused(400, "status")
	w.send("POST", "/developers", `{"email":"x@example.com","meta":"no"}`).refused(400, "meta")
	w.send("POST", "/developers", `{"email":"x@example.com","meta":{"a":{}}}`).refused(400, "meta")
	w.send("POST", "/developers", `{"email":"not an address"}`).refused(400, "email")
	same(t, "by e-mail", w.send("GET", "/developers/dora@example.com", "").want(200)["id"], d["id"])
	same(t, "approved", w.send("PATCH", "/developers/dora@example.com", `{"status":0}`).want(200)["status"], 0)
	same(t, "by status", len(dig(w.send("GET", "/developers?status=0", "").want(200), "data").([]any)), 2)
	same(t, "by name", len(dig(w.send("GET", "/developers?q=dor", "").want(200), "data").([]any)), 1)
	w.send("GET", "/developers?status=9", "").refused(400, "status")

	at := "/developers/dora@example.com/applications"
	a := w.send("POST", at, `{"name":"shop","redirect_uri":"https://shop.example/cb","custom_id":"client-1"}`).want(201)
	same(t, "developer", dig(a, "developer", "id"), d["id"])
	id := a["id"].(string)
	same(t, "consumer", w.send("GET", "/consumers/"+fmt.Sprint(dig(a, "consumer", "id")), "").want(200)["custom_id"], "client-1")
	w.send("POST", at, `{"name":"shop2","custom_id":"client-1"}`).refused(409, `"custom_id":"client-1"`)
	for _, id := range []string{"a-1", "alice", "Alice", aliceID} { // the file's alice
		w.send("POST", at, `{"name":"shop2","custom_id":"`+id+`"}`).refused(409, `"custom_id":"`+id+`"`)
	}
	w.send("POST", at, `{"name":"x","developer":{"id":"`+other["id"].(string)+`"}}`).refused(400, "is not that of the path")
	w.send("POST", "/applications", `{"name":"x"}`).refused(400, "developer")
	w.send("POST", "/applications", `{"name":"x","developer":"nobody"}`).refused(400, `"code":4`)
	w.send("POST", "/applications", `{"name":"second","custom_id":"client-2","developer":{"email":"eve@example.com"}}`).want(201)
	same(t, "eve's", len(dig(w.send("GET", "/developers/eve@example.com/applications", "").want(200), "data").([]any)), 1)
	same(t, "all", len(dig(w.send("GET", "/applications", "").want(200), "data").([]any)), 2)
	same(t, "found", len(dig(w.send("GET", "/applications?q=client-2", "").want(200), "data").([]any)), 1)
	w.send("GET", "/developers/eve@example.com/applications/"+id, "").want(404)
	w.send("PATCH", "/developers/eve@example.com/applications/"+id, `{"name":"mine"}`).want(404)
	w.send("DELETE", "/developers/eve@example.com/applications/"+id, "").want(204)
	same(t, "patched", w.send("PATCH", "/applications/"+id, `{"description":"Sells"}`).want(200)["description"], "Sells")
	w.send("PATCH", "/applications/"+id, `{"custom_id":"a-1"}`).refused(409, `"custom_id":"a-1"`)
	w.send("PATCH", "/applications/"+id, `{"custom_id":"ALICE"}`).refused(409, `"custom_id":"ALICE"`)
	w.send("PATCH", "/applications/"+id, `{"developer":{"id":"x"}}`).refused(400, "cannot be changed")

	at += "/" + id + "/application_instances"
	k := w.send("POST", at, form("service.name=partners")).want(201)
	same(t, "auto_approve", k["status"], 0)
	same(t, "composite_id", k["composite_id"], id+"_partners")
	k = w.send("POST", at, `{"service":{"id":"`+w.send("GET", "/services/billing", "").want(200)["id"].(string)+`"}}`).want(201)
	same(t, "not approved", fmt.Sprint(k["status"], k["suspended"]), "1 false")
	w.send("POST", at, `{"service":"billing"}`).refused(409, `"code":5`)
	w.send("POST", at, `{"service":"orders"}`).refused(400, "application-registration")
	w.send("POST", at, `{"service":"nothing"}`).refused(400, `"code":4`)
	w.send("POST", at, `{}`).refused(400, `"service":"is missing"`)
	one := at + "/" + k["id"].(string)
	for _, test := range []struct{ body, want string }{
		{`{"status":0}`, "0 false"}, {`{"suspended":true}`, "0 true"}, {`{"status":3,"suspended":false}`, "3 false"}, {`{"status":2,"suspended":true}`, "2 true"},
	} {
		k = w.send("PATCH", one, test.body).want(200)
		same(t, test.body, fmt.Sprint(k["status"], k["suspended"]), test.want)
	}
	w.send("PATCH", one, `{"status":4}`).refused(400, "status")
	w.send("PATCH", one, `{"status":"0"}`).refused(400, "status")
	w.send("PATCH", one, `{"service":{"name":"partners"}}`).refused(400, "unknown field")
	same(t, "the service's", len(dig(w.send("GET", "/services/billing/application_instances", "").want(200), "data").([]any)), 1)
	same(t, "by status", len(dig(w.send("GET", "/application_instances?status=0", "").want(200), "data").([]any)), 1)
	w.send("GET", strings.Replace(one, "dora", "eve", 1), "").want(404)
	w.send("DELETE", strings.Replace(one, "dora", "eve", 1), "").want(204)
	w.send("GET", "/application_instances/"+k["id"].(string), "").want(200)

	// Who approves changes nothing else.
	as := "Authorization: Bearer " + w.token(w.now.AddDate(1, 0, 0), "portal:approve")
	w.send("PATCH", one, `{"status":0}`, as).want(200)
	w.send("PATCH", "/developers/dora@example.com", `{"status":3}`, as).want(200)
	w.send("PATCH", "/developers/dora@example.com", `{"status":0,"email":"evil@example.com"}`, as).refused(403, "admin")
	w.send("PATCH", "/developers/dora@example.com", `{"subject":"evil"}`, as).refused(403, "admin")
	same(t, "status", w.send("GET", "/developers/dora@example.com", "").want(200)["status"], 3)

	w.send("DELETE", one, "").want(204)
	w.send("DELETE", "/applications/"+id, "").want(204)
	w.send("GET", "/consumers/"+fmt.Sprint(dig(a, "consumer", "id")), "").want(404)
	w.send("DELETE", "/developers/dora@example.com", "").want(204)
	w.send("GET", at, "").want(404)
}

// TestEveryWriteIsAudited, with who did it from where.
func TestEveryWriteIsAudited(t *testing.T) {
	w := newWorld(t)
	as, from := "Authorization: Bearer "+w.token(w.now.AddDate(1, 0, 0), "admin"), "Remote: 192.0.2.7:1234"
	at := w.now
	for _, step := range []struct {
		method, target, body, action, kind string
		status                             int
	}{
		{"POST", "/services", `{"name":"s","host":"h"}`, "create", "services", 201},
		{"PATCH", "/services/s", `{"host":"i"}`, "update", "services", 200},
		{"POST", "/services/s/routes", `{"name":"r","paths":["/r"]}`, "create", "routes", 201},
		{"POST", "/routes/r/plugins", `{"name":"jwt"}`, "create", "plugins", 201},
		{"DELETE", "/routes/r", "", "delete", "routes", 204},
		{"POST", "/consumers", `{"username":"bob"}`, "create", "consumers", 201},
		{"POST", "/consumers/bob/key-auth", `{"key":"a-key-that-is-secret"}`, "create", "keyauths", 201},
		{"POST", "/consumers/bob/basic-auth", `{"username":"bob","password":"a-key-that-is-secret"}`, "create", "basicauths", 201},
		{"POST", "/consumers/bob/jwt", `{"secret":"a-key-that-is-secret"}`, "create", "jwts", 201},
		{"POST", "/consumers/bob/acls", `{"group":"g"}`, "create", "acls", 201},
		{"DELETE", "/consumers/bob", "", "delete", "consumers", 204},
		{"POST", "/developers", `{"email":"d@example.com"}`, "register", "developers", 201},
		{"PATCH", "/developers/d@example.com", `{"status":0}`, "set status", "developers", 200},
		{"POST", "/admin_tokens", `{"name":"t","roles":["read"]}`, "create", "tokens", 201},
	} {
		w.send(step.method, step.target, step.body, as, from).want(step.status)
		row := dig(w.send("GET", "/audit?size=1", "").want(200), "data", 0)
		same(t, step.method+" "+step.target, fmt.Sprint(dig(row, "action"), " ", dig(row, "kind"), " ", dig(row, "actor", "remote"), " ", dig(row, "actor", "role")),
			step.action+" "+step.kind+" 192.0.2.7 admin")
		if strings.Contains(fmt.Sprint(row), "a-key-that-is-secret") {
			t.Errorf("the log has the secret: %v", row)
		}
	}
	count := func(query string) int {
		return len(dig(w.send("GET", "/audit?"+query, "").want(200), "data").([]any))
	}
	same(t, "by kind and action", count("kind=services&action=create"), 1)
	same(t, "by actor", count("actor=nobody"), 0)
	same(t, "before it began", count("until="+fmt.Sprint(at.Add(-time.Hour).Unix())), 0)
	if n := count("since=" + at.Add(-time.Hour).UTC().Format(time.RFC3339)); n < 14 {
		t.Errorf("%d rows since it began", n)
	}
	page := w.send("GET", "/audit?size=2", "").want(200)
	next := w.send("GET", page["next"].(string), "").want(200)
	if first, second := dig(page, "data", 1, "seq").(float64), dig(next, "data", 0, "seq").(float64); second != first-1 {
		t.Errorf("after %v comes %v", first, second)
	}
	w.send("GET", "/audit?since=yesterday", "").refused(400, "since")
	before := count("size=1000")
	w.send("POST", "/services", `{"name":"a b","host":"h"}`, as).want(400)
	same(t, "rows about what was refused", count("size=1000"), before)
}

// TestARegistryThatIsAway: nothing looks as if it were not there, and whoever has the
// bootstrap token can still ask how things are.
func TestARegistryThatIsAway(t *testing.T) {
	w := newWorld(t)
	config := Config{File: w.file, Check: w.check, Token: w.handler.(*api).Token, Registry: func() *registry.Registry { return nil }}
	w.handler = New(config)
	for _, target := range []string{"/services", "/consumers/alice", "/consumers/nobody", "/audit"} {
		w.send("GET", target, "").refused(503, "does not answer")
	}
	w.send("POST", "/consumers", `{"username":"x"}`).refused(503, "does not answer")
	w.send("GET", "/status", "").refused(200, `"reachable":false`)
	w.send("GET", "/services", "", "Authorization: Bearer "+strings.Repeat("f", 64)).want(503)
	w.send("GET", "/status", "", "No-Token: x").want(401)

	w = newWorld(t)
	w.handler = New(Config{File: w.file, Token: config.Token, Registry: func() *registry.Registry { return w.registry }})
	w.send("POST", "/services", `{"host":"h"}`).want(503) // nobody judges it
	if err := w.registry.Close(); err != nil {
		t.Fatal(err)
	}
	w.handler = New(Config{File: func() *declarative.File { return nil }, Token: config.Token, Registry: func() *registry.Registry { return w.registry }})
	res := w.send("GET", "/developers", "")
	res.refused(503, "does not answer")
	if strings.Contains(res.Body.String(), "sql") {
		t.Errorf("tells of the inside: %s", res.Body)
	}
}
