package host

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/host/internal/hostcall"
	"github.com/sallyport-auth/sallyport/host/internal/stream"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
)

// Handler returns a handler that shows every request to the filter before next
// gets it, and next's response before the client does.
//
// Headers that the filter changes are changed in the request that next gets; the
// client's request is not touched. A filter that answers itself keeps next from
// being called.
func (f *Filter) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.serve(w, r, next, nil)
	})
}

// serve runs one request through the filter and next. As part of a chain its
// stream ends with the others.
func (f *Filter) serve(w http.ResponseWriter, r *http.Request, next http.Handler, chain *passage) {
	wk := f.pick()
	if wk == nil {
		f.fail(w, r, next)
		return
	}
	e := &exchange{filter: f, worker: wk, w: w, r: r, started: time.Now()}
	e.body = requestBody{e: e, src: r.Body}
	if chain == nil {
		e.answer = &e.own.answer
		e.stream = stream.New(wk.root, f.config.stream(), e, &e.own.state)
		defer e.stream.Done()
	} else {
		e.answer = &chain.answer
		e.stream = stream.New(wk.root, f.config.stream(), e, &chain.state)
		chain.streams = append(chain.streams, e.stream)
	}
	e.serve(next)
}

// fail answers a request that no worker could take, or lets it pass by.
func (f *Filter) fail(w http.ResponseWriter, r *http.Request, next http.Handler) {
	f.failing.Add(1)
	if f.config.Failure == FailOpen {
		next.ServeHTTP(w, r)
		return
	}
	unavailable(w)
}

// unavailable is what clients get while a filter cannot run.
func unavailable(w http.ResponseWriter) {
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusServiceUnavailable)
}

// exchange is one request with its response.
type exchange struct {
	filter  *Filter
	worker  *worker
	stream  *stream.Stream
	body    requestBody
	w       http.ResponseWriter
	r       *http.Request // as the client sent it
	out     *http.Request // as next gets it
	status  atomic.Int32  // of the response, for properties
	written atomic.Int64  // bytes of the response's body
	started time.Time
	answer  *answer
	own     struct { // of a filter that is in no chain
		state  stream.State
		answer answer
	}
}

// answer is what the client gets instead of next's response: a guest has answered
// while next was running. The filters of a chain share it.
type answer struct {
	response atomic.Pointer[hostcall.LocalResponse]
	details  atomic.Pointer[string] // why there is this response
	given    bool                   // to the filter that stands next to next, or to the client
}

// sees reports whether the guest looks at responses.
func (e *exchange) sees() bool {
	return e.has(vm.OnResponseHeaders) || e.has(vm.OnResponseBody) || e.has(vm.OnResponseTrailers) || e.has(vm.OnLog)
}

// has reports whether the guest has a callback.
func (e *exchange) has(c vm.Callback) bool { return e.filter.module.Exports(c) }

// hasBody reports whether a request body may come.
func hasBody(r *http.Request) bool {
	return r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 || len(r.Trailer) > 0
}

// serve runs the request through the filter and next.
func (e *exchange) serve(next http.Handler) {
	r := e.r
	fillRequest(e.stream.RequestMap(), r)
	outcome := e.stream.RequestHeaders(r.Context(), !hasBody(r))
	body := &e.body
	if outcome == stream.NeedBody {
		outcome = body.readAhead(r.Context())
	}
	switch outcome {
	case stream.Proceed:
	case stream.Local:
		e.local(e.stream.Local())
		return
	case stream.TooLarge:
		e.local(tooLarge)
		return
	case stream.Reset:
		panic(http.ErrAbortHandler)
	default:
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // the client is gone
		}
		e.filter.failing.Add(1)
		unavailable(e.w) // also with FailOpen: what the guest has begun nobody can end
		return
	}
	e.stream.Sync(func() { e.out = e.request(body) })
	if e.out == nil {
		e.local(badPath)
		return
	}
	if !e.sees() && !body.active() {
		next.ServeHTTP(e.w, e.out)
		return
	}
	rw := newResponse(e)
	next.ServeHTTP(rw, e.out)
	rw.finish()
}

// tooLarge is Envoy's answer to a request of which a guest holds too much.
var tooLarge = &hostcall.LocalResponse{Status: http.StatusRequestEntityTooLarge, Details: "request_payload_too_large", Body: []byte("Payload Too Large"), GRPC: -1}

// badPath answers a request to which the guest has given a path that is none: what it
// wanted to be asked for is not known, and the path before it is not it.
var badPath = &hostcall.LocalResponse{Status: http.StatusBadRequest, GRPC: -1}

