package declarative

import (
	"encoding/json"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/jsonx"
)

// Portal is the block portal of _sallyport: the settings that Kong's developer portal
// has in kong.conf, by their names there, and a few of ours.
type Portal struct {
	// Auth is how developers sign in, openid-connect, and AuthConf the configuration
	// of that plugin: one JSON object.
	Auth, AuthConf string
	// AppAuth says who keeps the credentials of applications: external-oauth2, the
	// identity provider.
	AppAuth string
	// AutoApprove lets whoever registers in at once.
	AutoApprove bool
	// Workspace is the first element of every path.
	Workspace string
	// GUI and API are where the portal listens: for people, and for the way back from
	// the identity provider. Admin is for administrators.
	GUI, API, Admin []Listener
	// AdminHosts are names, beside those of loopback, by which administrators come.
	AdminHosts []string
	// URL and APIURL are the origins of the first two as browsers see them, and
	// GatewayURL that of the services; "" to be told by the listeners.
	URL, APIURL, GatewayURL string
	Line                    int // where the block begins
}

// maxPortalConf bounds a configuration that is a text.
const maxPortalConf = 256 << 10

var workspaceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

// portalAway are settings of Kong's portal that are about what is not here, each with
// the reason why they change nothing.
var portalAway = map[string]string{
	"portal_auth_password_complexity":  "passwords are the identity provider's",
	"portal_auth_login_attempts":       "passwords are the identity provider's",
	"portal_token_exp":                 "there are no passwords to reset",
	"portal_emails_from":               "no mail is sent",
	"portal_emails_reply_to":           "no mail is sent",
	"portal_invite_email":              "no mail is sent",
	"portal_access_request_email":      "no mail is sent",
	"portal_approved_email":            "no mail is sent",
	"portal_reset_email":               "no mail is sent",
	"portal_reset_success_email":       "no mail is sent",
	"portal_application_status_email":  "no mail is sent",
	"portal_application_request_email": "no mail is sent",
	"portal_smtp_admin_emails":         "no mail is sent",
	"portal_email_verification":        "the identity provider verifies addresses",
	"portal_gui_use_subdomains":        "a workspace is a path",
	"portal_cors_origins":              "nobody but the portal's own pages asks it for anything",
	"portal_is_legacy":                 "there is one portal",
	"portal_gui_access_log":            "there is one log",
	"portal_gui_error_log":             "there is one log",
	"portal_api_access_log":            "there is one log",
	"portal_api_error_log":             "there is one log",
	"portal_gui_ssl_cert":              "certificates stand in the file (certificates, snis)",
	"portal_gui_ssl_cert_key":          "certificates stand in the file (certificates, snis)",
	"portal_api_ssl_cert":              "certificates stand in the file (certificates, snis)",
	"portal_api_ssl_cert_key":          "certificates stand in the file (certificates, snis)",
}

// portal reads the block portal.
func (p *parser) portal(v at) {
	s := &Portal{Workspace: "default", AppAuth: "external-oauth2", Line: v.line()}
	on := true
	var protocol, host string
	known := fields{
		"portal": p.switched(&on),
		"portal_auth": p.text(&s.Auth, func(s string) string {
			switch s {
			case "basic-auth", "key-auth", "ldap-auth-advanced", "session":
				return "is " + s + ", which is not supported: expected openid-connect, with an identity provider that keeps the passwords"
			}
			return oneOf("openid-connect")(s)
		}),
		"portal_auth_conf": p.object(&s.AuthConf),
		"portal_session_conf": func(v at) {
			var conf string
			before := p.errors
			if p.object(&conf)(v); p.errors == before {
				p.note(noEffect, v, "has no effect: sessions are those of openid-connect, and portal_auth_conf has their settings (session_*)")
			}
		},
		"portal_auto_approve": p.switched(&s.AutoApprove),
		"portal_app_auth": p.text(&s.AppAuth, func(s string) string {
			if s == "kong-oauth2" {
				return "is kong-oauth2, which is not supported: expected external-oauth2, where the identity provider keeps the credentials of applications"
			}
			return oneOf("external-oauth2")(s)
		}),
		"portal_gui_listen":   p.kongListeners(&s.GUI),
		"portal_api_listen":   p.kongListeners(&s.API),
		"portal_gui_protocol": p.text(&protocol, oneOf("http", "https")),
		"portal_gui_host":     p.text(&host, authority),
		"portal_api_url":      p.text(&s.APIURL, CheckOrigin),
		"portal_gui_url":      p.text(&s.URL, CheckOrigin),

		"workspace": p.text(&s.Workspace, func(s string) string {
			if !workspaceName.MatchString(s) {
				return "is " + strconv.Quote(s) + ": expected letters, digits, - and _"
			}
			return ""
		}),
		"admin_listen": p.kongListeners(&s.Admin),
		"admin_hosts": p.oneOrMore(&s.AdminHosts, func(s string) string {
			if host, _, err := net.SplitHostPort(s); err == nil {
				s = host
			}
			return hostName(s)
		}),
		"gateway_url": p.text(&s.GatewayURL, CheckOrigin),
	}
	for name, why := range portalAway {
		known[name] = func(v at) { p.note(noEffect, v, "has no effect: %s", why) }
	}
	if !p.record(v, known) {
		return
	}
	if host != "" {
		if s.URL != "" {
			p.fail(v, "has portal_gui_url and portal_gui_host: expected one of them")
		}
		if protocol == "" {
			protocol = "http"
		}
		s.URL = protocol + "://" + strings.ToLower(host)
	} else if protocol != "" {
		p.fail(v, "has portal_gui_protocol: expected portal_gui_host too")
	}
	if !on {
		return
	}
	if s.Auth == "" && !p.failedAt(v.path+".portal_auth") {
		p.fail(v, "has no portal_auth: expected openid-connect")
	}
	if s.AuthConf == "" && !p.failedAt(v.path+".portal_auth_conf") {
		p.fail(v, "has no portal_auth_conf: expected the configuration of openid-connect, a JSON object")
	}
	p.file.Settings.Portal = s
}

