package envoyconf

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// maxBootstrap bounds a bootstrap that is looked at, in bytes; maxNodes what it has once
// its aliases are followed.
const (
	maxBootstrap = 16 << 20
	maxNodes     = 1 << 20
	maxDepth     = 128
)

// IsBootstrap reports whether a file is a bootstrap of Envoy's, and no declarative file.
func IsBootstrap(data []byte) bool {
	var top map[string]yaml.Node
	if len(data) > maxBootstrap || yaml.Unmarshal(data, &top) != nil {
		return false
	}
	_, static := top["static_resources"]
	_, kong := top["_format_version"]
	return static && !kong
}

// Lint names what is unsafe about our filter in a bootstrap that somebody has written, or
// changed: what sallyport envoy writes has nothing of it. Envoy itself says whether it
// accepts the file (--mode validate).
func Lint(name string, data []byte) declarative.Problems {
	l := &linter{name: name}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return declarative.Problems{declarative.NewProblem(declarative.NotYAML, name, 0, "", err.Error())}
	}
	l.walk(&root, "", nil, 0)
	for id, list := range l.byVM {
		for _, f := range list[1:] {
			if f.code != list[0].code || f.ours != list[0].ours {
				for _, f := range list {
					if f.ours {
						l.say(declarative.SharedVM, f.line, f.path, "has the vm_id "+id+", as another module has: Envoy may run the one in the other's "+
							"place, and both share what they store")
					}
				}
				break
			}
		}
	}
	return l.problems.Sorted()
}

// linter walks a bootstrap.
type linter struct {
	name     string
	nodes    int
	problems declarative.Problems
	byVM     map[string][]moduleAt
}

// moduleAt is a filter that runs a module.
type moduleAt struct {
	line       int
	path, code string
	ours       bool
}

func (l *linter) say(r declarative.Rule, line int, path, text string) {
	l.problems = append(l.problems, declarative.NewProblem(r, l.name, line, path, text))
}

// walk looks for connection managers, and for modules below them. hcm is the connection
// manager that a node is in.
func (l *linter) walk(n *yaml.Node, path string, hcm *yaml.Node, depth int) {
	if l.nodes++; l.nodes > maxNodes || depth > maxDepth {
		return
	}
	switch n.Kind {
	case yaml.AliasNode:
		l.walk(n.Alias, path, hcm, depth+1)
	case yaml.DocumentNode:
		for _, c := range n.Content {
			l.walk(c, path, hcm, depth+1)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			l.walk(c, path+"["+strconv.Itoa(i)+"]", hcm, depth+1)
		}
	case yaml.MappingNode:
		kind := text(n, "@type")
		switch {
		case strings.HasSuffix(kind, ".HttpConnectionManager"):
			hcm = n
		case strings.HasSuffix(kind, ".http.wasm.v3.Wasm"):
			if config := member(n, "config"); config != nil {
				l.wasm(config, under(path, "config"), hcm)
			}
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			l.walk(n.Content[i+1], under(path, n.Content[i].Value), hcm, depth+1)
		}
	}
}

// wasm looks at the configuration of a module. Ours is the one with our root id.
func (l *linter) wasm(config *yaml.Node, path string, hcm *yaml.Node) {
	vm := member(config, "vm_config")
	f := moduleAt{line: config.Line, path: path, ours: text(config, "root_id") == FilterName}
	if vm != nil {
		code := member(vm, "code")
		raw, _ := yaml.Marshal(code)
		f.code = string(raw)
		id := text(vm, "vm_id")
		if l.byVM == nil {
			l.byVM = map[string][]moduleAt{}
		}
		l.byVM[id] = append(l.byVM[id], f)
	}
	if !f.ours {
		return
	}
	if n := member(config, "fail_open"); n != nil && n.Value == "true" {
		l.say(declarative.FailsOpen, n.Line, under(path, "fail_open"), "is true: when the module cannot run, everybody passes")
	}
	if n := member(config, "failure_policy"); n != nil && n.Value == "FAIL_OPEN" {
		l.say(declarative.FailsOpen, n.Line, under(path, "failure_policy"), "is FAIL_OPEN: when the module cannot run, everybody passes")
	}
	if hcm == nil {
		return
	}
	if text(hcm, "normalize_path") != "true" || text(hcm, "merge_slashes") != "true" ||
		text(hcm, "path_with_escaped_slashes_action") != "REJECT_REQUEST" {
		l.say(declarative.PathsAsSent, hcm.Line, path, "runs behind a connection manager that takes paths as they are sent: /open/../guarded may be "+
			"another route's here than at the upstream")
	}
}

func member(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if n.Content[i].Value == name {
			v := n.Content[i+1]
			for depth := 0; v.Kind == yaml.AliasNode && depth < 16; depth++ {
				v = v.Alias
			}
			return v
		}
	}
	return nil
}

func text(n *yaml.Node, name string) string {
	if v := member(n, name); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

func under(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
