package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// command runs a command line in this process, without variables of the
// environment that would stand for flags.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// put writes a file into a directory of the test's own.
func put(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const goodFile = `_format_version: "3.0"
services: [{name: s, url: "http://127.0.0.1:1", routes: [{name: r, paths: [/r], plugins: [{name: jwt, config: {claims_to_verify: [exp]}}]}]}]
consumers: [{username: alice, jwt_secrets: [{}]}]
`

const goodPortal = `{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"]}`

// portalFile is a file with a portal.
func portalFile(t *testing.T, conf string) string {
	t.Helper()
	return put(t, "kong.yml", "_format_version: \"3.0\"\n_sallyport: {portal: {portal_auth: openid-connect, portal_auth_conf: '"+conf+"'}}\n")
}

func TestUsage(t *testing.T) {
	good := put(t, "kong.yml", goodFile)
	dir := t.TempDir()
	notWasm := put(t, "filter.wasm", "#!/bin/sh\n")
	for _, test := range []struct {
		name   string
		args   []string
		code   int
		stdout string // part of it
		stderr string // the whole, for one line; part of it
	}{
		{"nothing", nil, 0, "Available Commands:", ""},
		{"help", []string{"help"}, 0, "Available Commands:", ""},
		{"--help", []string{"--help"}, 0, "Available Commands:", ""},
		{"-h", []string{"serve", "-h"}, 0, "sallyport serve -c FILE", ""},
		{"help of a command", []string{"help", "check"}, 0, "sallyport check FILE", ""},
		{"--version", []string{"--version"}, 0, "sallyport version ", ""},
		{"an unknown command", []string{"sevre"}, 2, "", `sallyport: "sevre" is no command: expected one of check, convert, demo, envoy, explain, help, image, portal, serve, sidecar`},
		{"an unknown topic", []string{"help", "sevre"}, 2, "", `sallyport: "sevre" is no command: expected one of`},
		{"an unknown flag", []string{"serve", "--cofnig", good}, 2, "", "sallyport: unknown flag: --cofnig (sallyport serve --help lists the flags)"},
		{"an unknown flag of none", []string{"--cofnig"}, 2, "", "sallyport: unknown flag: --cofnig (sallyport --help lists the flags)"},
		{"a flag without its value", []string{"sidecar", "-c"}, 2, "", "sallyport: flag needs an argument: 'c' in -c (sallyport sidecar --help lists the flags)"},
		{"a flag of the wrong kind", []string{"serve", "--workers", "many"}, 2, "", `sallyport: invalid argument "many" for "--workers" flag`},
		{"serve with an argument", []string{"serve", good}, 2, "", "expected sallyport serve -c FILE | --filter FILE --upstream URL [flags]"},
		{"check without a file", []string{"check"}, 2, "", "sallyport: no arguments: expected sallyport check FILE [flags]"},
		{"check of two files", []string{"check", "a", "b"}, 2, "", `sallyport: arguments ["a" "b"]: expected sallyport check FILE [flags]`},

		{"serve without a file", []string{"serve"}, 2, "", "sallyport: no declarative file: give one with -c kong.yml"},
		{"sidecar without a file", []string{"sidecar"}, 2, "", "sallyport: no declarative file: give one with -c kong.yml"},
		{"envoy without a file", []string{"envoy"}, 2, "", "sallyport: no declarative file: give one with -c kong.yml"},
		{"serve, no such file", []string{"serve", "-c", "none.yml"}, 2, "", "sallyport: the declarative file cannot be read: open none.yml: no such file or directory"},
		{"sidecar, no such file", []string{"sidecar", "-c", "none.yml"}, 2, "", "sallyport: the declarative file cannot be read: stat none.yml: no such file or directory"},
		{"envoy, no such file", []string{"envoy", "-c", "none.yml"}, 2, "", "sallyport: the declarative file cannot be read: open none.yml: no such file or directory"},
		{"check, no such file", []string{"check", "none.yml"}, 2, "", "sallyport: the declarative file cannot be read: open none.yml: no such file or directory"},
		{"check of a directory", []string{"check", dir}, 2, "", "is a directory"},
		{"check, a format", []string{"check", good, "--format", "xml"}, 2, "", `sallyport: --format is "xml": expected text or json`},
		{"check, a severity", []string{"check", good, "--fail-on", "note"}, 2, "", `sallyport: --fail-on is "note": expected error, warning or info`},
		{"sidecar of a directory", []string{"sidecar", "-c", dir}, 2, "", "is no file"},

		{"portal without a file", []string{"portal"}, 2, "", "sallyport: no declarative file: give one with -c kong.yml"},
		{"portal without its block", []string{"portal", "-c", good}, 2, "", "has no portal: expected the block portal in _sallyport, or --kong-conf"},
		{"portal without a registry", []string{"portal", "-c", portalFile(t, goodPortal), "--state-dir", t.TempDir(), "--filter", put(t, "f", "\x00asm")}, 2, "", "sallyport: no registry: expected registry in _sallyport, or --registry sqlite:PATH; the gateway's is the same"},
		{"portal, an address", []string{"portal", "-c", portalFile(t, goodPortal), "--listen", "8003"}, 2, "", `sallyport: --listen is "8003": expected HOST:PORT`},
		{"portal, an origin", []string{"portal", "-c", portalFile(t, goodPortal), "--url", "portal.example"}, 2, "", `sallyport: --url is "portal.example": expected an address like https://portal.example`},
		{"portal, settings twice", []string{"portal", "-c", portalFile(t, goodPortal), "--kong-conf", put(t, "kong.conf", "portal = on\n")}, 2, "", "sallyport: the portal is set up twice: by --kong-conf, and by the block portal of the file"},
		{"portal, no such kong.conf", []string{"portal", "-c", good, "--kong-conf", "none.conf"}, 2, "", "sallyport: open none.conf: no such file or directory"},
		{"portal, a kong.conf", []string{"portal", "-c", good, "--kong-conf", put(t, "kong.conf", "portal_auth = saml\nportal_auth_conf = {}\n")}, 2, "", `kong.conf:1: portal_auth: is "saml": expected openid-connect`},
		{"portal, its openid-connect", []string{"portal", "-c", portalFile(t, `{"issuer": "https://idp.example", "client_id": ["p"], "client_secret": ["s"], "leway": 1}`), "--registry", "sqlite:" + filepath.Join(t.TempDir(), "r.db"), "--state-dir", t.TempDir(), "--filter", put(t, "f", "\x00asm")}, 2, "",
			"sallyport: portal_auth_conf: leway: unknown field: did you mean leeway?"},

		{"a log level", []string{"serve", "-c", good, "--log-level", "loud"}, 2, "", `sallyport: --log-level is "loud": expected debug, info, warn or error`},
		{"a log format", []string{"sidecar", "-c", good, "--log-format", "xml"}, 2, "", `sallyport: --log-format is "xml": expected text or json`},
		{"a socket that is none", []string{"serve", "-c", good, "--sidecar", "127.0.0.1:1", "--filter", put(t, "f", "\x00asm")}, 2, "", `sallyport: --sidecar is "127.0.0.1:1": expected unix:PATH`},
		{"a socket without a path", []string{"sidecar", "-c", good, "--listen", "unix:"}, 2, "", `sallyport: --listen is "unix:": expected unix:PATH`},
		{"serve, an address", []string{"serve", "-c", good, "--listen", "8000"}, 2, "", `sallyport: --listen is "8000": expected HOST:PORT`},
		{"demo, an address", []string{"demo", "--listen", "127.0.0.1:http8"}, 2, "", `sallyport: --listen is "127.0.0.1:http8": expected HOST:PORT`},
		{"a registry of no kind", []string{"envoy", "-c", good, "--registry", "mysql://h/d", "--state-dir", t.TempDir(), "--filter", notWasm}, 2, "", "sallyport: registry: invalid: dsn is of an unknown kind: expected sqlite:PATH or postgres://"},
		{"serve, a port too high", []string{"serve", "-c", good, "--listen", "127.0.0.1:65536"}, 2, "", `sallyport: --listen is "127.0.0.1:65536": expected HOST:PORT`},
		{"serve, a status address", []string{"serve", "-c", good, "--status-listen", "x"}, 2, "", `sallyport: --status-listen is "x": expected HOST:PORT`},
		{"sidecar, a status address", []string{"sidecar", "-c", good, "--status-listen", "x"}, 2, "", `sallyport: --status-listen is "x": expected HOST:PORT`},
		{"sidecar, an admin address", []string{"sidecar", "-c", good, "--state-dir", dir, "--admin-listen", "x"}, 2, "", `sallyport: --admin-listen is "x": expected HOST:PORT`},
		{"envoy, an address", []string{"envoy", "-c", good, "--listen", "x:y"}, 2, "", `sallyport: --listen is "x:y": expected HOST:PORT`},
		{"envoy, an admin address", []string{"envoy", "-c", good, "--envoy-admin", "9901"}, 2, "", `sallyport: --envoy-admin is "9901": expected HOST:PORT`},
		{"serve, no module", []string{"serve", "-c", good, "--filter", "none.wasm"}, 2, "", "none.wasm: no such file or directory"},
		{"serve, two filters with a file", []string{"serve", "-c", good, "--filter", "a", "--filter", "b"}, 2, "", "sallyport: 2 times --filter: with -c there is one, which enforces the file"},
		{"serve, an upstream with a file", []string{"serve", "-c", good, "--upstream", "http://127.0.0.1:1"}, 2, "", "sallyport: --upstream does not go with -c: the file says which filter runs and where requests go"},
		{"serve, a filter's configuration with a file", []string{"serve", "-c", good, "--filter", notWasm, "--filter-config", good}, 2, "", "sallyport: --filter-config does not go with -c"},
		{"serve, a filter without an upstream", []string{"serve", "--filter", notWasm}, 2, "", "sallyport: --filter without -c: say with --upstream where requests go"},
		{"serve, an upstream without a filter", []string{"serve", "--upstream", "http://127.0.0.1:1"}, 2, "", "sallyport: --upstream without --filter: give a module, or a declarative file with -c kong.yml"},
		{"serve, a sidecar without a file", []string{"serve", "--filter", notWasm, "--upstream", "http://127.0.0.1:1", "--sidecar", "unix:s"}, 2, "", "sallyport: --sidecar needs a declarative file: without -c no sidecar runs"},
		{"serve, an admin API without a file", []string{"serve", "--filter", notWasm, "--upstream", "http://127.0.0.1:1", "--admin-listen", "127.0.0.1:1"}, 2, "", "sallyport: --admin-listen needs a declarative file"},
		{"serve, an upstream that is none", []string{"serve", "--filter", notWasm, "--upstream", "127.0.0.1:1"}, 2, "", `sallyport: --upstream is "127.0.0.1:1": expected http://HOST[:PORT] or https://HOST[:PORT], without a path`},
		{"serve, an upstream with a path", []string{"serve", "--filter", notWasm, "--upstream", "http://127.0.0.1:1/x"}, 2, "", `sallyport: --upstream is "http://127.0.0.1:1/x": expected`},
		{"serve, a configuration before its filter", []string{"serve", "--filter-config", good, "--filter", notWasm}, 2, "", `invalid argument "` + good + `" for "--filter-config" flag: expected a --filter before it`},
		{"serve, two configurations of a filter", []string{"serve", "--filter", notWasm, "--filter-config", good, "--filter-config", good}, 2, "", "the --filter before it has one already"},
		{"serve, a cluster that is none", []string{"serve", "--filter-cluster", "auth"}, 2, "", "expected NAME=http://HOST:PORT, NAME=https://HOST:PORT or NAME=unix:PATH"},
		{"serve, a filter without a deadline", []string{"serve", "--filter", notWasm, "--upstream", "http://127.0.0.1:1", "--filter-deadline", "0"}, 2, "", "sallyport: --filter-deadline is 0s: expected more than 0"},
		{"serve, a filter with too much memory", []string{"serve", "--filter", notWasm, "--upstream", "http://127.0.0.1:1", "--filter-memory", "4097"}, 2, "", "sallyport: --filter-memory is 4097: expected 1 to 4096 MiB"},
		{"serve, any module that is none", []string{"serve", "--filter", notWasm, "--upstream", "http://127.0.0.1:1"}, 2, "", "is no wasm module"},
		{"serve, a filter's configuration that is not there", []string{"serve", "--filter", put(t, "g", "\x00asm"), "--filter-config", "none.json", "--upstream", "http://127.0.0.1:1"}, 2, "", "sallyport: open none.json: no such file or directory"},
		{"serve, a module that is none", []string{"serve", "-c", good, "--filter", notWasm}, 2, "", "is no wasm module"},
		{"envoy, a module that is none", []string{"envoy", "-c", good, "--filter", notWasm}, 2, "", "is no wasm module"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := command(t, test.args...)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("exit code %d, want %d\n%s\n%s\nwant %q", code, test.code, stdout, stderr, test.stdout+test.stderr)
			}
			if code != 0 && stdout != "" || code == 0 && stderr != "" {
				t.Errorf("exit code %d with output\n%s\nand errors\n%s", code, stdout, stderr)
			}
			for line := range strings.Lines(stderr) {
				if !strings.HasPrefix(line, "sallyport: ") {
					t.Errorf("a line of the errors does not say whose it is: %s", line)
				}
			}
		})
	}
}

