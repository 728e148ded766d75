package portal

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// front is what stands before the pages: a declarative file for filter and sidecar,
// and what the pages have to know of it.
type front struct {
	file []byte // declarative, JSON
	// claim is where the address of an account stands (consumer_claim), trustEmail
	// that it counts unverified.
	claim      [][]string
	trustEmail bool
	// forbiddenTo is where people without an approved account are sent; "" to tell
	// them on the spot.
	forbiddenTo string
	logoutPath  string
	// formTo are the origins that signing out leads to, one after the other.
	formTo []string
	hosts  []string // names by which the portal is reached
}

// headers are the request headers by which the filter tells pages who is there.
// Their names are made up anew by every process: nobody outside knows them, and the
// filter strips them from callers besides.
type headers struct{ idToken, userInfo, session string }

// where are the addresses of a portal.
type where struct {
	workspace string
	url       string // origin of the pages
	auth      string // origin of the way back from the identity provider
}

func (w where) home() string     { return w.url + "/" + w.workspace }
func (w where) callback() string { return w.auth + "/" + w.workspace + "/auth" }

// Cookies have names of their own: browsers do not keep those of two ports of one
// host apart, and the gateway may be beside.
const (
	sessionCookie = "portal_session"
	flowCookie    = "portal_login"
)

// visitor is the consumer that stands for whoever has not signed in.
const visitor = "visitor"

// authMethods are what a portal's openid-connect does whatever auth_methods says:
// developers have a browser (S3-18).
var authMethods = []any{"authorization_code", "session"}

// ours are the fields of portal_auth_conf that are about upstreams and consumers: the
// pages are the upstream, and the accounts are the consumers.
func ours(field string) bool {
	switch field {
	case "consumer_claim", "consumer_claims", "consumer_by", "consumer_optional", "by_username_ignore_case", "trust_email":
		return true
	}
	return strings.HasPrefix(field, "upstream_") || strings.HasPrefix(field, "downstream_")
}

// generate makes the file. The problems are those of portal_auth_conf, by its fields.
func generate(s *declarative.Portal, w where, h headers, settings *declarative.Settings, dir string) (*front, declarative.Problems, error) {
	var conf map[string]any
	d := json.NewDecoder(strings.NewReader(s.AuthConf))
	d.UseNumber()
	if err := d.Decode(&conf); err != nil {
		return nil, nil, fmt.Errorf("portal_auth_conf: %w", err)
	}
	if err := completeConf(conf, w); err != nil {
		return nil, nil, err
	}
	if err := absolute(conf, dir); err != nil {
		return nil, nil, err
	}
	read, problems := parseConf(conf, settings, w, dir)
	if read == nil {
		return nil, problems, nil
	}
	f, err := frontOf(read, w)
	if err != nil {
		return nil, problems, err
	}
	for field := range conf {
		if ours(field) {
			delete(conf, field)
		}
	}
	conf["upstream_access_token_header"] = nil
	conf["upstream_id_token_header"] = h.idToken
	conf["upstream_session_id_header"] = h.session
	if read.Login.UserInfo {
		conf["upstream_user_info_header"] = h.userInfo
	}
	f.file, err = json.MarshalIndent(document(conf, settings, w, read.Login.RedirectURIs), "", "  ")
	return f, problems, err
}

// completeConf gives what is left out the values that a portal needs.
func completeConf(conf map[string]any, w where) error {
	if methods, given := conf["auth_methods"]; given && methods != nil {
		if names := texts(methods); !slices.Contains(names, "session") {
			return errors.New("portal_auth_conf.auth_methods has no session: the portal keeps a session of whoever has signed in, and takes no other credential")
		}
	}
	if conf["anonymous"] != nil {
		return errors.New("portal_auth_conf.anonymous: nobody comes in without signing in; leave it out")
	}
	conf["auth_methods"] = authMethods
	missing := func(name string, value any) {
		if conf[name] == nil {
			conf[name] = value
		}
	}
	missing("redirect_uri", []any{w.callback()})
	missing("logout_redirect_uri", []any{w.home()})
	missing("logout_uri_suffix", "/"+w.workspace+"/logout")
	missing("session_cookie_name", sessionCookie)
	missing("authorization_cookie_name", flowCookie)
	missing("authorization_cookie_domain", conf["session_cookie_domain"])
	methods := texts(conf["logout_methods"])
	if len(methods) == 0 {
		methods = []string{"DELETE"}
	}
	if !slices.Contains(methods, "POST") { // which is what the pages' own button sends
		methods = append(methods, "POST")
	}
	conf["logout_methods"] = methods
	return nil
}

