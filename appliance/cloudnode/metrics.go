package cloudnode

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"skerry/appliance/httpd/match"
	"skerry/appliance/status"
	"skerry/appliance/status/metrics"
)

// Dashboard of clouds for Grafana, to be imported there.
//
//go:embed grafana/dashboard.json
var Dashboard string

// metricsServer serves what a running cloud holds and computes to Prometheus.
type metricsServer struct {
	server *http.Server
	addr   net.Addr
	wg     sync.WaitGroup
}

// serveMetrics answers /metrics, /healthz, /readyz and the cloud's page at addr until close. The
// cloud is ready while unready says nothing.
func serveMetrics(addr, version string, load func() Load, unready func() string, log *slog.Logger) (*metricsServer, error) {
	at, err := match.Listen(addr)
	if err != nil {
		return nil, fmt.Errorf("--metrics %s: %w", addr, err)
	}
	ln, err := net.Listen("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("--metrics %s: %w", addr, err)
	}
	if !ln.Addr().(*net.TCPAddr).IP.IsLoopback() {
		log.Warn("metrics are readable by whoever reaches this address: they name the boards and what they do", "address", ln.Addr())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Samples(func() []metrics.Sample { return load().samples(version) }))
	mux.HandleFunc("GET /metrics/dashboard.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, Dashboard)
	})
	mux.Handle("GET /{$}", servePage(load))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := unready(); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	m := &metricsServer{addr: ln.Addr(), server: &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
	}}
	m.wg.Go(func() { m.server.Serve(ln) })
	log.Info("metrics", "address", "http://"+ln.Addr().String()+"/metrics", "page", "http://"+ln.Addr().String()+"/")
	return m, nil
}

func (m *metricsServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if m.server.Shutdown(ctx) != nil {
		m.server.Close()
	}
	m.wg.Wait()
}

