package decode

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"skerry/appliance/bench"
	"skerry/appliance/engine"
)

// BatchCost is the time t(b) of a batch of b positions after a short prompt, and
// the marginal cost of a further position, m(b) = (t(b)-t(1)) / ((b-1) t(1)): 0 is
// free, 1 as much as a pass of its own.
type BatchCost struct {
	Threads int `json:"threads"`
	Batch   int `json:"batch"`
	// Logits is "last", as when a stage catches up, or "all", as when a draft is
	// verified.
	Logits       string           `json:"logits"`
	Milliseconds *bench.Quartiles `json:"ms"`
	M            *bench.Quartiles `json:"m"` // nil for a batch of 1
}

// batchStart is what the KV cache holds before the batch, batchRepeats how often
// a batch is computed in a turn, of which the median counts: the first of a new
// size also builds its graph.
const (
	batchStart   = 64
	batchRepeats = 3
	batchRounds  = 7
)

// batchCosts measures the model's batch sizes with each of its thread counts, in
// rounds as everything else.
func batchCosts(ctx context.Context, s Model, path string, o Options, deadline time.Time, rng *rand.Rand) ([]BatchCost, error) {
	costs := []BatchCost{}
	for i, threads := range s.BatchThreads {
		part := time.Until(deadline) / time.Duration(len(s.BatchThreads)-i)
		c, err := batchesOn(ctx, s, path, o, threads, time.Now().Add(part), rng)
		if err != nil {
			return nil, err
		}
		costs = append(costs, c...)
	}
	return costs, nil
}

func batchesOn(ctx context.Context, s Model, path string, o Options, threads int, deadline time.Time, rng *rand.Rand) ([]BatchCost, error) {
	sizes := slices.Compact(slices.Sorted(slices.Values(append([]int{1}, s.Batches...))))
	most := max(batchStart, sizes[len(sizes)-1])
	stage, err := engine.OpenStage(path, engine.Options{Context: batchStart + most, Rows: most, Threads: threads, Poll: o.Poll})
	if err != nil {
		return nil, err
	}
	defer stage.Close()
	tokens := tokensFrom(rng, stage.VocabSize(), batchStart+most)
	if err := (&chain{stages: []*engine.Stage{stage}}).forward(0, tokens[:batchStart]); err != nil {
		return nil, err
	}
	points := batchPoints(threads, sizes)
	times := make([][]float64, len(points))
	step := fmt.Sprintf("%s: batches on %d threads", s.Name, threads)
	for n := 0; n < min(batchRounds, o.Rounds); n++ {
		o.report(step, n, min(batchRounds, o.Rounds))
		round := make([]float64, len(points))
		for _, i := range rng.Perm(len(points)) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if n > 0 && time.Now().After(deadline) {
				return costsOf(points, times), nil
			}
			if round[i], err = timeBatch(stage, tokens[batchStart:], points[i]); err != nil {
				return nil, err
			}
		}
		for i, v := range round {
			times[i] = append(times[i], v)
		}
	}
	return costsOf(points, times), nil
}

// batchPoints are the batches to time: a batch of 1 first, which is the same
// either way.
func batchPoints(threads int, sizes []int) []BatchCost {
	points := []BatchCost{{Threads: threads, Batch: 1, Logits: "last"}}
	for _, b := range sizes[1:] {
		points = append(points, BatchCost{Threads: threads, Batch: b, Logits: "last"}, BatchCost{Threads: threads, Batch: b, Logits: "all"})
	}
	return points
}

func timeBatch(s *engine.Stage, tokens []int32, p BatchCost) (float64, error) {
	b := engine.NewBatch(0, batchStart, p.Batch, 0)
	b.Tokens = tokens[:p.Batch]
	for i := range b.Want {
		if p.Logits == "all" || i == p.Batch-1 {
			b.Want[i] = engine.WantLogits
		}
	}
	var t []float64
	for range batchRepeats {
		if err := s.Truncate(0, batchStart); err != nil {
			return 0, err
		}
		start := time.Now()
		if _, err := s.Forward(b); err != nil {
			return 0, err
		}
		t = append(t, time.Since(start).Seconds())
	}
	return bench.Median(t), nil
}

// costsOf fills in the quartiles; times are in seconds by point and round.
func costsOf(points []BatchCost, times [][]float64) []BatchCost {
	for i := range points {
		p := &points[i]
		var ms, m []float64
		for n, t := range times[i] {
			ms = append(ms, t*1000)
			one := times[0][n]
			m = append(m, (t-one)/(float64(p.Batch-1)*one))
		}
		p.Milliseconds = bench.QuartilesOf(ms)
		if p.Batch > 1 {
			p.M = bench.QuartilesOf(m)
		}
	}
	return points
}
