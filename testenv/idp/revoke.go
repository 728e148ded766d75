package idp

import (
	"encoding/json"
	"net/http"
)

// serveRevoke revokes a token (RFC 7009). A refresh token takes all that came of
// its sign-in with it.
func (s *Server) serveRevoke(w *answer, r *http.Request) {
	client, f := s.authenticate(w, r)
	if f == nil {
		f = s.revoke(client, r.PostForm.Get("token"))
	}
	if f != nil {
		w.refuse(f)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (s *Server) revoke(c Client, token string) *failure {
	if token == "" {
		return bad("invalid_request", "no token")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.refreshes[token]; one != nil {
		if one.grant.client != c.ID {
			return bad("invalid_grant", "token of another client")
		}
		one.grant.revoked = true
		return nil
	}
	if one := s.accesses[token]; one != nil {
		if one.grant.client != c.ID {
			return bad("invalid_grant", "token of another client")
		}
		one.revoked = true
	}
	return nil // RFC 7009 §2.2: a token that is unknown is no error
}

// serveIntrospect says what a token is (RFC 7662). Any client may ask for any.
func (s *Server) serveIntrospect(w *answer, r *http.Request) {
	client, f := s.authenticate(w, r)
	switch {
	case f == nil && client.AuthMethod == "none":
		f = &failure{http.StatusUnauthorized, "invalid_client", "a public client may not ask"}
	case f == nil && r.PostForm.Get("token") == "":
		f = bad("invalid_request", "no token")
	}
	if f != nil {
		w.refuse(f)
		return
	}
	body := s.introspect(r.PostForm.Get("token"))
	switch fault := s.faultOf("introspect", false); fault {
	case "":
		w.json(http.StatusOK, body)
		return
	case "active text":
		body["active"] = "true"
	case "no active":
		delete(body, "active")
	case "wrong iss":
		body["iss"] = "https://elsewhere.example"
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	s.transmit(w, r, s.faultOf("introspect", false), text, `"active":true`)
}

func (s *Server) introspect(token string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accesses[token]; s.live(a) {
		out := map[string]any{"scope": a.scope, "client_id": a.grant.client}
		merge(out, a.claims)
		out["active"], out["token_type"] = true, "Bearer"
		if a.grant.user != "" {
			out["username"] = a.grant.user
		}
		return out
	}
	if one := s.refreshes[token]; one != nil && !one.used && !one.grant.revoked && s.options.Now().Before(one.expires) {
		return map[string]any{
			"active": true, "scope": one.grant.scope, "client_id": one.grant.client, "username": one.grant.user,
			"sub": s.users[one.grant.user].Subject, "exp": one.expires.Unix(),
		}
	}
	return map[string]any{"active": false}
}
