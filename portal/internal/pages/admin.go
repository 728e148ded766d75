package pages

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
)

// AdminPath is where the administrators' pages are on their listener.
const AdminPath = "/portal-admin"

// adminCookie is the session's cookie, and loginCookie that of the sign-in form.
const (
	adminCookie = "portal_admin"
	loginCookie = "portal_admin_login"
)

// AdminConfig is what the administrators' pages are made of.
type AdminConfig struct {
	Registry  *registry.Registry
	Catalogue func() []Service
	// Token opens everything, beside the registry's tokens; the zero Secret opens nothing.
	Token  redact.Secret
	Key    redact.Secret
	Logger *slog.Logger
	Now    func() time.Time // nil: time.Now
}

// Admin are the administrators' pages.
type Admin struct {
	config   AdminConfig
	tokens   tokens
	sessions *sessions
	out      writer
	mux      *http.ServeMux
}

// NewAdmin returns the administrators' pages, which are under AdminPath.
func NewAdmin(c AdminConfig) *Admin {
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &Admin{config: c, tokens: tokens{c.Key}, sessions: newSessions(c.Now), mux: http.NewServeMux()}
	a.out = writer{c.Logger, func() []string { return nil }}
	a.routes()
	return a
}

// ServeHTTP implements http.Handler.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

func (a *Admin) routes() {
	on := func(pattern string, f func(*turn)) {
		method, path, _ := strings.Cut(pattern, " ")
		a.mux.HandleFunc(method+" "+AdminPath+path, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, f) })
	}
	a.mux.HandleFunc("GET "+AdminPath+"/login", a.showLogin)
	a.mux.HandleFunc("POST "+AdminPath+"/login", a.login)
	a.mux.HandleFunc("GET "+AdminPath+"/assets/{file}", serveStyle)
	on("POST /logout", (*turn).logout)
	on("GET ", (*turn).waiting)
	on("GET /{$}", (*turn).waiting)
	on("GET /developers", (*turn).developers)
	on("GET /developers/{id}", (*turn).developer)
	on("POST /developers/{id}", (*turn).decideDeveloper)
	on("GET /applications", (*turn).applications)
	on("GET /applications/{id}", (*turn).application)
	on("POST /contracts/{id}", (*turn).decideContract)
	on("GET /audit", (*turn).audit)
	a.mux.HandleFunc(AdminPath+"/", func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, (*turn).notFound) })
}

// turn is an administrator's request.
type turn struct {
	*Admin
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context
	session *session
	token   registry.AdminToken
	form    map[string][]string
}

// tokenBy returns the token that somebody has, ErrNotFound for none.
func (a *Admin) tokenBy(ctx context.Context, token redact.Secret) (registry.AdminToken, error) {
	have, want := sha256.Sum256([]byte(token.Reveal())), sha256.Sum256([]byte(a.config.Token.Reveal()))
	if !a.config.Token.Empty() && have == want {
		return registry.AdminToken{ID: "bootstrap", Name: "bootstrap", Roles: []string{registry.RoleAdmin}}, nil
	}
	return a.config.Registry.AdminTokenBy(ctx, token.Reveal())
}

func mayRead(t registry.AdminToken) bool {
	return t.Has(registry.RoleAdmin) || t.Has(registry.RolePortalApprove) || t.Has(registry.RoleRead)
}

func mayDecide(t registry.AdminToken) bool {
	return t.Has(registry.RoleAdmin) || t.Has(registry.RolePortalApprove)
}

// mayAudit reports whether a token may see all of the audit log (adminapi: /audit).
func mayAudit(t registry.AdminToken) bool {
	return t.Has(registry.RoleAdmin) || t.Has(registry.RoleRead)
}

