package adminapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// hostiles are strings that must come back as they are or be refused, whatever field they
// are in.
var hostiles = map[string]string{
	"markup":      `<script>alert(1)</script>`,
	"attribute":   `" onmouseover="alert(1)`,
	"sql":         `'; DROP TABLE consumers; --`,
	"sql or":      `' OR '1'='1`,
	"like":        `%_\%`,
	"template":    `{{.Secret}}${jndi:ldap://x}`,
	"control":     "a\x00b\x1b[31m",
	"line":        "a\r\nSet-Cookie: x=y",
	"direction":   "a\u202eb",
	"path":        "../../etc/passwd",
	"unicode":     "Ünïcödé 日本語",
	"lone half":   `\ud800`,
	"not UTF-8":   "a\xff\xfeb",
	"long":        strings.Repeat("x", 900_000),
	"reference":   "{vault://env/PASSWORD}",
	"placeholder": hidden,
	"number":      "1e309",
	"format":      "%s%n%d",
}

// fieldsOf are the fields of bodies that take texts, by what makes them: %s stands for
// the text.
var fieldsOf = []struct{ target, body string }{
	{"/consumers", `{"username":%s}`},
	{"/consumers", `{"custom_id":%s}`},
	{"/consumers", `{"username":"t","tags":[%s]}`},
	{"/consumers", `{%s:"x"}`},
	{"/consumers", `{"username":"i","id":%s}`},
	{"/consumers/bob/key-auth", `{"key":%s}`},
	{"/consumers/bob/basic-auth", `{"username":%s,"password":"p"}`},
	{"/consumers/bob/basic-auth", `{"username":"p","password":%s}`},
	{"/consumers/bob/jwt", `{"key":%s}`},
	{"/consumers/bob/jwt", `{"secret":%s}`},
	{"/consumers/bob/jwt", `{"algorithm":%s}`},
	{"/consumers/bob/jwt", `{"algorithm":"RS256","rsa_public_key":%s}`},
	{"/consumers/bob/acls", `{"group":%s}`},
	{"/services", `{"name":%s,"host":"h"}`},
	{"/services", `{"host":%s}`},
	{"/services", `{"url":%s}`},
	{"/services", `{"host":"h","path":%s}`},
	{"/services", `{"host":"h","tags":[%s]}`},
	{"/services", `{"host":"h",%s:"x"}`},
	{"/services/orders/routes", `{"name":%s,"paths":["/x"]}`},
	{"/services/orders/routes", `{"paths":[%s]}`},
	{"/services/orders/routes", `{"hosts":[%s]}`},
	{"/services/orders/routes", `{"methods":[%s]}`},
	{"/services/orders/routes", `{"headers":{"x-h":[%s]}}`},
	{"/services/orders/routes", `{"headers":{%s:["x"]}}`},
	{"/services/orders/plugins", `{"name":%s}`},
	{"/services/orders/plugins", `{"name":"jwt","instance_name":%s}`},
	{"/services/orders/plugins", `{"name":"jwt","config":{"key_claim_name":%s}}`},
	{"/services/orders/plugins", `{"name":"jwt","config":{%s:"x"}}`},
	{"/plugins", `{"name":"openid-connect","config":{"issuer":%s}}`},
	{"/plugins", `{"name":"openid-connect","config":{"issuer":"https://i.example","client_id":["a"],"client_secret":[%s]}}`},
	{"/developers", `{"email":%s}`},
	{"/developers", `{"email":"n@example.com","name":%s}`},
	{"/developers", `{"email":"m@example.com","meta":{"a":%s}}`},
	{"/developers", `{"email":"k@example.com","meta":{%s:"a"}}`},
	{"/developers/d@example.com/applications", `{"name":%s}`},
	{"/developers/d@example.com/applications", `{"name":"d","description":%s}`},
	{"/developers/d@example.com/applications", `{"name":"r","redirect_uri":%s}`},
	{"/developers/d@example.com/applications", `{"name":"c","custom_id":%s}`},
	{"/admin_tokens", `{"name":%s,"roles":["read"]}`},
	{"/admin_tokens", `{"name":"r","roles":[%s]}`},
}

