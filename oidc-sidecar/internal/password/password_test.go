package password

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/sallyport-auth/sallyport/internal/passhash"
	"github.com/sallyport-auth/sallyport/testenv"
)

func TestHashes(t *testing.T) {
	made, err := bcrypt.GenerateFromPassword([]byte("swordfish"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", maxBcrypt)
	cut, err := bcrypt.GenerateFromPassword([]byte(long), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	// One of the test vectors of the reference implementation (phc-winner-argon2, src/test.c).
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, tt := range []struct {
		encoded, password string
		want              bool
	}{
		{hash("swordfish"), "swordfish", true},
		{hash("swordfish"), "swordfisi", false},
		{hash("swordfish"), "", false},
		{reference, "password", true},
		{reference, "passwore", false},
		{string(made), "swordfish", true},
		{strings.Replace(string(made), "$2a$", "$2y$", 1), "swordfish", true},
		{string(made), "swordfisi", false},
		{string(cut), long, true},
		{string(cut), long + "y", false}, // bcrypt itself would take it
		{"swordfish", "swordfish", false},
		{"", "", false},
	} {
		if got := matches(tt.encoded, tt.password); got != tt.want {
			t.Errorf("%q for %s: %v", tt.password, tt.encoded, got)
		}
	}
	h, err := passhash.Parse(hash("x"))
	if first, second := hash("x"), hash("x"); err != nil || h.Weak() || first == second {
		t.Errorf("our own hash: %v, weak %v", err, h.Weak())
	}
}

// A reload hashes what is new and nothing else, and equal passwords of two users do
// not show.
func TestHashesAreKept(t *testing.T) {
	s := New()
	first := s.Hash([]string{"a", "b"}, []string{"same", "same"})
	again := s.Hash([]string{"b", "a", "a"}, []string{"same", "same", "other"})
	if first[0] == first[1] || again[0] != first[1] || again[1] != first[0] || again[2] == first[0] {
		t.Errorf("%q, then %q", first, again)
	}
	for _, h := range again {
		if !passhash.Looks(h) {
			t.Errorf("%q is no hash", h)
		}
	}
}

// tries is a store whose tries say when they begin, and wait until they may end.
type tries struct {
	*Store
	begun chan string
	end   chan bool
}

func waiting(t *testing.T) *tries {
	t.Helper()
	s := &tries{New(), make(chan string), make(chan bool)}
	s.queue.running = 1
	s.try = func(encoded, password string) bool {
		s.begun <- password
		return <-s.end
	}
	return s
}

func TestRightPasswordsAreRemembered(t *testing.T) {
	s := waiting(t)
	go func() {
		<-s.begun
		s.end <- true
		<-s.begun
		s.end <- false
	}()
	ctx := context.Background()
	for _, tt := range []struct {
		encoded, password string
		want              bool
	}{{"h", "p", true}, {"h", "p", true}, {"h", "p", true}, {"h2", "p", false}} {
		if ok, err := s.Verify(ctx, "u", tt.encoded, tt.password); ok != tt.want || err != nil {
			t.Errorf("%+v: %v, %v", tt, ok, err)
		}
	}
	// A decoy is computed each time, whether or not it holds, and leaves no trace.
	go func() {
		for range 3 {
			<-s.begun
			s.end <- true
		}
		<-s.begun
		s.end <- false
	}()
	for _, encoded := range []string{"h", "h3", "h3"} {
		if err := s.Decoy(ctx, "nobody", encoded, "p"); err != nil {
			t.Error(err)
		}
	}
	if ok, err := s.Verify(ctx, "u", "h3", "p"); ok || err != nil {
		t.Errorf("what a decoy has found out is remembered: %v, %v", ok, err)
	}
	m := s.mark("right", "h", "p")
	for range maxRight {
		s.remember(s.mark("x", "y", string(rune(len(s.right)))))
	}
	if s.wasRight(m) || len(s.right) > maxRight {
		t.Errorf("%d are remembered, the first is still there: %v", len(s.right), s.wasRight(m))
	}
}

// A flood of passwords for one name has few places, so that others get theirs; one of
// names fills the queue, and what was right before goes on being right.
func TestFlood(t *testing.T) {
	s := waiting(t)
	ctx := context.Background()
	s.remember(s.mark("right", "h", "known"))
	var work sync.WaitGroup
	results := make(chan error, 100)
	verify := func(user string) {
		work.Go(func() {
			_, err := s.Verify(ctx, user, "h", "wrong")
			results <- err
		})
	}
	for range maxOfUser + 20 {
		verify("flooded")
	}
	<-s.begun
	for range 20 {
		if err := <-results; !errors.Is(err, ErrBusy) {
			t.Fatalf("one too many of a name: %v", err)
		}
	}
	for i := range maxWaiting - maxOfUser + 1 {
		verify("other" + string(rune('a'+i)))
	}
	testenv.Eventually(t, 10*time.Second, "a full queue", func() bool {
		s.queue.mu.Lock()
		defer s.queue.mu.Unlock()
		return len(s.queue.waiting) == maxWaiting
	})
	if _, err := s.Verify(ctx, "one more", "h", "wrong"); !errors.Is(err, ErrBusy) {
		t.Errorf("beyond the queue: %v", err)
	}
	if ok, err := s.Verify(ctx, "flooded", "h", "known"); !ok || err != nil {
		t.Errorf("what was right before: %v, %v", ok, err)
	}
	for i := range maxWaiting + 1 {
		if i > 0 {
			<-s.begun
		}
		s.end <- false
		if err := <-results; err != nil {
			t.Errorf("one that waited: %v", err)
		}
	}
	work.Wait()
	if s.queue.running != 1 || len(s.queue.users) != 0 {
		t.Errorf("left behind: %+v", &s.queue)
	}
}

// Who gives up leaves no place behind.
func TestGivingUp(t *testing.T) {
	s := waiting(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, err := s.Verify(context.Background(), "a", "h", "1")
		done <- err
	}()
	<-s.begun
	go func() {
		_, err := s.Verify(ctx, "b", "h", "2")
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, ErrBusy) {
		t.Errorf("who gave up: %v", err)
	}
	s.end <- false
	if err := <-done; err != nil {
		t.Errorf("who did not: %v", err)
	}
	if s.queue.running != 1 || len(s.queue.waiting) != 0 || len(s.queue.users) != 0 {
		t.Errorf("left behind: %+v", &s.queue)
	}
}

func TestPick(t *testing.T) {
	s := New()
	seen := map[int]bool{}
	for _, user := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		n := s.Pick(user, 3)
		if n != s.Pick(user, 3) || n < 0 || n > 2 {
			t.Errorf("%s: %d", user, n)
		}
		seen[n] = true
	}
	if len(seen) != 3 {
		t.Errorf("only %v are picked", seen)
	}
}

func BenchmarkHash(b *testing.B) {
	for b.Loop() {
		hash("swordfish")
	}
}
