package idp

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// grant is what a sign-in has led to: the family of its tokens. What ends it ends
// them all.
type grant struct {
	client, user string // the user is "" for client_credentials
	scope        string
	nonce, sid   string
	authTime     time.Time
	revoked      bool
}

func (g *grant) has(scope string) bool { return slices.Contains(strings.Fields(g.scope), scope) }

// offline reports whether the grant outlives the session (OIDC Core §11).
func (g *grant) offline() bool { return g.has("offline_access") }

// refresh is a refresh token.
type refresh struct {
	grant   *grant
	expires time.Time
	used    bool
}

func (s *Server) serveToken(w *answer, r *http.Request) {
	s.mu.Lock()
	delay := s.options.TokenDelay
	s.mu.Unlock()
	s.pause(r, delay)
	s.token(w, r, s.faultOf("token", r.PostForm.Get("grant_type") == "refresh_token"))
}

// token answers a token request, or fails to in the way of a fault.
func (s *Server) token(w *answer, r *http.Request, fault Fault) {
	client, f := s.authenticate(w, r)
	if f != nil {
		w.refuse(f)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if code, ok := strings.CutPrefix(string(fault), "error "); ok {
		f := bad(code, Script)
		if code == "invalid_client" {
			f.status = http.StatusUnauthorized
		}
		w.refuse(f)
		return
	}
	if strings.HasPrefix(string(fault), "status ") {
		s.transmit(w, r, fault, nil, "")
		return
	}
	switch fault {
	case Redirect:
		http.Redirect(w, r, s.URL+"/elsewhere", http.StatusTemporaryRedirect)
		return
	case Slow, Error500, NotJSON, Endless, HangUp:
		s.transmit(w, r, fault, nil, "")
		return
	}
	body, f := s.grant(client, r.PostForm)
	if f != nil {
		w.refuse(f)
		return
	}
	switch fault {
	case "lost":
		panic(http.ErrAbortHandler)
	case "wrong type":
		body["token_type"] = "mac"
	case "no access_token":
		delete(body, "access_token")
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	s.transmit(w, r, fault, text, `"access_token":"of-somebody-else"`)
}

// grant does what a grant type asks for.
func (s *Server) grant(c Client, form url.Values) (map[string]any, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch form.Get("grant_type") {
	case "authorization_code":
		return s.grantCode(c, form)
	case "refresh_token":
		return s.grantRefresh(c, form)
	case "client_credentials":
		if c.AuthMethod == "none" {
			return nil, bad("unauthorized_client", "a public client has no credentials")
		}
		return s.issue(c, &grant{client: c.ID, scope: form.Get("scope")}, form.Get("scope"), issuance{}), nil
	case "password":
		u, ok := s.check(form.Get("username"), form.Get("password"))
		if !ok {
			return nil, bad("invalid_grant", "wrong user name or password")
		}
		g := &grant{client: c.ID, user: u.Name, scope: form.Get("scope"), authTime: s.options.Now()}
		return s.issue(c, g, g.scope, issuance{id: true, refresh: true}), nil
	case "":
		return nil, bad("invalid_request", "no grant_type")
	}
	return nil, bad("unsupported_grant_type", form.Get("grant_type"))
}

// grantCode exchanges a code (RFC 6749 §4.1.3, RFC 7636 §4.6). A code is used up
// by the first client that presents it, whether or not the rest is right.
func (s *Server) grantCode(c Client, form url.Values) (map[string]any, *failure) {
	one := s.codes[form.Get("code")]
	switch {
	case one == nil:
		return nil, bad("invalid_grant", "unknown code")
	case one.used:
		one.grant.revoked = true // RFC 6749 §4.1.2: what came of it ends
		return nil, bad("invalid_grant", "code used again")
	}
	one.used = true
	verifier := form.Get("code_verifier")
	sum := sha256.Sum256([]byte(verifier))
	switch {
	case one.grant.client != c.ID:
		return nil, bad("invalid_grant", "code of another client")
	case !s.options.Now().Before(one.expires):
		return nil, bad("invalid_grant", "code expired")
	case one.grant.revoked:
		return nil, bad("invalid_grant", "session ended")
	case form.Get("redirect_uri") != one.redirect:
		return nil, bad("invalid_grant", "redirect_uri is not the one of the request")
	case one.challenge == "" && form.Has("code_verifier"):
		// RFC 9700 §4.8.2: somebody has taken the challenge away.
		return nil, bad("invalid_grant", "code_verifier without code_challenge")
	case one.challenge != "" && (len(verifier) < 43 || len(verifier) > 128 || !unreserved(verifier)):
		return nil, bad("invalid_grant", "code_verifier is not of RFC 7636")
	case one.challenge != "" && encode(sum[:]) != one.challenge:
		return nil, bad("invalid_grant", "wrong code_verifier")
	}
	if _, ok := s.users[one.grant.user]; !ok {
		return nil, bad("invalid_grant", "the user is gone")
	}
	return s.issue(c, one.grant, one.grant.scope, issuance{id: true, refresh: true}), nil
}

// grantRefresh refreshes (RFC 6749 §6, OIDC Core §12).
func (s *Server) grantRefresh(c Client, form url.Values) (map[string]any, *failure) {
	one := s.refreshes[form.Get("refresh_token")]
	switch {
	case one == nil:
		return nil, bad("invalid_grant", "unknown refresh token")
	case one.grant.client != c.ID:
		return nil, bad("invalid_grant", "refresh token of another client")
	case one.used:
		one.grant.revoked = true
		return nil, bad("invalid_grant", "refresh token used again")
	case one.grant.revoked:
		return nil, bad("invalid_grant", "refresh token revoked")
	case !s.options.Now().Before(one.expires):
		return nil, bad("invalid_grant", "refresh token expired")
	}
	if _, ok := s.users[one.grant.user]; !ok {
		return nil, bad("invalid_grant", "the user is gone")
	}
	scope := one.grant.scope
	if form.Has("scope") {
		scope = form.Get("scope")
		for _, name := range strings.Fields(scope) {
			if !one.grant.has(name) {
				return nil, bad("invalid_scope", "more than was granted: "+name)
			}
		}
	}
	one.used = s.options.Rotate
	return s.issue(c, one.grant, scope, issuance{
		id: !s.options.RefreshWithoutIDToken, refresh: s.options.Rotate, refreshed: true,
	}), nil
}

// issuance is what a token response has beside an access token.
type issuance struct {
	id, refresh bool
	refreshed   bool // it answers a refresh
}

func (s *Server) issue(c Client, g *grant, scope string, what issuance) map[string]any {
	access := s.mintAccess(g, scope)
	body := map[string]any{"access_token": access, "token_type": "Bearer"}
	if !s.options.OmitExpiresIn {
		body["expires_in"] = int(s.options.AccessLifetime.Seconds())
	}
	if !s.options.OmitScope {
		body["scope"] = scope
	}
	policy := s.options.Refresh
	if what.refresh && (policy == RefreshAlways || policy == RefreshOffline && g.offline() || what.refreshed) {
		token := tokens.Random()
		s.refreshes[token] = &refresh{grant: g, expires: s.options.Now().Add(s.options.RefreshLifetime)}
		body["refresh_token"] = token
	}
	if what.id && slices.Contains(strings.Fields(scope), "openid") && !s.faulty(IDMissing, what.refreshed) {
		body["id_token"] = s.mintID(c, g, access, what.refreshed)
	}
	if g.user != "" {
		s.last = g
	}
	s.shapeResponse(body)
	return body
}
