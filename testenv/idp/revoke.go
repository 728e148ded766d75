package idp

import "net/http"

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
