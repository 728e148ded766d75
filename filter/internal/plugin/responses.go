package plugin

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// maxResponses bounds the streams that something is kept for until their response
// comes. A stream that ends without one leaves its entry behind, which makes room
// for a newer one here: a callback for the end of every stream would cost all of
// them.
const maxResponses = 4096

// responses are headers for responses that are to come, by stream.
type responses struct {
	byStream map[uint32][]abi.Pair
	order    []uint32 // of the entries, as a ring
	next     int
}

// keep notes headers for the response of a stream.
func (r *responses) keep(stream uint32, headers []abi.Pair) {
	if len(headers) == 0 {
		return
	}
	if r.byStream == nil {
		r.byStream = make(map[uint32][]abi.Pair)
	}
	own := make([]abi.Pair, len(headers))
	for i, h := range headers {
		own[i] = abi.Pair{Key: strings.Clone(h.Key), Value: strings.Clone(h.Value)}
	}
	r.byStream[stream] = own
	if len(r.order) < maxResponses {
		r.order = append(r.order, stream)
		return
	}
	if old := r.order[r.next]; old != stream {
		delete(r.byStream, old)
	}
	r.order[r.next] = stream
	r.next = (r.next + 1) % maxResponses
}

// take returns what was kept for a stream, once.
func (r *responses) take(stream uint32) []abi.Pair {
	headers, ok := r.byStream[stream]
	if ok {
		delete(r.byStream, stream)
	}
	return headers
}

// onResponseHeaders adds what was kept. Set-Cookie is added beside the upstream's
// own; the others are ours alone.
func (v *vm) onResponseHeaders(id uint32) {
	if len(v.responses.byStream) == 0 {
		return
	}
	v.memory.begin()
	defer v.end(func() {})
	for _, h := range v.responses.take(id) {
		var status abi.Status
		if h.Key == "set-cookie" {
			status = hostAddHeader(abi.HTTPResponseHeaders, h.Key, h.Value)
		} else {
			status = hostReplaceHeader(abi.HTTPResponseHeaders, h.Key, h.Value)
		}
		if status != abi.OK {
			v.logs.write(abi.Warn, "sallyport: the proxy takes no header for a response: "+status.String())
			return
		}
	}
}

// connection notes on a request what the proxy knows of the connection of the stream
// that is the effective context: the client's address, whether it is one that is
// trusted, and the port it has connected to. What it does not know is left out.
func connection(req *wire.Request) {
	if text, status := hostProperty("source\x00address"); status == abi.OK {
		req.Peer = strings.Clone(text)
	}
	if text, status := hostProperty("xds\x00filter_chain_name"); status == abi.OK {
		req.Trusted = strings.HasPrefix(text, wire.TrustedChain)
	}
	if text, status := hostProperty("destination\x00port"); status == abi.OK && len(text) == 8 {
		for i := range len(text) {
			req.Port |= int64(text[i]) << (8 * i)
		}
	}
}
