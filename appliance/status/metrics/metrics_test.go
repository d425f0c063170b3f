package metrics

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"skerry/appliance/infer"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
	"skerry/appliance/status/statustest"
)

// The modes are those that the program declares; here some stand for them.
func init() {
	for _, name := range []infer.Mode{"collaborative", "standalone", "unsplit", "cloud-only", "naive", "paper"} {
		infer.AddMode(infer.ModeInfo{Name: name})
	}
}

// full has everything observed that can be.
func full(st status.Status) *Metrics {
	m := New(func() status.Status { return st })
	m.ObserveFirstToken(300 * time.Millisecond)
	m.ObserveInterval(40 * time.Millisecond)
	m.ObserveQueueWait(time.Second)
	m.Count(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v1/models", nil))
	return m
}

func gather(t *testing.T, m *Metrics) []*dto.MetricFamily {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func TestLint(t *testing.T) {
	for name, st := range statustest.All() {
		m := full(st)
		problems, err := testutil.GatherAndLint(m.registry)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", name, p.Metric, p.Text)
		}
	}
}

// Every metric is described, has its unit's values, and comes from the status.
func TestValues(t *testing.T) {
	st := statustest.Busy()
	st.Health = []status.Problem{{Code: health.TooHot.Code, Severity: status.Warning}}
	want := fmt.Sprintf(`
# HELP skerry_link_rtt_seconds Smoothed round trip time.
# TYPE skerry_link_rtt_seconds gauge
skerry_link_rtt_seconds %g
# HELP skerry_queue_refused_total Requests refused as the queue was full.
# TYPE skerry_queue_refused_total counter
skerry_queue_refused_total %d
# HELP skerry_tokens_total Tokens said, by who said them.
# TYPE skerry_tokens_total counter
skerry_tokens_total{source="exit1"} %d
skerry_tokens_total{source="exit2"} %d
skerry_tokens_total{source="draft"} 0
skerry_tokens_total{source="lookup"} 0
skerry_tokens_total{source="cloud"} %d
skerry_tokens_total{source="fallback"} %d
skerry_tokens_total{source="unsplit"} %d
skerry_tokens_total{source="other"} 0
# HELP skerry_link_state 1 for the state of the link.
# TYPE skerry_link_state gauge
skerry_link_state{state="down"} 0
skerry_link_state{state="fair"} 0
skerry_link_state{state="good"} 1
skerry_link_state{state="none"} 0
skerry_link_state{state="poor"} 0
skerry_link_state{state="refused"} 0
`, st.Link.RTTms/1000, st.Queue.Refused, st.Tokens.Total["exit1"], st.Tokens.Total["exit2"], st.Tokens.Total["cloud"],
		st.Tokens.Total["fallback"], st.Tokens.Total["unsplit"])
	st.Link.State = "good"
	err := testutil.GatherAndCompare(New(func() status.Status { return st }).registry, strings.NewReader(want),
		"skerry_link_rtt_seconds", "skerry_queue_refused_total", "skerry_tokens_total", "skerry_link_state")
	if err != nil {
		t.Error(err)
	}
	there := 0.0
	for _, f := range gather(t, full(st)) {
		if f.GetName() == "skerry_health_problem" {
			for _, m := range f.Metric {
				there += m.Gauge.GetValue()
			}
			if len(f.Metric) != len(health.Declared()) {
				t.Errorf("%d problems have series, %d are declared", len(f.Metric), len(health.Declared()))
			}
		}
	}
	if there != 1 {
		t.Errorf("%g problems are there, not 1", there)
	}
}

// However much is asked and whatever names come from outside, the series stay the
// same, and no session's, client's or unknown source's name is among them.
func TestBoundedLabels(t *testing.T) {
	few, many := statustest.Busy(), statustest.Busy()
	many.Tokens.Total = map[string]uint64{}
	many.Tokens.Reasons = map[string]int{}
	for i := range 500 {
		name := fmt.Sprintf("foreign-%d", i)
		many.Sessions = append(many.Sessions, status.Session{ID: name, Client: name, State: name, Mode: name})
		many.SessionStates[name]++
		many.Tokens.Total[name], many.Tokens.Reasons[name] = 1, 1
		many.Health = append(many.Health, status.Problem{Code: name})
		many.Board.Sensors = append(many.Board.Sensors, few.Board.Sensors...)
	}
	many.Link.State, many.Link.Transport, many.Mode, many.State = "foreign", "foreign", "foreign", "foreign"
	m := full(many)
	h := m.Count(http.NotFoundHandler())
	for i := range 100 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprintf("/foreign-%d", i), nil))
	}
	count := func(families []*dto.MetricFamily) (n int) {
		for _, f := range families {
			if !strings.HasPrefix(f.GetName(), "skerry_") {
				continue
			}
			n += len(f.Metric)
			for _, m := range f.Metric {
				for _, l := range m.Label {
					if strings.Contains(l.GetValue(), "foreign") {
						t.Errorf("%s has the label %s=%q", f.GetName(), l.GetName(), l.GetValue())
					}
				}
			}
		}
		return n
	}
	if a, b := count(gather(t, full(few))), count(gather(t, m)); b > a+1 { // one more api: other
		t.Errorf("%d series, with more to do %d", a, b)
	}
}

