package hostcall

import (
	"bytes"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// sendLocalResponse is proxy_send_local_response(status, details, size, body,
// size, headers, size, grpc): OK always, without effect on a context that is no
// stream. White space in details becomes underscores; a gRPC status outside
// 0…16 is none. A body that is too large is answered 500 in its place: the guest has
// refused the request, and may wait for nothing else.
func sendLocalResponse(c call) abi.Status {
	details, ok1 := c.bytes(1)
	body, ok2 := c.bytes(3)
	pairs, ok3 := c.pairs(5)
	if !ok1 || !ok2 || !ok3 {
		return abi.InvalidMemoryAccess
	}
	s := c.stream()
	if s == nil {
		return abi.OK
	}
	grpc := int(int32(c.u32(7)))
	if grpc < 0 || grpc > 16 {
		grpc = -1
	}
	if len(body) > s.MostBody() {
		s.LocalResponse(LocalResponse{Status: 500, GRPC: -1})
		return tooMuch
	}
	s.LocalResponse(LocalResponse{
		Status:  int(c.u32(0)),
		Details: strings.Join(strings.Fields(string(details[:min(len(details), maxDetails)])), "_"),
		Body:    bytes.Clone(body), Headers: pairs, GRPC: grpc,
	})
	return abi.OK
}

// continueStream is proxy_continue_stream(type): UNIMPLEMENTED for an upstream
// connection.
func continueStream(c call) abi.Status {
	s := c.stream()
	switch abi.StreamType(c.u32(0)) {
	case abi.StreamHTTPRequest:
		if s != nil {
			s.Continue(false)
		}
	case abi.StreamHTTPResponse:
		if s != nil {
			s.Continue(true)
		}
	case abi.StreamDownstream:
	case abi.StreamUpstream:
		return abi.Unimplemented
	default:
		return abi.BadArgument
	}
	return abi.OK
}

// closeStream is proxy_close_stream(type): the stream is reset. The other two types
// are of network filters.
func closeStream(c call) abi.Status {
	t := abi.StreamType(c.u32(0))
	if t > abi.StreamUpstream {
		return abi.BadArgument
	}
	if s := c.stream(); s != nil && t <= abi.StreamHTTPResponse {
		s.Reset()
	}
	return abi.OK
}

// getProperty is proxy_get_property(path, size, **data, *size). The parts of the
// path are separated by zero bytes.
func getProperty(c call) abi.Status {
	raw, ok := c.bytes(0)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	if len(raw) > maxPath {
		return abi.NotFound
	}
	path := strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
	var value []byte
	status := abi.NotFound
	if s := c.stream(); s != nil {
		value, status = s.Property(path)
	} else if root := c.root(); root != nil {
		value, status = rootProperty(root.Plugin.Name, root.Plugin.RootID, root.Plugin.VMID, path)
	}
	if status != abi.OK {
		return status
	}
	return c.vm.GiveBytes(value, c.u32(2), c.u32(3))
}

// rootProperty are the attributes that do not need a stream.
func rootProperty(name, rootID, vmID string, path []string) ([]byte, abi.Status) {
	if len(path) == 1 {
		switch path[0] {
		case "plugin_name":
			return []byte(name), abi.OK
		case "plugin_root_id":
			return []byte(rootID), abi.OK
		case "plugin_vm_id":
			return []byte(vmID), abi.OK
		}
	}
	return nil, abi.NotFound
}

// setProperty is proxy_set_property(path, size, value, size): NOT_FOUND without
// a stream.
func setProperty(c call) abi.Status {
	path, ok1 := c.bytes(0)
	value, ok2 := c.bytes(2)
	if !ok1 || !ok2 {
		return abi.InvalidMemoryAccess
	}
	s := c.stream()
	if s == nil {
		return abi.NotFound
	}
	if len(path) > maxPath || len(value) > maxValue {
		return tooMuch
	}
	return s.SetProperty(strings.ReplaceAll(strings.TrimSuffix(string(path), "\x00"), "\x00", "."), bytes.Clone(value))
}
