package calibrate

import (
	"context"
	"math"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
)

// fittedHead is a head and what its logits were divided by.
type fittedHead struct {
	*bundle.FittedHead
	temperature float64
}

// temperRows is how many positions of the tune texts the temperature is chosen on.
const temperRows = 768

// temperBytes bounds their logits.
const temperBytes = 96 << 20

// temper finds the temperature at which the head of depth k gives the whole model's greedy
// tokens of the tune texts the highest likelihood (Guo et al., arXiv 1706.04599), and
// divides the head's logits by it for good: translator and bias are scaled, so that it
// costs nothing where the head is used.
func (r *run) temper(ctx context.Context, h *bundle.FittedHead, k int) (float64, error) {
	head, err := NewHead(r.b, h, r.m.stage, r.m.stage, engine.HeadOptions{Threads: r.opt.Threads})
	if err != nil {
		return 0, err
	}
	defer head.Close()
	at := map[int32]int{}
	for i, id := range h.Shortlist {
		at[id] = i
	}
	most := max(1, min(temperRows, temperBytes/4/len(h.Shortlist)))
	every := max(1, r.tune.n/most)
	var rows [][]float32
	var want []int
	seen := 0
	for _, d := range r.tuned {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		for i, id := range d.greedy {
			seen++
			if at, ok := at[id]; ok && seen%every == 0 {
				hidden := make([]float32, r.m.d)
				d.stream(i, k, len(r.depths), hidden)
				row, err := head.Logits(hidden)
				if err != nil {
					return 0, err
				}
				rows, want = append(rows, row), append(want, at)
			}
		}
	}
	if len(rows) == 0 {
		return 1, nil
	}
	t, err := coldest(ctx, func(t float64) float64 { return surprise(rows, want, t) })
	if err != nil {
		return 0, err
	}
	for _, v := range [][]float32{h.Translator, h.Bias} {
		for i := range v {
			v[i] /= float32(t)
		}
	}
	return t, nil
}

// surprise is the mean negative log-likelihood of the wanted entries of rows of logits, in
// nats, with the logits divided by t.
func surprise(rows [][]float32, want []int, t float64) float64 {
	sum := 0.0
	for i, row := range rows {
		most := float64(row[engine.Best(row)])
		z := 0.0
		for _, v := range row {
			if x := (float64(v) - most) / t; x > -30 {
				z += math.Exp(x)
			}
		}
		sum += math.Log(z) - (float64(row[want[i]])-most)/t
	}
	return sum / float64(len(rows))
}

// coldest finds the temperature of least cost between a half and two, by golden section:
// in the inverse of the temperature the cost is convex. The error is the context's.
func coldest(ctx context.Context, cost func(t float64) float64) (float64, error) {
	const golden = 0.6180339887498949
	lo, hi := 0.5, 2.0 // inverse temperatures
	a, b := hi-golden*(hi-lo), lo+golden*(hi-lo)
	ca, cb := cost(1/a), cost(1/b)
	for hi-lo > 0.01 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if ca < cb {
			hi, b, cb = b, a, ca
			a = hi - golden*(hi-lo)
			ca = cost(1 / a)
		} else {
			lo, a, ca = a, b, cb
			b = lo + golden*(hi-lo)
			cb = cost(1 / b)
		}
	}
	return 2 / (lo + hi), nil
}
