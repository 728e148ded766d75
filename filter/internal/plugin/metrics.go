package plugin

import (
	"github.com/sallyport-auth/sallyport/internal/abi"
	"github.com/sallyport-auth/sallyport/internal/reason"
)

// metrics counts outcomes in the VM and hands the sums to the proxy at each
// tick, so that a request costs no hostcall for them. There is one counter for
// each reason code and a few more: nothing a client sends makes a new one.
type metrics struct {
	pending [reason.Count]int64
	ids     [reason.Count]uint32

	pendingAsked            int64
	askedID, generationID   uint32
	generation, generationN uint64
}

// MetricPrefix is followed by a reason code.
const MetricPrefix = "sallyport.requests."

func (m *metrics) count(code reason.Code) {
	if int(code) < reason.Count {
		m.pending[code]++
	}
}

// flush reports what was counted since. Should the proxy refuse, the count is
// kept for the next tick.
func (m *metrics) flush() {
	for c := range m.pending {
		if m.pending[c] != 0 {
			m.add(&m.ids[c], MetricPrefix+reason.Code(c).Error(), &m.pending[c])
		}
	}
	if m.pendingAsked != 0 {
		m.add(&m.askedID, "sallyport.questions", &m.pendingAsked)
	}
	if m.generation != m.generationN && m.define(&m.generationID, abi.Gauge, "sallyport.bundle_generation") &&
		hostRecordMetric(m.generationID, m.generation) == abi.OK {
		m.generationN = m.generation
	}
}

func (m *metrics) add(id *uint32, name string, pending *int64) {
	if m.define(id, abi.Counter, name) && hostIncrementMetric(*id, *pending) == abi.OK {
		*pending = 0
	}
}

// define resolves a metric's id when it is first needed.
func (m *metrics) define(id *uint32, kind abi.MetricType, name string) bool {
	if *id == 0 {
		got, status := hostDefineMetric(kind, name)
		if status != abi.OK {
			return false
		}
		*id = got
	}
	return true
}
