package portal

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

var testHeaders = headers{"x-id", "x-user", "x-session"}

var testWhere = where{"default", "http://localhost:8003", "http://localhost:8004"}

// generated makes a front of a configuration, and reads its file back.
func generated(t *testing.T, conf string, w where, settings *declarative.Settings) (*front, *declarative.File, declarative.Problems) {
	t.Helper()
	f, problems, err := generate(&declarative.Portal{AuthConf: conf}, w, testHeaders, settings, "")
	if err != nil || f == nil {
		t.Fatalf("%s: %v %v", conf, err, problems)
	}
	file, bad := declarative.Parse("portal.json", f.file, declarative.Options{})
	if file == nil {
		t.Fatalf("what was generated is refused: %v\n%s", bad, f.file)
	}
	return f, file, problems
}

func TestGenerate(t *testing.T) {
	const conf = `{"issuer": "https://idp.example", "client_id": "p", "client_secret": "{vault://env/HOME}", "consumer_claim": ["user.login"], "consumer_by": ["id"],
		"upstream_headers_names": ["x-a"], "upstream_headers_claims": ["a"], "downstream_id_token_header": "x-b", "upstream_access_token_header": "x-c", "leeway": 12, "big": null}`
	settings := &declarative.Settings{TrustedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Filter: map[string]int64{"log_lines": 5}}
	f, file, problems := generated(t, strings.Replace(conf, `, "big": null`, "", 1), testWhere, settings)
	if !slices.Equal(f.claim[0], []string{"user.login"}) || f.trustEmail || f.forbiddenTo != "" || f.logoutPath != "/default/logout" || !slices.Equal(f.hosts, []string{"localhost"}) ||
		!slices.Equal(f.formTo, []string{"https://idp.example", "http://localhost:8003"}) {
		t.Errorf("%+v", f)
	}
	if strings.Contains(string(f.file), "user.login") || !strings.Contains(string(f.file), "{vault://env/HOME}") {
		t.Errorf("the file: %s", f.file)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.String(), "portal_auth_conf") || strings.Contains(p.Path, "services") {
			t.Errorf("a finding about the generated file: %s", p)
		}
	}
	if len(file.Settings.TrustedIPs) != 1 || file.Settings.Filter["log_lines"] != 5 {
		t.Errorf("%+v", file.Settings)
	}
	for _, p := range file.Plugins {
		c := p.OIDC
		if c == nil || c.Leeway != 12 || !slices.Equal(c.Methods, []string{"session"}) || !c.Login.Begin || len(c.Identity.ConsumerClaims) != 0 || len(c.Identity.Upstream) != 0 {
			t.Fatalf("%+v", c)
		}
		var tokens []string
		for _, h := range c.Identity.Tokens {
			tokens = append(tokens, h.Token+" "+h.Header)
		}
		if !slices.Equal(tokens, []string{"id_token x-id", "session_id x-session"}) {
			t.Errorf("%s hands on %q", p.Route.Name, tokens)
		}
		if (c.Anonymous != nil) != (p.Route.Name == "open") {
			t.Errorf("anonymous on %s: %v", p.Route.Name, c.Anonymous)
		}
		l := c.Login
		if l.RedirectURIs[0] != "http://localhost:8004/default/auth" || l.LogoutRedirects[0] != "http://localhost:8003/default" || l.SessionCookie.Name != "portal_session" ||
			!slices.Contains(l.LogoutMethods, "POST") || !slices.Contains(l.LogoutMethods, "DELETE") {
			t.Errorf("%+v", l)
		}
	}
	if len(file.Plugins) != 2 {
		t.Errorf("%d plugins", len(file.Plugins))
	}
}

