package idp

import (
	"encoding/json"
	"net/http"
	"strings"
)

// StatusOf is the fault of an endpoint that answers with a status and nothing else.
func StatusOf(endpoint, status string) Fault { return Fault(endpoint + ":status " + status) }

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
	fault := s.faultOf("introspect", false)
	if code, ok := strings.CutPrefix(string(fault), "error "); ok {
		w.refuse(bad(code, Script))
		return
	}
	if fault == Redirect {
		http.Redirect(w, r, s.URL+"/elsewhere", http.StatusTemporaryRedirect)
		return
	}
	body := s.introspect(r.PostForm.Get("token"))
	s.distort(fault, body)
	var out any = body
	if fault == "list" {
		out = []any{body}
	}
	text, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if fault == "signed" {
		w.Header().Set("Content-Type", "application/token-introspection+jwt")
		text = []byte(s.signedUserinfo(client.ID, map[string]any{"token_introspection": body}))
	}
	s.transmit(w, r, fault, text, `"active":true`)
}

// distort makes a response wrong in the way of a fault.
func (s *Server) distort(fault Fault, body map[string]any) {
	s.mu.Lock()
	now := s.options.Now().Unix()
	s.mu.Unlock()
	switch fault {
	case "active text":
		body["active"] = "true"
	case "no active":
		delete(body, "active")
	case "active null":
		body["active"] = nil
	case "expired":
		body["exp"] = now - 3600
	case "nbf ahead":
		body["nbf"] = now + 3600
	case "exp text":
		body["exp"] = "9999999999"
	case "wrong iss":
		body["iss"] = "https://elsewhere.example"
	}
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
