// Package vectors is what every runner of the policy has to agree on: requests as
// data, and what has to come of them. The cases are text files in testdata, all
// judged by testdata/suite.yml.
//
//	=== name of the case, once in all files
//	# why it is there
//	send: GET /jwt/x
//	token: {"key": …, "header": {…}, "claims": {…}}
//	header: Authorization: Bearer {token}
//	expect: 401 signature_invalid
//	body: {"message":"Invalid signature"}
//	answer: WWW-Authenticate: Bearer error="invalid_token"
//	upstream: X-Consumer-Username: alice
//	upstream: !X-Anonymous-Consumer
//
// token, or token2 and so on, is a recipe, see token.go; {token} stands for it.
// upstream names what the upstream has to see, or with ! must not see. A key that
// the reader does not know is fatal, so that no expectation is silently ignored.
package vectors

import (
	"bufio"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

//go:embed testdata
var files embed.FS

// Case is one vector.
type Case struct {
	Name, File, Comment string
	Method, Path        string
	headers             []string
	tokens              map[string]string // recipes
	Status              int
	Reason              string // a reason code
	body                *string
	answer              []string
	upstream            []string
}

// Env is what a runner fills in.
type Env struct {
	Upstream string // URL
	Issuer   string // of an idp.Server that Provider has set up
}

// Header is a header of a request, in order.
type Header struct{ Name, Value string }

// Load reads all cases, in the order of files and lines.
func Load() ([]*Case, error) {
	names, err := fs.Glob(files, "testdata/*.txt")
	if err != nil {
		return nil, err
	}
	var all []*Case
	seen := map[string]bool{}
	for _, name := range names {
		list, err := read(name)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			if seen[c.Name] {
				return nil, fmt.Errorf("%s: %q is there twice", name, c.Name)
			}
			seen[c.Name] = true
		}
		all = append(all, list...)
	}
	return all, nil
}

// All is Load for tests.
func All(t testing.TB) []*Case {
	t.Helper()
	all, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func read(name string) ([]*Case, error) {
	data, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var list []*Case
	var c *Case
	lines := bufio.NewScanner(strings.NewReader(string(data)))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		title, isTitle := strings.CutPrefix(line, "=== ")
		switch {
		case strings.TrimSpace(line) == "":
			continue
		case isTitle:
			c = &Case{Name: title, File: name, tokens: map[string]string{}}
			list = append(list, c)
			continue
		case c == nil:
			if !strings.HasPrefix(line, "#") {
				return nil, fmt.Errorf("%s:%d: a line before the first case", name, n)
			}
			continue
		}
		if err := c.line(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	for _, c := range list {
		if c.Method == "" || c.Status == 0 || c.Reason == "" {
			return nil, fmt.Errorf("%s: %s: send or expect is missing", name, c.Name)
		}
	}
	return list, lines.Err()
}

func (c *Case) line(line string) error {
	if text, ok := strings.CutPrefix(line, "#"); ok {
		c.Comment += strings.TrimSpace(text) + " "
		return nil
	}
	key, value, ok := strings.Cut(line, ": ")
	if !ok {
		return fmt.Errorf("no key: %s", line)
	}
	switch {
	case key == "send":
		c.Method, c.Path, ok = strings.Cut(value, " ")
	case key == "header":
		c.headers = append(c.headers, value)
	case strings.HasPrefix(key, "token"):
		c.tokens[key] = value
	case key == "expect":
		var status string
		status, c.Reason, ok = strings.Cut(value, " ")
		var err error
		if c.Status, err = strconv.Atoi(status); err != nil {
			return err
		}
	case key == "body":
		c.body = &value
	case key == "answer":
		c.answer = append(c.answer, value)
	case key == "upstream":
		c.upstream = append(c.upstream, value)
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	if !ok {
		return fmt.Errorf("%s is not complete", key)
	}
	return nil
}

// Build returns the target and the headers of the request, tokens made.
func (c *Case) Build(t testing.TB, e Env) (path string, headers []Header) {
	t.Helper()
	fill := strings.NewReplacer(c.replacements(t, e)...)
	for _, line := range c.headers {
		name, value, _ := strings.Cut(line, ":")
		headers = append(headers, Header{name, strings.TrimPrefix(fill.Replace(value), " ")})
	}
	return fill.Replace(c.Path), headers
}

func (c *Case) replacements(t testing.TB, e Env) []string {
	t.Helper()
	out := []string{"{issuer}", e.Issuer, "{long}", strings.Repeat("x", 64<<10)}
	for name, recipe := range c.tokens {
		token, err := makeToken(recipe, e)
		if err != nil {
			t.Fatalf("%s: %s: %v", c.Name, name, err)
		}
		out = append(out, "{"+name+"}", token)
	}
	return out
}

// Result is what came of a request.
type Result struct {
	Status   int
	Reason   string
	Body     string
	Header   http.Header
	Upstream http.Header // nil when the upstream was not called
}

// Check compares a result with what has to come of the case.
func (c *Case) Check(t testing.TB, r Result) {
	t.Helper()
	if r.Status != c.Status || r.Reason != c.Reason {
		t.Errorf("%s (%s): %d %s, want %d %s\nbody: %s", c.Name, strings.TrimSpace(c.Comment), r.Status, r.Reason, c.Status, c.Reason, r.Body)
	}
	if c.body != nil && r.Body != *c.body {
		t.Errorf("%s: body %s, want %s", c.Name, r.Body, *c.body)
	}
	for _, line := range c.answer {
		checkHeader(t, c.Name+": answer", r.Header, line)
	}
	if c.Status != http.StatusOK {
		if r.Upstream != nil {
			t.Errorf("%s: the upstream was called", c.Name)
		}
		return
	}
	if r.Upstream == nil {
		t.Errorf("%s: the upstream was not called", c.Name)
		return
	}
	for _, line := range c.upstream {
		checkHeader(t, c.Name+": upstream", r.Upstream, line)
	}
}

func checkHeader(t testing.TB, where string, h http.Header, line string) {
	t.Helper()
	if name, ok := strings.CutPrefix(line, "!"); ok {
		for have, values := range h {
			if strings.EqualFold(have, name) {
				t.Errorf("%s: %s is there: %q", where, have, values)
			}
		}
		return
	}
	name, want, _ := strings.Cut(line, ": ")
	if got := strings.Join(h.Values(name), " | "); got != want {
		t.Errorf("%s: %s is %q, want %q", where, name, got, want)
	}
}

// Suite returns the declarative file that the cases are judged by.
func Suite(e Env) string {
	data, err := files.ReadFile("testdata/suite.yml")
	if err != nil {
		panic(err)
	}
	text := strings.NewReplacer("${UPSTREAM}", e.Upstream, "${ISSUER}", e.Issuer).Replace(string(data))
	for {
		before, rest, ok := strings.Cut(text, "${")
		if !ok {
			return text
		}
		inside, after, _ := strings.Cut(rest, "}")
		words := strings.Fields(inside)
		var value []byte
		switch words[0] {
		case "PEM":
			value, _ = json.Marshal(tokens.PublicPEM(words[1]))
			value = value[1 : len(value)-1]
		case "JWK":
			value, _ = json.Marshal(tokens.JWK(words[1], words[2], nil))
		default:
			panic("vectors: suite.yml: " + inside)
		}
		text = before + string(value) + after
	}
}
