package hostcall

import (
	"github.com/sallyport-auth/sallyport/host/internal/vm"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// buffer returns a buffer of the effective context, nil when there is none at
// the moment; known is false for a number that is none.
func (c call) buffer(t abi.BufferType) (b vm.Buffer, known bool) {
	root := c.root()
	switch t {
	case abi.VMConfiguration:
		if root != nil {
			return vm.ReadOnly(root.Plugin.VMConfig), true
		}
	case abi.PluginConfiguration:
		// Envoy has it only while the plugin is configured.
		if root != nil && root.Configuring() {
			return vm.ReadOnly(root.Plugin.Config), true
		}
	case abi.HTTPCallResponseBody:
		if root != nil && root.Response != nil {
			return vm.ReadOnly(root.Response.Body), true
		}
	case abi.HTTPRequestBody, abi.HTTPResponseBody:
		if s := c.stream(); s != nil {
			return s.Buffer(t), true
		}
	case abi.GRPCCallMessage:
		if root != nil && root.Message() != nil {
			return root.Message(), true
		}
		return vm.ReadOnly(nil), true
	case abi.DownstreamData, abi.UpstreamData, abi.ForeignFunctionArguments:
		return vm.ReadOnly(nil), true
	default:
		return nil, false
	}
	return nil, true
}

// getBufferBytes is proxy_get_buffer_bytes(buffer, start, max, **data, *size).
// A start beyond the end is OK and empty; the end is clamped.
func getBufferBytes(c call) abi.Status {
	b, known := c.buffer(abi.BufferType(c.u32(0)))
	if !known {
		return abi.BadArgument
	}
	if b == nil {
		return abi.NotFound
	}
	start, end := uint64(c.u32(1)), uint64(c.u32(1))+uint64(c.u32(2))
	if start > uint64(b.Len()) {
		start = uint64(b.Len())
	}
	end = max(start, min(end, uint64(b.Len())))
	return c.vm.GiveBytes(b.Bytes(int(start), int(end)), c.u32(3), c.u32(4))
}

// getBufferStatus is proxy_get_buffer_status(buffer, *length, *flags): flags are
// always 0.
func getBufferStatus(c call) abi.Status {
	b, known := c.buffer(abi.BufferType(c.u32(0)))
	if !known {
		return abi.BadArgument
	}
	if b == nil {
		return abi.NotFound
	}
	if !c.vm.WriteUint32(c.u32(1), uint32(b.Len())) || !c.vm.WriteUint32(c.u32(2), 0) {
		return abi.InvalidMemoryAccess
	}
	return abi.OK
}

// setBufferBytes is proxy_set_buffer_bytes(buffer, start, size, data, size).
func setBufferBytes(c call) abi.Status {
	b, known := c.buffer(abi.BufferType(c.u32(0)))
	if !known {
		return abi.BadArgument
	}
	if b == nil {
		return abi.NotFound
	}
	data, ok := c.bytes(3)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	return b.Replace(int(c.u32(1)), int(c.u32(2)), data)
}
