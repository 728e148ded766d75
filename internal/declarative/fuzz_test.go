package declarative

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/routing"
)

// FuzzParse: no input crashes the reader or what is made of its result; the same
// input gives the same result; every error has a text, and a line of the file
// where it is about a value.
func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob("testdata/*.yml")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("seeds: %q, %v", seeds, err)
	}
	for _, name := range seeds {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
		var value any
		if err := yaml.Unmarshal(src, &value); err != nil {
			f.Fatal(err)
		}
		asJSON, err := json.Marshal(value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(asJSON))
	}
	for _, s := range []string{"", "a", "[", "_format_version: '3.0'\nservices: [&a {<<: *a, name: s, host: h}]", "{_format_version: '1.1', routes: [{paths: ['(']}]}"} {
		f.Add(s)
	}
	options := Options{Env: noEnv, ReadFile: noFile, Installation: derive}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 1<<16 {
			return
		}
		file, problems := Parse("k", []byte(src), options)
		again, sameProblems := Parse("k", []byte(src), options)
		if !reflect.DeepEqual(problems, sameProblems) {
			t.Fatalf("first\n%v\nthen\n%v", problems, sameProblems)
		}
		if (file == nil) != (len(problems.Errors()) > 0) {
			t.Fatalf("a file beside errors, or neither: %v", problems)
		}
		lines := strings.Count(src, "\n") + strings.Count(src, "\r") + strings.Count(src, "\u2028") + strings.Count(src, "\u2029") + strings.Count(src, "\u0085") + 1
		for _, p := range problems {
			if p.Text == "" || p.Line < 0 || p.Line > lines+1 { // the end is behind the last line
				t.Errorf("%+v in %d lines", p, lines)
			}
			if _, ok := rules[p.Rule]; !ok {
				t.Errorf("no rule of ours: %+v", p)
			}
			if p.Line == 0 && p.Path != "" {
				t.Errorf("no line: %s", p)
			}
		}
		if file == nil {
			return
		}
		names := map[string]bool{}
		for i, e := range file.Table().Entries {
			if other := again.Table().Entries[i]; e.Name != other.Name || !reflect.DeepEqual(e.Rewrite, other.Rewrite) {
				t.Errorf("entry %d is %+v, then %+v", i, e, other)
			}
			names[e.Name] = true
		}
		for _, r := range file.Routes {
			if r.Service == nil || !names[r.BundleName()] {
				t.Errorf("route %s has no service or no entry", r.Name)
			}
			file.Chain(r)
		}
		for _, path := range []string{"/", "/api", "/api/x", "/api../x"} {
			if e := file.Table().Match(request("GET", "example.com", path, "x-a", "1")); e != nil && !strings.HasPrefix(e.Apply(path), "/") {
				t.Errorf("%s becomes %s", path, e.Apply(path))
			}
		}
		for _, p := range file.Plugins {
			if (p.JWT == nil) == (p.OIDC == nil) {
				t.Errorf("plugin %+v", p)
			}
		}
		for _, s := range file.JWTSecrets {
			if s.Consumer == nil || s.Key == "" || s.ID == "" {
				t.Errorf("credential %+v", s)
			}
		}
		for _, u := range file.Upstreams {
			if u.Name == "" || len(u.Targets) == 0 {
				t.Errorf("upstream %+v", u)
			}
		}
		_ = file.Settings.FilterConfig("c")
		_ = routing.CanonicalHost("")
	})
}
