package idp

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault is a way to misbehave.
type Fault string

// The faults of discovery and keys. The empty one is none.
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

	// Discovery without an endpoint, or with one where a request forged by the
	// server side would do harm: the metadata address of clouds, or Trap, which is
	// on another loopback address and answers like the real one.
	NoTokenEndpoint     Fault = "no-token-endpoint"
	NoAuthorizeEndpoint Fault = "no-authorize-endpoint"
	TokenAtLinkLocal    Fault = "token-at-link-local"
	TokenAtLoopback     Fault = "token-at-loopback"
	AuthorizeAtLoopback Fault = "authorize-at-loopback"
	UserinfoAtLinkLocal Fault = "userinfo-at-link-local"
	UserinfoAtLoopback  Fault = "userinfo-at-loopback"
	KeysAtLinkLocal     Fault = "keys-at-link-local"
	KeysAtLoopback      Fault = "keys-at-loopback"
)

// Misbehave sets the fault of discovery and keys; "" behaves again.
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

// reply answers for discovery and keys, or misbehaves.
func (s *Server) reply(w *answer, r *http.Request, fault Fault, body any) {
	s.mu.Lock()
	cache := s.cache
	s.mu.Unlock()
	if cache != "" {
		w.Header().Set("Cache-Control", cache)
	}
	w.Header().Set("Content-Type", "application/json")
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	if fault == Redirect {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		return
	}
	s.transmit(w, r, fault, text, `"issuer":"x","issuer":"y"`)
}

// transmit answers with a JSON object, or fails to in the way of a fault. twice
// are members that Duplicate puts before the right ones.
func (s *Server) transmit(w *answer, r *http.Request, fault Fault, text []byte, twice string) {
	if status, ok := strings.CutPrefix(string(fault), "status "); ok {
		n, err := strconv.Atoi(status)
		if err != nil {
			panic(err)
		}
		w.WriteHeader(n)
		return
	}
	switch fault {
	case Slow:
		s.pause(r, time.Minute)
	case Error500:
		w.WriteHeader(http.StatusInternalServerError)
	case NotJSON:
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><p>Sign in</p>"))
	case Loop:
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
	case HangUp:
		panic(http.ErrAbortHandler)
	case Truncated:
		w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
		_, _ = w.Write(text)
	case Huge:
		_, _ = w.Write([]byte(`{"padding":"` + strings.Repeat("x", 2<<20) + `",` + string(text[1:])))
	case Endless:
		s.endless(w)
	case Duplicate:
		_, _ = w.Write([]byte("{" + twice + "," + string(text[1:])))
	default:
		_, _ = w.Write(text)
	}
}

func (s *Server) endless(w *answer) {
	chunk := []byte(strings.Repeat(" ", 64<<10))
	for {
		select {
		case <-s.done:
			return
		default:
		}
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}
