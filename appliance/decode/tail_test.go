package decode

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
	"skerry/build/testseed"
	"skerry/cloudlink/monitor"
)

// wholeSays is what the rest of the model says on a fake board.
const wholeSays int32 = 303

// fakeRest is the model after exit 1: 50 ms, and 20 ms for each further row.
type fakeRest struct {
	fakeStage
	vocab int
	fail  error
}

func (s *fakeRest) Forward(b engine.Batch) (engine.Output, error) {
	if s.fail != nil {
		return engine.Output{}, s.fail
	}
	if len(b.Hidden) != len(b.Pos)*fakeWidth {
		return engine.Output{}, fmt.Errorf("%d positions with %d values", len(b.Pos), len(b.Hidden))
	}
	out, err := s.fakeStage.Forward(b)
	if b.Want[len(b.Want)-1] == engine.WantLogits {
		out.Logits = make([]float32, s.vocab)
		out.Logits[wholeSays] = 5
	}
	return out, err
}

// lostBetween is a cloud that is lost from one moment after now to another.
func lostBetween(from, to time.Duration) *fakeCloud {
	start := time.Now()
	return &fakeCloud{answer: func(int) (time.Duration, int32, error) {
		if at := time.Since(start); at >= from && at < to {
			return 0, 0, lostForNow
		}
		return 40 * time.Millisecond, cloudSays, nil
	}}
}

// forLoss is a fake board whose exits may not speak alone.
func forLoss(b *fakeBoard) *fakeBoard {
	b.model.Exits[1].Alone = false
	return b
}

func withRest(b *fakeBoard) (*fakeBoard, *fakeRest) {
	r := &fakeRest{fakeStage: fakeStage{first: 50 * time.Millisecond, further: 20 * time.Millisecond}, vocab: b.model.Vocab.Size()}
	b.tail.stage = r
	return forLoss(b), r
}

// While the cloud is lost the whole model speaks, on the board: it catches up once, on
// what it lacks and no more, and hands back.
func TestWholeStandsIn(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b, rest := withRest(board(lostBetween(2*time.Second, 4*time.Second)))
		start := time.Now()
		b.exit.sure = func() bool { // where the whole model has the word
			at := time.Since(start)
			return at > 2500*time.Millisecond && at < 4*time.Second
		}
		a, err := b.generate(t, context.Background(), 100, Options{MaxTokens: 80})
		if err != nil || len(a.Tokens) != 80 {
			t.Fatalf("%d tokens, %v", len(a.Tokens), err)
		}
		var by []infer.Source
		whole := 0
		for _, tok := range a.Tokens {
			by = append(by, tok.Source)
			switch tok.Source {
			case infer.FromUnsplit:
				whole++
				if tok.ID != wholeSays || !tok.Verified || tok.Why != infer.WhyLost && tok.Why != infer.WhyDown {
					t.Errorf("%+v", tok)
				}
			case infer.FromCloud:
			default:
				t.Errorf("%+v", tok)
			}
		}
		if turns := slices.Compact(by); !slices.Equal(turns, []infer.Source{infer.FromCloud, infer.FromUnsplit, infer.FromCloud}) {
			t.Errorf("%v", turns)
		}
		first := slices.IndexFunc(a.Tokens, func(tok infer.Token) bool { return tok.Source == infer.FromUnsplit })
		if a.Handover != 100+first || rest.rows != 100+first+whole-1 || a.HandoverTook == 0 {
			t.Errorf("%d rows at first of %d, %d in all for %d tokens", a.Handover, 100+first, rest.rows, whole)
		}
		if c := a.Changes; len(c) != 2 || c[0].To != Unsplit || c[0].At != 100+first || c[1].To != Collaborative || a.Tokens[first].Change == nil || a.Resumed != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// A cut that is longer than a moment leads to no asks while the link is down, and a
// later answer begins with the whole model at once.
func TestWholeLeadsWhileDown(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		cloud := lostBetween(0, time.Hour)
		b, rest := withRest(board(&foreseen{fakeCloud: cloud, state: func() (monitor.State, string) { return monitor.Down, "no answer" }}))
		for range 2 {
			a, err := b.generate(t, context.Background(), 50, Options{MaxTokens: 200})
			if err != nil || count(a)[infer.WhyDown]+count(a)[infer.WhyLost] != 200 || a.Lost == nil {
				t.Fatalf("%v, %v", count(a), err)
			}
		}
		if most := int(2 * switchDwell / (60 * time.Millisecond)); cloud.asked > most {
			t.Errorf("asked %d times", cloud.asked)
		}
		if rest.rows > 2*(50+200) {
			t.Errorf("%d rows", rest.rows)
		}
	})
}

