package abi

// Status is the result of a hostcall (proxy_status_t).
type Status uint32

// The statuses. Envoy answers with these and no others.
const (
	OK                   Status = 0
	NotFound             Status = 1
	BadArgument          Status = 2
	SerializationFailure Status = 3
	ParseFailure         Status = 4
	InvalidMemoryAccess  Status = 6
	Empty                Status = 7
	CASMismatch          Status = 8
	InternalFailure      Status = 10
	Unimplemented        Status = 12
)

var statusNames = map[Status]string{
	OK: "OK", NotFound: "NOT_FOUND", BadArgument: "BAD_ARGUMENT", SerializationFailure: "SERIALIZATION_FAILURE",
	ParseFailure: "PARSE_FAILURE", InvalidMemoryAccess: "INVALID_MEMORY_ACCESS", Empty: "EMPTY",
	CASMismatch: "CAS_MISMATCH", InternalFailure: "INTERNAL_FAILURE", Unimplemented: "UNIMPLEMENTED",
}

// Statuses lists every status that a hostcall may answer.
func Statuses() []Status {
	return []Status{OK, NotFound, BadArgument, SerializationFailure, ParseFailure, InvalidMemoryAccess,
		Empty, CASMismatch, InternalFailure, Unimplemented}
}

// String returns the name in the specification.
func (s Status) String() string {
	if name := statusNames[s]; name != "" {
		return name
	}
	return "status unknown to the specification"
}

// Action is what a stream callback asks for (proxy_action_t).
type Action uint32

// The actions. Envoy understands more than the specification's two; see
// docs/abi.md.
const (
	Continue Action = 0
	Pause    Action = 1
)

// LogLevel is a level of proxy_log.
type LogLevel uint32

// The levels.
const (
	Trace LogLevel = iota
	Debug
	Info
	Warn
	Error
	Critical
)

// BufferType names a buffer (proxy_buffer_type_t).
type BufferType uint32

// The buffers.
const (
	HTTPRequestBody BufferType = iota
	HTTPResponseBody
	DownstreamData
	UpstreamData
	HTTPCallResponseBody
	GRPCCallMessage
	VMConfiguration
	PluginConfiguration
	ForeignFunctionArguments
)

// MapType names a header map (proxy_map_type_t).
type MapType uint32

// The maps.
const (
	HTTPRequestHeaders MapType = iota
	HTTPRequestTrailers
	HTTPResponseHeaders
	HTTPResponseTrailers
	GRPCCallInitialMetadata
	GRPCCallTrailingMetadata
	HTTPCallResponseHeaders
	HTTPCallResponseTrailers
)

// StreamType names a direction (proxy_stream_type_t).
type StreamType uint32

// The directions.
const (
	StreamHTTPRequest StreamType = iota
	StreamHTTPResponse
	StreamDownstream
	StreamUpstream
)

// MetricType is a kind of metric.
type MetricType uint32

// The kinds.
const (
	Counter MetricType = iota
	Gauge
	Histogram
)
