package portal_test

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/testenv"
)

// change changes the file and has the portal read it.
func (r *rig) change(old, with string) error {
	r.t.Helper()
	r.mu.Lock()
	if !strings.Contains(r.file, old) {
		r.t.Fatalf("no %q in the file", old)
	}
	r.file = strings.ReplaceAll(r.file, old, with)
	r.mu.Unlock()
	return r.portal.Reload(context.Background())
}

func TestReload(t *testing.T) {
	r := start(t, options{})
	v := r.member("ada")
	if err := r.change("What customers have bought.", "Something else."); err != nil {
		t.Fatal(err)
	}
	if p := v.Open(r.url + "/default/services"); !strings.Contains(p.Body, "Something else.") || strings.Contains(p.Body, "What customers have bought.") {
		t.Errorf("%s", p.Body)
	}
	if err := r.change(`portal_auto_approve: "off"`, `portal_auto_approve: "on"`); err != nil {
		t.Fatal(err)
	}
	bob := r.visitor("bob")
	bob.signIn()
	bob.register()
	if r.developer("bob").Status != registry.Approved {
		t.Error("auto-approval has not come into force")
	}
	// What cannot be read changes nothing, and sessions go on.
	for old, with := range map[string]string{"display_name: Orders": "display_nam: Orders", "portal_auth: openid-connect": "portal_auth: basic-auth", "openid-connect\n    portal_auth_conf": "openid-connect\n    portal_auth_cnf"} {
		if err := r.change(old, with); err == nil {
			t.Errorf("%s was taken", with)
		}
		if err := r.change(with, old); err != nil {
			t.Fatal(err)
		}
	}
	if p := v.Open(r.url + "/default/services"); p.StatusCode != 200 || !strings.Contains(p.Body, "Something else.") {
		t.Errorf("%d %s", p.StatusCode, p.Body)
	}
	// A configuration of openid-connect that is another one takes effect too.
	if err := r.change(`\"scopes\": [\"openid\", \"email\", \"profile\"]`, `\"scopes\": [\"openid\", \"email\", \"profile\", \"offline_access\"], \"consumer_claim\": [\"user.login\"]`); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "both workers have the new configuration", func() bool {
		return strings.Count(r.log.String(), "bundle 2 with 4 routes is in use") >= 2
	})
	if to := r.visitor("x").Open(r.url + "/default/login").Location(); !strings.Contains(to, "offline_access") {
		t.Errorf("the login asks for other scopes: %s", to)
	}
	cleo := r.visitor("cleo")
	if p := cleo.signIn(); title(p) != "You have no address" {
		t.Errorf("consumer_claim has not come into force: %s", title(p))
	}
}

// TestFollow: a service that is entered by the admin API is offered.
func TestFollow(t *testing.T) {
	r := start(t, options{})
	v := r.member("ada")
	send := func(path, body string) {
		t.Helper()
		req, err := http.NewRequest(http.MethodPost, r.admin+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Kong-Admin-Token", r.token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %d %s", path, res.StatusCode, text)
		}
	}
	send("/services", `{"name": "extra", "url": "http://extra.invalid"}`)
	send("/services/extra/routes", `{"name": "extra", "paths": ["/extra"]}`)
	send("/services/extra/plugins", `{"name": "openid-connect", "config": {"issuer": "`+r.idp.Issuer()+`", "auth_methods": ["bearer"], "consumer_claim": ["client_id"], "consumer_by": ["custom_id"]}}`)
	send("/services/extra/plugins", `{"name": "application-registration", "config": {"display_name": "Extra", "auto_approve": true}}`)
	testenv.Eventually(t, 5*time.Second, "the service is offered", func() bool { return strings.Contains(v.Open(r.url+"/default/services").Body, ">Extra<") })
	app := v.application("Shop", "client-ada")
	path := "/default/applications/" + app
	if p := v.send(path, path+"/contracts", "service", "extra"); !strings.HasSuffix(p.Location(), "done=approved") {
		t.Errorf("%d %s", p.StatusCode, p.Location())
	}
	id, err := r.db.IdentityBy(context.Background(), []string{"custom_id"}, "client-ada")
	if err != nil || len(id.Contracts) != 1 || id.Contracts[0] != "extra" {
		t.Errorf("what the sidecar is told: %+v %v", id, err)
	}
	// Without a token it does nothing, and neither does a session of the pages.
	op := r.visitor("")
	op.adminSignIn(r.token)
	if p := op.Open(r.admin + "/services"); p.StatusCode != http.StatusUnauthorized {
		t.Errorf("the admin API without a token: %d", p.StatusCode)
	}
}

// TestFollowUnread: a change that is told of, and then cannot be read, is not lost. It may
// be that nobody is to be approved at once any more.
func TestFollowUnread(t *testing.T) {
	r := start(t, options{})
	v := r.member("ada")
	e := registry.Entity{Kind: "services", ID: "11111111-1111-4111-8111-111111111111", Name: "extra",
		JSON: []byte(`{"id":"11111111-1111-4111-8111-111111111111","name":"extra","host":"extra.invalid"}`)}
	plugin := registry.Entity{Kind: "plugins", ID: "22222222-2222-4222-8222-222222222222", ServiceID: e.ID,
		JSON: []byte(`{"id":"22222222-2222-4222-8222-222222222222","name":"application-registration","service":{"id":"` + e.ID + `"},"config":{"display_name":"Extra"}}`)}
	for _, one := range []registry.Entity{e, plugin} {
		if _, err := r.db.CreateEntity(t.Context(), system, one, nil); err != nil {
			t.Fatal(err)
		}
	}
	offered := func() bool { return strings.Contains(v.Open(r.url+"/default/services").Body, ">Extra<") }
	testenv.Eventually(t, 5*time.Second, "the service is offered", offered)
	raw, err := sql.Open("sqlite", filepath.Join(r.state, "registry.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetMaxOpenConns(1)
	exec := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := raw.ExecContext(t.Context(), s); err != nil {
				t.Fatal(s, err)
			}
		}
	}
	exec(`PRAGMA busy_timeout = 10000`, `BEGIN IMMEDIATE`, `DELETE FROM entities`, `ALTER TABLE entities RENAME TO unreadable`,
		`INSERT INTO changes (seq, kind, name) SELECT seq + 1, 'config', 'services:x' FROM head`, `UPDATE head SET seq = seq + 1`, `COMMIT`)
	testenv.Eventually(t, 5*time.Second, "that it cannot be read", func() bool { return strings.Contains(r.log.String(), "the registry cannot be read") })
	exec(`ALTER TABLE unreadable RENAME TO entities`)
	testenv.Eventually(t, 5*time.Second, "the service is not offered any more", func() bool { return !offered() })
}
