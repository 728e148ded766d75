package portal_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// payloads are what must not come out as it went in.
var payloads = []string{
	`"><script>alert(1)</script>`, `'><img src=x onerror=alert(1)>`, `</textarea><svg/onload=alert(1)>`, `{{.CSRF}}`, `javascript:alert(1)//`,
	`'; DROP TABLE developers; --`, `" OR ""="`, `</title><base href=//evil.example>`, "<!--", `$(curl evil.example)`, "`id`",
}

// raw are parts of payloads that are never on a page of ours as they stand.
var raw = []string{"<script", "<img", "<svg/onload", "<base", "onerror=alert(1)>", "<!--"}

// judged asserts that a page holds nothing of a payload as it went in.
func judged(t *testing.T, where string, p *visitor.Page) {
	t.Helper()
	for _, s := range raw {
		if strings.Contains(p.Body, s) {
			t.Errorf("%s has %q in it", where, s)
		}
	}
	if p.StatusCode >= 500 {
		t.Errorf("%s: %d", where, p.StatusCode)
	}
	csp := p.Header.Get("Content-Security-Policy")
	if p.StatusCode == 200 && (!strings.Contains(csp, "default-src 'none'; style-src 'self';") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'")) {
		t.Errorf("%s: the policy is %q", where, csp)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
		"X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin"} {
		if got := p.Header.Get(name); p.StatusCode == 200 && got != want {
			t.Errorf("%s: %s is %q", where, name, got)
		}
	}
	bare := regexp.MustCompile(`="[^"]*"`).ReplaceAllString(p.Body, "=V") // without what stands in quotes
	if regexp.MustCompile(`<[a-z][^>]*\s(on[a-z]+|style)=|<style|<script`).MatchString(bare) {
		t.Errorf("%s has styles or scripts within", where)
	}
}

// TestStored: every text that somebody can enter, on every page that shows it.
func TestStored(t *testing.T) {
	quote := func(s string) string { return fmt.Sprintf("%q", s) }
	all := strings.Join(payloads[:4], " ") + payloads[7]
	catalog := strings.NewReplacer("display_name: Orders", "display_name: "+quote(all), "What customers have bought.", "").Replace(services)
	catalog = strings.Replace(catalog, "description: ,", "description: "+quote("d "+all)+",", 1)
	r := start(t, options{catalog: catalog, auto: true})
	r.idp.AddUser(idp.User{Name: "mallory", Password: "mallory", Subject: `mallory"><script>`, Claims: map[string]any{
		"email": "mallory@example.com", "email_verified": true, "name": all}})
	v := r.visitor("mallory")
	v.signIn()
	judged(t, "the form to register", v.Open(r.url+"/default/register"))
	if p := v.send("/default/register", "/default/register", "name", all); p.StatusCode != 303 {
		t.Fatalf("%d %s", p.StatusCode, p.Body)
	}
	apps := []string{}
	for i, payload := range append(payloads, all) {
		p := v.send("/default/applications/new", "/default/applications/new", "name", payload, "custom_id", fmt.Sprint(payload, i), "description", payload+"\n"+all, "redirect_uri", "")
		judged(t, "an application "+payload, p)
		path, _, _ := strings.Cut(strings.TrimPrefix(p.Location(), r.url), "?")
		if p.StatusCode != 303 {
			t.Fatalf("%q: %d %s", payload, p.StatusCode, p.Body)
		}
		apps = append(apps, path)
		for _, key := range []string{"orders", "weather"} {
			if p := v.send(path, path+"/contracts", "service", key); p.StatusCode != 303 {
				t.Fatalf("%d %s", p.StatusCode, p.Body)
			}
		}
		// What is wrong with a form is shown with what was entered.
		judged(t, "a form that is wrong", v.send(path+"/edit", path+"/edit", "name", payload, "custom_id", payload, "redirect_uri", payload, "description", payload))
	}
	ids := []string{}
	for _, a := range apps {
		for _, page := range []string{"", "/edit", "/delete"} {
			judged(t, a+page, v.Open(r.url+a+page))
		}
		ids = append(ids, strings.TrimPrefix(a, "/default/applications/"))
	}
	for _, page := range []string{"", "/services", "/services/orders", "/applications", "/account", "/services/" + url.PathEscape(payloads[0]), "?done=" + url.QueryEscape(payloads[0])} {
		judged(t, page, v.Open(r.url+"/default"+page))
	}

	if _, _, err := r.db.CreateAdminToken(context.Background(), system, registry.AdminToken{Name: all, Roles: []string{"admin"}},
		redact.New("token-"+strings.Repeat("0", 32))); err != nil {
		t.Fatal(err)
	}
	op := r.visitor("")
	op.adminSignIn("token-" + strings.Repeat("0", 32))
	judged(t, "requests", op.Open(r.admin+"/portal-admin"))
	for _, payload := range append(payloads, all) {
		q := url.QueryEscape(payload)
		for _, page := range []string{"/developers?q=" + q, "/developers?status=" + q, "/applications?q=" + q, "/audit?id=" + q, "/audit?kind=" + q, "/audit?offset=" + q, "?done=" + q,
			"/developers/" + url.PathEscape(payload), "/applications/" + url.PathEscape(payload)} {
			judged(t, page, op.Open(r.admin+"/portal-admin"+page))
		}
	}
	judged(t, "the developer", op.Open(r.admin+"/portal-admin/developers/"+r.developer("mallory").ID))
	for _, id := range ids {
		judged(t, id, op.Open(r.admin+"/portal-admin/applications/"+id))
	}
	judged(t, "audit", op.Open(r.admin+"/portal-admin/audit"))
	if p := op.Open(r.admin + "/portal-admin/applications?q=" + url.QueryEscape("DROP TABLE")); !strings.Contains(p.Body, "DROP TABLE") {
		t.Error("what was entered is not found")
	}
}

