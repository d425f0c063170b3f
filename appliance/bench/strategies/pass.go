package strategies

import (
	"context"
	"fmt"
	"slices"
	"time"

	"skerry/appliance/bench"
	"skerry/appliance/engine"
	"skerry/appliance/predict"
)

// Pass is what the whole model takes on one thread, by the size of a batch.
type Pass struct {
	T    float64       `json:"T_s"`         // one position, in seconds
	Last predict.Batch `json:"logits_last"` // with the logits of the last position alone
	All  predict.Batch `json:"logits_all"`  // with those of all, as drafts are checked
}

// BatchOf are the marginal costs of batches of these rows that took so long, each several times,
// where one position takes t. Times are in seconds.
func BatchOf(t float64, rows []int, times [][]float64) (b predict.Batch) {
	for i, n := range rows {
		b = append(b, predict.BatchPoint{Rows: n, Share: max((bench.Median(times[i])/t-1)/float64(n-1), 0)})
	}
	return b
}

// m is the marginal cost in a batch of eight.
func m(b predict.Batch) float64 {
	if i := slices.IndexFunc(b, func(p predict.BatchPoint) bool { return p.Rows == 8 }); i >= 0 {
		return b[i].Share
	}
	return 0
}

// pass measures the cloud's pass once more.
func (b *Bench) pass(ctx context.Context) error {
	p, err := b.Cloud.Pass(ctx)
	if err == nil && !(p.T > 0) {
		err = fmt.Errorf("a pass of the cloud took %g s", p.T)
	}
	b.passes = append(b.passes, p)
	return err
}

// medianPass is the median of what was measured of the cloud's pass.
func medianPass(passes []Pass) (p Pass) {
	if len(passes) == 0 {
		return p
	}
	of := func(batch func(Pass) predict.Batch) (out predict.Batch) {
		for i, point := range batch(passes[0]) {
			point.Share = bench.Median(figures(passes, func(p Pass) float64 { return batch(p)[i].Share }))
			out = append(out, point)
		}
		return out
	}
	p.T = bench.Median(figures(passes, func(p Pass) float64 { return p.T }))
	p.Last, p.All = of(func(p Pass) predict.Batch { return p.Last }), of(func(p Pass) predict.Batch { return p.All })
	return p
}

// figures is one of each.
func figures[T any](all []T, of func(T) float64) []float64 {
	out := make([]float64, len(all))
	for i, v := range all {
		out[i] = of(v)
	}
	return out
}

// Of the measurement of the edge: positions before the batch, how often each is timed, and the
// sizes, the largest as prompts are read.
const (
	edgeAfter = 32
	edgeTimes = 5
)

var edgeRows = []int{1, 2, 4, 8, 32}

// edgePass times what the edge computes: of its first stage a position in seconds and what further
// ones of a batch cost, and a token of the draft model, or of all exits, in seconds. The edge is not
// slowed down meanwhile.
func (b *Bench) edgePass() (stage float64, batch predict.Batch, token float64, err error) {
	b.report("measure the edge", 0, 0)
	b.forget()
	if token, err = b.draftTime(); err != nil || len(b.Edge.Exits) == 0 {
		return 0, nil, token, err
	}
	s := b.Edge.Exits[0].Stage
	timed := func(at, rows int) (float64, error) {
		x := engine.NewBatch(0, at, rows, engine.WantHidden)
		x.Tokens = make([]int32, rows)
		if err := s.Truncate(0, at); err != nil {
			return 0, err
		}
		start := time.Now()
		_, err := s.Forward(x)
		return time.Since(start).Seconds(), err
	}
	if _, err := timed(0, edgeAfter); err != nil {
		return 0, nil, 0, err
	}
	times := make([][]float64, len(edgeRows))
	for range edgeTimes {
		for i, rows := range edgeRows {
			took, err := timed(edgeAfter, rows)
			if err != nil {
				return 0, nil, 0, err
			}
			times[i] = append(times[i], took)
		}
	}
	stage = bench.Median(times[0])
	return stage, BatchOf(stage, edgeRows[1:], times[1:]), token, nil
}
