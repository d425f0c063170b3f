package plan

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

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
	one, batch, err := passesBy(ctx, wallTime, m.whole, threads, measureRows)
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
		if out.Draft, _, err = passesBy(ctx, wallTime, d.file, threads, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// wallTime and processorTime are clocks that passes are timed by.
var began = time.Now()

func wallTime() time.Duration { return time.Since(began) }

// processorTime is what all threads of this process have computed; it hardly depends on what else
// the machine does.
func processorTime() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil { // which Linux always answers
		return wallTime()
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// passesBy are the median times, by a clock, of a pass of one position, and of batches of the sizes,
// with the logits of every row, in seconds. What else is to be done with the model is done afterwards.
func passesBy(ctx context.Context, clock func() time.Duration, path string, threads int, sizes []int, also ...func(*engine.Stage) error) (one float64, batch []float64, err error) {
	longest := max(measureAfter+1, comparedTokens)
	if len(sizes) > 0 {
		longest = max(longest, measureAfter+slices.Max(sizes))
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
		start := clock()
		_, err := stage.Forward(b)
		return (clock() - start).Seconds(), err
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
	for _, f := range also {
		if err := f(stage); err != nil {
			return 0, nil, err
		}
	}
	return one, batch, nil
}
