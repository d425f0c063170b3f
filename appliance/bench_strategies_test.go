package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skerry/appliance/bench/strategies"
	"skerry/appliance/cli"
	"skerry/appliance/conversation"
)

// strategyRows runs bench strategies on a model of random weights.
func strategyRows(t *testing.T, args ...string) (strategies.Report, map[string]strategies.Row) {
	t.Helper()
	prompts := filepath.Join(t.TempDir(), "prompts.txt")
	if err := os.WriteFile(prompts, []byte("Fog on the water.\nA short one.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, _ := expect(t, 0, append([]string{"bench", "strategies", "--json", "--model", tinyBundle(t), "--prompts", prompts, "--rounds", "1", "--max-tokens", "6"}, args...)...)
	var r strategies.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	rows := map[string]strategies.Row{}
	for _, row := range r.Rows {
		rows[row.Name] = row
	}
	return r, rows
}

// Every mode answers over the link, in two processes, and is measured.
func TestBenchStrategies(t *testing.T) {
	out := t.TempDir()
	r, rows := strategyRows(t, "--link", "rtt=2ms,rate=20mbit", "--out", out)
	if len(r.Rows) != len(strategies.Default) || r.T <= 0 || r.Simulated || r.Run.Rounds != 1 {
		t.Fatalf("%+v", r)
	}
	for name, row := range rows {
		away := name != "standalone"
		if row.Tokens != 12 || row.Total <= 0 || row.Total < row.First || row.Simulated || (row.Cloud > 0) != away || (row.BytesUp > 0) != away ||
			row.Edge < 0 || row.Comm < 0 || math.Abs(row.RTTOverT-0.002/r.T) > 1e-9 || math.IsNaN(row.OverCloudOnly) {
			t.Errorf("%+v", row)
		}
		if parts := row.Edge + row.Cloud + row.Comm; parts > 3*row.Total {
			t.Errorf("%s: parts of %g s in %g s", name, parts, row.Total)
		}
	}
	if row := rows["cloud-only"]; row.OverCloudOnly != 1 || row.TimeSaved != 0 || row.Edge != 0 || row.Agreement < 0.9 {
		t.Errorf("%+v", row)
	}
	for _, name := range []string{"naive", "collaborative-unreached"} {
		if row := rows[name]; row.Agreement < 0.9 || row.Asks != 1 || row.PositionsSaved != 0 {
			t.Errorf("%+v", row)
		}
	}
	if naive, once := rows["naive"].BytesUp, rows["collaborative-unreached"].BytesUp; naive < 3*once {
		t.Errorf("naive sends %.0f bytes a token, each position once is %.0f", naive, once)
	}
	if q8, all := rows["collaborative-unreached-q8"].BytesUp, rows["collaborative-unreached"].BytesUp; q8 >= all {
		t.Errorf("8-bit blocks are %.0f bytes a token, float32 %.0f", q8, all)
	}
	for _, ext := range []string{".json", ".txt", ".md"} {
		if s, err := os.Stat(filepath.Join(out, "strategies"+ext)); err != nil || s.Size() == 0 {
			t.Errorf("strategies%s: %v", ext, err)
		}
	}
}

func TestBenchStrategiesSimulates(t *testing.T) {
	r, rows := strategyRows(t, "--simulate", "T=35ms,m=0.05", "--sweep", "--modes", "naive,paper", "--edge-slowdown", "2")
	if !r.Simulated || len(r.Rows) != 6*3 || r.Setting == nil || r.Setting.Slow != 2 || r.Setting.Width != 4096 || len(r.Recorded["paper"]) != 2 {
		t.Fatalf("%+v", r)
	}
	for _, row := range r.Rows {
		if !row.Simulated || row.Tokens != 12 {
			t.Errorf("%+v", row)
		}
	}
	if last := rows["cloud-only"]; math.Abs(last.RTTOverT-5) > 0.01 || last.Total < 2*(0.175+6*0.035) {
		t.Errorf("%+v", last)
	}
}

// A cloud that drafts for itself and auto are measured beside a prediction, one table for each
// slowness of the edge; the text of a model in the cloud does not depend on drafts.
func TestBenchStrategiesOfAuto(t *testing.T) {
	r, _ := strategyRows(t, "--link", "rtt=2ms", "--modes", "cloud-only+draft,verified,auto", "--edge-slowdown", "1,3")
	if len(r.Rows) != 2*4 {
		t.Fatalf("%+v", r.Rows)
	}
	for i, row := range r.Rows {
		if slow := []float64{1, 3}[i/4]; row.Slow != slow || row.Tokens != 12 || row.Agreement < .9 || !(row.Predicted > 0) {
			t.Errorf("%+v", row)
		}
		if auto := row.Name == "auto"; auto != (row.Chosen != "") || auto != (row.OverBest > 0) {
			t.Errorf("%+v", row)
		}
	}
	r, rows := strategyRows(t, "--modes", "cloud-only+draft,auto", "--simulate", "T=35ms,m=0.05", "--edge-slowdown", "1,20")
	if len(r.Rows) != 2*3 || len(r.Recorded) != 2 || rows["auto"].Chosen == "" || rows["cloud-only+draft"].OverCloudOnly > 1.0001 {
		t.Errorf("%+v", r.Rows)
	}
}

// What a simulation had computed is in its file, and another takes it from there: with the tokens of a
// mode that was not played before, since it says what one that was said.
func TestBenchStrategiesFromARecord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "said.json")
	first, rows := strategyRows(t, "--simulate", "T=35ms,m=0.05", "--modes", "standalone,verified,collaborative-t0.3", "--record", file)
	before, err := os.ReadFile(file)
	if err != nil || len(first.Rows) != 4 {
		t.Fatalf("%+v, %v", first, err)
	}
	_, again := strategyRows(t, "--simulate", "T=35ms,m=0.05", "--modes", "standalone,naive,collaborative-t0.3,verified", "--record", file)
	for name, row := range rows {
		if a := again[name]; a.Total != row.Total || a.Asks != row.Asks || a.BytesUp != row.BytesUp || a.Agreement != row.Agreement {
			t.Errorf("%s: %+v, then %+v", name, row, a)
		}
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("the file has changed: %v", err)
	}
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr := expect(t, cli.ExitError, "bench", "strategies", "--model", tinyBundle(t), "--simulate", "T=35ms,m=0.05", "--record", file)
	if !strings.Contains(stderr, "delete this one") {
		t.Errorf("%q", stderr)
	}
}

