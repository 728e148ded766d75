package adminapi

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxRemotes bounds how many addresses are counted. Beyond it the one that came longest
// ago is forgotten, unless it is being slowed down: who comes from many addresses does not
// free one of them.
const maxRemotes = 4096

// limiter has a bucket for each remote address. It is safe for concurrent use.
type limiter struct {
	rate  rate.Limit
	burst int
	now   func() time.Time

	mu      sync.Mutex // guards buckets
	buckets map[string]*bucket
}

type bucket struct {
	*rate.Limiter
	last time.Time
}

func newLimiter(r rate.Limit, burst int, now func() time.Time) *limiter {
	return &limiter{rate: r, burst: burst, now: now, buckets: map[string]*bucket{}}
}

// take takes one from the bucket of a remote address, and reports whether there was one.
func (l *limiter) take(remote string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b := l.bucket(remote, now)
	return b != nil && b.AllowN(now, 1)
}

// empty reports whether nothing is left in a bucket.
func (l *limiter) empty(remote string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[remote]
	return b != nil && b.TokensAt(l.now()) < 1
}

// bucket returns the bucket of an address, with mu held; nil where so many are being
// slowed down that there is no room for one more.
func (l *limiter) bucket(remote string, now time.Time) *bucket {
	if b := l.buckets[remote]; b != nil {
		b.last = now
		return b
	}
	if len(l.buckets) >= maxRemotes && !l.forget(now) {
		return nil
	}
	b := &bucket{rate.NewLimiter(l.rate, l.burst), now}
	l.buckets[remote] = b
	return b
}

// forget makes room: the buckets that are full again, else that which was used longest
// ago among those that are not empty.
func (l *limiter) forget(now time.Time) bool {
	oldest := ""
	for remote, b := range l.buckets {
		tokens := b.TokensAt(now)
		switch {
		case tokens >= float64(l.burst):
			delete(l.buckets, remote)
		case tokens >= 1 && (oldest == "" || b.last.Before(l.buckets[oldest].last)):
			oldest = remote
		}
	}
	if len(l.buckets) < maxRemotes {
		return true
	}
	if oldest == "" {
		return false
	}
	delete(l.buckets, oldest)
	return true
}