// serve decides whether there is a session, whether its token is still good, and what
// it may do. Every form but that for signing out is a decision.
func (a *Admin) serve(w http.ResponseWriter, r *http.Request, f func(*turn)) {
	t := &turn{Admin: a, w: w, r: r, ctx: r.Context()}
	if c, err := r.Cookie(adminCookie); err == nil {
		t.session = a.sessions.open(c.Value)
	}
	if t.session == nil {
		a.toLogin(w, r)
		return
	}
	token, err := a.tokenBy(t.ctx, t.session.token)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		a.sessions.end(t.session.id)
		a.toLogin(w, r)
		return
	case err != nil:
		t.trouble(err)
		return
	}
	t.token = token
	leaves := strings.HasSuffix(r.URL.Path, "/logout")
	if !mayRead(token) && !leaves {
		t.fail(http.StatusForbidden, "Not with this token", "Its roles do not let it see the portal: expected admin, portal:approve or read.")
		return
	}
	if r.Method == http.MethodPost {
		values, err := form(w, r, t.csrf(), originOf(r))
		switch {
		case errors.Is(err, errForm):
			t.fail(http.StatusBadRequest, "The form cannot be read", "Go back, reload the page and send it again.")
			return
		case err != nil:
			a.config.Logger.Warn("an administrator's form is refused", "path", r.URL.Path, "error", err)
			t.fail(http.StatusForbidden, "The form is out of date", "You have signed in anew since it was opened, or it was not opened here. Go back, reload the page and send it again.")
			return
		case !leaves && !mayDecide(token):
			t.fail(http.StatusForbidden, "Not with this token", "It may look, and not decide: expected the role admin or portal:approve.")
			return
		}
		t.form = values
	}
	f(t)
}

// originOf is the origin by which a request came. The listener has no proxy in front
// that would be believed.
func originOf(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

func (a *Admin) toLogin(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		v := a.view("Sign in again", "", nil)
		v.Data = struct{ Text, Request string }{Text: "Your session has ended. Nothing was changed."}
		a.out.page(w, http.StatusUnauthorized, "error", v)
		return
	}
	redirect(w, http.StatusSeeOther, AdminPath+"/login")
}

// view begins a page that nobody has signed in for.
func (a *Admin) view(title, nav string, data any) *view {
	return &view{Title: title, Product: "Developer portal", Home: AdminPath, Style: AdminPath + "/assets/" + styleName, Nav: nav,
		Operator: true, Narrow: true, Data: data}
}

func (a *Admin) cookie(w http.ResponseWriter, r *http.Request, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: AdminPath, HttpOnly: true, Secure: r.TLS != nil,
		SameSite: http.SameSiteStrictMode, MaxAge: maxAge})
}

// showLogin shows the form. Its token is bound to a cookie of its own, which a session
// never has.
func (a *Admin) showLogin(w http.ResponseWriter, r *http.Request) {
	a.loginForm(w, r, http.StatusOK, nil)
}

func (a *Admin) loginForm(w http.ResponseWriter, r *http.Request, status int, problems []problem) {
	nonce := newNonce()
	a.cookie(w, r, loginCookie, nonce, 3600)
	v := a.view("Sign in", "", nil)
	v.CSRF, v.Problems = a.tokens.of("login", nonce), problems
	a.out.page(w, status, "admin_login", v)
}

func (a *Admin) login(w http.ResponseWriter, r *http.Request) {
	nonce := ""
	if c, err := r.Cookie(loginCookie); err == nil {
		nonce = c.Value
	}
	values, err := form(w, r, a.tokens.of("login", nonce), originOf(r))
	if err != nil || nonce == "" {
		a.loginForm(w, r, http.StatusForbidden, []problem{{"", "The form was out of date. Sign in again."}})
		return
	}
	if !a.sessions.mayTry() {
		w.Header().Set("Retry-After", "60")
		a.loginForm(w, r, http.StatusTooManyRequests, []problem{{"", "There were many wrong tokens. Try again in a minute."}})
		return
	}
	given := redact.New(strings.TrimSpace(values.Get("token")))
	token, err := a.tokenBy(r.Context(), given)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		a.sessions.wrong()
		a.config.Logger.Warn("an administrator's sign-in with a token that is not good", "remote", remote(r))
		a.loginForm(w, r, http.StatusUnauthorized, []problem{{"token", "That token is not good: it is another, has expired, or was removed."}})
		return
	case err != nil:
		a.config.Logger.Error("an administrator cannot sign in", "error", err)
		a.loginForm(w, r, http.StatusServiceUnavailable, []problem{{"", "That did not work, and it is our fault. Try again in a moment."}})
		return
	case !mayRead(token):
		a.loginForm(w, r, http.StatusForbidden, []problem{{"token", "That token's roles do not let it see the portal: expected admin, portal:approve or read."}})
		return
	}
	if c, err := r.Cookie(adminCookie); err == nil {
		a.sessions.end(c.Value)
	}
	one := a.sessions.begin(given)
	if err := a.config.Registry.Record(r.Context(), actorOf(token, r), "sign in", "tokens", token.ID, ""); err != nil {
		a.sessions.end(one.id)
		a.config.Logger.Error("a sign-in cannot be written down", "error", err)
		a.loginForm(w, r, http.StatusServiceUnavailable, []problem{{"", "That did not work, and it is our fault. Try again in a moment."}})
		return
	}
	a.cookie(w, r, loginCookie, "", -1)
	a.cookie(w, r, adminCookie, one.id, 0)
	redirect(w, http.StatusSeeOther, AdminPath)
}