// Where nobody on the board may speak, a short cut is waited for, and a long one ends
// the answer with a word, so that it can be gone on with. An exit's guesses never
// stand for an answer.
func TestNobodyStandsIn(t *testing.T) {
	long := time.Hour
	unauthorized := errUnauthorized
	for name, c := range map[string]struct {
		cloud func() *fakeCloud
		whole bool // an answer
		tail  error
	}{
		"a short cut":       {func() *fakeCloud { return lostBetween(time.Second, 6*time.Second) }, true, nil},
		"a long one":        {func() *fakeCloud { return lostBetween(time.Second, long) }, false, nil},
		"from the start":    {func() *fakeCloud { return lostBetween(0, long) }, false, nil},
		"no room after all": {func() *fakeCloud { return lostBetween(time.Second, long) }, false, fmt.Errorf("%w: 3 MiB are free", ErrNoTail)},
		"refused for good": {func() *fakeCloud {
			return &fakeCloud{answer: func(n int) (time.Duration, int32, error) {
				if n < 20 {
					return 40 * time.Millisecond, cloudSays, nil
				}
				return 0, 0, unauthorized
			}}
		}, false, nil},
		"busy for long": {func() *fakeCloud {
			return &fakeCloud{answer: func(int) (time.Duration, int32, error) {
				return 0, 0, &TransientError{Err: errors.New("busy"), Busy: true}
			}}
		}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
				b := forLoss(board(c.cloud()))
				if c.tail != nil {
					b.tail.stage = &fakeRest{fail: c.tail}
				}
				began := time.Now()
				a, err := b.generate(t, context.Background(), 20, Options{MaxTokens: 60})
				for _, tok := range a.Tokens {
					if tok.Source != infer.FromCloud {
						t.Fatalf("%+v", tok)
					}
				}
				if c.whole {
					if err != nil || len(a.Tokens) != 60 {
						t.Errorf("%d tokens, %v", len(a.Tokens), err)
					}
					return
				}
				if a.Finish != infer.CloudLost || !errors.Is(err, errLost) || !strings.Contains(err.Error(), "nothing on this board may speak") {
					t.Errorf("%s, %v", a.Finish, err)
				}
				if d := time.Since(began); d > 20*time.Second {
					t.Errorf("it took %s", d)
				}
			})
		})
	}
}

// Beyond what the rest of the model can hold, an answer is as one without it.
func TestRestIsFull(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b, _ := withRest(board(lostBetween(0, time.Hour)))
		b.tail.context = 30
		a, err := b.generate(t, context.Background(), 20, Options{MaxTokens: 60})
		if len(a.Tokens) != 11 || a.Finish != infer.CloudLost || err == nil {
			t.Errorf("%d tokens, %s, %v", len(a.Tokens), a.Finish, err)
		}
	})
}

// A session that could not be opened in the cloud answers with the whole model.
func TestWholeWithoutASession(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b, _ := withRest(board(nil))
		a, err := b.generate(t, context.Background(), 20, Options{MaxTokens: 5})
		if err != nil || len(a.Tokens) != 5 || count(a)[infer.WhyLost] != 5 {
			t.Errorf("%v, %v", count(a), err)
		}
		if _, err := forLoss(board(nil)).generate(t, context.Background(), 20, Options{MaxTokens: 5}); err == nil {
			t.Error("nobody, and no error")
		}
	})
}

// Wherever the cloud is lost and comes back, the text is the unsplit model's: greedy
// and sampled, over a second question, and after a prefix was forgotten.
func TestTextOutlivesLosses(t *testing.T) {
	r := newRig(t)
	rest := enginetest.Open(t, enginetest.Bundle(t).Path(bundle.Cloud), engine.Options{Context: context1, Threads: 1})
	seed := testseed.Of(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range r.board.Exits {
		r.board.Exits[i].Alone = false
	}
	for n, temp := range []float32{0, 0.8} {
		if err := rest.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		r.board.Tail = rest
		s, cloud := r.session(t)
		away := false
		cloud.fail = func(int) error {
			if rng.IntN(5) == 0 {
				away = !away
			}
			if away {
				return lostForNow
			}
			return nil
		}
		oracle := NewSession(r.whole, 0, nil)
		for q := range 2 {
			o := Options{Mode: Collaborative, OnLoss: infer.GoAlone, Thresholds: []float64{1.1}, MaxTokens: 24, IgnoreEnd: true,
				Sampling: infer.Sampling{Temperature: temp, Seed: seed}}
			prompt := r.prompt(t, questions[2*n+q])
			a, err := s.Generate(t.Context(), prompt, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			o.Mode, o.Thresholds = Unsplit, nil
			want, err := oracle.Generate(t.Context(), prompt, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if a.Text != want.Text {
				t.Errorf("temperature %v: %q\nwant %q (%v)", temp, a.Text, want.Text, count(a))
			}
			by := map[infer.Source]int{}
			for _, tok := range a.Tokens {
				by[tok.Source]++
			}
			t.Logf("%v, %d positions at the first loss in %s", by, a.Handover, a.HandoverTook)
		}
	}
}
