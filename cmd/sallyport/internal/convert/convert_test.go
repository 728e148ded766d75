package convert

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

var update = flag.Bool("update", false, "write the golden files")

// options are those of the command without flags.
var options = Options{From: "auto", Namespace: "default", IngressClass: "kong"}

// from converts one input.
func from(src string) *Result { return Convert([]Input{{"in", []byte(src)}}, options) }

// said returns the notes, a line each.
func (r *Result) said() string {
	var b strings.Builder
	for _, n := range r.Notes {
		b.WriteString(n.String() + "\n")
	}
	return b.String()
}

// parsed returns the file as the product reads it.
func (r *Result) parsed(t testing.TB) *declarative.File {
	t.Helper()
	f, problems := declarative.Parse("kong.yml", r.File, declarative.Options{
		Env:      func(string) (string, bool) { return "https://reference.invalid/of-at-least-32-bytes", true },
		ReadFile: func(string) ([]byte, error) { return nil, os.ErrNotExist },
	})
	if f == nil {
		t.Fatalf("the file cannot be loaded: %v\n%s\n%s", problems, r.File, r.said())
	}
	return f
}

// examples are the files of testdata, and what the articles have.
func examples(t testing.TB) []string {
	t.Helper()
	inputs, err := filepath.Glob("testdata/*.*")
	if err != nil || len(inputs) == 0 {
		t.Fatal(inputs, err)
	}
	const folder = "../../../../examples/"
	return append(inputs, folder+"descope/kubernetes.yaml", folder+"keycloak-login/admin.sh")
}

// TestGolden converts each of them: what comes out, and what is said of it.
func TestGolden(t *testing.T) {
	for _, input := range examples(t) {
		t.Run(filepath.Base(input), func(t *testing.T) {
			src, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			r := Convert([]Input{{filepath.Base(input), src}}, options)
			r.parsed(t)
			if strings.Contains(r.said(), "hunter2") {
				t.Errorf("a secret is in\n%s", r.said())
			}
			golden := filepath.Join("testdata", "golden", filepath.Base(input))
			for name, got := range map[string]string{golden + ".yml": string(r.File), golden + ".txt": r.said()} {
				if *update {
					if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
				}
			}
			// What is converted converts to itself.
			again := from(string(r.File))
			if string(again.File) != string(r.File) || len(again.Notes) > 0 {
				t.Errorf("converted again:\n%s\n%s", again.File, again.said())
			}
		})
	}
}

// TestVariables: what decK fills in from the environment is a reference, and what is a
// variable and more closes what it guards.
func TestVariables(t *testing.T) {
	const head = "_format_version: '3.0'\nservices:\n- name: s\n  url: http://h\n  routes: [{name: r, paths: [/]}]\n  plugins:\n  - name: openid-connect\n    config: {issuer: 'https://i', audience: [a], auth_methods: [bearer, introspection], client_id: c, client_secret: "
	r := from(head + `'${{ env "DECK_SECRET" }}'}` + "\n")
	if !strings.Contains(string(r.File), "client_secret: '{vault://env/DECK_SECRET}'") {
		t.Errorf("got\n%s\n%s", r.File, r.said())
	}
	if r.said() != "in:8: changed: DECK_SECRET: decK's variable is read from the environment by sallyport: {vault://env/DECK_SECRET}\n" {
		t.Errorf("said %s", r.said())
	}
	r.parsed(t)
	r = from(head + `'x${{ env "DECK_SECRET" }}'}` + "\n")
	if !strings.Contains(r.said(), "in:8: closed: route r: ") || strings.Contains(string(r.File), "DECK_SECRET") {
		t.Errorf("got\n%s\n%s", r.File, r.said())
	}
}
