package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"log/slog"
	"net/http"
	"strings"
)

//go:embed design
var files embed.FS

// style is the one style sheet, and styleName the name that its content gives it.
var style = func() []byte {
	text, err := files.ReadFile("design/style.css")
	if err != nil {
		panic(err) // it is embedded
	}
	return text
}()

var styleName = func() string {
	sum := sha256.Sum256(style)
	return hex.EncodeToString(sum[:8]) + ".css"
}()

var templates = func() map[string]*template.Template {
	list, err := files.ReadDir("design")
	if err != nil {
		panic(err) // it is embedded
	}
	m := map[string]*template.Template{}
	for _, f := range list {
		name, ok := strings.CutSuffix(f.Name(), ".html")
		if !ok || name == "layout" {
			continue
		}
		m[name] = template.Must(template.ParseFS(files, "design/layout.html", "design/"+name+".html"))
	}
	return m
}()

// view is what every page shows.
type view struct {
	Title    string
	Product  string
	Home     string // path
	Style    string // path
	Nav      string // name of the link that leads here
	Links    []link
	Me       string // "" for nobody
	SignOut  string // path
	CSRF     string
	Done     string
	Wait     bool // Done is that something was not done
	Problems []problem
	Operator bool // an administrator's page
	Narrow   bool
	// MayDecide is whether an administrator's token may write.
	MayDecide bool
	Data      any
}

// link is a link of the navigation.
type link struct{ Name, To, Text string }

// problem is something wrong with a form.
type problem struct{ Field, Text string }

// Wrong returns what is wrong with a field, nil for nothing.
func (v *view) Wrong(field string) *problem {
	for i := range v.Problems {
		if v.Problems[i].Field == field {
			return &v.Problems[i]
		}
	}
	return nil
}

// fact is a line of a list of facts.
type fact struct {
	Name, Value string
	Code        bool
	Time        string // RFC 3339
}

// pager leads through a list; "" for nowhere.
type pager struct{ First, Next string }

// option is one of a list to choose from.
type option struct {
	Value, Text string
	Selected    bool
}

// action is a button.
type action struct{ Value, Text, Class string }

// writer answers with pages.
type writer struct {
	logger *slog.Logger
	formTo func() []string // origins that forms may lead to, beside this one
}

// page answers with a page.
func (o *writer) page(w http.ResponseWriter, status int, name string, v *view) {
	var text bytes.Buffer
	if err := templates[name].ExecuteTemplate(&text, "layout.html", v); err != nil {
		o.logger.Error("a page cannot be shown", "page", name, "error", err)
		http.Error(w, "The page cannot be shown.", http.StatusServiceUnavailable)
		return
	}
	secure(w.Header(), o.formTo())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // the client may be gone
}

// secure sets the headers that go with every page: it loads our style sheet and
// nothing else, no page of others shows it, nothing keeps it.
func secure(h http.Header, formTo []string) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action "+
		strings.Join(append([]string{"'self'"}, formTo...), " "))
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// serveStyle serves the style sheet, by its name of today alone.
func serveStyle(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("file") != styleName {
		http.Error(w, "There is no such file.", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	_, _ = w.Write(style) // the client may be gone
}

// redirect leads on after a POST, or to where something is.
func redirect(w http.ResponseWriter, status int, to string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Location", to)
	w.WriteHeader(status)
}