// TestHostileStrings puts every one into every field: what is taken comes back by its id
// as it was, what is not is a 400 that is short and shows no control character, and
// afterwards everything is as it was.
func TestHostileStrings(t *testing.T) {
	w := newWorld(t)
	w.send("POST", "/consumers", `{"username":"bob"}`).want(201)
	w.send("POST", "/developers", `{"email":"d@example.com"}`).want(201)
	kept := 0
	for name, text := range hostiles {
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case "lone half":
			quoted = []byte(`"` + text + `"`)
		case "not UTF-8":
			quoted = []byte(`"` + text + `"`)
		}
		for _, field := range fieldsOf {
			res := w.send("POST", field.target, fmt.Sprintf(field.body, quoted))
			what := name + " in " + field.body
			switch {
			case res.Code == 201:
				kept++
				made := res.want(201)
				id, _ := made["id"].(string)
				if id == "" {
					t.Fatalf("%s: %s", what, res.Body)
				}
				at := field.target + "/" + id
				if field.target != "/admin_tokens" {
					if got := w.send("GET", at, "").want(200); !strings.Contains(fmt.Sprint(got), text) && !strings.Contains(field.body, "secret") &&
						!strings.Contains(field.body, "password") && !strings.Contains(field.body, `"key"`) && !strings.Contains(field.body, `meta`) && !strings.Contains(field.body, `"url"`) {
						t.Errorf("%s: %v does not come back from %s", what, text, cut(fmt.Sprint(got)))
					}
				}
				// A secret may be anything; what is shown to people, or ends up in headers, may not.
				if strings.ContainsAny(text, "\x00\r\n\x1b") && !strings.Contains(field.body, "secret") && !strings.Contains(field.body, "password") && !strings.Contains(field.body, "meta") {
					t.Errorf("%s is kept", what)
				}
				w.send("DELETE", at, "").want(204)
			case res.Code != 400 && res.Code != 409:
				t.Errorf("%s: %d: %s", what, res.Code, cut(res.Body.String()))
			case res.Body.Len() > 4000:
				t.Errorf("%s: the refusal has %d bytes", what, res.Body.Len())
			case strings.ContainsAny(strings.TrimSpace(res.Body.String()), "\x00\r\n\x1b"):
				t.Errorf("%s: the refusal has control characters: %q", what, cut(res.Body.String()))
			}
			if strings.Contains(res.Body.String(), "a-password-of-the-machine") {
				t.Errorf("%s tells what the machine has: %s", what, cut(res.Body.String()))
			}
		}
		// And into every path and query.
		for _, target := range []string{"/consumers/%s", "/services/%s", "/consumers/%s/jwt", "/developers/%s", "/jwts/%s", "/plugins/%s", "/applications/%s", "/services/%s/routes"} {
			if name == "long" {
				continue
			}
			if res := w.send("GET", fmt.Sprintf(target, url.PathEscape(text)), ""); res.Code != 404 && res.Code != 400 {
				t.Errorf("%s in %s: %d: %s", name, target, res.Code, cut(res.Body.String()))
			}
		}
		for _, target := range []string{"/consumers?username=%s", "/consumers?tags=%s", "/services?name=%s", "/developers?q=%s", "/applications?q=%s", "/audit?kind=%s&actor=%[1]s", "/consumers?offset=%s", "/developers?status=%s"} {
			if name == "long" {
				continue
			}
			res := w.send("GET", fmt.Sprintf(target, url.QueryEscape(text)), "")
			if res.Code != 200 && res.Code != 400 {
				t.Errorf("%s in %s: %d: %s", name, target, res.Code, cut(res.Body.String()))
			}
			if res.Code == 200 && len(dig(res.want(200), "data").([]any)) != 0 && name != "template" {
				t.Errorf("%s in %s finds something: %s", name, target, cut(res.Body.String()))
			}
		}
	}
	if kept < 40 {
		t.Errorf("only %d were taken: the test tests refusals alone", kept)
	}
	for target, want := range map[string]int{"/services": 1, "/routes": 1, "/plugins": 2, "/developers": 1, "/applications": 0, "/admin_tokens": 0} {
		same(t, target, len(dig(w.send("GET", target, "").want(200), "data").([]any)), want)
	}
	if log := w.log.String(); strings.Contains(log, "cannot answer") || strings.Contains(log, "\x1b") {
		t.Errorf("the log: %s", cut(log))
	}
}

