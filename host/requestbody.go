package host

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/sallyport-auth/sallyport/host/internal/stream"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
)

// errStream is what a body returns whose stream has ended.
var errStream = errors.New("host: the filter has ended the stream")

// requestBody shows a request's body to the guest on its way to next.
type requestBody struct {
	e       *exchange
	src     io.ReadCloser
	ready   []byte // let through by the guest
	atEnd   bool   // src is at its end
	ended   bool   // and the guest has seen it
	err     error
	pieces  chan piece // what the reader has read, once one runs
	reading bool
	count   atomic.Int64 // bytes that have come
}

type piece struct {
	data []byte
	err  error
}

// active reports whether the body has to pass the guest.
func (b *requestBody) active() bool {
	return b.ready != nil || b.reading || hasBody(b.e.r) && (b.e.has(vm.OnRequestBody) || b.e.has(vm.OnRequestTrailers))
}

const pieceSize = 32 << 10

// read returns the next piece of the body as it comes from the client. A reader
// of its own runs once somebody has had to wait for two things at a time.
func (b *requestBody) read(ctx context.Context, wake <-chan struct{}) (p piece, woken bool) {
	if b.atEnd {
		return piece{err: io.EOF}, false
	}
	if wake == nil && !b.reading {
		buf := make([]byte, pieceSize)
		n, err := b.src.Read(buf)
		return piece{buf[:n], err}, false
	}
	if !b.reading {
		b.reading = true
		b.pieces = make(chan piece)
		go b.reader(ctx)
	}
	select {
	case p = <-b.pieces:
		return p, false
	case <-wake:
		return piece{}, true
	case <-ctx.Done():
		return piece{err: ctx.Err()}, false
	}
}

func (b *requestBody) reader(ctx context.Context) {
	for {
		buf := make([]byte, pieceSize)
		n, err := b.src.Read(buf)
		select {
		case b.pieces <- piece{buf[:n], err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// readAhead shows the body to the guest while it holds the headers.
func (b *requestBody) readAhead(ctx context.Context) stream.Outcome {
	s := b.e.stream
	for {
		p, woken := b.read(ctx, s.Wake())
		if woken {
			if o := s.Resumed(); o != stream.NeedBody {
				b.ready = append(b.ready, s.Release(false)...)
				return o
			}
			continue
		}
		o := b.show(ctx, p)
		if o != stream.NeedBody || b.ended {
			return o
		}
	}
}

// show shows a piece to the guest and keeps what it lets through.
func (b *requestBody) show(ctx context.Context, p piece) stream.Outcome {
	s := b.e.stream
	if p.err != nil && p.err != io.EOF {
		b.err = p.err
		return stream.Dead
	}
	b.atEnd = p.err == io.EOF
	b.count.Add(int64(len(p.data)))
	if len(p.data) > 0 { // goes on before the end is shown
		out, o := b.body(ctx, p.data, false)
		b.ready = append(b.ready, out...)
		return o
	}
	if !b.atEnd {
		return stream.NeedBody // an empty read says nothing
	}
	b.ended = true
	if len(b.e.r.Trailer) == 0 {
		out, o := b.body(ctx, nil, true)
		b.ready = append(b.ready, out...)
		return o
	}
	s.RequestTrailerMap().Fill(b.e.r.Trailer)
	o := stream.Proceed
	if b.e.has(vm.OnRequestTrailers) {
		o = s.RequestTrailers(ctx)
	}
	b.ready = append(b.ready, s.Release(false)...)
	if m := s.RequestTrailerMap(); o == stream.Proceed && m.Edits > 0 && b.e.out != nil {
		m.Export(b.e.out.Trailer)
	}
	return o
}

func (b *requestBody) body(ctx context.Context, data []byte, end bool) ([]byte, stream.Outcome) {
	if !b.e.has(vm.OnRequestBody) {
		return data, stream.Proceed
	}
	return b.e.stream.RequestBody(ctx, data, end)
}

// Read implements io.Reader for next.
func (b *requestBody) Read(p []byte) (int, error) {
	ctx := b.e.r.Context()
	for len(b.ready) == 0 {
		switch {
		case b.err != nil:
			return 0, b.err
		case b.ended:
			return 0, io.EOF
		}
		pc, woken := b.read(ctx, b.e.stream.Wake())
		if woken {
			o := b.e.stream.Resumed()
			if o == stream.Proceed {
				b.ready = append(b.ready, b.e.stream.Release(false)...)
			}
			b.stop(o)
			continue
		}
		b.stop(b.show(ctx, pc))
	}
	n := copy(p, b.ready)
	b.ready = b.ready[n:]
	return n, nil
}

// stop ends the body when the guest has ended the stream, and notes what the
// client gets instead of next's answer.
func (b *requestBody) stop(o stream.Outcome) {
	switch o {
	case stream.Proceed, stream.NeedBody:
		return
	case stream.Local:
		b.e.answer.response.CompareAndSwap(nil, b.e.stream.Local())
	case stream.TooLarge:
		b.e.answer.response.CompareAndSwap(nil, tooLarge)
	}
	if b.err == nil {
		b.err = errStream
	}
}

// Close implements io.Closer.
func (b *requestBody) Close() error { return b.src.Close() }
