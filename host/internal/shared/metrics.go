package shared

import (
	"sync"
	"sync/atomic"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// Metrics are counters, gauges and histograms that the VMs of a filter define. They
// are safe for concurrent use.
type Metrics struct {
	mu     sync.Mutex // guards what follows
	byName map[metricKey]*Metric
	before map[metricKey]*Metric // of the filter whose place was taken
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

// define returns a metric, a new one unless there are most already.
func (s *Metrics) define(kind abi.MetricType, name string, most int) *Metric {
	key := metricKey{kind, name}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.byName[key]
	if m != nil || len(s.byName) >= most {
		return m
	}
	if m = s.before[key]; m == nil {
		m = &Metric{Kind: kind, Name: name}
	}
	if s.byName == nil {
		s.byName = map[metricKey]*Metric{}
	}
	s.byName[key] = m
	return m
}

// Successor returns metrics for the filter that takes the place of this one: names that
// it defines too go on with the same values, the others are gone.
func (s *Metrics) Successor() *Metrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := make(map[metricKey]*Metric, len(s.byName))
	for key, m := range s.byName {
		before[key] = m
	}
	return &Metrics{before: before}
}

// All returns every metric, in no order.
func (s *Metrics) All() []*Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Metric, 0, len(s.byName))
	for _, m := range s.byName {
		out = append(out, m)
	}
	return out
}

// IDs returns ids for a VM.
func (s *Metrics) IDs() *MetricIDs { return &MetricIDs{metrics: s, byID: map[uint32]*Metric{}} }

// MetricIDs are the numbers by which one VM knows metrics; they end with it. They are
// used with its lock held.
type MetricIDs struct {
	metrics *Metrics
	byID    map[uint32]*Metric
	next    [3]uint32
}

// Define returns an id for a metric; each call returns another for the same one.
// Ids count in steps of four, the low bits telling the kind
// (proxy-wasm-cpp-host, wasm.h, kMetricIdIncrement). most bounds both the metrics of
// the filter and the ids of the VM.
func (s *MetricIDs) Define(kind abi.MetricType, name string, most int) (id uint32, status abi.Status) {
	if kind > abi.Histogram {
		return 0, abi.BadArgument
	}
	if len(s.byID) >= most {
		return 0, abi.InternalFailure
	}
	m := s.metrics.define(kind, name, most)
	if m == nil {
		return 0, abi.InternalFailure
	}
	s.next[kind] += 4
	id = s.next[kind] | uint32(kind)
	s.byID[id] = m
	return id, abi.OK
}

// Increment adds to a counter, by more than 0, or to a gauge, by anything.
func (s *MetricIDs) Increment(id uint32, by int64) abi.Status {
	m := s.byID[id]
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
func (s *MetricIDs) Record(id uint32, value uint64) abi.Status {
	m := s.byID[id]
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
func (s *MetricIDs) Get(id uint32) (uint64, abi.Status) {
	m := s.byID[id]
	switch {
	case id&3 > uint32(abi.Gauge):
		return 0, abi.BadArgument
	case m == nil:
		return 0, abi.NotFound
	}
	return uint64(m.value.Load()), abi.OK
}
