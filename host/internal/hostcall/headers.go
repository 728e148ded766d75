package hostcall

import (
	"strings"

	"github.com/sallyport-auth/sallyport/host/internal/headers"
	"github.com/sallyport-auth/sallyport/internal/abi"
)

// headerMap returns a header map of the effective context for reading; known is
// false for a number that is none.
func (c call) headerMap(t abi.MapType) (m *headers.Map, known bool) {
	switch t {
	case abi.HTTPCallResponseHeaders, abi.HTTPCallResponseTrailers:
		root := c.root()
		if root == nil || root.Response == nil {
			return nil, true
		}
		if t == abi.HTTPCallResponseHeaders {
			return &root.Response.Headers, true
		}
		if len(root.Response.Trailers.Pairs()) == 0 {
			return nil, true
		}
		return &root.Response.Trailers, true
	case abi.HTTPRequestHeaders, abi.HTTPRequestTrailers, abi.HTTPResponseHeaders, abi.HTTPResponseTrailers:
		if s := c.stream(); s != nil {
			return s.Headers(t, false), true
		}
		return nil, true
	case abi.GRPCCallInitialMetadata, abi.GRPCCallTrailingMetadata:
		root := c.root()
		if root == nil {
			return nil, true
		}
		if t == abi.GRPCCallInitialMetadata {
			return root.GRPC.Initial, true
		}
		return root.GRPC.Trailing, true
	}
	return nil, false
}

// mutable returns a map that the guest may change: the answer of a call is not.
func (c call) mutable(t abi.MapType) *headers.Map {
	if t > abi.HTTPResponseTrailers {
		return nil
	}
	if s := c.stream(); s != nil {
		return s.Headers(t, true)
	}
	return nil
}

// getHeaderMapSize is proxy_get_header_map_size(map, *size): in bytes, as Envoy,
// where the specification says pairs, and of maps that can be changed.
func getHeaderMapSize(c call) abi.Status {
	m := c.mutable(abi.MapType(c.u32(0)))
	if m == nil {
		return abi.BadArgument
	}
	if !c.vm.WriteUint32(c.u32(1), uint32(m.Size())) {
		return abi.InvalidMemoryAccess
	}
	return abi.OK
}

// getHeaderMapPairs is proxy_get_header_map_pairs(map, **data, *size). A map that
// is not there is empty; a number that is no map is BAD_ARGUMENT.
func getHeaderMapPairs(c call) abi.Status {
	m, known := c.headerMap(abi.MapType(c.u32(0)))
	if !known {
		return abi.BadArgument
	}
	if m == nil || len(m.Pairs()) == 0 {
		return c.vm.GiveBytes(nil, c.u32(1), c.u32(2))
	}
	pairs := m.Pairs()
	return c.vm.Give(abi.PairsSize(pairs), c.u32(1), c.u32(2), func(dst []byte) {
		abi.AppendPairs(dst[:0], pairs)
	})
}

// setHeaderMapPairs is proxy_set_header_map_pairs(map, data, size).
func setHeaderMapPairs(c call) abi.Status {
	pairs, ok := c.pairs(1)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	m := c.mutable(abi.MapType(c.u32(0)))
	if m == nil {
		return abi.BadArgument
	}
	m.Set(pairs)
	return abi.OK
}

// getHeaderMapValue is proxy_get_header_map_value(map, key, size, **data,
// *size): the first of several values. An absent key is NOT_FOUND, an absent map
// BAD_ARGUMENT, but NOT_FOUND in on_log.
func getHeaderMapValue(c call) abi.Status {
	key, ok := c.bytes(1)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	m, known := c.headerMap(abi.MapType(c.u32(0)))
	if m == nil {
		if s := c.stream(); known && s != nil && s.Logging() {
			return abi.NotFound
		}
		return abi.BadArgument
	}
	if len(key) > maxHeaders {
		return abi.NotFound
	}
	value, ok := m.Get(string(key))
	if !ok {
		return abi.NotFound
	}
	return c.vm.GiveString(value, c.u32(3), c.u32(4))
}

// change reads key and value and applies a change to a map.
func (c call) change(apply func(m *headers.Map, key, value string)) abi.Status {
	key, ok1 := c.bytes(1)
	value, ok2 := c.bytes(3)
	if !ok1 || !ok2 {
		return abi.InvalidMemoryAccess
	}
	m := c.mutable(abi.MapType(c.u32(0)))
	if m == nil {
		return abi.BadArgument
	}
	if !room(m, len(key), len(value)) {
		return tooMuch
	}
	apply(m, strings.ToLower(string(key)), string(value))
	return abi.OK
}

// addHeaderMapValue is proxy_add_header_map_value(map, key, size, value, size).
func addHeaderMapValue(c call) abi.Status { return c.change((*headers.Map).Add) }

// replaceHeaderMapValue is proxy_replace_header_map_value(…): the key is added
// when it is not there.
func replaceHeaderMapValue(c call) abi.Status { return c.change((*headers.Map).Replace) }

// removeHeaderMapValue is proxy_remove_header_map_value(map, key, size): a key
// that is not there is no error.
func removeHeaderMapValue(c call) abi.Status {
	key, ok := c.bytes(1)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	m := c.mutable(abi.MapType(c.u32(0)))
	if m == nil {
		return abi.BadArgument
	}
	if len(key) <= maxHeaders { // nothing longer is in it
		m.Remove(string(key))
	}
	return abi.OK
}
