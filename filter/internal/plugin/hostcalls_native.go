//go:build !wasip1

package plugin

import "github.com/sallyport-auth/sallyport/internal/abi"

// proxy is what the hostcalls become outside a VM: tests put their own here.
type proxy interface {
	log(level abi.LogLevel, text string)
	now() (uint64, abi.Status)
	setTick(milliseconds uint32) abi.Status
	setEffectiveContext(id uint32) abi.Status
	buffer(buffer abi.BufferType, max uint32) (string, abi.Status)
	pairs(m abi.MapType) (string, abi.Status)
	property(path string) (string, abi.Status)
	addHeader(m abi.MapType, key, value string) abi.Status
	replaceHeader(m abi.MapType, key, value string) abi.Status
	removeHeader(m abi.MapType, key string) abi.Status
	sendLocalResponse(status uint32, details, body string, headers []byte) abi.Status
	continueStream(s abi.StreamType) abi.Status
	httpCall(cluster string, headers, body []byte, timeout uint32) (uint32, abi.Status)
	callForeign(name string, argument []byte) (string, abi.Status)
	defineMetric(kind abi.MetricType, name string) (uint32, abi.Status)
	incrementMetric(id uint32, by int64) abi.Status
	recordMetric(id uint32, value uint64) abi.Status
}

var host proxy

func hostLog(level abi.LogLevel, text string)             { host.log(level, text) }
func hostNow() (uint64, abi.Status)                       { return host.now() }
func hostSetTick(milliseconds uint32) abi.Status          { return host.setTick(milliseconds) }
func hostSetEffectiveContext(id uint32) abi.Status        { return host.setEffectiveContext(id) }
func hostPairs(m abi.MapType) (string, abi.Status)        { return host.pairs(m) }
func hostProperty(path string) (string, abi.Status)       { return host.property(path) }
func hostContinueStream(s abi.StreamType) abi.Status      { return host.continueStream(s) }
func hostIncrementMetric(id uint32, by int64) abi.Status  { return host.incrementMetric(id, by) }
func hostRecordMetric(id uint32, value uint64) abi.Status { return host.recordMetric(id, value) }

func hostBuffer(buffer abi.BufferType, max uint32) (string, abi.Status) {
	return host.buffer(buffer, max)
}

func hostAddHeader(m abi.MapType, key, value string) abi.Status { return host.addHeader(m, key, value) }

func hostReplaceHeader(m abi.MapType, key, value string) abi.Status {
	return host.replaceHeader(m, key, value)
}

func hostRemoveHeader(m abi.MapType, key string) abi.Status { return host.removeHeader(m, key) }

func hostSendLocalResponse(status uint32, details, body string, headers []byte) abi.Status {
	return host.sendLocalResponse(status, details, body, headers)
}

func hostHTTPCall(cluster string, headers, body []byte, timeout uint32) (uint32, abi.Status) {
	return host.httpCall(cluster, headers, body, timeout)
}

func hostCallForeign(name string, argument []byte) (string, abi.Status) {
	return host.callForeign(name, argument)
}

func hostDefineMetric(kind abi.MetricType, name string) (uint32, abi.Status) {
	return host.defineMetric(kind, name)
}
