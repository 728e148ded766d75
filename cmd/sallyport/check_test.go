package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// Everything is on standard output, whether the file can be loaded or not, and nothing
// of a secret.
func TestCheckJSON(t *testing.T) {
	for name, want := range map[string]int{"good": 0, "unsafe": 0, "refused": 2, "missing": 2} {
		t.Run(name, func(t *testing.T) {
			golden := "testdata/check/" + name + ".json"
			code, stdout, stderr := command(t, "check", "--format", "json", "testdata/check/"+name+".yml")
			if code != want || stderr != "" {
				t.Errorf("exit code %d, want %d; errors: %s", code, want, stderr)
			}
			if *update {
				if err := os.WriteFile(golden, []byte(stdout), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			file, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if stdout != string(file) {
				t.Errorf("got\n%s\nwant\n%s", stdout, file)
			}
			if strings.Contains(stdout, "hunter2") {
				t.Errorf("the secret is in\n%s", stdout)
			}
		})
	}
}

// The two formats say the same, with the same exit code; text has the errors on
// standard error.
func TestCheckFailOn(t *testing.T) {
	const noted = `_format_version: "3.0"
plugins: [{name: jwt, enabled: false, config: {claims_to_verify: [exp]}}]
`
	const clean = "_format_version: \"3.0\"\n"
	const warned = `_format_version: "3.0"
services: [{host: h, tls_verify: false}]
`
	const refused = `_format_version: "3.0"
servcies: []
`
	for _, test := range []struct {
		name, file, failOn string
		code               int
		stderr             string
	}{
		{"nothing, error", clean, "error", 0, ""},
		{"nothing, info", clean, "info", 0, ""},
		{"an info, default", noted, "", 0, ""},
		{"an info, warning", noted, "warning", 0, ""},
		{"an info, info", noted, "info", 1, "findings of severity info or above: 1 (--fail-on)"},
		{"a warning, default", warned, "", 0, ""},
		{"a warning, error", warned, "error", 0, ""},
		{"a warning, warning", warned, "warning", 1, "findings of severity warning or above: 1 (--fail-on)"},
		{"a warning, info", warned, "info", 1, "findings of severity info or above: 1 (--fail-on)"},
		{"an error, default", refused, "", 2, "unknown field"},
		{"an error, error", refused, "error", 2, "unknown field"},
		{"an error, info", refused, "info", 2, "unknown field"},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := []string{"check", put(t, "kong.yml", test.file)}
			if test.failOn != "" {
				args = append(args, "--fail-on", test.failOn)
			}
			code, text, stderr := command(t, args...)
			if code != test.code || !strings.Contains(stderr, test.stderr) || test.stderr == "" && stderr != "" {
				t.Errorf("exit code %d, want %d: %s", code, test.code, stderr)
			}
			code, stdout, silent := command(t, append(args, "--format", "json")...)
			if code != test.code || silent != "" {
				t.Errorf("as JSON: exit code %d, want %d: %s", code, test.code, silent)
			}
			var said checked
			if err := json.Unmarshal([]byte(stdout), &said); err != nil {
				t.Fatalf("%v in\n%s", err, stdout)
			}
			if said.Loadable != (test.code != 2) {
				t.Errorf("loadable is %t", said.Loadable)
			}
			for _, p := range said.Problems {
				for _, part := range []string{p.Message, p.Fix, "[" + string(p.Rule) + "]"} {
					if !strings.Contains(text+stderr, part) {
						t.Errorf("no %q in\n%s", part, text+stderr)
					}
				}
			}
		})
	}
}

// Whoever starts something on an unsafe file reads of it.
func TestWarningsAtStart(t *testing.T) {
	const file = "testdata/check/unsafe.yml"
	_, stdout, _ := command(t, "check", file)
	code, _, stderr := command(t, "envoy", "-c", file, "--filter", put(t, "f.wasm", "\x00asm\x01\x00\x00\x00"), "--state-dir", t.TempDir())
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	warnings := 0
	for line := range strings.Lines(stdout) {
		if strings.Contains(line, ": warning: ") {
			warnings++
			if !strings.Contains(stderr, "sallyport: "+line) {
				t.Errorf("envoy does not say %s", line)
			}
		}
	}
	if warnings != 2 || strings.Contains(stderr, ": info: ") {
		t.Errorf("%d warnings in\n%s\nenvoy says\n%s", warnings, stdout, stderr)
	}

	// serve and sidecar open the same sidecar.
	var log bytes.Buffer
	o := serveOptions{common: common{file: file, stateDir: t.TempDir()}}
	sc, err := openSidecar(o.sidecarConfig(slog.New(slog.NewTextHandler(&log, nil)), nil))
	if err != nil {
		t.Fatal(err)
	}
	sc.Close()
	for _, want := range []string{"[large-leeway]", "[short-secret]"} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%s is logged %d times", want, n)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 2 || strings.Contains(log.String(), "hunter2") {
		t.Errorf("%d warnings in the log, or a secret:\n%s", n, log.String())
	}
}

// TestCheckBootstrap: an Envoy bootstrap is told from a declarative file.
func TestCheckBootstrap(t *testing.T) {
	src, err := os.ReadFile("../../internal/envoyconf/testdata/small.golden.yaml")
	if err != nil {
		t.Fatal(err)
	}
	good, bad := put(t, "envoy.yaml", string(src)), put(t, "open.yaml", strings.Replace(string(src), "FAIL_RELOAD", "FAIL_OPEN", 1))
	if code, stdout, stderr := command(t, "check", "--fail-on", "info", good); code != 0 || stderr != "" || stdout != good+": an Envoy bootstrap; whether Envoy accepts it, envoy --mode validate says\n" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := command(t, "check", bad); code != 0 || !strings.Contains(stdout, "[fails-open]") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, _ := command(t, "check", "--fail-on", "warning", "--format", "json", bad); code != 1 || !strings.Contains(stdout, `"rule": "fails-open"`) {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}
