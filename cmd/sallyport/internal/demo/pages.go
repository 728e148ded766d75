package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
)

//go:embed pages
var files embed.FS

// style is the one style sheet. It stands in every page, so that a page needs
// nothing else from anywhere.
var style = func() template.CSS {
	text, err := files.ReadFile("pages/style.css")
	if err != nil {
		panic(err) // it is embedded
	}
	return template.CSS(text)
}()

// styleHash lets a browser use that sheet and no other (CSP3 §2.3.1).
var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

var pages = func() map[string]*template.Template {
	m := map[string]*template.Template{}
	for _, name := range []string{"start.html", "account.html", "login.html", "gone.html"} {
		m[name] = template.Must(template.ParseFS(files, "pages/layout.html", "pages/"+name))
	}
	return m
}()

// render answers with a page. formTo are the sources that its form may lead to.
func render(w http.ResponseWriter, status int, name, title string, data any, formTo ...string) {
	var text bytes.Buffer
	err := pages[name].ExecuteTemplate(&text, "layout.html", struct {
		Title string
		Style template.CSS
		Data  any
	}{title, style, data})
	if err != nil {
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	if len(formTo) == 0 {
		formTo = []string{"'none'"}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; img-src data:; base-uri 'none'; frame-ancestors 'none'; style-src "+
		styleHash+"; form-action "+strings.Join(formTo, " "))
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // the client may be gone
}
