package decode

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// draftSays is what the draft model of a fake board says.
const draftSays int32 = 304

// fakeDraft is a draft model: 5 ms, and 1 ms for each further position. It knows which
// positions it holds.
type fakeDraft struct {
	fakeStage
	vocab int
	says  int32
	sure  func() bool // nil: always
	fail  func(pos int) error
	held  []int32
	cut   int // positions forgotten
}

func newFakeDraft(vocab int) *fakeDraft {
	return &fakeDraft{fakeStage: fakeStage{first: 5 * time.Millisecond, further: time.Millisecond}, vocab: vocab, says: draftSays}
}

func (s *fakeDraft) Truncate(_, pos int) error {
	if pos < len(s.held) {
		s.cut += len(s.held) - pos
		s.held = s.held[:pos]
	}
	return nil
}

func (s *fakeDraft) Forward(b engine.Batch) (engine.Output, error) {
	if s.fail != nil {
		if err := s.fail(int(b.Pos[0])); err != nil {
			return engine.Output{}, err
		}
	}
	if int(b.Pos[0]) != len(s.held) {
		return engine.Output{}, fmt.Errorf("position %d after %d", b.Pos[0], len(s.held))
	}
	s.held = append(s.held, b.Tokens...)
	out, err := s.fakeStage.Forward(b)
	if b.Want[len(b.Want)-1] == engine.WantLogits {
		out.Logits = make([]float32, s.vocab)
		out.Logits[s.says] = 20
		if s.sure != nil && !s.sure() {
			out.Logits[s.says] = 0.1
		}
	}
	return out, err
}

// withDraft gives a fake board a draft model, and the first exit alone, which may not speak.
func withDraft(b *fakeBoard) (*fakeBoard, *fakeDraft) {
	d := newFakeDraft(b.model.Vocab.Size())
	m := b.model
	m.Exits, m.Draft = m.Exits[:1], &DraftModel{Stage: d}
	b.Session = NewSession(m, 0, b.cloud)
	return b, d
}

var sureFrom = []float64{0.9}

func bySource(a Result) map[infer.Source]int {
	n := map[infer.Source]int{}
	for _, t := range a.Tokens {
		n[t.Source]++
	}
	return n
}

// unsureEvery is unsure of every n-th token that it is asked for.
func unsureEvery(n int) func() bool {
	asked := 0
	return func() bool { asked++; return asked%n != 0 }
}

func answersIn(d time.Duration) *fakeCloud {
	return &fakeCloud{answer: func(int) (time.Duration, int32, error) { return d, cloudSays, nil }}
}

// A draft model speaks where it is sure, the cloud where it is not; the head stage lags a
// little behind and computes each position once; the cloud has every row up to its ask.
func TestDraftSpeaksWhereSure(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		cloud := answersIn(40 * time.Millisecond)
		b, d := withDraft(board(cloud))
		d.sure = unsureEvery(5)
		a, err := b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 100})
		if n := bySource(a); err != nil || n[infer.FromDraft] != 80 || n[infer.FromCloud] != 20 || a.Asks != 20 {
			t.Fatalf("%v, %d asks, %v", n, a.Asks, err)
		}
		for i, tok := range a.Tokens {
			if sure := tok.Source == infer.FromDraft; sure != (tok.ID == draftSays) || sure != (tok.Why == infer.WhyConfident) || sure == tok.Verified {
				t.Errorf("token %d: %+v", i, tok)
			}
		}
		head := b.model.Exits[0].Stage.(*fakeStage)
		if head.rows != b.head || b.head < 30+100-1-mostHeadBacklog || head.calls > 40 || cloud.end != b.head {
			t.Errorf("the head stage computed %d rows of %d in %d batches, the cloud has %d", head.rows, b.head, head.calls, cloud.end)
		}
		if d.rows != len(d.held) || d.cut != 0 || len(d.held) != 30+100-1 {
			t.Errorf("the draft computed %d rows for %d positions and forgot %d", d.rows, len(d.held), d.cut)
		}
		if p := a.Proposed[infer.FromDraft]; p != (infer.Agreement{Checked: 20}) {
			t.Errorf("%+v", p)
		}
	})
}

