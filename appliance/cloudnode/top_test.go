package cloudnode

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"skerry/cloudlink/partition"
)

// `skerry cloud load` says what is in memory, the sessions, the queue and T.
func TestLoadIsShown(t *testing.T) {
	stage := partition.StageStats{
		Bundle: "tiny", Sequences: 8, Context: 1024, Weights: 100 << 20, KV: 960 << 20, Sessions: 2, Kept: 1,
		Positions: 300, Queued: 17, Waiting: 3, Pass: 18 * time.Millisecond, PerRow: 4 * time.Millisecond,
	}
	whole := stage
	whole.Whole = true
	load := &Load{
		Resident: 1200 << 20,
		Stats: partition.Stats{
			Sessions: 2, Queued: 17, Waiting: 3, Memory: partition.Memory{Budget: 1 << 30, Asks: 5 << 20},
			Stages: []partition.StageStats{stage, whole},
		},
	}
	var b bytes.Buffer
	if err := load.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"process   1.3 GB in memory\n", "asks 5.2 MB,", "queue     17 positions, 3 asks;",
		"tiny           105 MB    1.0 GB  2 of 8       1  300 of 8192         17     3  18ms  4ms\n", "tiny (whole)  ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// fleetLoad is the load of a cloud of three, one of which is about to stop.
func fleetLoad() *Load {
	worker := func(name, version, state string, boards int, computed uint64) Worker {
		return Worker{
			Name: name, Version: version, State: state, Boards: boards, Sessions: 2, Queued: 5, Waiting: 1, Wait: 7 * time.Millisecond,
			Held: 1e6, HeldLimit: 1e9, Computed: computed,
			Bundles: []WorkerBundle{{Name: "tiny", Contexts: 8, InUse: 2, Pass: 20 * time.Millisecond, Further: time.Millisecond}},
		}
	}
	return &Load{Workers: []Worker{
		worker("a.example:7537", "v9", StateServing, 10, 1000), worker("b.example:7537", "v9", StateBusy, 20, 2000), worker("c.example:7537", "v8", StateDraining, 3, 10),
	}}
}

// `skerry cloud top` has a row for each worker and one for each bundle of it, and sums them up.
func TestTop(t *testing.T) {
	load := sampleLoad()
	load.Host, load.Stats.Version = "tower", "v9"
	load.Devices[0].Connections = 1
	text := func(l *Load, before *Load, ago time.Duration) string {
		var b bytes.Buffer
		if err := l.WriteTop(&b, before, ago); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	alone := text(&load, nil, 0)
	for _, want := range []string{"1 worker, 1 board, 2 sessions, 2 bundles\n", "\ntower   v9       serving       1         2      17     3  0s    -  ", "\ntiny (whole)  tower   2 of 8              1  18ms  0.00\n"} {
		if !strings.Contains(alone, want) {
			t.Errorf("no %q in\n%s", want, alone)
		}
	}
	before, now := fleetLoad(), fleetLoad()
	now.Workers[0].Computed += 500
	now.Workers[0].Throttled, now.Workers[0].Claims, now.Workers[0].Released = 9, 4, 5
	now.Offers = sampleLoad().Offers
	now.Workers[2].Computed = 3 // it was started anew
	many := text(now, before, 2*time.Second)
	for _, want := range []string{
		"3 workers, 33 boards, 6 sessions, 1 bundle, 1 of version v8, 2 of version v9\n", "\na.example:7537  v9       serving       10         2       5     1  7ms   250.0        1.0 MB of 1.0 GB           9      4         5\n",
		"\nb.example:7537  v9       busy  ", "\nc.example:7537  v8       draining       3         2       5     1  7ms   -  ", "\ntiny    c.example:7537  2 of 8              0  20ms  0.05\n", "\ntiny-2            2.0.0  canary  1 of 2: boards wait\n",
	} {
		if !strings.Contains(many, want) {
			t.Errorf("no %q in\n%s", want, many)
		}
	}
}

// A screen is no larger than its terminal, whatever there is to show.
func TestTopScreen(t *testing.T) {
	for _, size := range [][2]int{{200, 50}, {40, 5}, {1, 1}, {0, 0}} {
		s := string(fleetLoad().topScreen(nil, 0, errors.New("it is gone"), size[0], size[1]))
		lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(s, "\x1b[H"), "\x1b[J"), "\n")
		if len(lines) > max(size[1], 1) {
			t.Errorf("%d lines of %d", len(lines), size[1])
		}
		for _, l := range lines {
			if n := len([]rune(strings.TrimSuffix(l, "\x1b[K"))); n > max(size[0], 1) {
				t.Errorf("%d of %d columns: %q", n, size[0], l)
			}
		}
		if size[1] == 50 && !strings.Contains(s, "it is gone") {
			t.Error("it does not say what is wrong")
		}
	}
}

// The page is HTML for a browser, JSON for a program and text for who says nothing; names of
// boards do nothing in it.
func TestPage(t *testing.T) {
	load := sampleLoad()
	load.Devices[0].Device = "<script>shed"
	get := func(accept string) (kind, body string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		servePage(func() Load { return load })(w, r)
		return w.Header().Get("Content-Type"), w.Body.String()
	}
	kind, body := get("text/html,application/xhtml+xml,*/*;q=0.8")
	if kind != "text/html; charset=utf-8" || strings.Contains(body, "<script>") || strings.Contains(body, "\x1b") || !strings.Contains(body, "&lt;script&gt;shed</td>") || !strings.Contains(body, "<td>tiny (whole)</td>") {
		t.Errorf("%s:\n%s", kind, body)
	}
	kind, body = get("application/json")
	var got Load
	if err := json.Unmarshal([]byte(body), &got); err != nil || kind != "application/json" || got.Stats.Sessions != 2 || len(got.Devices) != 2 {
		t.Errorf("%s, %v: %s", kind, err, body)
	}
	if kind, body = get("*/*"); kind != "text/plain; charset=utf-8" || !strings.HasPrefix(body, "1 worker, ") {
		t.Errorf("%s: %s", kind, body)
	}
}
