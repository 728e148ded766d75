package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// JSON writes the trace as one JSON object.
func (t *Trace) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(t)
}

// Text writes the trace for people.
func (t *Trace) Text(w io.Writer) error {
	p := &printer{}
	p.line("request", t.Request.Method+" "+t.Request.URL)
	if len(t.Request.Headers) > 0 {
		p.line("", "headers "+strings.Join(t.Request.Headers, ", "))
	}
	p.route(&t.Route)
	for i := range t.Chain {
		p.plugin(i, &t.Chain[i])
	}
	if len(t.Chain) == 0 && t.Upstream != nil {
		p.line("plugins", "none: nobody is asked for a credential")
	}
	p.decision(t)
	_, err := io.WriteString(w, p.String())
	return err
}

// printer writes lines with a label before them.
type printer struct{ strings.Builder }

func (p *printer) line(label, text string) {
	fmt.Fprintf(p, "%s\n", strings.TrimRight(fmt.Sprintf("%-10s%s", label, printable(text)), " "))
}

// item writes a line below a label, with one of its own.
func (p *printer) item(label, text string) {
	p.line("", fmt.Sprintf("%-10s%s", label, text))
}

func (p *printer) route(r *Route) {
	if r.Name == "" {
		p.line("route", "none: "+r.Why)
		for _, n := range r.Near {
			p.item("near", n.Name+" wants "+n.Wants)
		}
		return
	}
	p.line("route", r.Name+atLine(r.Line)+" of the service "+r.Service+", by "+r.Match)
	if r.Why != "" {
		p.line("", r.Why)
	}
}

func atLine(line int) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf(" (line %d)", line)
}

func (p *printer) plugin(i int, g *Plugin) {
	title := g.Name + atLine(g.Line) + ": " + g.Outcome
	if g.Reason != "" && g.Outcome != Accepted {
		title += " (" + g.Reason + ")"
	}
	if g.Why != "" {
		title += ": " + g.Why
	}
	p.line(fmt.Sprintf("plugin %d", i+1), title)
	for i := range g.Credentials {
		p.item("found", g.Credentials[i].String())
	}
	for _, q := range g.Questions {
		p.item("asked", q.Kind+": "+q.For+" – "+q.Answer)
	}
	var rest []string
	for _, c := range g.Checks {
		text := c.Name
		if c.Reason != "" {
			text += " (" + c.Reason + ")"
		}
		switch {
		case c.Result == NotMade && c.Name != checkSession:
			rest = append(rest, text)
		case c.Detail == "":
			p.item(c.Result, text)
		default:
			p.item(c.Result, text+": "+c.Detail)
		}
	}
	if rest != nil {
		p.item(NotMade, strings.Join(rest, ", "))
	}
}

// String describes the credential.
func (c *Credential) String() string {
	parts := []string{c.Place}
	if c.Fingerprint != "" {
		parts = append(parts, c.Fingerprint)
	}
	for _, part := range [][2]string{{"alg", c.Alg}, {"kid", c.KeyID}, {"iss", c.Issuer}} {
		if part[1] != "" {
			parts = append(parts, part[0]+" "+part[1])
		}
	}
	if c.Expires != nil {
		parts = append(parts, "exp "+instant(*c.Expires))
	}
	return strings.Join(parts, ", ")
}

func (p *printer) decision(t *Trace) {
	d := &t.Decision
	if u := t.Upstream; u != nil {
		p.line("decision", d.Outcome+" ("+d.Reason+")")
		p.line("upstream", "path "+u.Path)
		if len(u.Remove) > 0 {
			p.item("remove", strings.Join(u.Remove, ", "))
		}
		for _, h := range u.Set {
			p.item("set", h.Name+": "+h.Value)
		}
		for _, h := range u.Response {
			p.item("answer", h.Name+": "+h.Value)
		}
		return
	}
	text := fmt.Sprintf("%s with %d (%s)", d.Outcome, d.Status, d.Reason)
	if d.Plugin != "" {
		text += " by " + d.Plugin
	}
	p.line("decision", text)
	for _, more := range []string{d.Means, d.Note} {
		if more != "" {
			p.line("", more)
		}
	}
	html := false
	for i, h := range t.Response.Headers {
		html = html || h.Name == "content-type" && strings.HasPrefix(h.Value, "text/html")
		label := ""
		if i == 0 {
			label = "response"
		}
		p.line(label, h.Name+": "+h.Value)
	}
	switch body := t.Response.Body; {
	case html:
		p.line("body", fmt.Sprintf("a page of %d bytes", len(body)))
	case body != "":
		p.line("body", body)
	}
}

// printable makes a text one line that cannot do anything to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
