package batch

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/synth"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
	"skerry/cloudlink/hidden"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// rig is a small model of random weights, split.
type rig struct {
	dir   string
	vocab *engine.Vocab
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{dir: filepath.Join(t.TempDir(), "b")}
	src := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := synth.Write(t.Context(), "tiny", src, synth.Options{Seed: 1, Type: split.TypeQ4_0}); err != nil {
		t.Fatal(err)
	}
	_, err := split.Model(t.Context(), src, r.dir, split.Options{Exits: []int{2, 4}, Type: split.TypeKeep})
	if err != nil {
		t.Fatal(err)
	}
	if r.vocab, err = engine.OpenVocab(r.path(t, bundle.Unsplit)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.vocab.Close)
	return r
}

func (r *rig) path(t testing.TB, role bundle.Role) string {
	t.Helper()
	b, err := bundle.Open(t.Context(), r.dir)
	if err != nil {
		t.Fatal(err)
	}
	return b.Path(role)
}

// positions of a conversation.
const positions = 512

func (r *rig) with(sequences int) engine.Options {
	return engine.Options{Context: sequences * positions, Sequences: sequences}
}

// split is the model's stages and heads on the board.
func (r *rig) split(t testing.TB, sequences int) decode.Model {
	t.Helper()
	m := decode.Model{Vocab: r.vocab, Context: positions}
	o := r.with(sequences)
	first := enginetest.Open(t, r.path(t, bundle.Board1), o)
	for _, s := range []*engine.Stage{first, enginetest.Open(t, r.path(t, bundle.Board2), o)} {
		h, err := engine.NewHead(engine.HeadOptions{Norm: s, LM: first, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.Close)
		m.Exits = append(m.Exits, decode.Exit{Stage: s, Head: h, Alone: true})
	}
	return m
}

// whole is the model in one piece.
func (r *rig) whole(t testing.TB, sequences int) decode.Model {
	t.Helper()
	s := enginetest.Open(t, r.path(t, bundle.Unsplit), r.with(sequences))
	return decode.Model{Vocab: r.vocab, Context: positions, Whole: s}
}

// clouds opens the cloud's stage and returns a maker of sessions of it.
func (r *rig) clouds(t testing.TB, sequences int) func(seq int) (decode.Cloud, error) {
	t.Helper()
	s := enginetest.Open(t, r.path(t, bundle.Cloud), r.with(sequences))
	return func(seq int) (decode.Cloud, error) {
		return &tail{stage: s, seq: seq, queue: hidden.New(s.Width())}, nil
	}
}

// tail is the cloud in this process.
type tail struct {
	stage *engine.Stage
	seq   int
	queue *hidden.Backlog
}

func (c *tail) Append(pos int, hidden []float32) error { return c.queue.Append(pos, hidden) }

func (c *tail) Truncate(pos int) error {
	c.queue.Truncate(pos)
	return c.stage.Truncate(c.seq, pos)
}

func (c *tail) Ask(_ context.Context, pos, topK int) (decode.Row, error) {
	from, hidden := c.queue.Take(c.queue.Len())
	n := len(hidden) / c.stage.Width()
	b := engine.NewBatch(c.seq, from, n, 0)
	b.Hidden = hidden
	b.Want[n-1] = engine.WantLogits
	out, err := c.stage.Forward(b)
	return decode.Row{Logits: out.Logits, LogSumExp: engine.Describe(out.Logits).LogSumExp}, err
}

// text is n random tokens.
func text(n int, seed uint64) []int32 {
	r := rand.New(rand.NewPCG(seed, 0))
	out := make([]int32, n)
	for i := range out {
		out[i] = 3 + int32(r.IntN(500))
	}
	return out
}

// options of answers that exits, cloud and sampling all have a part in.
func options(mode infer.Mode, n int, seed uint64) decode.Options {
	return decode.Options{Mode: mode, Thresholds: []float64{0.012, 0.012}, MaxTokens: n, IgnoreEnd: true, OnLoss: infer.GoAlone,
		Logprobs: true, TopLogprobs: 3, Sampling: infer.Sampling{Temperature: 0.8, TopK: 40, Seed: seed}}
}

// alone is the answer of a session that has the model for itself.
func alone(t testing.TB, m decode.Model, c decode.Cloud, prompt []int32, o decode.Options) []infer.Token {
	t.Helper()
	s := decode.NewSession(m, 0, c)
	a, err := s.Generate(context.Background(), prompt, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Truncate(0); err != nil {
		t.Fatal(err)
	}
	return timeless(a.Tokens)
}

// timeless leaves out what depends on the clock.
func timeless(tokens []infer.Token) []infer.Token {
	for i := range tokens {
		tokens[i].WaitMS = 0
	}
	return tokens
}

// answer acquires a slot, answers and releases it.
func answer(t testing.TB, s *Slots, a Ask, o decode.Options) (tokens []infer.Token, cached int) {
	t.Helper()
	sl, err := s.Acquire(context.Background(), a)
	if err != nil {
		t.Error(err)
		return nil, 0
	}
	defer sl.Release()
	got, err := sl.Session().Generate(context.Background(), a.Prompt, o, nil)
	if err != nil {
		t.Error(err)
	}
	return timeless(got.Tokens), sl.Cached()
}

func open(t testing.TB, m decode.Model, o Options) *Slots {
	t.Helper()
	s, err := New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
