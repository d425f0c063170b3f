package decode

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// ofTokens is a whole model behind rows of token ids, as a cloud has it.
type ofTokens struct{ Stage }

func (ofTokens) Width() int { return 1 }

func (w ofTokens) Forward(b engine.Batch) (engine.Output, error) {
	b.Tokens = make([]int32, len(b.Hidden))
	for i, id := range b.Hidden {
		b.Tokens[i] = int32(id)
	}
	b.Hidden = nil
	return w.Stage.Forward(b)
}

// A board with a draft model and none of the model's blocks sends token ids: where it asks,
// the cloud says what the whole model says, to the last bit on the same kernels.
func TestTokensUp(t *testing.T) {
	r := newRig(t)
	m := Model{Vocab: r.vocab, Context: context1, Exits: []Exit{{Stage: NewTokenStage()}}, Draft: &DraftModel{Stage: newFakeDraft(r.vocab.Size())}}
	if !m.SendsTokens() || r.board.SendsTokens() || (Model{}).SendsTokens() {
		t.Error("it is not told what goes up")
	}
	prompt := r.prompt(t, "Name three colours.")
	for name, o := range map[string]Options{
		"greedy":  {MaxTokens: 24, IgnoreEnd: true},
		"sampled": {MaxTokens: 24, Sampling: infer.Sampling{Temperature: 0.8, TopK: 40, Seed: 3}},
	} {
		want := r.unsplit(t, prompt, o)
		if err := r.watch.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		s := NewSession(m, 0, &tail{lane: newLazyStage(ofTokens{r.watch}, 0), vocab: r.vocab.Size()})
		o.Mode, o.Thresholds = Collaborative, never
		got := generate(t, s, prompt, o)
		if !slices.Equal(ids(got), ids(want)) || got.Asks != len(got.Tokens) {
			t.Errorf("%s: %q with %d asks, want %q", name, got.Text, got.Asks, want.Text)
		}
		next := slices.Concat(prompt, ids(got), prompt)
		want = r.unsplit(t, next, o)
		if err := r.watch.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Renew(&tail{lane: newLazyStage(ofTokens{r.watch}, 0), vocab: r.vocab.Size()}); err != nil {
			t.Fatal(err)
		}
		if got := generate(t, s, next, o); !slices.Equal(ids(got), ids(want)) {
			t.Errorf("%s, on another cloud: %q, want %q", name, got.Text, want.Text)
		}
		if err := s.Truncate(0); err != nil {
			t.Fatal(err)
		}
	}
}

// tokenBoard is a fake board with a draft model that sends token ids.
func tokenBoard(b *fakeBoard) (*fakeBoard, *fakeDraft) {
	b, d := withDraft(b)
	b.model.Exits = []Exit{{Stage: NewTokenStage()}}
	b.Session = NewSession(b.model, 0, b.cloud)
	return b, d
}

// idCloud knows which ids it was sent.
type idCloud struct {
	*fakeCloud
	ids []int32
}

func (c *idCloud) Append(pos int, rows []float32) error {
	for i, id := range rows {
		if pos+i == len(c.ids) {
			c.ids = append(c.ids, int32(id))
		}
	}
	return nil
}

func (c *idCloud) Truncate(pos int) error {
	c.ids = c.ids[:min(pos, len(c.ids))]
	return nil
}

func (c *idCloud) Ask(ctx context.Context, pos, topK int) (Row, error) {
	if pos >= len(c.ids) {
		return Row{}, errors.New("asked for a token that never came")
	}
	return c.fakeCloud.Ask(ctx, pos, topK)
}

// Of an answer that draft and cloud have both said, the cloud has the ids; a lost link costs
// one token of the draft, and another turn of the conversation sends what is new.
func TestTokensUpBeforeALostCloud(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		lost := false
		cloud := &idCloud{fakeCloud: &fakeCloud{answer: func(int) (time.Duration, int32, error) {
			if lost {
				return 20 * time.Millisecond, 0, lostForNow
			}
			return 20 * time.Millisecond, cloudSays, nil
		}}}
		b, d := tokenBoard(board(cloud))
		d.sure = unsureEvery(5)
		a, err := b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 50})
		if n := bySource(a); err != nil || n[infer.FromDraft] != 40 || n[infer.FromCloud] != 10 {
			t.Fatalf("%v, %v", n, err)
		}
		if !slices.Equal(cloud.ids, b.tokens[:len(cloud.ids)]) || len(cloud.ids) < 30+50-1-mostHeadBacklog {
			t.Errorf("the cloud has %d ids of %d", len(cloud.ids), len(b.tokens))
		}
		lost = true
		a, err = b.generate(t, t.Context(), 80, Options{Thresholds: sureFrom, MaxTokens: 50})
		if n := bySource(a); err != nil || n[infer.FromCloud] != 0 || n[infer.FromDraft]+n[infer.Fallback] != 50 || a.Draft != nil {
			t.Errorf("%v, %v, %v", n, a.Draft, err)
		}
		lost = false
		if _, err = b.generate(t, t.Context(), 90, Options{Thresholds: never, MaxTokens: 4}); err != nil || !slices.Equal(cloud.ids, b.tokens[:len(cloud.ids)]) {
			t.Errorf("the cloud has %d ids, %v", len(cloud.ids), err)
		}
	})
}

