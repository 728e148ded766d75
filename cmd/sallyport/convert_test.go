package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestConvertCommand(t *testing.T) {
	const calls = "http -f POST :8001/services name=s url=http://s.internal\nhttp -f POST :8001/services/s/routes name=r paths=/r\n"
	for _, test := range []struct {
		name, input string
		args        []string
		code        int
		stdout      string
		stderr      string
	}{
		{"everything", calls, nil, 0, "url: http://s.internal", ""},
		{"a plugin that guards nothing", calls + "http -f POST :8001/routes/r/plugins name=cors\n", nil, 1, "- /r", ": left out: plugin cors of route r"},
		{"one that guards", calls + "http -f POST :8001/routes/r/plugins name=ip-restriction\n", nil, 1, "nobody-may-pass", ":3: closed: route r: "},
		{"one for everything", calls + "http -f POST :8001/plugins name=ip-restriction\n", nil, 2, "", "sallyport: nothing is converted"},
		{"another format", calls, []string{"--from", "kong"}, 2, "", "is not what --from says"},
		{"no format", calls, []string{"--from", "terraform"}, 2, "", `sallyport: --from is "terraform": expected auto, deck, kong, kubernetes, admin`},
		{"no file", "", []string{"absent.yml"}, 2, "", "absent.yml"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := command(t, append([]string{"convert", put(t, "in", test.input)}, test.args...)...)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) || test.stderr == "" && stderr != "" {
				t.Errorf("exit code %d, want %d\n%s\n%s", code, test.code, stdout, stderr)
			}
			if (stdout == "") != (code == 2) {
				t.Errorf("exit code %d with\n%s", code, stdout)
			}
			for line := range strings.Lines(stderr) {
				if !strings.HasPrefix(line, "sallyport: ") {
					t.Errorf("a line of the errors does not say whose it is: %s", line)
				}
			}
		})
	}
}

// The file holds secrets: nobody else may read it, and a refusal leaves the old one.
func TestConvertWritesAFile(t *testing.T) {
	out := filepath.Join(t.TempDir(), "kong.yml")
	root := rootCommand()
	root.SetArgs([]string{"convert", "-", "-o", out})
	root.SetIn(strings.NewReader(goodFile))
	var stdout, stderr bytes.Buffer
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	if err := root.ExecuteContext(t.Context()); err != nil || stdout.Len()+stderr.Len() > 0 {
		t.Fatalf("%v\n%s\n%s", err, stdout.String(), stderr.String())
	}
	written, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(out)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if code, text, errs := command(t, "check", out); code != 0 {
		t.Errorf("check: %d\n%s\n%s", code, text, errs)
	}
	if code, _, _ := command(t, "convert", put(t, "in", "nothing"), "-o", out); code != 2 {
		t.Errorf("exit code %d", code)
	}
	if again, err := os.ReadFile(out); err != nil || !bytes.Equal(again, written) {
		t.Errorf("the file is another one now: %v", err)
	}
	if rest, err := os.ReadDir(filepath.Dir(out)); err != nil || len(rest) != 1 {
		t.Errorf("%d files are left, %v", len(rest), err)
	}
}

// TestConvertedExamples: what filters get of an example's file is what they get of the
// file that it converts to, byte for byte.
func TestConvertedExamples(t *testing.T) {
	for _, name := range []string{"DESCOPE_CLIENT_ID", "DESCOPE_CLIENT_SECRET", "OKTA_CLIENT_ID", "OKTA_CLIENT_SECRET"} {
		t.Setenv(name, name)
	}
	t.Setenv("DESCOPE_ISSUER_URL", "http://127.0.0.1:1/project")
	files, err := filepath.Glob("../../examples/*/kong.yml")
	if err != nil || len(files) < 7 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			// Nobody is asked: issuers are where nobody answers.
			file := put(t, "kong.yml", strings.NewReplacer("localhost:8080", "127.0.0.1:1", "https://dev-1234.okta.com", "http://127.0.0.1:1",
				"https://id.example.com", "http://127.0.0.1:1").Replace(string(src)))
			out := filepath.Join(t.TempDir(), "converted.yml")
			if code, stdout, stderr := command(t, "convert", "-o", out, file); code != 0 || stdout+stderr != "" {
				t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
			}
			state := t.TempDir()
			bundle := func(file string) map[string]any {
				saved := filepath.Join(t.TempDir(), "bundle.json")
				if code, stdout, stderr := command(t, "explain", "-c", file, "--url", "http://h/nowhere", "--state-dir", state, "--log-level", "error", "--save-bundle", saved); code != 1 {
					t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
				}
				data, err := os.ReadFile(saved)
				if err != nil {
					t.Fatal(err)
				}
				var b map[string]any
				if err := json.Unmarshal(data, &b); err != nil {
					t.Fatal(err)
				}
				delete(b, "source") // of the file's text
				delete(b, "generation")
				return b
			}
			if before, after := bundle(file), bundle(out); len(before["routes"].([]any)) == 0 || !reflect.DeepEqual(before, after) {
				t.Errorf("got\n%v\nwant\n%v", after, before)
			}
		})
	}
}
