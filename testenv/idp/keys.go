package idp

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

type signer struct {
	kid, alg string
	key      crypto.Signer
}

// Add publishes the public half of a test key under a kid. Of those that are
// published, the newest signs what the login issues.
func (s *Server) Add(kid, alg, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(kid, alg, key)
}

func (s *Server) add(kid, alg, key string) {
	s.keys = append(s.keys, tokens.JWK(key, kid, map[string]any{"alg": alg}))
	s.signers[kid] = signer{kid, alg, tokens.Private(key)}
	s.order = append(s.order, kid)
}

// AddJWK publishes any JWK.
func (s *Server) AddJWK(jwk map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, jwk)
}

// Remove takes a key back. Token can still sign with it.
func (s *Server) Remove(kid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = slices.DeleteFunc(s.keys, func(k map[string]any) bool { return k["kid"] == kid })
}

// signer returns the key that signs, or that of a kid. Without one there is
// nothing a test could go on with. The lock is held.
func (s *Server) signer(kid string) signer {
	if kid == "" {
		kid = s.options.SigningKID
	}
	for i := len(s.order) - 1; kid == "" && i >= 0; i-- {
		if slices.ContainsFunc(s.keys, func(k map[string]any) bool { return k["kid"] == s.order[i] }) {
			kid = s.order[i]
		}
	}
	sig, ok := s.signers[kid]
	if !ok {
		panic("idp: no key " + kid)
	}
	return sig
}

// Token returns a token signed with the key of that kid: an access token for an
// hour, with claims added or replaced; a nil value removes one. It belongs to no
// sign-in: userinfo and introspect do not know it.
func (s *Server) Token(kid string, claims map[string]any) string {
	s.mu.Lock()
	sig, ok := s.signers[kid]
	issuer := s.tokenIssuer()
	s.mu.Unlock()
	if !ok {
		panic("idp: no key " + kid)
	}
	all := map[string]any{"iss": issuer, "sub": "user-1", "iat": tokens.In(0), "exp": tokens.In(3600), "scope": "openid profile"}
	merge(all, claims)
	return sig.sign(map[string]any{"alg": sig.alg, "typ": "JWT", "kid": kid}, all)
}

// sign returns a JWT.
func (k signer) sign(header, claims map[string]any) string {
	input := tokens.Input(header, claims)
	return input + "." + encode(tokens.SignBytes(k.alg, k.key, input))
}

// merge adds and replaces members; nil removes one.
func merge(into, from map[string]any) {
	for name, v := range from {
		if v == nil {
			delete(into, name)
			continue
		}
		into[name] = v
	}
}

func (s *Server) serveKeys(w *answer, r *http.Request) {
	s.mu.Lock()
	fault := s.fault
	keys := append([]map[string]any{}, s.keys...)
	s.mu.Unlock()
	switch fault {
	case NoKeys:
		keys = []map[string]any{}
	case Symmetric:
		keys = append(keys, map[string]any{"kty": "oct", "kid": "s", "k": "c2VjcmV0"})
	case Private:
		keys = append(keys, tokens.JWK("rsa2048b", "p", map[string]any{"d": "c2VjcmV0"}))
	}
	s.reply(w, r, fault, map[string]any{"keys": keys})
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func encodeJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return encode(text)
}
