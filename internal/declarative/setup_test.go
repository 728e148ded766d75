package declarative

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/internal/routing"
)

// read parses a file that has to be good.
func read(t testing.TB, src string) *File {
	t.Helper()
	f, problems := Parse("kong.yml", []byte(src), Options{Env: noEnv, ReadFile: noFile, Installation: derive})
	if f == nil {
		t.Fatalf("refused:\n%v\nin:\n%s", problems, src)
	}
	return f
}

// refused parses a file that has to be refused, and returns the errors as plain does.
func refused(t testing.TB, src string, o Options) Problems {
	t.Helper()
	f, problems := Parse("kong.yml", []byte(src), o)
	if f != nil {
		t.Fatalf("accepted, with:\n%v\nin:\n%s", problems, src)
	}
	return plain(problems.Errors())
}

// plain returns findings without their rules and fixes, which lint_test.go is about.
func plain(problems Problems) Problems {
	out := slices.Clone(problems)
	for i := range out {
		out[i].Rule, out[i].Fix = "", ""
	}
	return out
}

// ofRule are the findings of one rule.
func ofRule(problems Problems, rule Rule) Problems {
	return slices.DeleteFunc(slices.Clone(problems), func(p Problem) bool { return p.Rule != rule })
}

func noEnv(string) (string, bool) { return "", false }

func noFile(string) ([]byte, error) { return nil, fs.ErrNotExist }

// derive stands for an installation: what it is asked for shows in the result.
func derive(purpose string, parts ...string) string {
	return purpose + "(" + strings.Join(parts, "|") + ")"
}

// request is a request to a table, with headers as name, value, name, value …
func request(method, host, path string, headers ...string) *routing.Request {
	return &routing.Request{Method: method, Host: host, Path: path, Header: func(name string) (string, bool) {
		for i := 0; i < len(headers); i += 2 {
			if headers[i] == name {
				return headers[i+1], true
			}
		}
		return "", false
	}}
}
