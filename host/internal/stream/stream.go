package stream

import (
	"context"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/host/internal/hostcall"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Outcome is what becomes of a stream after a phase. The zero Outcome ends it.
type Outcome int

// The outcomes.
const (
	// Dead: the VM has ended, or the stream has.
	Dead Outcome = iota
	// Proceed: go on with what the maps and buffers hold.
	Proceed
	// Local: the guest has answered; Local() has the response.
	Local
	// Reset: the guest wants the stream closed without an answer.
	Reset
	// NeedBody: the headers are held and the body is wanted
	// (allow_on_headers_stop_iteration).
	NeedBody
	// TooLarge: the guest holds more of a body than the bound.
	TooLarge
)

// Options are what streams of one filter have in common.
type Options struct {
	// StopIteration lets the body come while headers are held, as Envoy does with
	// allow_on_headers_stop_iteration.
	StopIteration bool
	// MaxBody bounds what is held of a body, in bytes.
	MaxBody int
}

// Properties answers what a guest asks about the stream beside its headers.
type Properties interface {
	// Property returns an attribute in the encoding of the ABI.
	Property(s *Stream, path []string) ([]byte, abi.Status)
}

// direction is the request's or the response's half of a stream.
type direction struct {
	headers  headers.Map
	trailers headers.Map
	body     body
	released []byte // held, and then continued by the guest
	seen     bool   // headers have come
	atEnd    bool   // the end of the stream has been seen, so trailers may be added
	inBody   bool   // the guest is shown a piece of the body, or holds one
	paused   bool   // the guest has held it
	// continued says that the guest has let it go on in the callback that runs, what
	// ever that returns.
	continued bool
	continues bool // deferred until the callback has returned

	hasHeaders, hasTrailers bool // the map may be read and written
}

// close takes the maps from the guest.
func (d *direction) close() { d.hasHeaders, d.hasTrailers, d.inBody = false, false, false }

// Stream is one stream. Its exported methods are for one goroutine.
type Stream struct {
	vm      *vm.VM
	root    *vm.Root
	id      uint32
	options Options
	props   Properties
	state   *State

	// Everything below is guarded by the VM's lock once the stream has begun.
	request, response direction
	local             *hostcall.LocalResponse
	reset             bool
	wake              chan struct{} // exists while somebody waits
	logged, ended     bool
	logging           bool // on_log runs
	answers, resets   bool // deferred until the callback has returned
}

// Values that Envoy's filter understands of a callback's result
// (context.cc, convertFilterHeadersStatus and convertFilterDataStatus).
const (
	stopIteration     = 1 // headers, trailers: hold them
	continueNoEnd     = 2 // headers
	stopWithWatermark = 2 // bodies: keep the piece, but show the next one alone
	stopWithoutBuffer = 3 // bodies: drop the piece
)

// New begins a stream in a VM. The request's headers are filled in before
// RequestHeaders is called. state is what the filters of one request share.
func New(root *vm.Root, options Options, props Properties, state *State) *Stream {
	s := &Stream{vm: root.VM(), root: root, options: options, props: props, state: state}
	s.request.headers.Request = true
	return s
}

// RequestMap returns the request's headers for the adapter to fill and to read.
func (s *Stream) RequestMap() *headers.Map { return &s.request.headers }

// ResponseMap returns the response's headers.
func (s *Stream) ResponseMap() *headers.Map { return &s.response.headers }

// ResponseSeen reports whether the guest has been shown a response. The lock is held.
func (s *Stream) ResponseSeen() bool { return s.response.seen }

// RequestTrailerMap returns the request's trailers.
func (s *Stream) RequestTrailerMap() *headers.Map { return &s.request.trailers }

// ResponseTrailerMap returns the response's trailers.
func (s *Stream) ResponseTrailerMap() *headers.Map { return &s.response.trailers }

// Local takes the response that the guest made up. It is taken once, so that the
// guest's callbacks for the response see it as any other.
func (s *Stream) Local() (r *hostcall.LocalResponse) {
	take := func() { r, s.local = s.local, nil }
	if s.vm.Do(take) != nil {
		take() // the VM has ended: nobody else is there
	}
	return r
}

// begin creates the stream's context; the lock is held.
func (s *Stream) begin() error {
	s.id = s.vm.NewID()
	s.vm.Add(s)
	_, err := s.vm.Call(s, vm.OnContextCreate, 0, s.id, s.root.ID())
	return err
}

// Begin makes a stream known to the guest of which it sees only the end.
func (s *Stream) Begin() {
	_ = s.vm.Do(func() { _ = s.begin() }) // a trap ends the VM, and so the stream
}

// RequestHeaders shows the request's headers to the guest.
func (s *Stream) RequestHeaders(ctx context.Context, end bool) Outcome {
	return s.phase(ctx, &s.request, func() (uint32, error) {
		if s.id == 0 {
			if err := s.begin(); err != nil {
				return 0, err
			}
		}
		s.request.seen, s.request.hasHeaders, s.request.atEnd = true, true, end
		return s.vm.Call(s, vm.OnRequestHeaders, 0, s.id, uint32(len(s.request.headers.Pairs())), flag(end))
	}, !end && s.vm.Has(vm.OnRequestBody))
}

// ResponseHeaders shows the response's headers to the guest.
func (s *Stream) ResponseHeaders(ctx context.Context, end bool) Outcome {
	return s.phase(ctx, &s.response, func() (uint32, error) {
		s.response.seen, s.response.hasHeaders, s.response.atEnd = true, true, end
		return s.vm.Call(s, vm.OnResponseHeaders, 0, s.id, uint32(len(s.response.headers.Pairs())), flag(end))
	}, !end && s.vm.Has(vm.OnResponseBody))
}

// RequestTrailers shows the request's trailers to the guest.
func (s *Stream) RequestTrailers(ctx context.Context) Outcome {
	return s.phase(ctx, &s.request, func() (uint32, error) {
		s.request.hasTrailers, s.request.atEnd = true, true
		return s.vm.Call(s, vm.OnRequestTrailers, 0, s.id, uint32(len(s.request.trailers.Pairs())))
	}, false)
}

// ResponseTrailers shows the response's trailers to the guest.
func (s *Stream) ResponseTrailers(ctx context.Context) Outcome {
	return s.phase(ctx, &s.response, func() (uint32, error) {
		s.response.hasTrailers, s.response.atEnd = true, true
		return s.vm.Call(s, vm.OnResponseTrailers, 0, s.id, uint32(len(s.response.trailers.Pairs())))
	}, false)
}

// phase runs a callback and waits while the guest holds the stream. body says
// that a body follows which the guest wants to see.
func (s *Stream) phase(ctx context.Context, d *direction, callback func() (uint32, error), body bool) Outcome {
	var out Outcome
	var action uint32
	err := s.vm.Do(func() {
		var err error
		d.continued = false
		if action, err = callback(); err != nil || s.ended {
			return
		}
		// 2 is "continue, but do not end the stream", which Envoy makes Continue.
		if out = s.settle(d, action != 0 && action != continueNoEnd); out == Proceed {
			d.released = append(d.released, d.body.take()...) // held until the trailers
			d.close()
		}
	})
	if err != nil {
		return Dead
	}
	if out != waiting {
		return out
	}
	if body && action == stopIteration && s.options.StopIteration {
		return NeedBody
	}
	return s.wait(ctx, d)
}

// waiting is the outcome of a phase that the guest holds.
const waiting Outcome = -1

// settle says what becomes of a direction after a callback; the lock is held.
func (s *Stream) settle(d *direction, pause bool) Outcome {
	switch {
	case s.local != nil:
		return Local
	case s.reset:
		return Reset
	case pause && !d.continued:
		d.paused = true
		s.wake = make(chan struct{}, 1)
		return waiting
	}
	d.paused = false
	return Proceed
}

// wait waits until the guest lets the direction go on.
func (s *Stream) wait(ctx context.Context, d *direction) Outcome {
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return Dead
		}
		out, again := Dead, false
		err := s.vm.Do(func() {
			switch {
			case s.ended:
			case s.local != nil:
				out = Local
			case s.reset:
				out = Reset
			case d.paused:
				again = true
			default:
				out = Proceed
			}
		})
		if err != nil || !again {
			return out
		}
	}
}

