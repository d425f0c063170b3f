package decode

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// shared is the cloud's stage for asks that overlap with what the loop does, and
// come when their row was computed long ago.
type shared struct {
	mu   sync.Mutex // guards lane
	lane *lazyStage
	sent int // rows
}

func (c *shared) Append(pos int, hidden []float32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent += len(hidden) / c.lane.stage.Width()
	return c.lane.push(pos, hidden)
}

func (c *shared) Truncate(pos int) error { return c.lane.truncate(pos) }

func (c *shared) Ask(ctx context.Context, pos, topK int) (Row, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, hidden := c.lane.queue.Take(pos + 1 - c.lane.queue.Base())
	n := len(hidden) / c.lane.stage.Width()
	if ctx.Err() != nil && n == 0 {
		return Row{}, ctx.Err()
	}
	if from+n-1 != pos {
		return Row{}, fmt.Errorf("asked for position %d, have %d", pos, from+n-1)
	}
	b := engine.NewBatch(c.lane.seq, from, n, 0)
	b.Hidden = hidden
	b.Want[n-1] = engine.WantLogits
	out, err := c.lane.stage.Forward(b)
	if err != nil {
		return Row{}, err
	}
	return Row{Logits: out.Logits, LogSumExp: engine.Describe(out.Logits).LogSumExp}, nil
}

// Eager says what lazy says, and asks for every token that exit 1 does not say.
func TestEagerSaysTheSame(t *testing.T) {
	r := newRig(t)
	for _, q := range questions[:3] {
		prompt := r.prompt(t, q)
		s, _ := r.session(t)
		lazy := generate(t, s, prompt, mixed(60))
		r.session(t)
		c := &shared{lane: newLazyStage(r.cloud, 0)}
		o := mixed(60)
		o.Eager = true
		eager := generate(t, NewSession(r.board, 0, c), prompt, o)
		if !reflect.DeepEqual(timeless(lazy), timeless(eager)) {
			t.Fatalf("%q:\nlazy  %q\neager %q", q, lazy.Text, eager.Text)
		}
		n := map[infer.Source]int{}
		for _, tok := range eager.Tokens {
			n[tok.Source]++
		}
		if n[infer.Exit2] == 0 || n[infer.FromCloud] == 0 || eager.Asks != n[infer.Exit2]+n[infer.FromCloud] || lazy.Asks != n[infer.FromCloud] {
			t.Errorf("sources %v, %d asks, lazily %d", n, eager.Asks, lazy.Asks)
		}
		if want := len(prompt) + len(eager.Tokens) - 1; c.sent != want {
			t.Errorf("%d rows sent for %d positions", c.sent, want)
		}
	}
}

func TestEagerLosesTheCloud(t *testing.T) {
	r := newRig(t)
	s, c := r.session(t)
	c.fail = func(int) error { return errors.New("cable cut") }
	o := Options{Mode: Collaborative, Thresholds: []float64{1.1, 1}, Eager: true, MaxTokens: 4, IgnoreEnd: true}
	got := generate(t, s, r.prompt(t, questions[0]), o)
	for _, tok := range got.Tokens {
		if tok.Source != infer.Fallback || tok.Why != infer.WhyLost {
			t.Errorf("token %+v", tok)
		}
	}
	if got.Asks != 1 || got.Lost == nil {
		t.Errorf("%d asks, lost %v", got.Asks, got.Lost)
	}
	o.Mode = Paper
	if err := o.Check(); err == nil {
		t.Error("the paper's mode is eager")
	}
}
