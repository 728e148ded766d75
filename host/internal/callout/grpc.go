package callout

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/host/internal/hostcall"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Statuses of gRPC that the client itself gives.
const (
	grpcUnknown       = 2
	grpcUnimplemented = 12
	grpcInternal      = 13
	grpcUnavailable   = 14
	grpcUnauthorized  = 16
	grpcForbidden     = 7
)

// maxUnsent bounds what a stream holds that has not been sent, in bytes.
const maxUnsent = 1 << 20

// GRPC starts a gRPC call or stream for a root context.
func (cr *Caller) GRPC(root *vm.Root, c hostcall.GRPCCall) (id uint32, status abi.Status) {
	name, cluster, ok := cr.Clusters.service(c.Service)
	if !ok {
		return 0, abi.ParseFailure
	}
	if root.Calls() >= cr.Limits.Calls {
		return 0, abi.InternalFailure
	}
	ctx, cancel := context.WithTimeout(context.Background(), cr.timeout(c.Timeout))
	g := &grpcCall{root: root, cancel: cancel, stream: c.Stream, sends: share{of: cr}, gets: share{of: cr}}
	g.more = sync.NewCond(&g.mu)
	if !c.Stream {
		if status := g.Send(c.Message, true); status != abi.OK {
			cancel()
			return 0, status
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cluster.Scheme+"://"+cluster.Host, g)
	if err != nil {
		cancel()
		g.end()
		return 0, abi.BadArgument
	}
	req.URL = &url.URL{Scheme: cluster.Scheme, Host: cluster.Host, Path: "/" + c.Name + "/" + c.Method}
	req.Host = name
	for _, p := range c.Metadata {
		if p.Key != "" && p.Key[0] != ':' {
			req.Header.Add(p.Key, p.Value)
		}
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	req.Header["User-Agent"] = nil
	kind := vm.GRPCStream
	if !c.Stream {
		kind = vm.GRPCCall
		if c.Timeout > 0 {
			req.Header.Set("Grpc-Timeout", strconv.FormatInt(c.Timeout.Milliseconds(), 10)+"m")
		}
	}
	g.id = root.NewCall(kind, g)
	cr.calls.Go(func() {
		defer g.end()
		defer cancel()
		g.run(cluster.GRPC, req)
	})
	return g.id, abi.OK
}

// service finds a cluster by its name, or by a message envoy.config.core.v3.GrpcService
// with envoy_grpc.cluster_name.
func (cs Clusters) service(s string) (name string, c Cluster, ok bool) {
	if c, ok = cs[s]; ok {
		return s, c, true
	}
	for _, field := range []uint64{1, 1} { // envoy_grpc, cluster_name
		if s, ok = abi.Field(s, field); !ok {
			return "", Cluster{}, false
		}
	}
	c, ok = cs[s]
	return s, c, ok
}

// grpcCall is a gRPC call or stream under way, and the body of its request.
type grpcCall struct {
	root   *vm.Root
	id     uint32
	cancel context.CancelFunc
	stream bool
	gets   share // what has come and is with the guest

	mu      sync.Mutex // guards what follows
	more    *sync.Cond // unsent, ended or closed has changed
	sends   share      // what is unsent
	unsent  []byte
	ended   bool // nothing more will be sent
	closed  bool // nobody sends any more
	givenUp bool // by the guest
	over    bool
}

// Cancel implements vm.UnderWay.
func (g *grpcCall) Cancel() {
	g.cancel()
	g.mu.Lock()
	if !g.givenUp && !g.over {
		g.givenUp = true
		g.root.GivenUp.Add(1)
	}
	g.mu.Unlock()
	_ = g.Close()
}

// end gives back what the call has taken.
func (g *grpcCall) end() {
	_ = g.Close()
	g.gets.giveBack()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	if g.givenUp {
		g.root.GivenUp.Add(-1)
	}
}

// Send implements vm.UnderWay. What is sent when nobody sends any more is lost.
func (g *grpcCall) Send(message []byte, end bool) abi.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return abi.OK
	}
	if message != nil || !end || !g.stream {
		if len(g.unsent)+len(message) > maxUnsent && len(g.unsent) > 0 || !g.sends.take(prefixBytes+len(message)) {
			return abi.InternalFailure
		}
		g.unsent = append(g.unsent, 0)
		g.unsent = binary.BigEndian.AppendUint32(g.unsent, uint32(len(message)))
		g.unsent = append(g.unsent, message...)
	}
	g.ended = g.ended || end
	g.more.Broadcast()
	return abi.OK
}

// Read implements io.Reader for the request.
func (g *grpcCall) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.unsent) == 0 && !g.ended && !g.closed {
		g.more.Wait()
	}
	if len(g.unsent) == 0 || g.closed {
		return 0, io.EOF
	}
	n := copy(p, g.unsent)
	g.sends.give(n)
	if g.unsent = g.unsent[n:]; len(g.unsent) == 0 {
		g.unsent = nil // which holds what has been sent
	}
	return n, nil
}

