package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/filter/explain"
	"github.com/sallyport-auth/sallyport/testenv"
	"github.com/sallyport-auth/sallyport/testenv/idp"
	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// explainFile has a route that wants a token and one that does not.
const explainFile = `_format_version: "3.0"
services:
- name: s
  url: "http://127.0.0.1:1"
  routes:
  - {name: guarded, paths: [/guarded], plugins: [{name: jwt, config: {claims_to_verify: [exp], key_claim_name: kid}}]}
  - {name: open, paths: [/open]}
consumers: [{username: alice, jwt_secrets: [{key: alice, secret: alice-secret-of-at-least-32-bytes!}]}]
`

func TestExplain(t *testing.T) {
	file := put(t, "kong.yml", explainFile)
	token := tokens.HS256("alice-secret-of-at-least-32-bytes!", "alice", tokens.In(600))
	tokenFile := put(t, "token", token+"\n")
	headers := put(t, "headers", "Authorization: Bearer "+token+"\r\n\r\nX-Other: 1\n")
	for _, test := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string // parts of them
	}{
		{"allowed", []string{"--url", "http://h/guarded", "--token", "@" + tokenFile}, 0, "set       x-consumer-username: alice", ""},
		{"allowed, headers from a file", []string{"--url", "http://h/guarded", "--header", "@" + headers}, 0, "headers authorization, x-other", ""},
		{"allowed, a visible token", []string{"--url", "http://h/guarded", "--header", "Authorization: Bearer " + token}, 0,
			"decision  allowed", "sallyport: others on this machine can see the Authorization header in the list of processes"},
		{"unprotected", []string{"--url", "https://h/open"}, 0, "plugins   none: nobody is asked for a credential", ""},
		{"refused", []string{"--url", "http://h/guarded"}, 1, "decision  refused with 401 (credential_missing) by jwt", ""},
		{"no route", []string{"--url", "http://h/"}, 1, "route     none: no route matches", ""},
		{"the proxy refuses", []string{"--url", "http://h/a%2fb"}, 1, "decision  refused with 400 (request_malformed)", ""},
		{"as JSON", []string{"--url", "http://h/guarded", "--format", "json"}, 1, `"reason": "credential_missing"`, ""},

		{"no request", nil, 2, "", "sallyport: no request: give its address with --url https://host/path"},
		{"no address", []string{"--url", "/guarded"}, 2, "", `sallyport: "/guarded" is no address: expected http://host/path or https://host/path`},
		{"no method", []string{"--url", "http://h/", "--method", "G T"}, 2, "", `sallyport: "G T" is no method`},
		{"no header", []string{"--url", "http://h/", "--header", "x"}, 2, "", "sallyport: --header: a line has no colon"},
		{"a header in two", []string{"--url", "http://h/", "--header", "x: a\r\ny: b"}, 2, "", "sallyport: a header's name or value may not stand in one"},
		{"a format", []string{"--url", "http://h/", "--format", "xml"}, 2, "", `sallyport: --format is "xml": expected text or json`},
		{"a token that others see", []string{"--url", "http://h/", "--token", token}, 2, "", "sallyport: --token: expected @FILE, or - for standard input"},
		{"no token file", []string{"--url", "http://h/", "--token", "@none"}, 2, "", "sallyport: --token: open none: no such file or directory"},
		{"no token in it", []string{"--url", "http://h/", "--token", "@" + file}, 2, "", "sallyport: --token: expected one token, and nothing else"},
		{"no sidecar", []string{"--url", "http://h/", "--sidecar", "unix:" + filepath.Join(t.TempDir(), "none")}, 2, "", "sallyport: the sidecar cannot be reached"},
		{"a socket that is none", []string{"--url", "http://h/", "--sidecar", "x"}, 2, "", `sallyport: --sidecar is "x": expected unix:PATH`},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := command(t, append([]string{"explain", "-c", file}, test.args...)...)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("exit code %d, want %d\n%s\n%s\nwant %q and %q", code, test.code, stdout, stderr, test.stdout, test.stderr)
			}
			if (code == 2) != (stdout == "") || test.stderr == "" && stderr != "" {
				t.Errorf("exit code %d with output\n%s\nand errors\n%s", code, stdout, stderr)
			}
			for part := range strings.SplitSeq(token, ".") {
				if strings.Contains(stdout+stderr, part) {
					t.Errorf("a part of the token shows:\n%s%s", stdout, stderr)
				}
			}
			if strings.Contains(stdout+stderr, "alice-secret") {
				t.Errorf("a secret shows:\n%s%s", stdout, stderr)
			}
		})
	}
	for _, c := range []struct {
		name, file, stderr string
	}{
		{"no file", "none.yml", "sallyport: the declarative file cannot be read"},
		{"a bad file", put(t, "kong.yml", "services: 7\n"), "_format_version"},
	} {
		if code, stdout, stderr := command(t, "explain", "-c", c.file, "--url", "http://h/"); code != 2 || stdout != "" || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit code %d: %s%s", c.name, code, stdout, stderr)
		}
	}
}

