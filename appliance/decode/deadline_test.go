package decode

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"skerry/appliance/infer"
)

const bound = 200 * time.Millisecond

// late is more than rounding.
const late = time.Millisecond

// inTime fails the test unless each token after the first comes in time.
func (b *fakeBoard) inTime(t *testing.T, bound time.Duration) {
	t.Helper()
	for i, gap := range b.gaps() {
		if gap > bound+late {
			t.Errorf("token %d took %s of at most %s", i+1, gap, bound)
		}
	}
}

// On a link that swallows everything each token is said at its deadline, until
// so many answers are owed that the cloud is asked no more.
func TestBlackholedAsk(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		c := &fakeCloud{answer: func(int) (time.Duration, int32, error) { return blackholed, 0, nil }}
		b := board(c)
		a, err := b.generate(t, t.Context(), 40, Options{MaxTokens: 12, MaxTokenLatency: bound})
		if err != nil {
			t.Fatal(err)
		}
		b.inTime(t, bound)
		// Of the first it is counted from when the prompt was computed: by the head
		// stage in 88 ms, exit 1 in 5, and 8 rows at a time by the mid stage.
		if first := a.FirstToken - bound - (88+5+5*100)*time.Millisecond; first.Abs() > 10*late {
			t.Errorf("the first token took %s", first)
		}
		if n := count(a); n[infer.WhyDeadline] != maxOutstanding || n[infer.WhyOwed] != 12-maxOutstanding || c.asked != maxOutstanding || a.Asks != maxOutstanding {
			t.Errorf("%v, %d asked", n, c.asked)
		}
		for i, tok := range a.Tokens {
			if tok.Source != infer.Fallback || tok.Verified || tok.ID != boardSays || (tok.Why == infer.WhyDeadline) != (tok.WaitMS > 100) {
				t.Errorf("token %d: %+v", i, tok)
			}
		}
		if a.Late != 0 || a.Lost != nil {
			t.Errorf("late %d, lost %v", a.Late, a.Lost)
		}
	})
}

// Without a bound the loop waits for the cloud.
func TestNoDeadline(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b := board(&fakeCloud{answer: func(int) (time.Duration, int32, error) { return 5 * time.Second, cloudSays, nil }})
		a, err := b.generate(t, t.Context(), 10, Options{MaxTokens: 4})
		if n := count(a); err != nil || n[infer.Asked] != 4 {
			t.Errorf("%v, %v", n, err)
		}
	})
}

// A cloud that is predicted to be too slow is not asked; one of which nothing is
// known is.
func TestPredictedTooSlow(t *testing.T) {
	for _, c := range []struct {
		cost  time.Duration
		known bool
		want  infer.Reason
	}{{500 * time.Millisecond, true, infer.WhyTooSlow}, {100 * time.Millisecond, true, infer.Asked}, {500 * time.Millisecond, false, infer.Asked}} {
		virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
			cloud := &foreseen{
				fakeCloud: &fakeCloud{answer: func(int) (time.Duration, int32, error) { return 100 * time.Millisecond, cloudSays, nil }},
				predict:   func(int) (time.Duration, bool) { return c.cost, c.known },
			}
			b := board(cloud)
			b.generate(t, t.Context(), 4, Options{MaxTokens: 1, MaxTokenLatency: bound}) // what the board itself needs is now known
			cloud.asked = 0
			a, err := b.generate(t, t.Context(), 6, Options{MaxTokens: 10, MaxTokenLatency: bound})
			if err != nil || count(a)[c.want] != 10 || (cloud.asked > 0) != (c.want == infer.Asked) {
				t.Errorf("%s, known %v: %v, %d asked, %v", c.cost, c.known, count(a), cloud.asked, err)
			}
			for _, tok := range a.Tokens {
				if c.want == infer.WhyTooSlow && (tok.WaitMS != 0 || tok.Source != infer.Fallback) {
					t.Errorf("%+v", tok)
				}
			}
			b.inTime(t, bound)
		})
	}
}