// absolute makes references to files, which are relative to the settings' folder, good
// for a file that stands elsewhere.
func absolute(v any, dir string) error {
	const reference = "{vault://file/"
	fix := func(v any) (any, error) {
		s, ok := v.(string)
		if !ok {
			return v, absolute(v, dir)
		}
		name, ok := strings.CutPrefix(s, reference)
		if !ok || filepath.IsAbs(name) {
			return s, nil
		}
		path, err := filepath.Abs(filepath.Join(dir, name))
		return reference + path, err
	}
	var err error
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if v[name], err = fix(value); err != nil {
				return err
			}
		}
	case []any:
		for i, value := range v {
			if v[i], err = fix(value); err != nil {
				return err
			}
		}
	}
	return nil
}

// texts returns a list of strings, or one for a list of one.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []string:
		return v
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// parseConf reads the configuration as the plugin's parser does, with all that is to
// be said of it.
func parseConf(conf map[string]any, settings *declarative.Settings, w where, dir string) (*declarative.OIDCConfig, declarative.Problems) {
	text, err := json.Marshal(document(conf, settings, w, nil))
	if err != nil {
		return nil, declarative.Problems{declarative.NewProblem(declarative.Unreadable, "portal_auth_conf", 0, "", err.Error())}
	}
	file, problems := declarative.Parse("portal_auth_conf", text, declarative.Options{Dir: dir})
	// Both plugins have the configuration; what is to be said of it is said once. That
	// the open pages take anybody is on purpose.
	const first, config = "services[0].routes[0].plugins[0]", ".config"
	var out declarative.Problems
	for _, p := range problems {
		path, ok := strings.CutPrefix(p.Path, first)
		if !ok && (strings.HasPrefix(p.Path, "services") || p.Severity != declarative.Error) {
			continue
		}
		if ok {
			p.Path = strings.TrimPrefix(strings.TrimPrefix(path, config), ".")
		}
		p.Line = 0
		out = append(out, p)
	}
	if file == nil {
		return nil, out
	}
	for _, p := range file.Plugins {
		if p.OIDC != nil {
			return p.OIDC, out
		}
	}
	return nil, out
}

// frontOf takes from a configuration what the pages need.
func frontOf(c *declarative.OIDCConfig, w where) (*front, error) {
	l := c.Login
	f := &front{claim: c.Identity.ConsumerClaims, trustEmail: c.Identity.TrustEmail, forbiddenTo: l.ForbiddenTo}
	f.logoutPath = l.LogoutSuffix
	if !strings.HasPrefix(f.logoutPath, "/"+w.workspace+"/") {
		f.logoutPath = "/" + w.workspace + f.logoutPath
	}
	for _, to := range append([]string{c.IssuerURL, l.Endpoints.EndSession}, l.LogoutRedirects...) {
		if origin := declarative.Origin(to); strings.HasPrefix(origin, "http") && !slices.Contains(f.formTo, origin) {
			f.formTo = append(f.formTo, origin)
		}
	}
	for _, to := range append([]string{w.url, w.auth}, l.RedirectURIs...) {
		u, err := url.Parse(to)
		if err != nil {
			return nil, err
		}
		if name := strings.ToLower(u.Hostname()); !slices.Contains(f.hosts, name) {
			f.hosts = append(f.hosts, name)
		}
	}
	if len(f.hosts) > 1 && l.SessionCookie.Domain == "" {
		return nil, fmt.Errorf("the portal has several hosts, %s: a session would be known to only one of them; expected session_cookie_domain in portal_auth_conf",
			strings.Join(f.hosts, ", "))
	}
	return f, nil
}

