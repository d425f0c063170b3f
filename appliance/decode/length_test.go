package decode

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// core is one processor core in virtual time: one computes on it at a time.
type core struct{ sync.Mutex }

func (c *core) compute(d time.Duration) {
	c.Lock()
	defer c.Unlock()
	time.Sleep(d)
}

// onCore is a draft model that computes on a core.
type onCore struct {
	*scripted
	core           *core
	first, further time.Duration
	rows           int
}

func (s *onCore) Forward(b engine.Batch) (engine.Output, error) {
	s.core.compute(s.first + time.Duration(len(b.Pos)-1)*s.further)
	s.rows += len(b.Pos)
	return s.scripted.Forward(b)
}

// wholeOnCore is a whole model, on a board or in the cloud, that says a text.
type wholeOnCore struct {
	rowsCloud
	core           *core
	first, further time.Duration
	held, vocab    int
}

func (w *wholeOnCore) Width() int { return 1 }

func (w *wholeOnCore) Truncate(int, int) error { return nil }

func (w *wholeOnCore) Forward(b engine.Batch) (out engine.Output, err error) {
	w.core.compute(w.first + time.Duration(len(b.Pos)-1)*w.further)
	for i, want := range b.Want {
		if want == engine.WantLogits {
			row := make([]float32, w.vocab)
			row[prose(int(b.Pos[i])+1)] = 9
			out.Logits = append(out.Logits, row...)
		}
	}
	return out, nil
}

func (w *wholeOnCore) pass(pos, n int) []Row {
	w.core.compute(w.first + time.Duration(n-1)*w.further)
	var rows []Row
	for i := range n {
		rows = append(rows, Row{IDs: []int32{prose(pos - n + 2 + i), 1}, Logits: []float32{9, 1}, LogSumExp: 9.1})
	}
	return rows
}

// asCloud is wholeOnCore behind a link.
type asCloud struct {
	*wholeOnCore
	way time.Duration
}

func (c asCloud) Truncate(int) error { return nil }

func (c asCloud) Ask(ctx context.Context, pos, topK int) (Row, error) {
	rows, err := c.AskRows(ctx, pos, 1, topK)
	return rows[0], err
}

func (c asCloud) AskRows(_ context.Context, pos, n, _ int) ([]Row, error) {
	time.Sleep(c.way)
	return c.pass(pos, n), nil
}

// prose is a text that nothing in it foretells.
func prose(pos int) int32 { return 100 + int32(rand.New(rand.NewPCG(uint64(pos), 14)).Uint64N(400)) }

// Wherever drafts are made and checked, by a cloud that leads, by a board for a cloud or on one
// board alone, an answer takes no more than three per cent longer than without drafts, but for a
// few passes at its beginning; a draft that is of no use computes next to nothing; and one that
// is makes the answer faster.
func TestDraftsCostNextToNothing(t *testing.T) {
	const tokens, pass = 250, 100 * time.Millisecond
	virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
		for _, place := range []string{"the cloud leads", "the board drafts for the cloud", "on the board alone"} {
			for _, c := range []struct {
				m, draft float64
				wrong    int // one in so many is, 0: none
				most     float64
				known    float64 // what the bundle says of the draft
			}{
				{0.4, 0.3, 1, 1.03, 0}, {0.4, 0.3, 2, 1.03, 0.3}, {0.7, 0.47, 4, 1.03, 0.47}, {1, 0.1, 3, 1.03, 0}, {0.05, 0.3, 1, 1.03, 0}, {0.4, 0.9, 0, 1.03, 0},
				{0.05, 0.1, 8, 0.6, 0}, {0.2, 0.2, 0, 0.65, 0.2},
			} {
				took := func(draft infer.Drafting) (time.Duration, int) {
					cpu := new(core)
					w := &wholeOnCore{core: cpu, first: pass, further: time.Duration(c.m * float64(pass)), vocab: 512}
					text := make([]int32, 30)
					for i := 30; i < 400; i++ {
						text = append(text, prose(i))
					}
					one := time.Duration(c.draft * float64(pass))
					d := &onCore{scripted: &scripted{vocab: 512, text: text, wrong: func(pos int) bool { return c.wrong > 0 && (pos*7919)%c.wrong == 0 }}, core: cpu, first: one, further: one / 4}
					if place == "the board drafts for the cloud" {
						d.core = new(core)
					}
					m := board(nil).model
					m.Exits, m.Draft = []Exit{{Stage: NewTokenStage()}}, &DraftModel{Stage: d, Cost: c.known}
					o := Options{Mode: Verified, OnLoss: infer.EndAnswer, MaxTokens: tokens, IgnoreEnd: true, Draft: draft}
					var cloud Cloud
					switch place {
					case "the cloud leads":
						o.NoDraftAhead, cloud = true, asCloud{w, 0}
					case "on the board alone":
						o.Mode, m.Exits, m.Whole = Unsplit, nil, w
					default:
						cloud = asCloud{w, pass / 10}
					}
					a, err := NewSession(m, 0, cloud).Generate(t.Context(), make([]int32, 30), o, nil)
					if err != nil || len(a.Tokens) != tokens {
						t.Fatalf("%s: %d tokens, %v", place, len(a.Tokens), err)
					}
					return a.Total, d.rows
				}
				without, _ := took(infer.DraftOff)
				with, rows := took(infer.DraftAuto)
				what := fmt.Sprintf("%s: a further row %v, a draft %v, wrong 1 in %d", place, c.m, c.draft, c.wrong)
				if begin := 6 * pass; with > time.Duration(c.most*float64(without))+begin {
					t.Errorf("%s: %s, without drafts %s", what, with, without)
				}
				if c.most > 1 && place != "the board drafts for the cloud" && rows > 100 {
					t.Errorf("%s: the draft computed %d positions", what, rows)
				}
				t.Logf("%s: %.3f, the draft computed %d positions", what, with.Seconds()/without.Seconds(), rows)
			}
		}
	})
}