// Answers that come after the deadline are compared with what was said instead.
func TestLateAnswers(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b := board(&fakeCloud{answer: func(n int) (time.Duration, int32, error) {
			return 300 * time.Millisecond, []int32{boardSays, cloudSays, boardSays}[n%3], nil
		}})
		a, err := b.generate(t, t.Context(), 4, Options{MaxTokens: 12, MaxTokenLatency: bound})
		if err != nil {
			t.Fatal(err)
		}
		// The last one's answer is not waited for.
		if n := count(a); n[infer.WhyDeadline] != 12 || a.Late != 11 || a.LateAgreed != 7 {
			t.Errorf("%v, %d late, %d agreed", n, a.Late, a.LateAgreed)
		}
		if got, want := a.Agreement[infer.Exit2], (infer.Agreement{Checked: 11, Agreed: 7}); got != want {
			t.Errorf("agreement %v, want %v", a.Agreement, want)
		}
		next, err := b.generate(t, t.Context(), 4, Options{MaxTokens: 6, MaxTokenLatency: bound})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := next.Agreement[infer.Exit2], (infer.Agreement{Checked: next.Late, Agreed: next.LateAgreed}); next.Late == 0 || got != want {
			t.Errorf("the next answer's agreement %v, want %v", got, want)
		}
		b.inTime(t, bound)
	})
}

// However long exit 1 alone has spoken, the deepest exit is ready at the deadline
// of the first token that needs it.
func TestBacklogIsBounded(t *testing.T) {
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		b := board(&fakeCloud{answer: func(int) (time.Duration, int32, error) { return blackholed, 0, nil }})
		n := 0
		b.exit.sure = func() bool { n++; return n < 300 }
		a, err := b.generate(t, t.Context(), 100, Options{MaxTokens: 302, MaxTokenLatency: bound})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(a); n[infer.WhyConfident] != 299 || n[infer.WhyDeadline] != 3 {
			t.Fatalf("%v", n)
		}
		b.inTime(t, bound)
		// Not in vain either: rows are taken several at a time.
		if b.mid.rows < 300 || b.mid.calls > b.mid.rows/3 {
			t.Errorf("%d rows caught up in %d batches", b.mid.rows, b.mid.calls)
		}
	})
}

// Whatever answers come when, no token is late and none is said twice.
func TestDeadlineHolds(t *testing.T) {
	v := fakeVocab(t)
	rapid.Check(t, func(rt *rapid.T) {
		delays := rapid.SliceOfN(rapid.IntRange(-1, 400), 1, 20).Draw(rt, "delays")
		sure := rapid.SliceOfN(rapid.Bool(), 1, 20).Draw(rt, "sure")
		predicted := rapid.SliceOfN(rapid.IntRange(0, 400), 1, 5).Draw(rt, "predicted")
		virtually(t, v, func(t *testing.T, board func(Cloud) *fakeBoard) {
			c := &foreseen{fakeCloud: &fakeCloud{answer: func(n int) (time.Duration, int32, error) {
				d := delays[n%len(delays)]
				if d < 0 {
					return blackholed, 0, nil
				}
				return time.Duration(d) * time.Millisecond, cloudSays, nil
			}}, predict: func(pos int) (time.Duration, bool) {
				return time.Duration(predicted[pos%len(predicted)]) * time.Millisecond, pos%2 == 0
			}}
			b := board(c)
			n := 0
			b.exit.sure = func() bool { n++; return sure[n%len(sure)] }
			a, err := b.generate(t, t.Context(), 20, Options{MaxTokens: 40, MaxTokenLatency: bound})
			if err != nil || len(a.Tokens) != 40 || a.Late > c.asked {
				rt.Fatalf("%d tokens, %d late of %d, %v", len(a.Tokens), a.Late, c.asked, err)
			}
			for i, gap := range b.gaps() {
				if gap > bound+late {
					rt.Fatalf("token %d took %s", i+1, gap)
				}
			}
			for _, tok := range a.Tokens {
				if (tok.Source == infer.FromCloud) != (tok.ID == cloudSays) {
					rt.Fatalf("%+v", tok)
				}
			}
		})
	})
}
