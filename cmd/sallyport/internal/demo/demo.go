package demo

import (
	"bytes"
	"context"
	"encoding/json"
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

// Demo is the gateway's surroundings at work.
type Demo struct {
	Dir    string // of the file and the state; removed by Close
	File   string // the declarative file
	Issuer string // URL
	issuer *issuer
	close  []func() error
}

// Start starts upstream and issuer on free ports of loopback and writes the file.
func Start() (*Demo, error) {
	d := &Demo{}
	upstream, err := d.listen(http.HandlerFunc(show))
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	iss, err := newIssuer()
	if err == nil {
		d.issuer = iss
		d.Issuer, err = d.listen(iss)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	iss.url = d.Issuer
	if d.Dir, err = os.MkdirTemp("", "sallyport-demo"); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.File = filepath.Join(d.Dir, "kong.yml")
	var text bytes.Buffer
	err = file.Execute(&text, map[string]string{"Upstream": upstream, "Issuer": d.Issuer, "Key": iss.publicPEM()})
	if err == nil {
		err = os.WriteFile(d.File, text.Bytes(), 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// listen serves a handler on a free port and returns its URL.
func (d *Demo) listen(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(l) }() // ends with Close
	d.close = append(d.close, srv.Close)
	return "http://" + l.Addr().String(), nil
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

// WaitReady waits until the gateway at the URL lets requests through.
func (d *Demo) WaitReady(ctx context.Context, gateway string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, gateway+"/orders", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+d.issuer.token("alice"))
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

// Text is what the user is told once the gateway takes requests.
func (d *Demo) Text(gateway, admin string) string {
	curl := func(path, token string) string {
		return fmt.Sprintf(`curl -i -H "Authorization: Bearer $(curl -s %s/token/%s)" %s%s`, d.Issuer, token, gateway, path)
	}
	lines := []string{
		"",
		"The gateway is at " + gateway + " and enforces " + d.File,
		"",
		"Two users: alice may read the orders, bob may not. Their tokens come from " + d.Issuer + ".",
		"",
		"  passes (200):          " + curl("/orders", "alice"),
		"  refused (403, scope):  " + curl("/orders", "bob"),
		"  refused (401):         curl -i " + gateway + "/orders",
		"  needs no token:        curl -i " + gateway + "/public",
		"  jwt plugin, as alice:  " + curl("/jwt", "alice"),
		"",
		"The upstream answers with the request as it received it. Change the file and the change is in force.",
	}
	if admin != "" {
		lines = append(lines, "The admin API is at "+admin+"; its token is in "+filepath.Join(d.Dir, "state", "admin-token")+".")
	}
	return strings.Join(append(lines, "Ctrl-C ends the demo.", ""), "\n")
}

// show answers with the request as it arrived.
func show(w http.ResponseWriter, r *http.Request) {
	headers := map[string]string{}
	for name, values := range r.Header {
		if name != "Authorization" {
			headers[name] = strings.Join(values, ", ")
		}
	}
	body, err := json.MarshalIndent(map[string]any{"method": r.Method, "path": r.URL.RequestURI(), "headers": headers}, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

var file = template.Must(template.New("kong.yml").Parse(`_format_version: "3.0"

services:
- name: shop
  url: {{.Upstream}}
  routes:
  - name: public
    paths: [/public]
  - name: orders
    paths: [/orders]
    strip_path: false
    plugins:
    - name: openid-connect
      config:
        issuer: {{.Issuer}}
        auth_methods: [bearer]
        audience: [shop]
        scopes_required: [orders:read]
  - name: jwt
    paths: [/jwt]
    plugins:
    - name: jwt
      config:
        key_claim_name: sub
        claims_to_verify: [exp]

consumers:
- username: alice
  jwt_secrets:
  - key: alice
    algorithm: ES256
    rsa_public_key: |
{{.Key}}
`))
