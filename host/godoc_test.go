package host_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever package host exports is documented, fields too.
func TestGodoc(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	need := func(name string, documented bool) {
		checked++
		if !documented {
			t.Errorf("%s has no comment", name)
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				receiver := n.Recv == nil || exported(n.Recv.List[0].Type)
				if n.Name.IsExported() && receiver {
					need(n.Name.Name, n.Doc != nil)
				}
				return false
			case *ast.GenDecl:
				for _, spec := range n.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() {
							need(s.Name.Name, n.Doc != nil || s.Doc != nil)
							fields(s, need)
						}
					case *ast.ValueSpec:
						for _, name := range s.Names {
							if name.IsExported() {
								need(name.Name, n.Doc != nil || s.Doc != nil || s.Comment != nil)
							}
						}
					}
				}
				return false
			}
			return true
		})
	}
	if checked < 60 {
		t.Errorf("only %d identifiers were looked at", checked)
	}
}

func exported(receiver ast.Expr) bool {
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	name, ok := receiver.(*ast.Ident)
	return ok && name.IsExported()
}

// fields looks at the fields of a struct. A comment may be above a group of them.
func fields(s *ast.TypeSpec, need func(string, bool)) {
	structure, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range structure.Fields.List {
		for _, name := range f.Names {
			if name.IsExported() {
				need(s.Name.Name+"."+name.Name, f.Doc != nil || f.Comment != nil)
			}
		}
	}
}
