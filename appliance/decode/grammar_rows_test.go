package decode

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/infer"
)

// keepingTail keeps the last row for asks that are repeated, as a cloud does, and what was asked.
type keepingTail struct {
	*rowsTail
	pos  int
	row  []float32
	topK []int // of every ask
}

func (c *keepingTail) Truncate(pos int) error {
	if pos <= c.pos {
		c.row = nil
	}
	return c.rowsTail.Truncate(pos)
}

func (c *keepingTail) Ask(ctx context.Context, pos, topK int) (Row, error) {
	c.topK = append(c.topK, topK)
	if c.row == nil || pos != c.pos {
		r, err := c.rowsTail.Ask(ctx, pos, 0)
		if err != nil {
			return r, err
		}
		c.pos, c.row = pos, r.Logits
	}
	return topOf(c.row, topK), nil
}

func (c *keepingTail) AskRows(ctx context.Context, pos, n, topK int) ([]Row, error) {
	c.topK = append(c.topK, topK)
	kept := []Row(nil)
	if first := pos - n + 1; c.row != nil && c.pos == first {
		kept, n = []Row{{Logits: c.row}}, n-1
	}
	rows, err := c.rowsTail.AskRows(ctx, pos, n, 0)
	if err != nil {
		return nil, err
	}
	rows = slices.Concat(kept, rows)
	n = len(rows)
	c.pos, c.row = pos, rows[n-1].Logits
	for i, r := range rows {
		rows[i] = topOf(r.Logits, topK)
	}
	return rows, nil
}

// While a grammar leaves the words to the model, the cloud is asked for the likeliest tokens
// alone; for whole rows from where it binds them, or forbids more than was foreseen. The text
// is the whole model's all the same.
func TestGrammarWantsWholeRowsOnlyWhereItBinds(t *testing.T) {
	r := newRig(t)
	prompt := r.prompt(t, "Tell me about the sea, in one sentence.")
	for name, c := range map[string]struct {
		mode    infer.Mode
		draft   infer.Drafting
		grammar string
		heat    float32
		some    bool // of the asks are for whole rows
	}{
		"call":      {Collaborative, infer.DraftOff, `root ::= words | words [,.] " " list` + "\nwords ::= [^,.]*\nlist ::= \"[\" [0-9] \",\" [0-9] \"]\"", 0, true},
		"checked":   {Verified, infer.DraftModel, `root ::= words | words [,.] " " list` + "\nwords ::= [^,.]*\nlist ::= \"[\" [0-9] \",\" [0-9] \"]\"", 0.8, true},
		"words":     {Collaborative, infer.DraftOff, "root ::= [^{]*", 0.8, false},
		"forbidden": {Verified, infer.DraftModel, "root ::= [b-df-hj-np-tv-z ]*", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{MaxTokens: 20, Sampling: infer.Sampling{Grammar: c.grammar, Temperature: c.heat, TopK: 20, Seed: 5}}
			want := r.unsplit(t, prompt, o)
			s, rows := r.checking(t, nil)
			cloud := &keepingTail{rowsTail: rows}
			s = NewSession(s.model, 0, cloud)
			o.Mode, o.Draft, o.Thresholds = c.mode, c.draft, []float64{1.1, 1.1}
			got := generate(t, s, prompt, o)
			if got.Lost != nil {
				t.Fatalf("the cloud was lost: %v", got.Lost)
			}
			if !reflect.DeepEqual(ids(got), ids(want)) || got.Finish != want.Finish {
				t.Fatalf("%q (%s), want %q (%s)", got.Text, got.Finish, want.Text, want.Finish)
			}
			if got.Asks != len(cloud.topK) {
				t.Errorf("%d asks are counted, the cloud has %d", got.Asks, len(cloud.topK))
			}
			if whole := slices.Contains(cloud.topK, 0); cloud.topK[0] == 0 || whole != c.some {
				t.Errorf("candidates asked for: %v", cloud.topK)
			}
			t.Logf("%q: %v", strings.TrimSpace(got.Text), cloud.topK)
		})
	}
}
