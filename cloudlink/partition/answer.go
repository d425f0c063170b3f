package partition

import (
	"time"

	"skerry/cloudlink/wire"
)

// answer picks from row, [n_vocab]float32, what an ask wants.
func answer(a *ask, row []float32, queue time.Duration) *wire.Answer {
	var m *wire.Answer
	switch {
	case len(a.Mask) > 0:
		m = picked(a.Ask, among(row, a.Mask, int(a.TopK)))
	case a.TopK > 0:
		m = picked(a.Ask, topK(row, int(a.TopK)))
	default:
		m = wire.NewAnswer(a.Ask, nil, row)
	}
	m.LogSumExp = logSumExp(row)
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
