package batch

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// computing runs f in virtual time with stages and heads of which a row takes a
// millisecond, and n sessions at work.
func computing(t *testing.T, n int, f func(m []decode.Model, stages []*slow)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, first := slowModel(time.Millisecond)
		b, second := slowModel(time.Millisecond)
		a.Exits = append(a.Exits, b.Exits...)
		c := newBatcher(executors(a), n)
		c.running.Store(int32(n))
		defer c.close()
		var m []decode.Model
		for seq := range n {
			m = append(m, c.forSlot(a, seq))
		}
		f(m, []*slow{first, second})
	})
}

func compute1(t *testing.T, s decode.Stage, seq, n int) time.Duration {
	t.Helper()
	start := time.Now()
	b := engine.NewBatch(seq, 0, n, engine.WantHidden)
	b.Hidden = make([]float32, 2*n)
	out, err := s.Forward(b)
	if err != nil || len(out.Hidden) != 2*n {
		t.Errorf("%d values, %v", len(out.Hidden), err)
	}
	return time.Since(start)
}

// A prompt goes in chunks, in the batches of which the others' next tokens ride; it
// is neither held up by them nor holds them up for longer than a chunk.
func TestPrefillIsFair(t *testing.T) {
	for stage := range 2 { // one that all need, and one that only the prompt needs
		computing(t, 3, func(m []decode.Model, stages []*slow) {
			done := make(chan struct{})
			var wg sync.WaitGroup
			for seq := 1; seq < 3; seq++ {
				wg.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-done:
							return
						default:
						}
						if n == 5000 {
							t.Errorf("stage %d: the prompt starves", stage)
							return
						}
						if took := compute1(t, m[seq].Exits[0].Stage, seq, 1); took > 2*maxRows*time.Millisecond {
							t.Errorf("a token took %s", took)
						}
					}
				})
			}
			took := compute1(t, m[0].Exits[stage].Stage, 0, 1000)
			close(done)
			wg.Wait()
			if took > 1200*time.Millisecond {
				t.Errorf("stage %d: the prompt took %s", stage, took)
			}
			together := 0
			for _, b := range stages[0].batches {
				if len(b) > maxRows {
					t.Errorf("a batch of %d rows", len(b))
				}
				slices.Sort(b)
				if len(slices.Compact(b)) == 3-stage {
					together++
				}
			}
			if together < 10 {
				t.Errorf("stage %d: %d batches of all", stage, together)
			}
		})
	}
}

// Two prompts share the batches equally.
func TestPromptsShare(t *testing.T) {
	computing(t, 2, func(m []decode.Model, stages []*slow) {
		var wg sync.WaitGroup
		var took [2]time.Duration
		for seq := range 2 {
			wg.Go(func() { took[seq] = compute1(t, m[seq].Exits[0].Stage, seq, 320) })
		}
		wg.Wait()
		if d := took[0] - took[1]; d < -2*maxRows*time.Millisecond || d > 2*maxRows*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

// One session at work waits for nobody, and its calls go through as they are.
func TestAloneNothingIsAdded(t *testing.T) {
	computing(t, 1, func(m []decode.Model, stages []*slow) {
		for _, n := range []int{1, 300, 1} {
			if took := compute1(t, m[0].Exits[0].Stage, 0, n); took != time.Duration(n)*time.Millisecond {
				t.Errorf("%d rows took %s", n, took)
			}
		}
		if n := len(stages[0].batches); n != 3 {
			t.Errorf("%d batches", n)
		}
	})
}

// Sessions in step share every batch, also when one of them is away for long.
func TestInStep(t *testing.T) {
	computing(t, 3, func(m []decode.Model, stages []*slow) {
		var wg sync.WaitGroup
		for seq := range 2 {
			wg.Go(func() {
				for range 20 {
					compute1(t, m[seq].Exits[0].Stage, seq, 1)
					if _, err := m[seq].Exits[0].Head.Logits(make([]float32, 2)); err != nil {
						t.Error(err)
					}
					time.Sleep(100 * time.Microsecond * time.Duration(1+seq)) // sampling
				}
			})
		}
		wg.Go(func() { // it asks the cloud
			for range 3 {
				compute1(t, m[2].Exits[0].Stage, 2, 1)
				time.Sleep(15 * time.Millisecond)
			}
		})
		start := time.Now()
		wg.Wait()
		if n := len(stages[0].batches); n > 24 {
			t.Errorf("%d batches for 43 rows", n)
		}
		if took := time.Since(start); took > 65*time.Millisecond { // 43 rows, 20 times the sampling, and little else
			t.Errorf("took %s", took)
		}
	})
}
