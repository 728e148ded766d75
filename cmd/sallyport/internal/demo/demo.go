package demo

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// login says whether the file has the route that browsers sign in to.
const login = true

// Demo is the gateway's surroundings at work.
type Demo struct {
	Dir     string // of the file and the state; removed by Close
	File    string // the declarative file
	Gateway string // URL
	Issuer  string // URL
	Portal  string // URL of the portal's origin, "" for none

	login    bool
	provider *provider
	close    []func() error
}

// Start starts upstream and provider on free ports of loopback and writes the
// file for a gateway that will listen on address, host:port, and for a portal that
// browsers will reach at an origin.
func Start(address, portal string) (*Demo, error) {
	return begin(&Demo{Gateway: urlOf(address), Portal: portal, login: login})
}

func start(address string, login bool) (*Demo, error) {
	return begin(&Demo{Gateway: urlOf(address), login: login})
}

func begin(d *Demo) (*Demo, error) {
	if err := d.start(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Demo) start() error {
	upstream, err := d.serve(func(string) (http.Handler, error) { return newUpstream(d), nil })
	if err != nil {
		return err
	}
	d.Issuer, err = d.serve(func(url string) (_ http.Handler, err error) {
		d.provider, err = newProvider(url, d.Gateway, d.Portal)
		return d.provider, err
	})
	if err != nil {
		return err
	}
	if d.Dir, err = os.MkdirTemp("", "sallyport-demo"); err != nil {
		return err
	}
	d.File = filepath.Join(d.Dir, "kong.yml")
	var text bytes.Buffer
	portal := map[string]string{}
	if d.Portal != "" {
		portal["Origin"], portal["Client"], portal["Secret"] = d.Portal, d.provider.portal.id, d.provider.portal.secret
	}
	err = file.Execute(&text, map[string]any{
		"Upstream": upstream, "Issuer": d.Issuer, "Gateway": d.Gateway, "Login": d.login, "Portal": portal, "Services": Services,
		"Client": d.provider.client.id, "Secret": d.provider.client.secret, "Key": d.provider.publicPEM(),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(d.File, text.Bytes(), 0o600)
}

//go:embed kong.yml.tmpl
var fileText string

var file = template.Must(template.New("kong.yml").Parse(fileText))

// urlOf returns the URL of an address to listen on, as a browser here would write
// it: a gateway on all addresses is on loopback too.
func urlOf(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "http://" + address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// serve serves a handler, which is made for the URL, on a free port and returns
// the URL.
func (d *Demo) serve(handler func(url string) (http.Handler, error)) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	url := "http://" + l.Addr().String()
	h, err := handler(url)
	if err != nil {
		return "", errors.Join(err, l.Close())
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(l) }() // ends with Close
	d.close = append(d.close, srv.Close)
	return url, nil
}

// Close ends the servers and removes the directory.
func (d *Demo) Close() error {
	var errs []error
	for _, f := range d.close {
		errs = append(errs, f())
	}
	if d.Dir != "" {
		errs = append(errs, os.RemoveAll(d.Dir))
	}
	return errors.Join(errs...)
}

// WaitReady waits until the gateway lets requests through.
func (d *Demo) WaitReady(ctx context.Context) error {
	token, err := d.provider.token(ctx, "alice")
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.Gateway+"/orders", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// line is a command to try and what comes of it.
type line struct{ Says, Command string }

func (d *Demo) lines() []line {
	curl := func(path, user string) string {
		return fmt.Sprintf(`curl -i -H "Authorization: Bearer $(curl -s %s/token/%s)" %s%s`, d.Issuer, user, d.Gateway, path)
	}
	list := []line{
		{"passes (200)", curl("/orders", "alice")},
		{"refused (403, scope)", curl("/orders", "bob")},
		{"refused (401)", "curl -i " + d.Gateway + "/orders"},
		{"needs no token", "curl -i " + d.Gateway + "/public"},
		{"jwt plugin, as alice", curl("/jwt", "alice")},
	}
	if d.Portal != "" {
		a := Applications[0]
		list = append(list, line{"application (200)", curl("/"+a.Access[0], a.ClientID)}, line{"waits for it (403)", curl("/"+a.Wants[0], a.ClientID)})
	}
	return list
}

// portalText is what the user is told of the portal. admin is the administrators' URL,
// token where their token is.
func (d *Demo) portalText(admin, token string) []string {
	return []string{
		"The developer portal is at " + d.Portal + "/default; alice and bob are developers there, and the applications are theirs.",
		"One request waits for an administrator, at " + admin + "; the token for that page is in " + token + ".",
		"The client " + Unregistered + " of the identity provider is not registered yet. Clients' secrets, for the commands on the portal's pages, are",
		"their ids and -secret: " + newApplication("", Unregistered).secret + ".",
	}
}

// portalAdmin and portalToken are the portal's, "" for none.
func (d *Demo) Text(admin, portalAdmin, portalToken string) string {
	lines := []string{
		"",
		"Open " + d.Gateway + "/ in a browser.",
		"",
		"The gateway is at " + d.Gateway + " and enforces " + d.File,
		"",
		"Two users: alice may read the orders, bob may not. Their passwords are their names. Their tokens come from " + d.Issuer + ".",
		"",
	}
	for _, l := range d.lines() {
		lines = append(lines, fmt.Sprintf("  %-22s %s", l.Says+":", l.Command))
	}
	if portalAdmin != "" {
		lines = append(append(lines, ""), d.portalText(portalAdmin, portalToken)...)
	}
	lines = append(lines, "", "The upstream answers with the request as it received it. Change the file and the change is in force.")
	if admin != "" {
		lines = append(lines, "The admin API is at "+admin+"; its token is in "+filepath.Join(d.Dir, "state", "admin-token")+".")
	}
	return strings.Join(append(lines, "Ctrl-C ends the demo.", ""), "\n")
}
