package abi

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Scenario is a guest, what is sent through it, and how the upstream answers. As
// text:
//
//	=== a name
//	option stop-iteration          options are those of options, below
//	plugin a root=r vm=v config=x  a filter; the default is one, with nothing of these
//	on request_headers #1          what the guest does, the first time; without #1 always
//	  get_header_map_value 0 "x-a" > v
//	  set_shared_data "key" $v 0
//	  return 1
//	on request_body end if=v       only at the end of the stream, only when $v is not empty
//	  trap
//	request POST /path             what the client sends, in order; more of h2, gives-up
//	  x-a: 1
//	  body "text" *1000
//	  chunk "text"
//	  trailer x-t: 1
//	upstream /path                 how it answers; without a path, to everything else
//	  status 200
//	  x-b: 2
//	  body "text"
//	  hang                         or reset, or late: after the streams have ended
//	until "text"                   the run is over when a line of the record has this
//
// Arguments are numbers, "texts" (with *N repeated), [pairs], $variables, $ctx,
// $arg0 …, and @ADDRESS:SIZE for what a text cannot say. !ADDRESS moves where
// the host shall write; ~ before a call leaves out what it gives.
type Scenario struct {
	Name     string
	ID       string // a short word of it, unique
	Options  map[string]string
	Plugins  []plugin
	Blocks   []block
	Requests []request
	Answers  []answer
	Until    []string

	// Guest is the path of a module made with an SDK that carries the scenario out, of
	// which it is told by its configuration; "" for one that Emit makes.
	Guest string
	// Module is the path of a module that knows nothing of scenarios, "" for none.
	Module string

	ops  []op // all of them, by their number
	text []string
}

// configuration is what a guest made with an SDK is told.
func (s *Scenario) configuration() string {
	return "id " + s.ID + "\n" + s.names(strings.Join(s.text, "\n"))
}

// names puts the scenario's names in.
func (s *Scenario) names(t string) string {
	return strings.NewReplacer("%UP%", s.cluster(), "%GRPC%", s.grpcCluster(), "%ID%", s.ID).Replace(t)
}

type plugin struct {
	name, root, vm, config string
	hasVM                  bool
}

type block struct {
	callback string
	end      bool
	nth      int
	given    string // a variable that has to have a value
	ops      []int  // of Scenario.ops
	result   int32
	returns  bool
}

type op struct {
	text  string
	call  string
	args  []arg
	outs  []string
	moved []string // !ADDRESS
	mask  bool
}

type arg struct {
	kind byte // n number, s text, p pairs, v variable, m memory
	n    int64
	size int64
	text string
}

type message struct {
	headers  [][2]string
	chunks   []string // of the body
	trailers [][2]string
}

type request struct {
	message
	method, path string
	h2, givesUp  bool
}

type answer struct {
	message
	path        string
	status      int
	hang, reset bool
	late        bool // not before the streams have ended
}

// options that scenarios may have; with = when they have a value. cluster and
// grpc-cluster are further names of the upstream, for modules that have a name built in:
// of one name, in one Envoy, the first scenario's counts.
var options = []string{"stop-iteration", "tls", "fail-open", "fail-reload", "vm-config=", "env=", "limit=", "deletes=", "abi=", "module=",
	"shutdown", "chunks", "metric=", "cluster=", "grpc-cluster=", "h2-upstream"}

// Load reads all scenarios of a folder.
func Load(dir string) ([]*Scenario, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	return LoadFiles(files...)
}

// LoadFiles reads the scenarios of files. No two may have one name.
func LoadFiles(files ...string) ([]*Scenario, error) {
	var all []*Scenario
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		list, err := Parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
		all = append(all, list...)
	}
	seen := map[string]bool{}
	for i, s := range all {
		if seen[s.Name] {
			return nil, fmt.Errorf("two scenarios are called %q", s.Name)
		}
		seen[s.Name] = true
		s.ID = fmt.Sprintf("s%03d", i)
	}
	return all, nil
}

// Differs returns the difference that a scenario shows, nil for none.
func (s *Scenario) Differs() *Difference {
	for i, d := range Differences {
		if slices.Contains(d.Scenarios, s.Name) {
			return &Differences[i]
		}
	}
	return nil
}

