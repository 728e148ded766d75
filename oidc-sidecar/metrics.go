package sidecar

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics enters the sidecar's own metrics. Their labels are issuers of the file
// and words of closed lists: nothing a client sends makes a new one.
func (s *Sidecar) metrics() {
	s.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sallyport_sidecar_reloads_total", Help: "Times that a changed declarative file was read, by result.",
	}, []string{"result"})
	s.registry.MustRegister(s.reloads, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sallyport_sidecar_bundle_generation", Help: "Generation of the bundle on offer.",
	}, func() float64 {
		offer, _ := s.publisher.Offer()
		return float64(offer.Generation)
	}), issuerCollector{s})
}

// issuerCollector reports on the issuers that there are at the moment.
type issuerCollector struct{ s *Sidecar }

var (
	issuerKeys = prometheus.NewDesc("sallyport_sidecar_issuer_keys",
		"Public keys of an issuer, 0 when none are available.", []string{"issuer"}, nil)
	issuerAsked = prometheus.NewDesc("sallyport_sidecar_issuer_requests_total",
		"Times that an issuer was asked for its keys.", []string{"issuer"}, nil)
)

// Describe implements prometheus.Collector.
func (c issuerCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- issuerKeys
	ch <- issuerAsked
}

// Collect implements prometheus.Collector.
func (c issuerCollector) Collect(ch chan<- prometheus.Metric) {
	seen := map[string]bool{}
	for _, p := range c.s.publisher.Issuers() {
		name := p.Config().Name()
		if seen[name] { // asked in two ways: one line is enough
			continue
		}
		seen[name] = true
		ch <- prometheus.MustNewConstMetric(issuerKeys, prometheus.GaugeValue, float64(len(p.Current().Keys)), name)
		ch <- prometheus.MustNewConstMetric(issuerAsked, prometheus.CounterValue, float64(p.Asked()), name)
	}
}
