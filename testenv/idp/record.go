package idp

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// Call is one request that came, and what became of it.
type Call struct {
	Method string
	URI    string     // as it stood in the request line
	Form   url.Values // query and body
	Header http.Header
	Time   time.Time

	// ClientID and AuthMethod are what the client presented, whether or not it was
	// right: client_secret_basic, client_secret_post, private_key_jwt or none.
	ClientID, AuthMethod string

	// Status is 0 until there is an answer. Error and Detail are the error and its
	// description when the request was refused: "invalid_grant", "refresh token
	// used again".
	Status        int
	Error, Detail string
}

// Calls returns what came to an endpoint, the oldest first.
func (s *Server) Calls(endpoint string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := make([]Call, len(s.calls[endpoint]))
	for i, c := range s.calls[endpoint] {
		calls[i] = *c
	}
	return calls
}

// Count returns how many requests came to an endpoint.
func (s *Server) Count(endpoint string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls[endpoint])
}

// Await returns when so many requests have come to an endpoint. Together with
// Hold it says that they are there at once.
func (s *Server) Await(t testing.TB, endpoint string, n int) {
	t.Helper()
	for late := time.After(30 * time.Second); ; {
		s.mu.Lock()
		came, more := len(s.calls[endpoint]), s.more
		s.mu.Unlock()
		if came >= n {
			return
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("idp: %d requests came to %s, not %d", came, endpoint, n)
		}
	}
}

// Forget empties the records of every endpoint.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.calls)
}

// Hold makes requests to an endpoint wait, after they were recorded and before
// anything else, until release is called.
func (s *Server) Hold(endpoint string) (release func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds[endpoint] = gate
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.holds[endpoint] == gate {
			delete(s.holds, endpoint)
			close(gate)
		}
	}
}

func (s *Server) held(r *http.Request, endpoint string) {
	s.mu.Lock()
	gate := s.holds[endpoint]
	s.mu.Unlock()
	if gate == nil {
		return
	}
	select {
	case <-gate:
	case <-r.Context().Done():
	case <-s.done:
	}
}

// record remembers a request. The answer notes on it what becomes of it.
func (s *Server) record(w http.ResponseWriter, r *http.Request, endpoint string) *answer {
	err := r.ParseForm()
	form := url.Values{}
	for name, values := range r.Form {
		form[name] = append([]string(nil), values...)
	}
	c := &Call{Method: r.Method, URI: r.RequestURI, Form: form, Header: r.Header.Clone(), Time: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[endpoint] = append(s.calls[endpoint], c)
	close(s.more)
	s.more = make(chan struct{})
	return &answer{ResponseWriter: w, s: s, call: c, malformed: err != nil}
}
