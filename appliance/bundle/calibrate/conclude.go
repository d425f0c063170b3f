package calibrate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

// conclude measures the heads on the report texts, writes those of the exits and
// the manifest. Of c it is given what is known of how they were fitted.
func (r *run) conclude(ctx context.Context, fitted []fittedHead, c *bundle.Calibration, reports []text) (*Result, error) {
	rep := &report{width: r.m.d, depths: len(r.depths), said: counter{said: make([]int, r.b.Manifest.Vocab)}}
	defer func() {
		for _, j := range rep.heads {
			j.head.Close()
		}
	}()
	var raw, own []*judged
	for k := range r.depths {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, h := range []struct {
			fitted *bundle.FittedHead
			to     *[]*judged
		}{{nil, &raw}, {fitted[k].FittedHead, &own}} {
			head, err := NewHead(r.b, h.fitted, r.m.stage, r.m.stage, engine.HeadOptions{Threads: r.opt.Threads})
			if err != nil {
				return nil, err
			}
			j := &judged{head: head, depth: k, all: newTally(), byKind: map[string]*tally{}, trust: map[string]*reliability{}, words: map[int][]word{}}
			*h.to, rep.heads = append(*h.to, j), append(rep.heads, j)
		}
	}
	if err := r.measure(ctx, rep, reports); err != nil {
		return nil, err
	}
	r.opt.Progress("choose how far to believe them", 0, 1)
	c.Texts, c.CoverageReport, c.Depths = r.texts, cover(fitted[0].Shortlist, rep.said.said, rep.said.n), nil
	for k, d := range r.depths {
		c.Depths = append(c.Depths, bundle.CalibrationDepth{Block: d, Raw: raw[k].all.agreement(), Fitted: own[k].all.agreement(),
			RawByKind: raw[k].kinds(), FittedByKind: own[k].kinds()})
	}
	var err error
	if c.Bound, err = r.bound(r.said(own)); err != nil {
		return nil, err
	}
	var heads []bundle.Head
	var kept []*bundle.FittedHead
	for _, e := range r.b.Manifest.Exits {
		k := slices.Index(r.depths, e)
		h := bundle.Head{Exit: e, Kind: bundle.HeadFitted, Measured: own[k].all.measured(), Raw: raw[k].all.measured(),
			Temperature: fitted[k].temperature, ByKind: own[k].reliability()}
		if h.Threshold = threshold(h.Measured, believed); c.Bound != nil {
			h.Threshold = c.Bound.Threshold
		}
		if h.Cost, h.RawCost, err = r.cost(ctx, own[k].head, raw[k].head); err != nil {
			return nil, err
		}
		if e == r.b.Manifest.Exits[len(r.b.Manifest.Exits)-1] {
			if h.FreeText, err = r.freeText(ctx, r.writesAlone(own[k])); err != nil {
				return nil, err
			}
		}
		heads, kept = append(heads, h), append(kept, fitted[k].FittedHead)
	}
	c.PerCheck, c.AfterLookup = r.exitsPerCheck(own, heads)
	var draft *bundle.Draft
	if r.hasDraft {
		switch draft, err = r.measureDraft(ctx); {
		case errors.Is(err, bundle.ErrDraft): // the heads are fitted all the same
			r.opt.noteNoDraft(err)
			draft = nil
		case err != nil:
			return nil, err
		}
	}
	if err := r.b.SetHeads(ctx, kept, heads, c); err != nil {
		return nil, err
	}
	res := &Result{Heads: r.b.Manifest.Heads, Calibration: c}
	if draft != nil {
		if err := r.b.SetDraft(*draft); err != nil {
			return nil, err
		}
		res.Draft = r.b.Manifest.Draft
	}
	return res, nil
}

// measure runs the report texts.
func (r *run) measure(ctx context.Context, rep *report, reports []text) error {
	sources := []source{{kindChat, ownAnswers, "report", r.opt.answerParts(reportForms, reportTopics, false), r.opt.report, 0}}
	for _, t := range reports {
		sources = append(sources, source{t.kind, t.source, "report", reportParts(t.docs, r.opt.Seed), r.opt.report, 0})
	}
	if r.opt.MaxDisagreement > 0 {
		for i := range sources {
			sources[i].texts = documentsFor(r.opt.MaxDisagreement)
		}
	}
	weight := 1
	if len(rep.heads) > 0 { // which say something on every token
		weight = 2
	}
	r.begin("measure", sources, weight)
	for _, s := range sources {
		rep.kind = s.kind
		take := func(ctx context.Context, d *document) error {
			r.quotedReport = append(r.quotedReport, quote(s.kind, d))
			err := rep.take(ctx, d)
			r.progress((weight - 1) * d.rows())
			return err
		}
		if _, err := r.consume(ctx, s, take); err != nil {
			return err
		}
	}
	return nil
}

// NewHead makes the exit head f adds to the norm of one stage and the LM head of
// another; of nil f, the model's own. Options say threads and polling.
func NewHead(b *bundle.Bundle, f *bundle.FittedHead, norm, lm *engine.Stage, o engine.HeadOptions) (*engine.Head, error) {
	o.Norm, o.LM = norm, lm
	if f != nil {
		rows, _, err := b.LMRows(f.Shortlist)
		if err != nil {
			return nil, err
		}
		o.Translator, o.Bias, o.Shortlist, o.ShortlistRows = f.Translator, f.Bias, f.Shortlist, rows
	}
	return engine.NewHead(o)
}

// NewFullHead is NewHead over the whole vocabulary, for decode.Exit.Full: what the
// fitted head says where a grammar forbids all of its shortlist. It keeps a
// translator of its own, n_embd squared float16.
func NewFullHead(f *bundle.FittedHead, norm, lm *engine.Stage, o engine.HeadOptions) (*engine.Head, error) {
	o.Norm, o.LM = norm, lm
	if f != nil {
		o.Translator, o.Bias = f.Translator, f.Bias
	}
	return engine.NewHead(o)
}

// cost times one token through two heads and the whole model, in turn, and gives
// the heads' medians as shares of the model's.
func (r *run) cost(ctx context.Context, fitted, raw *engine.Head) (a, b float64, err error) {
	h := make([]float32, r.m.d)
	if err := r.m.stage.Truncate(0, 0); err != nil {
		return 0, 0, err
	}
	times, err := takeTurns(ctx,
		func(int) error { _, err := fitted.Logits(h); return err },
		func(int) error { _, err := raw.Logits(h); return err },
		func(i int) error {
			pass := engine.NewBatch(0, i, 1, engine.WantHidden|engine.WantLogits)
			pass.Tokens = []int32{int32(i)}
			_, err := r.m.stage.Forward(pass)
			return err
		})
	if err != nil {
		return 0, 0, fmt.Errorf("timing the heads: %w", err)
	}
	whole := float64(times[2])
	return float64(times[0]) / whole, float64(times[1]) / whole, nil
}
