package pages

import (
	"context"
	"crypto/hmac"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
)

// Config is what pages are made of.
type Config struct {
	Workspace string
	// Origin is that of the pages, as browsers see it: https://portal.example.
	Origin    string
	Registry  *registry.Registry
	Catalogue func() []Service
	// Settings are those that may change while the portal runs.
	Settings func() Settings
	// Key is what the tokens of forms are made with.
	Key redact.Secret
	// Ports answers GET /WORKSPACE/kong.
	Ports  http.Handler
	Logger *slog.Logger
	Now    func() time.Time // nil: time.Now
}

// Settings are what a file may change.
type Settings struct {
	Claims      Claims
	AutoApprove bool
	ForbiddenTo string   // where people without an approved account are sent; "" for a page
	SignOut     string   // path that ends the session
	FormTo      []string // origins that signing out leads to
}

// Site are the pages for developers.
type Site struct {
	config Config
	home   string // path
	tokens tokens
	out    writer
	mux    *http.ServeMux
}

// New returns the pages for developers.
func New(c Config) *Site {
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Site{config: c, home: "/" + c.Workspace, tokens: tokens{c.Key}, mux: http.NewServeMux()}
	s.out = writer{c.Logger, func() []string { return c.Settings().FormTo }}
	s.routes()
	return s
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// level is who has to be there.
type level int

const (
	anybody   level = iota
	person          // signed in at the identity provider
	developer       // with an approved account
)

func (s *Site) routes() {
	on := func(pattern string, need level, f func(*visit)) {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			s.serve(w, r, need, strings.HasPrefix(pattern, "POST "), f)
		})
	}
	h := s.home
	on("GET "+h, anybody, (*visit).root)
	on("GET "+h+"/{$}", anybody, (*visit).root)
	on("GET "+h+"/unauthorized", anybody, (*visit).denied)
	on("GET /unauthorized", anybody, (*visit).denied)
	on("GET /{$}", anybody, (*visit).toHome)
	on("GET "+h+"/login", person, (*visit).toHome)
	on("GET "+h+"/auth", person, (*visit).toHome)
	on("GET "+h+"/register", person, (*visit).register)
	on("POST "+h+"/register", person, (*visit).register)
	on("GET "+h+"/register/sent", person, (*visit).registered)
	on("GET "+h+"/account", developer, (*visit).account)
	on("POST "+h+"/account", developer, (*visit).account)
	on("GET "+h+"/services", developer, (*visit).services)
	on("GET "+h+"/services/{key}", developer, (*visit).service)
	on("POST "+h+"/services/{key}/contracts", developer, (*visit).requestFromService)
	on("GET "+h+"/applications", developer, (*visit).applications)
	on("GET "+h+"/applications/new", developer, (*visit).newApplication)
	on("POST "+h+"/applications/new", developer, (*visit).newApplication)
	on("GET "+h+"/applications/{id}", developer, (*visit).application)
	on("GET "+h+"/applications/{id}/edit", developer, (*visit).editApplication)
	on("POST "+h+"/applications/{id}/edit", developer, (*visit).editApplication)
	on("GET "+h+"/applications/{id}/delete", developer, (*visit).deleteApplication)
	on("POST "+h+"/applications/{id}/delete", developer, (*visit).deleteApplication)
	on("POST "+h+"/applications/{id}/contracts", developer, (*visit).requestFromApplication)
	on("POST "+h+"/applications/{id}/contracts/{contract}/delete", developer, (*visit).withdraw)
	s.mux.HandleFunc("GET "+h+"/assets/{file}", serveStyle)
	if s.config.Ports != nil {
		s.mux.Handle("GET "+h+"/kong", s.config.Ports)
	}
	on("/", anybody, (*visit).notFound)
}

// visit is a request for a page.
type visit struct {
	*Site
	w        http.ResponseWriter
	r        *http.Request
	ctx      context.Context
	settings Settings
	who      Identity
	in       bool // somebody has signed in
	dev      registry.Developer
	known    bool // and has an account
	form     map[string][]string
}

// approved reports whether the visitor may go on.
func (v *visit) approved() bool { return v.known && v.dev.Status == registry.Approved }

// serve decides who is there, and whether that is enough. Every request is looked at
// anew: an account that is revoked ends here, whatever session there is.
// With form the request is one of ours to read.
func (s *Site) serve(w http.ResponseWriter, r *http.Request, need level, hasForm bool, f func(*visit)) {
	v := &visit{Site: s, w: w, r: r, ctx: r.Context(), settings: s.config.Settings()}
	v.who, v.in = v.settings.Claims.Of(r)
	if v.in {
		var err error
		if v.dev, v.known, err = v.find(); err != nil {
			v.trouble(err)
			return
		}
	}
	switch {
	case need > anybody && !v.in:
		// The filter lets nobody come here who has not signed in. It is the last
		// thing to rely on for that.
		v.fail(http.StatusUnauthorized, "Sign in first", "This page is for people who have signed in.")
		return
	case need == developer && !v.approved():
		v.refuse()
		return
	}
	if hasForm {
		values, err := form(w, r, v.csrf(), s.config.Origin)
		if err != nil {
			v.badForm(err)
			return
		}
		v.form = values
	}
	f(v)
}