// TestForms: a form counts only from a page of this origin, with the session's token.
func TestForms(t *testing.T) {
	r := start(t, options{})
	v, other := r.member("ada"), r.member("bob")
	token := csrf(v.Open(r.url + "/default/account"))
	values := func(token string) url.Values { return url.Values{"csrf": {token}, "name": {"Changed"}} }
	for name, tt := range map[string]struct {
		values url.Values
		header []string
		want   int
	}{
		"no token":        {url.Values{"name": {"Changed"}}, nil, 403},
		"empty":           {values(""), nil, 403},
		"foreign":         {values(csrf(other.Open(r.url + "/default/account"))), nil, 403},
		"administrator's": {values(csrf(v.Open(r.admin + "/portal-admin/login"))), nil, 403},
		"cut":             {values(token[:len(token)-1]), nil, 403},
		"twice":           {url.Values{"csrf": {token, token}, "name": {"Changed"}}, nil, 403},
		"cross-site":      {values(token), []string{"Sec-Fetch-Site: cross-site"}, 403},
		"same-site":       {values(token), []string{"Sec-Fetch-Site: same-site"}, 403},
		"foreign origin":  {values(token), []string{"Sec-Fetch-Site: ", "Origin: http://evil.example"}, 403},
		"null origin":     {values(token), []string{"Sec-Fetch-Site: ", "Origin: null"}, 403},
		"other port":      {values(token), []string{"Sec-Fetch-Site: ", "Origin: " + r.auth}, 403},
		"no form":         {values(token), []string{"Content-Type: text/plain"}, 400},
		"JSON":            {values(token), []string{"Content-Type: application/json"}, 400},
		"field twice":     {url.Values{"csrf": {token}, "name": {"Changed", "Twice"}}, nil, 400},
		"too large":       {url.Values{"csrf": {token}, "name": {strings.Repeat("x", 70<<10)}}, nil, 400},
	} {
		t.Run(name, func(t *testing.T) {
			p := v.post(r.url, "/default/account", tt.values, tt.header...)
			if p.StatusCode != tt.want {
				t.Errorf("%d, want %d: %s", p.StatusCode, tt.want, title(p))
			}
			if d := r.developer("ada"); d.Name != "Somebody ada" {
				t.Errorf("the name is %q", d.Name)
			}
		})
	}
	// Without any of what browsers tell, the token decides.
	if p := v.post(r.url, "/default/account", values(token), "Sec-Fetch-Site: ", "Origin: "); p.StatusCode != 303 || r.developer("ada").Name != "Changed" {
		t.Errorf("a good form: %d %q", p.StatusCode, r.developer("ada").Name)
	}

	// One that was given before a new login is good for nothing.
	v.signOut()
	v.signIn()
	if p := v.post(r.url, "/default/account", values(token)); p.StatusCode != 403 {
		t.Errorf("a token of the session before: %d", p.StatusCode)
	}

	// Administrators'.
	op, second := r.visitor(""), r.visitor("")
	op.adminSignIn(bootstrap)
	second.adminSignIn(bootstrap)
	path := "/portal-admin/developers/" + r.developer("bob").ID
	mine := csrf(op.Open(r.admin + "/portal-admin"))
	for name, tt := range map[string]struct {
		token  string
		header []string
	}{
		"no token": {"", nil}, "another session's": {csrf(second.Open(r.admin + "/portal-admin")), nil}, "a developer's": {csrf(v.Open(r.url + "/default/account")), nil},
		"the login's": {csrf(op.Open(r.admin + "/portal-admin/login")), nil}, "cross-site": {mine, []string{"Sec-Fetch-Site: cross-site"}},
		"foreign origin": {mine, []string{"Origin: http://evil.example"}},
	} {
		if p := op.post(r.admin, path, url.Values{"csrf": {tt.token}, "action": {"revoke"}}, tt.header...); p.StatusCode != 403 || r.developer("bob").Status != registry.Approved {
			t.Errorf("administrators, %s: %d, bob is %s", name, p.StatusCode, r.developer("bob").Status)
		}
	}
	if p := op.post(r.admin, path, url.Values{"csrf": {mine}, "action": {"nonsense"}}); p.StatusCode != 400 {
		t.Errorf("an action that is none: %d", p.StatusCode)
	}
	if p := op.post(r.admin, path, url.Values{"csrf": {mine}, "action": {"revoke"}}); p.StatusCode != 303 || r.developer("bob").Status != registry.Revoked {
		t.Errorf("a good form: %d, bob is %s", p.StatusCode, r.developer("bob").Status)
	}
	if p := other.Open(r.url + "/default/applications"); p.StatusCode != 403 || title(p) != "Your account is closed" {
		t.Errorf("a revoked developer goes on: %d", p.StatusCode)
	}
}

