package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
)

// slow is a stage, and a head, that takes virtual time for each row and notes the
// batches.
type slow struct {
	row     time.Duration
	batches [][]int32 // the sequence of each row
}

func (s *slow) Width() int                  { return 2 }
func (s *slow) Truncate(seq, pos int) error { return nil }
func (s *slow) Tokens() []int32             { return nil }

func (s *slow) Forward(b engine.Batch) (engine.Output, error) {
	time.Sleep(s.row * time.Duration(len(b.Pos)))
	s.batches = append(s.batches, slices.Clone(b.Seq))
	return engine.Output{Hidden: make([]float32, 2*len(b.Pos))}, nil
}

func (s *slow) Logits(hidden []float32) ([]float32, error) {
	return make([]float32, 3*len(hidden)/2), nil
}

func slowModel(row time.Duration) (decode.Model, *slow) {
	s := &slow{row: row}
	return decode.Model{Context: 4096, Exits: []decode.Exit{{Stage: s, Head: s}}}, s
}

// virtually runs f in virtual time with the slots of a slow model.
func virtually(t *testing.T, o Options, f func(t *testing.T, s *Slots, stage *slow)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, stage := slowModel(time.Millisecond)
		s, err := New(m, o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		f(t, s, stage)
	})
}

func acquire(t *testing.T, s *Slots, a Ask) *Slot {
	t.Helper()
	sl, err := s.Acquire(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return sl
}

// While an answer is long, one client's many requests do not keep another's
// waiting, and each is told how many are ahead.
func TestClientsTakeTurns(t *testing.T) {
	virtually(t, Options{Sequences: 1, Queue: 10}, func(t *testing.T, s *Slots, _ *slow) {
		var mu sync.Mutex
		var order []string
		ahead := map[string][]int{}
		held := acquire(t, s, Ask{Client: "a", Prompt: text(10, 0)})
		var wg sync.WaitGroup
		for _, name := range []string{"a1", "a2", "a3", "b1", "c1", "b2"} {
			wg.Go(func() {
				sl := acquire(t, s, Ask{Client: name[:1], Prompt: text(10, 0), Progress: func(n int) {
					mu.Lock()
					defer mu.Unlock()
					ahead[name] = append(ahead[name], n)
				}})
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				time.Sleep(time.Second)
				sl.Release()
			})
			synctest.Wait() // in this order
		}
		if st := s.Stats(); st.Waiting != 6 || st.Running != 1 {
			t.Errorf("%+v", st)
		}
		held.Release()
		wg.Wait()
		if !slices.Equal(order, []string{"b1", "c1", "a1", "b2", "a2", "a3"}) {
			t.Errorf("order %v", order)
		}
		if !slices.Equal(ahead["a3"], []int{2, 3, 4, 5, 4, 3, 2, 1, 0}) {
			t.Errorf("a3 was told %v", ahead["a3"])
		}
	})
}

func TestQueueLimit(t *testing.T) {
	virtually(t, Options{Sequences: 1, Queue: 2}, func(t *testing.T, s *Slots, _ *slow) {
		for range 20 { // answers take a minute
			sl := acquire(t, s, Ask{Prompt: text(5, 0)})
			time.Sleep(time.Minute)
			sl.Release()
		}
		held := acquire(t, s, Ask{Prompt: text(5, 0)})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if sl, err := s.Acquire(ctx, Ask{Prompt: text(5, 0)}); err == nil {
					sl.Release()
				} else if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		_, err := s.Acquire(t.Context(), Ask{Prompt: text(5, 0)})
		var full *FullError
		if !errors.As(err, &full) || !errors.Is(err, ErrQueueFull) || full.Waiting != 2 || full.RetryAfter < 2*time.Minute || full.RetryAfter > 4*time.Minute {
			t.Errorf("%v: %+v", err, full)
		}
		if st := s.Stats(); st.Refused != 1 || st.Waiting != 2 || st.Limit != 2 {
			t.Errorf("%+v", st)
		}
		cancel() // those that wait leave, and make room
		wg.Wait()
		if st := s.Stats(); st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
		held.Release()
		held.Release()
		acquire(t, s, Ask{Prompt: text(5, 0)}).Release()
	})
}

func TestCloseEndsWaiting(t *testing.T) {
	virtually(t, Options{Sequences: 1, Queue: 2}, func(t *testing.T, s *Slots, _ *slow) {
		held := acquire(t, s, Ask{Prompt: text(5, 0)})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Acquire(t.Context(), Ask{Prompt: text(5, 0)}); !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
		synctest.Wait()
		s.Close()
		wg.Wait()
		held.Release()
		if _, err := s.Acquire(t.Context(), Ask{Prompt: text(5, 0)}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if _, err := s.batcher.forSlot(decode.Model{Exits: make([]decode.Exit, 1)}, 0).Exits[0].Stage.Forward(engine.NewBatch(0, 0, 1, 0)); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// An exit without a head has none in a slot: who gives up a draft model looks at that.
func TestSlotOfATokenStage(t *testing.T) {
	virtually(t, Options{}, func(t *testing.T, s *Slots, _ *slow) {
		m := decode.Model{Exits: []decode.Exit{{Stage: decode.NewTokenStage()}}}
		if e := s.batcher.forSlot(m, 0).Exits[0]; e.Head != nil || e.Full != nil || e.Stage == nil {
			t.Errorf("%+v", e)
		}
	})
}

func TestPromptTooLong(t *testing.T) {
	virtually(t, Options{}, func(t *testing.T, s *Slots, _ *slow) {
		if _, err := s.Acquire(t.Context(), Ask{Prompt: text(4096, 0)}); !errors.Is(err, decode.ErrPromptTooLong) {
			t.Error(err)
		}
	})
}

// The slot of the session, else the longest prefix, else the longest unused.
func TestSlotChoice(t *testing.T) {
	r := newRig(t)
	var now time.Time
	s := open(t, r.split(t, 3), Options{Sequences: 3, Now: func() time.Time { now = now.Add(time.Second); return now }})
	take := func(a Ask, want int) {
		t.Helper()
		sl := acquire(t, s, a)
		defer sl.Release()
		if sl.Seq() != want {
			t.Errorf("slot %d, not %d", sl.Seq(), want)
		}
		if _, err := sl.Session().Generate(t.Context(), a.Prompt, options(decode.Standalone, 1, 1), nil); err != nil {
			t.Fatal(err)
		}
	}
	one, two, three := text(60, 1), text(60, 2), text(60, 3)
	take(Ask{Session: "x", Prompt: one}, 0)
	take(Ask{Session: "y", Prompt: two}, 1)
	take(Ask{Prompt: three}, 2)
	take(Ask{Prompt: append(slices.Clone(two), 5)}, 1)
	take(Ask{Session: "x", Prompt: text(50, 9)}, 0)
	take(Ask{Prompt: text(50, 10)}, 2)
	take(Ask{Prompt: append(two[:20:20], 7)}, 1)
	take(Ask{Prompt: append(text(50, 10)[:20:20], 7)}, 0) // a little of slot 2, which keeps the rest
}