// Behind a draft model that fails there is nothing on such a board; one that is merely of no
// use is kept. A mode that wants exits says that there are none.
func TestTokensUpWithoutExits(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b, d := tokenBoard(board(answersIn(20 * time.Millisecond)))
		d.sure = func() bool { return false }
		a, err := b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 100})
		if n := bySource(a); err != nil || n[infer.FromCloud] != 100 || a.Draft != nil {
			t.Errorf("%v, %v, %v", n, a.Draft, err)
		}
		d.fail = func(pos int) error { return errAfter(pos, 135, errCut) }
		if _, err := b.generate(t, t.Context(), 150, Options{Thresholds: sureFrom, MaxTokens: 20}); !errors.Is(err, errCut) {
			t.Errorf("without a draft: %v", err)
		}
		if _, err := b.Generate(t.Context(), make([]int32, 30), Options{Mode: Paper, OnLoss: infer.GoAlone}, nil); err == nil || !strings.Contains(err.Error(), "the board's stages") {
			t.Errorf("mode paper: %v", err)
		}
	})
}

// A stage of token ids keeps count like any other: positions come in order, and sequences
// are copied, cut, kept and brought back.
func TestTokenStage(t *testing.T) {
	s := NewTokenStage()
	feed := func(seq, pos int, ids ...int32) ([]float32, error) {
		b := engine.NewBatch(seq, pos, len(ids), engine.WantHidden)
		b.Tokens = ids
		out, err := s.Forward(b)
		return out.Hidden, err
	}
	if got, err := feed(1, 0, 5, 1<<24-1, 7); err != nil || !slices.Equal(got, []float32{5, 1<<24 - 1, 7}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, pos := range []int{0, 2, 4} {
		if _, err := feed(1, pos, 9); err == nil {
			t.Errorf("position %d after 3", pos)
		}
	}
	if err := s.Copy(1, 2, 2); err != nil || s.Position(2) != 2 || s.Position(1) != 3 {
		t.Errorf("%d and %d positions, %v", s.Position(2), s.Position(1), err)
	}
	state, err := s.ExportPrefix(1, 2)
	if err := errors.Join(err, s.Import(4, state), s.Truncate(1, 1)); err != nil || s.Position(4) != 2 || s.Position(1) != 1 {
		t.Errorf("%d and %d positions, %v", s.Position(4), s.Position(1), err)
	}
	for _, bad := range [][]byte{nil, {0x80}, {1, 2}, {0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}} {
		if s.Import(5, bad) == nil {
			t.Errorf("%x was taken", bad)
		}
	}
	if _, err := feed(4, 2, 1); err != nil {
		t.Error(err)
	}
}

// A board that sends token ids has its drafts checked like any other, and says what the
// whole model says.
func TestVerifiedTokensUp(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, "Name three colours.")
	for i, o := range []infer.Sampling{{}, {Temperature: 0.8, TopK: 40, Seed: 3}} {
		opt := Options{MaxTokens: 20, IgnoreEnd: true, Sampling: o}
		want := r.unsplit(t, prompt, opt)
		if err := r.watch.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		draft := &scripted{vocab: r.vocab.Size(), text: slices.Concat(prompt, ids(want)), wrong: func(pos int) bool { return pos%3 == i }}
		m := Model{Vocab: r.vocab, Context: context1, Exits: []Exit{{Stage: NewTokenStage()}}, Draft: &DraftModel{Stage: draft}}
		cloud := &rowsTail{tail: &tail{lane: newLazyStage(ofTokens{r.watch}, 0), vocab: r.vocab.Size()}}
		opt.Mode, opt.Draft = Verified, infer.DraftModel
		got := generate(t, NewSession(m, 0, cloud), prompt, opt)
		n := bySource(got)
		if !slices.Equal(ids(got), ids(want)) || n[infer.FromDraft] == 0 || n[infer.FromCloud] == 0 || got.Draft != nil {
			t.Errorf("%v %v: %q, want %q", n, got.Draft, got.Text, want.Text)
		}
		if cloud.rows <= got.Asks {
			t.Errorf("%d rows in %d asks", cloud.rows, got.Asks)
		}
	}
}
