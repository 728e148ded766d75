package portal_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/testenv/visitor"
)

// columns of the table below: who sends the request.
var columns = []string{"anonymous", "script", "unregistered", "requested", "rejected", "revoked", "other", "owner"}

// access says what each of them gets. {app} and {contract} are the owner's, {style} is
// the style sheet. A login is 302, what is no navigation 401.
const access = `
GET  /default                                        200 200 403 403 403 403 200 200
GET  /default/                                       200 200 403 403 403 403 200 200
GET  /                                               303 303 303 303 303 303 303 303
GET  /default/kong                                   200 200 200 200 200 200 200 200
GET  /default/assets/{style}                         200 200 200 200 200 200 200 200
GET  /default/assets/style.css                       404 404 404 404 404 404 404 404
GET  /default/unauthorized                           401 401 403 403 403 403 303 303
GET  /unauthorized                                   401 401 403 403 403 403 303 303
GET  /default/login                                  302 401 303 303 303 303 303 303
GET  /default/auth                                   302 401 303 303 303 303 303 303
GET  /default/register                               302 401 200 403 403 403 303 303
GET  /default/register/sent                          302 401 200 200 200 200 200 200
GET  /default/account                                302 401 403 403 403 403 200 200
GET  /default/services                               302 401 403 403 403 403 200 200
GET  /default/services/orders                        302 401 403 403 403 403 200 200
GET  /default/services/hidden                        302 401 403 403 403 403 404 404
GET  /default/services/none                          302 401 403 403 403 403 404 404
GET  /default/applications                           302 401 403 403 403 403 200 200
GET  /default/applications/new                       302 401 403 403 403 403 200 200
GET  /default/applications/{app}                     302 401 403 403 403 403 404 200
GET  /default/applications/{app}/edit                302 401 403 403 403 403 404 200
GET  /default/applications/{app}/delete              302 401 403 403 403 403 404 200
GET  /default/applications/none                      302 401 403 403 403 403 404 404
GET  /default/nothing                                302 401 404 404 404 404 404 404
GET  /nothing                                        404 404 404 404 404 404 404 404
GET  /DEFAULT/services                               404 404 404 404 404 404 404 404
GET  /default/%73ervices                             302 401 403 403 403 403 200 200
GET  /default/./services                             302 401 403 403 403 403 200 200
GET  /default//services                              302 401 403 403 403 403 200 200
GET  /x/../default/services                          302 401 403 403 403 403 200 200
POST /default/account                                401 401 403 403 403 403 303 303
POST /default/services/orders/contracts              401 401 403 403 403 403 404 303
POST /default/applications/{app}/contracts           401 401 403 403 403 403 404 303
POST /default/applications/{app}/edit                401 401 403 403 403 403 404 303
POST /default/applications/{app}/contracts/{contract}/delete 401 401 403 403 403 403 404 303
POST /default/applications/{app}/delete              401 401 403 403 403 403 404 303
POST /default/applications/new                       401 401 403 403 403 403 303 303
POST /default/kong                                   404 404 404 404 404 404 404 404
POST /default/nothing                                401 401 404 404 404 404 404 404
`

var styleLink = regexp.MustCompile(`/assets/([0-9a-f]{16}\.css)`)