// A long prompt goes to the cloud at once; the draft model catches up beside it, some
// positions a token however fast the cloud is, and then speaks.
func TestDraftCatchesUpBehindTheCloud(t *testing.T) {
	for name, delay := range map[string]time.Duration{"a fast cloud": 0, "a slow one": 100 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
				b, d := withDraft(board(answersIn(delay)))
				a, err := b.generate(t, t.Context(), 1000, Options{Thresholds: sureFrom, MaxTokens: 200})
				if err != nil || a.Tokens[0].Source != infer.FromCloud || a.Tokens[199].Source != infer.FromDraft || d.cut != 0 {
					t.Fatalf("%v: %v, %d forgotten", bySource(a), err, d.cut)
				}
				if n := bySource(a)[infer.FromCloud]; n > 1000/(idleRows-1) || delay > 0 && n > 20 {
					t.Errorf("the cloud said %d before the draft had caught up", n)
				}
			})
		})
	}
}

// When the link is lost the draft model goes on at once: one token late, and no prefill.
func TestLostLinkCostsOneToken(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b, d := withDraft(board(lostBetween(2*time.Second, time.Hour)))
		d.sure, d.says = func() bool { return false }, cloudSays
		a, err := b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 200})
		first := slices.IndexFunc(a.Tokens, func(tok infer.Token) bool { return tok.Source == infer.Fallback })
		if err != nil || first < 1 || len(a.Tokens) != 200 || bySource(a)[infer.FromCloud] != first {
			t.Fatalf("%v, first %d, %v", bySource(a), first, err)
		}
		for _, tok := range a.Tokens[first:] {
			if tok.Why != infer.WhyLost && tok.Why != infer.WhyDown {
				t.Fatalf("%+v", tok)
			}
		}
		if gap := b.gaps()[first-1]; gap > 20*time.Millisecond {
			t.Errorf("the first token without the cloud took %s", gap)
		}
	})
}

// silentCloud is lost from an ask on: an ask then takes as long as it takes to see that
// nothing comes back. It is reachable again after so many questions whether it is.
type silentCloud struct {
	fakeCloud
	from, back int
	questions  int
}

func (c *silentCloud) Reachable() bool {
	c.questions++
	return c.questions > c.back
}

func (c *silentCloud) Ask(ctx context.Context, pos, topK int) (Row, error) {
	c.answer = func(n int) (time.Duration, int32, error) {
		if n >= c.from && c.questions <= c.back {
			return 650 * time.Millisecond, 0, lostForNow
		}
		return 0, cloudSays, nil
	}
	return c.fakeCloud.Ask(ctx, pos, topK)
}

// A link that went silent costs one wait, however often it is dialled again in vain, and the
// cloud is asked again once it has answered.
func TestSilentLinkCostsOneWait(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		cloud := &silentCloud{from: 10, back: 30}
		b, d := withDraft(board(cloud))
		d.sure, d.says = func() bool { return false }, cloudSays
		a, err := b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 100})
		slow := 0
		for _, gap := range b.gaps() {
			if gap > 500*time.Millisecond {
				slow++
			}
		}
		by := bySource(a)
		if err != nil || slow != 1 || by[infer.Fallback] < cloud.back || by[infer.FromCloud] < 60 || a.Resumed != 1 {
			t.Errorf("%d slow tokens, %v, resumed %d, %v", slow, by, a.Resumed, err)
		}
	})
}

// A deadline that is missed is the draft model's token, in time.
func TestDraftAtTheDeadline(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b, d := withDraft(board(answersIn(time.Second)))
		d.sure = func() bool { return false }
		a, err := b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 40, MaxTokenLatency: bound})
		if n := bySource(a); err != nil || n[infer.Fallback] != 40 {
			t.Fatalf("%v, %v", n, err)
		}
		b.inTime(t, bound)
	})
}

// Alone, a draft model says everything, and the stages of the bundle's model compute
// nothing: they need not be there.
func TestDraftAlone(t *testing.T) {
	for _, stages := range []int{0, 1} {
		virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
			b, d := withDraft(board(nil))
			d.sure = unsureEvery(2)
			b.model.Exits = b.model.Exits[:stages]
			head := &fakeStage{}
			if stages > 0 {
				b.model.Exits[0].Stage = head
			}
			b.Session = NewSession(b.model, 0, nil)
			var done int
			o := Options{Mode: Standalone, OnLoss: infer.GoAlone, MaxTokens: 20, IgnoreEnd: true, Prefill: func(n, _ int) { done = n }}
			a, err := b.Generate(t.Context(), make([]int32, 500), o, nil)
			if n := bySource(a); err != nil || n[infer.FromDraft] != 20 || count(a)[infer.WhyStandalone] != 20 || head.rows != 0 || done != 500 {
				t.Fatalf("%v, %v, %d rows of the head stage, prefill %d, %v", n, count(a), head.rows, done, err)
			}
			next := slices.Concat(b.Tokens(), []int32{5, 6})
			if a, err = b.Generate(t.Context(), next, o, nil); err != nil || a.Prefilled != 3 || d.rows != 500+20+2+19 {
				t.Errorf("the next prompt computed %d positions anew, the draft %d in all, %v", a.Prefilled, d.rows, err)
			}
		})
	}
}