// Parse reads scenarios.
func Parse(text string) ([]*Scenario, error) {
	var all []*Scenario
	var p parser
	for i, line := range strings.Split(text, "\n") {
		if name, ok := strings.CutPrefix(line, "=== "); ok {
			p = parser{s: &Scenario{Name: name, Options: map[string]string{}}}
			all = append(all, p.s)
			continue
		}
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if p.s == nil {
			return nil, fmt.Errorf("line %d: before the first scenario", i+1)
		}
		parse := p.top
		if line[0] == ' ' || line[0] == '\t' {
			parse = p.inner
		}
		if err := parse(trimmed); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	for _, s := range all {
		if len(s.Plugins) == 0 {
			s.Plugins = []plugin{{}}
		}
	}
	return all, nil
}

type parser struct {
	s     *Scenario
	inner func(line string) error
}

func (p *parser) top(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	p.inner = func(string) error { return fmt.Errorf("%s has nothing within it", word) }
	switch word {
	case "option":
		return p.option(rest)
	case "plugin":
		return p.plugin(rest)
	case "on":
		return p.on(strings.Fields(rest))
	case "request":
		return p.request(strings.Fields(rest))
	case "upstream":
		p.s.Answers = append(p.s.Answers, answer{path: rest, status: 200})
		p.inner = p.answerLine
	case "until":
		t, err := strconv.Unquote(rest)
		p.s.Until = append(p.s.Until, t)
		return err
	default:
		return fmt.Errorf("unknown: %q", word)
	}
	return nil
}

func (p *parser) option(text string) error {
	name, value, has := strings.Cut(text, "=")
	want := name
	if has {
		want += "="
	}
	if !slices.Contains(options, want) {
		return fmt.Errorf("unknown option %q", text)
	}
	p.s.Options[name] = value
	return nil
}

func (p *parser) plugin(text string) error {
	var pl plugin
	for i, w := range strings.Fields(text) {
		key, value, ok := strings.Cut(w, "=")
		switch {
		case !ok && i == 0:
			pl.name = w
		case key == "root":
			pl.root = value
		case key == "vm":
			pl.vm, pl.hasVM = value, true
		case key == "config":
			pl.config = value
		default:
			return fmt.Errorf("unknown: %q", w)
		}
	}
	p.s.Plugins = append(p.s.Plugins, pl)
	return nil
}

func (p *parser) on(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("on what?")
	}
	cb, ok := callbacks[words[0]]
	if !ok {
		return fmt.Errorf("unknown callback %q", words[0])
	}
	b := block{callback: words[0], result: cb.result}
	for _, w := range words[1:] {
		switch {
		case w == "end":
			b.end = true
		case strings.HasPrefix(w, "if="):
			b.given = w[3:]
		case w[0] == '#':
			n, err := strconv.Atoi(w[1:])
			if err != nil {
				return err
			}
			b.nth = n
		default:
			return fmt.Errorf("unknown: %q", w)
		}
	}
	p.s.Blocks = append(p.s.Blocks, b)
	p.s.text = append(p.s.text, "on "+strings.Join(words, " "))
	p.inner = p.opLine
	return nil
}

func (p *parser) opLine(line string) error {
	b := &p.s.Blocks[len(p.s.Blocks)-1]
	p.s.text = append(p.s.text, line)
	o := op{text: line}
	line, o.mask = strings.CutPrefix(line, "~")
	words, err := tokens(line)
	if err != nil {
		return err
	}
	o.call = words[0]
	if o.call == "return" {
		n, err := strconv.ParseInt(words[1], 0, 32)
		b.result, b.returns = int32(n), true
		return err
	}
	c, known := calls[o.call]
	switch {
	case known, o.call == "set", o.call == "trap", o.call == "spin", o.call == "grow", o.call == "peek":
	default:
		return fmt.Errorf("unknown call %q", o.call)
	}
	for i := 1; i < len(words); i++ {
		switch w := words[i]; {
		case w == ">":
			o.outs = words[i+1:]
			i = len(words)
		case w[0] == '!':
			o.moved = append(o.moved, w[1:])
		case o.call == "set" && i == 1:
			o.outs = []string{w}
		case w[0] == '*':
			n, err := strconv.Atoi(w[1:])
			if err != nil || len(o.args) == 0 {
				return fmt.Errorf("%q repeats nothing", w)
			}
			a := &o.args[len(o.args)-1]
			a.text = strings.Repeat(a.text, n)
		default:
			a, err := parseArg(w)
			if err != nil {
				return err
			}
			o.args = append(o.args, a)
		}
	}
	if known {
		if want := len(c.params) - len(c.outputs()); want != len(o.args) {
			return fmt.Errorf("%s takes %d arguments, not %d", o.call, want, len(o.args))
		}
		if len(o.outs) > len(c.outputs()) {
			return fmt.Errorf("%s gives %d values", o.call, len(c.outputs()))
		}
	}
	b.ops = append(b.ops, len(p.s.ops))
	p.s.ops = append(p.s.ops, o)
	return nil
}

