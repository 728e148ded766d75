package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// provider is an OpenID provider with two users and one client. Protocol and
// tokens are the library's; storage has what it remembers.
type provider struct {
	url     string
	client  *client
	portal  *client // nil for none
	storage *storage
	op      *op.Provider
	mux     *http.ServeMux
}

// What the tokens are good for.
const (
	accessLifetime  = time.Minute // short, so that one can watch a refresh
	idLifetime      = 10 * time.Minute
	sessionLifetime = 8 * time.Hour // of a refresh token
	curlLifetime    = time.Hour     // of what /token/{user} answers
)

// newProvider makes a provider for a gateway, and for a portal unless portal is "".
func newProvider(issuer, gateway, portal string) (*provider, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &provider{url: issuer, client: newClient(issuer, gateway), mux: http.NewServeMux()}
	var others []*client
	if portal != "" {
		p.portal = newPortal(issuer, portal)
		others = append(others, p.portal)
		for _, a := range Applications {
			others = append(others, newApplication(issuer, a.ClientID))
		}
		others = append(others, newApplication(issuer, Unregistered))
	}
	p.storage = newStorage(key, p.client, others...)
	config := &op.Config{
		DefaultLogoutRedirectURI: gateway + "/",
		CodeMethodS256:           true,
		AuthMethodPost:           true,
		GrantTypeRefreshToken:    true,
		SupportedScopes:          scopes,
		SupportedClaims:          []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "name", "preferred_username", "email", "email_verified"},
	}
	if _, err := rand.Read(config.CryptoKey[:]); err != nil {
		return nil, err
	}
	p.op, err = op.NewProvider(config, p.storage, op.StaticIssuer(issuer),
		op.WithAllowInsecure(), // plain HTTP: it is on loopback
		op.WithCORSOptions(nil), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	p.mux.Handle("/", p.op)
	p.mux.HandleFunc("GET /login", p.showLogin)
	p.mux.Handle("POST /login", http.NewCrossOriginProtection().Handler(http.HandlerFunc(p.login)))
	p.mux.HandleFunc("GET /token/{user}", func(w http.ResponseWriter, r *http.Request) {
		token, err := p.token(r.Context(), r.PathValue("user"))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write([]byte(token)) // the client may be gone
	})
	return p, nil
}

// ServeHTTP implements http.Handler.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// token returns an access token of a user like those that a login gets, or one of an
// application like those that it gets as itself, for curl.
func (p *provider) token(ctx context.Context, name string) (string, error) {
	if c := p.storage.others[name]; c != nil && c != p.portal {
		g := &grant{client: c.id, audience: audience}
		id, expires := p.storage.issue(g, curlLifetime)
		return op.CreateJWT(op.ContextWithIssuer(ctx, p.url), p.url, g, expires, id, c, p.storage)
	}
	u, err := userByName(name)
	if err != nil {
		return "", err
	}
	g := &grant{user: u.Name, client: p.client.id, scopes: u.granted([]string{"profile", "email", ordersScope}), audience: audience}
	id, expires := p.storage.issue(g, curlLifetime)
	return op.CreateJWT(op.ContextWithIssuer(ctx, p.url), p.url, g, expires, id, p.client, p.storage)
}

// publicPEM is the public key, indented for the declarative file.
func (p *provider) publicPEM() string {
	der, err := x509.MarshalPKIXPublicKey(&p.storage.key.PublicKey)
	if err != nil {
		panic(err) // a P-256 key has an encoding
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return "      " + strings.ReplaceAll(strings.TrimSpace(string(block)), "\n", "\n      ")
}

// loginPage is what the page says.
type loginPage struct {
	ID       string // of the request that the login is for
	Host     string // where the user comes from and goes back to
	Username string
	Wrong    bool // the password was
	Users    []user
}

func (p *provider) showLogin(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	req, err := p.storage.request(id)
	if err != nil {
		p.noLogin(w)
		return
	}
	username := r.URL.Query().Get("username")
	if username == "" {
		username = req.LoginHint
	}
	p.renderLogin(w, http.StatusOK, req, username)
}

func (p *provider) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	id, username := r.PostFormValue("id"), r.PostFormValue("username")
	req, err := p.storage.request(id)
	if err != nil {
		p.noLogin(w)
		return
	}
	u, err := userByName(username)
	if err != nil || r.PostFormValue("password") != u.Password {
		p.renderLogin(w, http.StatusForbidden, req, username)
		return
	}
	if err := p.storage.signIn(id, u); err != nil {
		p.noLogin(w)
		return
	}
	back := op.AuthCallbackURL(p.op)(op.ContextWithIssuer(r.Context(), p.url), url.QueryEscape(id))
	http.Redirect(w, r, back, http.StatusSeeOther)
}

func (p *provider) renderLogin(w http.ResponseWriter, status int, req *authRequest, username string) {
	page := loginPage{ID: req.id, Username: username, Wrong: status != http.StatusOK, Users: users}
	if back, err := url.Parse(req.RedirectURI); err == nil {
		page.Host = back.Host
	}
	// The answer to the form leads to the client: form-action holds for it too.
	render(w, status, "login.html", "Sign in", page, "'self'", "http://"+page.Host)
}

// noLogin answers for a login that nobody asked for, or that took too long.
func (p *provider) noLogin(w http.ResponseWriter) {
	render(w, http.StatusBadRequest, "gone.html", "No such login", p.storage.client.gateway)
}
