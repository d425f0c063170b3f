package decode

import (
	"context"
	"errors"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/infer"
)

// Unsplit runs the whole model in this process: it is the oracle. It checks what is drafted,
// where that is faster; its text is the same without.
const Unsplit infer.Mode = "unsplit"

var _ = register(ModeSpec{
	ModeInfo: infer.ModeInfo{
		Name: Unsplit, Help: "the whole model on the board", Served: true,
		Sources: []infer.Source{infer.FromLookup, infer.FromDraft, infer.FromUnsplit},
	},
	Stages:     WholeModel,
	Speculates: true,
	step:       (*loop).unsplit,
})

// unsplit samples the whole model.
func (l *loop) unsplit(ctx context.Context) ([]infer.Token, error) {
	ds, err := l.draftTokens(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := l.checkWhole(ctx, ds)
	if full := new(engine.ContextFullError); errors.As(err, &full) && len(ds) > 0 {
		ds, l.draftsFailed = nil, true // the stage has a smaller context than the model
		rows, err = l.checkWhole(ctx, nil)
	}
	if err != nil {
		return nil, err
	}
	accepted, err := l.decide(ds, rows, infer.Token{Source: infer.FromUnsplit, Why: infer.WhyUnsplit})
	if accepted == len(ds) {
		l.computed(accepted)
		return nil, err
	}
	valid := l.head + accepted
	err = errors.Join(err, l.model.Whole.Truncate(l.seq, valid))
	l.computed(accepted)
	return nil, err
}

// checkWhole computes the whole model through the last token and the drafted ones behind it,
// and returns the rows after each of these. The drafted positions do not count as computed
// yet.
func (l *loop) checkWhole(ctx context.Context, ds []drafted) ([]Row, error) {
	if len(ds) == 0 {
		single, start := l.head+1 == len(l.tokens), time.Now()
		err := l.advanceWhole(ctx)
		if err == nil && single {
			l.verifier().Took(1, since(start))
		}
		return []Row{{Logits: l.row}}, err
	}
	n, start := 1+len(ds), time.Now()
	b := engine.NewBatch(l.seq, l.head, n, engine.WantLogits)
	b.Tokens = append(make([]int32, 0, n), l.tokens[l.head])
	for _, d := range ds {
		b.Tokens = append(b.Tokens, d.id)
	}
	out, err := l.model.Whole.Forward(b)
	if err != nil {
		return nil, err
	}
	l.verifier().Took(n, since(start))
	l.computed(1)
	rows, size := make([]Row, n), len(out.Logits)/n
	for i := range rows {
		rows[i].Logits = out.Logits[i*size : (i+1)*size]
	}
	return rows, nil
}
