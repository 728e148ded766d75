package idp

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Client is a relying party that is registered.
type Client struct {
	ID, Secret string

	// AuthMethod is the only way that it may authenticate: client_secret_basic,
	// the default, client_secret_post, private_key_jwt or none.
	AuthMethod string
	// JWKSURI is where the keys of private_key_jwt are, fetched for every
	// assertion. Any certificate will do.
	JWKSURI string

	// RedirectURIs are compared byte by byte; without any every one will do. The
	// same holds after a logout.
	RedirectURIs, PostLogoutRedirectURIs []string
}

// AddClient registers a client, or replaces it. From the first on, only clients
// that are registered are served. Before, any is, with any secret or assertion.
func (s *Server) AddClient(c Client) {
	switch c.AuthMethod {
	case "":
		c.AuthMethod = "client_secret_basic"
	case "client_secret_basic", "client_secret_post", "private_key_jwt", "none":
	default:
		panic("idp: no client authentication " + c.AuthMethod)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = c
}

// client returns a client by its id. The lock is held.
func (s *Server) client(id string) (Client, bool) {
	if len(s.clients) == 0 {
		return Client{ID: id}, id != ""
	}
	c, ok := s.clients[id]
	return c, ok
}

// presented is how a client authenticates itself.
type presented struct {
	id, secret, assertion, method string
}

// present reads the one way of authentication that a request has (RFC 6749 §2.3).
func present(r *http.Request) (presented, *failure) {
	p := presented{id: r.PostForm.Get("client_id"), method: "none"}
	ways := 0
	if r.PostForm.Has("client_assertion") {
		ways++
		p.method, p.assertion = "private_key_jwt", r.PostForm.Get("client_assertion")
		if id := subject(p.assertion); p.id == "" {
			p.id = id
		}
	}
	if r.PostForm.Has("client_secret") {
		ways++
		p.method, p.secret = "client_secret_post", r.PostForm.Get("client_secret")
	}
	if header := r.Header.Get("Authorization"); header != "" {
		ways++
		id, secret, ok := basic(header)
		p.method, p.secret = "client_secret_basic", secret
		if !ok || len(r.Header.Values("Authorization")) > 1 {
			return p, &failure{http.StatusUnauthorized, "invalid_client", "malformed Authorization"}
		}
		if p.id != "" && p.id != id {
			return p, bad("invalid_request", "client_id is not the one of Authorization")
		}
		p.id = id
	}
	if ways > 1 {
		return p, bad("invalid_request", "more than one client authentication")
	}
	if p.id == "" {
		return p, &failure{http.StatusUnauthorized, "invalid_client", "no client_id"}
	}
	return p, nil
}

// basic reads client_secret_basic. Id and secret are form-encoded before they are
// base64 (RFC 6749 §2.3.1): a client that forgets it fails with "a+b" or "50%".
func basic(header string) (id, secret string, ok bool) {
	scheme, token, _ := strings.Cut(header, " ")
	text, err := base64.StdEncoding.DecodeString(token)
	id, secret, ok = strings.Cut(string(text), ":")
	if !strings.EqualFold(scheme, "Basic") || err != nil || !ok {
		return "", "", false
	}
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	return id, secret, err1 == nil && err2 == nil
}

// authenticate finds out which client is asking. Of one that is not registered,
// the secret is the one it presents.
func (s *Server) authenticate(w *answer, r *http.Request) (Client, *failure) {
	p, f := present(r)
	w.identify(p.id, p.method)
	switch {
	case f != nil:
		return Client{}, f
	case r.URL.RawQuery != "":
		// RFC 6749 §2.3.1: never in the URI, where logs keep them.
		return Client{}, bad("invalid_request", "parameters in the query")
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		return Client{}, bad("invalid_request", "the body is no form")
	}
	if f := w.repeated(); f != nil {
		return Client{}, f
	}
	s.mu.Lock()
	c, ok := s.client(p.id)
	open := len(s.clients) == 0
	s.mu.Unlock()
	unknown := &failure{http.StatusUnauthorized, "invalid_client", "unknown client"}
	switch {
	case !ok:
		return c, unknown
	case open:
		c.Secret, c.AuthMethod = p.secret, p.method
		return c, nil
	case p.method != c.AuthMethod:
		unknown.detail = p.method + " where " + c.AuthMethod + " is registered"
		return c, unknown
	case p.method == "private_key_jwt":
		return c, s.checkAssertion(c, p.assertion, r)
	case p.method != "none" && subtle.ConstantTimeCompare([]byte(p.secret), []byte(c.Secret)) != 1:
		unknown.detail = "wrong secret"
		return c, unknown
	}
	return c, nil
}

// registered reports whether a URI may be redirected to.
func registered(uris []string, uri string) bool { return len(uris) == 0 || slices.Contains(uris, uri) }
