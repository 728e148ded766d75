//go:build wasip1

package plugin

import (
	"unsafe"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// The module's exports. Callbacks that the filter has no use for are left out:
// a proxy calls only what is there, and each call costs. on_delete is among
// them: a stream that is gone shows when its answer arrives.

var instance = newVM()

//go:wasmexport proxy_abi_version_0_2_1
func proxyABIVersion() {}

//go:wasmexport malloc
func malloc(size uint32) uint32 {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(instance.memory.alloc(size)))))
}

//go:wasmexport proxy_on_configure
func proxyOnConfigure(_, size uint32) uint32 {
	if instance.onConfigure(size) {
		return 1
	}
	return 0
}

//go:wasmexport proxy_on_tick
func proxyOnTick(uint32) { instance.onTick() }

//go:wasmexport proxy_on_request_headers
func proxyOnRequestHeaders(id, _, _ uint32) uint32 { return uint32(instance.onRequestHeaders(id)) }

//go:wasmexport proxy_on_response_headers
func proxyOnResponseHeaders(id, _, _ uint32) uint32 {
	instance.onResponseHeaders(id)
	return uint32(abi.Continue)
}

//go:wasmexport proxy_on_http_call_response
func proxyOnHTTPCallResponse(_, token, headers, body, _ uint32) {
	instance.onHTTPCallResponse(token, headers, body)
}
