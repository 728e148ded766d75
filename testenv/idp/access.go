package idp

import (
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// access is an access token that was issued.
type access struct {
	grant          *grant
	scope          string
	claims         map[string]any // those of a JWT, whether or not it is one
	issued, expiry time.Time
	revoked        bool
}

// live reports whether an access token is good. The lock is held.
func (s *Server) live(a *access) bool {
	return a != nil && !a.revoked && !a.grant.revoked && s.options.Now().Before(a.expiry)
}

// mintAccess issues an access token. The lock is held.
func (s *Server) mintAccess(g *grant, scope string) string {
	u := s.users[g.user]
	sub := u.Subject
	if g.user == "" {
		sub = g.client // RFC 9068 §2.2
	}
	now := s.options.Now()
	a := &access{grant: g, scope: scope, issued: now, expiry: now.Add(s.options.AccessLifetime)}
	a.claims = map[string]any{
		"iss": s.accessIssuer(), "sub": sub, "client_id": g.client, "scope": strings.Join(strings.Fields(scope), " "),
		"iat": now.Unix(), "exp": a.expiry.Unix(), "jti": tokens.Random(),
	}
	if name := s.options.ClientClaim; name != "" {
		a.claims[name] = g.client
	}
	switch aud := s.options.AccessAudience; len(aud) {
	case 0:
	case 1:
		a.claims["aud"] = aud[0]
	default:
		a.claims["aud"] = append([]string(nil), aud...)
	}
	s.shapeAccess(a.claims, g, u)
	merge(a.claims, u.AccessClaims)
	token := tokens.Random()
	if !s.options.OpaqueAccess {
		k := s.signer("")
		token = k.sign(map[string]any{"alg": k.alg, "typ": "JWT", "kid": k.kid}, a.claims)
	}
	s.accesses[token] = a
	return token
}
