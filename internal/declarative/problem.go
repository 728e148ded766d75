package declarative

import (
	"fmt"
	"slices"
	"strings"
)

// Severity says how much a problem matters.
type Severity int

// The severities.
const (
	// Info: worth knowing; behaviour is as documented.
	Info Severity = iota
	// Warning: the file works, and does something unsafe.
	Warning
	// Error: the file is refused.
	Error
)

var severityNames = [...]string{"info", "warning", "error"}

// String returns info, warning or error.
func (s Severity) String() string { return severityNames[s] }

// Problem is one finding in a file.
type Problem struct {
	Severity Severity
	Rule     Rule
	File     string
	Line     int    // from 1; 0 when the finding has no place
	Path     string // services[0].routes[1].paths[0]
	Text     string // what is wrong and what was expected, or what it exposes
	Fix      string // what to do; "" where the text says it
}

// NewProblem returns a finding of a rule.
func NewProblem(r Rule, file string, line int, path, text string) Problem {
	return Problem{rules[r].severity, r, file, line, path, text, rules[r].fix}
}

// String returns file:line: severity: path: text; fix [rule].
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Severity != Error {
		b.WriteString(p.Severity.String() + ": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	if p.Fix != "" {
		b.WriteString("; " + p.Fix)
	}
	if p.Rule != "" {
		b.WriteString(" [" + string(p.Rule) + "]")
	}
	return b.String()
}

// Problems is a list of findings in the order of their lines.
type Problems []Problem

// Errors returns those that refuse the file.
func (ps Problems) Errors() Problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p Problem) bool { return p.Severity != Error })
}

// Error joins the findings, a line each.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Sorted returns the findings in the order of their lines.
func (ps Problems) Sorted() Problems {
	out := slices.Clone(ps)
	out.sort()
	return out
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int { return a.Line - b.Line })
}
