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

	login    bool
	provider *provider
	close    []func() error
}

// Start starts upstream and provider on free ports of loopback and writes the
// file for a gateway that will listen on address, host:port.
func Start(address string) (*Demo, error) { return start(address, login) }

func start(address string, login bool) (*Demo, error) {
	d := &Demo{Gateway: urlOf(address), login: login}
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
		d.provider, err = newProvider(url, d.Gateway)
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
	err = file.Execute(&text, map[string]any{
		"Upstream": upstream, "Issuer": d.Issuer, "Gateway": d.Gateway, "Login": d.login,
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
	return []line{
		{"passes (200)", curl("/orders", "alice")},
		{"refused (403, scope)", curl("/orders", "bob")},
		{"refused (401)", "curl -i " + d.Gateway + "/orders"},
		{"needs no token", "curl -i " + d.Gateway + "/public"},
		{"jwt plugin, as alice", curl("/jwt", "alice")},
	}
}

// Text is what the user is told once the gateway takes requests.
func (d *Demo) Text(admin string) string {
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
	lines = append(lines, "", "The upstream answers with the request as it received it. Change the file and the change is in force.")
	if admin != "" {
		lines = append(lines, "The admin API is at "+admin+"; its token is in "+filepath.Join(d.Dir, "state", "admin-token")+".")
	}
	return strings.Join(append(lines, "Ctrl-C ends the demo.", ""), "\n")
}
