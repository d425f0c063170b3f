package remote

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/cloudlink/partition"
)

const fakeWords = 23

// nextWord is what the fake models say after a text: a text that soon repeats itself.
func nextWord(text []int32) int32 {
	n, sum := len(text), int32(0)
	for _, id := range text[max(0, n-2):] {
		sum = 5*sum + id
	}
	return (sum + 3) % fakeWords
}

// fakeWhole is a whole model that refuses whatever an engine's stage would refuse.
type fakeWhole struct {
	texts  map[int][]int32
	passes int
	rows   int
}

func (w *fakeWhole) Vocab() int            { return fakeWords }
func (w *fakeWhole) Sequences() int        { return 2 }
func (w *fakeWhole) Context() int          { return 400 }
func (w *fakeWhole) MaxRows() int          { return 64 }
func (w *fakeWhole) Bytes() (int64, int64) { return 1, 1 }
func (w *fakeWhole) Truncate(seq, pos int) error {
	if pos < len(w.texts[seq]) {
		w.texts[seq] = slices.Clone(w.texts[seq][:pos])
	}
	return nil
}

func (w *fakeWhole) Forward(rows partition.Rows) (logits []float32, err error) {
	w.passes++
	w.rows += rows.Len()
	for i := range rows.Seq {
		seq, pos := int(rows.Seq[i]), int(rows.Pos[i])
		if pos != len(w.texts[seq]) || pos >= w.Context() {
			return nil, fmt.Errorf("sequence %d has %d positions, and one comes at %d", seq, len(w.texts[seq]), pos)
		}
		w.texts[seq] = append(w.texts[seq], rows.Tokens[i])
		if rows.Wanted[i] {
			row := make([]float32, fakeWords)
			row[nextWord(w.texts[seq])] = 9
			logits = append(logits, row...)
		}
	}
	time.Sleep(time.Millisecond) // a pass costs more than a draft
	return logits, nil
}

// fakeDraft says what the whole model says, but for every fifth position.
type fakeDraft struct{ texts map[int][]int32 }

func (d *fakeDraft) Width() int { return 1 }
func (d *fakeDraft) Truncate(seq, pos int) error {
	if pos < len(d.texts[seq]) {
		d.texts[seq] = slices.Clone(d.texts[seq][:pos])
	}
	return nil
}

func (d *fakeDraft) Forward(b engine.Batch) (out engine.Output, err error) {
	for i := range b.Seq {
		seq, pos := int(b.Seq[i]), int(b.Pos[i])
		if pos != len(d.texts[seq]) {
			return out, fmt.Errorf("the draft has %d positions, and one comes at %d", len(d.texts[seq]), pos)
		}
		d.texts[seq] = append(d.texts[seq], b.Tokens[i])
		if b.Want[i] == engine.WantLogits {
			row := make([]float32, fakeWords)
			id := nextWord(d.texts[seq])
			if len(d.texts[seq])%5 == 0 {
				id = (id + 1) % fakeWords
			}
			row[id] = 9
			out.Logits = append(out.Logits, row...)
		}
	}
	return out, nil
}

// Whatever is drafted, and however the texts of two sessions go on, are cut and begun anew, every
// row is that of the model without drafts; and where the text goes on as the model says there
// are fewer passes than tokens.
func TestCloudDraftsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, model := range []bool{false, true} {
			rng := rand.New(rand.NewPCG(14, 5))
			with, without := &fakeWhole{texts: map[int][]int32{}}, &fakeWhole{texts: map[int][]int32{}}
			w := &draftingWhole{wholeStage: with, count: func(int, time.Time) {}}
			if model {
				w.draft = &decode.DraftModel{Stage: &fakeDraft{map[int][]int32{}}}
			}
			w.on.Store(true)
			forward := func(rows partition.Rows) []float32 {
				t.Helper()
				got, err := w.Forward(rows)
				want, wantErr := without.Forward(rows)
				if err != nil || wantErr != nil || !slices.Equal(got, want) {
					t.Fatalf("model %v: %v, without drafts %v, rows equal: %v", model, err, wantErr, slices.Equal(got, want))
				}
				return got
			}
			said := 0
			for range 40 {
				seq := rng.IntN(2)
				switch n := len(without.texts[seq]); {
				case n == 0 || n > 300 || rng.IntN(8) == 0: // a new text, with a prompt
					cut := 0
					if n < 300 && rng.IntN(2) == 0 {
						cut = rng.IntN(n + 1)
					}
					if err := w.Truncate(seq, cut); err != nil {
						t.Fatal(err)
					}
					without.Truncate(seq, cut)
					rows := partition.Rows{}
					for i := range 2 + rng.IntN(6) {
						rows.Seq, rows.Pos = append(rows.Seq, int32(seq)), append(rows.Pos, int32(cut+i))
						rows.Tokens, rows.Wanted = append(rows.Tokens, rng.Int32N(fakeWords)), append(rows.Wanted, false)
					}
					rows.Wanted[len(rows.Wanted)-1] = true
					forward(rows)
				default: // it goes on, as the model says or otherwise
					for range 1 + rng.IntN(30) {
						text := without.texts[seq]
						id := nextWord(text)
						if rng.IntN(12) == 0 {
							id = rng.Int32N(fakeWords)
						}
						forward(partition.Rows{Seq: []int32{int32(seq)}, Pos: []int32{int32(len(text))}, Tokens: []int32{id}, Wanted: []bool{true}})
						said++
					}
				}
			}
			if with.passes >= without.passes {
				t.Errorf("model %v: %d passes for %d tokens, %d without drafts", model, with.passes, said, without.passes)
			}
			t.Logf("model %v: %d passes of %d rows, without drafts %d of %d", model, with.passes, with.rows, without.passes, without.rows)
		}
	})
}

// What is switched off drafts nothing.
func TestCloudDraftsNothingUnasked(t *testing.T) {
	whole := &fakeWhole{texts: map[int][]int32{}}
	w := &draftingWhole{wholeStage: whole, count: func(int, time.Time) {}}
	for i := range 60 {
		if _, err := w.Forward(partition.Rows{Seq: []int32{0}, Pos: []int32{int32(i)}, Tokens: []int32{nextWord(whole.texts[0])}, Wanted: []bool{true}}); err != nil {
			t.Fatal(err)
		}
	}
	if whole.rows != 60 || whole.passes != 60 {
		t.Errorf("%d rows in %d passes", whole.rows, whole.passes)
	}
}
