package calibrate

import (
	"context"
	"math"
	"math/rand/v2"

	"skerry/appliance/engine"
)

// refiner lowers the divergence of one head by Adam (Kingma and Ba, arXiv
// 1412.6980) over shuffled batches of the sample, with a learning rate that falls
// to zero along half a cosine.
type refiner struct {
	f     *engine.Fitter // with the shortlist's LM head
	s     *sample
	d     int
	depth int // which of the sample's states is x; y is the last
	steps int
	rate  float64
	seed  uint64
}

// A step's positions, and the tokens whose probabilities it looks at: the most
// frequent, which carry nearly all of them.
const (
	batchRows  = 256
	stepTokens = 4096
)

type adam struct{ m, v []float32 }

func (a *adam) step(w, g []float32, rate float64, t int) {
	const b1, b2, eps = 0.9, 0.99, 1e-8
	c1, c2 := 1-math.Pow(b1, float64(t)), 1-math.Pow(b2, float64(t))
	scale := float32(rate * math.Sqrt(c2) / c1)
	for i, x := range g {
		a.m[i] = b1*a.m[i] + (1-b1)*x
		a.v[i] = b2*a.v[i] + (1-b2)*x*x
		w[i] -= scale * a.m[i] / (float32(math.Sqrt(float64(a.v[i]))) + eps)
	}
}

// run changes t [d][d] and b [d] and reports each step.
func (r *refiner) run(ctx context.Context, t, b []float32, report func(step int, loss float64)) error {
	d, n := r.d, min(batchRows, r.s.len())
	x, y := make([]float32, n*d), make([]float32, n*d)
	gt, gb := make([]float32, d*d), make([]float32, d)
	at, ab := adam{make([]float32, d*d), make([]float32, d*d)}, adam{make([]float32, d), make([]float32, d)}
	rng := rand.New(rand.NewPCG(r.seed, 2))
	var order []int
	for step := range r.steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range n {
			if len(order) == 0 {
				order = rng.Perm(r.s.len())
			}
			r.s.part(order[0], r.depth*d, x[i*d:(i+1)*d])
			r.s.part(order[0], r.s.width-d, y[i*d:(i+1)*d])
			order = order[1:]
		}
		wantLoss := step%16 == 0 || step == r.steps-1
		loss, err := r.f.Gradient(x, y, t, b, gt, gb, wantLoss)
		if err != nil {
			return err
		}
		rate := r.rate * (1 + math.Cos(math.Pi*float64(step)/float64(r.steps))) / 2
		at.step(t, gt, rate, step+1)
		ab.step(b, gb, rate, step+1)
		if wantLoss {
			report(step+1, loss)
		}
	}
	return nil
}