// Boards that are played share a cloud that is real.
func TestBenchStrategiesServesClients(t *testing.T) {
	r, _ := strategyRows(t, "--link", "rtt=2ms,rate=20mbit", "--modes", "verified,collaborative-unreached,cloud-only+draft", "--clients", "2", "--client-time", "1s")
	if len(r.Rows) != 4 {
		t.Fatalf("%+v", r)
	}
	for _, row := range r.Rows {
		if c := row.Clients; row.Simulated || len(c) != 1 || c[0].Whole != 2 || !(c[0].Within > 0) || c[0].Clients < 0 || c[0].Clients > 2*strategies.ClientsPerWhole {
			t.Errorf("%+v", row)
		}
	}
	if r.Rows[0].Name != "cloud-only" || r.Rows[0].Clients[0].Clients != 2 {
		t.Errorf("%+v", r.Rows[0])
	}
}

func TestBenchStrategiesUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"mode \"fastest\" is unknown": {"--modes", "fastest"},
		"bad simulation":              {"--simulate", "T=fast"},
		"bad link":                    {"--link", "rtt=T"},
		"choose 1 (this machine)":     {"--edge-slowdown", "0.5"},
		"--clients is 0":              {"--clients", "0"},
		"--sweep takes one --link":    {"--sweep", "--link", "rtt=1ms", "--link", "rtt=2ms"},
	} {
		if _, stderr := expect(t, cli.ExitUsage, append([]string{"bench", "strategies"}, args...)...); !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: %q", args, stderr)
		}
	}
}

// However the benchmark ends, its cloud does not outlive it.
func TestBenchStrategiesKilled(t *testing.T) {
	p := start(t, "bench", "strategies", "--model", tinyBundle(t), "--rounds", "1000")
	p.await(t, &p.stderr, "first turn", func(s string) bool { return strings.Contains(s, "rtt=") })
	cloud := p.child(t)
	p.signal(t, unix.SIGKILL)
	p.wait(t)
	cloud.ended(t)
}

// The baselines say over a real link what the unsplit model says.
func TestBaselinesRun(t *testing.T) {
	dir := tinyBundle(t)
	say := func(mode string) conversation.Report {
		stdout, _ := expect(t, 0, "run", "--json", "--raw", "--bundle", dir, "--mode", mode, "--threshold", "1.1", "--max-tokens", "8", "--ignore-end", "Fog")
		return parseReport(t, stdout)
	}
	want := say("unsplit")
	for _, mode := range []string{"cloud-only", "naive"} {
		got := say(mode)
		sameText(t, got, want)
		allFrom(t, got, "cloud")
	}
	allFrom(t, say("paper"), "cloud")
	_, stderr := expect(t, cli.ExitUsage, "run", "--mode", "cloud-only", "--temperature", "1", "--bundle", dir, "Fog")
	if !strings.Contains(stderr, "greedy") {
		t.Errorf("stderr %q", stderr)
	}
	_, stderr = expect(t, cli.ExitUsage, "run", "--mode", "paper", "--eager", "--bundle", dir, "Fog")
	if !strings.Contains(stderr, "no eager asks") {
		t.Errorf("stderr %q", stderr)
	}
	allFrom(t, say("collaborative"), "cloud")
}
