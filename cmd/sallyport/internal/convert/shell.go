package convert

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// word is one word of a command line. In its text variableHere stands for each variable.
type word struct {
	text     string
	variable string // the first one
	mixed    bool   // there is more than one, or it is not the whole of a value, NAME=$VARIABLE
	unknown  bool   // a part of it only a shell could tell
}

// command is one simple command of a script.
type command struct {
	line  int
	words []word
	piped bool // it reads what the command before it writes
	// It runs only if the command before it has gone well, or wrong.
	and, or bool
}

// isClient reports whether a word calls an HTTP client that is understood.
func isClient(s string) bool {
	switch path.Base(s) {
	case "curl", "http", "https", "xh", "xhs":
		return !strings.Contains(s, "://")
	}
	return false
}

// split reads a script: simple commands, quotes, comments, and lines that go on behind a
// backslash. What else a shell does is noticed, not done.
func split(src string) (out []command, err error) {
	s := splitter{src: strings.ReplaceAll(src, "\r\n", "\n"), line: 1}
	for s.i < len(s.src) {
		if err := s.step(); err != nil {
			return nil, fmt.Errorf("line %d: %w", s.line, err)
		}
	}
	s.endCommand()
	return s.out, nil
}

type splitter struct {
	src     string
	i, line int
	out     []command
	current command
	word    word
	inWord  bool
}

func (s *splitter) endWord() {
	if s.inWord {
		s.current.words = append(s.current.words, s.word)
	}
	s.word, s.inWord = word{}, false
}

func (s *splitter) endCommand() {
	s.endWord()
	if len(s.current.words) > 0 {
		s.out = append(s.out, s.current)
	}
	s.current = command{}
}

func (s *splitter) put(text string) {
	if len(s.current.words) == 0 && !s.inWord {
		s.current.line = s.line
	}
	s.inWord = true
	s.word.text += text
}

// step takes one character, or one quoted part.
func (s *splitter) step() error {
	c := s.src[s.i]
	rest := s.src[s.i+1:]
	s.i++
	switch {
	case c == '\n':
		s.endCommand()
		s.line++
	case c == ';':
		s.endCommand()
	case c == '|':
		s.endCommand()
		if s.current.or = strings.HasPrefix(rest, "|"); s.current.or {
			s.i++
		}
		s.current.piped = !s.current.or
	case c == '&' && strings.HasSuffix(s.word.text, ">"): // 2>&1
		s.put("&")
	case c == '&':
		s.endCommand()
		if s.current.and = strings.HasPrefix(rest, "&"); s.current.and {
			s.i++
		}
	case c == ' ', c == '\t', c == '`': // articles put commands in backticks
		s.endWord()
	case c == '#' && !s.inWord:
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			s.i += n
		} else {
			s.i = len(s.src)
		}
	case c == '\\' && strings.HasPrefix(rest, "\n"):
		s.i++
		s.line++
	case c == '\\' && rest != "":
		s.put(rest[:1])
		s.i++
	case c == '\'':
		n := strings.IndexByte(rest, '\'')
		if n < 0 {
			return errors.New("a quote is not closed")
		}
		s.put(rest[:n])
		s.line += strings.Count(rest[:n], "\n")
		s.i += n + 1
	case c == '"':
		return s.double()
	case c == '$' && len(s.current.words) == 0 && !s.inWord && strings.HasPrefix(rest, " "): // a prompt
	case c == '$':
		s.variable()
	case c == '<' && strings.HasPrefix(rest, "<"):
		s.put("<<")
		s.word.unknown = true
		s.i++
	default:
		s.put(string(c))
	}
	return nil
}

// double reads up to the closing double quote.
func (s *splitter) double() error {
	s.put("")
	for s.i < len(s.src) {
		c := s.src[s.i]
		s.i++
		switch {
		case c == '"':
			return nil
		case c == '\\' && s.i < len(s.src) && strings.IndexByte("\\\"$`\n", s.src[s.i]) >= 0:
			if s.src[s.i] == '\n' {
				s.line++
			} else {
				s.put(s.src[s.i : s.i+1])
			}
			s.i++
		case c == '$':
			s.variable()
		case c == '`':
			s.put("`")
			s.word.unknown = true
		default:
			if c == '\n' {
				s.line++
			}
			s.put(string(c))
		}
	}
	return errors.New("a quote is not closed")
}