// TestAccess: each path, for each kind of person, with the form's token that they have.
func TestAccess(t *testing.T) {
	r := start(t, options{})
	owner, other := r.member("ada"), r.member("bob")
	people := map[string]*one{"anonymous": r.visitor(""), "script": r.visitor(""), "other": other, "owner": owner,
		"unregistered": r.visitor("cleo"), "requested": r.visitor("dan"), "rejected": r.visitor("eve"), "revoked": r.visitor("fay")}
	for _, kind := range []string{"unregistered", "requested", "rejected", "revoked"} {
		people[kind].signIn()
		if kind != "unregistered" {
			people[kind].register()
		}
	}
	r.set("eve", registry.Rejected)
	r.set("fay", registry.Revoked)
	app := owner.application("Shop", "client-ada")
	if p := owner.send("/default/applications/"+app, "/default/applications/"+app+"/contracts", "service", "weather"); p.StatusCode != 303 {
		t.Fatalf("%d %s", p.StatusCode, p.Body)
	}
	contracts, err := r.db.Contracts(context.Background(), registry.ContractFilter{ApplicationID: app}, registry.Page{})
	if err != nil || len(contracts.Data) != 1 {
		t.Fatalf("%v %v", contracts, err)
	}
	style := styleLink.FindStringSubmatch(people["anonymous"].Open(r.url + "/default").Body)
	fill := strings.NewReplacer("{app}", app, "{contract}", contracts.Data[0].ID, "{style}", style[1]).Replace

	tokens := map[string]string{}
	for kind, v := range people {
		if kind != "anonymous" && kind != "script" {
			tokens[kind] = csrf(v.Open(r.url + "/default"))
			if tokens[kind] == "" { // where the page has a form
				t.Fatalf("%s has no token", kind)
			}
		}
	}
	rows := 0
	for row := range strings.SplitSeq(strings.TrimSpace(access), "\n") {
		f := strings.Fields(row)
		method, path := f[0], fill(f[1])
		for i, kind := range columns {
			want, err := strconv.Atoi(f[2+i])
			if err != nil {
				t.Fatal(err)
			}
			v := people[kind]
			var got int
			switch {
			case method == http.MethodPost:
				values := url.Values{"csrf": {tokens[kind]}, "name": {"Name of " + kind}, "custom_id": {"client-" + kind}, "service": {"orders"},
					"application": {app}, "description": {""}, "redirect_uri": {""}}
				got = v.post(r.url, path, values).StatusCode
			case kind == "script":
				got = v.Fetch(r.url + path).StatusCode
			default:
				p := v.Open(r.url + path)
				got = p.StatusCode
				if got == 302 && !strings.HasPrefix(p.Location(), r.idp.Endpoint("authorize")) {
					t.Errorf("%s %s as %s leads to %s", method, f[1], kind, p.Location())
				}
			}
			if got != want {
				t.Errorf("%s %s as %s: %d, want %d", method, f[1], kind, got, want)
			}
			rows++
		}
	}
	if rows < 300 {
		t.Errorf("only %d were tried", rows)
	}
	// What the others have sent has changed nothing.
	if d := r.developer("dan"); d.Status != registry.Requested || d.Name != "Somebody dan" {
		t.Errorf("%+v", d)
	}
	for _, d := range []string{"dan", "eve", "fay"} {
		l, err := r.db.Applications(context.Background(), registry.ApplicationFilter{DeveloperID: r.developer(d).ID}, registry.Page{})
		if err != nil || len(l.Data) != 0 {
			t.Errorf("%s has applications: %v %v", d, l.Data, err)
		}
	}
	if _, err := r.db.Developer(context.Background(), "cleo@example.com"); err == nil {
		t.Error("there is an account of somebody who has only signed in")
	}
}

// adminColumns are the tokens' roles.
var adminColumns = []string{"none", "wrong", "credentials:read", "read", "portal:approve", "admin", "bootstrap"}

const adminAccess = `
GET  /portal-admin/login                 200 200 200 200 200 200 200
GET  /portal-admin                       303 303 303 200 200 200 200
GET  /portal-admin/developers            303 303 303 200 200 200 200
GET  /portal-admin/developers?q=a&status=requested 303 303 303 200 200 200 200
GET  /portal-admin/developers/{dev}      303 303 303 200 200 200 200
GET  /portal-admin/developers/none       303 303 303 404 404 404 404
GET  /portal-admin/applications          303 303 303 200 200 200 200
GET  /portal-admin/applications/{app}    303 303 303 200 200 200 200
GET  /portal-admin/applications/none     303 303 303 404 404 404 404
GET  /portal-admin/audit                 303 303 303 200 200 200 200
GET  /portal-admin/audit?kind=contracts  303 303 303 200 200 200 200
GET  /portal-admin/audit?kind=tokens     303 303 303 200 403 200 200
GET  /portal-admin/audit?kind=nothing    303 303 303 200 403 200 200
GET  /portal-admin/audit?offset=bad      303 303 303 400 400 400 400
GET  /portal-admin/nothing               303 303 303 404 404 404 404
POST /portal-admin/developers/{dev}      401 401 401 403 303 303 303
POST /portal-admin/contracts/{contract}  401 401 401 403 303 303 303
POST /portal-admin/contracts/none        401 401 401 403 404 404 404
`