// A draft model that fails, or proposes nothing that the cloud says, is given up: the answer
// goes on without, and the result says why.
func TestDraftGivenUp(t *testing.T) {
	broken := errors.New("out of memory")
	for name, c := range map[string]struct {
		spoil func(*fakeDraft)
		want  error
		most  int // tokens of the draft's
	}{
		"fails from the start": {func(d *fakeDraft) { d.fail = func(int) error { return broken } }, broken, 0},
		"fails later":          {func(d *fakeDraft) { d.fail = func(pos int) error { return errAfter(pos, 50, broken) } }, broken, 21},
		"is always wrong":      {func(d *fakeDraft) { d.sure = func() bool { return false } }, errUseless, 0},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
				b, d := withDraft(board(answersIn(20 * time.Millisecond)))
				c.spoil(d)
				a, err := b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 100})
				n := bySource(a)
				if err != nil || !errors.Is(a.Draft, c.want) || n[infer.FromDraft] > c.most || n[infer.FromCloud] != 100-n[infer.FromDraft] {
					t.Fatalf("%v, given up for %v, %v", n, a.Draft, err)
				}
				rows := d.rows
				if a, err = b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 10}); err != nil || d.rows != rows || a.Draft != b.NoDraft() || a.Draft == nil {
					t.Errorf("the draft is still asked: %v, %v", a.Draft, err)
				}
			})
		})
	}
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) { // one whose context ends sooner than the conversation
		b, _ := withDraft(board(answersIn(20 * time.Millisecond)))
		b.model.Draft.Context = 50
		a, err := b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 100})
		if n := bySource(a); err != nil || !errors.Is(a.Draft, errDraftModel) || n[infer.FromDraft] != 21 || n[infer.FromCloud] != 79 {
			t.Errorf("%v, given up for %v, %v", n, a.Draft, err)
		}
	})
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) { // one that is right now and then stays
		b, d := withDraft(board(answersIn(20 * time.Millisecond)))
		d.sure, d.says = func() bool { return false }, cloudSays
		a, err := b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 100})
		if p := a.Proposed[infer.FromDraft]; err != nil || a.Draft != nil || p != (infer.Agreement{Checked: 100, Agreed: 100}) {
			t.Errorf("%+v, %v, %v", p, a.Draft, err)
		}
	})
}

// A draft model that fails while the cloud is lost leaves nobody who may speak: an exit that
// was not found fit to does not, whatever the moment. For a bound that the user has set it
// does, and where the whole model is at hand that goes on.
func TestDraftFailsAlone(t *testing.T) {
	broken := errors.New("out of memory")
	const never = -1
	for name, c := range map[string]struct {
		lost   time.Duration // when the link is lost; never: there is none
		prompt int
		from   int // position from which the draft fails
		whole  bool
	}{
		"without a cloud":       {never, 30, 40, false},
		"as the link is lost":   {0, 30, 0, false},
		"after it was lost":     {500 * time.Millisecond, 30, 80, false},
		"with the whole model":  {500 * time.Millisecond, 30, 80, true},
		"whole, as it is lost":  {0, 30, 0, true},
		"behind a long prompt":  {0, 200, 20, false},
		"whole, behind one":     {0, 200, 20, true},
		"whole, without a link": {never, 30, 40, true},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
				var cloud Cloud
				if c.lost != never {
					cloud = lostBetween(c.lost, time.Hour)
				}
				b, d := withDraft(board(cloud))
				d.says, d.sure = cloudSays, func() bool { return false }
				d.fail = func(pos int) error { return errAfter(pos, c.from, broken) }
				if c.whole {
					b.model.Tail = &fakeRest{fakeStage: fakeStage{first: 50 * time.Millisecond}, vocab: d.vocab}
				}
				b.Session = NewSession(b.model, 0, cloud)
				a, err := b.generate(t, t.Context(), c.prompt, Options{Thresholds: sureFrom, MaxTokens: 200})
				if !errors.Is(a.Draft, broken) || a.Draft != b.NoDraft() {
					t.Errorf("given up for %v", a.Draft)
				}
				if c.whole {
					if err != nil || len(a.Tokens) != 200 || a.Tokens[199].Source != infer.FromUnsplit {
						t.Errorf("%v, %v", bySource(a), err)
					}
				} else if !errors.Is(err, errLost) || a.Finish != infer.CloudLost || len(a.Tokens) > 200-1 {
					t.Errorf("%v, ended %q, %v", bySource(a), a.Finish, err)
				}
				for i, tok := range a.Tokens {
					if tok.ID == boardSays {
						t.Fatalf("token %d is an exit's that may not speak: %+v", i, tok)
					}
				}
			})
		})
	}
}