// TestHelpNamesEveryFlag holds the commands against the flags that others rely on.
func TestHelpNamesEveryFlag(t *testing.T) {
	for name, flags := range map[string]string{
		"serve":   "config listen admin-listen admin-token status-listen sidecar filter state-dir ignore-unsupported log-level log-format workers cache-dir socket-group upstream filter-config filter-root-id filter-vm-config filter-vm-id filter-cluster filter-stop-iteration filter-deadline filter-memory",
		"sidecar": "config listen admin-listen admin-token status-listen state-dir ignore-unsupported log-level log-format socket-group",
		"envoy":   "config listen sidecar filter state-dir ignore-unsupported envoy-admin",
		"check":   "ignore-unsupported format fail-on",
		"convert": "from output namespace ingress-class",
		"image":   "output filter tag",
		"explain": "config method url header token sidecar bundle save-bundle state-dir format ignore-unsupported log-level",
	} {
		code, stdout, _ := command(t, name, "--help")
		if code != 0 {
			t.Errorf("%s: exit code %d", name, code)
		}
		for flag := range strings.FieldsSeq(flags) {
			if !strings.Contains(stdout, "--"+flag) {
				t.Errorf("%s has no --%s: %s", name, flag, stdout)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	for _, test := range []struct {
		name, file string
		args       []string
		code       int
		stdout     []string
		stderr     []string // all of them, a line each, behind the file's name
	}{
		{name: "a good file", file: goodFile, stdout: []string{": 1 services, 1 routes, 1 plugins, 1 consumers, 1 credentials: can be loaded"}},
		{name: "one with a warning", file: strings.Replace(goodFile, "claims_to_verify: [exp]", "", 1), stdout: []string{":2: warning: services[0].routes[0].plugins[0]", "can be loaded"}},
		{
			name: "everything at once", code: 2,
			file: `_format_version: "3.0"
servcies: []
services:
- name: s
  url: http://127.0.0.1
  routes:
  - name: r
    paths: [r]
    plugins:
    - name: jwt
      config: {claims_to_verify: [iat], maximum_expiration: -1, colour: red}
    - name: jtw
- {name: t, url: "ftp://127.0.0.1"}
consumers:
- username: alice
  jwt_secrets:
  - {key: k, algorithm: RS256}
  - {key: k2, algorithm: HS257}
jwt_secrets:
- {consumer: bob, secret: s}
`,
			stderr: []string{
				":2: servcies: ", ":13: services[1].url: ", ":8: services[0].routes[0].paths[0]: ",
				":11: services[0].routes[0].plugins[0].config.claims_to_verify[0]: ",
				":11: services[0].routes[0].plugins[0].config.maximum_expiration: ",
				":11: services[0].routes[0].plugins[0].config.colour: ", ":12: services[0].routes[0].plugins[1]",
				":17: consumers[0].jwt_secrets[0]: has algorithm RS256 and no rsa_public_key: expected the public key in PEM",
				":18: consumers[0].jwt_secrets[1].algorithm: ", ":20: jwt_secrets[0].consumer: refers to \"bob\"",
			},
		},
		{name: "no YAML", file: "services: [\n", code: 2, stderr: []string{":2: is not YAML: "}},
		{name: "an empty file", code: 2, stderr: []string{": is empty: expected _format_version, services, …"}},
		{name: "no version", file: "services: []\n", code: 2, stderr: []string{`:1: _format_version: is missing: expected "1.1", "2.1" or "3.0"`}},
		{name: "a plugin that guards nothing", file: goodFile + "plugins: [{name: cors}]\n", code: 2, stderr: []string{":4: plugins[0]"}},
		{name: "the same, ignored", file: goodFile + "plugins: [{name: cors}]\n", args: []string{"--ignore-unsupported"}, stdout: []string{":4: info: plugins[0]", "can be loaded"}},
		{name: "a plugin that guards, ignored", file: goodFile + "plugins: [{name: ip-restriction}]\n", args: []string{"--ignore-unsupported"}, code: 2, stderr: []string{":4: plugins[0]"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := put(t, "kong.yml", test.file)
			code, stdout, stderr := command(t, append([]string{"check", path}, test.args...)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, want := range test.stdout {
				if !strings.Contains(stdout, path+want) && !strings.Contains(stdout, want) {
					t.Errorf("no %q in\n%s", want, stdout)
				}
			}
			lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
			if stderr == "" {
				lines = nil
			}
			if len(lines) != len(test.stderr) {
				t.Errorf("%d problems, want %d:\n%s", len(lines), len(test.stderr), stderr)
			}
			for _, want := range test.stderr {
				if !strings.Contains(stderr, "sallyport: "+path+want) {
					t.Errorf("no line with %q in\n%s", want, stderr)
				}
			}
			// The other commands say the same about the same file.
			if test.code == 2 && len(test.args) == 0 {
				for _, other := range [][]string{{"envoy", "-c", path}, {"sidecar", "-c", path, "--state-dir", t.TempDir()}, {"serve", "-c", path, "--state-dir", t.TempDir()}} {
					if code, _, said := command(t, other...); code != 2 || said != stderr {
						t.Errorf("%s: exit code %d and\n%s\nwant what check says:\n%s", other[0], code, said, stderr)
					}
				}
			}
		})
	}
}

func TestReferencesIntoTheEnvironment(t *testing.T) {
	secret := put(t, "secret.txt", "from a file\n")
	file := put(t, "kong.yml", `_format_version: "3.0"
consumers: [{username: alice, jwt_secrets: [{key: k, secret: "{vault://env/alice-secret}"}, {key: l, secret: "{vault://file/`+secret+`}"}]}]
`)
	if code, _, stderr := command(t, "check", file); code != 2 ||
		!strings.Contains(stderr, "refers to the environment variable ALICE_SECRET, which is not set") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	t.Setenv("ALICE_SECRET", "the marker")
	code, stdout, stderr := command(t, "check", file)
	if code != 0 || strings.Contains(stdout+stderr, "marker") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := command(t, "check", file); code != 2 || !strings.Contains(stderr, "cannot be read") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestVariablesStandForFlags(t *testing.T) {
	environment := map[string]string{"SALLYPORT_LISTEN": "127.0.0.1:1,127.0.0.1:2", "SALLYPORT_STATE_DIR": "/from/env", "SALLYPORT_ADMIN_LISTEN": ""}
	lookup := func(name string) (string, bool) { v, ok := environment[name]; return v, ok }
	flags := func(args ...string) *pflag.FlagSet {
		f := serveCommand().Flags()
		if err := f.Parse(args); err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := flags("--state-dir", "/from/flag")
	if err := fromEnvironment(f, lookup); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"listen": "[127.0.0.1:1,127.0.0.1:2]", "state-dir": "/from/flag", "admin-listen": "", "log-level": "info",
	} {
		if got := f.Lookup(name).Value.String(); got != want {
			t.Errorf("--%s is %q, want %q", name, got, want)
		}
	}
	environment = map[string]string{"SALLYPORT_WORKERS": "many", "SALLYPORT_IGNORE_UNSUPPORTED": "perhaps", "SALLYPORT_HELP": "true"}
	err := fromEnvironment(flags(), lookup)
	if err == nil || !strings.Contains(err.Error(), "SALLYPORT_WORKERS: ") || !strings.Contains(err.Error(), "SALLYPORT_IGNORE_UNSUPPORTED: ") {
		t.Errorf("error %v, want one with both", err)
	}

	t.Setenv("SALLYPORT_CONFIG", "from-environment.yml")
	if code, _, stderr := command(t, "serve"); code != 2 || !strings.Contains(stderr, "from-environment.yml") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, _, stderr := command(t, "serve", "-c", "from-flag.yml"); code != 2 || !strings.Contains(stderr, "from-flag.yml") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	t.Setenv("SALLYPORT_WORKERS", "many")
	if code, _, stderr := command(t, "serve"); code != 2 || !strings.Contains(stderr, "sallyport: SALLYPORT_WORKERS: ") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestEnvoyCommand(t *testing.T) {
	file, wasm, dir := put(t, "kong.yml", goodFile), put(t, "f.wasm", "\x00asm\x01\x00\x00\x00"), t.TempDir()
	code, stdout, stderr := command(t, "envoy", "-c", file, "--filter", wasm, "--state-dir", dir, "--listen", "127.0.0.1:18000", "--listen", "127.0.0.1:18001", "--envoy-admin", "127.0.0.1:19901")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"port_value: 18000", "port_value: 18001", "port_value: 19901", wasm, filepath.Join(dir, "sidecar.sock"), "FAIL_RELOAD"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in the bootstrap", want)
		}
	}
	if _, again, _ := command(t, "envoy", "-c", file, "--filter", wasm, "--state-dir", dir, "--listen", "127.0.0.1:18000", "--listen", "127.0.0.1:18001", "--envoy-admin", "127.0.0.1:19901"); again != stdout {
		t.Error("another bootstrap from the same file")
	}
	warns := put(t, "kong.yml", strings.Replace(goodFile, "claims_to_verify: [exp]", "", 1))
	code, stdout, stderr = command(t, "envoy", "-c", warns, "--filter", wasm, "--state-dir", dir)
	if code != 0 || !strings.Contains(stderr, "sallyport: "+warns+":2: warning: ") || strings.Contains(stdout, "warning") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestServeClosesItsSidecar starts serve where the filter cannot be started: the
// state directory has to be free afterwards.
func TestServeClosesItsSidecar(t *testing.T) {
	o := serveOptions{
		common:  common{file: put(t, "kong.yml", goodFile), stateDir: t.TempDir(), logLevel: "error", logFormat: "text"},
		filters: filterFlags{list: []filterFlag{{module: put(t, "f.wasm", "\x00asm\x01\x00\x00\x00")}}}, listen: []string{"127.0.0.1:0"},
		cacheDir: put(t, "cache", "a file where a directory is expected"),
	}
	logger, err := o.logger()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve(t.Context(), o, logger, nil); err == nil || !strings.Contains(err.Error(), o.cacheDir) {
		t.Fatalf("error %v, want one with %s", err, o.cacheDir)
	}
	sc, err := openSidecar(o.sidecarConfig(logger, nil))
	if err != nil {
		t.Fatalf("the state directory is still in use: %v", err)
	}
	sc.Close()
}

func TestTogether(t *testing.T) {
	ended := false
	err := together(t.Context(),
		nil,
		func(ctx context.Context) error { <-ctx.Done(); ended = true; return nil },
		func(context.Context) error { return os.ErrClosed })
	if err != os.ErrClosed || !ended {
		t.Errorf("error %v, the other has ended: %v", err, ended)
	}
}