// document is the declarative file around a configuration. The first route is that
// of the pages for which one has to sign in; those that are open to everybody know
// who is there, if somebody is; the rest has no guard, and says nothing to anybody.
func document(conf map[string]any, settings *declarative.Settings, w where, callbacks []string) map[string]any {
	ws := "/" + w.workspace
	closed := []string{ws + "/"}
	for _, to := range callbacks {
		if u, err := url.Parse(to); err == nil && !strings.HasPrefix(u.EscapedPath(), ws+"/") && u.Path != ws && u.Path != "" && u.Path != "/" {
			closed = append(closed, "~"+escapeRegex(u.EscapedPath())+"$")
		}
	}
	open := map[string]any{}
	for name, value := range conf {
		open[name] = value
	}
	open["anonymous"] = visitor
	plugin := func(config map[string]any) []any {
		return []any{map[string]any{"name": "openid-connect", "config": config}}
	}
	trusted := []string{}
	for _, p := range settings.TrustedIPs {
		trusted = append(trusted, prefixText(p))
	}
	own := map[string]any{"trusted_ips": trusted}
	if len(settings.Filter) > 0 {
		own["filter"] = settings.Filter
	}
	if settings.InstallationSecret != "" {
		own["installation_secret"] = settings.InstallationSecret
	}
	return map[string]any{
		"_format_version": "3.0",
		"_sallyport":      own,
		"services": []any{map[string]any{
			"name": "portal", "url": "http://portal.invalid", // the pages, which are in this process
			"routes": []any{
				map[string]any{"name": "closed", "strip_path": false, "paths": closed, "plugins": plugin(conf)},
				map[string]any{"name": "open", "strip_path": false, "regex_priority": 1, "plugins": plugin(open),
					"paths": []string{"~" + ws + "/?$", "~" + ws + "/unauthorized$", "~/unauthorized$"}},
				map[string]any{"name": "public", "strip_path": false,
					"paths": []string{"/", ws + "/assets/", "~" + ws + "/kong$"}},
			},
		}},
		"consumers": []any{map[string]any{"username": visitor}},
	}
}

func prefixText(p netip.Prefix) string { return p.String() }

// escapeRegex makes a path an expression for itself.
func escapeRegex(path string) string {
	var b strings.Builder
	for _, c := range path {
		if strings.ContainsRune(`\.+*?()|[]{}^$`, c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// Listeners are where a portal listens unless it is told; they are Kong's ports, on
// loopback.
const (
	defaultGUI   = "127.0.0.1:8003"
	defaultAPI   = "127.0.0.1:8004"
	defaultAdmin = "127.0.0.1:8001"
)

// authOrigin is where identity providers send browsers back to: the host of the pages,
// which the cookies belong to, with the port of the other listener.
func authOrigin(pages string, l declarative.Listener) (string, error) {
	origin, err := originOf(l)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(pages)
	if err != nil {
		return "", err
	}
	own, err := url.Parse(origin)
	if err != nil {
		return "", err
	}
	own.Host = u.Hostname()
	if strings.Contains(own.Host, ":") {
		own.Host = "[" + own.Host + "]"
	}
	if _, port, _ := net.SplitHostPort(l.Address); !(own.Scheme == "https" && port == "443" || own.Scheme == "http" && port == "80") {
		own.Host += ":" + port
	}
	return own.String(), nil
}

// originOf is how a browser on this machine, or in the same network, writes the
// address of a listener.
func originOf(l declarative.Listener) (string, error) {
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", fmt.Errorf("%s has no port: addresses for browsers are made of it", l.Address)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	scheme := "http"
	if l.TLS {
		scheme = "https"
	}
	if l.TLS && port == "443" || !l.TLS && port == "80" {
		return scheme + "://" + strings.ToLower(host), nil
	}
	return scheme + "://" + net.JoinHostPort(strings.ToLower(host), port), nil
}