// Sync runs f while no callback runs, for an adapter that reads or writes maps
// which the guest may still touch.
func (s *Stream) Sync(f func()) {
	if s.vm.Do(f) != nil {
		f() // the VM has ended: nobody else is there
	}
}

// Wake returns a channel that is ready when the guest may have let the stream go
// on; nil when it does not hold it.
func (s *Stream) Wake() <-chan struct{} { return s.wake }

// Resumed reports what has become of a held request after Wake.
func (s *Stream) Resumed() Outcome { return s.resumed(&s.request) }

func (s *Stream) resumed(d *direction) Outcome {
	out := Dead
	_ = s.vm.Do(func() {
		switch {
		case s.ended:
		case s.local != nil:
			out = Local
		case s.reset:
			out = Reset
		case d.paused:
			out = NeedBody
		default:
			out = Proceed
		}
	})
	return out
}

// rouse wakes whoever waits; the lock is held.
func (s *Stream) rouse() {
	if s.wake != nil {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Killed is called, with the lock held, when the VM ends.
func (s *Stream) Killed() {
	s.ended = true
	s.rouse()
}

// Logs reports whether the guest has on_log.
func (s *Stream) Logs() bool { return s.vm.Has(vm.OnLog) }

// Log calls on_log. What the guest decides from now on changes nothing.
func (s *Stream) Log() {
	_ = s.vm.Do(func() {
		if s.id != 0 && !s.ended {
			_ = s.log()
		}
	})
}

// log calls on_log, once; the lock is held.
func (s *Stream) log() error {
	if s.logged {
		return nil
	}
	s.logged = true
	s.logging = true
	_, err := s.vm.Call(s, vm.OnLog, 1, s.id)
	s.logging = false
	for _, d := range []*direction{&s.request, &s.response} {
		d.close()
	}
	return err
}

// Done ends the stream: on_log unless it has been called, on_done, on_delete.
func (s *Stream) Done() {
	_ = s.vm.Do(func() {
		if s.id == 0 || s.ended {
			return
		}
		if s.log() != nil {
			return
		}
		s.ended = true
		for _, c := range []vm.Callback{vm.OnDone, vm.OnDelete} {
			if _, err := s.vm.Call(s, c, 1, s.id); err != nil {
				return
			}
		}
		s.vm.Remove(s)
	})
}

func flag(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
