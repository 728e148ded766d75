package idp

import (
	"encoding/json"
	"net/http"
	"strings"
)

// serveUserinfo tells who an access token is of (OIDC Core §5.3).
func (s *Server) serveUserinfo(w *answer, r *http.Request) {
	claims, client, f := s.userinfo(r)
	w.identify(client, "")
	if f != nil {
		w.blame(f)
		challenge := `Bearer realm="idp"`
		if f.code != "" { // RFC 6750 §3.1: none without a token
			challenge += `, error="` + f.code + `"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.json(f.status, map[string]any{"error": f.code, "error_description": f.detail})
		return
	}
	fault := s.faultOf("userinfo", false)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	switch fault {
	case "other sub":
		claims["sub"] = "somebody-else"
	case "no sub":
		delete(claims, "sub")
	case "JWT":
		w.Header().Set("Content-Type", "application/jwt")
		_, _ = w.Write([]byte(s.signedUserinfo(client, claims)))
		return
	}
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	s.transmit(w, r, fault, text, `"sub":"somebody-else"`)
}

func (s *Server) userinfo(r *http.Request) (claims map[string]any, client string, f *failure) {
	token, ok := bearer(r)
	if !ok {
		return nil, "", &failure{http.StatusUnauthorized, "", "no bearer token"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accesses[token]
	if !s.live(a) {
		return nil, "", &failure{http.StatusUnauthorized, "invalid_token", "unknown, expired or revoked"}
	}
	client = a.grant.client
	u, known := s.users[a.grant.user]
	if !known {
		return nil, client, &failure{http.StatusForbidden, "insufficient_scope", "not a user's token"}
	}
	claims = map[string]any{"sub": u.Subject, "preferred_username": u.Name}
	merge(claims, u.UserInfo)
	return claims, client, nil
}

// signedUserinfo is userinfo of a client that has asked for a signature (OIDC Core
// §5.3.2): a relying party that has not must not take it.
func (s *Server) signedUserinfo(client string, claims map[string]any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.signer("")
	merge(claims, map[string]any{"iss": s.tokenIssuer(), "aud": client})
	return k.sign(map[string]any{"alg": k.alg, "typ": "JWT", "kid": k.kid}, claims)
}

// bearer returns the one token of a request's header (RFC 6750 §2.1).
func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}