// variable reads $NAME or ${NAME}, behind the dollar sign.
func (s *splitter) variable() {
	rest := s.src[s.i:]
	name := rest
	inner, braces := strings.CutPrefix(rest, "{")
	if braces {
		name = inner
	}
	n := 0
	for n < len(name) && (name[n] == '_' || name[n] >= 'A' && name[n] <= 'Z' || name[n] >= 'a' && name[n] <= 'z' || n > 0 && name[n] >= '0' && name[n] <= '9') {
		n++
	}
	name = name[:n]
	length := n
	if braces {
		length += 2
	}
	if n == 0 || braces && (len(inner) <= n || inner[n] != '}') {
		s.put("$")
		s.word.unknown = true
		return
	}
	s.i += length
	before := s.word.text
	s.word.mixed = s.word.mixed || s.word.variable != "" || before != "" && !strings.HasSuffix(before, "=")
	if s.word.variable == "" {
		s.word.variable = name
	}
	s.put(variableHere)
}

// loops are words of a shell's language: what is in them runs any number of times.
var loops = []string{"for", "while", "until", "if", "case", "function", "do", "then", "else", "eval", "xargs"}

// silent are commands that make nothing of what is asked for.
var silent = []string{"set", "echo", "printf", "export", "jq", "cat", "sleep", "cd", "exit"}

// commands returns those that call a client, from the client's name on. It refuses
// what only a shell could tell.
func (d *draft) commands(in Input) (out []call) {
	list, err := split(string(in.Text))
	if err != nil {
		d.noteAt(Refused, place{file: in.Name}, "", "cannot be read as a script: %s", err)
		return nil
	}
	condition := false // the commands before this one, which it hangs on, have something else than calls
	for _, cmd := range list {
		at := place{in.Name, cmd.line}
		condition = cmd.or || cmd.and && condition
		i := slices.IndexFunc(cmd.words, func(w word) bool { return isClient(w.text) })
		switch {
		case slices.Contains(loops, cmd.words[0].text):
			d.noteAt(Refused, at, "", "%q belongs to a shell's language, which is not run: write each call out", cmd.words[0].text)
		case slices.ContainsFunc(cmd.words, func(w word) bool { return w.unknown && strings.HasPrefix(strings.TrimLeft(w.text, "0123456789"), "<<") }):
			d.noteAt(Refused, at, "", "a text follows for it, which must not be taken for commands: take it out, or write each call out")
		case cmd.words[0].text == "echo", cmd.words[0].text == "printf":
		case i >= 0 && condition:
			d.noteAt(Refused, at, "a call", "is made only if the command before it says so: write it out, or take it out")
		case i >= 0 && cmd.piped && path.Base(cmd.words[i].text) != "curl":
			d.noteAt(Refused, at, "a call", "has its body from another command: write it out")
		case i >= 0 && i <= 6:
			c, err := clientCall(cmd.words[i:])
			if err != nil {
				d.noteAt(Refused, at, "a call", "%s", err)
				continue
			}
			c.at = at
			out = append(out, c)
		case !slices.Contains(silent, cmd.words[0].text):
			condition = true
			d.noteAt(LeftOut, at, "", "is no call of the admin API by curl or http")
		}
	}
	if len(out) == 0 {
		d.noteAt(Refused, place{file: in.Name}, "", "has no call of the admin API by curl or http")
	}
	return out
}

// variableHere stands for a variable in the text of a word.
const variableHere = "\x00"

// clientCall reads the call of a client.
func clientCall(words []word) (call, error) {
	if path.Base(words[0].text) == "curl" {
		return curl(words[1:])
	}
	return httpie(words[1:])
}

var errShell = errors.New("has something that only a shell can tell: write the value out, or let it be one variable, NAME=$VARIABLE")

// told is an error where something in the word is neither text nor a variable.
func (w word) told() error {
	if w.unknown || strings.Contains(w.text, variableHere) != (w.variable != "") {
		return errShell
	}
	return nil
}

// value returns the text of a word, with a reference in the place of a variable.
func (w word) value() (string, error) {
	if err := w.told(); err != nil || w.variable == "" {
		return w.text, err
	}
	before, after, _ := strings.Cut(w.text, variableHere)
	switch {
	case w.mixed:
		return "", errShell
	case after != "":
		return "", errors.New("has a value that is a variable and more: write it out")
	}
	return before + "{vault://env/" + w.variable + "}", nil
}

// ignored reads a word that has no part in what is asked for, such as a header with a
// token.
func (w word) ignored() (string, error) { return "", w.told() }

// address returns the admin API's address, of which only the path counts: what comes
// before may hold variables.
func (w word) address() (string, error) {
	if err := w.told(); err != nil {
		return "", err
	}
	scheme, rest, found := strings.Cut(w.text, "://")
	if !found {
		scheme, rest = "http", w.text
	}
	host, path, _ := strings.Cut(rest, "/")
	if strings.Contains(scheme+path, variableHere) {
		return "", errors.New("has a variable in the path of its URL: write it out")
	}
	if strings.Contains(host, variableHere) {
		return "http://admin.invalid/" + path, nil
	}
	return w.text, nil
}