func TestGenerateAsConfigured(t *testing.T) {
	const conf = `{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"], "redirect_uri": ["http://localhost:8003/callback.html"], "logout_uri_suffix": "/bye",
		"logout_methods": ["GET"], "session_cookie_name": "mine", "search_user_info": true, "trust_email": true, "consumer_claim": ["email"],
		"forbidden_redirect_uri": ["https://elsewhere.example/no"], "end_session_endpoint": "https://out.example/end", "logout_redirect_uri": ["https://after.example/"]}`
	f, file, _ := generated(t, conf, testWhere, &declarative.Settings{})
	if !f.trustEmail || f.forbiddenTo != "https://elsewhere.example/no" || f.logoutPath != "/default/bye" ||
		!slices.Equal(f.formTo, []string{"https://idp.example", "https://out.example", "https://after.example"}) {
		t.Errorf("%+v", f)
	}
	l := file.Plugins[0].OIDC.Login
	if l.SessionCookie.Name != "mine" || !slices.Equal(l.LogoutMethods, []string{"GET", "POST"}) || len(file.Plugins[0].OIDC.Identity.Tokens) != 3 {
		t.Errorf("%+v", l)
	}
	var paths []string
	for _, r := range file.Routes {
		if r.Name == "closed" {
			for _, p := range r.Paths {
				paths = append(paths, p.Prefix+p.Expr)
			}
		}
	}
	if !slices.Equal(paths, []string{"/default/", `/callback\.html$`}) {
		t.Errorf("closed are %q", paths)
	}

	// Hosts that differ need a cookie that both get.
	apart := where{"default", "https://portal.example", "https://auth.example"}
	short := `{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"]`
	if _, _, err := generate(&declarative.Portal{AuthConf: short + `}`}, apart, testHeaders, &declarative.Settings{}, ""); err == nil || !strings.Contains(err.Error(), "expected session_cookie_domain") {
		t.Errorf("two hosts: %v", err)
	}
	f, file, _ = generated(t, short+`, "session_cookie_domain": ".example.com"}`, where{"default", "https://portal.example.com", "https://auth.example.com"}, &declarative.Settings{})
	if len(f.hosts) != 2 || file.Plugins[0].OIDC.Login.FlowCookie.Domain != ".example.com" {
		t.Errorf("%v %+v", f.hosts, file.Plugins[0].OIDC.Login.FlowCookie)
	}
}

func TestGenerateRefuses(t *testing.T) {
	for conf, want := range map[string]string{
		`{"client_id": ["p"]}`: "has no issuer",
		`{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"], "lewway": 1}`:                    "unknown field: did you mean leeway?",
		`{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"], "leeway": "1000"}`:               "leeway: is \"1000\": expected an integer",
		`{"issuer": "https://idp.example", "client_id": ["p"]}`:                                                         "has no client_secret",
		`{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"], "auth_methods": "bearer"}`:       "has no session",
		`{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"], "auth_methods": []}`:             "has no session",
		`{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"], "anonymous": "x"}`:               "nobody comes in without signing in",
		`{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"], "login_action": "redirect"}`:     "expected login_redirect_uri too",
		`{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"], "consumer_claim": ["a\u0000b"]}`: "consumer_claim",
	} {
		f, problems, err := generate(&declarative.Portal{AuthConf: conf}, testWhere, testHeaders, &declarative.Settings{}, "")
		text := ""
		if err != nil {
			text = err.Error()
		}
		for _, p := range problems.Errors() {
			text += p.String() + "\n"
		}
		if f != nil || !strings.Contains(text, want) {
			t.Errorf("%s: %v %q, want %q", conf, f != nil, text, want)
		}
		if strings.Contains(text, "services[0]") {
			t.Errorf("%s: says %q", conf, text)
		}
	}
}

func TestOrigins(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8003": "http://localhost:8003", "0.0.0.0:8003": "http://localhost:8003", ":8003": "http://localhost:8003", "[::]:8003": "http://localhost:8003",
		"10.1.2.3:80": "http://10.1.2.3", "Portal.Example:8003": "http://portal.example:8003", "[2001:db8::1]:8003": "http://[2001:db8::1]:8003",
	} {
		if got, err := originOf(declarative.Listener{Address: address}); err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", address, got, err, want)
		}
	}
	if got, _ := originOf(declarative.Listener{Address: "0.0.0.0:443", TLS: true}); got != "https://localhost" {
		t.Error(got)
	}
	if _, err := originOf(declarative.Listener{Address: "127.0.0.1:0"}); err == nil {
		t.Error("a port that nobody knows")
	}
	for _, tt := range []struct {
		p    declarative.Portal
		want where
	}{
		{declarative.Portal{Workspace: "default"}, where{"default", "http://localhost:8003", "http://localhost:8004"}},
		{declarative.Portal{Workspace: "w", URL: "https://Portal.Example/"}, where{"w", "https://portal.example", "http://portal.example:8004"}},
		{declarative.Portal{Workspace: "w", URL: "https://portal.example", API: []declarative.Listener{{Address: ":8443", TLS: true}}}, where{"w", "https://portal.example", "https://portal.example:8443"}},
		{declarative.Portal{Workspace: "w", URL: "https://[2001:db8::1]", API: []declarative.Listener{{Address: ":443", TLS: true}}}, where{"w", "https://[2001:db8::1]", "https://[2001:db8::1]"}},
		{declarative.Portal{Workspace: "w", APIURL: "https://auth.example"}, where{"w", "http://localhost:8003", "https://auth.example"}},
	} {
		Listeners(&tt.p)
		if got, err := whereOf(&tt.p); err != nil || got != tt.want {
			t.Errorf("%+v: %+v %v, want %+v", tt.p, got, err, tt.want)
		}
	}
}

