package adminapi

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
)

// permissions are who may do what: methods, a path, and the roles of which one is enough.
// It is written out here so that nobody gets a right by a slip in the table of endpoints.
const permissions = `
GET                   / : admin credentials:read portal:approve read
GET                   /status : admin credentials:read portal:approve read
GET                   /openapi.json : admin credentials:read portal:approve read
GET                   /services : admin portal:approve read
POST                  /services : admin
GET                   /services/{service} : admin portal:approve read
PUT PATCH DELETE      /services/{service} : admin
GET                   /routes : admin portal:approve read
POST                  /routes : admin
GET                   /routes/{route} : admin portal:approve read
PUT PATCH DELETE      /routes/{route} : admin
GET                   /plugins : admin portal:approve read
POST                  /plugins : admin
GET                   /plugins/{plugin} : admin portal:approve read
PUT PATCH DELETE      /plugins/{plugin} : admin
GET                   /services/{service}/routes : admin portal:approve read
POST                  /services/{service}/routes : admin
GET                   /services/{service}/routes/{route} : admin portal:approve read
PUT PATCH DELETE      /services/{service}/routes/{route} : admin
GET                   /services/{service}/plugins : admin portal:approve read
POST                  /services/{service}/plugins : admin
GET                   /services/{service}/plugins/{plugin} : admin portal:approve read
PUT PATCH DELETE      /services/{service}/plugins/{plugin} : admin
GET                   /routes/{route}/plugins : admin portal:approve read
POST                  /routes/{route}/plugins : admin
GET                   /routes/{route}/plugins/{plugin} : admin portal:approve read
PUT PATCH DELETE      /routes/{route}/plugins/{plugin} : admin
GET                   /consumers/{consumer}/plugins : admin read
POST                  /consumers/{consumer}/plugins : admin
GET                   /routes/{route}/service : admin portal:approve read
GET                   /consumers : admin credentials:read read
POST                  /consumers : admin
GET                   /consumers/{consumer} : admin credentials:read read
PUT PATCH DELETE      /consumers/{consumer} : admin
GET                   /consumers/{consumer}/key-auth : admin credentials:read read
POST                  /consumers/{consumer}/key-auth : admin
GET                   /consumers/{consumer}/key-auth/{credential} : admin credentials:read read
PUT PATCH DELETE      /consumers/{consumer}/key-auth/{credential} : admin
GET                   /key-auths : admin credentials:read read
GET                   /key-auths/{credential} : admin credentials:read read
GET                   /consumers/{consumer}/basic-auth : admin credentials:read read
POST                  /consumers/{consumer}/basic-auth : admin
GET                   /consumers/{consumer}/basic-auth/{credential} : admin credentials:read read
PUT PATCH DELETE      /consumers/{consumer}/basic-auth/{credential} : admin
GET                   /basic-auths : admin credentials:read read
GET                   /basic-auths/{credential} : admin credentials:read read
GET                   /consumers/{consumer}/jwt : admin credentials:read read
POST                  /consumers/{consumer}/jwt : admin
GET                   /consumers/{consumer}/jwt/{credential} : admin credentials:read read
PUT PATCH DELETE      /consumers/{consumer}/jwt/{credential} : admin
GET                   /jwts : admin credentials:read read
GET                   /jwts/{credential} : admin credentials:read read
GET                   /consumers/{consumer}/acls : admin credentials:read read
POST                  /consumers/{consumer}/acls : admin
GET                   /consumers/{consumer}/acls/{credential} : admin credentials:read read
PUT PATCH DELETE      /consumers/{consumer}/acls/{credential} : admin
GET                   /acls : admin credentials:read read
GET                   /acls/{credential} : admin credentials:read read
GET                   /developers : admin portal:approve read
POST                  /developers : admin
GET                   /developers/{developer} : admin portal:approve read
PATCH                 /developers/{developer} : admin portal:approve
DELETE                /developers/{developer} : admin
GET                   /applications : admin portal:approve read
POST                  /applications : admin
GET                   /applications/{application} : admin portal:approve read
PATCH DELETE          /applications/{application} : admin
GET                   /developers/{developer}/applications : admin portal:approve read
POST                  /developers/{developer}/applications : admin
GET                   /developers/{developer}/applications/{application} : admin portal:approve read
PATCH DELETE          /developers/{developer}/applications/{application} : admin
GET                   /application_instances : admin portal:approve read
GET                   /application_instances/{instance} : admin portal:approve read
PATCH                 /application_instances/{instance} : admin portal:approve
DELETE                /application_instances/{instance} : admin
GET                   /applications/{application}/application_instances : admin portal:approve read
POST                  /applications/{application}/application_instances : admin
GET                   /applications/{application}/application_instances/{instance} : admin portal:approve read
PATCH                 /applications/{application}/application_instances/{instance} : admin portal:approve
DELETE                /applications/{application}/application_instances/{instance} : admin
GET                   /developers/{developer}/applications/{application}/application_instances : admin portal:approve read
POST                  /developers/{developer}/applications/{application}/application_instances : admin
GET                   /developers/{developer}/applications/{application}/application_instances/{instance} : admin portal:approve read
PATCH                 /developers/{developer}/applications/{application}/application_instances/{instance} : admin portal:approve
DELETE                /developers/{developer}/applications/{application}/application_instances/{instance} : admin
GET                   /services/{service}/application_instances : admin portal:approve read
GET                   /audit : admin read
GET POST              /admin_tokens : admin
DELETE                /admin_tokens/{token} : admin
`

