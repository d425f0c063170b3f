package batch

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
)

// real is the default model, split, with n sequences and the context of each.
func real(b *testing.B, sequences, context int) decode.Model {
	b.Helper()
	bd := enginetest.Bundle(b)
	m := decode.Model{Context: context}
	o := engine.Options{Context: sequences * context, Sequences: sequences}
	first := enginetest.Open(b, bd.Path(bundle.Board1), o)
	m.Vocab = first.Vocab()
	b.Cleanup(m.Vocab.Close)
	for _, s := range []*engine.Stage{first, enginetest.Open(b, bd.Path(bundle.Board2), o)} {
		h, err := engine.NewHead(engine.HeadOptions{Norm: s, LM: first, Threads: 1})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(h.Close)
		m.Exits = append(m.Exits, decode.Exit{Stage: s, Head: h})
	}
	return m
}

// BenchmarkSessions is the throughput of several sessions at once, interleaved with
// that of one alone: "ratio" is of tokens per second, "cpu-ratio" of tokens per
// second of processor time, which other programs on the machine disturb less.
func BenchmarkSessions(b *testing.B) {
	const tokens = 64
	o := options(decode.Standalone, tokens, 1)
	o.Thresholds, o.Logprobs = []float64{0.9, 0.99}, false
	for _, n := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b, real(b, 8, 512), Options{Sequences: 8})
			run := func(n int) (took, computing time.Duration, merged float64) {
				before, used := s.Stats(), cpu()
				var wg sync.WaitGroup
				slots := make([]*Slot, n)
				for i := range slots {
					var err error
					if slots[i], err = s.Acquire(b.Context(), Ask{Prompt: text(32, uint64(i))}); err != nil {
						b.Fatal(err)
					}
				}
				start := time.Now()
				for i, sl := range slots {
					wg.Go(func() {
						defer sl.Release()
						if _, err := sl.Session().Generate(b.Context(), text(32, uint64(i)), o, nil); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
				after := s.Stats()
				return time.Since(start), cpu() - used, float64(after.Rows-before.Rows) / float64(after.Batches-before.Batches)
			}
			run(n)
			var ratios, byCPU []float64
			var all time.Duration
			merged := 0.0
			for b.Loop() {
				one, oneCPU, _ := run(1)
				many, manyCPU, m := run(n)
				all += many
				merged += m
				ratios = append(ratios, float64(n)*one.Seconds()/many.Seconds())
				byCPU = append(byCPU, float64(n)*oneCPU.Seconds()/manyCPU.Seconds())
			}
			slices.Sort(ratios)
			slices.Sort(byCPU)
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
			b.ReportMetric(byCPU[len(byCPU)/2], "cpu-ratio")
			b.ReportMetric(merged/float64(len(ratios)), "rows/batch")
			b.ReportMetric(float64(n*tokens*len(ratios))/all.Seconds(), "tokens/s")
		})
	}
}

// cpu is the processor time this process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkFirstToken is the time to the first token of prompts of which nothing,
// or all but the end, is known: from another slot, or from disk after a restart.
func BenchmarkFirstToken(b *testing.B) {
	for _, n := range []int{512, 4000} {
		m := real(b, 3, 4096)
		dir := b.TempDir()
		prompt := func(seed uint64) []int32 { return slices.Concat(text(n-16, 1), text(16, seed)) }
		first := func(b *testing.B, s *Slots, prompt []int32, known bool) float64 {
			o := options(decode.Standalone, 1, 1)
			o.Thresholds = []float64{1.1, 0}
			start := time.Now()
			_, cached := answer(b, s, Ask{Prompt: prompt}, o)
			took := time.Since(start)
			if known != (cached > n/2) {
				b.Errorf("%d of %d positions were known", cached, n)
			}
			return float64(took.Microseconds()) / 1000
		}
		fresh := func(b *testing.B, dir string) *Slots {
			s, err := New(m, Options{Sequences: 3, Cache: Cache{Dir: dir, Bytes: 1 << 30, Unnamed: true}})
			if err != nil {
				b.Fatal(err)
			}
			return s
		}
		done := func(b *testing.B, s *Slots) {
			for _, sl := range s.slots {
				if err := sl.session.Truncate(0); err != nil {
					b.Fatal(err)
				}
			}
			s.Close()
		}
		b.Run(fmt.Sprintf("%d/cold", n), func(b *testing.B) {
			sum := 0.0
			for i := 0; b.Loop(); i++ {
				s := fresh(b, b.TempDir())
				sum += first(b, s, text(n, uint64(1000+i)), false)
				done(b, s)
			}
			b.ReportMetric(sum/float64(b.N), "ms-to-first-token")
		})
		b.Run(fmt.Sprintf("%d/warm", n), func(b *testing.B) {
			s := fresh(b, dir)
			for i := range 2 {
				sl, err := s.Acquire(b.Context(), Ask{Prompt: prompt(uint64(i))})
				if err != nil {
					b.Fatal(err)
				}
				o := options(decode.Standalone, 1, 1)
				o.Thresholds = []float64{1.1, 0}
				if _, err := sl.Session().Generate(b.Context(), prompt(uint64(i)), o, nil); err != nil {
					b.Fatal(err)
				}
				sl.Release()
			}
			sum := 0.0
			for i := 0; b.Loop(); i++ {
				sum += first(b, s, prompt(uint64(2000+i)), true)
			}
			b.ReportMetric(sum/float64(b.N), "ms-to-first-token")
			done(b, s)
		})
		b.Run(fmt.Sprintf("%d/restarted", n), func(b *testing.B) {
			sum := 0.0
			for i := 0; b.Loop(); i++ {
				s := fresh(b, dir)
				sum += first(b, s, prompt(uint64(3000+i)), true)
				done(b, s)
			}
			b.ReportMetric(sum/float64(b.N), "ms-to-first-token")
		})
	}
}
