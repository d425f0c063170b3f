package plan

import (
	"context"
	"fmt"
	"slices"
	"time"

	"skerry/appliance/engine"
	"skerry/appliance/predict"
)

// Measured is what passes took on this machine.
type Measured struct {
	Pass  float64       `json:"pass_s"` // of the whole model for one token, in seconds
	Batch predict.Batch `json:"batch"`
	Draft float64       `json:"draft_s,omitempty"` // of the draft model for one token
}

// Of the measurement: positions before it, and passes of each size, of which the median
// counts.
const (
	measureAfter  = 32
	measurePasses = 5
)

var measureRows = []int{2, 4, 8, 16}

// Measure runs the whole model, and its draft model where there is one, on this machine with
// so many threads (0: the cores less one). The whole model has to be here.
func Measure(ctx context.Context, m *Model, threads int) (*Measured, error) {
	if m.whole == "" {
		return nil, fmt.Errorf("%s holds no unsplit model, which is what is measured: give the board's pass with --pass", m.Name)
	}
	engine.Init("")
	one, batch, err := passes(ctx, m.whole, threads, measureRows)
	if err != nil {
		return nil, err
	}
	out := &Measured{Pass: one}
	for i, rows := range measureRows {
		out.Batch = append(out.Batch, predict.BatchPoint{Rows: rows, Share: max((batch[i]/one-1)/float64(rows-1), 0)})
	}
	for _, d := range m.drafts {
		if d.file == "" {
			continue
		}
		if out.Draft, _, err = passes(ctx, d.file, threads, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// passes are the median times of a pass of one position, and of batches of the sizes, with
// the logits of every row, in seconds.
func passes(ctx context.Context, path string, threads int, sizes []int) (one float64, batch []float64, err error) {
	longest := measureAfter + 1
	if len(sizes) > 0 {
		longest = measureAfter + slices.Max(sizes)
	}
	stage, err := engine.OpenStage(path, engine.Options{Context: longest, Threads: threads})
	if err != nil {
		return 0, nil, err
	}
	defer stage.Close()
	run := func(pos, rows int) (float64, error) {
		b := engine.NewBatch(0, pos, rows, engine.WantLogits)
		b.Tokens = make([]int32, rows)
		for i := range b.Tokens {
			b.Tokens[i] = int32((pos + i) % stage.VocabSize())
		}
		start := time.Now()
		_, err := stage.Forward(b)
		return time.Since(start).Seconds(), err
	}
	if _, err := run(0, measureAfter); err != nil {
		return 0, nil, err
	}
	for _, rows := range slices.Concat([]int{1}, sizes) {
		var took []float64
		for range measurePasses {
			if err := ctx.Err(); err != nil {
				return 0, nil, err
			}
			t, err := run(measureAfter, rows)
			if err == nil {
				err = stage.Truncate(0, measureAfter)
			}
			if err != nil {
				return 0, nil, err
			}
			took = append(took, t)
		}
		slices.Sort(took)
		if median := took[len(took)/2]; rows == 1 {
			one = median
		} else {
			batch = append(batch, median)
		}
	}
	return one, batch, nil
}
