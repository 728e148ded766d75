package shared

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Metrics are counters, gauges and histograms that guests define, by their names. They
// are safe for concurrent use.
type Metrics struct {
	mu     sync.RWMutex // guards what follows
	byName map[metricKey]*Metric
}

// Handles are the ids by which one VM knows metrics. They are for one goroutine at a
// time.
type Handles struct {
	byID map[uint32]*Metric
	next [3]uint32
}

type metricKey struct {
	kind abi.MetricType
	name string
}

// Metric is one metric.
type Metric struct {
	Kind  abi.MetricType
	Name  string
	value atomic.Int64
	count atomic.Uint64
}

// Value returns a counter's or gauge's value, and the sum of a histogram's.
func (m *Metric) Value() int64 { return m.value.Load() }

// Count returns how many values a histogram has recorded.
func (m *Metric) Count() uint64 { return m.count.Load() }

// Define returns an id for a metric; each call returns another for the same one.
// Ids count in steps of four, the low bits telling the kind
// (proxy-wasm-cpp-host, wasm.h, kMetricIdIncrement).
func (h *Handles) Define(s *Metrics, kind abi.MetricType, name string) (id uint32, status abi.Status) {
	if kind > abi.Histogram {
		return 0, abi.BadArgument
	}
	if len(h.byID) >= maxMetrics {
		return 0, abi.InternalFailure
	}
	m := s.metric(kind, name)
	if m == nil {
		return 0, abi.InternalFailure
	}
	if h.byID == nil {
		h.byID = map[uint32]*Metric{}
	}
	h.next[kind] += 4
	id = h.next[kind] | uint32(kind)
	h.byID[id] = m
	return id, abi.OK
}

// metric returns a metric by its name, making it if need be; nil when there are too
// many.
func (s *Metrics) metric(kind abi.MetricType, name string) *Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := metricKey{kind, name}
	m := s.byName[key]
	if m == nil && len(s.byName) < maxMetrics {
		if s.byName == nil {
			s.byName = map[metricKey]*Metric{}
		}
		m = &Metric{Kind: kind, Name: name}
		s.byName[key] = m
	}
	return m
}

// Successor returns metrics for the filter that takes the place of this one: the
// same names go on with the same values.
func (s *Metrics) Successor() *Metrics {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return &Metrics{byName: maps.Clone(s.byName)}
}

// Increment adds to a counter, by more than 0, or to a gauge, by anything.
func (h *Handles) Increment(id uint32, by int64) abi.Status {
	m := h.byID[id]
	switch {
	case id&3 > uint32(abi.Gauge):
		return abi.BadArgument
	case m == nil:
		return abi.NotFound
	case m.Kind == abi.Counter && by <= 0:
		return abi.BadArgument
	}
	m.value.Add(by)
	return abi.OK
}

// Record sets a gauge, adds to a counter, and enters a value into a histogram.
func (h *Handles) Record(id uint32, value uint64) abi.Status {
	m := h.byID[id]
	if m == nil {
		return abi.NotFound
	}
	switch m.Kind {
	case abi.Gauge:
		m.value.Store(int64(value))
	case abi.Counter:
		m.value.Add(int64(value))
	case abi.Histogram:
		m.value.Add(int64(value))
		m.count.Add(1)
	}
	return abi.OK
}

// Get returns a counter's or gauge's value.
func (h *Handles) Get(id uint32) (uint64, abi.Status) {
	m := h.byID[id]
	switch {
	case id&3 > uint32(abi.Gauge):
		return 0, abi.BadArgument
	case m == nil:
		return 0, abi.NotFound
	}
	return uint64(m.value.Load()), abi.OK
}

// All returns every metric, in no order.
func (s *Metrics) All() []*Metric {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*Metric, 0, len(s.byName))
	for _, m := range s.byName {
		out = append(out, m)
	}
	return out
}
