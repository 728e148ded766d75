package inquiry

import (
	"sync"

	"github.com/sallyport-auth/sallyport/internal/bundle"
)

// How many requests an issuer gets at a time. Each method has a few that are its own;
// beyond them all share. So a flood of one method, which anybody can make with tokens
// that are none, takes up half of them at most, and none of what the others have.
const (
	ownRoom    = 4
	sharedRoom = 12
)

// gate bounds the requests that are under way, for each issuer.
type gate struct {
	mu   sync.Mutex // guards what follows
	busy map[string]*[bundle.Methods]int
}

func newGate() *gate { return &gate{busy: map[string]*[bundle.Methods]int{}} }

// enter reports whether an issuer may be asked by a method now.
func (g *gate) enter(issuer string, m bundle.Method) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := g.busy[issuer]
	if of == nil {
		of = &[bundle.Methods]int{}
		g.busy[issuer] = of
	}
	shared := 0
	for _, n := range of {
		shared += max(n-ownRoom, 0)
	}
	if of[m] >= ownRoom && shared >= sharedRoom {
		return false
	}
	of[m]++
	return true
}

// leave gives back what enter took.
func (g *gate) leave(issuer string, m bundle.Method) {
	g.mu.Lock()
	defer g.mu.Unlock()
	of := g.busy[issuer]
	of[m]--
	if *of == [bundle.Methods]int{} {
		delete(g.busy, issuer)
	}
}
