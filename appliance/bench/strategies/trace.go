package strategies

import (
	"context"
	"fmt"

	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// agreement is the share of said tokens that are the unsplit model's greedy token
// after the same tokens (teacher-forced).
func (b *Bench) agreement(ctx context.Context, answers []said) (float64, error) {
	n, equal := 0, 0
	for _, a := range answers {
		likeliest, err := b.likeliest(ctx, a)
		if err != nil {
			return 0, err
		}
		for i, t := range a.tokens {
			if n++; t.ID == likeliest[i] {
				equal++
			}
		}
	}
	return float64(equal) / float64(max(1, n)), nil
}

// likeliest is the unsplit model's token in place of each that was said.
func (b *Bench) likeliest(ctx context.Context, a said) ([]int32, error) {
	text := a.text()
	ids, err := b.Cloud.Likeliest(ctx, text, len(a.prompt)-1)
	if err == nil && len(ids) < len(a.tokens) {
		err = fmt.Errorf("the unsplit model gave %d tokens of %d", len(ids), len(a.tokens))
	}
	return ids, err
}

// text is every token that another followed.
func (a said) text() []int32 {
	text := append([]int32(nil), a.prompt...)
	for _, t := range a.tokens[:max(0, len(a.tokens)-1)] {
		text = append(text, t.ID)
	}
	return text
}

// record computes how sure each exit and the draft were of every token said, and whether
// they, or the cloud, were right.
func (b *Bench) record(ctx context.Context, a said) (sim.Answer, error) {
	r := sim.Answer{Prompt: len(a.prompt), Tokens: make([]sim.Token, len(a.tokens))}
	likeliest, err := b.likeliest(ctx, a)
	if err != nil {
		return r, err
	}
	text := a.text()
	hidden, width := []float32(nil), 0
	for i, e := range b.Edge.Exits {
		if err := e.Stage.Truncate(0, 0); err != nil {
			return r, err
		}
		batch := engine.NewBatch(0, 0, len(text), engine.WantHidden)
		if batch.Hidden = hidden; i == 0 {
			batch.Tokens = text
		}
		out, err := e.Stage.Forward(batch)
		if err != nil {
			return r, err
		}
		hidden, width = out.Hidden, e.Stage.Width()
		for k := range a.tokens {
			row := hidden[(len(a.prompt)-1+k)*width:][:width]
			d, id, err := exitSays(e, row)
			if err != nil {
				return r, err
			}
			t := &r.Tokens[k]
			if t.EqualUp = a.tokens[k].Source != infer.FromCloud || a.tokens[k].ID == likeliest[k]; i == 0 {
				t.C1, t.Equal1 = d.Confidence, id == likeliest[k]
			}
			// With one exit the second is the first.
			t.C2, t.Equal2 = d.Confidence, id == likeliest[k]
		}
	}
	a.matches(&r)
	return r, b.recordDraft(text, likeliest, &r)
}

// recordDraft computes how sure the draft model, where there is one, was of every token said,
// and whether it was right.
func (b *Bench) recordDraft(text, likeliest []int32, r *sim.Answer) error {
	d := b.Edge.Draft
	if d == nil {
		return nil
	}
	if err := d.Stage.Truncate(0, 0); err != nil {
		return err
	}
	batch := engine.NewBatch(0, 0, len(text), 0)
	for i := r.Prompt - 1; i < len(text); i++ {
		batch.Want[i] = engine.WantLogits
	}
	ids, err := d.IDs(text)
	if err != nil {
		return err
	}
	batch.Tokens = ids
	out, err := d.Stage.Forward(batch)
	if err != nil {
		return err
	}
	n := len(out.Logits) / len(r.Tokens)
	for k := range r.Tokens {
		row := d.Logits(out.Logits[k*n:][:n])
		r.Tokens[k].CDraft, r.Tokens[k].EqualDraft = d.Describe(row).Confidence, int32(engine.Best(row)) == likeliest[k]
	}
	return nil
}

func exitSays(e decode.Exit, hidden []float32) (engine.Stats, int32, error) {
	logits, err := e.Head.Logits(hidden)
	if err != nil {
		return engine.Stats{}, 0, err
	}
	id := int32(engine.Best(logits))
	if ids := e.Head.Tokens(); ids != nil {
		id = ids[id]
	}
	return engine.Describe(logits), id, nil
}