func TestExplainReadsStandardInput(t *testing.T) {
	o := explainOptions{token: "-", url: "http://h/"}
	r, err := o.request(strings.NewReader(" a.b.c\n"), io.Discard)
	if err != nil || len(r.Headers) != 1 || r.Headers[0] != (explain.Header{Name: "authorization", Value: "Bearer a.b.c"}) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := o.request(strings.NewReader("\n"), io.Discard); err == nil {
		t.Error("an empty input is a token")
	}
}

// TestExplainAsksARunningSidecar explains a token of a generated credential, which only
// the sidecar with the installation's secret knows.
func TestExplainAsksARunningSidecar(t *testing.T) {
	file := put(t, "kong.yml", strings.Replace(explainFile, "{key: alice, secret: alice-secret-of-at-least-32-bytes!}", "{key: alice}", 1))
	dir := testenv.TempDir(t)
	c := common{file: file, stateDir: dir, logLevel: "error", logFormat: "text"}
	logger, err := c.logger()
	if err != nil {
		t.Fatal(err)
	}
	sc, err := openSidecar((&sidecarFlags{}).config(c, "", logger, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sc.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	token := put(t, "token", tokens.HS256(sc.File().JWTSecrets[0].Secret, "alice", tokens.In(600)))
	args := []string{"explain", "-c", file, "--url", "http://h/guarded", "--token", "@" + token, "--format", "json"}
	var stdout, stderr string
	testenv.Eventually(t, 10*time.Second, "the sidecar's socket", func() bool {
		var code int
		code, stdout, stderr = command(t, append(args, "--sidecar", "unix:"+sc.Socket())...)
		return code != exitUsage
	})
	var trace explain.Trace
	if err := json.Unmarshal([]byte(stdout), &trace); err != nil || trace.Decision.Outcome != explain.Allowed {
		t.Errorf("%v: %s%s", err, stdout, stderr)
	}
	if code, stdout, _ := command(t, args...); code != exitFailure || !strings.Contains(stdout, "signature_invalid") {
		t.Errorf("another sidecar: exit code %d: %s", code, stdout)
	}
	other := put(t, "kong.yml", strings.Replace(explainFile, "/guarded", "/guard", 1))
	if code, stdout, _ := command(t, "explain", "-c", other, "--url", "http://h/guarded", "--sidecar", "unix:"+sc.Socket()); code != exitFailure ||
		!strings.Contains(stdout, "does it read another file?") || !strings.Contains(stdout, "refused with 503 (route_stale)") {
		t.Errorf("another file: exit code %d: %s", code, stdout)
	}
	if code, _, stderr := command(t, append(args, "--state-dir", dir)...); code != exitUsage || !strings.Contains(stderr, "in use by another sidecar") {
		t.Errorf("the same state directory: exit code %d: %s", code, stderr)
	}
}

// TestExplainOffline: a bundle that was saved judges an issuer's tokens when there is
// nobody to ask any more; what is not in a bundle is not known.
func TestExplainOffline(t *testing.T) {
	issuer := idp.Start(t)
	file := put(t, "kong.yml", explainFile+"plugins: [{name: openid-connect, route: open, config: {issuer: '"+issuer.Issuer()+"', auth_methods: [bearer], audience: [api]}}]\n")
	token := put(t, "token", issuer.Token("k1", map[string]any{"aud": "api"}))
	saved := filepath.Join(t.TempDir(), "bundle.json")
	if code, stdout, stderr := command(t, "explain", "-c", file, "--url", "http://h/open", "--token", "@"+token, "--save-bundle", saved); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if info, err := os.Stat(saved); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	issuer.Close()
	secret := put(t, "secret", tokens.HS256("alice-secret-of-at-least-32-bytes!", "alice", tokens.In(600)))
	other := put(t, "other.yml", strings.Replace(explainFile, "paths: [/open]", "paths: [/open], methods: [GET]", 1))
	for _, tt := range []struct {
		name, stdout, stderr string
		code                 int
		args                 []string
	}{
		{"a good token", "decision  allowed (allowed)", "", 0, []string{"-c", file, "--url", "http://h/open", "--token", "@" + token}},
		{"no token", "decision  refused with 401 (credential_missing)", "", 1, []string{"-c", file, "--url", "http://h/open"}},
		{"a credential", "decision  refused with 503 (sidecar_unreachable)", "--bundle: what becomes of this request cannot be said", 2, []string{"-c", file, "--url", "http://h/guarded", "--token", "@" + secret}},
		{"another file", "does it read another file?", "", 1, []string{"-c", other, "--url", "http://h/open"}},
		{"no bundle in it", "", "sallyport: --bundle: " + token, 2, []string{"-c", file, "--url", "http://h/open", "--bundle", token}},
		{"no such file", "", "sallyport: --bundle: open none", 2, []string{"-c", file, "--url", "http://h/open", "--bundle", "none"}},
		{"a sidecar too", "", "--bundle asks nobody", 2, []string{"-c", file, "--url", "http://h/open", "--sidecar", "unix:/s"}},
	} {
		args := append([]string{"explain", "--bundle", saved}, tt.args...)
		if code, stdout, stderr := command(t, args...); code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%s: exit code %d, want %d\n%s%s", tt.name, code, tt.code, stdout, stderr)
		}
	}
}