// find finds the visitor's account: by issuer and subject, which nobody else gets. What
// links somebody to an account is registering, and never a login.
func (v *visit) find() (registry.Developer, bool, error) {
	dev, err := v.config.Registry.DeveloperBySubject(v.ctx, v.who.Issuer, v.who.Subject)
	if errors.Is(err, registry.ErrNotFound) {
		return dev, false, nil
	}
	return dev, err == nil, err
}

// csrf is the token of the visitor's forms.
func (v *visit) csrf() string {
	if !v.in {
		return ""
	}
	return v.tokens.of(v.who.Session, v.who.Issuer, v.who.Subject)
}

// value is a field of the form.
func (v *visit) value(name string) string {
	if list := v.form[name]; len(list) == 1 {
		return clean(list[0])
	}
	return ""
}

// actor is the visitor in the audit log.
func (v *visit) actor() registry.Actor {
	a := registry.Actor{Kind: "developer", ID: v.dev.ID, Name: v.who.Email, Remote: v.r.Header.Get("X-Real-Ip")}
	if v.known {
		a.Name = v.dev.Email
	} else {
		a.ID = v.who.Subject
	}
	return a
}

// view begins a page.
func (v *visit) view(title, nav string, data any) *view {
	p := &view{Title: title, Product: "Developer portal", Home: v.home, Style: v.home + "/assets/" + styleName, Nav: nav, Data: data,
		SignOut: v.settings.SignOut, CSRF: v.csrf(), Done: done[v.r.URL.Query().Get("done")]}
	p.Wait = strings.HasPrefix(v.r.URL.Query().Get("done"), "not-")
	if v.in {
		p.Me = v.who.Email
		if p.Me == "" {
			p.Me = v.who.Name
		}
		if p.Me == "" {
			p.Me = "Signed in"
		}
	}
	if v.approved() {
		p.Links = []link{{"services", v.home + "/services", "Services"}, {"applications", v.home + "/applications", "Applications"},
			{"account", v.home + "/account", "Account"}}
	}
	return p
}

func (v *visit) show(status int, name string, p *view) { v.out.page(v.w, status, name, p) }

// done are the messages after something was done, by the word in the address.
var done = map[string]string{
	"registered":    "The application is registered.",
	"saved":         "Your changes are saved.",
	"removed":       "The application is removed.",
	"requested":     "Access is requested. Somebody looks at it.",
	"approved":      "The application has access now.",
	"withdrawn":     "The application has no access any more.",
	"not-removed":   "The application cannot be removed while an administrator has taken any of its access away.",
	"not-requested": "Access was asked for before.",
}

func (v *visit) fail(status int, title, text string) {
	p := v.view(title, "", struct{ Text, Request string }{text, v.r.Header.Get("X-Request-Id")})
	p.Narrow = true
	v.show(status, "error", p)
}

func (v *visit) notFound() {
	v.fail(http.StatusNotFound, "There is no such page", "It may have been removed, or the address is not right.")
}

// trouble is our own: nobody is let in for it, and nobody is told what it is.
func (v *visit) trouble(err error) {
	v.config.Logger.Error("a page failed", "path", v.r.URL.Path, "request_id", v.r.Header.Get("X-Request-Id"), "error", err)
	v.w.Header().Set("Retry-After", "1")
	v.fail(http.StatusServiceUnavailable, "That did not work", "It is our fault. Try again in a moment.")
}

// badForm answers a form that is not looked at.
func (v *visit) badForm(err error) {
	v.config.Logger.Warn("a form is refused", "path", v.r.URL.Path, "request_id", v.r.Header.Get("X-Request-Id"), "error", err)
	if errors.Is(err, errForm) {
		v.fail(http.StatusBadRequest, "The form cannot be read", "Go back, reload the page and send it again.")
		return
	}
	v.fail(http.StatusForbidden, "The form is out of date", "You have signed in anew since it was opened, or it was not opened here. Go back, reload the page and send it again.")
}

func (v *visit) toHome() { redirect(v.w, http.StatusSeeOther, v.home) }

// to leads to one of our own pages with a message.
func (v *visit) to(path, message string) {
	to := v.home + path
	if message != "" {
		to += "?done=" + message
	}
	redirect(v.w, http.StatusSeeOther, to)
}

// same compares what must not be found out by trying.
func same(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }
