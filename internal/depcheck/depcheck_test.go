package depcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sallyport-auth/sallyport"

// listed is what the tests use of the output of go list -json.
type listed struct {
	ImportPath, Name, Dir string
	Standard, DepOnly     bool
	GoFiles               []string
	Imports, Deps         []string
	TestImports           []string
	XTestImports          []string
	Module                *struct{ Path string }
}

// own returns the path within the module, ok false for a package of others.
func own(importPath string) (rel string, ok bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// sources looks at every Go file of the module, so that go test does not take the
// result of an earlier run for good after one of them has changed.
func sources(t *testing.T) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "build" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// list runs go list -deps for a pattern of the module and returns the packages by path.
func list(t *testing.T, pattern string, env ...string) map[string]listed {
	t.Helper()
	sources(t)
	cmd := exec.Command("go", "list", "-deps", "-json", module+"/"+pattern)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	packages := map[string]listed{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

// matches reports whether a path is a pattern's, or in its folder.
func matches(pattern, rel string) bool {
	if pattern == "..." {
		return true
	}
	if folder, ok := strings.CutSuffix(pattern, "/..."); ok {
		return rel == folder || strings.HasPrefix(rel, folder+"/")
	}
	return pattern == rel
}

func matchesAny(patterns []string, rel string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, rel) })
}

// ruleFor returns the rule with the longest path that fits.
func ruleFor(rel string) (best rule, ok bool) {
	for _, r := range rules {
		if matches(r.path, rel) && (!ok || len(r.path) > len(best.path)) {
			best, ok = r, true
		}
	}
	return best, ok
}

// violations returns what a package imports against a rule.
func violations(r rule, p listed, all map[string]listed) []string {
	var found []string
	for _, i := range p.Imports {
		if rel, ok := own(i); ok && !matchesAny(r.own, rel) {
			found = append(found, "imports "+rel)
		}
	}
	for _, d := range p.Deps {
		dep := all[d]
		switch _, isOwn := own(d); {
		case isOwn:
		case dep.Standard:
			if matchesAny(r.never, d) {
				found = append(found, "brings "+d+" along")
			}
		case r.modules == nil && !limited(r.path):
		case dep.Module == nil || !slices.Contains(r.modules, dep.Module.Path):
			found = append(found, "brings "+d+" of another module along")
		}
	}
	return found
}

// limited reports whether a rule's list of modules is exhaustive: programs and
// tests may use what go.mod has.
func limited(path string) bool {
	return !strings.HasPrefix(path, "cmd/") && !strings.HasPrefix(path, "testenv/") && !strings.HasPrefix(path, "examples/")
}

func TestImports(t *testing.T) {
	all := list(t, "...")
	used := map[string]bool{}
	for _, importPath := range slices.Sorted(maps.Keys(all)) {
		rel, ok := own(importPath)
		if !ok {
			continue
		}
		t.Run(rel, func(t *testing.T) {
			r, ok := ruleFor(rel)
			if !ok {
				t.Fatalf("%s has no rule: give it one in rules_test.go", rel)
			}
			used[r.path] = true
			for _, v := range violations(r, all[importPath], all) {
				t.Errorf("%s: %s (%s: %s)", rel, v, r.path, r.why)
			}
		})
	}
	for _, r := range rules {
		if !used[r.path] && r.path != "examples/..." {
			t.Errorf("the rule for %s has no package", r.path)
		}
	}
}

// What the filter links is listed for its own platform too: files with a build
// constraint would hide an import from the first test.
func TestImportsOfTheModule(t *testing.T) {
	all := list(t, "filter", "GOOS=wasip1", "GOARCH=wasm")
	for _, d := range append([]string{module + "/filter"}, all[module+"/filter"].Deps...) {
		rel, ok := own(d)
		if !ok {
			if !all[d].Standard {
				t.Errorf("the filter links %s of another module", d)
			}
			continue
		}
		r, _ := ruleFor(rel)
		for _, v := range violations(r, all[d], all) {
			t.Errorf("%s: %s (%s)", rel, v, r.why)
		}
	}
}

// Nothing that ships imports the test environment, the demo aside.
func TestTestenvDoesNotShip(t *testing.T) {
	for importPath, p := range list(t, "...") {
		rel, ok := own(importPath)
		if !ok || matches("testenv/...", rel) {
			continue
		}
		for _, i := range p.Imports {
			if target, ok := own(i); ok && matches("testenv/...", target) && target != "testenv/demo" {
				t.Errorf("%s imports %s", rel, target)
			}
		}
	}
}

// A host that knew authentication could not run any other filter.
func TestHostKnowsNoAuthentication(t *testing.T) {
	for importPath, p := range list(t, "...") {
		rel, ok := own(importPath)
		if !ok || !matches("host/...", rel) {
			continue
		}
		for _, d := range p.Deps {
			if target, ok := own(d); ok && matchesAny(authentication, target) {
				t.Errorf("%s brings %s along", rel, target)
			}
		}
	}
}

