// Package page writes the small pages that people see when something keeps them
// from getting where they wanted to: without scripts, without anything loaded from
// elsewhere, readable on a telephone, in the dark and by a screen reader.
//
// The filter links it, and so does the sidecar. It must never import html/template,
// which brings reflection along, and never write a string that it has not escaped.
package page

import "strings"

// Page is what a page says. Every field but Status is escaped.
type Page struct {
	Title     string // a few words
	Text      string // a sentence or two
	Detail    string // what the other side said, where that may be shown
	Reason    string // the reason code
	RequestID string
	Link      string // where to go on, "" for nowhere
	LinkText  string
}

// Headers are the headers that go with every page. What a page may load is
// nothing but its own style, by its hash (CSP Level 3 §2.3.1).
var Headers = [...][2]string{
	{"content-type", "text/html; charset=utf-8"},
	{"content-security-policy", "default-src 'none'; style-src '" + styleHash + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	{"cache-control", "no-store"},
	{"x-content-type-options", "nosniff"},
	{"referrer-policy", "no-referrer"},
}

// styleHash is the SHA-256 of style, which a test holds against it.
const styleHash = "sha256-RW8h9SDvO12kg028515vt6jS45wbQUc+87sYzmzwZMA="

const style = `:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--paper:#f5f6f8;--card:#fff;--line:#dfe3e8;--accent:#0b5fff}` +
	`@media(prefers-color-scheme:dark){:root{--ink:#e8ebf0;--soft:#a0a9b6;--paper:#12161c;--card:#1b2129;--line:#2e3641;--accent:#7fb0ff}}` +
	`*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:clamp(1rem,5vw,1.5rem);background:var(--paper);` +
	`color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}` +
	`main{width:100%;max-width:30rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:clamp(1.25rem,6vw,2rem)}` +
	`h1{margin:0 0 .5rem;font-size:1.375rem;line-height:1.3;text-wrap:balance}p{margin:0 0 1rem;overflow-wrap:anywhere;text-wrap:pretty}.detail{color:var(--soft)}` +
	`a{display:inline-block;padding:.55rem 1rem;border:1px solid transparent;border-radius:.5rem;background:var(--accent);color:var(--card);text-decoration:none;font-weight:600}` +
	`a:focus-visible{outline:3px solid var(--ink);outline-offset:2px}` +
	`dl{display:grid;grid-template-columns:auto 1fr;align-items:baseline;gap:.15rem .9rem;margin:1.5rem 0 0;padding-top:1rem;border-top:1px solid var(--line);` +
	`font-size:.8125rem;color:var(--soft)}dd{margin:0;font-family:ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}`

// HTML returns the document.
func (p Page) HTML() string {
	var b strings.Builder
	b.Grow(2600)
	b.WriteString(`<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex"><title>`)
	escape(&b, p.Title)
	b.WriteString(`</title><style>` + style + `</style></head><body><main><h1>`)
	escape(&b, p.Title)
	b.WriteString(`</h1><p>`)
	escape(&b, p.Text)
	b.WriteString(`</p>`)
	if p.Detail != "" {
		b.WriteString(`<p class="detail">`)
		escape(&b, p.Detail)
		b.WriteString(`</p>`)
	}
	if p.Link != "" {
		b.WriteString(`<a href="`)
		escape(&b, p.Link)
		b.WriteString(`">`)
		escape(&b, p.LinkText)
		b.WriteString(`</a>`)
	}
	if p.Reason != "" || p.RequestID != "" {
		b.WriteString(`<dl>`)
		for _, row := range [...][2]string{{"Reason", p.Reason}, {"Request", p.RequestID}} {
			if row[1] != "" {
				b.WriteString(`<dt>` + row[0] + `</dt><dd>`)
				escape(&b, row[1])
				b.WriteString(`</dd>`)
			}
		}
		b.WriteString(`</dl>`)
	}
	b.WriteString(`</main></body></html>`)
	return b.String()
}

// escape writes text so that it means itself, between tags and in quoted
// attributes. Control characters and broken UTF-8 have no place in either.
func escape(b *strings.Builder, s string) {
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '"':
			b.WriteString("&#34;")
		case r == '\'':
			b.WriteString("&#39;")
		case r < 0x20 && r != '\t' && r != '\n', r == 0x7f:
			b.WriteRune(' ')
		default:
			b.WriteRune(r)
		}
	}
}