// switched reads Kong's on and off, and YAML's true and false.
func (p *parser) switched(dst *bool) reader {
	return func(v at) {
		if v.node.Kind == yaml.ScalarNode {
			switch strings.ToLower(v.node.Value) {
			case "on", "true":
				*dst = true
				return
			case "off", "false":
				*dst = false
				return
			}
		}
		p.fail(v, "is %s: expected on or off", kindName(v.node))
	}
}

// object reads a JSON object: as a text, as kong.conf has it, or as a mapping.
func (p *parser) object(dst *string) reader {
	return func(v at) {
		if v.node.Kind == yaml.MappingNode {
			before := p.errors
			value := p.plain(v, 0)
			if p.errors > before {
				return
			}
			text, err := json.Marshal(value)
			if err != nil || len(text) > maxPortalConf {
				p.fail(v, "is no object that JSON has, or a large one")
				return
			}
			*dst = string(text)
			return
		}
		before := p.errors
		var text string
		if p.secret(&text)(v); p.errors > before {
			return
		}
		if len(text) > maxPortalConf {
			p.fail(v, "is longer than %d KiB", maxPortalConf>>10)
			return
		}
		// Strictly: of a member that stands there twice nobody knows which one counts.
		doc, err := jsonx.Parse(text, jsonx.Limits{Bytes: maxPortalConf, Depth: 16, Nodes: 1 << 14})
		if err != nil {
			p.fail(v, "is no JSON: %s", err)
			return
		}
		if doc.Root().Kind() != jsonx.Object {
			p.fail(v, "is JSON, and no object: expected {…}")
			return
		}
		*dst = text
	}
}

// plain returns a value as encoding/json writes it.
func (p *parser) plain(v at, depth int) any {
	v, ok := p.resolve(v)
	if !ok {
		return nil
	}
	if depth > 16 {
		p.fail(v, "is nested too deep")
		return nil
	}
	switch v.node.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		p.members(v, func(name string, _, value at) { out[name] = p.plain(value, depth+1) })
		return out
	case yaml.SequenceNode:
		out := []any{}
		for i, n := range v.node.Content {
			out = append(out, p.plain(at{n, v.path + "[" + strconv.Itoa(i) + "]"}, depth+1))
		}
		return out
	}
	switch v.node.Tag {
	case "!!bool", "!!int", "!!float":
		var value any
		if err := v.node.Decode(&value); err != nil {
			p.fail(v, "is %s, which cannot be read", kindName(v.node))
		}
		return value
	}
	return v.node.Value
}

// kongListeners reads addresses as Kong writes them: one, several with commas, or a
// list; the words after an address say ssl, or something that has no meaning here.
func (p *parser) kongListeners(dst *[]Listener) reader {
	return func(v at) {
		var list []string
		before := p.errors
		if p.oneOrMore(&list)(v); p.errors > before {
			return
		}
		var out []Listener
		for _, entry := range strings.Split(strings.Join(list, ","), ",") {
			words := strings.Fields(entry)
			if len(words) == 0 || len(words) == 1 && words[0] == "off" {
				continue
			}
			l := Listener{Address: words[0], line: v.line()}
			if wrong := listenAddress(l.Address); wrong != "" {
				p.fail(v, "%s", wrong)
				return
			}
			for _, word := range words[1:] {
				switch {
				case word == "ssl":
					l.TLS = true
				case word == "http2", word == "reuseport", word == "deferred", strings.HasPrefix(word, "backlog="):
				default:
					p.fail(v, "has %q after an address: expected ssl", word)
					return
				}
			}
			out = append(out, l)
		}
		*dst = out
	}
}

// authority is a check for a host that may have a port.
func authority(s string) string { return CheckOrigin("http://" + s) }

// CheckOrigin says what is wrong with a text that is to be an origin: scheme, host and
// port, and nothing more; "" for nothing.
func CheckOrigin(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.TrimSuffix(u.Path, "/") != "" ||
		u.RawQuery != "" || u.User != nil || u.Fragment != "" || strings.Contains(s, "#") || strings.Contains(s, "?") {
		return "is " + strconv.Quote(s) + ": expected an address like https://portal.example"
	}
	if name := u.Hostname(); net.ParseIP(name) == nil && hostName(name) != "" {
		return "is " + strconv.Quote(s) + ": the host is none"
	}
	return ""
}
