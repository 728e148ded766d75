package password

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"runtime"
	"sync"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/sallyport-auth/sallyport/internal/passhash"
)

// What a password of the file is hashed with: 19 MiB and two passes (OWASP, Password
// Storage Cheat Sheet). On one core that is about 15 ms.
const (
	memory = 19 << 10 // KiB
	passes = 2
)

// hash hashes a password with a salt of its own.
func hash(password string) string {
	h := passhash.Hash{Kind: passhash.Argon2id, Memory: memory, Passes: passes, Threads: 1, Salt: make([]byte, 16)}
	_, _ = rand.Read(h.Salt) // never fails
	h.Sum = argon2.IDKey([]byte(password), h.Salt, h.Passes, h.Memory, h.Threads, 32)
	return h.String()
}

// maxBcrypt is what bcrypt looks at; what is longer would pass whatever its end is.
const maxBcrypt = 72

// matches computes a hash of the password and reports whether it is the one given. A
// hash that cannot be read matches nothing.
func matches(encoded, password string) bool {
	h, err := passhash.Parse(encoded)
	if err != nil {
		return false
	}
	if h.Kind == passhash.Bcrypt {
		tried := password[:min(len(password), maxBcrypt)]
		return bcrypt.CompareHashAndPassword([]byte(encoded), []byte(tried)) == nil && len(password) <= maxBcrypt
	}
	sum := argon2.IDKey([]byte(password), h.Salt, h.Passes, h.Memory, h.Threads, uint32(len(h.Sum)))
	return subtle.ConstantTimeCompare(sum, h.Sum) == 1
}

// maxKept bounds how many passwords of files, and how many that were right, are
// remembered.
const (
	maxKept  = 1 << 16
	maxRight = 1 << 13
)

// Store hashes and verifies. It is safe for concurrent use.
type Store struct {
	key   [32]byte // of what is remembered; lives as long as the process
	queue queue
	try   func(encoded, password string) bool // matches, but in tests

	mu    sync.Mutex        // guards what follows
	kept  map[mark]string   // hashes of the file's passwords, so that a reload computes only new ones
	right map[mark]struct{} // passwords that were right, with the hash that they are right for
	order [maxRight]mark    // of right, as a ring
	next  int
}

// mark stands for a user or hash and a password.
type mark [sha256.Size]byte

// New returns a store.
func New() *Store {
	s := &Store{try: matches, kept: map[mark]string{}, right: map[mark]struct{}{}}
	s.queue.running = max(1, runtime.GOMAXPROCS(0)/2)
	_, _ = rand.Read(s.key[:])
	return s
}

// Hash hashes the passwords of users; one that it has hashed before keeps its hash.
func (s *Store) Hash(users, passwords []string) []string {
	out := make([]string, len(passwords))
	var work sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, p := range passwords {
		m := s.mark("file", users[i], p)
		s.mu.Lock()
		out[i] = s.kept[m]
		s.mu.Unlock()
		if out[i] != "" {
			continue
		}
		slots <- struct{}{}
		work.Go(func() {
			out[i] = hash(p)
			<-slots
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.kept) >= maxKept {
				clear(s.kept)
			}
			s.kept[m] = out[i]
		})
	}
	work.Wait()
	return out
}
