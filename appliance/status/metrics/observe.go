package metrics

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

func (m *Metrics) histograms() {
	histogram := func(name, help string, from float64, n int) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(from, 2, n),
		})
	}
	m.firstToken = histogram("skerry_first_token_seconds", "From a request to the first token of its answer.", 0.05, 12)
	m.interval = histogram("skerry_token_interval_seconds", "From one token of an answer to the next.", 0.005, 11)
	m.queueWait = histogram("skerry_queue_wait_seconds", "From a request to its turn.", 0.01, 14)
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "skerry_http_requests_total", Help: "HTTP requests by interface and class of their status.",
	}, []string{"api", "code"})
}

// Count counts the requests that next answers, by interface and class of status.
func (m *Metrics) Count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &counted{ResponseWriter: w, code: http.StatusOK}
		defer func() {
			m.requests.WithLabelValues(apiOf(r.URL.Path), strconv.Itoa(c.code/100)+"xx").Inc()
		}()
		next.ServeHTTP(c, r)
	})
}

// counted remembers the status of a response.
type counted struct {
	http.ResponseWriter
	code int
	sent bool
}

func (c *counted) WriteHeader(code int) {
	if !c.sent && code >= 200 {
		c.code, c.sent = code, true
	}
	c.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Flush is for handlers that ask for an http.Flusher.
func (c *counted) Flush() { http.NewResponseController(c.ResponseWriter).Flush() }

// apiOf is the interface that a path belongs to, of a fixed set.
func apiOf(path string) string {
	switch {
	case strings.HasPrefix(path, "/v1/"):
		return "openai"
	case strings.HasPrefix(path, "/api/v1/"):
		return "skerry"
	case strings.HasPrefix(path, "/api/"):
		return "ollama"
	case path == "/":
		return "page"
	}
	return "other"
}
