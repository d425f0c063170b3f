package decode

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// counted is a cloud that records what goes up, and can send again and generate.
type counted struct {
	*tail
	appended [][2]int // position and rows, as they came; -1 for everything again
	whole    Stage
	vocab    *engine.Vocab
	most     int // tokens the stream gives before it fails, 0 for all
	stopped  bool
	ids      []int32 // of the session
	done     int     // of them computed
	computed int     // positions by it
}

func (c *counted) Truncate(pos int) error {
	if pos < len(c.ids) {
		c.ids, c.done = c.ids[:pos], min(c.done, pos)
		return c.whole.Truncate(0, pos)
	}
	return c.tail.Truncate(pos)
}

func (c *counted) Append(pos int, hidden []float32) error {
	c.appended = append(c.appended, [2]int{pos, len(hidden) / c.lane.stage.Width()})
	return c.tail.Append(pos, hidden)
}

func (c *counted) Resend(from int) error {
	c.appended = append(c.appended, [2]int{-1, from})
	return nil
}

func (c *counted) Generate(ctx context.Context, prompt []int32, max int, ignoreEnd bool, yield func(int32, float64, float64) bool) error {
	defer func() { c.stopped = true }()
	done, first := c.done, len(c.ids)+len(prompt)
	ids := append(c.ids, prompt...)
	defer func() { c.ids, c.done = ids, done }()
	for len(ids) < first+max {
		if c.most > 0 && len(ids) == first+c.most {
			return errors.New("cable cut")
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b := engine.NewBatch(0, done, len(ids)-done, 0)
		b.Tokens = ids[done:]
		b.Want[len(b.Want)-1] = engine.WantLogits
		out, err := c.whole.Forward(b)
		if err != nil {
			return err
		}
		done = len(ids)
		c.computed += len(b.Tokens)
		d, id := engine.Describe(out.Logits), int32(engine.Best(out.Logits))
		if ids = append(ids, id); !yield(id, d.Confidence, d.Margin) {
			return nil
		}
		if c.vocab.End(id) && !ignoreEnd {
			return nil
		}
	}
	return nil
}

func (r *rig) counting(t *testing.T) (*Session, *counted) {
	_, c := r.session(t)
	counting := &counted{tail: c, whole: r.watch, vocab: r.vocab}
	return NewSession(r.board, 0, counting), counting
}

// Each token costs the whole prefix once more, which goes up ahead of what is
// new; the text is the whole model's.
func TestNaiveSendsEverythingEachTime(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, questions[0])
	o := Options{Mode: Naive, MaxTokens: 6, IgnoreEnd: true}
	s, c := r.counting(t)
	got := generate(t, s, prompt, o)
	if got.Asks != 6 || s.caughtUp() != 0 {
		t.Errorf("%d asks, %d rows of the mid stage", got.Asks, s.caughtUp())
	}
	n := len(prompt)
	want := [][2]int{{-1, 0}, {0, n}}
	for i := range 5 {
		want = append(want, [2]int{-1, 0}, [2]int{n + i, 1})
	}
	if !slices.Equal(c.appended, want) {
		t.Errorf("went up %v, want %v", c.appended, want)
	}
	if whole := r.unsplit(t, prompt, o); !reflect.DeepEqual(ids(got), ids(whole)) {
		t.Errorf("naive %q, unsplit %q", got.Text, whole.Text)
	}
}

// Every position goes up once, and the mid stage computes nothing while the
// board waits.
func TestPaperSendsEachPositionOnce(t *testing.T) {
	r := newRig(t)
	for name, thresholds := range map[string][]float64{"default": nil, "exit 2 never asked": {0.8, 1.1}} {
		s, c := r.counting(t)
		prompt := r.prompt(t, questions[3])
		before := 0
		c.fail = func(int) error { before = s.mid.rows; return nil }
		c.onAsk = func(int, []float32) {
			if s.mid.rows != before {
				t.Errorf("%s: the board caught up %d rows while it waited", name, s.mid.rows-before)
			}
		}
		got := generate(t, s, prompt, Options{Mode: Paper, Thresholds: thresholds, MaxTokens: 40, IgnoreEnd: true})
		next := 0
		for _, a := range c.appended {
			if a[0] != next {
				t.Fatalf("%s: position %d after %d: %v", name, a[0], next, c.appended)
			}
			next += a[1]
		}
		if want := len(prompt) + 40 - 1; next != want {
			t.Errorf("%s: %d rows sent for %d positions", name, next, want)
		}
		if thresholds != nil {
			if s.mid.rows != 0 {
				t.Errorf("%s: the mid stage computed %d rows for nobody", name, s.mid.rows)
			}
			continue
		}
		sources := map[infer.Source]int{}
		for _, tok := range got.Tokens {
			sources[tok.Source]++
			if tok.Source != infer.FromCloud && tok.Confidence < PaperThreshold {
				t.Errorf("token %+v", tok)
			}
		}
		if sources[infer.FromCloud] != got.Asks || sources[infer.FromCloud] == 0 || sources[infer.Exit1]+sources[infer.Exit2] == 0 {
			t.Errorf("%d asks, sources %v", got.Asks, sources)
		}
	}
}

