package cloudnode

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"skerry/cloudlink/partition"
)

func sampleLoad() Load {
	stage := partition.StageStats{
		Bundle: "tiny", Sequences: 8, Context: 1024, Weights: 100 << 20, KV: 960 << 20, Sessions: 2, Kept: 1,
		Positions: 300, Queued: 17, Waiting: 3, Pass: 18 * time.Millisecond, PerRow: 4 * time.Millisecond,
	}
	whole := stage
	whole.Whole = true
	return Load{
		Resident: 1200 << 20,
		Stats: partition.Stats{
			Sessions: 2, Queued: 17, Waiting: 3, Memory: partition.Memory{Budget: 1 << 30, Asks: 5 << 20},
			Stages: []partition.StageStats{stage, stage, whole},
		},
		Fleet:   &FleetLoad{Connected: true, Live: 3, Claims: 4, Released: 5},
		Offers:  []UpdateOffer{{Ring: "all", Version: "1.3.0"}, {Ring: "canary", Version: "2.0.0", Bundle: "abcd", Name: "tiny-2", Workers: 2, Serving: 1}},
		Devices: []partition.DeviceStats{{Device: "shed", Sessions: 2}, {Device: "att\x1bic", Trouble: "numbers used up"}},
	}
}

// The cloud's metrics say what is in memory, the sessions, the queue and T; two bundles of one name are told apart.
func TestMetrics(t *testing.T) {
	var unready atomic.Pointer[string]
	unready.Store(new(string))
	m, err := serveMetrics("127.0.0.1:0", "v9", sampleLoad, func() string { return *unready.Load() }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	get := func(path string) string {
		r, err := http.Get("http://" + m.addr.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v: %s", path, r.Status, err, b)
		}
		return string(b)
	}
	text := get("/metrics")
	for _, want := range []string{
		`skerry_cloud_weight_bytes{bundle="tiny",whole="false"} 1.048576e+08`,
		`skerry_cloud_weight_bytes{bundle="tiny (2)",whole="false"} `,
		`skerry_cloud_kv_bytes{bundle="tiny",whole="true"} 1.00663296e+09`,
		`skerry_cloud_contexts{board="connected",bundle="tiny",whole="false"} 2`,
		`skerry_cloud_queued_asks{bundle="tiny",whole="false"} 3`,
		`skerry_cloud_pass_seconds{bundle="tiny",whole="false"} 0.018`,
		`skerry_cloud_held_bytes{what="asks"} 5.24288e+06`,
		`skerry_cloud_board_sessions{board="shed"} 2`,
		`skerry_cloud_board_trouble{board="att?ic"} 1`,
		`skerry_cloud_boards_given_up_total 5`,
		`skerry_cloud_rollout_workers{bundle="abcd",ring="canary"} 1`,
		`skerry_cloud_held_back_total 0`,
		"process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if get("/readyz") != "ready\n" {
		t.Error("not ready")
	}
	draining := "draining"
	unready.Store(&draining)
	r, err := http.Get("http://" + m.addr.String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if why, err := io.ReadAll(r.Body); err != nil || r.StatusCode != http.StatusServiceUnavailable || string(why) != "draining\n" {
		t.Errorf("while it drains: %s, %q, %v", r.Status, why, err)
	}
	if get("/healthz") != "ok\n" {
		t.Error("not healthy")
	}
}

// What cannot be served is an error that names the flag.
func TestMetricsAddress(t *testing.T) {
	for _, addr := range []string{"nonsense", "127.0.0.1:99999"} {
		if m, err := serveMetrics(addr, "v9", sampleLoad, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--metrics "+addr) {
			t.Errorf("%s: %v, %v", addr, m, err)
		}
	}
}