var tester = registry.Actor{Kind: "system", Name: "test"}

// token makes a token with roles.
func (w *world) token(expires time.Time, roles ...string) string {
	w.t.Helper()
	_, token, err := w.registry.CreateAdminToken(w.t.Context(), tester, registry.AdminToken{
		Name: strings.Join(roles, " ") + expires.String(), Roles: roles, Expires: expires,
	}, redact.Secret{})
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Reveal()
}

// fill returns a path with what there is in the world, and an id of nobody for the rest.
func fill(path string) string {
	return strings.NewReplacer("{service}", "orders", "{route}", "orders", "{consumer}", "alice", "{plugin}", "nobody", "{credential}", "nobody",
		"{developer}", "nobody@example.com", "{application}", "nobody", "{instance}", "nobody", "{token}", "nobody").Replace(path)
}

// TestPermissions asks for every path with every method, as everybody.
func TestPermissions(t *testing.T) {
	w := newWorld(t)
	callers := map[string]string{
		"no token":         "No-Token: x",
		"a foreign token":  "Authorization: Bearer " + strings.Repeat("f", 64),
		"an expired token": "Authorization: Bearer " + w.token(w.now.Add(time.Minute), "admin"),
		"bootstrap":        "Authorization: Bearer " + bootstrap,
	}
	roleless := w.token(w.now.Add(time.Minute), "admin", "read")
	for _, r := range roleNames {
		callers[r.name] = "Kong-Admin-Token: " + w.token(time.Time{}, r.name)
	}
	w.now = w.now.Add(2 * time.Minute)
	seen := map[string]bool{}
	for line := range strings.Lines(permissions) {
		what, roles, ok := strings.Cut(strings.TrimSpace(line), " : ")
		if !ok {
			continue
		}
		parts := strings.Fields(what)
		path, may := parts[len(parts)-1], strings.Fields(roles)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			if !slices.Contains(parts[:len(parts)-1], method) {
				continue
			}
			seen[method+" "+path] = true
			for who, line := range callers {
				res := w.send(method, fill(path), "", line)
				allowed := slices.Contains(may, who) || who == "bootstrap"
				switch {
				case who == "no token" || strings.HasPrefix(who, "a foreign") || strings.HasPrefix(who, "an expired"):
					if res.Code != http.StatusUnauthorized || res.Header().Get("WWW-Authenticate") != "Bearer" {
						t.Errorf("%s %s with %s: %d, want 401", method, path, who, res.Code)
					}
				case !allowed && res.Code != http.StatusForbidden:
					t.Errorf("%s %s as %s: %d, want 403", method, path, who, res.Code)
				case allowed && (res.Code == http.StatusUnauthorized || res.Code == http.StatusForbidden || res.Code >= 500 || res.Code == http.StatusMethodNotAllowed && method == "GET"):
					t.Errorf("%s %s as %s: %d: %s", method, path, who, res.Code, cut(res.Body.String()))
				}
			}
		}
	}
	for _, e := range endpoints() {
		if !seen[e.method+" "+e.path] {
			t.Errorf("%s %s is not in the table of this test", e.method, e.path)
		}
	}
	if n := len(endpoints()); n != len(seen) {
		t.Errorf("%d endpoints, %d in the table of this test", n, len(seen))
	}
	if res := w.send("GET", "/services", "", "Authorization: Bearer "+roleless); res.Code != 401 {
		t.Errorf("a token that has ended: %d", res.Code)
	}
}

