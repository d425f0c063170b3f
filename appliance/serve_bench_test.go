package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These benchmarks measure the daemon as a process, over its socket, with the default
// model on one thread. Run them alone on the machine, with -benchtime 3x.

// servingBench is a daemon to be measured.
type servingBench struct {
	*process
	http  *http.Client
	model string
}

func startServingBench(b *testing.B, state, context string) *servingBench {
	b.Helper()
	dir, err := os.MkdirTemp("", "sk")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	p := start(b, "serve", "--listen", "127.0.0.1:0", "--socket", socket, "--state", state, "--bundle", bundleDir(b),
		"--mode", "unsplit", "--threads", "1", "--context", context, "--parallel", "2")
	awaitReady(b, socket)
	s := &servingBench{process: p, http: socketClient(socket)}
	s.model = s.loaded(b).Name
	return s
}

func (s *servingBench) stop(b *testing.B) {
	s.http.CloseIdleConnections()
	s.signal(b, unix.SIGTERM)
	s.wait(b)
}

// benchAnswer is what Ollama's API tells of an answer, and when its first words came.
type benchAnswer struct {
	Response string `json:"response"`
	Done     bool   `json:"done"`
	Prompt   int    `json:"prompt_eval_count"`
	Tokens   int    `json:"eval_count"`
	Decode   int64  `json:"eval_duration"` // ns
	first    time.Duration
}

func (s *servingBench) ask(b *testing.B, session, prompt string, tokens int) (a benchAnswer) {
	b.Helper()
	body, _ := json.Marshal(map[string]any{"model": s.model, "prompt": prompt, "raw": true, "options": map[string]any{"temperature": 0, "num_predict": tokens}})
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://skerry/api/generate", bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	if session != "" {
		r.Header.Set("X-Skerry-Session", session)
	}
	asked := time.Now()
	reply, err := s.http.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(reply.Body)
		b.Fatalf("%s: %s", reply.Status, text)
	}
	for lines := bufio.NewReader(reply.Body); !a.Done; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			b.Fatal(err)
		}
		if err := json.Unmarshal(line, &a); err != nil {
			b.Fatal(err)
		}
		if a.first == 0 && a.Response != "" {
			a.first = time.Since(asked)
		}
	}
	return a
}

// longPrompt is of about so many tokens, and shares no prefix with another number's.
func longPrompt(number, tokens int) string {
	return fmt.Sprintf("%d. Night %d.", number, number) + strings.Repeat(" The keeper climbs the stairs and lights the lamp.", tokens*10/104)
}

// BenchmarkFirstToken is the time to the first token of 512 and 4,096 prompt tokens:
// cold, with the prefix still there, and with it after a restart.
func BenchmarkFirstToken(b *testing.B) {
	for _, tokens := range []int{512, 4096} {
		b.Run(fmt.Sprint(tokens), func(b *testing.B) {
			state, first := b.TempDir(), map[string]time.Duration{}
			s := startServingBench(b, state, "8192")
			count := 0
			for i := 0; b.Loop(); i++ {
				prompt := longPrompt(i, tokens)
				a := s.ask(b, "", prompt, 4)
				first["cold"] += a.first
				count = a.Prompt
				first["warm"] += s.ask(b, "", prompt, 4).first
				s.stop(b)
				s = startServingBench(b, state, "8192")
				first["restarted"] += s.ask(b, "", prompt, 4).first
			}
			for name, sum := range first {
				b.ReportMetric(float64(sum.Milliseconds())/float64(b.N), "ms/"+name)
			}
			b.ReportMetric(float64(count), "prompt-tokens")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkWatched is what the open page, the monitor and the journal cost of decode:
// answers of a session with every stream of the daemon read, and bare ones, in turns.
func BenchmarkWatched(b *testing.B) {
	s := startServingBench(b, b.TempDir(), "2048")
	const tokens = 128
	s.ask(b, "", longPrompt(0, 64), 8)
	var bare, watched []float64
	for i := 0; b.Loop(); i++ {
		turn := func(on bool) {
			session, rest := "", func() {}
			if on {
				session, rest = fmt.Sprint("bench-", i), s.watch(b)
			}
			a := s.ask(b, session, longPrompt(i, 64), tokens)
			rest()
			perToken := float64(a.Decode) / 1e6 / float64(a.Tokens)
			if on {
				watched = append(watched, perToken)
			} else {
				bare = append(bare, perToken)
			}
		}
		turn(i%2 == 0)
		turn(i%2 == 1)
	}
	slices.Sort(bare)
	slices.Sort(watched)
	off, on := bare[len(bare)/2], watched[len(watched)/2]
	b.ReportMetric(off, "ms/token-bare")
	b.ReportMetric(on, "ms/token-watched")
	b.ReportMetric(100*(on/off-1), "%-cost")
	b.ReportMetric(0, "ns/op")
}

// watch reads the event stream as the open page does, and the metrics as Prometheus
// does, every 15 s. It returns what ends both.
func (s *servingBench) watch(b *testing.B) (end func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		reply, err := s.http.Get("http://skerry/api/v1/events")
		if err != nil {
			return
		}
		if reply.StatusCode != http.StatusOK {
			b.Errorf("there is no event stream to watch: %s", reply.Status)
		}
		wg.Go(func() { <-stop; reply.Body.Close() })
		io.Copy(io.Discard, reply.Body)
	})
	wg.Go(func() {
		tick := time.NewTicker(15 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if reply, err := s.http.Get("http://skerry/metrics"); err == nil {
				io.Copy(io.Discard, reply.Body)
				reply.Body.Close()
			}
		}
	})
	return func() { close(stop); wg.Wait() }
}

// BenchmarkIdle is what the daemon takes with nobody there: of a core with the page
// closed, and of memory beyond weights and KV cache.
func BenchmarkIdle(b *testing.B) {
	s := startServingBench(b, b.TempDir(), "2048")
	s.ask(b, "", longPrompt(0, 512), 64)
	s.http.CloseIdleConnections()
	var used, passed time.Duration
	for b.Loop() {
		from, began := cpuTime(b, s.cmd.Process.Pid), time.Now()
		time.Sleep(5 * time.Second)
		used += cpuTime(b, s.cmd.Process.Pid) - from
		passed += time.Since(began)
	}
	b.ReportMetric(100*used.Seconds()/passed.Seconds(), "%-core")
	b.ReportMetric(float64(residentBytes(b, s.cmd.Process.Pid)-s.loaded(b).Size)/(1<<20), "MiB-beyond-model")
	b.ReportMetric(0, "ns/op")
}

// loadedModel is a model as Ollama's API tells of it. Size is what weights and KV cache
// take, in bytes.
type loadedModel struct {
	Name string
	Size int64
}

func (s *servingBench) loaded(b *testing.B) loadedModel {
	reply, err := s.http.Get("http://skerry/api/ps")
	if err != nil {
		b.Fatal(err)
	}
	defer reply.Body.Close()
	var ps struct{ Models []loadedModel }
	if err := json.NewDecoder(reply.Body).Decode(&ps); err != nil || len(ps.Models) != 1 {
		b.Fatalf("%+v %v", ps, err)
	}
	return ps.Models[0]
}

// cpuTime of a process (proc(5), stat fields 14 and 15, in ticks of 10 ms).
func cpuTime(b *testing.B, pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func residentBytes(b *testing.B, pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Fatal(err)
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
