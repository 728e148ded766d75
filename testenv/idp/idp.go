// Package idp is an identity provider for tests: discovery and keys, as far as
// bearer tokens need them, on the standard library alone. It behaves well until
// it is told not to, and counts what it is asked.
package idp

import (
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// Server is a running identity provider.
type Server struct {
	*httptest.Server

	mu        sync.Mutex // guards what follows
	keys      []map[string]any
	signers   map[string]signer
	fault     Fault
	keysOnly  bool // discovery behaves
	cache     string
	issuer    string
	discovery int
	jwks      int
}

type signer struct {
	alg string
	key crypto.Signer
}

// Fault is a way to misbehave.
type Fault string

// The faults. The empty one is none.
const (
	Slow        Fault = "slow"         // answers after a minute
	Error500    Fault = "500"          // answers 500
	NotJSON     Fault = "html"         // answers HTML
	Endless     Fault = "endless"      // never stops answering
	HangUp      Fault = "hang-up"      // ends the connection without an answer
	Redirect    Fault = "redirect"     // redirects elsewhere
	Loop        Fault = "loop"         // redirects to itself
	Truncated   Fault = "truncated"    // ends before what it has announced
	Huge        Fault = "huge"         // a right answer among two megabytes
	Duplicate   Fault = "duplicate"    // JSON with a member twice
	NoKeys      Fault = "no-keys"      // an empty key set
	OtherIssuer Fault = "other-issuer" // discovery of somebody else
	Symmetric   Fault = "symmetric"    // a secret in the key set
	Private     Fault = "private"      // a private key in the key set
)

// Start starts a provider with one RS256 key, k1.
func Start(t testing.TB) *Server {
	t.Helper()
	s := New()
	t.Cleanup(s.Close)
	s.Add("k1", "RS256", "rsa2048")
	return s
}

// New returns a provider without keys.
func New() *Server {
	s := &Server{signers: map[string]signer{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", s.serveDiscovery)
	mux.HandleFunc("GET /jwks", s.serveKeys)
	s.Server = httptest.NewServer(mux)
	s.issuer = s.URL
	return s
}

// Issuer returns the issuer identifier.
func (s *Server) Issuer() string { return s.issuer }

// Add publishes the public half of a test key under a kid.
func (s *Server) Add(kid, alg, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, tokens.JWK(key, kid, map[string]any{"alg": alg}))
	s.signers[kid] = signer{alg, tokens.Private(key)}
}

// AddJWK publishes any JWK.
func (s *Server) AddJWK(jwk map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append(s.keys, jwk)
}

// Remove takes a key back.
func (s *Server) Remove(kid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.keys[:0]
	for _, k := range s.keys {
		if k["kid"] != kid {
			kept = append(kept, k)
		}
	}
	s.keys = kept
}

// Misbehave sets the fault; "" behaves again.
func (s *Server) Misbehave(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.keysOnly = f, false
}

// MisbehaveWithKeys is Misbehave for the keys alone: discovery behaves.
func (s *Server) MisbehaveWithKeys(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.keysOnly = f, true
}

// CacheFor sets max-age of what is answered.
func (s *Server) CacheFor(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache = fmt.Sprintf("max-age=%d", int(d.Seconds()))
}

// Asked returns how often keys were asked for.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jwks
}

// Requests returns how many requests came, for discovery and for keys.
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.discovery + s.jwks
}

// Token returns a token signed with the key of that kid: an access token for an
// hour, with claims added or replaced; a nil value removes one.
func (s *Server) Token(kid string, claims map[string]any) string {
	s.mu.Lock()
	sig, ok := s.signers[kid]
	s.mu.Unlock()
	if !ok {
		panic("idp: no key " + kid)
	}
	all := map[string]any{"iss": s.issuer, "sub": "user-1", "iat": tokens.In(0), "exp": tokens.In(3600), "scope": "openid profile"}
	for name, v := range claims {
		if v == nil {
			delete(all, name)
			continue
		}
		all[name] = v
	}
	input := tokens.Input(map[string]any{"alg": sig.alg, "typ": "JWT", "kid": kid}, all)
	return input + "." + encode(tokens.SignBytes(sig.alg, sig.key, input))
}

func (s *Server) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.discovery++
	fault, issuer := s.fault, s.issuer
	if s.keysOnly {
		fault = ""
	}
	s.mu.Unlock()
	if fault == OtherIssuer {
		issuer = "https://evil.example"
	}
	s.reply(w, r, fault, map[string]any{"issuer": issuer, "jwks_uri": s.URL + "/jwks"})
}

func (s *Server) serveKeys(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.jwks++
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

// reply answers, or misbehaves.
func (s *Server) reply(w http.ResponseWriter, r *http.Request, fault Fault, body any) {
	s.mu.Lock()
	cache := s.cache
	s.mu.Unlock()
	if cache != "" {
		w.Header().Set("Cache-Control", cache)
	}
	w.Header().Set("Content-Type", "application/json")
	switch fault {
	case Slow:
		select {
		case <-r.Context().Done():
		case <-time.After(time.Minute):
		}
	case Error500:
		w.WriteHeader(http.StatusInternalServerError)
	case NotJSON:
		_, _ = w.Write([]byte("<!doctype html><p>Sign in</p>"))
	case Redirect:
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	case Loop:
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
	case HangUp:
		panic(http.ErrAbortHandler)
	case Truncated:
		text, _ := json.Marshal(body)
		w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
		_, _ = w.Write(text)
	case Huge:
		text, _ := json.Marshal(body)
		_, _ = w.Write([]byte(`{"padding":"` + strings.Repeat("x", 2<<20) + `",` + string(text[1:])))
	case Endless:
		chunk := make([]byte, 64<<10)
		for i := range chunk {
			chunk[i] = ' '
		}
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	case Duplicate:
		text, _ := json.Marshal(body)
		_, _ = w.Write([]byte(`{"issuer":"x","issuer":"y",` + string(text[1:])))
	default:
		_ = json.NewEncoder(w).Encode(body)
	}
}
