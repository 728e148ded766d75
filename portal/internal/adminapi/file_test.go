package adminapi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

func TestTokenAndHostAreNeeded(t *testing.T) {
	w := without(t, base())
	const bearer, kong = "Authorization: Bearer " + bootstrap, "Kong-Admin-Token: " + bootstrap
	for _, test := range []struct {
		name   string
		lines  []string
		status int
	}{
		{"bearer", []string{bearer}, 200},
		{"a scheme in small letters", []string{"Authorization: bearer " + bootstrap}, 200},
		{"Kong's header", []string{kong}, 200},
		{"both, alike", []string{bearer, kong}, 200},
		{"none", []string{"No-Token: y"}, 401},
		{"another token", []string{bearer + "x"}, 401},
		{"half a token", []string{"Authorization: Bearer the-bootstrap"}, 401},
		{"no scheme", []string{"Authorization: " + bootstrap}, 401},
		{"basic", []string{"Authorization: Basic " + bootstrap}, 401},
		{"an empty one", []string{"Authorization: Bearer "}, 401},
		{"a bad bearer is not made good by the other header", []string{"Authorization: Bearer x", kong}, 401},
		{"nor the other way round", []string{bearer, "Kong-Admin-Token: x"}, 401},
		{"twice, and not alike", []string{kong, "Kong-Admin-Token: x"}, 401},
		{"a long one", []string{"Authorization: Bearer " + strings.Repeat("x", 10000)}, 401},

		{"localhost", []string{bearer, "Host: localhost"}, 200},
		{"LOCALHOST with a port", []string{bearer, "Host: LOCALHOST:8001"}, 200},
		{"another address of 127/8", []string{bearer, "Host: 127.1.2.3:8001"}, 200},
		{"IPv6", []string{bearer, "Host: [::1]:8001"}, 200},
		{"IPv6 without a port", []string{bearer, "Host: [::1]"}, 200},
		{"a name that resolves to loopback", []string{bearer, "Host: rebound.attacker.example:8001"}, 403},
		{"a name that begins like an address", []string{bearer, "Host: 127.0.0.1.nip.example"}, 403},
		{"a name that begins like localhost", []string{bearer, "Host: localhost.attacker.example"}, 403},
		{"a name under localhost", []string{bearer, "Host: attacker.localhost"}, 403},
		{"every address", []string{bearer, "Host: 0.0.0.0:8001"}, 403},
		{"an address of the network", []string{bearer, "Host: 192.0.2.1:8001"}, 403},
		{"no host", []string{bearer, "Host: "}, 403},
		{"the host is looked at before the token", []string{"No-Token: y", "Host: attacker.example"}, 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			res := w.send("GET", "/jwts", "", test.lines...)
			if res.Code != test.status {
				t.Errorf("status %d, want %d: %s", res.Code, test.status, res.Body)
			}
			if challenge := res.Header().Get("WWW-Authenticate"); (challenge == "Bearer") != (test.status == 401) {
				t.Errorf("WWW-Authenticate %q with status %d", challenge, res.Code)
			}
			if test.status != 200 && strings.Contains(res.Body.String(), "-secret") {
				t.Errorf("a refusal shows: %s", res.Body)
			}
		})
	}
}

// TestHostsThatAreAllowed: a name that was told, with the port that was told.
func TestHostsThatAreAllowed(t *testing.T) {
	a := &api{Config: Config{Hosts: []string{"admin.example", "other.example:8443"}}}
	for host, want := range map[string]bool{
		"admin.example": true, "ADMIN.example:1234": true, "other.example:8443": true, "other.example": false, "other.example:1": false,
		"x.admin.example": false, "": false, ":8443": false,
	} {
		if got := a.hostAllowed(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestWithoutATokenNobodyIsLetIn(t *testing.T) {
	w := without(t, base())
	config := Config{File: w.file, Token: redact.Secret{}}
	w.handler = New(config)
	for _, line := range []string{"No-Token: y", "Authorization: Bearer ", "Kong-Admin-Token: "} {
		w.send("GET", "/jwts", "", line).want(401)
	}
}

// TestTheFileIsShown without a registry: everything can be looked at, and nothing written.
func TestTheFileIsShown(t *testing.T) {
	w := without(t, base())
	for _, test := range []struct {
		method, target string
		status         int
		contains       string
	}{
		{"GET", "/consumers/alice", 200, `"id":"` + aliceID + `","username":"alice","custom_id":"a-1","tags":["old"]`},
		{"GET", "/consumers/" + aliceID, 200, `"username":"alice"`},
		{"GET", "/consumers/a%2Fb%20c", 200, `"username":"a/b c","custom_id":null`},
		{"GET", "/consumers/a-1", 404, `{"message":"Not found"}`},
		{"GET", "/consumers/mallory", 404, `{"message":"Not found"}`},
		{"GET", "/consumers/mallory/jwt", 404, `{"message":"Not found"}`},
		{"GET", "/consumers/nobody/jwt", 200, `{"data":[],"next":null}`},
		{"GET", "/consumers/alice/jwt/alice-1", 200, `"secret":"first-secret"`},
		{"GET", "/consumers/alice/jwt/" + secondID, 200, `"key":"alice-2"`},
		{"GET", "/consumers/nobody/jwt/alice-1", 404, `{"message":"Not found"}`},
		{"GET", "/consumers/alice/jwt/none", 404, `{"message":"Not found"}`},
		{"GET", "/jwts/alice-2", 200, `"algorithm":"HS512"`},
		{"GET", "/jwts/alice-4", 200, `"jwks_uri":"https://issuer.example/jwks"`},
		{"GET", "/jwts/none", 404, `{"message":"Not found"}`},
		{"GET", "/key-auths/" + keyID, 200, `"key":null`},
		{"GET", "/consumers/alice/key-auth", 200, keyID},
		{"GET", "/basic-auths/alice", 200, `"username":"alice"`},
		{"GET", "/consumers/alice/acls/staff", 200, `"group":"staff"`},
		{"GET", "/consumers/nobody/acls/staff", 404, "Not found"},
		{"HEAD", "/jwts", 200, ""},
		{"GET", "/", 200, `"tagline":`},
		{"GET", "/status", 200, `"kind":"off"`},
		{"GET", "/services/orders", 200, `"host":"orders.internal"`},
		{"GET", "/routes/orders", 200, `"paths":["/orders","~/o(rders|rd)$"]`},
		{"GET", "/routes/orders", 200, `"headers":{"x-version":["2","~*^3"]}`},
		{"GET", "/routes/orders/service", 200, `"name":"orders"`},
		{"GET", "/services/orders/routes/orders", 200, `"name":"orders"`},
		{"GET", "/services/orders/plugins", 200, `"name":"key-auth"`},
		{"GET", "/routes/orders/plugins", 200, `"client_secret":["the-client-secret"]`},
		{"GET", "/consumers/alice/plugins", 200, `{"data":[],"next":null}`},
		{"GET", "/developers", 200, `{"data":[],"next":null}`},
		{"GET", "/developers/x", 404, "Not found"},
		{"GET", "/audit", 200, `{"data":[],"next":null}`},
		{"POST", "/consumers", 405, "read-only"},
		{"DELETE", "/consumers/alice/jwt/alice-1", 405, "read-only"},
		{"PATCH", "/services/orders", 405, "read-only"},
		{"POST", "/admin_tokens", 405, "read-only"},
	} {
		t.Run(test.method+test.target, func(t *testing.T) {
			res := w.send(test.method, test.target, "")
			if res.Code != test.status || !strings.Contains(res.Body.String(), test.contains) {
				t.Errorf("status %d, want %d with %s: %s", res.Code, test.status, test.contains, res.Body)
			}
			if res.Header().Get("Content-Type") != "application/json; charset=utf-8" || res.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("header %v", res.Header())
			}
			for _, secret := range []string{fileKey, "a-password-of-the-machine", testHash} {
				if strings.Contains(res.Body.String(), secret) {
					t.Errorf("shows %s: %s", secret, res.Body)
				}
			}
		})
	}
}

// TestWritesToTheFile: what is of the file is refused with a sentence that says so,
// whatever is done to it, and its names are taken.
func TestWritesToTheFile(t *testing.T) {
	w := newWorld(t)
	plugin := w.file().Plugins[0].EntityID()
	for _, test := range []struct{ method, target, body string }{
		{"PATCH", "/services/orders", `{"host":"evil.example"}`},
		{"PUT", "/services/orders", `{"host":"evil.example"}`},
		{"DELETE", "/services/orders", ""},
		{"PATCH", "/routes/orders", `{"paths":["/x"]}`},
		{"DELETE", "/services/orders/routes/orders", ""},
		{"PATCH", "/plugins/" + plugin, `{"enabled":false}`},
		{"DELETE", "/plugins/" + plugin, ""},
		{"PATCH", "/consumers/alice", `{"custom_id":"x"}`},
		{"PUT", "/consumers/alice", `{"custom_id":"x"}`},
		{"DELETE", "/consumers/" + aliceID, ""},
		{"POST", "/consumers/alice/key-auth", `{"key":"a-key-of-somebody-else"}`},
		{"POST", "/consumers/alice/jwt", `{}`},
		{"POST", "/consumers/alice/acls", `{"group":"root"}`},
		{"DELETE", "/consumers/alice/jwt/alice-1", ""},
		{"PATCH", "/consumers/alice/basic-auth/alice", `{"password":"x"}`},
	} {
		w.send(test.method, test.target, test.body).refused(405, "of the declarative file, which is where to change it")
	}
	w.send("POST", "/consumers", `{"username":"bob"}`).want(201)
	for _, test := range []struct{ target, body, field string }{
		{"/services", `{"name":"orders","host":"h"}`, `"name":"orders"`},
		{"/services", `{"id":"` + w.file().Services[0].ID + `","host":"h"}`, `"id":`},
		{"/services/orders/routes", `{"name":"orders","paths":["/x"]}`, `"name":"orders"`},
		{"/services/orders/plugins", `{"name":"key-auth"}`, `"name":"key-auth"`},
		{"/routes/orders/plugins", `{"name":"openid-connect","config":{"issuer":"https://i.example"}}`, `"route":{"id":`},
		{"/consumers", `{"username":"alice"}`, `"username":"alice"`},
		{"/consumers", `{"custom_id":"a-1"}`, `"custom_id":"a-1"`},
		{"/consumers", `{"username":"x","id":"` + aliceID + `"}`, `"id":`},
		{"/consumers/bob/jwt", `{"key":"alice-1"}`, `"key":"alice-1"`},
		{"/consumers/bob/basic-auth", `{"username":"alice","password":"x"}`, `"username":"alice"`},
		{"/consumers/bob/key-auth", `{"key":"` + fileKey + `"}`, `"key":"[redacted]"`},
	} {
		res := w.send("POST", test.target, test.body)
		res.refused(409, `"code":5,"name":"unique constraint violation"`)
		if !strings.Contains(res.Body.String(), test.field) {
			t.Errorf("%s: %s: want %s", test.target, res.Body, test.field)
		}
	}
}

// TestPages goes through lists of the file and the registry, by every size: each entity
// comes once, whichever of the two it is of.
func TestPages(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.send("POST", "/consumers", fmt.Sprintf(`{"username":"r%d","tags":["blue","t%d"]}`, i, i%2)).want(201)
	}
	want := "alice,<nil>,nobody,a/b c,r0,r1,r2,r3,r4"
	for size := 1; size <= 10; size++ {
		var names []string
		target := fmt.Sprintf("/consumers?size=%d", size)
		for pages := 0; target != "" && pages < 20; pages++ {
			page := w.send("GET", target, "").want(200)
			data, _ := page["data"].([]any)
			if len(data) > size || len(data) == 0 && len(names) != 9 {
				t.Fatalf("a page of %d, with size %d", len(data), size)
			}
			for _, e := range data {
				names = append(names, fmt.Sprint(dig(e, "username")))
			}
			target, _ = page["next"].(string)
			if _, there := page["offset"]; there != (target != "") {
				t.Errorf("offset and next: %v", page)
			}
		}
		same(t, fmt.Sprintf("the list by %d", size), strings.Join(names, ","), want)
	}
	for query, want := range map[string]string{
		"tags=blue": "r0 r1 r2 r3 r4", "tags=blue,t1": "r1 r3", "tags=old/t0": "alice r0 r2 r4", "tags=old": "alice", "tags=none": "",
		"username=alice": "alice", "custom_id=a-1": "alice", "username=r3": "r3", "username=r3&tags=t0": "", "size=1000": "alice <nil> nobody a/b c r0 r1 r2 r3 r4",
	} {
		var names []string
		data, _ := w.send("GET", "/consumers?"+query, "").want(200)["data"].([]any)
		for _, e := range data {
			names = append(names, fmt.Sprint(dig(e, "username")))
		}
		same(t, query, strings.Join(names, " "), want)
	}
	next := w.send("GET", "/consumers?size=1&tags=blue", "").want(200)["next"].(string)
	if !strings.Contains(next, "tags=blue") || !strings.Contains(next, "size=1") {
		t.Errorf("next loses what was asked: %s", next)
	}
	for query, text := range map[string]string{
		"size=0": `"code":9`, "size=1001": `"code":9`, "size=x": `"code":9`, "size=-1": `"code":9`, "size=99999999999999999999": `"code":9`,
		"offset=x": `"code":7`, "offset=Zjox%0a": `"code":7`, "offset=Zjot": `"code":7`, "offset=cjp4": `"code":7`, "offset=Zjow!": `"code":7`, "offset=eDox": `"code":7`,
		"tags=a,b/c": "tags", "tags=a,,b": "tags", "size=1&size=2": "more than once", "size=%zz": "query", "a;b": "query",
	} {
		w.send("GET", "/consumers?"+query, "").refused(400, text)
	}
}

// TestListeners: nobody may come from elsewhere to a token that lies in a file, or that
// can be guessed.
func TestListeners(t *testing.T) {
	for _, test := range []struct {
		addr  string
		token string
		ok    bool
	}{
		{"127.0.0.1:1", "", true}, {"[::1]:1", "", true}, {"0.0.0.0:1", "", false}, {"192.0.2.1:1", "short", false}, {"192.0.2.1:1", strings.Repeat("x", 32), true}, {"[::]:1", "", false},
	} {
		if err := CheckListen(tcp(t, test.addr), redact.New(test.token)); (err == nil) != test.ok {
			t.Errorf("%s with %q: %v", test.addr, test.token, err)
		}
	}
}
