// Package metrics shows the Status value to Prometheus, with a dashboard and alert
// rules to go with it, and tells supervisors whether the daemon is alive and ready.
//
// All labels come from fixed sets or from the hardware; no session, client or
// prompt ever becomes one.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"skerry/appliance/status"
)

// Metrics of one daemon.
type Metrics struct {
	status   func() status.Status
	registry *prometheus.Registry

	firstToken, interval, queueWait prometheus.Histogram
	requests                        *prometheus.CounterVec
}

// New makes them over what the daemon says of itself, which is asked for at every
// scrape and need not be quick.
func New(st func() status.Status) *Metrics {
	m := &Metrics{status: st, registry: prometheus.NewRegistry()}
	m.histograms()
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collector{st}, m.firstToken, m.interval, m.queueWait, m.requests,
	)
	return m
}

// ObserveFirstToken notes how long after its request an answer's first token came.
func (m *Metrics) ObserveFirstToken(d time.Duration) { m.firstToken.Observe(d.Seconds()) }

// ObserveInterval notes the time from one token of an answer to the next.
func (m *Metrics) ObserveInterval(d time.Duration) { m.interval.Observe(d.Seconds()) }

// ObserveQueueWait notes how long a request waited for its turn.
func (m *Metrics) ObserveQueueWait(d time.Duration) { m.queueWait.Observe(d.Seconds()) }

// Handler serves /metrics, /metrics/dashboard.json, /metrics/alerts.yaml, /healthz
// and /readyz.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /metrics/dashboard.json", file("application/json", Dashboard))
	mux.HandleFunc("GET /metrics/alerts.yaml", file("application/yaml", Alerts))
	mux.HandleFunc("GET /healthz", m.healthz)
	mux.HandleFunc("GET /readyz", m.readyz)
	return mux
}

func file(kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Write([]byte(text))
	}
}
