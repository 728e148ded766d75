package adminapi

import (
	"fmt"
	"strings"
	"testing"
)

// TestServices goes through the life of a service, as Kong does it.
func TestServices(t *testing.T) {
	w := newWorld(t)
	s := w.send("POST", "/services", `{"name":"users","url":"https://users.internal:8443/v1","tags":["b","a"],"retries":null}`).want(201)
	id := s["id"].(string)
	for name, want := range map[string]any{"protocol": "https", "host": "users.internal", "port": 8443, "path": "/v1", "retries": 5, "tags": "[b a]", "enabled": true, "client_certificate": nil} {
		same(t, name, s[name], want)
	}
	if c, ok := s["created_at"].(float64); !ok || c < 1e9 {
		t.Errorf("created_at is %v", s["created_at"])
	}
	for _, ref := range []string{id, "users"} {
		same(t, "GET /services/"+ref, w.send("GET", "/services/"+ref, "").want(200), s)
	}
	s = w.send("PATCH", "/services/users", `{"url":"http://other.internal","retries":1}`).want(200)
	for name, want := range map[string]any{"id": id, "name": "users", "protocol": "http", "host": "other.internal", "port": 80, "path": nil, "retries": 1, "tags": "[b a]"} {
		same(t, "patched "+name, s[name], want)
	}
	s = w.send("PATCH", "/services/users", `{"retries":null,"tags":null,"created_at":1}`).want(200)
	same(t, "retries", s["retries"], 5)
	same(t, "tags", s["tags"], nil)
	s = w.send("PUT", "/services/users", `{"host":"put.internal"}`).want(200)
	for name, want := range map[string]any{"id": id, "name": "users", "host": "put.internal", "retries": 5} {
		same(t, "put "+name, s[name], want)
	}
	s = w.send("PUT", "/services/new", form("host=new.internal", "connect_timeout=100")).want(200)
	same(t, "name", s["name"], "new")
	same(t, "connect_timeout", s["connect_timeout"], 100)
	const chosenID = "11111111-1111-4111-8111-111111111111"
	s = w.send("PUT", "/services/"+chosenID, `{"host":"by-id.internal"}`).want(200)
	same(t, "id", s["id"], chosenID)
	same(t, "name", s["name"], nil)
	w.send("POST", "/services", `{"id":"`+chosenID+`","host":"h"}`).refused(409, `"code":5`)
	w.send("POST", "/services", `{"name":"users","host":"h"}`).refused(409, `UNIQUE violation detected on '{name=\"users\"}'`)
	w.send("PATCH", "/services/new", `{"name":"users"}`).refused(409, `"name":"users"`)
	w.send("PATCH", "/services/nobody", `{"host":"h"}`).refused(404, "Not found")
	w.send("DELETE", "/services/nobody", "").want(204)
	w.send("DELETE", "/services/new", "").want(204)
	w.send("GET", "/services/new", "").want(404)
	same(t, "services", len(dig(w.send("GET", "/services", "").want(200), "data").([]any)), 3)
}

