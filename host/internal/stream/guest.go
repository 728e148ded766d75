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

// Headers implements hostcall.Stream. A map is there from its callback until the
// guest lets it go on; in on_log those are that have been seen, for reading. Trailers
// come into being when a guest wants to write them at the end of a body
// (context.cc, Context::getMap and getConstMap).
func (s *Stream) Headers(t abi.MapType, write bool) *headers.Map {
	d := &s.request
	if t == abi.HTTPResponseHeaders || t == abi.HTTPResponseTrailers {
		d = &s.response
	}
	if t == abi.HTTPRequestHeaders || t == abi.HTTPResponseHeaders {
		if d.hasHeaders || s.logging && !write && (d.seen || t == abi.HTTPRequestHeaders) {
			return &d.headers
		}
		return nil
	}
	if s.logging {
		if write || t == abi.HTTPRequestTrailers || len(d.trailers.Pairs()) == 0 {
			return nil
		}
		return &d.trailers
	}
	if write && d.inBody && d.atEnd {
		d.hasTrailers = true
	}
	if !d.hasTrailers {
		return nil
	}
	return &d.trailers
}

// Logging implements hostcall.Stream.
func (s *Stream) Logging() bool { return s.logging }

// Buffer implements hostcall.Stream. What is not there is empty, not missing.
func (s *Stream) Buffer(t abi.BufferType) vm.Buffer {
	d := &s.request
	if t == abi.HTTPResponseBody {
		d = &s.response
	}
	if !d.body.visible {
		return vm.ReadOnly(nil)
	}
	return &d.body
}

// Property implements hostcall.Stream.
func (s *Stream) Property(path []string) ([]byte, abi.Status) {
	value, status := s.props.Property(s, path)
	if status == abi.NotFound && len(path) == 1 {
		if v, ok := s.state.get(path[0]); ok {
			return v, abi.OK
		}
	}
	return value, status
}

// SetProperty implements hostcall.Stream.
func (s *Stream) SetProperty(path string, value []byte) abi.Status {
	return s.state.set(path, value, s.root.ReadOnly(path))
}

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

// Continue implements hostcall.Stream. The request's maps are gone at once, the
// response's stay until the callback returns (context.cc, Context::continueStream).
func (s *Stream) Continue(response bool) {
	s.request.close()
	d := &s.request
	if response {
		d = &s.response
	}
	if d.continues {
		return
	}
	d.continues = true
	s.vm.Defer(func() {
		d.continues = false
		d.released = append(d.released, d.body.take()...)
		d.paused, d.continued = false, true
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
