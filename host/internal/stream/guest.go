package stream

import (
	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/host/internal/hostcall"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// What follows is the guest's side of a stream: hostcall.Stream. All of it runs
// with the VM's lock held.

var _ hostcall.Stream = (*Stream)(nil)

// ID implements vm.Context.
func (s *Stream) ID() uint32 { return s.id }

// Root implements vm.Context.
func (s *Stream) Root() *vm.Root { return s.root }

// Headers implements hostcall.Stream. Maps are there from their callback until
// the guest continues their direction; trailers also come into being when a
// guest asks for them at the end of a body.
func (s *Stream) Headers(t abi.MapType) *headers.Map {
	d := &s.request
	if t == abi.HTTPResponseHeaders || t == abi.HTTPResponseTrailers {
		d = &s.response
	}
	if !d.open {
		return nil
	}
	if t == abi.HTTPRequestHeaders || t == abi.HTTPResponseHeaders {
		return &d.headers
	}
	if !d.atEnd {
		return nil
	}
	return &d.trailers
}

// Buffer implements hostcall.Stream.
func (s *Stream) Buffer(t abi.BufferType) vm.Buffer {
	d := &s.request
	if t == abi.HTTPResponseBody {
		d = &s.response
	}
	if !d.open || !d.body.visible {
		return nil
	}
	return &d.body
}

// Property implements hostcall.Stream.
func (s *Stream) Property(path []string) ([]byte, abi.Status) {
	if len(path) == 1 {
		if v, ok := s.state.get(path[0]); ok {
			return v, abi.OK
		}
	}
	return s.props.Property(s, path)
}

// SetProperty implements hostcall.Stream.
func (s *Stream) SetProperty(path string, value []byte) abi.Status { return s.state.set(path, value) }

// MostBody implements hostcall.Stream.
func (s *Stream) MostBody() int { return bodyGrowth * s.options.MaxBody }

// bodyGrowth is how many times as much as it may hold a guest may make of a body.
const bodyGrowth = 16

// LocalResponse implements hostcall.Stream. The first one counts.
func (s *Stream) LocalResponse(r hostcall.LocalResponse) {
	if s.answers {
		return
	}
	s.answers = true
	s.vm.Defer(func() {
		s.answers = false
		if s.local == nil && !s.ended {
			s.local = &r
			s.rouse()
		}
	})
}

// Continue implements hostcall.Stream. The maps of the direction are gone at
// once: what the guest still wants to change it has to change before.
func (s *Stream) Continue(response bool) {
	d := &s.request
	if response {
		d = &s.response
	}
	d.open = false
	if d.continues {
		return
	}
	d.continues = true
	s.vm.Defer(func() {
		d.continues = false
		d.released = append(d.released, d.body.take()...)
		d.paused = false
		s.rouse()
	})
}

// Reset implements hostcall.Stream.
func (s *Stream) Reset() {
	if s.resets {
		return
	}
	s.resets = true
	s.vm.Defer(func() {
		s.resets, s.reset = false, true
		s.rouse()
	})
}
