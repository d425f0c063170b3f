package calibrate

import (
	"context"
	"fmt"
	"math"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

// How much is written to see whether it makes sense.
const (
	freePrompts = 10
	freeTokens  = 64 // of each answer
	sampleChars = 240
)

const freeStep = "write alone"

// writer goes on greedily after a prompt, to the end of the answer or for freeTokens.
type writer func(ctx context.Context, prompt []int32) ([]int32, error)

// freeText compares what a writer writes with the whole model's answers to prompts of the
// report; nil where there are none.
func (r *run) freeText(ctx context.Context, write writer) (*bundle.FreeText, error) {
	f := &bundle.FreeText{}
	var own, whole sense
	for _, q := range r.quotedReport {
		if q.kind != kindChat || f.Prompts == freePrompts {
			continue
		}
		r.opt.Progress(freeStep, int64(f.Prompts), freePrompts)
		prompt, answer := q.tokens[:q.from+1], q.tokens[q.from+1:]
		text, err := write(ctx, prompt)
		if err != nil {
			return nil, err
		}
		if err := own.add(ctx, r.m, prompt, text); err != nil {
			return nil, err
		}
		if err := whole.add(ctx, r.m, prompt, answer[:min(len(answer), freeTokens)]); err != nil {
			return nil, err
		}
		if f.Prompts++; f.Prompts == 1 {
			f.Sample = r.m.text(text)
		}
	}
	if f.Prompts == 0 {
		return nil, nil
	}
	f.Tokens, f.Perplexity, f.Distinct = own.tokens, own.perplexity(), own.distinct()
	f.WholePerplexity, f.WholeDistinct = whole.perplexity(), whole.distinct()
	return f, nil
}

// sense adds up how likely texts are, and how far they repeat themselves.
type sense struct {
	tokens              int
	surprise            float64 // nats
	trigrams, different int
}

func (s *sense) add(ctx context.Context, m *model, prompt, text []int32) error {
	surprise, err := m.surprise(ctx, prompt, text)
	if err != nil {
		return err
	}
	s.tokens += len(text)
	s.surprise += surprise
	seen := map[[3]int32]bool{}
	for i := 2; i < len(text); i++ {
		seen[[3]int32(text[i-2:i+1])] = true
		s.trigrams++
	}
	s.different += len(seen)
	return nil
}

func (s *sense) perplexity() float64 { return math.Exp(s.surprise / float64(max(1, s.tokens))) }

func (s *sense) distinct() float64 { return ratio(s.different, s.trigrams) }

// surprise is the negative log-likelihood of a text after a prompt, in nats.
func (m *model) surprise(ctx context.Context, prompt, text []int32) (sum float64, err error) {
	if len(text) == 0 {
		return 0, nil
	}
	ids := append(prompt[:len(prompt):len(prompt)], text...)
	if err := m.stage.Truncate(0, 0); err != nil {
		return 0, err
	}
	ids = ids[:len(ids)-1] // nothing follows the last
	v := m.stage.VocabSize()
	for at := 0; at < len(ids); at += reportRows {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n := min(reportRows, len(ids)-at)
		b := engine.NewBatch(0, at, n, m.want())
		b.Tokens = ids[at : at+n]
		first := max(at, len(prompt)-1) // whose logits are wanted
		for i := first; i < at+n; i++ {
			b.Want[i-at] |= engine.WantLogits
		}
		out, err := m.stage.Forward(b)
		if err != nil {
			return 0, err
		}
		for i := first; i < at+n; i++ {
			row := out.Logits[(i-first)*v : (i-first+1)*v]
			sum += engine.Describe(row).LogSumExp - float64(row[text[i-len(prompt)+1]])
		}
	}
	return sum, nil
}

// text of tokens, on one line and not long.
func (m *model) text(ids []int32) string {
	var b strings.Builder
	for _, id := range ids {
		b.Write(m.vocab.Piece(id, false))
	}
	s := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(b.String(), "")), " "))
	return string(s[:min(len(s), sampleChars)])
}

// writesAlone is an exit that writes: its depth is one of those that the model's hidden
// states are taken after.
func (r *run) writesAlone(j *judged) writer {
	return func(ctx context.Context, prompt []int32) (text []int32, err error) {
		if err := r.m.stage.Truncate(0, 0); err != nil {
			return nil, err
		}
		for at, ids := 0, prompt; ; {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			b := engine.NewBatch(0, at, len(ids), engine.WantHidden)
			b.Tokens = ids
			out, err := r.m.stage.Forward(b)
			if err != nil {
				return nil, err
			}
			at += len(ids)
			row, err := j.head.Logits(out.Also[j.depth][(len(ids)-1)*r.m.d : len(ids)*r.m.d])
			if err != nil {
				return nil, err
			}
			id := int32(engine.Best(row))
			if list := j.head.Tokens(); list != nil {
				id = list[id]
			}
			if r.m.vocab.End(id) {
				return text, nil
			}
			if text = append(text, id); len(text) == freeTokens {
				return text, nil
			}
			ids = []int32{id}
		}
	}
}

// writesAlone is the draft model that writes.
func (d *draft) writesAlone(end func(id int32) bool) writer {
	return func(ctx context.Context, prompt []int32) (text []int32, err error) {
		ids, err := d.as.IDs(prompt)
		if err != nil || len(ids) >= d.limit { // it has nothing to say to it
			return nil, nil
		}
		if err := d.stage.Truncate(0, 0); err != nil {
			return nil, err
		}
		for at := 0; ; {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			b := engine.NewBatch(0, at, len(ids), 0)
			b.Tokens, b.Want[len(ids)-1] = ids, engine.WantLogits
			out, err := d.stage.Forward(b)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", bundle.ErrDraft, err)
			}
			at += len(ids)
			id := int32(engine.Best(d.as.Logits(out.Logits)))
			if end(id) {
				return text, nil
			}
			if text = append(text, id); len(text) == freeTokens || at == d.limit {
				return text, nil
			}
			if ids, err = d.as.IDs([]int32{id}); err != nil {
				return nil, err
			}
		}
	}
}
