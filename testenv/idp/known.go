package idp

// Know makes an access token known as if it had been issued to a client, with claims
// that an introspection tells. It ends an hour from now.
func (s *Server) Know(token, client, scope string, claims map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	a := &access{grant: &grant{client: client, scope: scope}, scope: scope, issued: now, expiry: now.Add(60 * 60 * 1e9)}
	a.claims = map[string]any{"iss": s.accessIssuer(), "sub": client, "client_id": client, "scope": scope, "exp": a.expiry.Unix()}
	merge(a.claims, claims)
	s.accesses[token] = a
}