// TestRefusedEntities: package declarative's rules, with the field that they are about,
// and nothing is kept of what is refused.
func TestRefusedEntities(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct{ target, body, want string }{
		{"/services", `{"name":"a b","host":"h"}`, `"fields":{"name":"is \"a b\": expected letters`},
		{"/services", `{"name":"x"}`, `"@entity":["has neither url nor host`},
		{"/services", `{"name":"x","host":"h","hots":1}`, `"hots":"unknown field: did you mean host?"`},
		{"/services", `{"host":"h","port":"80"}`, `"port":"is \"80\": expected an integer"`},
		{"/services", `{"host":"h","port":70000}`, `"port":"is 70000: expected 0 to 65535"`},
		{"/services", `{"host":"h","port":1.5}`, `"port"`},
		{"/services", `{"url":"ftp://h"}`, `"url":"has protocol \"ftp\"`},
		{"/services", `{"url":7}`, `"url":"is 7`},
		{"/services", `{"host":"h","id":"7"}`, `"id":"expected a UUID`},
		{"/services", `{"host":"h","tags":["a,b"]}`, `"tags"`},
		{"/services", `{"host":"h","tags":"a"}`, `"tags"`},
		{"/services", `{"host":"h","routes":[]}`, `"routes":"unknown field`},
		{"/services", `{"host":"h","_comment":"x"}`, `"_comment":"unknown field`},
		{"/services", `{"host":"{vault://env/PASSWORD}"}`, `"host":"is a reference to what this machine has`},
		{"/services", `{"host":"h","client_certificate":{"id":"x"}}`, `"client_certificate":"is not supported`},
		{"/services/orders/routes", `{"name":"x"}`, `"@entity":["matches nothing`},
		{"/services/orders/routes", `{"paths":["/x","y"]}`, `"paths":[null,"is \"y\": expected a leading slash`},
		{"/services/orders/routes", `{"paths":["~/("]}`, `"paths":["`},
		{"/services/orders/routes", `{"hosts":["a","b:1"]}`, `"hosts":[null,`},
		{"/services/orders/routes", `{"headers":{"host":["x"]}}`, `"headers":{"host":"hosts belong`},
		{"/services/orders/routes", `{"headers":{"X-Consumer-ID":["x"]}}`, `is set or removed by authentication`},
		{"/services/orders/routes", `{"paths":["/x"],"protocols":["tcp"]}`, `"protocols":["is \"tcp\"`},
		{"/routes", `{"paths":["/x"]}`, `"@entity":["has no service`},
		{"/services/orders/plugins", `{"name":"cors"}`, `not supported`},
		{"/services/orders/plugins", `{"config":{}}`, `"name":"is missing`},
		{"/services/orders/plugins", `{"name":"jwt","config":{"key_claim_name":7}}`, `"config":{"key_claim_name":"is 7: expected a string`},
		{"/services/orders/plugins", `{"name":"jwt","config":{"nothing":7}}`, `"config":{"nothing":"unknown field`},
		{"/services/orders/plugins", `{"name":"jwt","config":[]}`, `"config":"is a list`},
		{"/services/orders/plugins", `{"name":"openid-connect","config":{}}`, `"@entity":["has no issuer"]`},
		{"/services/orders/plugins", `{"name":"jwt","enabled":"yes"}`, `"enabled":"is \"yes\": expected true or false`},
		{"/services/orders/plugins", `{"name":"jwt","_config":"x"}`, `"_config":"unknown field`},
		{"/consumers/alice/plugins", `{"name":"jwt"}`, `"consumer":"binds jwt to a consumer`},
		{"/plugins", form("name=jwt", "config.maximum_expiration=soon"), `"maximum_expiration":"is \"soon\": expected an integer`},
		{"/plugins", form("name=jwt", "config.anonymous=nobody-of-that-name"), `"anonymous":"is \"nobody-of-that-name\"`},
	} {
		res := w.send("POST", test.target, test.body)
		res.refused(400, `"code":2,"name":"schema violation"`)
		if !strings.Contains(res.Body.String(), test.want) || !strings.Contains(res.Body.String(), "schema violation") {
			t.Errorf("%s %s: want %s in\n%s", test.target, test.body, test.want, res.Body)
		}
	}
	for _, test := range []struct{ target, body, want string }{
		{"/routes", `{"paths":["/x"],"service":{"id":"11111111-1111-4111-8111-111111111111"}}`, `does not reference an existing 'services' entity`},
		{"/routes", `{"paths":["/x"],"service":{"name":"none"}}`, `"fields":{"service":{"id":"none"}}`},
		{"/plugins", `{"name":"jwt","route":{"id":"none"}}`, `'routes' entity`},
		{"/plugins", `{"name":"jwt","consumer":{"id":"none"}}`, `'consumers' entity`},
	} {
		res := w.send("POST", test.target, test.body)
		res.refused(400, `"code":4,"name":"foreign key violation"`)
		if !strings.Contains(res.Body.String(), test.want) {
			t.Errorf("%s %s: %s", test.target, test.body, res.Body)
		}
	}
	w.send("POST", "/services", `{"host":"h","ca_certificates":["`+strings.Repeat("x", 300<<10)+`"]}`).refused(400, `"@entity":["is longer than`)
	if all, err := w.registry.AllEntities(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%v is kept of what was refused, %v", all, err)
	}
}

