package stream

import (
	"context"

	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// body is what is held of a body, or the piece that is being shown. It
// implements vm.Buffer.
type body struct {
	data    []byte
	most    int // bytes that the guest may make of it
	visible bool
}

// Len implements vm.Buffer.
func (b *body) Len() int { return len(b.data) }

// Bytes implements vm.Buffer.
func (b *body) Bytes(start, end int) []byte { return b.data[start:end] }

// Replace implements vm.Buffer as Envoy does: from the start, size bytes give way
// to data; from the end on, data is appended; in between there is no place
// (proxy-wasm-cpp-host, context.cc, BufferBase::copyFrom; Envoy's Buffer).
func (b *body) Replace(start, size int, data []byte) abi.Status {
	var status abi.Status
	b.data, status = vm.ReplaceBytes(b.data, start, size, data, b.most)
	return status
}

// take empties the body and returns what it held.
func (b *body) take() []byte {
	data := b.data
	b.data, b.visible = nil, false
	return data
}

// RequestBody shows a piece of the request's body to the guest, together with
// what it holds of it. With Proceed, out goes on; with NeedBody, the guest holds
// everything and wants more, or will continue.
func (s *Stream) RequestBody(ctx context.Context, piece []byte, end bool) (out []byte, o Outcome) {
	return s.bodyPhase(ctx, &s.request, vm.OnRequestBody, piece, end)
}

// ResponseBody shows a piece of the response's body to the guest.
func (s *Stream) ResponseBody(ctx context.Context, piece []byte, end bool) (out []byte, o Outcome) {
	return s.bodyPhase(ctx, &s.response, vm.OnResponseBody, piece, end)
}

func (s *Stream) bodyPhase(ctx context.Context, d *direction, c vm.Callback, piece []byte, end bool) (out []byte, o Outcome) {
	held := false
	err := s.vm.Do(func() {
		if s.ended {
			return
		}
		if s.local != nil || s.reset {
			o = s.settle(d, false)
			return
		}
		// What the guest has continued counts as well: it may hold what follows.
		if held := len(d.body.data) + len(d.released); held+len(piece) > s.options.MaxBody && held > 0 {
			o = TooLarge
			return
		}
		d.body.data = append(d.body.data, piece...)
		d.body.visible, d.body.most, d.inBody = true, s.MostBody(), true
		d.atEnd, d.continued = end, false
		action, err := s.vm.Call(s, c, 0, s.id, uint32(len(d.body.data)), flag(end))
		if err != nil || s.ended {
			return
		}
		o = s.settle(d, action != 0)
		switch {
		case o == Proceed:
			out = append(d.released, d.body.take()...)
			d.released = nil
			d.close()
		case o == waiting && action == stopWithoutBuffer:
			d.body.data = nil
		case o == waiting && action == stopWithWatermark:
			d.released = append(d.released, d.body.take()...) // the guest does not see it again
		}
		held = o == waiting
	})
	if err != nil {
		return nil, Dead
	}
	if !held {
		return out, o
	}
	if !end {
		return nil, NeedBody
	}
	// Nothing more will come: only the guest can let it go on.
	if o = s.wait(ctx, d); o == Proceed {
		out = s.Release(d == &s.response)
	}
	return out, o
}

// Release returns what is held of a body that the guest has continued.
func (s *Stream) Release(response bool) (out []byte) {
	_ = s.vm.Do(func() {
		d := &s.request
		if response {
			d = &s.response
		}
		out, d.released = d.released, nil
	})
	return out
}

// ResumedResponse reports what has become of a held response after Wake.
func (s *Stream) ResumedResponse() Outcome { return s.resumed(&s.response) }