func TestAdminAccess(t *testing.T) {
	r := start(t, options{})
	owner := r.member("ada")
	app := owner.application("Shop", "client-ada")
	owner.send("/default/applications/"+app, "/default/applications/"+app+"/contracts", "service", "orders")
	contracts, err := r.db.Contracts(context.Background(), registry.ContractFilter{ApplicationID: app}, registry.Page{})
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{app}", app, "{contract}", contracts.Data[0].ID, "{dev}", r.developer("ada").ID).Replace
	people := map[string]*one{"none": r.visitor(""), "wrong": r.visitor("")}
	people["wrong"].SetCookie(r.admin, "portal_admin", strings.Repeat("A", 26))
	for _, role := range adminColumns[2:] {
		token := bootstrap
		if role != "bootstrap" {
			_, made, err := r.db.CreateAdminToken(context.Background(), system, registry.AdminToken{Name: role, Roles: []string{role}}, redact.Secret{})
			if err != nil {
				t.Fatal(err)
			}
			token = made.Reveal()
		}
		v := r.visitor("")
		p := v.adminSignIn(token)
		if want := map[bool]int{true: 403, false: 303}[role == "credentials:read"]; p.StatusCode != want {
			t.Errorf("%s signs in: %d, want %d: %s", role, p.StatusCode, want, p.Body)
		}
		people[role] = v
	}
	for row := range strings.SplitSeq(strings.TrimSpace(adminAccess), "\n") {
		f := strings.Fields(row)
		for i, kind := range adminColumns {
			v, path := people[kind], fill(f[1])
			var got int
			if f[0] == http.MethodPost {
				token := csrf(v.Open(r.admin + "/portal-admin"))
				got = v.post(r.admin, path, url.Values{"csrf": {token}, "action": {"revoke"}}).StatusCode
			} else {
				got = v.Open(r.admin + path).StatusCode
			}
			if want, _ := strconv.Atoi(f[2+i]); got != want {
				t.Errorf("%s %s as %s: %d, want %d", f[0], f[1], kind, got, want)
			}
		}
	}

	// What is none of the business of whoever only decides.
	for role, want := range map[string]bool{"portal:approve": false, "read": true} {
		if p := people[role].Open(r.admin + "/portal-admin/audit"); strings.Contains(p.Body, ">sign in<") != want {
			t.Errorf("%s: the log of tokens is shown: %t, want %t", role, !want, want)
		}
	}

	// A token that is removed ends the session that it has begun.
	if err := r.db.DeleteAdminToken(context.Background(), system, "portal:approve"); err != nil {
		t.Fatal(err)
	}
	if p := people["portal:approve"].Open(r.admin + "/portal-admin"); p.StatusCode != 303 || !strings.HasSuffix(p.Location(), "/portal-admin/login") {
		t.Errorf("a removed token: %d", p.StatusCode)
	}
	// The administrators' pages are nowhere else, and the developers' not there.
	if p := people["bootstrap"].Open(r.url + "/portal-admin"); p.StatusCode != 404 {
		t.Errorf("the administrators' pages are on the portal's listener: %d", p.StatusCode)
	}
	if p := owner.Open(r.admin + "/default/applications"); p.StatusCode != 401 && p.StatusCode != 404 {
		t.Errorf("the developers' pages are on the administrators' listener: %d", p.StatusCode)
	}
}

// adminSignIn signs an administrator in.
func (v *one) adminSignIn(token string) *visitor.Page {
	v.r.t.Helper()
	p := v.Open(v.r.admin + "/portal-admin/login")
	return v.post(v.r.admin, "/portal-admin/login", url.Values{"csrf": {csrf(p)}, "token": {token}})
}
