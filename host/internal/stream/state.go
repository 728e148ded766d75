package stream

import (
	"sync"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// maxState bounds how many values there are. Hostcalls bound the size of each.
const maxState = 256

// State is the filter state of a request: what guests set as properties. The
// filters of a chain share it, as they do in Envoy. The zero State is empty; it is
// safe for concurrent use.
type State struct {
	mu     sync.Mutex // guards values
	values map[string][]byte
}

func (s *State) get(name string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[name]
	return v, ok
}

// set sets a value; once, when it can only be read from then on.
func (s *State) set(name string, value []byte, once bool) abi.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.values[name]
	if ok && once {
		return abi.BadArgument
	}
	if !ok && len(s.values) >= maxState {
		return abi.InternalFailure
	}
	if s.values == nil {
		s.values = map[string][]byte{}
	}
	s.values[name] = value
	return abi.OK
}