// TestPathsThatAreNone: whatever is no path of ours is 404, and another method 405 with
// what there is, for whoever has a token; without one everything is 401.
func TestPathsThatAreNone(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/nothing", 404, ""},
		{"GET", "/services/orders/nothing", 404, ""},
		{"GET", "//services", 404, ""},
		{"GET", "/services//routes", 404, ""},
		{"GET", "/consumers/../services", 404, ""},
		{"GET", "/consumers/%2e%2e", 404, ""},
		{"GET", "/services/..%2f..%2fadmin_tokens", 404, ""},
		{"GET", "/Services", 404, ""},
		{"GET", "/services/", 200, ""},
		{"GET", "/services/%ff", 404, ""},
		{"GET", "/" + strings.Repeat("a/", 1000), 404, ""},
		{"PUT", "/services", 405, "GET, POST, HEAD"},
		{"POST", "/services/orders", 405, "GET, PUT, PATCH, DELETE, HEAD"},
		{"POST", "/key-auths", 405, "GET, HEAD"},
		{"OPTIONS", "/services", 405, "GET, POST, HEAD"},
		{"TRACE", "/services", 405, "GET, POST, HEAD"},
		{"X", "/services", 405, "GET, POST, HEAD"},
		{"DELETE", "/audit", 405, "GET, HEAD"},
	} {
		res := w.send(test.method, test.path, "")
		if res.Code != test.status || res.Header().Get("Allow") != test.allow {
			t.Errorf("%s %.40s: %d, Allow %q: %s", test.method, test.path, res.Code, res.Header().Get("Allow"), cut(res.Body.String()))
		}
		if test.status == 404 && strings.TrimSpace(res.Body.String()) != `{"message":"Not found"}` {
			t.Errorf("%s: %s", test.path, res.Body)
		}
		if res := w.send(test.method, test.path, "", "No-Token: x"); res.Code != 401 {
			t.Errorf("%s %.40s without a token: %d", test.method, test.path, res.Code)
		}
		if res := w.send(test.method, test.path, "", "Origin: https://attacker.example"); res.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may be read by a page elsewhere", test.path)
		}
	}
}

