package metrics

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"skerry/appliance/infer"
	"skerry/appliance/status"
	"skerry/appliance/status/health"
)

// Fixed sets of label values. What is in none of them counts as other.
var (
	sources  = append(keysOfSources(), other)
	states   = []string{"starting", "no model", "fetching", "loading", "ready", "stopping"}
	links    = []string{"down", "refused", "poor", "fair", "good", "none"}
	reasons  = append(keysOfReasons(), other)
	sessions = []string{"idle", "queued", "prefill", "decoding", "cut", other}
)

const other = "other"

func keysOfSources() (keys []string) {
	for _, s := range infer.Sources {
		keys = append(keys, string(s.Key))
	}
	return keys
}

func keysOfReasons() (keys []string) {
	for _, r := range infer.Reasons {
		keys = append(keys, string(r.Key))
	}
	return keys
}

// modes are the names of those that this program has.
func modes() []string {
	names := []string{string(infer.Auto)}
	for _, m := range infer.Modes() {
		names = append(names, string(m.Name))
	}
	return append(names, other)
}

// collector makes metrics of a Status value.
type collector struct{ status func() status.Status }

var descs []*prometheus.Desc

func desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("skerry_"+name, help, labels, nil)
	descs = append(descs, d)
	return d
}

var (
	infoDesc      = desc("info", "Always 1: the daemon's version.", "version")
	startDesc     = desc("start_time_seconds", "When the daemon started.")
	stateDesc     = desc("state", "1 for the state the daemon is in.", "state")
	modeDesc      = desc("mode", "1 for the mode in force.", "mode")
	modelDesc     = desc("model_info", "Always 1: the model that is loaded.", "model", "bundle", "architecture", "quantization")
	kernelsDesc   = desc("kernels_info", "Always 1: the kernels and the device that compute.", "kernels", "device")
	contextDesc   = desc("context_positions", "Positions that one conversation may hold.")
	parallelDesc  = desc("parallel_answers", "Answers that are decoded at once.")
	weightsDesc   = desc("model_weight_bytes", "Weights in memory.")
	kvDesc        = desc("model_kv_bytes", "KV cache in memory.")
	residentDesc  = desc("loaded_model_bytes", "Weights and KV cache in memory, by the model.", "model")
	usersDesc     = desc("loaded_model_users", "Requests that use a model.", "model")
	tokensDesc    = desc("tokens_total", "Tokens said, by who said them.", "source")
	rateDesc      = desc("tokens_per_second", "Tokens said a second in the last 8 answers, each from its first token on.")
	unaskedDesc   = desc("recent_unasked_tokens", "Of the last 1000 tokens, those the cloud was not asked for, by the reason.", "reason")
	asksDesc      = desc("cloud_asks_total", "Tokens the cloud was asked for.")
	answersDesc   = desc("answers_total", "Answers begun.")
	promptDesc    = desc("prompt_tokens_total", "Tokens of prompts.")
	cachedDesc    = desc("prompt_cached_tokens_total", "Tokens of prompts that did not have to be computed anew.")
	cacheDesc     = desc("prefix_cache_bytes", "KV of shared prefixes on disk.")
	runningDesc   = desc("queue_running", "Answers under way.")
	waitingDesc   = desc("queue_waiting", "Requests that wait for their turn.")
	limitDesc     = desc("queue_limit", "Requests that may wait.")
	refusedDesc   = desc("queue_refused_total", "Requests refused as the queue was full.")
	sessionsDesc  = desc("sessions", "Conversations, by their state.", "state")
	wantedDesc    = desc("link_wanted", "1 where a cloud is configured.")
	connectedDesc = desc("link_connected", "1 while the cloud is connected.")
	linkDesc      = desc("link_state", "1 for the state of the link.", "state")
	tcpDesc       = desc("link_transport", "1 for the transport in use.", "transport")
	rttDesc       = desc("link_rtt_seconds", "Smoothed round trip time.")
	lossDesc      = desc("link_loss_ratio", "Share of packets lost.")
	goodputDesc   = desc("link_goodput_bytes_per_second", "What goes up in a second.")
	monthDesc     = desc("link_month_bytes", "Bytes over the link in this calendar month.", "direction")
	budgetDesc    = desc("link_budget_bytes", "Bytes that a month may cost; 0: no bound.")
	reconnDesc    = desc("link_reconnects_total", "Connections after the first.")
	migratedDesc  = desc("link_migrations_total", "Changes of address that a connection survived.")
	breachDesc    = desc("link_protocol_errors_total", "What the cloud sent that no cloud may.")
	silentDesc    = desc("link_unanswered_total", "Waits for an answer given up though the link was alive.")
	expiresDesc   = desc("certificate_expiry_time_seconds", "When the board's certificate ends.")
	loadDesc      = desc("board_load1", "Load average over a minute.")
	threadsDesc   = desc("board_threads", "Threads that compute.")
	memoryDesc    = desc("board_memory_bytes", "Memory of the board.")
	freeDesc      = desc("board_memory_available_bytes", "Memory that can be had without swapping.")
	uptimeDesc    = desc("board_uptime_seconds", "Since the board started.")
	unreadDesc    = desc("board_sensor_failed", "1 for a sensor that the board has and that cannot be read, 0 for one that was read.", "sensor")
	throttledDesc = desc("board_throttled", "1 while the board lowers its clock.")
	diskDesc      = desc("storage_bytes", "Size of the disk that the state is on.")
	diskFreeDesc  = desc("storage_free_bytes", "Free space there.")
	dbDesc        = desc("storage_database_bytes", "Size of the database.")
	problemDesc   = desc("health_problem", "1 while the problem is there.", "code", "severity")
)

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range descs {
		to <- d
	}
}