// A draft model that was given up is tried again for another text, and where the cloud's
// session is opened again.
func TestDraftTriedAgain(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		cloud := answersIn(20 * time.Millisecond)
		b, d := withDraft(board(cloud))
		for name, again := range map[string]func() error{
			"another text": func() error { b.RetryDraft(); return b.Truncate(0) },
			"another link": func() error { return b.Renew(cloud) },
		} {
			d.fail = func(int) error { return errCut }
			a, err := b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 10})
			if err != nil || a.Draft == nil || b.NoDraft() == nil {
				t.Fatalf("%s: given up for %v, %v", name, a.Draft, err)
			}
			d.fail = nil
			if a, err = b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 1}); err != nil || a.Draft == nil || a.Draft != b.NoDraft() {
				t.Errorf("%s: the answer after it: %v, %v", name, a.Draft, err)
			}
			if err := again(); err != nil {
				t.Fatal(err)
			}
			a, err = b.generate(t, t.Context(), 30, Options{Thresholds: sureFrom, MaxTokens: 10})
			if err != nil || a.Draft != nil || b.NoDraft() != nil || bySource(a)[infer.FromDraft] == 0 {
				t.Errorf("%s: %v, %v, %v", name, bySource(a), a.Draft, err)
			}
		}
	})
}

func errAfter(pos, from int, err error) error {
	if pos < from {
		return nil
	}
	return err
}

// Alone with a draft model that fails there is nobody left.
func TestDraftAloneFails(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b, d := withDraft(board(nil))
		b.model.Exits = nil
		b.Session = NewSession(b.model, 0, nil)
		d.fail = func(pos int) error { return errAfter(pos, 35, errCut) }
		a, err := b.Generate(t.Context(), make([]int32, 30), Options{Mode: Standalone, OnLoss: infer.GoAlone, MaxTokens: 20, IgnoreEnd: true}, nil)
		if !errors.Is(err, errCut) || len(a.Tokens) != 6 || !strings.Contains(err.Error(), "set mode to auto") {
			t.Errorf("%d tokens, %v", len(a.Tokens), err)
		}
		if _, err := b.Generate(t.Context(), make([]int32, 30), Options{Mode: Collaborative, OnLoss: infer.GoAlone}, nil); err == nil {
			t.Error("there is no head stage, and nobody says so")
		}
	})
}

// Proposals after tokens that are not decided yet are rolled back by asking for others.
func TestDraftAheadAndBack(t *testing.T) {
	d := newFakeDraft(400)
	d.first, d.further = 0, 0
	s := NewSession(Model{Context: 100, Draft: &DraftModel{Stage: d}}, 0, nil)
	s.tokens = []int32{1, 2, 3}
	text := slices.Clone(s.tokens)
	for range 4 {
		p, err := s.draft.propose(context.Background(), text)
		if err != nil || p.pos != len(text) || p.best() != draftSays {
			t.Fatalf("%+v, %v", p, err)
		}
		text = append(text, p.best())
	}
	if s.computed() != 3 || len(d.held) != 6 {
		t.Errorf("the session has %d positions, the draft %d", s.computed(), len(d.held))
	}
	s.tokens = []int32{1, 2, 3, draftSays, 7} // the second was rejected
	rows := d.rows
	if p, err := s.draft.propose(context.Background(), s.tokens); err != nil || p.pos != 5 || d.rows != rows+1 || !slices.Equal(d.held, s.tokens) {
		t.Errorf("at %d after %d more rows, holding %v: %v", p.pos, d.rows-rows, d.held, err)
	}
	if p, err := s.draft.propose(context.Background(), s.tokens); err != nil || p.pos != 5 || d.rows != rows+1 {
		t.Errorf("the same again computed: %v", err)
	}
}

