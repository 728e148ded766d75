package idp

import (
	"crypto/subtle"
	"slices"
	"time"

	"github.com/sallyport-auth/sallyport/testenv/tokens"
)

// User is somebody who can sign in.
type User struct {
	Name, Password string
	// Subject is the sub of tokens and userinfo; Name by default.
	Subject string
	// Claims are added to ID tokens, AccessClaims to access tokens that are JWTs,
	// and UserInfo to userinfo. A nil value removes what would be there.
	Claims, AccessClaims, UserInfo map[string]any
}

// AddUser registers a user, or replaces one: tokens that are issued from then on,
// by a refresh too, say what is new.
func (s *Server) AddUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addUser(u)
}

func (s *Server) addUser(u User) {
	if u.Subject == "" {
		u.Subject = u.Name
	}
	s.users[u.Name] = u
}

// RemoveUser removes a user, whose refreshes fail from then on.
func (s *Server) RemoveUser(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, name)
}

// check returns the user of a name and a password. The lock is held.
func (s *Server) check(name, password string) (User, bool) {
	u, ok := s.users[name]
	return u, ok && subtle.ConstantTimeCompare([]byte(u.Password), []byte(password)) == 1
}

// session is a browser in which somebody has signed in.
type session struct {
	cookie, sid, state string
	user               string
	authTime           time.Time
	clients            []string
}

// Session is somebody who has signed in and not out.
type Session struct {
	SID, User, Subject string
	Clients            []string // that have got a code, the first one first
	Time               time.Time
}

// Sessions returns the sessions there are, the oldest first.
func (s *Server) Sessions() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Session{}
	for _, one := range s.sessions {
		all = append(all, Session{one.sid, one.user, s.users[one.user].Subject, slices.Clone(one.clients), one.authTime})
	}
	slices.SortFunc(all, func(a, b Session) int { return a.Time.Compare(b.Time) })
	return all
}

// EndSessions signs a user out everywhere, as an administrator would; "" is every
// user. Nobody is told; refresh tokens that are bound to a session fail.
func (s *Server) EndSessions(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.sessions {
		if user == "" || one.user == user {
			s.endSession(one.sid)
		}
	}
}

// begin opens a session. The lock is held.
func (s *Server) begin(user string) *session {
	one := &session{cookie: tokens.Random(), sid: tokens.Random(), state: tokens.Random(), user: user, authTime: s.options.Now()}
	s.sessions[one.cookie] = one
	return one
}

// endSession ends a session and what came of it, but for grants of
// offline_access, which outlive it (OIDC Core §11). The lock is held.
func (s *Server) endSession(sid string) {
	for cookie, one := range s.sessions {
		if one.sid == sid {
			delete(s.sessions, cookie)
		}
	}
	for _, r := range s.refreshes {
		if r.grant.sid == sid && !r.grant.offline() {
			r.grant.revoked = true
		}
	}
	for _, a := range s.accesses {
		if a.grant.sid == sid && !a.grant.offline() {
			a.grant.revoked = true
		}
	}
	for _, c := range s.codes {
		if c.grant.sid == sid && !c.used {
			c.grant.revoked = true
		}
	}
}
