package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport-auth/sallyport/host"
)

// Whatever guests call their metrics, the page of metrics is there.
func TestGuestMetrics(t *testing.T) {
	collector := prometheus.NewRegistry()
	collector.MustRegister(guestCollector{
		{Name: "one", Metrics: []host.Metric{
			{Kind: "counter", Name: "a.b", Value: 1}, {Kind: "counter", Name: "a_b", Value: 2},
			{Kind: "gauge", Name: "2xx", Value: -3}, {Kind: "histogram", Name: "sizes", Value: 40, Count: 4},
			{Kind: "gauge", Name: "sallyport_filter_info", Value: 9}, {Kind: "gauge", Name: "", Value: 9},
		}},
		{Name: "two", Metrics: []host.Metric{
			{Kind: "counter", Name: "a.b", Value: 5}, {Kind: "gauge", Name: "sizes", Value: 9},
		}},
	})
	families, err := collector.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, m := range f.Metric {
			kind := "gauge"
			switch {
			case m.Counter != nil:
				kind = "counter"
			case m.Summary != nil:
				kind = "summary"
			}
			got = append(got, f.GetName()+" "+m.Label[0].GetValue()+" "+kind)
		}
	}
	want := []string{"_2xx one gauge", "a_b one counter", "a_b two counter", "sizes one summary"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// guestCollector collects the metrics of guests alone.
type guestCollector []host.FilterStats

// Describe implements prometheus.Collector.
func (guestCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c guestCollector) Collect(ch chan<- prometheus.Metric) {
	kinds := map[string]string{}
	for _, f := range c {
		guestMetrics(ch, f, kinds)
	}
}