// sink takes the values of one scrape.
type sink chan<- prometheus.Metric

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s sink) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// oneOf is 1 for the value of a set that is, 0 for the others.
func (s sink) oneOf(d *prometheus.Desc, set []string, is string) {
	is = within(set, is) // which says other in vain where the set has none
	for _, v := range set {
		s.gauge(d, yes(v == is), v)
	}
}

func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// within is v where it belongs to the set, else other.
func within(set []string, v string) string {
	if slices.Contains(set, v) {
		return v
	}
	return other
}

// byLabel adds values up by label, so that each of the set has one.
func byLabel[N int | uint64](set []string, values map[string]N) map[string]N {
	sums := map[string]N{}
	for v, n := range values {
		sums[within(set, v)] += n
	}
	return sums
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	st, s := c.status(), sink(to)
	s.daemon(st)
	s.tokens(st)
	s.link(st.Link)
	s.board(st.Board)
	s.storage(st.Storage)
	s.health(st.Health)
}

func (s sink) daemon(st status.Status) {
	s.gauge(infoDesc, 1, text(st.Version))
	s.gauge(startDesc, float64(st.Started.UnixMilli())/1000)
	s.oneOf(stateDesc, states, string(st.State))
	s.oneOf(modeDesc, modes(), st.Mode)
	s.gauge(kernelsDesc, 1, text(st.Kernels.Name), text(st.Kernels.Device))
	if m := st.Model; m != nil {
		s.gauge(modelDesc, 1, text(m.Name), text(m.Bundle), text(m.Architecture), text(m.Quantization))
		s.gauge(contextDesc, float64(m.Context))
		s.gauge(parallelDesc, float64(m.Parallel))
		s.gauge(weightsDesc, float64(m.WeightBytes))
		s.gauge(kvDesc, float64(m.KVBytes))
	}
	seen := map[string]bool{} // two of one name would fail the whole scrape
	for _, m := range st.Models {
		if name := text(m.Name); m.State == status.Ready && !seen[name] {
			seen[name] = true
			s.gauge(residentDesc, float64(m.WeightBytes+m.KVBytes), name)
			s.gauge(usersDesc, float64(m.Users), name)
		}
	}
	n := map[string]int{}
	for state, count := range st.SessionStates {
		n[within(sessions, state)] += count
	}
	for _, state := range sessions {
		s.gauge(sessionsDesc, float64(n[state]), state)
	}
}

