package callout

import (
	"bytes"
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
func (cs Clusters) GRPC(root *vm.Root, c hostcall.GRPCCall) (id uint32, status abi.Status) {
	name, cluster, ok := cs.service(c.Service)
	if !ok {
		return 0, abi.ParseFailure
	}
	if root.Calls() >= maxCalls {
		return 0, abi.InternalFailure
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = maxTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	g := &grpcCall{root: root, cancel: cancel, stream: c.Stream}
	g.more = sync.NewCond(&g.mu)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cluster.Scheme+"://"+cluster.Host, g)
	if err != nil {
		cancel()
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
		_ = g.Send(c.Message, true) // nothing is unsent yet
	}
	g.id = root.NewCall(kind, g)
	go func() {
		defer cancel()
		g.run(cluster.GRPC, req)
	}()
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

	mu     sync.Mutex // guards what follows
	more   *sync.Cond // unsent, ended or closed has changed
	unsent []byte
	ended  bool // nothing more will be sent
	closed bool // nobody sends any more
}

// Cancel implements vm.UnderWay.
func (g *grpcCall) Cancel() {
	g.cancel()
	_ = g.Close()
}

// Send implements vm.UnderWay.
func (g *grpcCall) Send(message []byte, end bool) abi.Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	if message != nil || !end || !g.stream {
		if len(g.unsent)+len(message) > maxUnsent && len(g.unsent) > 0 {
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
	g.unsent = g.unsent[n:]
	return n, nil
}

// Close implements io.Closer.
func (g *grpcCall) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
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
	total := 0
	for {
		message, err := readMessage(res.Body)
		if err == io.EOF {
			break
		}
		if total += len(message); err != nil || !g.stream && (only != nil || total > maxAnswer) {
			text := ""
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				text = timedOut
			}
			g.closeWith(grpcInternal, text, "")
			return
		}
		if only = message; g.stream && !g.root.GRPCEvent(g.id, vm.GRPCEvent{Message: message}, false) {
			return
		}
	}
	status, ok := grpcStatus(res.Trailer)
	if !ok {
		status = grpcUnknown
	}
	if !g.stream && status == 0 && only != nil {
		g.root.GRPCEvent(g.id, vm.GRPCEvent{Message: only}, true)
		return
	}
	var trailing headers.Map
	trailing.Fill(res.Trailer)
	g.trailing(&trailing)
	g.closeWith(status, res.Trailer.Get("Grpc-Message"), viaUpstream)
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

// readMessage reads one message with its prefix: io.EOF at the end, before any byte.
func readMessage(r io.Reader) ([]byte, error) {
	var prefix [5]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(prefix[1:])
	if prefix[0] != 0 || size > maxAnswer { // compression is never asked for
		return nil, errMessage
	}
	var b bytes.Buffer
	if n, err := io.CopyN(&b, r, int64(size)); n < int64(size) {
		return nil, errors.Join(errMessage, err)
	}
	return append([]byte{}, b.Bytes()...), nil
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