func TestPaperGoesOnAlone(t *testing.T) {
	r := newRig(t)
	s, c := r.counting(t)
	c.fail = func(int) error { return errors.New("cable cut") }
	got := generate(t, s, r.prompt(t, questions[0]), Options{Mode: Paper, Thresholds: never, MaxTokens: 3, IgnoreEnd: true})
	for _, tok := range got.Tokens {
		if tok.Source != infer.Fallback || tok.Why != infer.WhyLost {
			t.Errorf("token %+v", tok)
		}
	}
	if got.Lost == nil || len(got.Tokens) != 3 {
		t.Errorf("%d tokens, lost %v", len(got.Tokens), got.Lost)
	}
}

func TestCloudOnlyIsTheWholeModel(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, questions[8])
	s, c := r.counting(t)
	got := generate(t, s, prompt, Options{Mode: CloudOnly, MaxTokens: 40})
	if len(c.appended) != 0 || got.Asks != 1 || !c.stopped {
		t.Errorf("%d asks, %v went up, stopped %v", got.Asks, c.appended, c.stopped)
	}
	for _, tok := range got.Tokens {
		if tok.Source != infer.FromCloud || !tok.Verified || tok.Why != infer.Asked {
			t.Errorf("token %+v", tok)
		}
	}
	if want := r.unsplit(t, prompt, Options{MaxTokens: 40}); !reflect.DeepEqual(ids(got), ids(want)) || got.Text != want.Text || got.Finish != want.Finish {
		t.Errorf("cloud-only %q (%s), unsplit %q (%s)", got.Text, got.Finish, want.Text, want.Finish)
	}
}

// A second answer sends what is new, and the same prompt again next to nothing.
func TestCloudOnlyGoesOn(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, questions[8])
	s, c := r.counting(t)
	o := Options{Mode: CloudOnly, MaxTokens: 5, IgnoreEnd: true}
	first := generate(t, s, prompt, o)
	longer := append(slices.Clone(s.Tokens()), r.prompt(t, "And of Denmark?")...)
	for name, next := range map[string][]int32{"goes on": longer, "again": prompt} {
		c.computed = 0
		got := generate(t, s, next, o)
		if most := len(longer) - len(prompt) + 1; c.computed > most {
			t.Errorf("%s: %d positions computed, want at most %d", name, c.computed, most)
		}
		if want := r.unsplit(t, next, o); !reflect.DeepEqual(ids(got), ids(want)) {
			t.Errorf("%s: %q, unsplit %q after %q", name, got.Text, want.Text, first.Text)
		}
		s, c = r.counting(t)
		generate(t, s, prompt, o)
	}
}

// Without a cloud, or once it is lost, the first two baselines have nobody to go
// on with; what was said stays.
func TestBaselinesEndWithTheCloud(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, questions[0])
	s, c := r.counting(t)
	c.most = 3
	a, err := s.Generate(context.Background(), prompt, Options{Mode: CloudOnly, MaxTokens: 9, IgnoreEnd: true, OnLoss: infer.GoAlone}, nil)
	if a.Finish != infer.CloudLost || len(a.Tokens) != 3 || err == nil || !strings.Contains(err.Error(), "cable cut") || a.Lost == nil {
		t.Errorf("%s after %d tokens: %v", a.Finish, len(a.Tokens), err)
	}
	s, c = r.counting(t)
	c.fail = func(int) error { return errors.New("cable cut") }
	if a, err := s.Generate(context.Background(), prompt, Options{Mode: Naive, OnLoss: infer.GoAlone}, nil); a.Finish != infer.CloudLost || err == nil {
		t.Errorf("naive: %s, %v", a.Finish, err)
	}
	for _, m := range []infer.Mode{CloudOnly, Naive, Paper} {
		if _, err := NewSession(r.board, 0, nil).Generate(context.Background(), prompt, Options{Mode: m, OnLoss: infer.GoAlone}, nil); err == nil || !strings.Contains(err.Error(), "needs a cloud partition") {
			t.Errorf("%s without a cloud: %v", m, err)
		}
	}
}

// A cancelled answer ends the cloud's stream too.
func TestCloudOnlyCancelled(t *testing.T) {
	r := newRig(t)
	s, c := r.counting(t)
	ctx, cancel := context.WithCancel(context.Background())
	a, err := s.Generate(ctx, r.prompt(t, questions[0]), Options{Mode: CloudOnly, IgnoreEnd: true, OnLoss: infer.GoAlone}, func(infer.Token) { cancel() })
	if err != nil || a.Finish != infer.Cancelled || len(a.Tokens) == 0 || !c.stopped {
		t.Errorf("%s after %d tokens, stopped %v: %v", a.Finish, len(a.Tokens), c.stopped, err)
	}
}

func TestCloudOnlyIsGreedy(t *testing.T) {
	o := Options{Mode: CloudOnly, OnLoss: infer.GoAlone, Sampling: infer.Sampling{Seed: 3}}
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	o.Sampling.Temperature = 0.8
	if err := o.Check(); err == nil || !strings.Contains(err.Error(), "greedy") {
		t.Errorf("%v", err)
	}
}
