package decode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
	"skerry/cloudlink/monitor"
)

// Errors of a cloud: one that passes, and one that stays.
var (
	errCut          = errors.New("cut")
	errUnauthorized = errors.New("unauthorized")

	lostForNow = fmt.Errorf("cloud: %w", &TransientError{Err: errCut})
)

// fakeStage takes virtual time for a batch and gives hidden states of zeros.
type fakeStage struct {
	first, further time.Duration
	rows, calls    int
}

const fakeWidth = 4

func (s *fakeStage) Width() int                  { return fakeWidth }
func (s *fakeStage) Truncate(seq, pos int) error { return nil }

func (s *fakeStage) Forward(b engine.Batch) (engine.Output, error) {
	n := len(b.Pos)
	time.Sleep(s.first + time.Duration(n-1)*s.further)
	s.rows += n
	s.calls++
	var out engine.Output
	for _, w := range b.Want {
		if w == engine.WantHidden {
			out.Hidden = append(out.Hidden, make([]float32, fakeWidth)...)
		}
	}
	return out, nil
}

// fakeHead says token boardSays, sure of it or not.
type fakeHead struct {
	takes time.Duration
	sure  func() bool // nil: never
}

const (
	boardSays int32 = 300
	cloudSays int32 = 301
)

func (h *fakeHead) Tokens() []int32 { return []int32{boardSays, cloudSays} }

func (h *fakeHead) Logits([]float32) ([]float32, error) {
	time.Sleep(h.takes)
	if h.sure != nil && h.sure() {
		return []float32{20, 0}, nil
	}
	return []float32{0.1, 0}, nil
}

// blackholed is the delay of an answer that never comes.
const blackholed = time.Duration(-1)

// fakeCloud answers as scripted. It may be asked from several goroutines.
type fakeCloud struct {
	mu     sync.Mutex // guards all following
	asked  int
	end    int // rows appended
	answer func(n int) (time.Duration, int32, error)
}

func (c *fakeCloud) Append(pos int, hidden []float32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = pos + len(hidden)/fakeWidth
	return nil
}

func (c *fakeCloud) Truncate(int) error { return nil }

func (c *fakeCloud) Ask(ctx context.Context, pos, topK int) (Row, error) {
	c.mu.Lock()
	n := c.asked
	c.asked++
	c.mu.Unlock()
	delay, id, err := c.answer(n)
	after := time.After(delay)
	if delay == blackholed {
		after = nil
	}
	select {
	case <-after:
	case <-ctx.Done():
		return Row{}, ctx.Err()
	}
	return Row{IDs: []int32{id, 302}, Logits: []float32{2, 1}, LogSumExp: 2.5}, err
}

// foreseen is a cloud with an outlook.
type foreseen struct {
	*fakeCloud
	state   func() (monitor.State, string)
	predict func(pos int) (time.Duration, bool)
}

func (f *foreseen) State() (monitor.State, string) {
	if f.state == nil {
		return monitor.Good, "rtt 10 ms"
	}
	return f.state()
}

func (f *foreseen) Predict(pos int) (time.Duration, bool) {
	if f.predict == nil {
		return 0, false
	}
	return f.predict(pos)
}

// fakeBoard is a board in virtual time: 10 ms the head stage, 30 ms the mid stage
// and 10 ms for each further row of a batch, 5 ms an exit head.
type fakeBoard struct {
	*Session
	mid  *fakeStage
	exit *fakeHead // exit 1
	said []time.Time
}

func fakeVocab(t *testing.T) *engine.Vocab {
	t.Helper()
	v, err := engine.OpenVocab(enginetest.Tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// virtual runs f in virtual time, with a maker of boards.
func virtual(t *testing.T, f func(t *testing.T, b func(Cloud) *fakeBoard)) {
	t.Helper()
	virtually(t, fakeVocab(t), f)
}

func virtually(t *testing.T, v *engine.Vocab, f func(t *testing.T, b func(Cloud) *fakeBoard)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, func(c Cloud) *fakeBoard {
			b := &fakeBoard{mid: &fakeStage{first: 30 * time.Millisecond, further: 10 * time.Millisecond}, exit: &fakeHead{takes: 5 * time.Millisecond}}
			b.Session = NewSession(Model{Vocab: v, Context: 4096, Exits: []Exit{
				{Stage: &fakeStage{first: 10 * time.Millisecond, further: 2 * time.Millisecond}, Head: b.exit},
				{Stage: b.mid, Head: &fakeHead{takes: 5 * time.Millisecond}, Alone: true},
			}}, 0, c)
			return b
		})
	})
}

// generate answers a prompt of n tokens and notes when each token was said.
func (b *fakeBoard) generate(t *testing.T, ctx context.Context, n int, o Options) (Result, error) {
	t.Helper()
	o.Mode, o.IgnoreEnd = Collaborative, true
	if o.OnLoss == "" {
		o.OnLoss = infer.GoAlone
	}
	if o.Thresholds == nil {
		o.Thresholds = []float64{0.9, 1.1}
	}
	b.said = nil
	return b.Generate(ctx, make([]int32, n), o, func(infer.Token) { b.said = append(b.said, time.Now()) })
}

// gaps are the times from each token to the next.
func (b *fakeBoard) gaps() (out []time.Duration) {
	for i := 1; i < len(b.said); i++ {
		out = append(out, b.said[i].Sub(b.said[i-1]))
	}
	return out
}

func count(a Result) map[infer.Reason]int {
	n := map[infer.Reason]int{}
	for _, t := range a.Tokens {
		n[t.Why]++
	}
	return n
}