// TestReferences: routes and plugins are bound by id and name, at the top and below, to
// what the file has and what the registry has, and found below what they are bound to.
func TestReferences(t *testing.T) {
	w := newWorld(t)
	s := w.send("POST", "/services", `{"name":"users","host":"users.internal"}`).want(201)["id"].(string)
	r := w.send("POST", "/routes", form("name=users", "paths[]=/users", "paths[]=/people", "service.name=users", "strip_path=false")).want(201)
	same(t, "service", dig(r, "service", "id"), s)
	same(t, "paths", r["paths"], "[/users /people]")
	same(t, "strip_path", r["strip_path"], false)
	w.send("POST", "/routes", form("name=more", "paths=/more", "service.id="+s)).want(201)
	w.send("POST", "/services/orders/routes", form("name=mine", "hosts=mine.example")).want(201)
	p := w.send("POST", "/services/users/plugins", `{"name":"jwt","instance_name":"tokens"}`).want(201)
	same(t, "audit", dig(w.send("GET", "/audit?size=1", "").want(200), "data", 0, "detail"), `"jwt", instance_name "tokens"`)
	w.send("POST", "/services/users/plugins", `{"name":"jwt"}`).refused(409, `"code":5`)
	w.send("POST", "/plugins", `{"name":"jwt","service":"users"}`).refused(409, `"service":{"id":"`+s)
	w.send("POST", "/routes/users/plugins", `{"name":"jwt","instance_name":"tokens"}`).refused(409, `"instance_name":"tokens"`)
	w.send("POST", "/services/users/plugins", `{"name":"jwt","service":{"id":"`+w.file().Services[0].ID+`"}}`).refused(400, "is not that of the path")
	w.send("POST", "/services/users/plugins", `{"name":"acl","config":{"allow":["a"]},"service":{"name":"users"}}`).want(201)

	count := func(target string, want int) {
		t.Helper()
		same(t, target, len(dig(w.send("GET", target, "").want(200), "data").([]any)), want)
	}
	count("/services/users/routes", 2)
	count("/services/orders/routes", 2)
	count("/routes", 4)
	count("/routes?name=users", 1)
	count("/services/users/plugins", 2)
	count("/services/orders/plugins", 1)
	count("/plugins", 4)
	w.send("GET", "/services/users/routes/users", "").want(200)
	w.send("GET", "/services/orders/routes/users", "").want(404)
	w.send("PATCH", "/services/orders/routes/users", `{"paths":["/evil"]}`).want(404)
	w.send("PUT", "/services/orders/routes/users", `{"paths":["/evil"]}`).want(404)
	w.send("DELETE", "/services/orders/routes/users", "").want(204)
	w.send("GET", "/services/users/routes/users", "").want(200)
	w.send("GET", "/services/nobody/routes", "").want(404)
	same(t, "by instance name", w.send("GET", "/plugins/tokens", "").want(200)["id"], p["id"])
	same(t, "service of the route", w.send("GET", "/routes/users/service", "").want(200)["id"], s)

	// A service that has routes stays; without them it goes, with its plugins.
	w.send("DELETE", "/services/users", "").refused(400, `"fields":{"@referenced_by":"routes"}`)
	w.send("POST", "/routes/users/plugins", `{"name":"key-auth"}`).want(201)
	count("/plugins", 5)
	w.send("DELETE", "/routes/users", "").want(204)
	count("/plugins", 4)
	w.send("DELETE", "/routes/more", "").want(204)
	w.send("DELETE", "/services/users", "").want(204)
	count("/plugins", 2)
}

