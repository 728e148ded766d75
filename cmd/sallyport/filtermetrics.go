package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/host"
)

// chainCollector hands the metrics of a chain's filters to Prometheus.
type chainCollector struct{ server *filterServer }

var (
	filterLabel   = []string{"filter"}
	infoDesc      = prometheus.NewDesc("sallyport_filter_info", "A filter's module, by its SHA-256.", []string{"filter", "sha256"}, nil)
	workersDesc   = prometheus.NewDesc("sallyport_filter_workers", "Instances of a filter.", filterLabel, nil)
	runningDesc   = prometheus.NewDesc("sallyport_filter_workers_running", "Instances of a filter that can take requests.", filterLabel, nil)
	memoriesDesc  = prometheus.NewDesc("sallyport_filter_memory_bytes", "Linear memory of all instances of a filter.", filterLabel, nil)
	unservedDesc  = prometheus.NewDesc("sallyport_filter_unavailable_total", "Requests that no instance of a filter could take, since it was loaded.", filterLabel, nil)
	guestReserved = "sallyport_"
)

// Describe implements prometheus.Collector: the guests' metrics are not known
// beforehand.
func (chainCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c chainCollector) Collect(ch chan<- prometheus.Metric) {
	c.server.mu.Lock()
	sums := c.server.sums
	c.server.mu.Unlock()
	kinds := map[string]string{} // of the guests' metrics, by Prometheus's name
	for i, f := range c.server.chain.Stats() {
		gauge := func(d *prometheus.Desc, value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append([]string{f.Name}, labels...)...)
		}
		if i < len(sums) {
			gauge(infoDesc, 1, sums[i])
		}
		gauge(workersDesc, float64(f.Workers))
		gauge(runningDesc, float64(f.Running))
		gauge(memoriesDesc, float64(f.MemoryBytes))
		ch <- prometheus.MustNewConstMetric(unservedDesc, prometheus.CounterValue, float64(f.Unavailable), f.Name)
		guestMetrics(ch, f, kinds)
	}
}

// guestMetrics hands on what a guest has defined. Two that come to one name of
// Prometheus's would fail the whole page: the first by name is shown.
func guestMetrics(ch chan<- prometheus.Metric, f host.FilterStats, kinds map[string]string) {
	seen := map[string]bool{}
	slices.SortFunc(f.Metrics, func(a, b host.Metric) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
	})
	for _, m := range f.Metrics {
		name := prometheusName(m.Name)
		if kind, ok := kinds[name]; ok && kind != m.Kind || seen[name] || strings.HasPrefix(name, guestReserved) {
			continue
		}
		if metric, err := guestMetric(m, name, filterLabel, []string{f.Name}); err == nil {
			kinds[name], seen[name] = m.Kind, true
			ch <- metric
		}
	}
}

// guestMetric turns a guest's metric into Prometheus's. A histogram of theirs has
// no buckets, only count and sum.
func guestMetric(m host.Metric, name string, labels, values []string) (prometheus.Metric, error) {
	desc := prometheus.NewDesc(name, "A metric of the filter.", labels, nil)
	switch m.Kind {
	case "counter":
		return prometheus.NewConstMetric(desc, prometheus.CounterValue, float64(m.Value), values...)
	case "histogram":
		return prometheus.NewConstSummary(desc, m.Count, float64(m.Value), nil, values...)
	}
	return prometheus.NewConstMetric(desc, prometheus.GaugeValue, float64(m.Value), values...)
}

// prometheusName replaces what a name may not have.
func prometheusName(name string) string {
	clean := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}
	name = strings.Map(clean, name)
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}