// TestBodies: what is no body of an entity is refused, and never with a fault of ours.
func TestBodies(t *testing.T) {
	w := newWorld(t)
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	for _, test := range []struct {
		name, body, kind string
		status           int
	}{
		{"no JSON", `{"username":`, "application/json", 400},
		{"two values", `{"username":"a"}{"username":"b"}`, "application/json", 400},
		{"a member twice", `{"username":"a","username":"b"}`, "application/json", 400},
		{"a list", `[]`, "application/json", 400},
		{"a text", `"x"`, "application/json", 400},
		{"null", `null`, "application/json", 400},
		{"deep", deep, "application/json", 400},
		{"deep lists", strings.Repeat("[", 100000), "application/json", 400},
		{"many members", `{"a":[` + strings.Repeat("0,", 100000) + `0]}`, "application/json", 400},
		{"a form that says it is JSON", "username=x", "application/json", 400},
		{"JSON that says it is a form", `{"username":"x"}`, "application/x-www-form-urlencoded", 400},
		{"another type", `<a/>`, "application/xml", 415},
		{"parts", "--x--", "multipart/form-data; boundary=x", 415},
		{"a type that cannot be read", `{}`, "application/json; =", 415},
		{"no type", `{}`, "", 415},
		{"a text type, as a form of a page could send", `{"username":"x"}`, "text/plain", 415},
		{"too long", `{"username":"` + strings.Repeat("x", maxBody) + `"}`, "application/json", 413},
		{"too long a form", "username=" + strings.Repeat("x", maxBody), "application/x-www-form-urlencoded", 413},
		{"many fields", strings.Repeat("tags=x&", 2000), "application/x-www-form-urlencoded", 400},
		{"a deep name", "a" + strings.Repeat("[a]", 1000) + "=b", "application/x-www-form-urlencoded", 400},
		{"a name that contradicts", "username=x&username.y=z", "application/x-www-form-urlencoded", 400},
		{"a broken escape", "username=%zz", "application/x-www-form-urlencoded", 400},
		{"not UTF-8", "username=%ff%fe", "application/x-www-form-urlencoded", 400},
		{"a text twice", "username=x&username=y", "application/x-www-form-urlencoded", 400},
		{"nothing", "", "application/json", 400}, // a consumer needs a name
		{"a good one", `{"username":"good"}`, "application/json; charset=utf-8", 201},
		{"a good form", "username=good-form", "application/x-www-form-urlencoded", 201},
	} {
		t.Run(test.name, func(t *testing.T) {
			res := w.send("POST", "/consumers", test.body, "Content-Type: "+test.kind)
			if res.Code != test.status {
				t.Errorf("%d, want %d: %s", res.Code, test.status, cut(res.Body.String()))
			}
			if res.Body.Len() > 4000 {
				t.Errorf("%d bytes: %s", res.Body.Len(), cut(res.Body.String()))
			}
		})
	}
	if res := w.send("POST", "/consumers", `{"username":"packed"}`, "Content-Encoding: gzip"); res.Code != 415 {
		t.Errorf("a packed body: %d", res.Code)
	}
}

// FuzzRequests: no body crashes the API or is its fault, and whatever is taken can be
// loaded.
func FuzzRequests(f *testing.F) {
	for _, field := range fieldsOf {
		f.Add(field.target, fmt.Sprintf(field.body, `"x"`))
	}
	f.Add("/services/orders/plugins", "name=jwt&config.claims_to_verify[]=exp&config.x[1].y=z")
	f.Add("/plugins", "name=acl&config.allow=a,b&route.name=orders")
	w := newWorld(f)
	w.send("POST", "/consumers", `{"username":"bob"}`).want(201)
	f.Fuzz(func(t *testing.T, target, body string) {
		if len(body) > 1<<14 || strings.ContainsAny(target, " \r\n\x00%?#") || !strings.HasPrefix(target, "/") {
			return
		}
		if _, err := url.ParseRequestURI(target); err != nil {
			return
		}
		w.t = t
		res := w.send("POST", target, body)
		if res.Code >= 500 {
			t.Fatalf("%d: %s", res.Code, res.Body)
		}
		if res.Code == 201 {
			if w.file() == nil {
				t.Fatal("what was taken cannot be loaded")
			}
			if id, _ := res.want(201)["id"].(string); id != "" {
				w.send("DELETE", target+"/"+id, "")
			}
		}
	})
}