// The default model as the draft of itself: what it proposes is what the whole model says,
// so that nothing is asked where it is believed, and every answer agrees where it is not.
func TestDraftOfItself(t *testing.T) {
	r := newRig(t)
	m := r.board
	m.Exits, m.Draft = m.Exits[:1], &DraftModel{Stage: r.watch}
	prompt := r.prompt(t, "Name three colours.")
	o := Options{Mode: Unsplit, OnLoss: infer.GoAlone, MaxTokens: 24, IgnoreEnd: true}
	want, err := NewSession(r.whole, 0, nil).Generate(t.Context(), prompt, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode      infer.Mode
		threshold float64
	}{{Standalone, 0.9}, {Collaborative, 0}, {Collaborative, 0.9}} {
		_, cloud := r.session(t)
		o.Mode, o.Thresholds = c.mode, []float64{c.threshold}
		a, err := NewSession(m, 0, cloud).Generate(t.Context(), prompt, o, nil)
		if err != nil || a.Text != want.Text || a.Draft != nil {
			t.Fatalf("%s %v: %q, want %q, %v, %v", c.mode, c.threshold, a.Text, want.Text, a.Draft, err)
		}
		n, asked := bySource(a), c.threshold > 0 && c.mode == Collaborative
		if n[infer.FromDraft]+n[infer.FromCloud] != 24 || (n[infer.FromCloud] > 0) != asked || a.Asks != n[infer.FromCloud] {
			t.Errorf("%s %v: %v, %d asks", c.mode, c.threshold, n, a.Asks)
		}
		if p := a.Proposed[infer.FromDraft]; p.Checked != a.Asks || p.Agreed != p.Checked {
			t.Errorf("%s %v: %+v", c.mode, c.threshold, p)
		}
	}
}

// End tokens stand for one another, padding is never proposed, and what a draft has no
// token for it refuses.
func TestDraftVocabulary(t *testing.T) {
	m := DraftModel{Tokens: 4, Ends: []EndToken{{Draft: 1, Model: 2}, {Draft: 5, Model: 6}}}
	row := m.Logits([]float32{1, 2, -3, 4, 50, 6, 70})
	if want := []float32{1, neverSaid, 2, 4, neverSaid, neverSaid, 6}; !slices.Equal(row, want) {
		t.Errorf("%v, want %v", row, want)
	}
	if ids, err := m.IDs([]int32{0, 2, 3, 6}); err != nil || !slices.Equal(ids, []int32{0, 1, 3, 5}) {
		t.Errorf("%v, %v", ids, err)
	}
	if ids, err := m.IDs([]int32{0, 4}); err == nil {
		t.Errorf("%v for a token that it lacks", ids)
	}
	plain := m.Describe(row)
	m.Temperature = 2
	if cooled := m.Describe(row); !(cooled.Confidence < plain.Confidence) || cooled.Confidence < 0.25 || cooled.Margin != plain.Margin {
		t.Errorf("at temperature 2 %+v, at 1 %+v", cooled, plain)
	}
	same := DraftModel{}
	if ids, err := same.IDs([]int32{9}); err != nil || ids[0] != 9 || !slices.Equal(same.Logits([]float32{3, 4}), []float32{3, 4}) {
		t.Errorf("%v, %v", ids, err)
	}
}

// Lookup takes the longest match, and of equally long ones the newest.
func TestLookup(t *testing.T) {
	for _, c := range []struct {
		tokens []int32
		want   int32 // 0 for none
	}{
		{[]int32{1, 2, 3}, 0},
		{[]int32{7, 1, 2, 3, 8, 9, 1, 2, 3}, 8},
		{[]int32{1, 2, 3, 8, 1, 2, 3, 8, 1, 2, 3, 9, 1, 2, 3}, 9},
		{[]int32{1, 2, 3, 9, 1, 2, 3, 8, 1, 2, 3, 8, 1, 2, 3}, 8},
		{[]int32{5, 2, 3, 4, 6, 2, 3}, 4},
		{[]int32{4, 4, 4, 4}, 4}, // overlapping
		{[]int32{3, 3}, 0},
		{[]int32{1, 2, 3, 2}, 0}, // one token is too few
		{nil, 0},
	} {
		id, run := int32(0), lookUpRun(c.tokens, 1)
		if len(run) > 0 {
			id = run[0].id
		}
		if id != c.want {
			t.Errorf("%v: %d, want %d", c.tokens, id, c.want)
		}
	}
}

// Lookup only proposes: what it says is compared with the cloud's answers.
func TestLookupIsCounted(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b := board(answersIn(20 * time.Millisecond))
		a, err := b.generate(t, t.Context(), 1, Options{Thresholds: sureFrom, MaxTokens: 20})
		if p := a.Proposed[infer.FromLookup]; err != nil || bySource(a)[infer.FromCloud] != 20 || p.Checked < 15 || p.Agreed != p.Checked {
			t.Errorf("%+v of %v, %v", p, bySource(a), err)
		}
	})
}
