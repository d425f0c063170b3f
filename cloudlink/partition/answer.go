package partition

import (
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"skerry/cloudlink/wire"
)

// logits are one row of a forward pass with their log-sum-exp.
type logits struct {
	row []float32 // [n_vocab]float32
	sum float64
}

// summed adds the log-sum-exp to rows, [n][n_vocab]float32. It is most of the
// work of an answer, a millisecond for a large vocabulary, so that the rows of
// many sessions share the cores.
func summed(rows [][]float32) []logits {
	out := make([]logits, len(rows))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, row := range rows {
		g.Go(func() error {
			out[i] = logits{row, logSumExp(row)}
			return nil
		})
	}
	g.Wait()
	return out
}

// answer picks from the logits what an ask wants.
func answer(a *ask, l logits, queue time.Duration) *wire.Answer {
	var m *wire.Answer
	switch {
	case len(a.Mask) > 0:
		m = picked(a.Ask, among(l.row, a.Mask, int(a.TopK)))
	case a.TopK > 0:
		m = picked(a.Ask, topK(l.row, int(a.TopK)))
	default:
		m = wire.NewAnswer(a.Ask, nil, l.row)
	}
	m.LogSumExp = l.sum
	m.Queue = uint64(max(queue, 0).Microseconds())
	m.Compute = uint64(a.compute.Microseconds())
	m.Rows = uint32(a.rows)
	return m
}

func picked(a *wire.Ask, best []candidate) *wire.Answer {
	ids := make([]int32, len(best))
	logits := make([]float32, len(best))
	for i, c := range best {
		ids[i], logits[i] = c.id, c.logit
	}
	return wire.NewAnswer(a, ids, logits)
}
