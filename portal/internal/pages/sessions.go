package pages

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/sallyport-auth/sallyport/internal/redact"
)

// Bounds on administrators' sessions.
const (
	idleTime    = 30 * time.Minute
	longestTime = 12 * time.Hour
	maxSessions = 256
	// maxTries is how many wrong tokens are looked at in a minute, from everybody
	// together: a token has 256 random bits, so that this is for the log's sake.
	maxTries = 30
)

// sessions are administrators who have signed in. They are in memory: a restart ends
// them. What is kept is found by a hash of the cookie, so that the time of looking it
// up tells nothing of it.
type sessions struct {
	now func() time.Time

	mu     sync.Mutex // guards what follows
	byHash map[[32]byte]*session
	minute time.Time
	tries  int
}

// session is one of them. The token is looked at anew with every request.
type session struct {
	id       string
	token    redact.Secret
	began    time.Time
	lastUsed time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, byHash: map[[32]byte]*session{}}
}

// begin makes a session, with an id that nobody has seen before (session fixation).
func (s *sessions) begin(token redact.Secret) *session {
	one := &session{id: rand.Text(), token: token, began: s.now(), lastUsed: s.now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	if len(s.byHash) >= maxSessions {
		var oldest [32]byte
		var at time.Time
		for hash, o := range s.byHash {
			if at.IsZero() || o.lastUsed.Before(at) {
				oldest, at = hash, o.lastUsed
			}
		}
		delete(s.byHash, oldest)
	}
	s.byHash[sha256.Sum256([]byte(one.id))] = one
	return one
}

// open finds the session of a cookie, nil for none.
func (s *sessions) open(id string) *session {
	if len(id) == 0 || len(id) > 64 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	one := s.byHash[sha256.Sum256([]byte(id))]
	if one == nil {
		return nil
	}
	one.lastUsed = s.now()
	copied := *one
	return &copied
}

// end ends a session.
func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byHash, sha256.Sum256([]byte(id)))
}

// sweep forgets what has ended. The caller holds mu.
func (s *sessions) sweep() {
	now := s.now()
	for hash, one := range s.byHash {
		if now.Sub(one.lastUsed) > idleTime || now.Sub(one.began) > longestTime {
			delete(s.byHash, hash)
		}
	}
}

// wrong counts a wrong token; mayTry reports whether another is looked at.
func (s *sessions) wrong() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
}

func (s *sessions) mayTry() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.minute) >= time.Minute {
		s.minute, s.tries = now, 0
	}
	return s.tries < maxTries
}