func TestKongConf(t *testing.T) {
	p, problems, err := parseKongConf("kong.conf", []byte("#portal_auth = basic-auth\n\ndatabase = postgres\nportal_auth=openid-connect\n"+
		"  portal_auth_conf = '{\"issuer\": \"https://idp.example/#x\", \"client_id\": [\"p\"]}'\nportal_gui_host = portal.example:8446 # outside\nportal_gui_protocol = https\nportal_emails_from =\n"))
	if err != nil || p == nil || len(problems) != 0 || p.URL != "https://portal.example:8446" || !strings.Contains(p.AuthConf, "/#x") {
		t.Errorf("%+v %v %v", p, problems, err)
	}
	for text, want := range map[string]string{
		"database = postgres\n":                                   "has no settings of a portal",
		"portal_auth\n":                                           "kong.conf:1: is no line of NAME = VALUE",
		"portal = on\n\nportal = off\n":                           "kong.conf:3: portal stands in line 1 too",
		"portal_auth = openid-connect\nportal_x = 1\n":            "portal_x: unknown field",
		"portal_auth = ldap-auth-advanced\nportal_auth_conf={}\n": "kong.conf:1: portal_auth: is ldap-auth-advanced",
		strings.Repeat("#", 2<<20):                                "is larger than",
	} {
		p, problems, err := parseKongConf("kong.conf", []byte(text))
		got := ""
		if err != nil {
			got = err.Error()
		}
		for _, one := range problems {
			got += one.String() + "\n"
		}
		if p != nil || !strings.Contains(got, want) {
			t.Errorf("%.60q: %v %q, want %q", text, p, got, want)
		}
	}
}

// FuzzKongConf: whatever is read has passed the parser of the settings, and its
// configuration is an object.
func FuzzKongConf(f *testing.F) {
	f.Add("portal_auth = openid-connect\nportal_auth_conf = {\"issuer\": \"https://idp.example\"}\n")
	f.Add("portal_auth=openid-connect\nportal_auth_conf='{}' # x\nportal_gui_listen = 0.0.0.0:8003, 0.0.0.0:8446 ssl\n")
	f.Add("portal = off\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, problems, err := parseKongConf("kong.conf", []byte(text))
		if p == nil {
			return
		}
		if err != nil || len(problems.Errors()) > 0 {
			t.Errorf("%v %v", err, problems)
		}
		var conf map[string]any
		if json.Unmarshal([]byte(p.AuthConf), &conf) != nil || p.Auth != "openid-connect" {
			t.Errorf("%+v", p)
		}
	})
}

// References to files are relative to the folder of the settings.
func TestGenerateReferences(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, problems, err := generate(&declarative.Portal{AuthConf: `{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["{vault://file/secret}"]}`},
		testWhere, testHeaders, &declarative.Settings{}, dir)
	if err != nil || f == nil {
		t.Fatal(err, problems)
	}
	if strings.Contains(string(f.file), "s3cret") || !strings.Contains(string(f.file), "{vault://file/"+dir+"/secret}") {
		t.Errorf("%s", f.file)
	}
	file, bad := declarative.Parse("portal.json", f.file, declarative.Options{Dir: "/nowhere"})
	if file == nil || file.Plugins[0].OIDC.Login.ClientSecrets[0].Reveal() != "s3cret" {
		t.Errorf("%v", bad)
	}
}
