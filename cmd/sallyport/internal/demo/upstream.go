package demo

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// upstream is the service behind the gateway. It believes whatever the gateway
// says of a request.
type upstream struct {
	demo *Demo
	now  func() time.Time
}

func newUpstream(d *Demo) *upstream { return &upstream{demo: d, now: time.Now} }

// ServeHTTP implements http.Handler: pages for browsers, JSON for the rest.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	page := r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
	switch {
	case page && r.URL.Path == "/":
		u.start(w)
	case page && r.URL.Path == "/account":
		u.account(w, r)
	default:
		echo(w, r)
	}
}

// startPage is what the page says.
type startPage struct {
	Gateway, Issuer, File string
	Login                 bool
	Users                 []user
	Lines                 []line
}

func (u *upstream) start(w http.ResponseWriter) {
	d := u.demo
	render(w, http.StatusOK, "start.html", "Sallyport demo",
		startPage{Gateway: d.Gateway, Issuer: d.Issuer, File: d.File, Login: d.login, Users: users, Lines: d.lines()})
}

// accountPage is what the page says.
type accountPage struct {
	Subject, Name, Email string // as the gateway passed them on
	Initial              string
	Orders               bool // the access token lets its bearer read them
	Tokens               []token
}

func (u *upstream) account(w http.ResponseWriter, r *http.Request) {
	now := u.now()
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	access := decode("Access token", "Authorization", bearer, now)
	page := accountPage{
		Subject: r.Header.Get("X-Credential-Identifier"),
		Name:    r.Header.Get("X-Demo-Name"),
		Email:   r.Header.Get("X-Demo-Email"),
		Orders:  access.hasScope(ordersScope),
		Tokens:  []token{access, decode("ID token", "X-Id-Token", r.Header.Get("X-Id-Token"), now)},
	}
	for _, name := range []string{page.Name, page.Subject, "?"} {
		if name != "" {
			page.Initial = strings.ToUpper(string([]rune(name)[:1]))
			break
		}
	}
	render(w, http.StatusOK, "account.html", "Your account", page)
}

// secrets are headers that the echo leaves out.
var secrets = map[string]bool{"Authorization": true, "Cookie": true, "X-Id-Token": true}

// echo answers with the request as it arrived.
func echo(w http.ResponseWriter, r *http.Request) {
	headers := map[string]string{}
	for name, values := range r.Header {
		if !secrets[name] {
			headers[name] = strings.Join(values, ", ")
		}
	}
	body, err := json.MarshalIndent(map[string]any{"method": r.Method, "path": r.URL.RequestURI(), "headers": headers}, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}
