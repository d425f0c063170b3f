package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
)

// switching is a daemon that three models are asked of, while memory has room for two.
type switching struct {
	daemon  *process
	socket  string
	models  [3]string
	answers int // of each of the models that are asked less
}

// switched is what came of it.
type switched struct {
	answers [3]int
	longest [3]time.Duration // that a client waited for an answer
	peak    int64            // bytes of the process that were resident at once
	loads   int
}

// busy are the clients of the first model, which ask without a pause until those of the others, one
// each, have had their answers.
const busy = 3

// run asks, and says what came of it.
func (s *switching) run(t testing.TB) (all switched) {
	t.Helper()
	c := socketClient(s.socket)
	defer c.CloseIdleConnections()
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var mu sync.Mutex // guards all, says
	says := map[string]string{}
	once := func(i int) {
		began := time.Now()
		said, err := answerOf(c, "/api/chat", s.models[i])
		took := time.Since(began)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			t.Errorf("%s, after %s: %v", s.models[i], took, err)
			enough()
			return
		}
		if before, asked := says[s.models[i]]; asked && before != said {
			t.Errorf("%s says %q, and said %q", s.models[i], said, before)
		}
		says[s.models[i]] = said
		all.answers[i]++
		all.longest[i] = max(all.longest[i], took)
	}
	var few, many sync.WaitGroup
	for range busy {
		many.Go(func() {
			for ctx.Err() == nil {
				once(0)
			}
		})
	}
	for i := 1; i < len(s.models); i++ {
		few.Go(func() {
			for n := 0; n < s.answers && ctx.Err() == nil; n++ {
				once(i)
			}
		})
	}
	few.Wait()
	enough()
	many.Wait()
	all.peak = peakOf(t, s.daemon.cmd.Process.Pid)
	all.loads = strings.Count(s.daemon.stderr.String(), `msg="the model is loaded"`)
	return all
}

// peakOf is the most of a process that was ever resident, its mapped weights among it, in bytes.
func peakOf(t testing.TB, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if kB, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kB), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("the system does not say what was resident")
	return 0
}

// While three models are asked, and memory is planned for two of them, what is resident never passes
// the plan, each answer is its model's, and the two that are asked less are not kept waiting for good
// by the one that is asked all the time.
func TestSwitchingStaysWithinMemory(t *testing.T) {
	computes(t)
	const memory = 176_000_000
	s := &switching{answers: 2}
	cache := t.TempDir()
	t.Setenv("SKERRY_CACHE", cache)
	shape := synth.Shape{Architecture: "llama", Blocks: 4, Embedding: 512, Heads: 8, KVHeads: 2, FeedForward: 2048, Vocab: 24000, Context: 512, Tied: true, RopeBase: 10000}
	for i := range s.models {
		s.models[i] = []string{"alpha", "beta", "gamma"}[i]
		src := filepath.Join(t.TempDir(), s.models[i]+".gguf")
		if err := shape.Write(t.Context(), s.models[i], src, synth.Options{Seed: uint64(i + 1), Type: "q8_0"}); err != nil {
			t.Fatal(err)
		}
		if _, err := split.Model(t.Context(), src, filepath.Join(cache, "bundles", s.models[i]), split.Options{Name: s.models[i], Exits: []int{1, 2}, Type: split.TypeKeep}); err != nil {
			t.Fatal(err)
		}
	}
	d := startServing(t, filepath.Join(cache, "bundles", "alpha"), t.TempDir(), "--mode", "unsplit", "--context", "256", "--set", fmt.Sprintf("memory=%dMB", memory/1_000_000))
	awaitReady(t, d.socket)
	s.daemon, s.socket = d.process, d.socket
	got := s.run(t)
	t.Logf("%+v of %d bytes", got, memory)
	if got.peak > memory {
		t.Errorf("%d bytes were resident, of %d", got.peak, memory)
	}
	if got.loads < 2*s.answers {
		t.Errorf("only %d loads: memory had room for more than two", got.loads)
	}
	if got.answers[1] != s.answers || got.answers[2] != s.answers || got.answers[0] < s.answers {
		t.Errorf("answers: %v", got.answers)
	}
}

// BenchmarkSwitching is of SmolLM2-135M as three models, with weights of four, four and eight bits. Run
// it alone on the machine, with -benchtime 3x.
func BenchmarkSwitching(b *testing.B) {
	fetched, _ := expect(b, 0, "model", "fetch")
	cache := b.TempDir()
	b.Setenv("SKERRY_CACHE", cache)
	s := &switching{answers: 10}
	for i, of := range []string{"keep", "q4_0", "q8_0"} {
		s.models[i] = "smollm2-" + of
		expect(b, 0, "model", "split", strings.TrimSpace(fetched), "-o", filepath.Join(cache, "bundles", s.models[i]), "--name", s.models[i], "--type", of)
	}
	const memory = 440_000_000
	d := startServing(b, filepath.Join(cache, "bundles", s.models[0]), b.TempDir(), "--mode", "unsplit", "--context", "1024", "--set", fmt.Sprintf("memory=%dMB", memory/1_000_000))
	awaitReady(b, d.socket)
	s.daemon, s.socket = d.process, d.socket
	var all switched
	for b.Loop() {
		got := s.run(b)
		for i := range got.answers {
			all.answers[i] += got.answers[i]
			all.longest[i] = max(all.longest[i], got.longest[i])
		}
		all.peak, all.loads = got.peak, got.loads
	}
	b.ReportMetric(float64(all.peak)/memory, "peak/plan")
	b.ReportMetric(float64(all.loads)/float64(b.N), "loads/op")
	b.ReportMetric(float64(all.answers[0])/float64(b.N), "busy-answers/op")
	b.ReportMetric(slices.Max(all.longest[:]).Seconds(), "longest-s")
	b.ReportMetric(max(all.longest[1], all.longest[2]).Seconds(), "longest-of-others-s")
}