func parseArg(w string) (arg, error) {
	switch {
	case w[0] == '"':
		t, err := strconv.Unquote(w)
		return arg{kind: 's', text: t}, err
	case w[0] == '$':
		return arg{kind: 'v', text: w[1:]}, nil
	case w[0] == '@':
		a, b, _ := strings.Cut(w[1:], ":")
		n, err1 := strconv.ParseInt(a, 0, 64)
		size, err2 := strconv.ParseInt(b, 0, 64)
		if err1 != nil || err2 != nil {
			return arg{}, fmt.Errorf("%q is no @ADDRESS:SIZE", w)
		}
		return arg{kind: 'm', n: n, size: size}, nil
	case w[0] == '[':
		words, err := tokens(strings.Trim(w, "[]"))
		if err != nil || len(words)%2 != 0 {
			return arg{}, fmt.Errorf("%q are no pairs", w)
		}
		var list []string
		for _, t := range words {
			t, err := strconv.Unquote(t)
			if err != nil {
				return arg{}, err
			}
			list = append(list, t)
		}
		return arg{kind: 'p', text: encodePairs(list)}, nil
	}
	n, err := strconv.ParseInt(w, 0, 64)
	if err != nil {
		return arg{}, fmt.Errorf("%q is no argument", w)
	}
	return arg{kind: 'n', n: n}, nil
}

// tokens splits a line at spaces; quotes and brackets hold together.
func tokens(line string) (out []string, err error) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		n := 0
		switch line[0] {
		case '"':
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("a text without an end: %s", line)
			}
			n = len(q)
		case '[':
			if n = strings.IndexByte(line, ']') + 1; n == 0 {
				return nil, fmt.Errorf("pairs without an end: %s", line)
			}
		default:
			if n = strings.IndexByte(line, ' '); n < 0 {
				n = len(line)
			}
		}
		out = append(out, line[:n])
		line = line[n:]
	}
	return out, nil
}

func (p *parser) request(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("a request has a method and a path")
	}
	r := request{method: words[0], path: words[1]}
	for _, w := range words[2:] {
		switch w {
		case "h2":
			r.h2 = true
		case "gives-up":
			r.givesUp = true
		default:
			return fmt.Errorf("unknown: %q", w)
		}
	}
	p.s.Requests = append(p.s.Requests, r)
	p.inner = func(line string) error {
		r := &p.s.Requests[len(p.s.Requests)-1]
		return r.line(line)
	}
	return nil
}

func (p *parser) answerLine(line string) error {
	a := &p.s.Answers[len(p.s.Answers)-1]
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "status":
		n, err := strconv.Atoi(rest)
		a.status = n
		return err
	case "hang":
		a.hang = true
		return nil
	case "reset":
		a.reset = true
		return nil
	case "late":
		a.late = true
		return nil
	}
	return a.line(line)
}

// line reads a part of a message.
func (m *message) line(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "body", "chunk":
		words, err := tokens(rest)
		if err != nil {
			return err
		}
		text, err := strconv.Unquote(words[0])
		if err != nil {
			return err
		}
		if len(words) == 2 && words[1][0] == '*' {
			n, err := strconv.Atoi(words[1][1:])
			if err != nil {
				return err
			}
			text = strings.Repeat(text, n)
		}
		m.chunks = append(m.chunks, text)
		return nil
	case "trailer":
		name, value, _ := strings.Cut(rest, ": ")
		m.trailers = append(m.trailers, [2]string{name, value})
		return nil
	}
	name, value, ok := strings.Cut(line, ":")
	if value = strings.TrimPrefix(value, " "); !ok {
		return fmt.Errorf("%q is no header", line)
	}
	m.headers = append(m.headers, [2]string{name, value})
	return nil
}
