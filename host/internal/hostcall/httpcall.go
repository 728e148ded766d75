package hostcall

import (
	"bytes"
	"time"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// httpCall is proxy_http_call(cluster, size, headers, size, body, size, trailers,
// size, timeout, *id). The timeout is in milliseconds: 0 is none, a negative one
// BAD_ARGUMENT. Without :method, :path and :authority, and for an unknown
// cluster, it is BAD_ARGUMENT too. The call belongs to the root context; Limits say how
// much there may be of it.
func httpCall(c call) abi.Status {
	cluster, short, ok1 := c.name(0)
	pairs, ok2 := c.pairs(2)
	body, ok3 := c.bytes(4)
	trailers, ok4 := c.pairs(6)
	// The place for the id is looked at before the call is made.
	if !ok1 || !ok2 || !ok3 || !ok4 || !c.vm.WriteUint32(c.u32(9), 0) {
		return abi.InvalidMemoryAccess
	}
	timeout := int32(c.u32(8))
	root := c.root()
	if timeout < 0 || root == nil || !short {
		return abi.BadArgument
	}
	need := map[string]bool{":method": true, ":path": true, ":authority": true}
	for _, p := range pairs {
		delete(need, p.Key)
	}
	if len(need) > 0 {
		return abi.BadArgument
	}
	if len(body) > c.env.Limits.CallBytes {
		return tooMuch
	}
	id, status := c.env.Call(root, Call{
		Cluster: cluster, Headers: pairs, Body: bytes.Clone(body), Trailers: trailers,
		Timeout: time.Duration(timeout) * time.Millisecond,
	})
	if status != abi.OK {
		return status
	}
	c.vm.WriteUint32(c.u32(9), id)
	return abi.OK
}

// getStatus is proxy_get_status(*code, **data, *size), of the root context.
func getStatus(c call) abi.Status {
	root := c.root()
	if root == nil {
		return abi.BadArgument
	}
	if !c.vm.WriteUint32(c.u32(0), root.Status.Code) {
		return abi.InvalidMemoryAccess
	}
	return c.vm.GiveString(root.Status.Message, c.u32(1), c.u32(2))
}
