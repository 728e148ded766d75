package convert

import (
	"io/fs"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/sallyport-auth/sallyport/internal/declarative"
)

// maxRounds bounds how often the document is read again: each round takes something
// out of it.
const maxRounds = 50

// judge has the parser of the product read the document, takes out or closes what it
// refuses, and returns the file that it accepts.
func (d *draft) judge() []byte {
	d.dropHarmless()
	d.dropKongTokens()
	for range maxRounds {
		d.keepClosed()
		src, err := d.encode()
		if err != nil {
			d.noteAt(Refused, place{file: outputName}, "", "cannot be written: %s", yamlError(err))
			return nil
		}
		f, errs := d.check(src)
		if len(errs) == 0 {
			d.fallThrough()
			if f != nil { // it is not where references hold what only a real value can tell
				d.areClosed(f)
			}
			return src
		}
		var todo []func()
		for _, e := range errs {
			todo = append(todo, d.decide(e)) // by the document as it was read
		}
		for _, do := range todo {
			do()
		}
		if d.refused {
			return nil
		}
	}
	d.noteAt(Refused, place{file: outputName}, "", "there is still something wrong after %d attempts", maxRounds)
	return nil
}

const outputName = "kong.yml"

// standIn is what references mean while converting: it reads as an address, a name and a
// secret.
const standIn = "https://reference.invalid/of-at-least-32-bytes"

// check returns what the parser makes of a file, and what it refuses. References are not
// followed: what is wrong with what stands in for one says nothing.
func (d *draft) check(src []byte) (f *declarative.File, errs declarative.Problems) {
	f, all := parse(src, true)
	var followed map[string]bool
	for _, e := range all {
		nodes, steps := d.resolve(e.Path)
		ref := scalar(nodes[len(nodes)-1])
		if len(steps) > 0 && !names("name id route service consumer upstream")[steps[len(steps)-1].key] &&
			(strings.HasPrefix(ref, "{vault://env/") || strings.HasPrefix(ref, "{vault://file/")) {
			if followed == nil {
				followed = map[string]bool{}
				_, without := parse(src, false)
				for _, e := range without {
					followed[e.Path] = followed[e.Path] || strings.HasPrefix(e.Text, "refers to the ")
				}
			}
			if followed[e.Path] {
				continue
			}
		}
		errs = append(errs, e)
	}
	return f, errs
}

// parse runs the parser, with or without something that references mean.
func parse(src []byte, there bool) (*declarative.File, declarative.Problems) {
	f, problems := declarative.Parse(outputName, src, declarative.Options{
		Env: func(string) (string, bool) { return standIn, there },
		ReadFile: func(string) ([]byte, error) {
			if !there {
				return nil, fs.ErrNotExist
			}
			return []byte(standIn), nil
		},
	})
	return f, problems.Errors()
}

// step is one part of a path: a member, or the element of a list.
type step struct {
	key   string
	index int // -1 for a member
}

// resolve follows a path of the parser as far as it goes. nodes[i] is what step i leads
// to, behind the root.
func (d *draft) resolve(path string) (nodes []*yaml.Node, steps []step) {
	at := d.root
	nodes = []*yaml.Node{at}
	for path != "" {
		next, s, rest := follow(at, path)
		if next == nil {
			return nodes, steps
		}
		at, path = next, rest
		nodes, steps = append(nodes, next), append(steps, s)
	}
	return nodes, steps
}

// follow takes one step. A member's name may have dots in it.
func follow(at *yaml.Node, path string) (next *yaml.Node, s step, rest string) {
	if inner, ok := strings.CutPrefix(path, "["); ok {
		number, rest, _ := strings.Cut(inner, "]")
		i, err := strconv.Atoi(number)
		if list := elements(at); err == nil && i >= 0 && i < len(list) {
			return list[i], step{"", i}, strings.TrimPrefix(rest, ".")
		}
		return nil, s, ""
	}
	members(at, func(key string, value *yaml.Node) {
		tail, ok := strings.CutPrefix(path, key)
		if ok && key != "" && len(key) > len(s.key) && (tail == "" || tail[0] == '.' || tail[0] == '[') {
			next, s, rest = value, step{key, -1}, strings.TrimPrefix(tail, ".")
		}
	})
	return next, s, rest
}

// decide returns what is to be done about a problem.
func (d *draft) decide(p declarative.Problem) func() {
	nodes, steps := d.resolve(p.Path)
	f := finding{d: d, problem: p, nodes: nodes, steps: steps}
	if len(steps) == 0 {
		return f.refuse("")
	}
	collection := steps[0].key
	if len(steps) == 1 { // the whole of it
		return f.collection(collection)
	}
	entity := nodes[2]
	switch collection {
	case "services":
		return f.service(entity)
	case "routes":
		return f.route(entity, d.named("services", reference(get(entity, "service"))), 2)
	case "plugins":
		return f.plugin(entity)
	case "consumers":
		return f.consumer(entity)
	case "acls":
		return f.group(entity)
	case "upstreams", "targets":
		return f.upstream(entity)
	case "certificates", "snis", "ca_certificates", "jwt_secrets", "keyauth_credentials", "basicauth_credentials":
		return f.drop(nodes[1], entity, entityKind(collection))
	}
	return f.refuse(collection)
}

// finding is a problem with the way to it.
type finding struct {
	d       *draft
	problem declarative.Problem
	nodes   []*yaml.Node
	steps   []step
}

// where returns the nearest place of the input.
func (f *finding) where() place {
	for i := len(f.nodes) - 1; i > 0; i-- {
		if p, ok := f.d.from[f.nodes[i]]; ok {
			return p
		}
	}
	return place{file: outputName}
}

// why says what is wrong, with the path below the entity that nodes[depth] is.
func (f *finding) why(depth int) string {
	var b strings.Builder
	for _, s := range f.steps[min(depth, len(f.steps)):] {
		switch {
		case s.index >= 0:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case b.Len() > 0:
			b.WriteString("." + s.key)
		default:
			b.WriteString(s.key)
		}
	}
	if b.Len() == 0 {
		return f.problem.Text
	}
	return b.String() + ": " + f.problem.Text
}

func (f *finding) refuse(what string) func() {
	return func() { f.d.noteAt(Refused, f.where(), what, "%s", f.why(1)) }
}

// drop leaves an entity out that guards nothing, or that somebody gets in by.
func (f *finding) drop(list, entity *yaml.Node, kind string) func() {
	return func() {
		f.d.noteAt(LeftOut, f.where(), label(kind, entity), "%s", f.why(2))
		remove(list, entity)
	}
}

// entityKind names the elements of a collection.
func entityKind(collection string) string {
	switch collection {
	case "jwt_secrets", "keyauth_credentials", "basicauth_credentials", "hmacauth_credentials", "oauth2_credentials", "mtls_auth_credentials":
		return "a credential of " + collection
	case "snis":
		return "sni"
	}
	return strings.ReplaceAll(strings.TrimSuffix(collection, "s"), "_", " ")
}
