package host

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/hostcall"
	"github.com/sallyport-auth/sallyport/host/internal/stream"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
)

// response shows next's response to the guest on its way to the client. The
// headers wait until it is known whether a body follows.
type response struct {
	e         *exchange
	header    http.Header // next's
	status    int
	committed bool // the guest has seen the headers
	follows   bool // a body, when it saw them
	sent      bool // the client has
	discard   bool // the client gets something else
	inner     bool // no filter stands between this one and next
	hijacked  bool
	held      bool // the guest holds the headers and wants the body
	passed    bool // the guest has let the headers go on
	early     bool // the guest has removed the length, which net/http must not add
	trailers  []string
}

func newResponse(e *exchange) *response {
	if before, ok := e.w.(*response); ok {
		before.inner = false
	}
	return &response{e: e, header: e.w.Header(), inner: true}
}

// Header implements http.ResponseWriter.
func (r *response) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter. Informational responses pass as
// they are.
func (r *response) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		if r.e.answer.response.Load() == nil {
			r.e.w.WriteHeader(status)
		}
		return
	}
	if r.status == 0 {
		r.status = status
		r.e.status.Store(int32(status))
	}
}

// Write implements http.ResponseWriter.
func (r *response) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if err := r.commit(false); err != nil {
		return 0, err
	}
	if r.discard {
		return len(p), nil
	}
	if !r.e.has(vm.OnResponseBody) || r.bodiless() {
		return len(p), r.send(p) // of what has no body net/http takes the length at most
	}
	out, o := r.e.stream.ResponseBody(r.e.r.Context(), p, false)
	if err := r.settle(o); err != nil {
		return 0, err
	}
	return len(p), r.send(out)
}

// abort breaks the response off behind what has been sent of it.
func (r *response) abort() {
	_ = http.NewResponseController(r.e.w).Flush() // the connection ends either way
	panic(http.ErrAbortHandler)
}

// settle carries out what the guest decided about the response.
func (r *response) settle(o stream.Outcome) error {
	switch o {
	case stream.Proceed:
		r.held, r.passed = false, true
		return nil
	case stream.NeedBody:
		return nil
	case stream.Local:
		if r.passed { // the headers are on their way
			_ = r.send(nil)
			r.abort()
		}
		return r.replace(r.e.stream.Local())
	case stream.TooLarge:
		if r.passed {
			_ = r.send(nil)
			r.abort()
		}
		return r.replace(&hostcall.LocalResponse{Status: http.StatusInternalServerError, GRPC: -1})
	case stream.Reset:
		panic(http.ErrAbortHandler)
	}
	// The worker has ended: nobody can say what the guest would have done.
	if r.passed {
		_ = r.send(nil)
		r.abort()
	}
	return r.replace(&hostcall.LocalResponse{Status: http.StatusServiceUnavailable, GRPC: -1})
}

// replace sends another response in the place of next's. As in Envoy, filters that
// have not seen next's do not see this one either.
func (r *response) replace(l *hostcall.LocalResponse) error {
	r.e.answer.details.Store(&l.Details)
	w := http.ResponseWriter(r)
	for {
		before, ok := w.(*response)
		if !ok {
			break
		}
		if before.sent {
			panic(http.ErrAbortHandler) // half of it is with the client
		}
		before.committed, before.discard, before.sent = true, true, true
		w = before.e.w
	}
	clear(r.header)
	for _, p := range l.Headers {
		if p.Key != "" && p.Key[0] != ':' {
			r.header.Add(p.Key, p.Value)
		}
	}
	if len(l.Body) > 0 && r.header["Content-Type"] == nil {
		r.header.Set("Content-Type", "text/plain")
	}
	r.header.Set("Content-Length", strconv.Itoa(len(l.Body)))
	w.WriteHeader(localStatus(l.Status))
	_, err := w.Write(l.Body)
	return err
}

// viaUpstream is Envoy's word for a response that comes from the upstream.
var viaUpstream = "via_upstream"

// bodiless reports whether the response ends with its headers, whatever next writes.
func (r *response) bodiless() bool {
	return r.e.r.Method == http.MethodHead || r.status == http.StatusNoContent || r.status == http.StatusNotModified
}

// commit shows the headers to the guest, once.
func (r *response) commit(end bool) error {
	if r.committed {
		return nil
	}
	end = end || r.bodiless()
	r.committed, r.follows = true, !end
	if l := r.e.answer.response.Load(); l != nil && !r.e.answer.given {
		r.e.answer.given = true
		if !r.inner { // next's response has passed other filters
			return r.replace(l)
		}
		r.discard, r.sent = true, true
		clear(r.header)
		r.e.local(l)
		return nil
	}
	if r.e.answer.details.Load() == nil {
		r.e.answer.details.Store(&viaUpstream)
	}
	r.trailers = announced(r.header)
	r.e.stream.Sync(func() {
		m := r.e.stream.ResponseMap()
		m.Append(":status", strconv.Itoa(r.status))
		m.Fill(r.header)
	})
	o := r.e.stream.ResponseHeaders(r.e.r.Context(), end)
	r.held = o == stream.NeedBody
	if err := r.settle(o); err != nil {
		return err
	}
	return r.pass()
}

// pass shows headers that a body follows to the filter before this one, which does
// not wait until the guest lets the body go on.
func (r *response) pass() error {
	if _, ok := r.e.w.(*response); !ok || !r.follows || r.status == http.StatusSwitchingProtocols {
		return nil
	}
	return r.send(nil)
}

