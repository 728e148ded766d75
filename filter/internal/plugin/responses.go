package plugin

import (
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/wire"
)

// Bounds on what is kept for streams until their responses come. A stream that ends
// without one leaves its entry behind, which makes room for a newer one here: a
// callback for the end of every stream would cost all of them.
const (
	maxResponses     = 4096
	maxResponseBytes = 8 << 20
)

// responses are headers for responses that are to come, by stream.
type responses struct {
	byStream map[uint32]kept
	order    []uint32 // of the entries, as a ring
	made     int      // entries so far
	swept    int      // of which so many have been thrown out
	bytes    int
}

type kept struct {
	headers []abi.Pair
	size    int
}

// keep notes headers for the response of a stream.
func (r *responses) keep(stream uint32, headers []abi.Pair) {
	if len(headers) == 0 {
		return
	}
	if r.byStream == nil {
		r.byStream = make(map[uint32]kept)
	}
	k := kept{headers: make([]abi.Pair, len(headers)), size: 64}
	for i, h := range headers {
		k.headers[i] = abi.Pair{Key: strings.Clone(h.Key), Value: strings.Clone(h.Value)}
		k.size += len(h.Key) + len(h.Value) + 32
	}
	r.take(stream)
	r.byStream[stream] = k
	r.bytes += k.size
	if len(r.order) < maxResponses {
		r.order = append(r.order, stream)
	} else {
		if r.swept == r.made-maxResponses {
			r.sweep(stream)
		}
		r.order[r.made%maxResponses] = stream
	}
	for r.made++; r.bytes > maxResponseBytes && r.swept < r.made-1; {
		r.sweep(stream)
	}
}

// sweep throws the oldest entry out, unless it is that of the stream.
func (r *responses) sweep(stream uint32) {
	if old := r.order[r.swept%maxResponses]; old != stream {
		r.take(old)
	}
	r.swept++
}

// take returns what was kept for a stream, once.
func (r *responses) take(stream uint32) []abi.Pair {
	k, ok := r.byStream[stream]
	if ok {
		delete(r.byStream, stream)
		r.bytes -= k.size
	}
	return k.headers
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
