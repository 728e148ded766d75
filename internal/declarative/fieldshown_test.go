package declarative

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// TestFieldsAreShown: the tests that the table names are there, and write the field
// into a file: no row can name any odd test.
func TestFieldsAreShown(t *testing.T) {
	root := filepath.Join("..", "..")
	functions, vectors := testFunctions(t, root), vectorConfigs(t, filepath.Join(root, "testenv", "vectors", "testdata"))
	for plugin, rows := range schemas {
		for _, r := range rows {
			written := regexp.MustCompile(`(^|[\s{,])"?` + r.name + `"?:`)
			for _, name := range strings.FieldsFunc(r.tests, func(c rune) bool { return c == ';' }) {
				name = strings.TrimSpace(name)
				if vector, ok := strings.CutPrefix(name, "vector "); ok {
					config, ok := vectors[vector]
					switch {
					case !ok:
						t.Errorf("%s: %s: there is no vector %q", plugin, r.name, vector)
					case !config[plugin+"."+r.name]:
						t.Errorf("%s: %s: the route of vector %q has no such field", plugin, r.name, vector)
					}
					continue
				}
				switch texts := functions[name]; {
				case len(texts) == 0:
					t.Errorf("%s: %s: there is no test %s", plugin, r.name, name)
				case len(texts) > 1:
					t.Errorf("%s: %s: there are %d tests %s: name its package", plugin, r.name, len(texts), name)
				case !written.MatchString(texts[0]):
					t.Errorf("%s: %s: %s does not write such a field", plugin, r.name, name)
				}
			}
		}
	}
}

// testFunctions returns what the test functions of the module write: the texts in
// their bodies, and in the tables and constants that they name. They are found by name,
// and by the folder's and the name. Those of this package are none: what a field is
// read as is not its effect.
func testFunctions(t *testing.T, root string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	packages := map[string][]*ast.File{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "build" || d.Name() == "bin" || d.Name() == "declarative"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := goparser.ParseFile(token.NewFileSet(), path, nil, goparser.SkipObjectResolution)
		if err == nil {
			packages[filepath.Dir(path)] = append(packages[filepath.Dir(path)], f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, files := range packages {
		values := map[string]string{} // of variables and constants of the package
		for _, f := range files {
			for _, d := range f.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok {
					continue
				}
				for _, s := range g.Specs {
					if v, ok := s.(*ast.ValueSpec); ok {
						for _, name := range v.Names {
							values[name.Name] += texts(v, nil)
						}
					}
				}
			}
		}
		for _, f := range files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
					text := texts(fn, values)
					for _, name := range []string{fn.Name.Name, filepath.Base(dir) + "." + fn.Name.Name} {
						out[name] = append(out[name], text)
					}
				}
			}
		}
	}
	return out
}

// texts returns the strings in a piece of a program, and those that its names stand for.
func texts(n ast.Node, values map[string]string) string {
	var b strings.Builder
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				b.WriteString("\n" + s)
			}
		case *ast.Ident:
			b.WriteString(values[n.Name])
		}
		return true
	})
	return b.String()
}

// vectorConfigs returns which fields stand in the plugins of a vector's route and of its
// service, as "plugin.field".
func vectorConfigs(t *testing.T, dir string) map[string]map[string]bool {
	t.Helper()
	type plugin struct {
		Name   string
		Config map[string]any
	}
	var suite struct {
		Services []struct {
			Plugins []plugin
			Routes  []struct {
				Paths   []string
				Plugins []plugin
			}
		}
	}
	src, err := os.ReadFile(filepath.Join(dir, "suite.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(regexp.MustCompile(`\$\{[^}]*\}`).ReplaceAll(src, []byte("x")), &suite); err != nil {
		t.Fatal(err)
	}
	routes := map[string]map[string]bool{}
	for _, s := range suite.Services {
		for _, r := range s.Routes {
			set := map[string]bool{}
			for _, p := range append(r.Plugins, s.Plugins...) {
				for field := range p.Config {
					set[p.Name+"."+field] = true
				}
			}
			routes[r.Paths[0]] = set
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	out := map[string]map[string]bool{}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range strings.Split("\n"+string(src), "\n=== ")[1:] {
			name, rest, _ := strings.Cut(c, "\n")
			_, target, _ := strings.Cut(rest, "send: ")
			_, target, _ = strings.Cut(target, " ")
			end := strings.IndexAny(target[1:], "/?\n") + 1
			out[name] = routes[target[:end]]
		}
	}
	return out
}