// TestPlugins: a PATCH changes members of config, and a secret is shown to nobody without
// the role for it; what stands in its place does not become it.
func TestPlugins(t *testing.T) {
	w := newWorld(t)
	w.send("POST", "/services", `{"name":"users","host":"users.internal"}`).want(201)
	p := w.send("POST", "/services/users/plugins", `{"name":"openid-connect","config":{"issuer":"https://i.example","client_id":["a"],"client_secret":["s-1"],"scopes":["openid","x"]}}`).want(201)
	at := "/plugins/" + p["id"].(string)
	same(t, "client_secret", dig(p, "config", "client_secret"), "["+hidden+"]")
	p = w.send("PATCH", at, form("config.scopes[]=openid", "config.leeway=5", "tags[]=x")).want(200)
	for name, want := range map[string]any{"issuer": "https://i.example", "scopes": "[openid]", "leeway": 5, "client_id": "[a]"} {
		same(t, name, dig(p, "config", name), want)
	}
	p = w.send("PATCH", at, `{"config":{"leeway":null}}`).want(200)
	same(t, "leeway", dig(p, "config", "leeway"), nil)

	for name, lines := range map[string]string{
		"admin": w.token(w.now.AddDate(1, 0, 0), "admin"), "read": w.token(w.now.AddDate(1, 0, 0), "read"), "portal": w.token(w.now.AddDate(1, 0, 0), "portal:approve"),
	} {
		for _, target := range []string{at, "/plugins", "/services/users/plugins"} {
			if res := w.send("GET", target, "", "Authorization: Bearer "+lines); res.Code != 200 || strings.Contains(res.Body.String(), "s-1") || strings.Contains(res.Body.String(), "the-client-secret") {
				t.Errorf("%s sees %s", name, res.Body)
			}
		}
	}
	if res := w.send("GET", at, ""); !strings.Contains(res.Body.String(), "s-1") {
		t.Errorf("who may read secrets does not: %s", res.Body)
	}
	audit := dig(w.send("GET", "/audit?size=1", "").want(200), "data", 0)
	for path, want := range map[string]any{"action": "read secret", "kind": "plugins", "id": p["id"], "detail": "client_secret"} {
		same(t, path, dig(audit, path), want)
	}
	same(t, "actor", dig(audit, "actor", "name"), "bootstrap")

	// What was read is written back: by then it is no secret any more.
	seen := w.send("GET", at, "", "Authorization: Bearer "+w.token(w.now.AddDate(1, 0, 1), "admin"))
	w.send("PUT", at, seen.Body.String()).refused(400, `"client_secret":"is what is shown in the place of the secret`)
	w.send("PATCH", at, `{"config":{"client_secret":"`+hidden+`"}}`).refused(400, "is what is shown")
	if f := w.file(); f.Plugins[len(f.Plugins)-1].OIDC.Login.ClientSecrets[0].Reveal() != "s-1" {
		t.Error("the secret has changed")
	}
	// It is turned off, and is still there to be turned on.
	p = w.send("PATCH", at, `{"enabled":false}`).want(200)
	same(t, "enabled", p["enabled"], false)
	same(t, "plugins in force", len(w.file().Plugins), 2)
	w.send("GET", at, "").want(200)
	w.send("PATCH", at, `{"name":"jwt"}`).refused(400, "unknown field")
}

// TestWritesAreJudgedTogether: what breaks something else is refused, and says what.
func TestWritesAreJudgedTogether(t *testing.T) {
	w := newWorld(t)
	w.send("POST", "/consumers", `{"username":"guest"}`).want(201)
	w.send("POST", "/services", `{"name":"a","host":"a.internal"}`).want(201)
	w.send("POST", "/services", `{"name":"b","host":"b.internal"}`).want(201)
	w.send("POST", "/services/a/routes", `{"name":"a","paths":["/a"]}`).want(201)
	w.send("POST", "/routes/a/plugins", `{"name":"jwt"}`).want(201)
	p := w.send("GET", "/routes/a/plugins", "").want(200)
	id := fmt.Sprint(dig(p, "data", 0, "id"))
	w.send("PATCH", "/plugins/"+id, `{"service":{"name":"b"}}`).refused(400, "does not belong to")
	if w.checks != 5 {
		t.Errorf("%d writes were judged", w.checks)
	}
}