// Text that is no UTF-8, and sensors of one name, cost no scrape.
func TestForeignText(t *testing.T) {
	st := statustest.Busy()
	st.Version, st.Model.Name, st.Kernels.Device = "\xff", "a\x00\xc3", "\n\"\\"
	st.Board.Sensors = []status.Sensor{{Name: "\xfe", Metric: "temperature_celsius"}, {Name: "\xff", Metric: "temperature_celsius"}, {Name: "x", Unit: "furlong"}}
	w := httptest.NewRecorder()
	New(func() status.Status { return st }).Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "skerry_info") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestCount(t *testing.T) {
	m := New(statustest.Calm)
	h := m.Count(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, is := w.(http.Flusher); !is {
			t.Error("a stream could not be flushed")
		}
		switch r.URL.Path {
		case "/v1/models":
			io.WriteString(w, "ok")
			w.(http.Flusher).Flush()
		case "/api/chat":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			panic(http.ErrAbortHandler)
		}
	}))
	for _, path := range []string{"/v1/models", "/v1/models", "/api/chat", "/api/v1/status"} {
		func() {
			defer func() { recover() }()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		}()
	}
	for _, c := range []struct {
		api, code string
		n         float64
	}{{"openai", "2xx", 2}, {"ollama", "4xx", 1}, {"skerry", "2xx", 1}} {
		if got := testutil.ToFloat64(m.requests.WithLabelValues(c.api, c.code)); got != c.n {
			t.Errorf("%s %s: %g, not %g", c.api, c.code, got, c.n)
		}
	}
}

func TestHistograms(t *testing.T) {
	for _, f := range gather(t, full(statustest.Calm())) {
		want, is := map[string]float64{"skerry_first_token_seconds": 0.3, "skerry_token_interval_seconds": 0.04, "skerry_queue_wait_seconds": 1}[f.GetName()]
		if !is {
			continue
		}
		h := f.Metric[0].Histogram
		if h.GetSampleCount() != 1 || h.GetSampleSum() != want {
			t.Errorf("%s: %v", f.GetName(), h)
		}
		if largest := h.Bucket[len(h.Bucket)-1].GetUpperBound(); largest < 5 {
			t.Errorf("%s: its largest bucket is %g s", f.GetName(), largest)
		}
	}
}

func TestProbes(t *testing.T) {
	no := statustest.NoModel()
	no.Health = []status.Problem{{Code: "x", Title: "No model", Severity: status.Trouble, Text: "there is none", Do: "`skerry model fetch`"}}
	stopping := statustest.Calm()
	stopping.State = status.Stopping
	for _, c := range []struct {
		path   string
		st     status.Status
		accept string
		code   int
		says   string
	}{
		{"/healthz", statustest.Calm(), "", 200, "ok\n"},
		{"/healthz", statustest.Loading(), "", 200, "ok\n"},
		{"/healthz", no, "application/json", 200, `{"ok":true,"state":"no model"}`},
		{"/healthz", stopping, "", 503, "stopping"},
		{"/readyz", statustest.Calm(), "", 200, "ok\n"},
		{"/readyz", statustest.Calm(), "application/json", 200, `{"ok":true,"state":"ready"}`},
		{"/readyz", statustest.Loading(), "", 503, statustest.Loading().Progress.What},
		{"/readyz", no, "", 503, "No model: there is none: `skerry model fetch`"},
		{"/readyz", no, "application/json", 503, `"ok":false,"state":"no model","why":"No model`},
		{"/readyz", stopping, "", 503, "stopping"},
	} {
		r := httptest.NewRequest("GET", c.path, nil)
		r.Header.Set("Accept", c.accept)
		w := httptest.NewRecorder()
		New(func() status.Status { return c.st }).Handler().ServeHTTP(w, r)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s of a daemon that is %s: %d %q, want %d %q", c.path, c.st.State, w.Code, w.Body, c.code, c.says)
		}
		if (w.Header().Get("Retry-After") != "") != (c.code == 503) {
			t.Errorf("%s: %d with Retry-After %q", c.path, c.code, w.Header().Get("Retry-After"))
		}
	}
}

func TestFilesServed(t *testing.T) {
	h := New(statustest.Calm).Handler()
	for path, want := range map[string]string{"/metrics/dashboard.json": Dashboard, "/metrics/alerts.yaml": Alerts} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: %d, %d bytes", path, w.Code, w.Body.Len())
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/metrics", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /metrics: %d", w.Code)
	}
}

func TestGoAndProcess(t *testing.T) {
	var names []string
	for _, f := range gather(t, New(statustest.Calm)) {
		names = append(names, f.GetName())
	}
	for _, want := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing", want)
		}
	}
}

func BenchmarkScrape(b *testing.B) {
	h := full(statustest.Busy()).Handler()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
	}
}