func (s sink) tokens(st status.Status) {
	t, total, unasked := st.Tokens, byLabel(sources, st.Tokens.Total), byLabel(reasons, st.Tokens.Reasons)
	for _, source := range sources {
		s.counter(tokensDesc, total[source], source)
	}
	for _, reason := range reasons {
		s.gauge(unaskedDesc, float64(unasked[reason]), reason)
	}
	s.gauge(rateDesc, t.Rate)
	s.counter(asksDesc, t.Asks)
	s.counter(answersDesc, t.Answers)
	s.counter(promptDesc, t.Prompt)
	s.counter(cachedDesc, t.Cached)
	s.gauge(cacheDesc, float64(t.CacheBytes))
	s.gauge(runningDesc, float64(st.Queue.Running))
	s.gauge(waitingDesc, float64(st.Queue.Waiting))
	s.gauge(limitDesc, float64(st.Queue.Limit))
	s.counter(refusedDesc, st.Queue.Refused)
}

func (s sink) link(l status.Link) {
	s.gauge(wantedDesc, yes(l.Wanted))
	if !l.Wanted {
		return
	}
	s.gauge(connectedDesc, yes(l.Connected))
	s.oneOf(linkDesc, links, l.State)
	for _, t := range []string{"quic", "tcp"} {
		s.gauge(tcpDesc, yes(l.Connected && l.Transport == t), t)
	}
	if l.Connected {
		s.gauge(rttDesc, l.RTTms/1000)
		s.gauge(lossDesc, l.Loss)
		s.gauge(goodputDesc, l.Goodput)
	}
	s.gauge(monthDesc, float64(l.BytesUp), "up")
	s.gauge(monthDesc, float64(l.BytesDown), "down")
	s.gauge(budgetDesc, float64(l.Budget))
	s.counter(reconnDesc, l.Reconnects)
	s.counter(migratedDesc, l.Migrations)
	s.counter(breachDesc, l.Breaches)
	s.counter(silentDesc, l.Unanswered)
	if !l.Expires.IsZero() {
		s.gauge(expiresDesc, float64(l.Expires.Unix()))
	}
}

func (s sink) board(b status.Board) {
	s.gauge(loadDesc, b.Load)
	s.gauge(threadsDesc, float64(b.Threads))
	s.gauge(memoryDesc, float64(b.MemoryTotal))
	s.gauge(freeDesc, float64(b.MemoryFree))
	s.gauge(uptimeDesc, b.UptimeS)
	s.gauge(throttledDesc, yes(b.Throttled != ""))
	seen := map[[2]string]bool{} // two of one name would fail the whole scrape
	failed := map[string]bool{}
	for _, x := range b.Sensors {
		failed[text(x.Kind)] = false
		key := [2]string{x.Metric, text(x.Name)}
		if x.Metric == "" || seen[key] {
			continue
		}
		seen[key] = true
		help := fmt.Sprintf("What the board's sensors of %s read, in %s.", text(x.Kind), text(x.Unit))
		s.gauge(prometheus.NewDesc("skerry_board_"+x.Metric, help, []string{"sensor"}, nil), x.Value, key[1])
	}
	for _, e := range b.SensorErrors {
		failed[text(e.Kind)] = true
	}
	for kind, is := range failed {
		s.gauge(unreadDesc, yes(is), kind)
	}
}

func (s sink) storage(st status.Storage) {
	s.gauge(diskDesc, float64(st.TotalBytes))
	s.gauge(diskFreeDesc, float64(st.FreeBytes))
	s.gauge(dbDesc, float64(st.DBBytes))
}

func (s sink) health(there []status.Problem) {
	for _, p := range health.Declared() {
		is := slices.ContainsFunc(there, func(x status.Problem) bool { return x.Code == p.Code })
		s.gauge(problemDesc, yes(is), p.Code, string(p.Severity))
	}
}

// text is fit for a label: an invalid one would fail the whole scrape.
func text(s string) string { return strings.ToValidUTF8(s, "?") }