// samples are the metrics of a cloud.
func (l Load) samples(version string) (all []metrics.Sample) {
	gauge := func(name, help string, v float64, labels ...metrics.Label) {
		all = append(all, metrics.Sample{Name: "skerry_cloud_" + name, Help: help, Value: v, Labels: labels})
	}
	count := func(name, help string, v float64, labels ...metrics.Label) {
		gauge(name+"_total", help, v, labels...)
		all[len(all)-1].Counter = true
	}
	s, m := l.Stats, l.Stats.Memory
	gauge("info", "Always 1: the cloud's version.", 1, metrics.Label{Name: "version", Value: version})
	for what, n := range map[string]int64{
		"queues": m.Queues, "asks": m.Asks, "answers": m.Outputs, "sessions": m.Fixed, "early data": m.Early, "positions": m.KV,
	} {
		gauge("held_bytes", "What is held for boards, by what it is.", float64(n), metrics.Label{Name: "what", Value: what})
	}
	gauge("held_limit_bytes", "What may be held for boards: --memory.", float64(m.Budget))
	if f := l.Fleet; f != nil {
		answers := 0.0
		if f.Connected {
			answers = 1
		}
		gauge("etcd_answers", "1 while etcd answers this worker, 0 while it does not.", answers)
		gauge("workers", "Workers of this cloud that live.", float64(f.Live))
		gauge("boards_owned", "Boards that belong to this worker.", float64(f.Claims))
		count("boards_given_up", "Boards that this worker gave up, which had been away for long.", float64(f.Released))
	}
	for _, o := range l.Offers {
		if o.Bundle == "" {
			continue
		}
		of := []metrics.Label{{Name: "ring", Value: o.Ring}, {Name: "bundle", Value: o.Bundle}}
		gauge("rollout_workers", "Workers that serve a bundle which boards are offered.", float64(o.Serving), of...)
		gauge("rollout_workers_wanted", "How many have to before boards are told of it.", float64(o.Workers), of...)
	}
	if l.Fleet != nil && l.Fleet.Expires != nil {
		gauge("etcd_certificate_end_seconds", "When the certificate for etcd ends, since 1970.", float64(l.Fleet.Expires.Unix()))
	}
	seen := map[string]bool{}
	for _, st := range s.Stages {
		whole, name := strconv.FormatBool(st.Whole), st.Bundle
		for n := 2; seen[name+whole]; n++ { // two bundles may have one name
			name = fmt.Sprintf("%s (%d)", st.Bundle, n)
		}
		seen[name+whole] = true
		bundle := []metrics.Label{{Name: "bundle", Value: name}, {Name: "whole", Value: whole}}
		board := func(is string) []metrics.Label { return append(bundle[:2:2], metrics.Label{Name: "board", Value: is}) }
		gauge("weight_bytes", "Weights in memory.", float64(st.Weights), bundle...)
		gauge("kv_bytes", "KV cache in memory, of all contexts, used or not.", float64(st.KV), bundle...)
		gauge("contexts", "Contexts in use, by whether their board is connected.", float64(st.Sessions), board("connected")...)
		gauge("contexts", "Contexts in use, by whether their board is connected.", float64(st.Kept), board("away")...)
		gauge("contexts_limit", "Contexts there are: --sessions.", float64(st.Sequences), bundle...)
		gauge("positions_held", "Positions that contexts hold.", float64(st.Positions), bundle...)
		gauge("positions_limit", "Positions that contexts may hold.", float64(st.Sequences*st.Context), bundle...)
		gauge("queued_positions", "Hidden states received and not computed yet.", float64(st.Queued), bundle...)
		gauge("queued_asks", "Asks that wait.", float64(st.Waiting), bundle...)
		gauge("pass_seconds", "T, what a pass of one position takes.", st.Pass.Seconds(), bundle...)
		gauge("further_position_seconds", "What a further position of a pass takes: m times T.", st.Further.Seconds(), bundle...)
		gauge("position_seconds", "What a position takes, the fixed cost of passes shared.", st.PerRow.Seconds(), bundle...)
		gauge("wait_seconds", "What a newcomer's ask would wait for others.", st.Wait.Seconds(), bundle...)
	}
	gauge("connections", "Connections of boards.", float64(s.Connections))
	gauge("boards", "Boards that are connected.", float64(l.self().Boards))
	gauge("sessions", "Open sessions.", float64(s.Sessions))
	count("positions", "Positions computed.", float64(s.Rows))
	count("passes", "Forward passes.", float64(s.Forwards))
	count("compute_seconds", "Time in forward passes.", s.Compute.Seconds())
	count("answers", "Asks answered.", float64(s.Answers))
	count("asks_refused", "Asks refused for want of room or time.", float64(s.Busy))
	count("refused", "Connections and sessions refused.", float64(s.Refused))
	count("held_back", "Times a board was held back by its quota of positions.", float64(s.Throttled))
	count("contexts_evicted", "Contexts emptied for want of room.", float64(s.Evicted))
	count("contexts_expired", "Contexts nobody came back for.", float64(s.Expired))
	count("contexts_written", "Times a context was written to a file.", float64(s.Saved))
	count("contexts_read", "Contexts that were read from a file.", float64(s.Restored))
	count("bad_frames", "Streams ended for what came on them.", float64(s.BadFrames))
	count("received_bytes", "Bytes of hidden states and token ids received.", float64(s.BytesUp))
	for _, d := range l.Devices {
		board := metrics.Label{Name: "board", Value: status.Printable(d.Device)}
		gauge("board_connections", "Connections of a board.", float64(d.Connections), board)
		gauge("board_sessions", "Open sessions of a board.", float64(d.Sessions), board)
		count("board_positions", "Positions computed for a board.", float64(d.Rows), board)
		if d.Trouble != "" {
			gauge("board_trouble", "1 for a board the operator has to see to: skerry cloud load says why.", 1, board)
		}
	}
	return all
}