// announced returns the trailers that next has announced.
func announced(h http.Header) []string {
	var names []string
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			names = append(names, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	return names
}

// send sends headers, if need be, and a piece of the body.
func (r *response) send(piece []byte) error {
	if r.discard || r.held {
		return nil
	}
	if !r.sent {
		r.sent = true
		r.e.stream.Sync(r.takeOver)
		if _, last := r.e.w.(*response); !last && r.header["Date"] == nil && r.e.has(vm.OnLog) {
			r.date()
		}
		r.e.w.WriteHeader(r.status)
		if r.early && r.follows {
			_ = http.NewResponseController(r.e.w).Flush() // one that cannot has its own framing
		}
		if before, ok := r.e.w.(*response); ok && r.follows {
			if err := before.commit(false); err != nil {
				return err
			}
			if err := before.send(nil); err != nil {
				return err
			}
			r.discard = before.discard
		}
	}
	if len(piece) == 0 || r.discard {
		return nil
	}
	n, err := r.e.w.Write(piece)
	r.e.written.Add(int64(n))
	return err
}

// date adds the header that net/http would add, so that on_log can see it.
func (r *response) date() {
	now := time.Now().UTC().Format(http.TimeFormat)
	r.header["Date"] = []string{now}
	r.e.stream.Sync(func() { r.e.stream.ResponseMap().Append("date", now) })
}

// takeOver takes the guest's changes to the headers into next's.
func (r *response) takeOver() {
	m := r.e.stream.ResponseMap()
	if m.Edits == 0 {
		return
	}
	had := r.header.Get("Content-Length") != ""
	_, typed := r.header["Content-Type"]
	m.Export(r.header)
	if _, is := r.header["Content-Type"]; typed && !is {
		r.header["Content-Type"] = nil // next does not want it guessed, or the guest has removed it
	}
	r.early = had && r.header.Get("Content-Length") == ""
	if text, ok := m.Get(":status"); ok {
		if n, err := strconv.Atoi(text); err == nil && n >= 200 && n <= 999 {
			r.status = n
			r.e.status.Store(int32(n))
		}
	}
}

// Flush implements http.Flusher.
func (r *response) Flush() { _ = r.FlushError() }

// FlushError is Flush for http.ResponseController.
func (r *response) FlushError() error {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if err := r.commit(false); err != nil {
		return err
	}
	if err := r.send(nil); err != nil || r.discard || r.held {
		return err
	}
	return http.NewResponseController(r.e.w).Flush()
}

// Unwrap lets http.ResponseController reach deadlines and full duplex.
func (r *response) Unwrap() http.ResponseWriter { return r.e.w }

// Hijack implements http.Hijacker: next takes over the connection, which the
// guest sees as a response 101 without the headers that next will write. What the
// guest adds is in Header, which a httputil.ReverseProxy writes together with its own.
func (r *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.status = http.StatusSwitchingProtocols
	r.e.status.Store(int32(r.status))
	if err := r.commit(false); err != nil {
		return nil, nil, err
	}
	if r.discard {
		return nil, nil, errStream
	}
	r.e.stream.Sync(r.takeOver)
	conn, rw, err := http.NewResponseController(r.e.w).Hijack()
	r.hijacked = err == nil
	return conn, rw, err
}

// ReadFrom keeps io.Copy from going around the guest, and lets it use the
// connection's own when there is nothing to see.
func (r *response) ReadFrom(src io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{r}, src)
}

// finish ends the response when next has returned.
func (r *response) finish() {
	if r.hijacked {
		return
	}
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	trailers := r.takeTrailers()
	hasBody := r.committed
	if r.commit(!hasBody && len(trailers) == 0) != nil || r.discard {
		return
	}
	ctx := r.e.r.Context()
	if r.e.has(vm.OnResponseBody) && hasBody && !r.bodiless() && len(trailers) == 0 {
		out, o := r.e.stream.ResponseBody(ctx, nil, true)
		if r.settle(o) != nil || r.send(out) != nil || r.discard {
			return
		}
	}
	if len(trailers) > 0 {
		m := r.e.stream.ResponseTrailerMap()
		r.e.stream.Sync(func() { m.Fill(trailers) })
		o := r.e.stream.ResponseTrailers(ctx)
		if r.settle(o) != nil || r.discard {
			return
		}
		if m.Edits > 0 {
			m.Export(trailers)
		}
	}
	if r.send(r.e.stream.Release(true)) != nil {
		return
	}
	for _, list := range []http.Header{trailers, addedTrailers(r)} {
		for name, values := range list {
			if !slices.Contains(r.trailers, name) { // it was not announced
				name = http.TrailerPrefix + name
			}
			r.header[name] = values
		}
	}
}

// takeTrailers takes the trailers out of the header, where next has left them.
func (r *response) takeTrailers() http.Header {
	out := http.Header{}
	for _, name := range r.trailers {
		if v, ok := r.header[name]; ok {
			out[name] = v
			delete(r.header, name)
		}
	}
	for name, v := range r.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			out[name] = v
			delete(r.header, name)
		}
	}
	return out
}

// addedTrailers returns trailers that a guest has added at the end of a body that
// had none.
func addedTrailers(r *response) http.Header {
	m := r.e.stream.ResponseTrailerMap()
	if m.Edits == 0 || r.e.has(vm.OnResponseTrailers) && len(r.trailers) > 0 {
		return nil
	}
	out := http.Header{}
	m.Export(out)
	return out
}
