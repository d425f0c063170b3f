package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Sample is one value of a program without a Status, as the cloud partition is.
type Sample struct {
	Name, Help string // all of one name have the same help, kind and names of labels
	Counter    bool   // else it is a gauge
	Value      float64
	Labels     []Label
}

// Label is one of a Sample.
type Label struct{ Name, Value string }

// Samples serves what collect returns, asked at every scrape, with the memory and the
// processor time of the process.
func Samples(collect func() []Sample) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(sampled(collect), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

type sampled func() []Sample

// Describe names nothing in advance: what there is changes.
func (sampled) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s sampled) Collect(out chan<- prometheus.Metric) {
	for _, v := range s() {
		var names, values []string
		for _, l := range v.Labels {
			names, values = append(names, l.Name), append(values, l.Value)
		}
		kind := prometheus.GaugeValue
		if v.Counter {
			kind = prometheus.CounterValue
		}
		desc := prometheus.NewDesc(v.Name, v.Help, names, nil)
		m, err := prometheus.NewConstMetric(desc, kind, v.Value, values...)
		if err != nil {
			m = prometheus.NewInvalidMetric(desc, err)
		}
		out <- m
	}
}
