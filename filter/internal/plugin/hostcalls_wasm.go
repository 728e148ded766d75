//go:build wasip1

package plugin

import (
	"unsafe"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// The hostcalls that the filter uses, by the names and types of the
// specification. Everything above this file runs natively too, with
// hostcalls_native.go in this one's place.

//go:wasmimport env proxy_log
func proxyLog(level, data, size uint32) abi.Status

//go:wasmimport env proxy_get_current_time_nanoseconds
func proxyGetCurrentTimeNanoseconds(result *uint64) abi.Status

//go:wasmimport env proxy_set_tick_period_milliseconds
func proxySetTickPeriodMilliseconds(period uint32) abi.Status

//go:wasmimport env proxy_set_effective_context
func proxySetEffectiveContext(context uint32) abi.Status

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBufferBytes(buffer, start, max uint32, data, size *uint32) abi.Status

//go:wasmimport env proxy_get_header_map_pairs
func proxyGetHeaderMapPairs(headerMap uint32, data, size *uint32) abi.Status

//go:wasmimport env proxy_add_header_map_value
func proxyAddHeaderMapValue(headerMap, key, keySize, value, valueSize uint32) abi.Status

//go:wasmimport env proxy_replace_header_map_value
func proxyReplaceHeaderMapValue(headerMap, key, keySize, value, valueSize uint32) abi.Status

//go:wasmimport env proxy_remove_header_map_value
func proxyRemoveHeaderMapValue(headerMap, key, keySize uint32) abi.Status

//go:wasmimport env proxy_get_property
func proxyGetProperty(path, pathSize uint32, data, size *uint32) abi.Status

//go:wasmimport env proxy_send_local_response
func proxySendLocalResponse(status, details, detailsSize, body, bodySize, headers, headersSize uint32, grpcStatus int32) abi.Status

//go:wasmimport env proxy_continue_stream
func proxyContinueStream(stream uint32) abi.Status

//go:wasmimport env proxy_http_call
func proxyHTTPCall(upstream, upstreamSize, headers, headersSize, body, bodySize, trailers, trailersSize, timeout uint32, token *uint32) abi.Status

//go:wasmimport env proxy_call_foreign_function
func proxyCallForeignFunction(name, nameSize, argument, argumentSize uint32, data, size *uint32) abi.Status

//go:wasmimport env proxy_define_metric
func proxyDefineMetric(kind, name, nameSize uint32, id *uint32) abi.Status

//go:wasmimport env proxy_increment_metric
func proxyIncrementMetric(id uint32, offset int64) abi.Status

//go:wasmimport env proxy_record_metric
func proxyRecordMetric(id uint32, value uint64) abi.Status

// ptr returns where a string lies and how long it is.
func ptr(s string) (uint32, uint32) {
	return uint32(uintptr(unsafe.Pointer(unsafe.StringData(s)))), uint32(len(s))
}

func ptrBytes(b []byte) (uint32, uint32) {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), uint32(len(b))
}

func hostLog(level abi.LogLevel, text string) {
	p, n := ptr(text)
	proxyLog(uint32(level), p, n)
}

// out is where hosts write what they return beside the status; a local variable
// would be allocated anew by each call. Of the hostcalls that write here none calls
// back into the module but for malloc.
var out struct {
	nanoseconds uint64
	data, size  uint32
}

func hostNow() (nanoseconds uint64, status abi.Status) {
	status = proxyGetCurrentTimeNanoseconds(&out.nanoseconds)
	return out.nanoseconds, status
}

func hostSetTick(milliseconds uint32) abi.Status { return proxySetTickPeriodMilliseconds(milliseconds) }

func hostSetEffectiveContext(id uint32) abi.Status { return proxySetEffectiveContext(id) }

func hostBuffer(buffer abi.BufferType, max uint32) (string, abi.Status) {
	out.data, out.size = 0, 0
	status := proxyGetBufferBytes(uint32(buffer), 0, max, &out.data, &out.size)
	return taken(status)
}

func hostPairs(m abi.MapType) (string, abi.Status) {
	out.data, out.size = 0, 0
	status := proxyGetHeaderMapPairs(uint32(m), &out.data, &out.size)
	return taken(status)
}

func hostProperty(path string) (string, abi.Status) {
	p, n := ptr(path)
	out.data, out.size = 0, 0
	status := proxyGetProperty(p, n, &out.data, &out.size)
	return taken(status)
}

func hostAddHeader(m abi.MapType, key, value string) abi.Status {
	kp, kn := ptr(key)
	vp, vn := ptr(value)
	return proxyAddHeaderMapValue(uint32(m), kp, kn, vp, vn)
}

func hostReplaceHeader(m abi.MapType, key, value string) abi.Status {
	kp, kn := ptr(key)
	vp, vn := ptr(value)
	return proxyReplaceHeaderMapValue(uint32(m), kp, kn, vp, vn)
}

func hostRemoveHeader(m abi.MapType, key string) abi.Status {
	kp, kn := ptr(key)
	return proxyRemoveHeaderMapValue(uint32(m), kp, kn)
}

func hostSendLocalResponse(status uint32, details, body string, headers []byte) abi.Status {
	dp, dn := ptr(details)
	bp, bn := ptr(body)
	hp, hn := ptrBytes(headers)
	return proxySendLocalResponse(status, dp, dn, bp, bn, hp, hn, -1)
}

func hostContinueStream(s abi.StreamType) abi.Status { return proxyContinueStream(uint32(s)) }

func hostHTTPCall(cluster string, headers, body []byte, timeout uint32) (token uint32, status abi.Status) {
	cp, cn := ptr(cluster)
	hp, hn := ptrBytes(headers)
	bp, bn := ptrBytes(body)
	status = proxyHTTPCall(cp, cn, hp, hn, bp, bn, 0, 0, timeout, &token)
	return
}

func hostCallForeign(name string, argument []byte) (string, abi.Status) {
	np, nn := ptr(name)
	ap, an := ptrBytes(argument)
	out.data, out.size = 0, 0
	status := proxyCallForeignFunction(np, nn, ap, an, &out.data, &out.size)
	return taken(status)
}

func hostDefineMetric(kind abi.MetricType, name string) (id uint32, status abi.Status) {
	p, n := ptr(name)
	status = proxyDefineMetric(uint32(kind), p, n, &id)
	return
}

func hostIncrementMetric(id uint32, by int64) abi.Status { return proxyIncrementMetric(id, by) }

func hostRecordMetric(id uint32, value uint64) abi.Status { return proxyRecordMetric(id, value) }

// taken returns the text that the host has written into memory it got from
// malloc. It is not copied: see memory.go.
func taken(status abi.Status) (string, abi.Status) {
	if status != abi.OK || out.data == 0 || out.size == 0 {
		return "", status
	}
	return unsafe.String((*byte)(unsafe.Pointer(uintptr(out.data))), int(out.size)), status
}
