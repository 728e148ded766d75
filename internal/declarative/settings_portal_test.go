package declarative

import (
	"encoding/json"
	"strings"
	"testing"
)

// portalBlock is a file with a block portal.
func portalBlock(members string) string {
	return "_format_version: \"3.0\"\n_sallyport:\n  portal:\n    " + strings.ReplaceAll(strings.TrimSpace(members), "\n", "\n    ") + "\n"
}

const portalConf = `portal_auth: openid-connect
portal_auth_conf: '{"issuer": "https://idp.example", "client_id": ["p"], "leeway": 1000}'
`

func TestPortal(t *testing.T) {
	f := read(t, portalBlock(portalConf))
	p := f.Settings.Portal
	if p.Auth != "openid-connect" || p.AppAuth != "external-oauth2" || p.AutoApprove || p.Workspace != "default" || p.GUI != nil || p.URL != "" || p.Line != 4 {
		t.Errorf("by default: %+v", p)
	}
	if read(t, goodPortalOff).Settings.Portal != nil {
		t.Error("a portal that is off is there")
	}
	f = read(t, portalBlock(`portal: on
portal_auth: openid-connect
portal_auth_conf:
  issuer: https://idp.example
  client_id: [p]
  leeway: 1000
  ssl_verify: false
  anonymous: ~
portal_auto_approve: "on"
portal_app_auth: external-oauth2
portal_gui_listen: 0.0.0.0:8003, 0.0.0.0:8446 ssl http2 reuseport backlog=16384
portal_api_listen: ["127.0.0.1:8004", "off"]
portal_gui_protocol: https
portal_gui_host: Portal.Example:8446
portal_api_url: https://portal.example:8447/
workspace: team-a
admin_listen: 127.0.0.1:9001
admin_hosts: [admin.example, "other.example:9001"]
gateway_url: https://api.example`))
	p = f.Settings.Portal
	if !p.AutoApprove || p.Workspace != "team-a" || len(p.GUI) != 2 || p.GUI[0].TLS || !p.GUI[1].TLS || p.GUI[1].Address != "0.0.0.0:8446" || len(p.API) != 1 ||
		len(p.Admin) != 1 || len(p.AdminHosts) != 2 || p.URL != "https://portal.example:8446" || p.APIURL != "https://portal.example:8447/" || p.GatewayURL != "https://api.example" {
		t.Errorf("%+v", p)
	}
	var conf map[string]any
	if err := json.Unmarshal([]byte(p.AuthConf), &conf); err != nil || conf["leeway"] != 1000.0 || conf["ssl_verify"] != false || conf["anonymous"] != nil || len(conf) != 5 {
		t.Errorf("%v %v", conf, err)
	}
}

const goodPortalOff = "_format_version: \"3.0\"\n_sallyport: {portal: {portal: off}}\n"

func TestPortalFindings(t *testing.T) {
	_, problems := Parse("kong.yml", []byte(portalBlock(portalConf+`portal_session_conf: '{"cookie_name": "x"}'
portal_token_exp: 21600
portal_emails_from: a@example.com
portal_auth_login_attempts: 0`)), Options{})
	got := ofRule(problems, noEffect)
	if len(got) != 4 || len(problems) != 4 {
		t.Errorf("%v", problems)
	}
	for members, want := range map[string]string{
		"portal_auth: openid-connect":                                                           "has no portal_auth_conf",
		"portal_auth_conf: '{}'":                                                                "has no portal_auth",
		"portal_auth: basic-auth\nportal_auth_conf: '{}'":                                       "is basic-auth, which is not supported",
		"portal_auth: saml\nportal_auth_conf: '{}'":                                             `is "saml": expected openid-connect`,
		"portal_auth: openid-connect\nportal_auth_conf: '{'":                                    "is no JSON",
		"portal_auth: openid-connect\nportal_auth_conf: '[]'":                                   "is JSON, and no object",
		"portal_auth: openid-connect\nportal_auth_conf: []":                                     "is no string",
		"portal_auth: openid-connect\nportal_auth_conf: '{\"a\": 1, \"a\": 2}'":                 "has a member twice",
		"portal_auth: openid-connect\nportal_auth_conf: {a: 1, a: 2}":                           "appears twice",
		portalConf + "portal_auto_approve: maybe":                                               `is "maybe": expected on or off`,
		portalConf + "portal_app_auth: kong-oauth2":                                             "expected external-oauth2, where the identity provider",
		portalConf + "portal_session_conf: 'x'":                                                 "is no JSON",
		portalConf + "portal_gui_listen: 8003":                                                  "is 8003: expected a string",
		portalConf + "portal_gui_listen: localhost":                                             `is "localhost": expected an address`,
		portalConf + "portal_gui_listen: 127.0.0.1:8003 proxy_protocol":                         `has "proxy_protocol" after an address`,
		portalConf + "portal_gui_host: 'a/b'":                                                   "expected an address like https://portal.example",
		portalConf + "portal_gui_host: 'a b'":                                                   "expected an address like",
		portalConf + "portal_gui_protocol: https":                                               "expected portal_gui_host too",
		portalConf + "portal_gui_host: a.example\nportal_gui_url: https://b.example":            "expected one of them",
		portalConf + "gateway_url: ftp://x.example":                                             "expected an address like",
		portalConf + "gateway_url: 'https://user@x.example'":                                    "expected an address like",
		portalConf + "gateway_url: 'https://x.example/path'":                                    "expected an address like",
		portalConf + "gateway_url: 'https://x.example?'":                                        "expected an address like",
		portalConf + "workspace: ../x":                                                          "expected letters, digits",
		portalConf + "workspace: ''":                                                            "expected letters, digits",
		portalConf + "admin_hosts: ['x y']":                                                     "expected a host name",
		portalConf + "portal_auto_aprove: on":                                                   "unknown field: did you mean portal_auto_approve?",
		"portal_auth: openid-connect\nportal_auth_conf: '" + strings.Repeat(" ", 300<<10) + "'": "is longer than 256 KiB",
	} {
		problems := refused(t, portalBlock(members), Options{})
		found := false
		for _, p := range problems {
			found = found || strings.Contains(p.Text, want) && strings.HasPrefix(p.Path, "_sallyport.portal")
		}
		if !found {
			t.Errorf("%.80q: %v, want %q", members, problems, want)
		}
	}
}
