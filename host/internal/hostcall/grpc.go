package hostcall

import (
	"time"

	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// grpcCall is proxy_grpc_call(service, size, name, size, method, size, metadata,
// size, message, size, timeout, *id): PARSE_FAILURE for a service that is neither a
// cluster nor a message which names one. The call belongs to the root context.
func grpcCall(c call) abi.Status {
	message, ok := c.bytes(8)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	return c.startGRPC(GRPCCall{Message: message, Timeout: time.Duration(c.u32(10)) * time.Millisecond}, 11)
}

// grpcStream is proxy_grpc_stream(service, size, name, size, method, size, metadata,
// size, *id).
func grpcStream(c call) abi.Status { return c.startGRPC(GRPCCall{Stream: true}, 8) }

// startGRPC reads what calls and streams have in common, and starts one.
func (c call) startGRPC(g GRPCCall, id int) abi.Status {
	var short [2]bool
	var ok [4]bool
	service, ok0 := c.bytes(0)
	g.Name, short[0], ok[1] = c.name(2)
	g.Method, short[1], ok[2] = c.name(4)
	g.Metadata, ok[3] = c.pairs(6)
	if ok[0] = ok0; ok != [4]bool{true, true, true, true} {
		return abi.InvalidMemoryAccess
	}
	root := c.root()
	if root == nil {
		return abi.BadArgument
	}
	if len(service) > maxService {
		return abi.ParseFailure
	}
	if short != [2]bool{true, true} || len(g.Message) > c.env.Limits.CallBytes {
		return tooMuch
	}
	g.Service = string(service)
	n, status := c.env.GRPC(root, g)
	if status != abi.OK {
		return status
	}
	return c.giveID(id, n)
}

// grpcSend is proxy_grpc_send(id, message, size, end): BAD_ARGUMENT for the id of
// anything but a stream.
func grpcSend(c call) abi.Status {
	message, ok := c.bytes(1)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	root := c.root()
	if root == nil || vm.KindOf(c.u32(0)) != vm.GRPCStream {
		return abi.BadArgument
	}
	s := root.Call(c.u32(0))
	if s == nil {
		return abi.NotFound
	}
	if len(message) > c.env.Limits.CallBytes {
		return tooMuch
	}
	return s.Send(message, c.u32(3) != 0)
}

// grpcCancel is proxy_grpc_cancel(id): the call or stream is reset, and the guest
// hears nothing more of it.
func grpcCancel(c call) abi.Status { return c.endGRPC(true) }

// grpcClose is proxy_grpc_close(id): no more is sent on a stream; a call is
// cancelled.
func grpcClose(c call) abi.Status { return c.endGRPC(false) }

func (c call) endGRPC(cancel bool) abi.Status {
	kind := vm.KindOf(c.u32(0))
	root := c.root()
	if root == nil || kind != vm.GRPCCall && kind != vm.GRPCStream {
		return abi.BadArgument
	}
	s := root.Call(c.u32(0))
	switch {
	case s == nil:
		return abi.NotFound
	case kind == vm.GRPCStream && !cancel:
		return s.Send(nil, true)
	}
	root.Cancel(c.u32(0))
	return abi.OK
}