// fillRequest shows a request as Envoy would: pseudo-headers first.
func fillRequest(m *headers.Map, r *http.Request) {
	path := r.RequestURI
	if path == "" || path[0] != '/' {
		path = r.URL.RequestURI()
	}
	scheme := r.URL.Scheme
	if scheme == "" {
		scheme = "http"
		if r.TLS != nil {
			scheme = "https"
		}
	}
	m.Reserve(len(r.Header) + 8) // for those that come here, and a few that guests add
	m.Put(":authority", r.Host)
	m.Put(":path", path)
	m.Put(":method", r.Method)
	m.Put(":scheme", scheme)
	m.Fill(r.Header)
	// net/http takes these out of the header.
	if r.ContentLength > 0 && r.Header["Content-Length"] == nil {
		m.Append("content-length", strconv.FormatInt(r.ContentLength, 10))
	}
	if len(r.Trailer) > 0 && r.Header["Trailer"] == nil {
		m.Append("trailer", strings.ToLower(strings.Join(slices.Sorted(maps.Keys(r.Trailer)), ",")))
	}
}

// request returns the request for next: the client's, with the guest's changes; nil when
// there is no such request.
func (e *exchange) request(body *requestBody) *http.Request {
	m := e.stream.RequestMap()
	if m.Edits == 0 && !body.active() {
		return e.r
	}
	out := new(http.Request)
	*out = *e.r
	if body.active() {
		out.Body = body
		out.ContentLength = contentLength(m)
	}
	if m.Edits == 0 {
		return out
	}
	if out.Header = m.Apply(e.r.Header); e.r.ContentLength > 0 {
		out.ContentLength = contentLength(m) // which the guest may have removed
	}
	delete(out.Header, "Transfer-Encoding")
	if host, ok := m.Get(":authority"); ok {
		out.Host = host
	}
	if method, ok := m.Get(":method"); ok {
		out.Method = method
	}
	if path, ok := m.Get(":path"); ok && path != e.r.RequestURI {
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Scheme != "" || u.Host != "" {
			return nil
		}
		u.Scheme, u.Host = e.r.URL.Scheme, e.r.URL.Host
		out.URL, out.RequestURI = u, path
	}
	return out
}

// contentLength returns what a map says of the length of a body, -1 for nothing.
func contentLength(m *headers.Map) int64 {
	text, _ := m.Get("content-length")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// local sends the guest's response. Like every response it passes the guest's
// response callbacks.
func (e *exchange) local(r *hostcall.LocalResponse) {
	e.answer.details.Store(&r.Details)
	if isGRPC(e.r.Header.Get("Content-Type")) {
		e.localGRPC(r)
		return
	}
	h := e.w.Header()
	for _, p := range r.Headers {
		if p.Key != "" && p.Key[0] != ':' {
			h.Add(p.Key, p.Value)
		}
	}
	if len(r.Body) > 0 && h.Get("Content-Type") == "" {
		h.Set("Content-Type", "text/plain")
	}
	h.Set("Content-Length", strconv.Itoa(len(r.Body)))
	e.sendLocal(r.Status, r.Body)
}

// localGRPC sends the guest's response to a gRPC client: status 200, and what
// happened in grpc-status and grpc-message (Envoy's Utility::sendLocalReply).
func (e *exchange) localGRPC(r *hostcall.LocalResponse) {
	h := e.w.Header()
	for _, p := range r.Headers {
		if p.Key != "" && p.Key[0] != ':' {
			h.Add(p.Key, p.Value)
		}
	}
	code := r.GRPC
	if code < 0 {
		code = grpcStatus(r.Status)
	}
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(code))
	if len(r.Body) > 0 {
		h.Set("Grpc-Message", grpcEscape(string(r.Body)))
	}
	e.sendLocal(http.StatusOK, nil)
}

func (e *exchange) sendLocal(status int, body []byte) {
	if status < 200 || status > 999 {
		panic(http.ErrAbortHandler) // no response that a client could read
	}
	w := e.w
	var rw *response
	if e.sees() {
		rw = newResponse(e)
		w = rw
	}
	w.WriteHeader(status)
	if len(body) > 0 {
		_, _ = w.Write(body) // the client may be gone
	}
	if rw != nil {
		rw.finish()
	}
	if e.w.Header()["Content-Length"] == nil { // net/http would add one
		_ = http.NewResponseController(e.w).Flush()
	}
}

// localStatus returns the status of a guest's response: 500 for what is none.
func localStatus(status int) int {
	if status < 200 || status > 599 {
		return http.StatusInternalServerError
	}
	return status
}

func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+')
}

// grpcStatus maps an HTTP status as Envoy does (Grpc::Utility::httpToGrpcStatus).
func grpcStatus(status int) int {
	switch status {
	case 400:
		return 13 // INTERNAL
	case 401:
		return 16 // UNAUTHENTICATED
	case 403:
		return 7 // PERMISSION_DENIED
	case 404:
		return 12 // UNIMPLEMENTED
	case 429, 502, 503, 504:
		return 14 // UNAVAILABLE
	}
	return 2 // UNKNOWN
}

// grpcEscape percent-encodes a grpc-message.
func grpcEscape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 0x20 && c < 0x7f && c != '%' {
			b.WriteByte(c)
			continue
		}
		const digits = "0123456789ABCDEF"
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}