// Close implements io.Closer.
func (g *grpcCall) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed, g.unsent = true, nil
	g.sends.giveBack()
	g.more.Broadcast()
	return nil
}

// run makes the call and tells the guest what comes: of a call its one message, or why
// there is none; of a stream everything (Envoy's source/common/grpc/async_client_impl.cc).
func (g *grpcCall) run(transport http.RoundTripper, req *http.Request) {
	res, err := transport.RoundTrip(req)
	switch {
	case err == nil:
	case errors.Is(req.Context().Err(), context.DeadlineExceeded):
		g.closeWith(grpcUnavailable, timedOut, "response_timeout")
		return
	default:
		g.closeWith(grpcUnavailable, unreachable(err), "upstream_reset_before_response_started{connection_termination}")
		return
	}
	defer res.Body.Close()
	status, statusOK := grpcStatus(res.Header)
	var initial, trailing headers.Map
	m := &initial
	if statusOK { // there is nothing but trailers
		m = &trailing
	}
	m.Append(":status", statusText(res.StatusCode))
	m.Fill(res.Header)
	if g.stream && !g.root.GRPCEvent(g.id, vm.GRPCEvent{Initial: &initial}, false) {
		return
	}
	switch {
	case statusOK:
		g.trailing(&trailing)
		g.closeWith(status, res.Header.Get("Grpc-Message"), viaUpstream)
		return
	case res.StatusCode != http.StatusOK:
		g.closeWith(fromHTTP(res.StatusCode), "", viaUpstream)
		return
	}
	g.messages(req.Context(), res)
}

const viaUpstream = "via_upstream"

// messages reads the messages of a response, and its end.
func (g *grpcCall) messages(ctx context.Context, res *http.Response) {
	var only []byte
	for {
		message, err := g.gets.message(res.Body)
		if err == io.EOF {
			break
		}
		if err != nil || !g.stream && only != nil {
			text := ""
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				text = timedOut
			}
			g.closeWith(grpcInternal, text, "")
			return
		}
		if only = message; !g.stream {
			continue
		}
		if !g.root.GRPCEvent(g.id, g.event(message), false) {
			return
		}
		g.gets.giveBack()
	}
	status, ok := grpcStatus(res.Trailer)
	if !ok {
		status = grpcUnknown
	}
	if !g.stream && status == 0 && only != nil {
		g.root.GRPCEvent(g.id, g.event(only), true)
		return
	}
	var trailing headers.Map
	trailing.Fill(res.Trailer)
	g.trailing(&trailing)
	g.closeWith(status, res.Trailer.Get("Grpc-Message"), viaUpstream)
}

// event is a message for the guest.
func (g *grpcCall) event(message []byte) vm.GRPCEvent {
	return vm.GRPCEvent{Message: message, Most: g.gets.of.Limits.CallBytes}
}

func (g *grpcCall) trailing(m *headers.Map) {
	if g.stream {
		g.root.GRPCEvent(g.id, vm.GRPCEvent{Trailing: m}, false)
	}
}

// closeWith ends the call for the guest. Envoy puts the details of the response into
// the message.
func (g *grpcCall) closeWith(code uint32, message, details string) {
	switch {
	case message == "":
		message = details
	case details != "":
		message = fmt.Sprintf("%s{%s}", message, details)
	}
	g.root.GRPCClosed(g.id, code, message)
}

// prefixBytes is the length of what stands before a message: whether it is compressed,
// and its length.
const prefixBytes = 5

// message reads one message with its prefix: io.EOF at the end, before any byte.
func (s *share) message(r io.Reader) ([]byte, error) {
	var prefix [prefixBytes]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(prefix[1:]))
	if prefix[0] != 0 || size > int64(s.of.Limits.CallBytes) { // compression is never asked for
		return nil, errMessage
	}
	message, err := s.read(io.LimitReader(r, size))
	if int64(len(message)) < size {
		return nil, errors.Join(errMessage, err)
	}
	return message, nil
}

var errMessage = errors.New("callout: no gRPC message")

// grpcStatus reads a status.
func grpcStatus(h http.Header) (code uint32, ok bool) {
	text := h.Get("Grpc-Status")
	if text == "" {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return grpcUnknown, true
	}
	return uint32(n), true
}

// fromHTTP maps an HTTP status (Envoy's Grpc::Utility::httpToGrpcStatus).
func fromHTTP(status int) uint32 {
	switch status {
	case http.StatusBadRequest:
		return grpcInternal
	case http.StatusUnauthorized:
		return grpcUnauthorized
	case http.StatusForbidden:
		return grpcForbidden
	case http.StatusNotFound:
		return grpcUnimplemented
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return grpcUnavailable
	}
	return grpcUnknown
}