// internal/ is for what two or more of the others share: a package lives in the
// lowest folder that holds all its importers.
func TestLowestFolder(t *testing.T) {
	all := list(t, "...")
	importers := map[string][]string{}
	for importPath, p := range all {
		rel, ok := own(importPath)
		if !ok || matches("testenv/...", rel) {
			continue
		}
		for _, i := range p.Imports {
			if target, ok := own(i); ok {
				importers[target] = append(importers[target], rel)
			}
		}
	}
	for target, from := range importers {
		if !strings.Contains("/"+target+"/", "/internal/") || homes[target] != "" {
			continue
		}
		// The folder that internal stands in is what the package may be seen from.
		home, _, _ := strings.Cut("/"+target+"/", "/internal/")
		common := path.Dir("/" + from[0])
		if from[0] == strings.TrimPrefix(home, "/") {
			common = home
		}
		for _, f := range from {
			for common != "/" && !strings.HasPrefix("/"+f+"/", common+"/") {
				common = path.Dir(common)
			}
		}
		common = strings.TrimSuffix(common, "/")
		if len(common) > len(home) && !strings.HasPrefix(common, home+"/internal") {
			t.Errorf("%s is imported only below %s: move it there", target, strings.TrimPrefix(common, "/"))
		}
	}
}

// The filter has one thread: a goroutine would wait for a callback that may
// never come.
func TestFilterHasNoGoroutines(t *testing.T) {
	all := list(t, "filter", "GOOS=wasip1", "GOARCH=wasm")
	checked := 0
	for _, d := range append([]string{module + "/filter"}, all[module+"/filter"].Deps...) {
		if _, ok := own(d); !ok {
			continue
		}
		for _, name := range all[d].GoFiles {
			for _, where := range concurrency(t, filepath.Join(all[d].Dir, name), nil) {
				t.Errorf("%s", where)
			}
			checked++
		}
	}
	if checked < 20 {
		t.Errorf("only %d files were looked at", checked)
	}
}

// concurrency returns the places of go statements, channels and select.
func concurrency(t *testing.T, file string, src any) []string {
	t.Helper()
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		what := ""
		switch n := n.(type) {
		case *ast.GoStmt:
			what = "a go statement"
		case *ast.SelectStmt:
			what = "a select"
		case *ast.ChanType:
			what = "a channel"
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				what = "a receive"
			}
		}
		if what != "" {
			found = append(found, fset.Position(n.Pos()).String()+": "+what)
		}
		return true
	})
	return found
}

// The checks themselves have to be able to fail.
func TestChecksCanFail(t *testing.T) {
	all := map[string]listed{
		"fmt":                  {ImportPath: "fmt", Standard: true},
		"net/http/internal":    {ImportPath: "net/http/internal", Standard: true},
		"example.com/m/p":      {ImportPath: "example.com/m/p", Module: &struct{ Path string }{"example.com/m"}},
		module + "/host":       {ImportPath: module + "/host"},
		module + "/testenv/x":  {ImportPath: module + "/testenv/x"},
		"strings":              {ImportPath: "strings", Standard: true},
		module + "/filter/own": {ImportPath: module + "/filter/own"},
	}
	tests := []struct {
		name string
		rule rule
		p    listed
		want int
	}{
		{"nothing", rule{path: "x", never: linked}, listed{Deps: []string{"strings"}}, 0},
		{"a forbidden package", rule{path: "x", never: linked}, listed{Deps: []string{"fmt"}}, 1},
		{"a forbidden folder", rule{path: "x", never: []string{"net/..."}}, listed{Deps: []string{"net/http/internal"}}, 1},
		{"another module", rule{path: "x"}, listed{Deps: []string{"example.com/m/p"}}, 1},
		{"another module that is allowed", rule{path: "x", modules: []string{"example.com/m"}}, listed{Deps: []string{"example.com/m/p"}}, 0},
		{"a program may use it", rule{path: "cmd/x"}, listed{Deps: []string{"example.com/m/p"}}, 0},
		{"our own", rule{path: "x", own: []string{"filter/..."}}, listed{Imports: []string{module + "/filter/own", module + "/host"}}, 1},
		{"a test package", rule{path: "x", own: []string{"host"}}, listed{Imports: []string{module + "/testenv/x"}}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := violations(tt.rule, tt.p, all); len(got) != tt.want {
				t.Errorf("%q: got %d, want %d", got, len(got), tt.want)
			}
		})
	}
	if got := concurrency(t, "x.go", "package x\nfunc f(c chan int) { go f(nil); select {}; <-c }"); len(got) != 4 {
		t.Errorf("found %q", got)
	}
}
