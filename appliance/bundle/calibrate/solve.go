package calibrate

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"runtime/debug"
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/engine"
)

// learningRate of the descent, in units of the translator's entries.
const learningRate = 1e-3

// solve fits the head of every depth, and refines those of the exits.
func (r *run) solve(ctx context.Context) (heads []fittedHead, coverage float64, err error) {
	ranked := rank(r.counts)
	list, coverage := choose(ranked, r.tune.said, r.ends())
	if r.opt.Steps > 0 {
		if err := r.shareLM(ranked[:min(len(list), stepTokens)]); err != nil {
			return nil, 0, err
		}
	}
	steps, refined := max(0, r.opt.Steps), 0
	for k, g := range r.fit.grams {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		r.opt.Progress("solve the regressions", int64(k), int64(len(r.fit.grams)))
		t, b, err := g.solve(ctx)
		r.fit.grams[k] = nil // so that there is room for the head
		if err != nil {
			return nil, 0, err
		}
		heads = append(heads, fittedHead{&bundle.FittedHead{Exit: r.depths[k], Translator: t, Bias: b, Shortlist: list}, 1})
	}
	for k, head := range heads {
		if !slices.Contains(r.b.Manifest.Exits, head.Exit) { // the regression is enough to compare by
			continue
		}
		f := &refiner{f: r.fitter, s: r.fit.sample, d: r.m.d, depth: k, steps: steps, rate: learningRate, seed: r.opt.Seed}
		err = f.run(ctx, head.Translator, head.Bias, func(step int, loss float64) {
			r.opt.Progress("refine", int64(refined*steps+step), int64(len(r.b.Manifest.Exits)*steps))
		})
		if err != nil {
			return nil, 0, err
		}
		refined++
		if heads[k].temperature, err = r.temper(ctx, head.FittedHead, k); err != nil {
			return nil, 0, err
		}
	}
	r.fit.chunk, r.fit.scratch, r.fit.sample, r.tuned = nil, nil, nil, nil // and for the report
	debug.FreeOSMemory()
	return heads, coverage, nil
}

// ends are the tokens that end an answer: without them an exit could never stop.
func (r *run) ends() []int32 {
	var out []int32
	for id := range int32(r.b.Manifest.Vocab) {
		if r.m.vocab.End(id) {
			out = append(out, id)
		}
	}
	return out
}

// shareLM gives the fitter some rows of the LM head.
func (r *run) shareLM(list []int32) error {
	rows, ty, err := r.b.LMRows(list)
	if err != nil {
		return err
	}
	raw, err := engine.Requantize(int32(gguf.F32), int32(ty), r.m.d, rows)
	if err != nil {
		return fmt.Errorf("the LM head in %v: %w", ty, err)
	}
	lm := make([]float32, len(raw)/4)
	for i := range lm {
		lm[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return r.fitter.SetLM(lm, r.m.d)
}