// TestTokens: a token is said once, has no more than its maker may give, and ends.
func TestTokens(t *testing.T) {
	w := newWorld(t)
	made := w.send("POST", "/admin_tokens", `{"name":"ci","roles":["admin"]}`).want(201)
	ci, _ := made["token"].(string)
	if len(ci) < 32 {
		t.Fatalf("%v", made)
	}
	as := "Authorization: Bearer " + ci
	list := w.send("GET", "/admin_tokens", "", as)
	list.want(200)
	if strings.Contains(list.Body.String(), ci) || strings.Contains(list.Body.String(), `"token"`) {
		t.Errorf("the list shows it: %s", list.Body)
	}
	// Who may not read secrets makes no token that may.
	w.send("POST", "/admin_tokens", `{"name":"mine","roles":["credentials:read"]}`, as).refused(400, "does not have itself")
	w.send("POST", "/admin_tokens", `{"name":"mine","roles":["read","portal:approve"]}`, as).want(201)
	w.send("POST", "/admin_tokens", `{"name":"ci","roles":["read"]}`).refused(409, `"code":5`)
	w.send("POST", "/admin_tokens", `{"name":"x","roles":["root"]}`).refused(400, "expected some of")
	w.send("POST", "/admin_tokens", `{"name":"x","roles":[]}`).refused(400, "expected some of")
	w.send("POST", "/admin_tokens", `{"name":"x"}`).refused(400, "roles")
	w.send("POST", "/admin_tokens", `{"name":"x","roles":["read"],"expires_at":1}`).refused(400, "has passed")
	w.send("POST", "/admin_tokens", `{"name":"x","roles":["read"],"token":"chosen"}`).refused(400, "unknown field")
	w.send("DELETE", "/admin_tokens/"+made["id"].(string), "").want(204)
	w.send("GET", "/services", "", as).want(401)
}

// TestLimits: a remote address has a bucket for its requests, and one for wrong tokens,
// after which the right one is not looked at either.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	w.start(Limits{Rate: 1, Burst: 5, FailureRate: 1, FailureBurst: 3})
	const one, other = "Remote: 192.0.2.1:1000", "Remote: 192.0.2.2:1000"
	for range 5 {
		w.send("GET", "/status", "", one).want(200)
	}
	res := w.send("GET", "/status", "", one)
	if res.refused(429, "rate limit"); res.Header().Get("Retry-After") == "" {
		t.Error("does not say when to come again")
	}
	w.send("GET", "/status", "", other).want(200)
	w.now = w.now.Add(time.Second)
	w.send("GET", "/status", "", one).want(200)

	w.start(Limits{Rate: 1000, Burst: 1000, FailureRate: 1, FailureBurst: 3})
	wrong := "Authorization: Bearer wrong"
	for range 3 {
		w.send("GET", "/status", "", one, wrong).want(401)
	}
	w.send("GET", "/status", "", one, wrong).want(429)
	w.send("GET", "/status", "", one).want(429)
	w.send("GET", "/status", "", other).want(200)
	for range 20 { // a page in a browser sends no token: it must not keep people out
		w.send("GET", "/status", "", other, "No-Token: x").want(401)
	}
	w.send("GET", "/status", "", other).want(200)
	w.now = w.now.Add(time.Second)
	w.send("GET", "/status", "", one).want(200)
	if log := w.log.String(); !strings.Contains(log, "192.0.2.1") || strings.Contains(log, bootstrap) {
		t.Errorf("the log: %s", log)
	}
}

// TestRemotesAreBounded: however many addresses come, no more than so many are counted,
// and who is slowed down stays so.
func TestRemotesAreBounded(t *testing.T) {
	now := time.Now()
	l := newLimiter(0.001, 2, func() time.Time { return now })
	for l.take("slow") {
	}
	for i := range 3 * maxRemotes {
		now = now.Add(time.Millisecond)
		l.take(strings.Repeat("x", i%7) + time.Duration(i).String())
	}
	if len(l.buckets) > maxRemotes {
		t.Errorf("%d addresses are counted", len(l.buckets))
	}
	if l.take("slow") {
		t.Error("others have made room for who was slowed down")
	}
}

func TestRemote(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64", "[::1]:5": "::1", "[::ffff:192.0.2.1]:5": "192.0.2.1", "@": "@",
	} {
		if got := remote(&http.Request{RemoteAddr: from}); got != want {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
}
