package batch

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
)

// pooled is the vector of a text, by the engine alone and in one batch.
func pooled(t *testing.T, s *engine.Stage, tokens []int32) []float32 {
	t.Helper()
	b := engine.NewBatch(0, 0, len(tokens), engine.WantNorm)
	b.Tokens = tokens
	out, err := s.Forward(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Truncate(0, 0); err != nil {
		t.Fatal(err)
	}
	sum, squares := make([]float64, s.Width()), 0.0
	for i, v := range out.Hidden {
		sum[i%len(sum)] += float64(v)
	}
	for _, v := range sum {
		squares += v * v
	}
	vector := make([]float32, len(sum))
	for i, v := range sum {
		vector[i] = float32(v / math.Sqrt(squares))
	}
	return vector
}

func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); d > 1e-3 || d != d {
			t.Errorf("%s: number %d is %g, want %g", what, i, got[i], want[i])
			return
		}
	}
}

func embed(t *testing.T, s *Slots, tokens []int32) []float32 {
	t.Helper()
	sl, err := s.Acquire(t.Context(), Ask{Client: "c", Anew: true})
	if err != nil {
		t.Error(err)
		return nil
	}
	defer sl.Release()
	v, err := sl.Embed(t.Context(), tokens, nil)
	if err != nil {
		t.Error(err)
	}
	return v
}

// withTail is the model as a board has it that holds all blocks, in two stages.
func (r *rig) withTail(t testing.TB, sequences int) decode.Model {
	m := r.split(t, sequences)
	m.Tail = enginetest.Open(t, r.path(t, bundle.Cloud), r.with(sequences))
	return m
}

// A vector is what the engine makes of the text by itself, in one stage or in several,
// beside others and after what the slot held before; and what the slot says afterwards is
// what it would have said.
func TestEmbedEqualsTheEngine(t *testing.T) {
	r := newRig(t)
	stage := enginetest.Open(t, r.path(t, bundle.Unsplit), r.with(1))
	texts := [][]int32{text(70, 1), text(1, 2), text(positions, 3)}
	var want [][]float32
	for _, tokens := range texts {
		want = append(want, pooled(t, stage, tokens))
	}
	for name, c := range map[string]struct {
		model func(testing.TB, int) decode.Model
		mode  infer.Mode
	}{"whole": {r.whole, decode.Unsplit}, "in two stages": {r.withTail, decode.Standalone}} {
		t.Run(name, func(t *testing.T) {
			s := open(t, c.model(t, 2), Options{Sequences: 2, Queue: 9})
			if n, err := s.Embeds(); n != positions || err != nil {
				t.Errorf("texts of %d positions: %v", n, err)
			}
			said := alone(t, c.model(t, 1), nil, text(20, 9), options(c.mode, 10, 4))
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() { // another text, and an answer, are computed meanwhile
				near(t, "beside others", embed(t, s, texts[0]), want[0])
				got, _ := answer(t, s, Ask{Client: "a", Prompt: text(20, 9)}, options(c.mode, 10, 4))
				same(t, "an answer in the slot", got, said)
			})
			for i, tokens := range texts {
				near(t, "a text", embed(t, s, tokens), want[i])
			}
			got, _ := answer(t, s, Ask{Client: "b", Prompt: text(20, 9)}, options(c.mode, 10, 4))
			same(t, "an answer afterwards", got, said)
		})
	}
}

// A board without the rest of the model makes none, and what is too long or empty has none.
func TestNoEmbedding(t *testing.T) {
	r := newRig(t)
	s := open(t, r.split(t, 1), Options{})
	if _, err := s.Embeds(); !errors.Is(err, decode.ErrNoEmbedding) {
		t.Errorf("of a part of the model: %v", err)
	}
	session := decode.NewSession(r.split(t, 1), 0, nil)
	if _, err := session.Embed(t.Context(), text(3, 1), nil); !errors.Is(err, decode.ErrNoEmbedding) {
		t.Errorf("of a part of the model: %v", err)
	}
	session = decode.NewSession(r.whole(t, 1), 0, nil)
	if _, err := session.Embed(t.Context(), nil, nil); err == nil {
		t.Error("of nothing: no error")
	}
	var full *engine.ContextFullError
	if _, err := session.Embed(t.Context(), text(positions+1, 1), nil); !errors.As(err, &full) {
		t.Errorf("of what is too long: %v", err)
	}
}

// One that is cancelled ends between two batches and leaves nothing behind.
func TestEmbedIsCancelled(t *testing.T) {
	r := newRig(t)
	s := open(t, r.whole(t, 1), Options{})
	sl, err := s.Acquire(t.Context(), Ask{Anew: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err = sl.Embed(ctx, text(100, 1), func(done, total int) {
		if calls++; done >= total || total != 100 {
			t.Errorf("%d of %d are computed", done, total)
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%v after %d batches", err, calls)
	}
	sl.Release()
	if n := len(s.slots[0].session.Held()); n != 0 {
		t.Errorf("the slot holds %d positions", n)
	}
	want := alone(t, r.whole(t, 1), nil, text(20, 2), options(decode.Unsplit, 5, 1))
	got, _ := answer(t, s, Ask{Prompt: text(20, 2)}, options(decode.Unsplit, 5, 1))
	same(t, "an answer afterwards", got, want)
}

// Whoever gave way comes back, however full the queue is.
func TestWhoGaveWayIsAdmitted(t *testing.T) {
	r := newRig(t)
	s := open(t, r.whole(t, 1), Options{})
	first, err := s.Acquire(t.Context(), Ask{Anew: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Acquire(t.Context(), Ask{Anew: true}); !errors.Is(err, ErrQueueFull) {
		t.Errorf("a new one: %v", err)
	}
	waits, got := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		sl, err := s.Acquire(t.Context(), Ask{Anew: true, Admitted: true, Progress: func(int) {
			select {
			case waits <- struct{}{}:
			default:
			}
		}})
		if err == nil {
			sl.Release()
		}
		got <- err
	}()
	<-waits
	if !s.Contended() {
		t.Error("nobody waits")
	}
	first.Release()
	if err := <-got; err != nil {
		t.Error(err)
	}
	if s.Contended() {
		t.Error("somebody waits")
	}
}
