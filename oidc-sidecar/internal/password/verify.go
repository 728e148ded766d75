package password

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
)

// ErrBusy is why a password is not tried: too many are.
var ErrBusy = errors.New("too many passwords are tried at the moment")

// Verify reports whether a password is the one that was hashed. user is what was
// entered, for the bound on tries; it need not be a user's name.
func (s *Store) Verify(ctx context.Context, user, encoded, password string) (bool, error) {
	m := s.mark("right", encoded, password)
	if s.wasRight(m) {
		return true, nil
	}
	ok, err := s.compute(ctx, user, encoded, password)
	if ok {
		s.remember(m)
	}
	return ok, err
}

// Decoy takes as long as Verify does for a password that is wrong, for a user that there
// is not. The hash is somebody else's: whether it holds is told to nobody, not even by
// being remembered.
func (s *Store) Decoy(ctx context.Context, user, encoded, password string) error {
	_, err := s.compute(ctx, user, encoded, password)
	return err
}

// compute waits for a place and tries.
func (s *Store) compute(ctx context.Context, user, encoded, password string) (bool, error) {
	if err := s.queue.enter(ctx, user); err != nil {
		return false, err
	}
	defer s.queue.leave(user)
	return s.try(encoded, password), nil
}

// Pick returns a number below n that always is the same for one user, and that nobody
// can guess: which hash an unknown user's password is tried against.
func (s *Store) Pick(user string, n int) int {
	m := s.mark("pick", user, "")
	return int((uint64(m[0])<<24 | uint64(m[1])<<16 | uint64(m[2])<<8 | uint64(m[3])) % uint64(n))
}

// mark is a keyed hash, so that what is remembered tells nothing without the key.
func (s *Store) mark(what, of, password string) (m mark) {
	mac := hmac.New(sha256.New, s.key[:])
	fmt.Fprintf(mac, "%d:%s%d:%s%d:%s", len(what), what, len(of), of, len(password), password)
	mac.Sum(m[:0])
	return m
}

func (s *Store) wasRight(m mark) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.right[m]
	return ok
}

func (s *Store) remember(m mark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.right[m]; ok {
		return
	}
	delete(s.right, s.order[s.next])
	s.right[m], s.order[s.next] = struct{}{}, m
	s.next = (s.next + 1) % maxRight
}

// Bounds on what waits. With 15 ms for each the last waits half a second, which is
// within the time that a filter does.
const (
	maxWaiting = 32
	maxOfUser  = 3 // tries of one name, under way or waiting
)

// queue lets so many tries run at a time, in order.
type queue struct {
	mu      sync.Mutex // guards what follows
	running int        // how many more may run
	waiting []chan struct{}
	users   map[string]int
}

// enter waits for a place; leave gives it back.
func (q *queue) enter(ctx context.Context, user string) error {
	q.mu.Lock()
	if q.users[user] >= maxOfUser || q.running == 0 && len(q.waiting) >= maxWaiting {
		q.mu.Unlock()
		return ErrBusy
	}
	if q.users == nil {
		q.users = map[string]int{}
	}
	q.users[user]++
	if q.running > 0 {
		q.running--
		q.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	q.waiting = append(q.waiting, turn)
	q.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.forget(user)
	for i, other := range q.waiting {
		if other == turn {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			return ErrBusy
		}
	}
	q.pass() // the turn has come in the meantime
	return ErrBusy
}

func (q *queue) leave(user string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.forget(user)
	q.pass()
}

// forget takes a try off a user's; mu is held, as it is for pass.
func (q *queue) forget(user string) {
	if q.users[user]--; q.users[user] == 0 {
		delete(q.users, user)
	}
}

// pass gives a place to who is next.
func (q *queue) pass() {
	if len(q.waiting) == 0 {
		q.running++
		return
	}
	close(q.waiting[0])
	q.waiting = q.waiting[1:]
}