func actorOf(t registry.AdminToken, r *http.Request) registry.Actor {
	return registry.Actor{Kind: "token", ID: t.ID, Name: t.Name, Role: strings.Join(t.Roles, " "), Remote: remote(r)}
}

func remote(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (t *turn) csrf() string { return t.tokens.of("admin", t.session.id) }

func (t *turn) actor() registry.Actor { return actorOf(t.token, t.r) }

func (t *turn) value(name string) string {
	if list := t.form[name]; len(list) == 1 {
		return clean(list[0])
	}
	return ""
}

// view begins a page.
func (t *turn) view(title, nav string, data any) *view {
	v := t.Admin.view(title, nav, data)
	v.Narrow, v.SignOut, v.CSRF, v.MayDecide = false, AdminPath+"/logout", t.csrf(), mayDecide(t.token)
	v.Done = decided[t.r.URL.Query().Get("done")]
	v.Me = t.token.Name
	v.Links = []link{{"home", AdminPath, "Requests"}, {"developers", AdminPath + "/developers", "Developers"},
		{"applications", AdminPath + "/applications", "Applications"}, {"audit", AdminPath + "/audit", "Audit"}}
	return v
}

// decided are the messages after a decision.
var decided = map[string]string{
	"approve": "Approved.", "reject": "Rejected.", "revoke": "Revoked. It ends within two seconds.",
	"suspend": "Suspended. It ends within two seconds.", "resume": "Access is given again.",
}

func (t *turn) show(status int, name string, v *view) { t.out.page(t.w, status, name, v) }

func (t *turn) fail(status int, title, text string) {
	v := t.Admin.view(title, "", struct{ Text, Request string }{Text: text})
	if t.session != nil {
		v.Me, v.SignOut, v.CSRF = t.token.Name, AdminPath+"/logout", t.csrf()
	}
	t.show(status, "error", v)
}

func (t *turn) notFound() {
	t.fail(http.StatusNotFound, "There is no such page", "It may have been removed, or the address is not right.")
}

func (t *turn) trouble(err error) {
	t.config.Logger.Error("an administrator's page failed", "path", t.r.URL.Path, "error", err)
	t.w.Header().Set("Retry-After", "1")
	t.fail(http.StatusServiceUnavailable, "That did not work", "It is our fault. Try again in a moment.")
}

// failed answers for an error of the registry; false for none.
func (t *turn) failed(err error) bool {
	var invalid *registry.Invalid
	switch {
	case err == nil:
		return false
	case errors.Is(err, registry.ErrNotFound):
		t.notFound()
	case errors.As(err, &invalid):
		t.fail(http.StatusBadRequest, "That cannot be looked for", "The address is not one of a link of these pages.")
	default:
		t.trouble(err)
	}
	return true
}

func (t *turn) logout() {
	t.sessions.end(t.session.id)
	t.cookie(t.w, t.r, adminCookie, "", -1)
	redirect(t.w, http.StatusSeeOther, AdminPath+"/login")
}

// after leads back from a decision.
func (t *turn) after(path, action string) {
	if t.value("back") == "home" {
		path = ""
	}
	redirect(t.w, http.StatusSeeOther, AdminPath+path+"?done="+url.QueryEscape(action))
}