// signOut signs a developer out, by the button.
func (v *one) signOut() *visitor.Page {
	v.r.t.Helper()
	p := v.Open(v.r.url + "/default")
	action := regexp.MustCompile(`<form method="post" action="([^"]+)">`).FindStringSubmatch(p.Body)
	if action == nil {
		v.r.t.Fatalf("no button: %s", p.Body)
	}
	return v.post(v.r.url, action[1], url.Values{"csrf": {csrf(p)}})
}

// TestFixation: who signs in gets a session that nobody knew before, and what was
// known before is good for nothing.
func TestFixation(t *testing.T) {
	r := start(t, options{})
	v := r.member("ada")
	before := v.Cookies(r.url)
	if before["portal_session"] == "" {
		t.Fatalf("no session: %v", before)
	}
	v.signOut()
	if p := v.Open(r.url + "/default/applications"); p.StatusCode != 302 {
		t.Errorf("signed out: %d", p.StatusCode)
	}
	// A copy of the cookie is dead, and a login with it there does not wake it.
	v.SetCookie(r.url, "portal_session", before["portal_session"])
	v.signIn()
	after := v.Cookies(r.url)
	if after["portal_session"] == before["portal_session"] || after["portal_session"] == "" {
		t.Error("the session is the one that was planted")
	}
	thief := r.visitor("")
	thief.SetCookie(r.url, "portal_session", before["portal_session"])
	if p := thief.Open(r.url + "/default/applications"); p.StatusCode != 302 {
		t.Errorf("a copy of a session that has ended: %d", p.StatusCode)
	}

	op := r.visitor("")
	op.SetCookie(r.admin+"/portal-admin", "portal_admin", "PLANTEDPLANTEDPLANTEDPLANT")
	p := op.adminSignIn(bootstrap)
	var made *http.Cookie
	for _, c := range p.Cookies() {
		if c.Name == "portal_admin" {
			made = c
		}
	}
	if made == nil || made.Value == "PLANTEDPLANTEDPLANTEDPLANT" || len(made.Value) < 26 || !made.HttpOnly || made.SameSite != http.SameSiteStrictMode || made.Path != "/portal-admin" {
		t.Fatalf("the session's cookie: %+v", made)
	}
	first := csrf(op.Open(r.admin + "/portal-admin"))
	again := op.adminSignIn(bootstrap)
	if again.StatusCode != 303 {
		t.Fatalf("%d", again.StatusCode)
	}
	old := r.visitor("")
	old.SetCookie(r.admin+"/portal-admin", "portal_admin", made.Value)
	if p := old.Open(r.admin + "/portal-admin"); p.StatusCode != 303 {
		t.Errorf("the session before a new sign-in: %d", p.StatusCode)
	}
	if p := op.post(r.admin, "/portal-admin/logout", url.Values{"csrf": {first}}); p.StatusCode != 403 {
		t.Errorf("signing out by an old token: %d", p.StatusCode)
	}
	if p := op.post(r.admin, "/portal-admin/logout", url.Values{"csrf": {csrf(op.Open(r.admin + "/portal-admin"))}}); p.StatusCode != 303 {
		t.Errorf("signing out: %d", p.StatusCode)
	}
	if p := op.Open(r.admin + "/portal-admin"); p.StatusCode != 303 {
		t.Errorf("signed out: %d", p.StatusCode)
	}
	// Guessing is noticed.
	guesser := r.visitor("")
	last := 0
	for range 40 {
		last = guesser.adminSignIn("a-token-that-is-not-there-0123456789").StatusCode
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the fortieth wrong token: %d", last)
	}
}

// shape is what of an answer somebody could tell two cases apart by.
func shape(p *visitor.Page) string {
	body := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|value="[A-Za-z0-9_-]{43}"|[a-z]+@example\.com`).ReplaceAllString(p.Body, "*")
	var names []string
	for name, values := range p.Header {
		if name != "Date" && name != "X-Request-Id" && name != "Set-Cookie" && name != "Content-Length" {
			names = append(names, name+": "+strings.Join(values, ","))
		}
	}
	slices.Sort(names)
	return fmt.Sprint(p.StatusCode, names, body)
}

// TestEnumeration: answers do not tell which accounts, applications and contracts of
// others there are.
func TestEnumeration(t *testing.T) {
	r := start(t, options{})
	ada := r.member("ada")
	app := ada.application("Shop", "client-ada")
	ada.send("/default/applications/"+app, "/default/applications/"+app+"/contracts", "service", "weather")
	contracts, err := r.db.Contracts(context.Background(), registry.ContractFilter{ApplicationID: app}, registry.Page{})
	if err != nil {
		t.Fatal(err)
	}

	// Two people with one address: the second learns nothing of the first.
	r.idp.AddUser(idp.User{Name: "twin", Password: "twin", Subject: "twin-1", Claims: map[string]any{"email": "ADA@example.com", "email_verified": true, "name": "Twin"}})
	twin, fresh := r.visitor("twin"), r.visitor("bob")
	for _, v := range []*one{twin, fresh} {
		v.signIn()
	}
	if a, b := shape(twin.register()), shape(fresh.register()); a != b {
		t.Errorf("registering with an address that is taken:\n%s\nand one that is not:\n%s", a, b)
	}
	if a, b := shape(twin.Open(r.url+"/default/register/sent")), shape(fresh.Open(r.url+"/default/register/sent")); strings.ReplaceAll(a, "ADA@example.com", "*") != b {
		t.Errorf("afterwards:\n%s\n%s", a, b)
	}
	if d := r.developer("ada"); d.Subject != "ada-1" {
		t.Errorf("the account went to %s", d.Subject)
	}
	if p := twin.Open(r.url + "/default/applications/" + app); p.StatusCode != 403 {
		t.Errorf("the second is in: %d", p.StatusCode)
	}

	r.set("bob", registry.Approved)
	r.idp.AddUser(idp.User{Name: "zed", Password: "zed"})
	other := "01a213c4-378c-77c5-9311-0dfa9ee592bb"
	mine := fresh.application("Own", "client-bob")
	token := csrf(fresh.Open(r.url + "/default/account"))
	for _, pair := range [][2]string{
		{"/default/applications/" + app, "/default/applications/" + other},
		{"/default/applications/" + app + "/edit", "/default/applications/" + other + "/edit"},
		{"/default/applications/" + app + "/delete", "/default/applications/" + other + "/delete"},
	} {
		a, b, c := shape(fresh.Open(r.url+pair[0])), shape(fresh.Open(r.url+pair[1])), shape(fresh.Open(r.url+"/default/applications/x"))
		if a != b || b != c {
			t.Errorf("%s:\n%s\n%s\n%s", pair[0], a, b, c)
		}
	}
	for _, pair := range [][2]string{
		{"/default/applications/" + app + "/contracts", "/default/applications/" + other + "/contracts"},
		{"/default/applications/" + app + "/delete", "/default/applications/" + other + "/delete"},
		{"/default/applications/" + mine + "/contracts/" + contracts.Data[0].ID + "/delete", "/default/applications/" + mine + "/contracts/" + other + "/delete"},
	} {
		send := func(path string) string {
			return shape(fresh.post(r.url, path, url.Values{"csrf": {token}, "service": {"weather"}}))
		}
		if a, b := send(pair[0]), send(pair[1]); a != b {
			t.Errorf("POST %s:\n%s\n%s", pair[0], a, b)
		}
	}
	if l, err := r.db.Contracts(context.Background(), registry.ContractFilter{ApplicationID: app}, registry.Page{}); err != nil || len(l.Data) != 1 {
		t.Errorf("the contracts: %v %v", l.Data, err)
	}
}

// TestRedirects: nothing in an address leads to another host.
func TestRedirects(t *testing.T) {
	r := start(t, options{})
	v := r.member("ada")
	ours := func(where string) bool {
		return where == "" || strings.HasPrefix(where, r.url+"/") || strings.HasPrefix(where, r.auth+"/") || strings.HasPrefix(where, r.idp.URL+"/")
	}
	for _, path := range []string{"//evil.example", "//evil.example/default", "/default//evil.example", "/\\evil.example", "/%5Cevil.example", "/default/login?return=//evil.example",
		"/default/login?next=https://evil.example", "/default?done=//evil.example", "/default/auth?code=x&state=y", "/default/auth?state=sp0.abcdefghijklm.XYZXYZ&code=1",
		"/default?id_token=eyJhbGciOiJub25lIn0.e30.&to=//evil.example", "/unauthorized?to=//evil.example"} {
		for _, origin := range []string{r.url, r.auth} {
			p, err := v.Try(http.MethodGet, origin+path, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
			if err != nil {
				continue // no client sends it
			}
			if !ours(p.Location()) {
				t.Errorf("%s%s leads to %s", origin, path, p.Location())
			}
		}
	}
	addr := strings.TrimPrefix(r.url, "http://localhost")
	for _, target := range []string{"//evil.example/x", "http://evil.example/x", "/\\evil.example"} {
		res, err := testenv.TryRaw("127.0.0.1"+addr, testenv.Request("GET", target, "Host: evil.example"))
		if err != nil {
			continue
		}
		if to := res.Header.Get("Location"); to != "" && !strings.HasPrefix(to, r.url+"/") || res.Status == 200 {
			t.Errorf("%s: %d to %s", target, res.Status, to)
		}
	}
	// Names that anybody can point here get no portal (DNS rebinding).
	for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1" + addr, "localhost.evil.example"} {
		res := testenv.Raw(t, "127.0.0.1"+addr, testenv.Request("GET", "/default?x=1", "Host: "+host))
		if res.Status != 302 || res.Header.Get("Location") != r.url+"/default?x=1" {
			t.Errorf("%s: %d to %s", host, res.Status, res.Header.Get("Location"))
		}
		res = testenv.Raw(t, "127.0.0.1"+addr, testenv.Request("POST", "/default/register", "Host: "+host, "Content-Length: 0"))
		if res.Status != 421 {
			t.Errorf("POST as %s: %d", host, res.Status)
		}
	}
	res := testenv.Raw(t, "127.0.0.1"+strings.TrimPrefix(r.admin, "http://localhost"), testenv.Request("GET", "/portal-admin/login", "Host: evil.example"))
	if res.Status != 421 {
		t.Errorf("administrators as evil.example: %d", res.Status)
	}
	// Tokens that login_redirect_mode query has put into an address go at once.
	p := v.Open(r.url + "/default?id_token=a.b.c&access_token=x")
	if p.StatusCode != 303 || p.Location() != r.url+"/default" {
		t.Errorf("tokens in the address: %d to %s", p.StatusCode, p.Location())
	}
}

// TestSmuggling: who is there, the filter says, and nobody else.
func TestSmuggling(t *testing.T) {
	r := start(t, options{})
	ada := r.member("ada")
	token := mint(ada)
	names := r.portal.HeaderNames()
	spellings := func(name string) []string {
		return []string{name, strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), http.CanonicalHeaderKey(name), name + " "}
	}
	for _, path := range []string{"/default", "/default/applications", "/default/account", "/unauthorized", "/default/kong"} {
		for i := range 5 {
			header := []string{"Host: " + strings.TrimPrefix(r.url, "http://"), "Accept: text/html"}
			for j, name := range names {
				header = append(header, spellings(name)[i]+": "+[]string{token, `{"sub":"ada-1"}`, "session-1"}[j])
			}
			res, err := testenv.TryRaw("127.0.0.1"+strings.TrimPrefix(r.url, "http://localhost"), testenv.Request("GET", path, header...))
			if err != nil {
				continue
			}
			if strings.Contains(res.Body, "ada@example.com") || strings.Contains(res.Body, "Hello,") || res.Status == 200 && path != "/default" && path != "/default/kong" {
				t.Errorf("%s by %q: %d %s", path, header, res.Status, res.Body)
			}
		}
	}
	// Bearer tokens and others' sessions are no way in either.
	for _, header := range []string{"Authorization: Bearer " + token, "X-Consumer-Username: visitor", "X-Credential-Identifier: ada-1", "Cookie: portal_session=" + token} {
		p := r.visitor("").Open(r.url+"/default/applications", header)
		if p.StatusCode != 302 && p.StatusCode != 401 {
			t.Errorf("%.20s: %d", header, p.StatusCode)
		}
	}
	if len(names[0]) < 30 || names[0] == start(t, options{}).portal.HeaderNames()[0] {
		t.Errorf("the header's name can be guessed: %s", names[0])
	}
}

// mint has an ID token of somebody, unsigned, which would do if it got to the pages.
func mint(v *one) string {
	const header, claims = "eyJhbGciOiJSUzI1NiJ9", `{"iss":"%s","sub":"ada-1","email":"ada@example.com","email_verified":true}`
	return header + "." + base64URL(fmt.Sprintf(claims, v.r.idp.Issuer())) + ".c2ln"
}

// TestVerified: only an address that the issuer answers for makes or takes an account.
func TestVerified(t *testing.T) {
	r := start(t, options{auto: true})
	for name, heading := range map[string]string{"una": "Your address is not verified", "nil": "You have no address"} {
		v := r.visitor(name)
		v.signIn()
		p := v.Open(r.url + "/default/register")
		if p.StatusCode != 403 || title(p) != heading {
			t.Errorf("%s: %d %q", name, p.StatusCode, title(p))
		}
		p = v.post(r.url, "/default/register", url.Values{"csrf": {csrf(p)}, "name": {"Name"}, "email": {"other@example.com"}})
		if p.StatusCode != 403 {
			t.Errorf("%s registers: %d", name, p.StatusCode)
		}
	}
	if l, err := r.db.Developers(context.Background(), registry.DeveloperFilter{}, registry.Page{}); err != nil || len(l.Data) != 0 {
		t.Errorf("accounts: %v %v", l.Data, err)
	}
	// The address is the issuer's, whatever the form says.
	v := r.visitor("ada")
	v.signIn()
	v.send("/default/register", "/default/register", "name", "Ada", "email", "bob@example.com", "status", "approved", "issuer", "x")
	if d := r.developer("ada"); d.Subject != "ada-1" || d.Issuer != r.idp.Issuer() {
		t.Errorf("%+v", d)
	}
	if _, err := r.db.Developer(context.Background(), "bob@example.com"); err == nil {
		t.Error("an account of an address that was only typed")
	}

	// An account that an administrator has made goes to whom its address is, and only to
	// them; its state stays.
	if _, err := r.db.Register(context.Background(), system, registry.Developer{Email: "bob@example.com", Name: "Bob"}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.Register(context.Background(), system, registry.Developer{Email: "una@example.com", Name: "Una"}, true); err != nil {
		t.Fatal(err)
	}
	una := r.visitor("una")
	if p := una.signIn(); p.StatusCode != 403 {
		t.Errorf("una is in by an address that nobody has verified: %d", p.StatusCode)
	}
	bob := r.visitor("bob")
	if p := bob.signIn(); p.StatusCode != 403 || title(p) != "You have no developer account yet" {
		t.Errorf("%d %s: registering is a step of its own", p.StatusCode, title(p))
	}
	bob.register()
	if d := r.developer("bob"); d.Subject != "bob-1" || d.Status != registry.Requested {
		t.Errorf("%+v", d)
	}
	if p := bob.Open(r.url + "/default"); p.StatusCode != 403 || title(p) != "Your account waits for approval" {
		t.Errorf("%d %s", p.StatusCode, title(p))
	}
}

// TestTakenAway: what an administrator has taken away, its developer cannot get back.
func TestTakenAway(t *testing.T) {
	r := start(t, options{})
	ada := r.member("ada")
	ctx := context.Background()
	app := ada.application("Shop", "client-ada")
	path := "/default/applications/" + app
	ada.send(path, path+"/contracts", "service", "weather")
	l, err := r.db.Contracts(ctx, registry.ContractFilter{ApplicationID: app}, registry.Page{})
	if err != nil || l.Data[0].Status != registry.Approved {
		t.Fatalf("%v %v", l, err)
	}
	id := l.Data[0].ID
	status := func() string {
		c, err := r.db.Contract(ctx, id)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(c.Status, c.Suspended)
	}
	for name, take := range map[string]func() error{
		"revoked true":   func() error { _, err := r.db.SetContractStatus(ctx, system, id, registry.Revoked); return err },
		"approved true":  func() error { _, err := r.db.SetContractStatus(ctx, system, id, registry.Approved); return err },
		"requested true": func() error { _, err := r.db.SetContractStatus(ctx, system, id, registry.Requested); return err },
	} {
		if _, err := r.db.SuspendContract(ctx, system, id, true); err != nil {
			t.Fatal(err)
		}
		if err := take(); err != nil {
			t.Fatal(err)
		}
		if p := ada.send(path, path+"/contracts/"+id+"/delete"); p.StatusCode != 404 {
			t.Errorf("%s: given up: %d", name, p.StatusCode)
		}
		if p := ada.send(path, path+"/contracts", "service", "weather"); !strings.HasSuffix(p.Location(), "done=not-requested") {
			t.Errorf("%s: asked for anew: %d %s", name, p.StatusCode, p.Location())
		}
		if p := ada.send(path, path+"/delete"); !strings.HasSuffix(p.Location(), "done=not-removed") {
			t.Errorf("%s: removed: %d %s", name, p.StatusCode, p.Location())
		}
		if p := ada.send(path+"/edit", path+"/edit", "name", "Shop", "custom_id", "client-else", "redirect_uri", "", "description", ""); p.StatusCode != 422 {
			t.Errorf("%s: the client id is freed: %d", name, p.StatusCode)
		}
		if got := status(); got != name {
			t.Errorf("the contract is %s, want %s", got, name)
		}
	}
	// Where access is given at once, rejecting is taking away too.
	if _, err := r.db.SuspendContract(ctx, system, id, false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.SetContractStatus(ctx, system, id, registry.Rejected); err != nil {
		t.Fatal(err)
	}
	if p := ada.send(path, path+"/delete"); !strings.HasSuffix(p.Location(), "done=not-removed") {
		t.Fatalf("rejected, removed: %d %s", p.StatusCode, p.Location())
	}
	// Everything of it can be changed but that.
	if p := ada.send(path+"/edit", path+"/edit", "name", "Renamed", "custom_id", "client-ada", "redirect_uri", "", "description", "x"); p.StatusCode != 303 {
		t.Errorf("renaming: %d", p.StatusCode)
	}
	// A client id that somebody has is not given twice.
	bob := r.member("bob")
	p := bob.send("/default/applications/new", "/default/applications/new", "name", "Theft", "custom_id", "client-ada", "redirect_uri", "", "description", "")
	if p.StatusCode != 422 || !strings.Contains(p.Body, "That client id cannot be used") || strings.Contains(p.Body, "ada@example.com") {
		t.Errorf("%d %s", p.StatusCode, p.Body)
	}
}

// TestTrouble: without a registry nobody is let in, and it is our fault.
func TestTrouble(t *testing.T) {
	r := start(t, options{})
	v := r.member("ada")
	_ = r.db.Close()
	for _, path := range []string{"/default", "/default/applications", "/unauthorized"} {
		p := v.Open(r.url + path)
		if p.StatusCode != 503 || p.Header.Get("Retry-After") == "" || strings.Contains(p.Body, "sql") {
			t.Errorf("%s: %d %s", path, p.StatusCode, p.Body)
		}
	}
	if r.portal.Ready() == nil {
		t.Error("it is ready")
	}
	// The identity provider's part goes on, and so does what needs nobody.
	res, err := http.Get(r.url + "/default/kong")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 {
		t.Errorf("%d %v", res.StatusCode, err)
	}
}
