package declarative

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Options say how a file is read.
type Options struct {
	// IgnoreUnsupported accepts plugins of a closed list that guard nothing, and
	// leaves them out with a note.
	IgnoreUnsupported bool
	// Env looks up environment variables for {vault://env/NAME}; nil means os.LookupEnv.
	Env func(name string) (string, bool)
	// ReadFile reads files for {vault://file/PATH}; nil means os.ReadFile.
	ReadFile func(path string) ([]byte, error)
	// Dir is what a relative PATH is relative to.
	Dir string
	// Installation derives what a file leaves to be generated (a credential's
	// key); nil leaves those empty, which is enough for a check.
	Installation func(purpose string, parts ...string) string
	// Hash hashes the passwords of users, all at once because it is meant to be slow.
	// nil leaves passwords out, which is enough for a check.
	Hash func(users, passwords []string) (hashes []string)
	// Further are entities beside the file's, in the order in which they were made.
	Further []Further
}

func (o Options) withDefaults() Options {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = readBounded
	}
	return o
}

// maxSecret bounds a file that a reference names.
const maxSecret = 1 << 20

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSecret || !info.Mode().IsRegular() {
		return nil, os.ErrInvalid
	}
	return os.ReadFile(path)
}

// unfilled is a variable of a shell's, or of decK's (${{ env "DECK_NAME" }}), that nobody
// has put a value in for.
var unfilled = regexp.MustCompile(`\$\{\{|^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`)

// vault resolves a string that is one reference. Kong's env vault upper-cases
// the name and writes dashes as underscores; file is ours. Somebody else's reference is
// refused: as it stands it would be a secret that everybody knows who has seen the file.
func (p *parser) vault(v at, s string) (string, bool) {
	if unfilled.MatchString(s) {
		p.fail(v, "is a variable that decK or a shell would have filled in, and is not text: write {vault://env/NAME}")
		return "", false
	}
	ref, ok := strings.CutPrefix(s, "{vault://")
	if !ok {
		return s, true
	}
	if p.beside {
		p.fail(v, "is a reference to what this machine has: those are resolved in the declarative file only")
		return "", false
	}
	ref, ok = strings.CutSuffix(ref, "}")
	kind, name, found := strings.Cut(ref, "/")
	switch {
	case !ok || !found || name == "":
	case kind == "env":
		env := strings.ReplaceAll(strings.ToUpper(name), "-", "_")
		value, set := p.options.Env(env)
		if !set {
			value, set = p.options.Env(name)
		}
		if !set {
			p.fail(v, "refers to the environment variable %s, which is not set", env)
		}
		return value, set
	case kind == "file":
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(p.options.Dir, path)
		}
		data, err := p.options.ReadFile(path)
		if err != nil {
			p.fail(v, "refers to the file %s, which cannot be read", name)
			return "", false
		}
		return strings.TrimRight(string(data), "\r\n"), true
	}
	p.fail(v, "is an unknown reference: expected {vault://env/NAME} or {vault://file/PATH}")
	return "", false
}
